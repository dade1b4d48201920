//! What a store can be asked for, by name.

use std::error::Error as StdError;

use crate::error::StoreError;

/// What a store can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verb {
    /// [`SessionStore::load`](crate::SessionStore::load) and [`SessionStore::find`](crate::SessionStore::find).
    Load,
    /// [`SessionStore::create`](crate::SessionStore::create).
    Create,
    /// [`SessionStore::update`](crate::SessionStore::update).
    Update,
    /// [`SessionStore::touch`](crate::SessionStore::touch).
    Touch,
    /// [`SessionStore::rename`](crate::SessionStore::rename).
    Rename,
    /// [`SessionStore::delete`](crate::SessionStore::delete).
    Delete,
    /// [`SessionStore::sessions_of`](crate::SessionStore::sessions_of).
    SessionsOf,
    /// [`SessionStore::delete_one_of`](crate::SessionStore::delete_one_of).
    DeleteOneOf,
    /// [`SessionStore::delete_all_of`](crate::SessionStore::delete_all_of).
    DeleteAllOf,
    /// [`SessionStore::sweep`](crate::SessionStore::sweep).
    Sweep,
    /// [`SessionStore::revoke`](crate::SessionStore::revoke).
    Revoke,
    /// [`SessionStore::revoke_all_of`](crate::SessionStore::revoke_all_of).
    RevokeAllOf,
    /// [`SessionStore::is_revoked`](crate::SessionStore::is_revoked).
    IsRevoked,
}

impl Verb {
    /// All of them, in the order of the trait: `verb as usize` is a verb's place.
    ///
    /// ```
    /// # use session_core::Verb;
    /// assert!(Verb::ALL.iter().enumerate().all(|(place, verb)| *verb as usize == place));
    /// ```
    pub const ALL: [Self; 13] = [
        Self::Load,
        Self::Create,
        Self::Update,
        Self::Touch,
        Self::Rename,
        Self::Delete,
        Self::SessionsOf,
        Self::DeleteOneOf,
        Self::DeleteAllOf,
        Self::Sweep,
        Self::Revoke,
        Self::RevokeAllOf,
        Self::IsRevoked,
    ];

    /// The name of the method.
    ///
    /// ```
    /// # use session_core::Verb;
    /// assert_eq!(Verb::DeleteAllOf.name(), "delete_all_of");
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Create => "create",
            Self::Update => "update",
            Self::Touch => "touch",
            Self::Rename => "rename",
            Self::Delete => "delete",
            Self::SessionsOf => "sessions_of",
            Self::DeleteOneOf => "delete_one_of",
            Self::DeleteAllOf => "delete_all_of",
            Self::Sweep => "sweep",
            Self::Revoke => "revoke",
            Self::RevokeAllOf => "revoke_all_of",
            Self::IsRevoked => "is_revoked",
        }
    }

    /// The error of a store that was doing this; `source` is the driver's own.
    ///
    /// ```
    /// # use session_core::Verb;
    /// assert_eq!(Verb::Load.failed("connection refused").to_string(), "loading a session failed");
    /// ```
    pub fn failed(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> StoreError {
        StoreError::new(
            match self {
                Self::Load => "loading a session",
                Self::Create => "creating a session",
                Self::Update => "updating a session",
                Self::Touch => "touching a session",
                Self::Rename => "renaming a session",
                Self::Delete => "deleting a session",
                Self::SessionsOf => "listing a subject's sessions",
                Self::DeleteOneOf => "deleting a subject's session",
                Self::DeleteAllOf => "deleting a subject's sessions",
                Self::Sweep => "sweeping the sessions",
                Self::Revoke => "revoking a session",
                Self::RevokeAllOf => "revoking a subject's sessions",
                Self::IsRevoked => "asking for a revocation",
            },
            source,
        )
    }
}
