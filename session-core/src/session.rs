//! The session as a handler sees it: in memory, synchronous, changes kept beside what was loaded.

use std::any::type_name;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sync_wrapper::SyncFuture;

use crate::binding::Agent;
use crate::changes::Change;
use crate::commit::Machine;
use crate::cookie::Brought;
use crate::csrf::{self, CsrfSecret};
use crate::error::Error;
use crate::flash::{Flash, FlashLevel};
use crate::plan::Base;
use crate::state::Shared;

/// One visitor's session during one request. Reading and writing happen in memory; what was written is stored once, when
/// the handler has answered. Clones are the same session.
///
/// In a test of your own, [`SessionManager::begin`](crate::SessionManager::begin) gives one without a request; the
/// examples below do that.
///
/// ```
/// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
/// # let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
/// let session = manager.begin();
/// let visits = session.update("visits", |visits: &mut u64| *visits += 1)?;
/// assert_eq!(visits, 1);
/// assert_eq!(session.get("visits")?, Some(1));
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Session(pub(crate) Arc<Shared>);

impl Session {
    pub(crate) fn new(machine: Arc<Machine>, base: Option<Arc<Base>>, brought: Brought, agent: Agent) -> Self {
        Self(Arc::new(Shared::new(machine, base, brought, agent)))
    }
}

/// Values.
impl Session {
    /// The value under `key`, if there is one.
    ///
    /// # Errors
    /// [`Error::WrongType`] if there is one that isn't a `T`. It stays there.
    ///
    /// ```
    /// # use session_core::{Error, KeyRing, MemoryStore, Secret, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// session.insert("name", "Ada")?;
    /// assert_eq!(session.get::<String>("name")?.as_deref(), Some("Ada"));
    /// assert_eq!(session.get::<String>("town")?, None);
    /// assert!(matches!(session.get::<u64>("name"), Err(Error::WrongType { .. })));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Error> {
        self.0.values().json(key).map(|json| read(key, json)).transpose()
    }

    /// Writes a value. Writing what is there already is no change.
    ///
    /// # Errors
    /// [`Error::NotSerializable`] if JSON can't express the value, [`Error::Closed`] after the response.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// session.insert("colours", ["red", "green"])?;
    /// assert_eq!(session.get::<Vec<String>>("colours")?.unwrap().len(), 2);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn insert(&self, key: impl Into<String>, value: impl Serialize) -> Result<(), Error> {
        let key = key.into();
        let json = write(&key, value)?;
        self.0.change(Change::Insert(key, json))
    }

    /// Changes a value in a way that survives concurrent requests, and returns it as this request sees it. The value
    /// starts from its default. When another request changed the session meanwhile, `change` runs again on the fresh
    /// value, so it should depend on nothing else and do nothing else.
    ///
    /// # Errors
    /// As [`Session::get`] and [`Session::insert`].
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// session.update("seen", |seen: &mut Vec<String>| seen.push("tea".to_owned()))?;
    /// let seen = session.update("seen", |seen: &mut Vec<String>| seen.push("rum".to_owned()))?;
    /// assert_eq!(seen, ["tea", "rum"]);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn update<T, F>(&self, key: impl Into<String>, change: F) -> Result<T, Error>
    where
        T: Serialize + DeserializeOwned + Default,
        F: Fn(&mut T) + Send + Sync + 'static,
    {
        let key = key.into();
        let apply = {
            let key = key.clone();
            move |json: Option<&str>| {
                let mut value: T = json.map_or_else(|| Ok(T::default()), |json| read(&key, json))?;
                change(&mut value);
                write(&key, value)
            }
        };
        let change = Change::Update(key.clone(), Arc::new(apply));
        let view = self.0.change_with(&change)?;
        view.values().json(&key).map_or_else(|| Ok(T::default()), |json| read(&key, json))
    }

    /// Removes a value and returns it.
    ///
    /// # Errors
    /// As [`Session::get`]; a value of another type is not removed. [`Error::Closed`] after the response.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// session.insert("next", "/cart")?;
    /// assert_eq!(session.take::<String>("next")?.as_deref(), Some("/cart"));
    /// assert!(!session.contains("next"));
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn take<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Error> {
        let value = self.get(key)?;
        self.remove(key)?;
        Ok(value)
    }

    /// Removes a value, whatever it is, and says whether there was one.
    ///
    /// # Errors
    /// [`Error::Closed`] after the response.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// session.insert("n", 1)?;
    /// assert!(session.remove("n")?);
    /// assert!(!session.remove("n")?);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn remove(&self, key: &str) -> Result<bool, Error> {
        let there = self.contains(key);
        self.0.change(Change::Remove(key.to_owned()))?;
        Ok(there)
    }

    /// Removes all values. Who is logged in stays so; [`Session::destroy`] ends the session.
    ///
    /// # Errors
    /// [`Error::Closed`] after the response.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// session.insert("n", 1)?;
    /// session.clear()?;
    /// assert!(session.is_empty());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn clear(&self) -> Result<(), Error> {
        self.0.change(Change::Clear)
    }

    /// Whether there is a value under `key`.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// session.insert("n", 1)?;
    /// assert!(session.contains("n") && !session.contains("m"));
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        self.0.values().contains_key(key)
    }

    /// The keys, in alphabetical order.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// session.insert("b", 1)?;
    /// session.insert("a", 2)?;
    /// assert_eq!(session.keys(), ["a", "b"]);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.0.values().keys().map(str::to_owned).collect()
    }

    /// How many values there are.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// session.insert("n", 1)?;
    /// assert_eq!(session.len(), 1);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.values().len()
    }

    /// Whether there is no value.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// assert!(session.is_empty());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Messages and forms.
impl Session {
    /// Leaves a message for the next page that reads them.
    ///
    /// # Errors
    /// [`Error::Closed`] after the response.
    ///
    /// ```
    /// # use session_core::{FlashLevel, KeyRing, MemoryStore, Secret, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// session.flash(FlashLevel::Warning, "Almost full.")?;
    /// assert_eq!(session.flashes()?.len(), 1);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn flash(&self, level: FlashLevel, text: impl Into<String>) -> Result<(), Error> {
        self.0.change(Change::Flash(Flash::new(level, text.into())))
    }

    /// Takes the messages that were left, in order: they are shown once. If this request then fails with a 5xx they stay
    /// for the next one.
    ///
    /// # Errors
    /// [`Error::Closed`] after the response.
    ///
    /// ```
    /// # use session_core::{FlashLevel, KeyRing, MemoryStore, Secret, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// session.flash(FlashLevel::Info, "Welcome.")?;
    /// assert_eq!(session.flashes()?[0].text, "Welcome.");
    /// assert!(session.flashes()?.is_empty());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn flashes(&self) -> Result<Vec<Flash>, Error> {
        let flashes = self.0.view().own().flashes.clone();
        if !flashes.is_empty() {
            self.0.change(Change::Shown(flashes.clone()))?;
        }
        Ok(flashes)
    }

    /// A token for a form of this session, to be sent back with it: fresh each time, good until the next login or the end
    /// of the session. The first one begins a session for a visitor who has none.
    ///
    /// # Errors
    /// [`Error::Random`] without randomness, [`Error::Closed`] after the response.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// let token = session.csrf_token()?;
    /// assert_ne!(token, session.csrf_token()?);
    /// assert!(session.verify_csrf(&token).is_ok());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn csrf_token(&self) -> Result<String, Error> {
        let random = &*self.0.machine().random;
        let secret = match self.0.view().own().csrf.first() {
            Some(secret) => *secret,
            None => {
                let secret = CsrfSecret::random(random)?;
                self.0.change(Change::Csrf(secret))?;
                secret
            }
        };
        secret.token(random)
    }

    /// Checks a token that came back with a form, or in a header.
    ///
    /// # Errors
    /// [`Error::Csrf`], which is answered with 403, if it isn't one of this session's.
    ///
    /// ```
    /// # use session_core::{Error, KeyRing, MemoryStore, Secret, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// assert!(matches!(session.verify_csrf("guessed"), Err(Error::Csrf)));
    /// let token = session.csrf_token()?;
    /// session.login("ada")?;
    /// assert!(session.verify_csrf(&token).is_err(), "who knew the visitor's token doesn't know the member's");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn verify_csrf(&self, token: &str) -> Result<(), Error> {
        if csrf::verifies(&self.0.view().own().csrf, token) { Ok(()) } else { Err(Error::Csrf) }
    }

    /// Checks the token of a request as it came: `header` is the value of [`CSRF_HEADER`](crate::CSRF_HEADER), as scripts send
    /// it; without one it is looked for in the field [`CSRF_FIELD`](crate::CSRF_FIELD) of `form`, an
    /// `application/x-www-form-urlencoded` body.
    ///
    /// # Errors
    /// As [`Session::verify_csrf`].
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// let token = session.csrf_token()?;
    /// assert!(session.verify_csrf_of(Some(token.as_bytes()), b"").is_ok());
    /// assert!(session.verify_csrf_of(None, format!("name=ada&csrf_token={token}").as_bytes()).is_ok());
    /// assert!(session.verify_csrf_of(None, b"name=ada").is_err());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn verify_csrf_of(&self, header: Option<&[u8]>, form: &[u8]) -> Result<(), Error> {
        let token = match header {
            Some(header) => std::str::from_utf8(header).ok(),
            None => csrf::in_form(form),
        };
        self.verify_csrf(token.ok_or(Error::Csrf)?)
    }
}

/// Life.
impl Session {
    /// Gives the session a new id, its data kept; the old id is dead in the same instant. `login` does this too.
    ///
    /// # Errors
    /// [`Error::Closed`] after the response.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// session.insert("n", 1)?;
    /// session.renew()?;
    /// assert!(session.contains("n"));
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn renew(&self) -> Result<(), Error> {
        self.0.renew()
    }

    /// Lets this one session live for `lifetime` from now, used or not, and its cookie outlive the browser's windows: "remember
    /// me". It stays so in all later requests, until a login starts the usual limits. At most
    /// [`remember_at_most`](crate::SessionManagerBuilder::remember_at_most), 30 days unless you say otherwise; a browser keeps a
    /// cookie for 400 days at most.
    ///
    /// # Errors
    /// [`Error::Closed`] after the response.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # use std::time::Duration;
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// session.login("ada")?;
    /// session.remember(Duration::from_secs(30 * 24 * 3600))?;
    /// session.save().await?;
    /// assert!(session.expires() > session.created() + Duration::from_secs(29 * 24 * 3600));
    /// # Ok::<(), session_core::Error>(()) })?; Ok::<(), session_core::Error>(())
    /// ```
    pub fn remember(&self, lifetime: Duration) -> Result<(), Error> {
        self.0.change(Change::Remember(lifetime.min(self.0.machine().policy.remember_at_most)))
    }

    /// Ends the session, in the store and in the browser, even if the handler fails or its client leaves. What is
    /// written afterwards goes into a new session under a new id.
    ///
    /// # Errors
    /// [`Error::Closed`] after the response.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// session.insert("n", 1)?;
    /// session.destroy()?;
    /// assert!(session.is_empty() && session.is_new());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn destroy(&self) -> Result<(), Error> {
        self.0.destroy()
    }

    /// Forgets this request's changes since the last `save`, a renewal and a login among them. A `destroy` stands.
    ///
    /// # Errors
    /// [`Error::Closed`] after the response.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// session.insert("n", 1)?;
    /// session.discard()?;
    /// assert!(session.is_empty());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn discard(&self) -> Result<(), Error> {
        self.0.discard()
    }

    /// Stores the changes now instead of after the response: for handlers that go on for long, or that must know the
    /// result. A cookie that is due still goes out with the response. Afterwards the session shows what is stored,
    /// other requests' changes included.
    ///
    /// # Errors
    /// [`Error::Gone`] if the session ended meanwhile, [`Error::Store`] if its store failed, [`Error::Conflict`],
    /// [`Error::TooLarge`]. The changes are then dropped, never tried again behind your back. If the future is
    /// dropped, they may or may not be stored.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let store = MemoryStore::new();
    /// # let session = SessionManager::stored(store.clone(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// session.insert("n", 1)?;
    /// session.save().await?;
    /// assert_eq!(store.live(), 1);
    /// assert!(!session.is_new());
    /// # Ok::<(), session_core::Error>(()) })?; Ok::<(), session_core::Error>(())
    /// ```
    pub async fn save(&self) -> Result<(), Error> {
        SyncFuture::new(self.0.save()).await
    }

    /// Whether this visitor had no session, or has just ended it.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// assert!(session.is_new());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.0.is_new()
    }

    /// When the session was created; now, if it is new.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// assert!(session.created() <= std::time::SystemTime::now());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn created(&self) -> SystemTime {
        self.0.times().created.into()
    }

    /// When it was last used before this request, to the precision with which its idle deadline is moved.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// assert!(session.seen() >= session.created());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn seen(&self) -> SystemTime {
        self.0.times().seen.into()
    }

    /// When it ends if it isn't used again.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// assert!(session.expires() > session.created());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn expires(&self) -> SystemTime {
        self.0.times().expires.into()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("is_new", &self.is_new()).field("values", &self.len()).finish_non_exhaustive()
    }
}

fn write(key: &str, value: impl Serialize) -> Result<String, Error> {
    serde_json::to_string(&value).map_err(|_| Error::NotSerializable { key: key.to_owned() })
}

/// The driver's own words would quote the value, so the error names types only.
pub(crate) fn read<T: DeserializeOwned>(key: &str, json: &str) -> Result<T, Error> {
    serde_json::from_str(json).map_err(|_| Error::WrongType {
        key: key.to_owned(),
        expected: type_name::<T>(),
        found: kind(json),
    })
}

pub(crate) fn kind(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'n') => "null",
        Some(b't' | b'f') => "a boolean",
        Some(b'"') => "a string",
        Some(b'[') => "an array",
        Some(b'{') => "an object",
        _ => "a number",
    }
}
