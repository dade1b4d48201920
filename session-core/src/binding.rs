//! The browser that a session is bound to: a hash of what it calls itself.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::crypto::Mac;
use crate::error::Error;
use crate::head::RequestHead;
use crate::key::{KEY_ID_LENGTH, KeyRing};
use crate::random::Random;

const SALT_LENGTH: usize = 16;

/// What becomes of a request that comes with a session and another `User-Agent` than the session was begun or last logged
/// in with. It detects careless thieves only: whoever copies a cookie can copy that header too (OWASP Session Management
/// Cheat Sheet, "Binding the session ID to other user properties"). Addresses are never looked at, forwarded ones least of all.
///
/// ```
/// use session_core::{KeyRing, MemoryStore, Secret, SessionManager, UserAgentBinding};
///
/// let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?))
///     .bind_user_agent(UserAgentBinding::Observe)
///     .build();
/// assert!(manager.is_ok());
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserAgentBinding {
    /// The event [`Event::BindingMismatch`](crate::Event::BindingMismatch), and nothing else.
    Observe,
    /// The same event, and the request is anonymous. The session lives on for who has its own browser; a browser that was
    /// updated has to log in again.
    Reject,
}

/// What a request says of its browser, where a manager wants to know.
pub(crate) type Agent = Option<Arc<[u8]>>;

/// Makes and checks the marks that sessions carry. A mark is base64url of a key id (4), a salt (16) and the
/// HMAC-SHA-256 (32) of salt and header: a session that everybody can read doesn't tell whose browser it wants to see.
pub(crate) struct Binding {
    mode: UserAgentBinding,
    /// The current key first.
    keys: Vec<([u8; KEY_ID_LENGTH], Mac)>,
}

impl Binding {
    pub(crate) fn new(mode: UserAgentBinding, ring: &KeyRing) -> Self {
        let keys = ring.secrets().map(|secret| (secret.id(), Mac::new(&secret.derive("user agent")))).collect();
        Self { mode, keys }
    }

    pub(crate) const fn rejects(&self) -> bool {
        matches!(self.mode, UserAgentBinding::Reject)
    }

    /// All lines, for there may be several or none.
    pub(crate) fn agent(head: &impl RequestHead) -> Arc<[u8]> {
        let mut lines = Vec::new();
        head.each("user-agent", &mut |line| lines.push(line.to_vec()));
        lines.join(&b'\n').into()
    }

    pub(crate) fn mark(&self, agent: &[u8], random: &dyn Random) -> Result<String, Error> {
        let (id, mac) = self.keys.first().expect("a ring has a current secret");
        let mut salt = [0; SALT_LENGTH];
        random.fill(&mut salt).map_err(Error::random)?;
        let tag = mac.clone().with(&salt).with(agent).tag();
        Ok(URL_SAFE_NO_PAD.encode([&id[..], &salt, &tag].concat()))
    }

    /// Whether the session's mark is another browser's. What can't be judged, because it was made under a secret that is
    /// gone, is not held against anybody.
    pub(crate) fn contradicts(&self, mark: &str, agent: &[u8]) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(mark) else { return false };
        let Some((id, rest)) = bytes.split_first_chunk::<KEY_ID_LENGTH>() else { return false };
        let Some((salt, tag)) = rest.split_first_chunk::<SALT_LENGTH>() else { return false };
        let key = self.keys.iter().find(|(other, _)| other == id);
        key.is_some_and(|(_, mac)| !mac.clone().with(salt).with(agent).verifies(tag))
    }
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.mode.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Secret;
    use crate::random::OsRandom;

    fn binding(ring: &KeyRing) -> Binding {
        Binding::new(UserAgentBinding::Reject, ring)
    }

    #[test]
    fn a_mark_is_of_one_browser_and_differs_each_time() {
        let ring = KeyRing::new(Secret::random().unwrap());
        let binding = binding(&ring);
        let mark = binding.mark(b"Firefox", &OsRandom).unwrap();
        assert_ne!(mark, binding.mark(b"Firefox", &OsRandom).unwrap());
        assert!(!mark.contains("Firefox") && mark.len() == 70);
        assert!(!binding.contradicts(&mark, b"Firefox"));
        for other in [&b"firefox"[..], b"Firefo", b"Firefox ", b""] {
            assert!(binding.contradicts(&mark, other));
        }
        let without = binding.mark(b"", &OsRandom).unwrap();
        assert!(binding.contradicts(&without, b"Firefox") && !binding.contradicts(&without, b""));
    }

    #[test]
    fn a_mark_outlives_the_rotation_of_secrets_and_not_the_secret_itself() {
        let (old, new) = (Secret::random().unwrap(), Secret::random().unwrap());
        let mark = binding(&KeyRing::new(old.clone())).mark(b"Firefox", &OsRandom).unwrap();
        let rotated = binding(&KeyRing::new(new.clone()).retired(old));
        assert!(!rotated.contradicts(&mark, b"Firefox") && rotated.contradicts(&mark, b"Chrome"));
        assert!(!binding(&KeyRing::new(new)).contradicts(&mark, b"Chrome"), "nobody can tell any more");
    }

    #[test]
    fn what_is_no_mark_holds_nothing_against_anybody() {
        let binding = binding(&KeyRing::new(Secret::random().unwrap()));
        for mark in ["", "?", "AAAA", &"A".repeat(70)] {
            assert!(!binding.contradicts(mark, b"Firefox"), "{mark}");
        }
    }
}
