//! Names of values together with their types.

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::session::Session;

/// The name and the type of a value in sessions, said once: as a constant it keeps who writes and who reads in step, and
/// another type doesn't compile.
///
/// ```
/// use session_core::SessionKey;
///
/// const CART: SessionKey<Vec<String>> = SessionKey::new("cart");
///
/// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
/// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
/// CART.update(&session, |cart| cart.push("tea".to_owned()))?;
/// assert_eq!(CART.get(&session)?.unwrap(), ["tea"]);
/// assert_eq!(session.keys(), ["cart"]);
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// ```compile_fail
/// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager, SessionKey};
/// # const CART: SessionKey<Vec<String>> = SessionKey::new("cart");
/// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
/// CART.insert(&session, &7)?;
/// # Ok::<(), session_core::Error>(())
/// ```
pub struct SessionKey<T> {
    name: &'static str,
    value: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> SessionKey<T> {
    /// Names a value. The name is the session's key for it, so typed and untyped access see the same value.
    ///
    /// ```
    /// # use session_core::SessionKey;
    /// const THEME: SessionKey<String> = SessionKey::new("theme");
    /// assert_eq!(THEME.name(), "theme");
    /// ```
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, value: PhantomData }
    }

    /// The session's key.
    ///
    /// ```
    /// # use session_core::SessionKey;
    /// assert_eq!(SessionKey::<u64>::new("visits").name(), "visits");
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// The value: [`Session::get`].
    ///
    /// # Errors
    /// [`Error::WrongType`] if something else is there, which only untyped access can have put there.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionKey, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// const THEME: SessionKey<String> = SessionKey::new("theme");
    /// assert_eq!(THEME.get(&session)?, None);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn get(self, session: &Session) -> Result<Option<T>, Error> {
        session.get(self.name)
    }

    /// Writes the value: [`Session::insert`].
    ///
    /// # Errors
    /// [`Error::NotSerializable`], and [`Error::Closed`] after the response.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionKey, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// const THEME: SessionKey<String> = SessionKey::new("theme");
    /// THEME.insert(&session, &"dark".to_owned())?;
    /// assert_eq!(THEME.get(&session)?.as_deref(), Some("dark"));
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn insert(self, session: &Session, value: &T) -> Result<(), Error> {
        session.insert(self.name, value)
    }

    /// Changes the value in a way that survives concurrent requests: [`Session::update`].
    ///
    /// # Errors
    /// As [`SessionKey::get`] and [`SessionKey::insert`].
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionKey, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// const VISITS: SessionKey<u64> = SessionKey::new("visits");
    /// assert_eq!(VISITS.update(&session, |visits| *visits += 1)?, 1);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn update(self, session: &Session, change: impl Fn(&mut T) + Send + Sync + 'static) -> Result<T, Error>
    where
        T: Default,
    {
        session.update(self.name, change)
    }

    /// Removes the value and returns it: [`Session::take`].
    ///
    /// # Errors
    /// As [`SessionKey::get`], and [`Error::Closed`] after the response.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionKey, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// const RETURN_TO: SessionKey<String> = SessionKey::new("return_to");
    /// RETURN_TO.insert(&session, &"/cart".to_owned())?;
    /// assert_eq!(RETURN_TO.take(&session)?.as_deref(), Some("/cart"));
    /// assert_eq!(RETURN_TO.take(&session)?, None);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn take(self, session: &Session) -> Result<Option<T>, Error> {
        session.take(self.name)
    }
}

impl<T> Clone for SessionKey<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for SessionKey<T> {}

impl<T> fmt::Debug for SessionKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SessionKey").field(&self.name).finish()
    }
}
