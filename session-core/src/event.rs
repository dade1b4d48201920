//! What happened to sessions, for whoever watches.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::fingerprint::Fingerprint;
use crate::record::Record;

#[cfg(feature = "metrics")]
const EVENTS: &str = "session_events_total";

/// What may happen in the life of a session.
///
/// [`Event::Created`] and [`Event::Destroyed`] are told once for each session, however many requests meet over it: the store
/// says which of them did it. So is [`Event::Swept`], of a session whose time was over and that nobody has ended: of the two a
/// session in a store has one. They are told after the store has answered. So what nobody knows for sure is nobody's event: an
/// operation whose store failed, or whose future was dropped on the way, even if the store carried it out. Redis and Valkey
/// drop what has expired and tell nobody, unless their store is to keep it for a sweep.
///
/// ```
/// assert_eq!(session_core::Event::CacheOverruled.name(), "cache_overruled");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Event {
    /// Several different valid cookies of our name came at once; the request was anonymous (cookie tossing).
    Ambiguous,
    /// A session came from another browser than the one it is bound to.
    BindingMismatch,
    /// A response that sets the cookie said `Cache-Control: public`, and was overruled.
    CacheOverruled,
    /// Another request changed the session first; the changes were replayed on its result.
    Conflict,
    /// A session was created.
    Created,
    /// A request came from another site's page, and was refused.
    CrossOrigin,
    /// A session was ended before its deadline: by its own request, by another one of its subject, by the manager, or
    /// by a login beyond the limit of sessions per subject. Once for each session, of concurrent logouts too.
    ///
    /// When all sessions of a subject are ended at once, the store says only how many they were: it is told as many times,
    /// without fingerprint and data. If they are in cookies it can't be counted and isn't told; their cookies are
    /// [`Event::Revoked`] when they come. Where nothing remembers which cookies have ended, it is told for each request that
    /// ends its own, copies of one cookie included.
    Destroyed,
    /// A session came after its deadline. One in a store is known as such until it is swept, and is [`Event::Unknown`] then; Redis and
    /// Valkey drop it at once, unless their store is to keep it.
    Expired,
    /// A cookie of our name that we didn't make, or not for this place.
    Forged,
    /// A session had ended when its request wanted to save it.
    Gone,
    /// A session got a new id, by a renewal or a login. It stays one session: nothing is created and nothing destroyed.
    Renewed,
    /// A cookie session came after it was ended.
    Revoked,
    /// A session past its deadline was freed by a sweep, or made room for a new one in memory. Once for each session, whichever
    /// node sweeps; a manager hears of what it, or another one on the same store or a clone of it, has swept.
    Swept,
    /// A cookie of ours whose session no longer exists: ended, renewed, or swept.
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
        Self::BindingMismatch,
        Self::CacheOverruled,
        Self::Conflict,
        Self::Created,
        Self::CrossOrigin,
        Self::Destroyed,
        Self::Expired,
        Self::Forged,
        Self::Gone,
        Self::Renewed,
        Self::Revoked,
        Self::Swept,
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
            Self::BindingMismatch => "binding_mismatch",
            Self::CacheOverruled => "cache_overruled",
            Self::Conflict => "conflict",
            Self::Created => "created",
            Self::CrossOrigin => "cross_origin",
            Self::Destroyed => "destroyed",
            Self::Expired => "expired",
            Self::Forged => "forged",
            Self::Gone => "gone",
            Self::Renewed => "renewed",
            Self::Revoked => "revoked",
            Self::Swept => "swept",
            Self::Unknown => "unknown",
            Self::Unreadable => "unreadable",
        }
    }
}

/// An event and whose it is. It carries no id, no key and no cookie, and prints neither subject nor values.
///
/// An [`Event`] becomes one without a session by `into`, for tests of an observer.
///
/// ```
/// use session_core::{Event, Happening};
///
/// let happening = Happening::from(Event::Forged);
/// assert_eq!(happening.event(), Event::Forged);
/// assert!(happening.fingerprint().is_none() && happening.record().is_none());
/// ```
#[derive(Clone, Debug)]
pub struct Happening<'a> {
    event: Event,
    fingerprint: Option<Fingerprint>,
    former: Option<Fingerprint>,
    record: Option<&'a Record>,
}

impl<'a> Happening<'a> {
    pub(crate) fn to(self, fingerprint: impl Into<Option<Fingerprint>>) -> Self {
        Self { fingerprint: fingerprint.into(), ..self }
    }

    pub(crate) fn with(self, record: Option<&'a Record>) -> Self {
        Self { record, ..self }
    }

    pub(crate) fn after(self, former: Option<Fingerprint>) -> Self {
        Self { former, ..self }
    }

    /// What happened.
    ///
    /// ```
    /// # use session_core::{Event, Happening};
    /// assert_eq!(Happening::from(Event::Gone).event(), Event::Gone);
    /// ```
    #[must_use]
    pub const fn event(&self) -> Event {
        self.event
    }

    /// Which session it happened to; `None` where none is known, as with [`Event::Forged`] and [`Event::Ambiguous`].
    ///
    /// A session in a cookie keeps its fingerprint for life. One in a store gets another with each new id: its
    /// [`Event::Renewed`] has both.
    ///
    /// ```
    /// # use session_core::{Event, Happening};
    /// assert_eq!(Happening::from(Event::Ambiguous).fingerprint(), None);
    /// ```
    #[must_use]
    pub const fn fingerprint(&self) -> Option<Fingerprint> {
        self.fingerprint
    }

    /// With [`Event::Renewed`]: the fingerprint before it, to follow a session through its renewals.
    ///
    /// ```
    /// # use session_core::{Event, Happening};
    /// assert_eq!(Happening::from(Event::Created).former(), None);
    /// ```
    #[must_use]
    pub const fn former(&self) -> Option<Fingerprint> {
        self.former
    }

    /// Subject and values of the session: with [`Event::Created`] and [`Event::Renewed`] as they were stored, with
    /// [`Event::Destroyed`] as they were when its request loaded or last saved it, or when the store ended it; with
    /// [`Event::Swept`] as they were. A session that was ended by its handle is
    /// read before for this, if there is an observer; of one that got a new id since it was listed the data are not known.
    ///
    /// ```
    /// use session_core::{Event, Happening, KeyRing, MemoryStore, Observer, Secret, SessionManager};
    ///
    /// struct Farewell;
    /// impl Observer for Farewell {
    ///     fn observe(&self, happening: &Happening<'_>) {
    ///         if let (Event::Destroyed, Some(ended)) = (happening.event(), happening.record()) {
    ///             assert_eq!(ended.subject.as_deref(), Some("ada"));
    ///             assert_eq!(ended.values().get("cart").unwrap(), "tea");
    ///         }
    ///     }
    /// }
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// # let keys = KeyRing::new(Secret::random()?);
    /// let manager = SessionManager::stored(MemoryStore::new(), keys).observer(Farewell).build().unwrap();
    /// let session = manager.begin();
    /// session.login("ada")?;
    /// session.insert("cart", "tea")?;
    /// session.save().await?;
    /// session.logout()?;
    /// session.save().await?;
    /// # Ok::<(), session_core::Error>(()) })?; Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub const fn record(&self) -> Option<&'a Record> {
        self.record
    }
}

impl From<Event> for Happening<'_> {
    fn from(event: Event) -> Self {
        Self { event, fingerprint: None, former: None, record: None }
    }
}

/// Gets every [`Event`], after the store has done its part. It runs on the request's path, so it should only count or
/// pass on; should it panic, the request goes on.
///
/// The same goes to the log, at level `debug` under the target `session_core::event`, with the fields `event` (its name),
/// `session` (the fingerprint, if there is one) and `former` (with `renewed`). With this crate's feature `metrics` it also goes to
/// the recorder of the `metrics` crate: the counter `session_events_total` with the label `event`.
///
/// ```
/// use session_core::{Event, Happening, Observer};
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// #[derive(Default)]
/// struct Logins(AtomicUsize);
/// impl Observer for Logins {
///     fn observe(&self, happening: &Happening<'_>) {
///         if happening.event() == Event::Renewed {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
/// let logins = Logins::default();
/// logins.observe(&Event::Renewed.into());
/// assert_eq!(logins.0.into_inner(), 1);
/// ```
pub trait Observer: Send + Sync + 'static {
    /// Called once for each event.
    fn observe(&self, happening: &Happening<'_>);
}

impl<O: Observer + ?Sized> Observer for Arc<O> {
    fn observe(&self, happening: &Happening<'_>) {
        (**self).observe(happening);
    }
}

/// Whether anybody is told which session it was.
pub(crate) fn is_watched(observer: Option<&Arc<dyn Observer>>) -> bool {
    observer.is_some() || tracing::enabled!(target: "session_core::event", tracing::Level::DEBUG)
}

/// Whether anybody is told what happened.
pub(crate) fn is_told(observer: Option<&Arc<dyn Observer>>) -> bool {
    cfg!(feature = "metrics") || is_watched(observer)
}

/// Tells the log, the counter and, if there is one, the observer.
pub(crate) fn emit<'a>(observer: Option<&Arc<dyn Observer>>, happening: impl Into<Happening<'a>>) {
    let happening = happening.into();
    let event = happening.event.name();
    let shown = |fingerprint: Option<Fingerprint>| fingerprint.map(tracing::field::display);
    let (session, former) = (shown(happening.fingerprint), shown(happening.former));
    tracing::debug!(target: "session_core::event", event, session, former, "session");
    #[cfg(feature = "metrics")]
    metrics::counter!(EVENTS, "event" => event).increment(1);
    if let Some(observer) = observer
        && catch_unwind(AssertUnwindSafe(|| observer.observe(&happening))).is_err()
    {
        tracing::error!(target: "session_core::event", event, "the session observer panicked");
    }
}

/// Says what the counter means, to a recorder that was installed before.
#[cfg(feature = "metrics")]
pub(crate) fn describe() {
    metrics::describe_counter!(EVENTS, metrics::Unit::Count, "What happened to sessions.");
}
