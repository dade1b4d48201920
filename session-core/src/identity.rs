//! Who is logged in, since when, and on which devices.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use sync_wrapper::SyncFuture;

use crate::changes::Change;
use crate::error::Error;
use crate::id::StoreKey;
use crate::login::{Login, stamp};
use crate::manager::SessionManager;
use crate::session::Session;
use crate::store::Loaded;

/// No list of devices is longer.
const MOST_DEVICES: usize = 1_000;
/// In characters: a label is for a line on a page.
const LONGEST_LABEL: usize = 200;

/// Names a session in a list, to end it. It is no credential: nobody can make a cookie of it. It stays good when the session
/// gets a new id.
///
/// ```
/// use session_core::Handle;
///
/// let handle: Handle = "ab".repeat(32).parse().unwrap();
/// assert_eq!(handle.to_string(), "ab".repeat(32));
/// assert!("nonsense".parse::<Handle>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Handle(pub(crate) StoreKey);

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_hex())
    }
}

impl FromStr for Handle {
    type Err = NoHandle;

    fn from_str(text: &str) -> Result<Self, NoHandle> {
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(NoHandle);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let value = |digit: u8| if digit <= b'9' { digit - b'0' } else { digit - b'a' + 10 };
            *byte = value(pair[0]) << 4 | value(pair[1]);
        }
        Ok(Self(StoreKey::from_bytes(bytes)))
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle(…)")
    }
}

/// What a store knows the session by.
///
/// ```
/// use session_core::{Handle, StoreKey};
///
/// let handle: Handle = "ab".repeat(32).parse().unwrap();
/// assert_eq!(StoreKey::from(handle), StoreKey::from_bytes([0xab; 32]));
/// ```
impl From<Handle> for StoreKey {
    fn from(handle: Handle) -> Self {
        handle.0
    }
}

/// To show it to somebody who may want to end the session.
impl From<StoreKey> for Handle {
    fn from(key: StoreKey) -> Self {
        Self(key)
    }
}

/// A text that is no [`Handle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a handle of a session: 64 lowercase hexadecimal digits")]
pub struct NoHandle;

/// A live session of a subject, as one sees it in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Device {
    /// To end it.
    pub handle: Handle,
    /// When it was created.
    pub created: SystemTime,
    /// When it was last used, to the precision with which idle deadlines are moved.
    pub seen: SystemTime,
    /// When it ends if it isn't used again.
    pub expires: SystemTime,
    /// What [`Session::label`] called it. Text, not HTML.
    pub label: Option<String>,
    /// Whether it is the one that asks.
    pub current: bool,
}

impl Device {
    fn new((key, loaded): (StoreKey, Loaded), current: Option<StoreKey>) -> Self {
        Self {
            handle: Handle(key),
            created: loaded.times.created.into(),
            seen: loaded.times.seen.into(),
            expires: loaded.times.expires.into(),
            label: loaded.record.own().label.clone(),
            current: Some(key) == current,
        }
    }
}

/// Identity.
impl Session {
    /// Who is logged in.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// assert_eq!(session.subject(), None);
    /// session.login("ada")?;
    /// assert_eq!(session.subject().as_deref(), Some("ada"));
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn subject(&self) -> Option<String> {
        self.0.view().subject.as_deref().map(str::to_owned)
    }

    /// Makes this the session of a subject whom you have just authenticated. It gets a new id, in the same store operation,
    /// so a planted cookie is worth nothing; what an anonymous visitor gathered is kept, what another subject had is
    /// dropped; both limits of its life start anew.
    ///
    /// # Errors
    /// [`Error::Closed`] after the response.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// session.insert("cart", ["tea"])?;
    /// session.login("ada")?;
    /// assert!(session.contains("cart"));
    /// session.login("bob")?;
    /// assert!(!session.contains("cart"));
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn login(&self, login: impl Into<Login>) -> Result<(), Error> {
        self.0.change(Change::Login(login.into()))
    }

    /// Ends the session: [`Session::destroy`], by the name one looks for beside `login`.
    ///
    /// # Errors
    /// [`Error::Closed`] after the response.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// session.login("ada")?;
    /// session.logout()?;
    /// assert_eq!(session.subject(), None);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn logout(&self) -> Result<(), Error> {
        self.destroy()
    }

    /// When the subject last proved who they are; `None` if nobody is logged in.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// assert_eq!(session.authenticated_at(), None);
    /// session.login("ada")?;
    /// assert!(session.authenticated_at() >= Some(session.created()));
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn authenticated_at(&self) -> Option<SystemTime> {
        Some(self.created() + self.authenticated_age()?)
    }

    /// Whether the subject proved who they are within the last `limit`: ask for it before something that can't be undone,
    /// and send them to the login page if not (OWASP ASVS 5.0, 7.5.3).
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # use std::time::Duration;
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// assert!(!session.is_fresh(Duration::from_secs(300)));
    /// session.login("ada")?;
    /// assert!(session.is_fresh(Duration::from_secs(300)));
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn is_fresh(&self, limit: Duration) -> bool {
        self.authenticated_age().is_some_and(|then| self.0.age_now().saturating_sub(then) <= limit)
    }

    /// [`Session::is_fresh`], as an error that is answered with 403: for a handler that begins with `?`.
    ///
    /// # Errors
    /// [`Error::NotFresh`] if the subject proved who they are longer ago than `limit`, or nobody is logged in.
    ///
    /// ```
    /// # use session_core::{Error, KeyRing, MemoryStore, Secret, SessionManager};
    /// # use std::time::Duration;
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// assert!(matches!(session.require_fresh(Duration::from_secs(300)), Err(Error::NotFresh)));
    /// session.login("ada")?;
    /// session.require_fresh(Duration::from_secs(300))?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn require_fresh(&self, limit: Duration) -> Result<(), Error> {
        if self.is_fresh(limit) { Ok(()) } else { Err(Error::NotFresh) }
    }

    fn authenticated_age(&self) -> Option<Duration> {
        let view = self.0.view();
        view.subject.as_ref()?;
        view.own().authenticated.map(Duration::from_millis)
    }

    /// Whether the session was logged in under the credential that is in force now, as [`Login::stamp`] took it. If it was
    /// another one, or none, the session is ended: a changed password ends what was made under the old one. Ask at each
    /// request that knows the user.
    ///
    /// # Errors
    /// [`Error::Closed`] after the response.
    ///
    /// ```
    /// # use session_core::{KeyRing, Login, MemoryStore, Secret, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// session.login(Login::new("ada").stamp("hash of her first password"))?;
    /// assert!(!session.require_stamp("hash of her second password")?);
    /// assert_eq!(session.subject(), None);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn require_stamp(&self, credential: impl AsRef<[u8]>) -> Result<bool, Error> {
        let view = self.0.view();
        let Some(subject) = &view.subject else { return Ok(false) };
        let holds = view.own().stamp.as_ref() == Some(&stamp(subject, credential.as_ref()));
        if !holds {
            self.destroy()?;
        }
        Ok(holds)
    }

    /// Calls the session something in lists of devices, such as the browser's `User-Agent`; of a longer text the first 200
    /// characters.
    ///
    /// # Errors
    /// [`Error::Closed`] after the response.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// session.login("ada")?;
    /// session.label("Firefox on Linux")?;
    /// session.save().await?;
    /// assert_eq!(session.devices().await?[0].label.as_deref(), Some("Firefox on Linux"));
    /// # Ok::<(), session_core::Error>(()) })?; Ok::<(), session_core::Error>(())
    /// ```
    pub fn label(&self, text: impl AsRef<str>) -> Result<(), Error> {
        self.0.change(Change::Label(text.as_ref().chars().take(LONGEST_LABEL).collect()))
    }

    /// The live sessions of who is logged in here, those created last first, a thousand at most; empty if nobody is.
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed, [`Error::InCookies`] if there is none to list them.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// session.login("ada")?;
    /// session.save().await?;
    /// let devices = session.devices().await?;
    /// assert!(devices.len() == 1 && devices[0].current);
    /// # Ok::<(), session_core::Error>(()) })?; Ok::<(), session_core::Error>(())
    /// ```
    pub async fn devices(&self) -> Result<Vec<Device>, Error> {
        let listing = async {
            let store = self.0.listing_store()?;
            let Some(subject) = self.subject() else { return Ok(Vec::new()) };
            let current = self.0.key();
            let sessions = store.sessions_of(&subject, MOST_DEVICES).await?;
            Ok(sessions.into_iter().map(|session| Device::new(session, current)).collect())
        };
        SyncFuture::new(listing).await
    }

    /// Ends one session of who is logged in here, and says whether it did; somebody else's stays. The one that asks is ended
    /// as by [`Session::logout`].
    ///
    /// # Errors
    /// As [`Session::devices`], and [`Error::Closed`].
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (phone, laptop) = (manager.begin(), manager.begin());
    /// for session in [&phone, &laptop] {
    ///     session.login("ada")?;
    ///     session.save().await?;
    /// }
    /// let phone = laptop.devices().await?.into_iter().find(|device| !device.current).unwrap();
    /// assert!(laptop.end_device(&phone.handle).await?);
    /// assert_eq!(laptop.devices().await?.len(), 1);
    /// # Ok::<(), session_core::Error>(()) })?; Ok::<(), session_core::Error>(())
    /// ```
    pub async fn end_device(&self, handle: &Handle) -> Result<bool, Error> {
        let ending = async {
            self.0.listing_store()?;
            let Some(subject) = self.subject() else { return Ok(false) };
            if self.0.key() == Some(handle.0) {
                self.destroy()?;
                return Ok(true);
            }
            self.0.machine().end_one(Some(&subject), &handle.0).await
        };
        SyncFuture::new(ending).await
    }
}

/// Ending the others.
impl Session {
    /// Ends all other live sessions of who is logged in here, and says how many; `None` if that can't be counted, because they
    /// are in cookies. A login of theirs that is under way at this moment may come after it.
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed, [`Error::NotRevocable`] if sessions are in cookies and nothing remembers which
    /// have ended, [`Error::Closed`].
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (phone, laptop) = (manager.begin(), manager.begin());
    /// for session in [&phone, &laptop] {
    ///     session.login("ada")?;
    ///     session.save().await?;
    /// }
    /// assert_eq!(laptop.end_others().await?, Some(1));
    /// assert!(laptop.devices().await?[0].current);
    /// # Ok::<(), session_core::Error>(()) })?; Ok::<(), session_core::Error>(())
    /// ```
    pub async fn end_others(&self) -> Result<Option<usize>, Error> {
        let ending = async {
            let Some(subject) = self.subject() else { return Ok(Some(0)) };
            let ended = self.0.machine().end_all_of(&subject, self.0.key().as_ref()).await?;
            if ended.is_none() {
                // This one was made before that moment, too.
                self.0.change(Change::Spare)?;
            }
            Ok(ended)
        };
        SyncFuture::new(ending).await
    }

    /// For a handler that has just changed the subject's credential: this session goes on under the new one and gets a new id,
    /// all others of the subject are ended. A login that is under way with the old credential doesn't pass
    /// [`Session::require_stamp`].
    ///
    /// # Errors
    /// As [`Session::end_others`].
    ///
    /// ```
    /// # use session_core::{KeyRing, Login, MemoryStore, Secret, SessionManager};
    /// # let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (phone, laptop) = (manager.begin(), manager.begin());
    /// for session in [&phone, &laptop] {
    ///     session.login(Login::new("ada").stamp("hash 1"))?;
    ///     session.save().await?;
    /// }
    /// assert_eq!(laptop.change_stamp("hash 2").await?, Some(1));
    /// assert!(laptop.require_stamp("hash 2")?);
    /// # Ok::<(), session_core::Error>(()) })?; Ok::<(), session_core::Error>(())
    /// ```
    pub async fn change_stamp(&self, credential: impl AsRef<[u8]>) -> Result<Option<usize>, Error> {
        if let Some(subject) = self.subject() {
            self.login(Login::new(subject).stamp(credential))?;
        }
        self.end_others().await
    }
}

/// Sessions without a request, for administrators and jobs.
impl SessionManager {
    /// The live sessions of `subject`, those created last first, a thousand at most.
    ///
    /// # Errors
    /// As [`Session::devices`].
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// assert!(manager.sessions_of("ada").await?.is_empty());
    /// # Ok::<(), session_core::Error>(()) })?; Ok::<(), session_core::Error>(())
    /// ```
    pub async fn sessions_of(&self, subject: &str) -> Result<Vec<Device>, Error> {
        let sessions = self.machine().listing_store()?.sessions_of(subject, MOST_DEVICES).await?;
        Ok(sessions.into_iter().map(|session| Device::new(session, None)).collect())
    }

    /// Ends the session that `handle` names, whosever it is, and says whether there was one.
    ///
    /// # Errors
    /// As [`Session::devices`].
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let session = manager.begin();
    /// session.login("ada")?;
    /// session.save().await?;
    /// let handle = manager.sessions_of("ada").await?[0].handle;
    /// assert!(manager.end(&handle).await?);
    /// assert!(!manager.end(&handle).await?);
    /// # Ok::<(), session_core::Error>(()) })?; Ok::<(), session_core::Error>(())
    /// ```
    pub async fn end(&self, handle: &Handle) -> Result<bool, Error> {
        self.machine().end_one(None, &handle.0).await
    }

    /// Ends all sessions of `subject`, and says how many; `None` if that can't be counted, because they are in cookies.
    ///
    /// # Errors
    /// As [`Session::end_others`].
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// assert_eq!(manager.end_all("ada").await?, Some(0));
    /// # Ok::<(), session_core::Error>(()) })?; Ok::<(), session_core::Error>(())
    /// ```
    pub async fn end_all(&self, subject: &str) -> Result<Option<usize>, Error> {
        self.machine().end_all_of(subject, None).await
    }
}
