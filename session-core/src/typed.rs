//! A session as a struct.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::changes::Change;
use crate::error::Error;
use crate::session::{Session, kind, read};
use crate::values::Values;

/// The session read as a `T`, whose fields are the session's keys: typed and untyped access see the same session, two requests
/// that change different fields both count, and fields that an older or newer program doesn't know are left alone. A field
/// that isn't there has its value from `T::default()`.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use session_core::Typed;
///
/// #[derive(Default, Serialize, Deserialize)]
/// struct Visitor {
///     name: Option<String>,
///     visits: u32,
/// }
///
/// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
/// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
/// let mut visitor: Typed<Visitor> = session.typed()?;
/// assert_eq!(visitor.visits, 0);
/// visitor.update(|visitor| visitor.visits += 1)?;
/// assert_eq!(visitor.visits, 1);
/// assert_eq!(session.get("visits")?, Some(1));
/// assert!(!session.contains("name"), "what didn't change is not written");
/// # Ok::<(), session_core::Error>(())
/// ```
pub struct Typed<T> {
    session: Session,
    value: T,
}

impl<T: Serialize + DeserializeOwned + Default> Typed<T> {
    /// Reads the session as a `T`.
    ///
    /// # Errors
    /// [`Error::WrongType`] if a field is there that isn't of its type, [`Error::NotSerializable`] if `T` is no struct.
    ///
    /// ```
    /// # use session_core::{Error, KeyRing, MemoryStore, Secret, SessionManager, Typed};
    /// # #[derive(Default, serde::Serialize, serde::Deserialize)]
    /// # struct Visitor { visits: u32 }
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// session.insert("visits", "many")?;
    /// assert!(matches!(Typed::<Visitor>::new(session), Err(Error::WrongType { .. })));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new(session: Session) -> Result<Self, Error> {
        let value = merged(&session.0.values())?;
        Ok(Self { session, value })
    }

    /// Changes the struct; of its fields those that then differ are written. As with [`Session::update`], `change` runs again if
    /// another request changed the session meanwhile, so it should depend on nothing else and do nothing else.
    ///
    /// # Errors
    /// As [`Typed::new`], and [`Error::Closed`] after the response.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # #[derive(Default, serde::Serialize, serde::Deserialize)]
    /// # struct Visitor { visits: u32 }
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// let mut visitor = session.typed::<Visitor>()?;
    /// visitor.update(|visitor| visitor.visits = 7)?;
    /// assert_eq!(session.typed::<Visitor>()?.visits, 7);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn update(&mut self, change: impl Fn(&mut T) + Send + Sync + 'static) -> Result<(), Error> {
        let merge = move |values: &Values| {
            let mut value: T = merged(values)?;
            let before = fields(&value)?;
            change(&mut value);
            let after = fields(&value)?;
            // What isn't written any more is gone.
            let gone = before.keys().filter(|key| !after.contains_key(*key)).map(|key| (key.clone(), None));
            let gone: Vec<_> = gone.collect();
            let changed = after.into_iter().filter(|(key, value)| before.get(key) != Some(value));
            Ok(changed.map(|(key, value)| (key, Some(value.to_string()))).chain(gone).collect())
        };
        let view = self.session.0.change_with(&Change::Merge(Arc::new(merge)))?;
        self.value = merged(view.values())?;
        Ok(())
    }

    /// The session itself.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # #[derive(Default, serde::Serialize, serde::Deserialize)]
    /// # struct Visitor { visits: u32 }
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// assert!(session.typed::<Visitor>()?.session().is_new());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub const fn session(&self) -> &Session {
        &self.session
    }
}

impl Session {
    /// Reads the session as a struct; see [`Typed`].
    ///
    /// # Errors
    /// As [`Typed::new`].
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # #[derive(Default, serde::Serialize, serde::Deserialize)]
    /// # struct Visitor { visits: u32 }
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// assert_eq!(session.typed::<Visitor>()?.visits, 0);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn typed<T: Serialize + DeserializeOwned + Default>(&self) -> Result<Typed<T>, Error> {
        Typed::new(self.clone())
    }
}

/// The defaults, with what is there in their places. Each field is read by itself, so that an error names it.
fn merged<T: Serialize + DeserializeOwned + Default>(values: &Values) -> Result<T, Error> {
    let mut fields = fields(&T::default())?;
    // What a default leaves out may be there all the same.
    for (key, json) in values.iter() {
        fields.insert(key.to_owned(), read(key, json)?);
    }
    T::deserialize(Value::Object(fields)).map_err(|_| wrong_field::<T>(values))
}

/// Which of the values it is that doesn't fit: the first one without which the rest does.
fn wrong_field<T: Serialize + DeserializeOwned + Default>(values: &Values) -> Error {
    let defaults = fields(&T::default()).unwrap_or_default();
    for (key, json) in values.iter() {
        let mut one = defaults.clone();
        one.extend(values.get(key).map(|value| (key.to_owned(), value)));
        if T::deserialize(Value::Object(one)).is_err() {
            return Error::WrongType { key: key.to_owned(), expected: std::any::type_name::<T>(), found: kind(json) };
        }
    }
    Error::NotSerializable { key: std::any::type_name::<T>().to_owned() }
}

fn fields<T: Serialize>(value: &T) -> Result<Map<String, Value>, Error> {
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => Ok(fields),
        _ => Err(Error::NotSerializable { key: std::any::type_name::<T>().to_owned() }),
    }
}

impl<T> Deref for Typed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> fmt::Debug for Typed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Typed").field("session", &self.session).finish_non_exhaustive()
    }
}
