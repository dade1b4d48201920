//! What can go wrong, as values that say what to do.

use std::error::Error as StdError;
use std::sync::Arc;

/// Why a session could not be read or written. Cheap to clone: one failure is told to the extractor and again
/// at the end of the request.
///
/// "Not found", "expired" and "forged" are not in this list: they are no session, not an error.
///
/// ```
/// use session_core::Error;
///
/// assert_eq!(Error::Gone.status(), 409);
/// assert_eq!(Error::TooLarge { size: 5_000, limit: 4_096 }.to_string(), "the session takes 5000 bytes where 4096 are allowed");
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Written after the response head was decided, in a stream, a socket or a spawned task. Write before answering.
    #[error("the session is closed: the response is already decided, so write before answering")]
    Closed,
    /// Other requests changed the session during each of many attempts to save it.
    #[error("the session changed under {0} attempts to save it")]
    Conflict(usize),
    /// A request that comes from another site's page, where those are refused.
    #[error("the request comes from another site; trust its origin if it should be let in")]
    CrossOrigin,
    /// A form without a valid token: it may have come from another site.
    #[error("the form's token is missing or not of this session; load the page again")]
    Csrf,
    /// The session ended while the request ran; nothing was saved.
    #[error("the session ended while this request ran, so its changes were not saved")]
    Gone,
    /// Sessions in cookies are nowhere to be listed, or to be ended one by one.
    #[error("sessions that are in their cookies can't be listed; keep them in a store to do that")]
    InCookies,
    /// The task that was saving the session was ended before it finished, by a panic or a runtime that shut down.
    #[error("the task that saved the session was ended before it finished")]
    Interrupted,
    /// The subject's last proof of who they are is older than the handler asks for: send them to the login page.
    #[error("the last login is too long ago for this; log in again")]
    NotFresh,
    /// The framework's part that brings the session is missing. The text names the line to add.
    #[error("{0}")]
    NotInstalled(&'static str),
    /// Sessions are in cookies, and nothing remembers which of them have ended.
    #[error("sessions that are in their cookies can't be ended before their deadline; keep revocations to do that")]
    NotRevocable,
    /// A value that JSON can't express, such as a map whose keys are no strings.
    #[error("the value for the session key {key:?} can't be written as JSON")]
    NotSerializable {
        /// The session key.
        key: String,
    },
    /// The operating system gave no randomness for an id.
    #[error("no randomness for a session id")]
    Random(#[source] Arc<dyn StdError + Send + Sync>),
    /// The store failed. What it was doing, and why, is in the source.
    #[error("the session store failed")]
    Store(#[source] Arc<StoreError>),
    /// Larger than the record limit, or than the 4,096 bytes a browser keeps of one cookie (RFC 6265bis, 5.6), four times
    /// that if it may be [`chunked`](crate::SessionManagerBuilder::chunked). The cookies that are there stay.
    #[error("the session takes {size} bytes where {limit} are allowed")]
    TooLarge {
        /// Bytes it takes.
        size: usize,
        /// Bytes it may take.
        limit: usize,
    },
    /// More keys than a session may have. Keep lists under one key, and what grows in a database.
    #[error("the session has {count} keys where {limit} are allowed")]
    TooManyKeys {
        /// How many it has.
        count: usize,
        /// How many it may have.
        limit: usize,
    },
    /// Too many sessions without a subject have begun of late, so this one was not stored. Who logs in is let in.
    #[error("{limit} sessions without a subject have begun of late, and no more may for now")]
    TooManyAnonymous {
        /// How many may, within the time that one lives unused.
        limit: u32,
    },
    /// The subject has as many live sessions as it may have, so this login was refused.
    #[error("the subject has {limit} live sessions already, and may not have more")]
    TooManySessions {
        /// How many it may have.
        limit: u32,
    },
    /// A value of another type than asked for. It is left as it is.
    #[error("the value for the session key {key:?} is {found}, not a {expected}")]
    WrongType {
        /// The session key.
        key: String,
        /// The Rust type asked for.
        expected: &'static str,
        /// The kind of JSON value that is there.
        found: &'static str,
    },
}

impl Error {
    pub(crate) fn random(source: Box<dyn StdError + Send + Sync>) -> Self {
        Self::Random(source.into())
    }

    /// The HTTP status a door answers with by default: 503 when another moment may do better, 409 when the session
    /// ended meanwhile, 403 when it may not be, 500 when the program has to change.
    ///
    /// ```
    /// # use session_core::{Error, Verb};
    /// assert_eq!(Error::from(Verb::Load.failed("connection refused")).status(), 503);
    /// assert_eq!(Error::Closed.status(), 500);
    /// ```
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Conflict(_) | Self::Random(_) | Self::Store(_) | Self::TooManyAnonymous { .. } => 503,
            Self::Gone => 409,
            Self::CrossOrigin | Self::Csrf | Self::NotFresh | Self::TooManySessions { .. } => 403,
            _ => 500,
        }
    }

    /// As [`Error::status`], for a door that answers with it now: an error of the program goes to the log, since the
    /// response says nothing. A failure of the store has been logged where it happened.
    ///
    /// ```
    /// # use session_core::Error;
    /// assert_eq!(Error::Closed.answer(), 500);
    /// ```
    #[must_use]
    pub fn answer(&self) -> u16 {
        let status = self.status();
        if status == 500 {
            self.log();
        }
        status
    }

    pub(crate) fn log(&self) {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        tracing::error!("{text}");
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

/// What a store was doing when it failed, and the failure itself.
///
/// ```
/// use session_core::{StoreError, Verb};
/// use std::error::Error;
///
/// let error = Verb::Load.failed("connection refused");
/// assert_eq!(error.to_string(), "loading a session failed");
/// assert_eq!(error.source().unwrap().to_string(), "connection refused");
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{doing} failed")]
pub struct StoreError {
    doing: &'static str,
    source: Box<dyn StdError + Send + Sync>,
    unreadable: bool,
}

impl StoreError {
    /// `doing` as in "making the tables"; `source` is the driver's own error. For a verb of the contract see
    /// [`Verb::failed`](crate::Verb::failed).
    ///
    /// ```
    /// # use session_core::StoreError;
    /// assert_eq!(StoreError::new("making the tables", "timeout").to_string(), "making the tables failed");
    /// ```
    pub fn new(doing: &'static str, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { doing, source: source.into(), unreadable: false }
    }

    /// The store is well, but what it has under the key is no record: truncated, of a newer version or another type, or
    /// sealed under another secret. Such an entry is no session: its visitor is anonymous and begins anew, with the event
    /// [`Event::Unreadable`](crate::Event::Unreadable).
    ///
    /// ```
    /// # use session_core::{Record, StoreError};
    /// let error = StoreError::unreadable(Record::from_json(b"?").unwrap_err());
    /// assert!(error.is_unreadable());
    /// assert_eq!(error.to_string(), "reading a stored session failed");
    /// ```
    pub fn unreadable(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { unreadable: true, ..Self::new("reading a stored session", source) }
    }

    /// Whether this is about one entry, not about the store.
    ///
    /// ```
    /// # use session_core::Verb;
    /// assert!(!Verb::Load.failed("connection refused").is_unreadable());
    /// ```
    #[must_use]
    pub const fn is_unreadable(&self) -> bool {
        self.unreadable
    }
}

/// A setting that was refused at start: which one, the rule it breaks, and what to write instead.
///
/// ```
/// use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
///
/// let refused = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?))
///     .domain("example.com")
///     .build()
///     .unwrap_err();
/// assert_eq!(
///     refused.to_string(),
///     "domain: a cookie whose name starts with __Host- has none; leave it out or choose another cookie name"
/// );
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {rule}; {fix}")]
pub struct ConfigError {
    field: String,
    rule: String,
    fix: String,
}

impl ConfigError {
    pub(crate) fn new(field: &str, rule: &str, fix: &str) -> Self {
        Self { field: field.to_owned(), rule: rule.to_owned(), fix: fix.to_owned() }
    }

    /// The same refusal of a setting that came under another name.
    pub(crate) fn of(self, field: &str) -> Self {
        Self { field: field.to_owned(), ..self }
    }

    /// The setting that was refused.
    ///
    /// ```
    /// # use session_core::Secret;
    /// assert_eq!(Secret::parse("short").unwrap_err().field(), "secret");
    /// ```
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }
}
