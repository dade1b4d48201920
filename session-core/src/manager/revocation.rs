//! How sessions in cookies end before their time.

use std::fmt;
use std::sync::Arc;

use crate::store::SessionStore;

/// How a cookie session is ended before its deadline. The server keeps nothing of it, so it has to be told where to
/// remember what it ended, or that it needn't.
///
/// ```
/// use session_core::{KeyRing, MemoryStore, Revocation, Secret, SessionManager};
///
/// let revocation = Revocation::kept_in(MemoryStore::new());
/// assert!(SessionManager::sealed(KeyRing::new(Secret::random()?), revocation).build().is_ok());
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub enum Revocation {
    /// The store remembers which cookies ended before their deadline: those of a logout, and those from before a renewal
    /// or a login. Each request that uses its session asks it once; if it fails, the answer is 503.
    KeptIn(Arc<dyn SessionStore>),
    /// Nothing is remembered: logout takes the cookie from the browser, but somebody who copied it can use it until its
    /// deadline. Choose short limits.
    NoneCopiedCookiesStayValid,
}

impl Revocation {
    /// Remembers in `store`, which all nodes have to share. It holds a key for each ended session, for as long as a session may
    /// live or be [remembered](crate::SessionManagerBuilder::remember_at_most), and no session. The nodes' clocks have to agree:
    /// when all sessions of a subject are ended, one survives that a node whose clock is ahead has just made.
    ///
    /// ```
    /// # use session_core::{MemoryStore, Revocation};
    /// assert!(matches!(Revocation::kept_in(MemoryStore::new()), Revocation::KeptIn(_)));
    /// ```
    pub fn kept_in(store: impl SessionStore) -> Self {
        Self::KeptIn(Arc::new(store))
    }

    pub(super) fn store(self) -> Option<Arc<dyn SessionStore>> {
        match self {
            Self::KeptIn(store) => Some(store),
            Self::NoneCopiedCookiesStayValid => None,
        }
    }
}

impl fmt::Debug for Revocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KeptIn(_) => "KeptIn(…)",
            Self::NoneCopiedCookiesStayValid => "NoneCopiedCookiesStayValid",
        })
    }
}
