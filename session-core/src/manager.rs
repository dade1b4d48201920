//! Configuration, and the manager that every request starts from.

mod limits;
mod protection;
mod revocation;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use self::protection::Protection;
pub use self::revocation::Revocation;
use crate::binding::Binding;
use crate::clock::{Clock, SystemClock};
use crate::commit::Machine;
use crate::cookie::{Attributes, Brought, CookieLines, SameSite};
use crate::ended::{Reporter, Witness};
use crate::error::{ConfigError, StoreError};
use crate::event::{Observer, is_told};
use crate::expiry::Expiry;
use crate::fingerprint::Fingerprints;
use crate::head::RequestHead;
use crate::key::KeyRing;
use crate::quota::Quota;
use crate::random::{OsRandom, Random};
use crate::session::Session;
use crate::slot::Slot;
use crate::store::{SessionStore, SubjectLimit};
use crate::summary::summarise;
use crate::token::{Purpose, Tokens};

/// Opens the sessions of one application. Clones are the same manager; make it once and give it to the door of your
/// framework.
///
/// ```
/// use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
///
/// let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
/// assert_eq!(manager.cookie_name(), "__Host-id");
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone)]
pub struct SessionManager(Arc<Machine>);

impl SessionManager {
    /// Sessions in a store; the cookie carries a signed id. The default choice: what was ended stays ended, nothing
    /// is lost between concurrent requests, and a session may be larger than a cookie.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build();
    /// assert!(manager.is_ok());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn stored(store: impl SessionStore, keys: KeyRing) -> SessionManagerBuilder {
        SessionManagerBuilder::new(Purpose::Reference, keys, Some(Arc::new(store)), None)
    }

    /// Sessions in the cookie, encrypted: the browser can neither read nor change them. At most 4,096 bytes with name
    /// and attributes, unless [`chunked`](SessionManagerBuilder::chunked). Of two concurrent requests the later response wins.
    ///
    /// ```
    /// # use session_core::{KeyRing, Revocation, Secret, SessionManager};
    /// let keys = KeyRing::new(Secret::random()?);
    /// assert!(SessionManager::sealed(keys, Revocation::NoneCopiedCookiesStayValid).build().is_ok());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn sealed(keys: KeyRing, revocation: Revocation) -> SessionManagerBuilder {
        SessionManagerBuilder::new(Purpose::Sealed, keys, None, revocation.store())
    }

    /// Sessions in the cookie, signed: everybody who holds it can read it, nobody can change it. Keep no secret in it.
    /// Otherwise as [`SessionManager::sealed`].
    ///
    /// ```
    /// # use session_core::{KeyRing, Revocation, Secret, SessionManager};
    /// let keys = KeyRing::new(Secret::random()?);
    /// assert!(SessionManager::signed(keys, Revocation::NoneCopiedCookiesStayValid).build().is_ok());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn signed(keys: KeyRing, revocation: Revocation) -> SessionManagerBuilder {
        SessionManagerBuilder::new(Purpose::Signed, keys, None, revocation.store())
    }

    /// The door in: remembers the request's cookies. No parsing, no cryptography, no store yet.
    ///
    /// See [`Slot`] for an example.
    pub fn open(&self, head: &impl RequestHead) -> Slot {
        let mut cookies = CookieLines::default();
        head.each("cookie", &mut |line| cookies.push(line));
        Slot::new(Arc::clone(&self.0), cookies, self.0.binding.as_ref().map(|_| Binding::agent(head)))
    }

    /// A session without a request: for tests, and for programs that have no cookie to send.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
    /// assert!(manager.begin().is_new());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn begin(&self) -> Session {
        Session::new(Arc::clone(&self.0), None, Brought::default(), None)
    }

    /// Frees what expired sessions take up in the store, at most `limit` of them, and says how many it was; zero for
    /// cookie sessions. Call it from a job every few minutes.
    ///
    /// # Errors
    /// If the store fails.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// assert_eq!(manager.sweep(1_000).await?, 0);
    /// # Ok::<(), session_core::StoreError>(()) }).unwrap(); Ok::<(), session_core::Error>(())
    /// ```
    pub async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
        match self.0.store.as_deref().or(self.0.revocations.as_deref()) {
            Some(store) => store.sweep(limit).await,
            None => Ok(0),
        }
    }

    pub(crate) fn machine(&self) -> &Machine {
        &self.0
    }

    /// The name of the session's cookie.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let keys = KeyRing::new(Secret::random()?);
    /// let manager = SessionManager::stored(MemoryStore::new(), keys).cookie_name("__Secure-shop").build().unwrap();
    /// assert_eq!(manager.cookie_name(), "__Secure-shop");
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn cookie_name(&self) -> &str {
        &self.0.attributes.name
    }

    /// Whether this manager, or a clone of it, opened the slot: a door that meets one on a request is installed twice.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, RequestHead, Secret, SessionManager};
    /// # struct NoHeaders;
    /// # impl RequestHead for NoHeaders {
    /// #     fn method(&self) -> &str { "GET" }
    /// #     fn each(&self, _: &str, _: &mut dyn FnMut(&[u8])) {}
    /// # }
    /// # let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
    /// assert!(manager.opened(&manager.clone().open(&NoHeaders)));
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn opened(&self, slot: &Slot) -> bool {
        Arc::ptr_eq(&self.0, slot.machine())
    }
}

impl fmt::Debug for SessionManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { tokens, attributes, policy, .. } = &*self.0;
        f.debug_struct("SessionManager")
            .field("carrier", &tokens.purpose())
            .field("cookie", attributes)
            .field("policy", policy)
            .finish_non_exhaustive()
    }
}

/// The settings of a [`SessionManager`]. Each has a safe default; what lowers safety says so in its name.
///
/// ```
/// use session_core::{KeyRing, MemoryStore, SameSite, Secret, SessionManager};
/// use std::time::Duration;
///
/// let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?))
///     .application("shop")
///     .idle(Duration::from_secs(15 * 60))
///     .same_site(SameSite::Strict)
///     .build();
/// assert!(manager.is_ok());
/// # Ok::<(), session_core::Error>(())
/// ```
#[must_use = "a builder does nothing until it is built"]
pub struct SessionManagerBuilder {
    purpose: Purpose,
    keys: KeyRing,
    store: Option<Arc<dyn SessionStore>>,
    revocations: Option<Arc<dyn SessionStore>>,
    application: String,
    attributes: Attributes,
    expiry: Expiry,
    touch_every: Option<Duration>,
    anonymous_idle: Option<Duration>,
    remember_at_most: Duration,
    renew_every: Option<Duration>,
    max_bytes: usize,
    max_keys: usize,
    max_anonymous: Option<u32>,
    limit: SubjectLimit,
    protection: Protection,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    observer: Option<Arc<dyn Observer>>,
}

impl SessionManagerBuilder {
    fn new(
        purpose: Purpose,
        keys: KeyRing,
        store: Option<Arc<dyn SessionStore>>,
        revocations: Option<Arc<dyn SessionStore>>,
    ) -> Self {
        Self {
            purpose,
            keys,
            store,
            revocations,
            application: String::new(),
            attributes: Attributes::default(),
            expiry: Expiry::default(),
            touch_every: None,
            anonymous_idle: None,
            remember_at_most: Duration::from_secs(30 * 24 * 3_600),
            renew_every: None,
            max_bytes: 64 * 1024,
            max_keys: 1_000,
            max_anonymous: None,
            limit: SubjectLimit::None,
            protection: Protection::default(),
            clock: Arc::new(SystemClock),
            random: Arc::new(OsRandom),
            observer: None,
        }
    }

    /// The name of your application. Tokens are bound to it, so two applications with one secret don't accept each
    /// other's sessions. Default: empty.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let builder = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?));
    /// let builder = builder.application("shop");
    /// assert!(builder.build().is_ok());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn application(mut self, name: impl Into<String>) -> Self {
        self.application = name.into();
        self
    }

    /// The name of the cookie. Default: `__Host-id`, which browsers accept from this very host over HTTPS only.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let builder = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?));
    /// let builder = builder.cookie_name("__Secure-shop");
    /// assert!(builder.build().is_ok());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn cookie_name(mut self, name: impl Into<String>) -> Self {
        self.attributes.name = name.into();
        self
    }

    /// The path below which browsers send the cookie. Default: `/`.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let builder = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?));
    /// let builder = builder.cookie_name("__Secure-shop").path("/shop");
    /// assert!(builder.build().is_ok());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.attributes.path = path.into();
        self
    }

    /// The domain whose hosts all get the cookie. Default: none, so only the host that set it.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let builder = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?));
    /// let builder = builder.cookie_name("__Secure-shop").domain("example.com");
    /// assert!(builder.build().is_ok());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.attributes.domain = Some(domain.into());
        self
    }

    /// Which cross-site requests carry the cookie. Default: [`SameSite::Lax`].
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager, SameSite};
    /// # let builder = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?));
    /// let builder = builder.same_site(SameSite::Strict);
    /// assert!(builder.build().is_ok());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.attributes.same_site = same_site;
        self
    }

    /// A cookie of its own for each top-level site that embeds the application (CHIPS).
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let builder = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?));
    /// let builder = builder.partitioned();
    /// assert!(builder.build().is_ok());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn partitioned(mut self) -> Self {
        self.attributes.partitioned = true;
        self
    }

    /// The cookie survives the end of the browser, for the session's lifetime and at most 400 days. By default it
    /// ends with the browser.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let builder = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?));
    /// let builder = builder.persistent();
    /// assert!(builder.build().is_ok());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn persistent(mut self) -> Self {
        self.attributes.persistent = true;
        self
    }

    /// Lets browsers send the cookie without encryption, so that everybody on the way can take the session over. For
    /// development on plain HTTP; it needs a cookie name without prefix.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let builder = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?));
    /// let builder = builder.cookie_name("id").insecure_over_plain_http();
    /// assert!(builder.build().is_ok());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn insecure_over_plain_http(mut self) -> Self {
        self.attributes.secure = false;
        self
    }

    /// Lets scripts read the cookie, so that every script injected into a page can take the session over.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let builder = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?));
    /// let builder = builder.insecure_readable_by_scripts();
    /// assert!(builder.build().is_ok());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn insecure_readable_by_scripts(mut self) -> Self {
        self.attributes.http_only = false;
        self
    }

    /// The longest time without a request. Default: 30 minutes.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let builder = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?));
    /// let builder = builder.idle(std::time::Duration::from_secs(15 * 60));
    /// assert!(builder.build().is_ok());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn idle(mut self, idle: Duration) -> Self {
        self.expiry.idle = idle;
        self
    }

    /// The longest time since creation or login, whatever happens. Default: 12 hours.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let builder = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?));
    /// let builder = builder.lifetime(std::time::Duration::from_secs(8 * 60 * 60));
    /// assert!(builder.build().is_ok());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.expiry.lifetime = lifetime;
        self
    }

    /// How often a session that is only read has its idle deadline moved, at most: between two times, reading costs no
    /// write. Zero: with each request that reads it. Default: a thirtieth of the idle time.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let builder = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?));
    /// let builder = builder.touch_every(std::time::Duration::from_secs(60));
    /// assert!(builder.build().is_ok());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn touch_every(mut self, interval: Duration) -> Self {
        self.touch_every = Some(interval);
        self
    }

    /// The largest record in bytes of JSON. Default: 65,536. A cookie session is held to what fits into its cookie besides.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let builder = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?));
    /// let builder = builder.max_bytes(8 * 1024);
    /// assert!(builder.build().is_ok());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How many live sessions one subject may have. A login beyond it ends the oldest ones, or is refused with
    /// [`Error::TooManySessions`](crate::Error::TooManySessions). Default: any number.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager, SubjectLimit};
    /// # use std::num::NonZeroU32;
    /// # let builder = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?));
    /// let builder = builder.sessions_per_subject(SubjectLimit::EndOldest(NonZeroU32::new(3).unwrap()));
    /// assert!(builder.build().is_ok());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn sessions_per_subject(mut self, limit: SubjectLimit) -> Self {
        self.limit = limit;
        self
    }

    /// Another clock. Give the store the same one.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager, ManualClock, Timestamp};
    /// # let builder = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?));
    /// let builder = builder.clock(ManualClock::new(Timestamp::from_millis(0)));
    /// assert!(builder.build().is_ok());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Another source of randomness, in tests.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager, OsRandom};
    /// # let builder = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?));
    /// let builder = builder.random(OsRandom);
    /// assert!(builder.build().is_ok());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn random(mut self, random: impl Random) -> Self {
        self.random = Arc::new(random);
        self
    }

    /// Tells `observer` what happens to sessions.
    ///
    /// ```
    /// # use session_core::{Happening, KeyRing, MemoryStore, Observer, Secret, SessionManager};
    /// struct Log;
    /// impl Observer for Log {
    ///     fn observe(&self, happening: &Happening<'_>) {
    ///         println!("{}", happening.event().name());
    ///     }
    /// }
    /// let builder = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).observer(Log);
    /// assert!(builder.build().is_ok());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Makes the manager, and says in the log, at level `info`, what is in force; what lowers safety at level `warn`.
    ///
    /// # Errors
    /// If the settings contradict each other or a rule that browsers keep; the error names the setting, the rule and
    /// what to write instead.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let keys = KeyRing::new(Secret::random()?);
    /// let refused = SessionManager::stored(MemoryStore::new(), keys).insecure_over_plain_http().build().unwrap_err();
    /// assert_eq!(refused.field(), "cookie_name");
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn build(self) -> Result<SessionManager, ConfigError> {
        let error = |field, rule, fix| Err(ConfigError::new(field, rule, fix));
        let Expiry { idle, lifetime } = self.expiry;
        if idle.as_millis() == 0 {
            return error(
                "idle",
                "a session has to live at least a millisecond",
                "write a duration such as 30 minutes",
            );
        }
        if lifetime.as_millis() == 0 {
            return error(
                "lifetime",
                "a session has to live at least a millisecond",
                "write a duration such as 12 hours",
            );
        }
        let policy = self.policy()?;
        if self.limit != SubjectLimit::None && self.store.is_none() {
            return error(
                "sessions_per_subject",
                "sessions in cookies can't be counted",
                "leave it out or keep the sessions in a store",
            );
        }
        let attributes = self.attributes.check()?;
        let cross_origin = self.protection.cross_origin()?;
        let reporter = Arc::new(Reporter { fingerprints: Fingerprints::new(&self.keys), observer: self.observer });
        if let Some(store) = &self.store
            && is_told(reporter.observer.as_ref())
        {
            let witness: Arc<dyn Witness> = reporter.clone();
            store.watch(&witness);
        }
        let machine = Machine {
            store: self.store,
            revocations: self.revocations,
            tokens: Tokens::new(&self.keys, self.purpose, &self.application, &attributes.name),
            attributes,
            anonymous: self.max_anonymous.map(|most| Quota::new(most, policy.anonymous.idle)),
            policy,
            max_bytes: self.max_bytes,
            max_keys: self.max_keys,
            limit: self.limit,
            cross_origin,
            binding: self.protection.binding(&self.keys),
            clock: self.clock,
            random: self.random,
            reporter,
        };
        summarise(&machine);
        Ok(SessionManager(Arc::new(machine)))
    }
}

impl fmt::Debug for SessionManagerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionManagerBuilder")
            .field("cookie", &self.attributes)
            .field("expiry", &self.expiry)
            .finish_non_exhaustive()
    }
}
