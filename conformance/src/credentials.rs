//! Changed passwords. The lab keeps no users; this is what an application does when one of its users gets a new password.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use session_core::{Error, Login, Session, SessionManager};

use crate::replies::random_base64;

/// The credentials in force of those whose sessions can't be ended any other way: they are in cookies, and no revocations are
/// kept. Elsewhere a new password ends the older sessions itself, at all labs that share the store.
#[derive(Clone, Default)]
pub struct Credentials(Arc<Mutex<HashMap<String, String>>>);

impl Credentials {
    /// `subject` as somebody who has just shown the credential in force.
    #[must_use]
    pub fn login(&self, subject: String) -> Login {
        match self.in_force(&subject) {
            Some(credential) => Login::new(subject).stamp(credential),
            None => Login::new(subject),
        }
    }

    /// Ends the session if it was made under an older credential.
    ///
    /// # Errors
    /// As [`Session::require_stamp`].
    pub fn check(&self, session: &Session) -> Result<(), Error> {
        if let Some(credential) = session.subject().and_then(|subject| self.in_force(&subject)) {
            session.require_stamp(credential)?;
        }
        Ok(())
    }

    /// Gives `subject` a new credential: all their sessions end, but for the one that asks.
    ///
    /// # Errors
    /// As [`Session::change_stamp`].
    pub async fn change(&self, manager: &SessionManager, session: &Session, subject: String) -> Result<(), Error> {
        let credential = random_base64(24)?;
        let ended = if session.subject().as_ref() == Some(&subject) {
            session.change_stamp(&credential).await
        } else {
            manager.end_all(&subject).await
        };
        match ended {
            Err(Error::NotRevocable) => {
                self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(subject, credential);
                Ok(())
            }
            other => other.map(drop),
        }
    }

    fn in_force(&self, subject: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(subject).cloned()
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(…)")
    }
}
