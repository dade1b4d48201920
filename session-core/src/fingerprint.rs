//! A name for a session in logs and counters that leads nobody to the session.

use std::fmt;

use crate::crypto::Mac;
use crate::id::StoreKey;
use crate::key::KeyRing;

/// Names a session in logs, so that its events can be found again: 64 bits of an HMAC-SHA-256 under a key derived from the
/// current secret, shown as 16 hexadecimal digits. Who has the secret computes the same at every node and after every
/// restart; who has only the cookie, the id or the store can't compute it, and nobody can go back from it (OWASP session
/// management: log a salted hash, never the id). It isn't unique: among a million sessions two share one by a chance of 1 in
/// 37 million. Another current secret gives other fingerprints.
///
/// ```
/// use session_core::{Event, Fingerprint, Happening, KeyRing, MemoryStore, Observer, Secret, SessionManager};
/// use std::sync::{Arc, Mutex};
///
/// #[derive(Default)]
/// struct Log(Mutex<Vec<Option<Fingerprint>>>);
/// impl Observer for Log {
///     fn observe(&self, happening: &Happening<'_>) {
///         self.0.lock().unwrap().push(happening.fingerprint());
///     }
/// }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let log = Arc::new(Log::default());
/// let builder = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?));
/// let session = builder.observer(Arc::clone(&log)).build().unwrap().begin();
/// session.insert("n", 1)?;
/// session.save().await?;
/// let fingerprint = log.0.lock().unwrap()[0].unwrap();
/// assert_eq!(fingerprint.to_string().len(), 16);
/// # Ok::<(), session_core::Error>(()) })?; Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(u64);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// Makes the fingerprints of one manager.
#[derive(Debug)]
pub(crate) struct Fingerprints(Mac);

impl Fingerprints {
    pub(crate) fn new(ring: &KeyRing) -> Self {
        Self(Mac::new(&ring.current().derive("fingerprint")))
    }

    /// Of what a store knows the session by, so that an administrator's handle leads to the same one as the visitor's cookie.
    pub(crate) fn of(&self, key: &StoreKey) -> Fingerprint {
        let tag = self.0.clone().with(key.as_bytes()).tag();
        Fingerprint(tag.iter().take(8).fold(0, |bits, byte| bits << 8 | u64::from(*byte)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "8f1c5a09b7e34d62a0c9f8371be245d6013a7c4f9e82b56d70e1d3c4a5968b2f";
    const OTHER: &str = "c0ffee11223344556677889900aabbccddeeff0123456789abcdef9876543210";

    fn of(ring: &str) -> Fingerprint {
        Fingerprints::new(&KeyRing::parse(ring).unwrap()).of(&StoreKey::from_bytes([7; 32]))
    }

    #[test]
    fn a_fingerprint_is_the_same_as_long_as_the_current_secret_is() {
        // Computed once by hand: HKDF-SHA-256 for the key, HMAC-SHA-256 of 32 bytes of 7, its first eight bytes.
        assert_eq!(of(SECRET).to_string(), "4d46fd0b6402e6b1");
        assert_eq!(of(SECRET), of(&format!("{SECRET},{OTHER}")));
        assert_ne!(of(SECRET), of(OTHER));
    }

    #[test]
    fn every_fingerprint_has_sixteen_digits() {
        assert_eq!(Fingerprint(10).to_string(), "000000000000000a");
        assert_eq!(format!("{:?}", Fingerprint(10)), "Fingerprint(000000000000000a)");
    }
}
