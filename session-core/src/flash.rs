//! Messages for the next page.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A message for the next page that looks for one: left by one request, shown by another, once. It waits in the session,
/// so a redirect in between does no harm.
///
/// ```
/// # use session_core::{FlashLevel, KeyRing, MemoryStore, Secret, SessionManager};
/// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
/// session.flash(FlashLevel::Success, "Saved.")?;
/// let messages = session.flashes()?;
/// assert_eq!((messages[0].level, messages[0].text.as_str()), (FlashLevel::Success, "Saved."));
/// assert!(session.flashes()?.is_empty());
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Flash {
    /// How to show it.
    pub level: FlashLevel,
    /// What it says: text, not HTML. Escape it where it is shown.
    pub text: String,
}

impl Flash {
    pub(crate) const fn new(level: FlashLevel, text: String) -> Self {
        Self { level, text }
    }
}

impl fmt::Debug for Flash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flash").field("level", &self.level).finish_non_exhaustive()
    }
}

/// How a [`Flash`] is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FlashLevel {
    /// For your information.
    Info,
    /// It worked.
    Success,
    /// It worked, but.
    Warning,
    /// It didn't work.
    Error,
}

impl FlashLevel {
    /// The name, for a class in HTML.
    ///
    /// ```
    /// assert_eq!(session_core::FlashLevel::Success.name(), "success");
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Success => "success",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}
