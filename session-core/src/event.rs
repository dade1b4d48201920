//! What happened to sessions, for whoever watches.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Something that happened in the life of a session. It carries no id, no key and no value.
///
/// ```
/// assert_eq!(session_core::Event::CacheOverruled.name(), "cache_overruled");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Event {
    /// Several different valid cookies of our name came at once; the request was anonymous (cookie tossing).
    Ambiguous,
    /// A response that sets the cookie said `Cache-Control: public`, and was overruled.
    CacheOverruled,
    /// Another request changed the session first; the changes were replayed on its result.
    Conflict,
    /// A session was created.
    Created,
    /// A session was ended by its own request.
    Destroyed,
    /// A cookie session came after its deadline.
    Expired,
    /// A cookie of our name that we didn't make, or not for this place.
    Forged,
    /// A session had ended when its request wanted to save it.
    Gone,
    /// A session got a new id.
    Renewed,
    /// A cookie session came after it was ended.
    Revoked,
    /// A cookie of ours whose session no longer exists.
    Unknown,
    /// The store has something for a cookie of ours that is no record; the request was anonymous.
    Unreadable,
}

impl Event {
    /// All of them, for a counter that shows what has not happened yet too.
    ///
    /// ```
    /// # use session_core::Event;
    /// assert!(Event::ALL.contains(&Event::Created));
    /// ```
    pub const ALL: &[Self] = &[
        Self::Ambiguous,
        Self::CacheOverruled,
        Self::Conflict,
        Self::Created,
        Self::Destroyed,
        Self::Expired,
        Self::Forged,
        Self::Gone,
        Self::Renewed,
        Self::Revoked,
        Self::Unknown,
        Self::Unreadable,
    ];

    /// The name in logs and counters.
    ///
    /// ```
    /// assert_eq!(session_core::Event::Created.name(), "created");
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ambiguous => "ambiguous",
            Self::CacheOverruled => "cache_overruled",
            Self::Conflict => "conflict",
            Self::Created => "created",
            Self::Destroyed => "destroyed",
            Self::Expired => "expired",
            Self::Forged => "forged",
            Self::Gone => "gone",
            Self::Renewed => "renewed",
            Self::Revoked => "revoked",
            Self::Unknown => "unknown",
            Self::Unreadable => "unreadable",
        }
    }
}

/// Gets every [`Event`], after the store has done its part. It runs on the request's path, so it should only count or
/// pass on; should it panic, the request goes on.
///
/// ```
/// use session_core::{Event, Observer};
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// #[derive(Default)]
/// struct Logins(AtomicUsize);
/// impl Observer for Logins {
///     fn observe(&self, event: Event) {
///         if event == Event::Renewed {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
/// let logins = Logins::default();
/// logins.observe(Event::Renewed);
/// assert_eq!(logins.0.into_inner(), 1);
/// ```
pub trait Observer: Send + Sync + 'static {
    /// Called once for each event.
    fn observe(&self, event: Event);
}

impl<O: Observer + ?Sized> Observer for Arc<O> {
    fn observe(&self, event: Event) {
        (**self).observe(event);
    }
}

/// Tells the log and, if there is one, the observer.
pub(crate) fn emit(observer: Option<&Arc<dyn Observer>>, event: Event) {
    tracing::debug!(event = event.name(), "session");
    if let Some(observer) = observer
        && catch_unwind(AssertUnwindSafe(|| observer.observe(event))).is_err()
    {
        tracing::error!(event = event.name(), "the session observer panicked");
    }
}
