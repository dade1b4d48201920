//! A proof of who somebody is.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// Somebody who has just proved who they are: what [`Session::login`](crate::Session::login) takes. A text is a subject without a stamp.
///
/// ```
/// use session_core::Login;
///
/// let login = Login::new("ada").stamp("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA");
/// assert_eq!(format!("{login:?}"), "Login(…)");
/// ```
#[derive(Clone)]
pub struct Login {
    pub(crate) subject: Arc<str>,
    pub(crate) stamp: Option<String>,
}

impl Login {
    /// A login of `subject`, as the application names its users.
    ///
    /// ```
    /// # use session_core::{KeyRing, Login, MemoryStore, Secret, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// session.login(Login::new("ada"))?;
    /// assert_eq!(session.subject().as_deref(), Some("ada"));
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn new(subject: impl Into<String>) -> Self {
        Self { subject: subject.into().into(), stamp: None }
    }

    /// What the login rests on: the stored hash of the password, or anything that changes when the credential does. The
    /// session keeps a SHA-256 of it, so that [`Session::require_stamp`](crate::Session::require_stamp) can tell when it has changed.
    ///
    /// ```
    /// # use session_core::{KeyRing, Login, MemoryStore, Secret, SessionManager};
    /// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
    /// session.login(Login::new("ada").stamp("hash 1"))?;
    /// assert!(session.require_stamp("hash 1")?);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn stamp(self, credential: impl AsRef<[u8]>) -> Self {
        let stamp = Some(stamp(&self.subject, credential.as_ref()));
        Self { stamp, ..self }
    }
}

/// Two people with one password have different stamps.
pub(crate) fn stamp(subject: &str, credential: &[u8]) -> String {
    let hash = Sha256::new()
        .chain_update(b"session-core stamp")
        .chain_update((subject.len() as u64).to_be_bytes())
        .chain_update(subject)
        .chain_update(credential);
    URL_SAFE_NO_PAD.encode(hash.finalize())
}

impl From<&str> for Login {
    fn from(subject: &str) -> Self {
        Self::new(subject)
    }
}

impl From<&String> for Login {
    fn from(subject: &String) -> Self {
        Self::new(subject)
    }
}

impl From<String> for Login {
    fn from(subject: String) -> Self {
        Self::new(subject)
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(…)")
    }
}
