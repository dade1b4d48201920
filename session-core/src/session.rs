//! The session as a handler sees it: in memory, synchronous, changes kept beside what was loaded.

use std::any::type_name;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::changes::Change;
use crate::close::exclusive;
use crate::commit::Machine;
use crate::error::Error;
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
    pub(crate) fn new(machine: Arc<Machine>, base: Option<Base>) -> Self {
        Self(Arc::new(Shared::new(machine, base)))
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
        let values = self.0.values();
        values.get(key).map(|value| read(key, value)).transpose()
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
        let value = write(&key, value)?;
        self.0.change(Change::Insert(key, value))
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
            move |value: Option<&Value>| {
                let mut value: T = value.map_or_else(|| Ok(T::default()), |value| read(&key, value))?;
                change(&mut value);
                write(&key, value)
            }
        };
        let change = Change::Update(key.clone(), Arc::new(apply));
        let view = self.0.change_with(&change)?;
        view.values().get(&key).map_or_else(|| Ok(T::default()), |value| read(&key, value))
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
        self.0.values().keys().cloned().collect()
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
        self.0.subject()
    }

    /// Makes this the session of `subject`, whom you have just authenticated. It gets a new id, in the same store operation,
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
    pub fn login(&self, subject: impl Into<String>) -> Result<(), Error> {
        self.0.change(Change::Login(subject.into()))
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
        exclusive(self.0.save()).await
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

fn write(key: &str, value: impl Serialize) -> Result<Value, Error> {
    serde_json::to_value(value).map_err(|_| Error::NotSerializable { key: key.to_owned() })
}

/// The driver's own words would quote the value, so the error names types only.
fn read<T: DeserializeOwned>(key: &str, value: &Value) -> Result<T, Error> {
    T::deserialize(value).map_err(|_| Error::WrongType {
        key: key.to_owned(),
        expected: type_name::<T>(),
        found: kind(value),
    })
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
