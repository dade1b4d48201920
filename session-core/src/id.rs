//! The secret a browser holds, and the hash of it that a store may see.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::random::Random;

/// 256 random bits that are the session. Only this crate makes one, only from a generator or from a
/// token it authenticated itself, and it never prints.
#[derive(Clone)]
pub(crate) struct SessionId([u8; Self::LENGTH]);

impl SessionId {
    pub(crate) const LENGTH: usize = 32;

    /// OWASP ASVS 5.0, 7.2.3 asks for 128 bits; we draw 256.
    pub(crate) fn random(random: &dyn Random) -> Result<Self, Error> {
        let mut bytes = [0; Self::LENGTH];
        random.fill(&mut bytes).map_err(Error::random)?;
        Ok(Self::from_verified(bytes))
    }

    /// An id that came back in a token whose authenticity has been checked.
    pub(crate) const fn from_verified(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    pub(crate) fn store_key(&self) -> StoreKey {
        StoreKey(Sha256::digest(self.0).into())
    }

    /// The key of all that comes of this session by renewals, as long as it is in cookies: another one than its own, so
    /// that a renewal can revoke the one and a logout the other.
    pub(crate) fn descent_key(&self) -> StoreKey {
        StoreKey(Sha256::digest(self.store_key().0).into())
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(…)")
    }
}

/// What a store knows a session by: the SHA-256 of its id. Nobody can turn it back into a cookie, so a
/// stolen store gives no sessions away, and looking it up leaks nothing by its timing.
///
/// ```
/// use session_core::StoreKey;
///
/// let key = StoreKey::from_bytes([7; 32]);
/// assert_eq!(key.as_bytes(), &[7; 32]);
/// assert!(key.to_hex().starts_with("0707"));
/// assert_eq!(format!("{key:?}"), "StoreKey(…)");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreKey([u8; 32]);

impl StoreKey {
    /// A key as a store wrote it down; also how a test of a store makes one.
    ///
    /// ```
    /// # use session_core::StoreKey;
    /// assert_eq!(StoreKey::from_bytes([0; 32]), StoreKey::from_bytes([0; 32]));
    /// ```
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes, uniformly distributed: a store may shard by any of them.
    ///
    /// ```
    /// # use session_core::StoreKey;
    /// assert_eq!(StoreKey::from_bytes([1; 32]).as_bytes()[0], 1);
    /// ```
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 lowercase hexadecimal digits, for stores whose keys are text.
    ///
    /// ```
    /// # use session_core::StoreKey;
    /// assert_eq!(StoreKey::from_bytes([0xab; 32]).to_hex(), "ab".repeat(32));
    /// ```
    #[must_use]
    pub fn to_hex(&self) -> String {
        use fmt::Write as _;
        self.0.iter().fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a String can't fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::OsRandom;

    #[test]
    fn ids_differ_and_their_keys_are_not_the_ids() {
        let a = SessionId::random(&OsRandom).unwrap();
        let b = SessionId::random(&OsRandom).unwrap();
        assert_ne!(a.as_bytes(), b.as_bytes());
        assert_ne!(a.store_key().as_bytes(), a.as_bytes());
    }

    #[test]
    fn the_store_key_is_sha_256_of_the_id() {
        // NIST FIPS 180-4 example for 32 zero bytes, as printed by `head -c 32 /dev/zero | sha256sum`.
        let key = SessionId::from_verified([0; 32]).store_key();
        assert_eq!(key.to_hex(), "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925");
    }

    #[test]
    fn a_generator_that_fails_makes_no_id() {
        struct Dry;
        impl Random for Dry {
            fn fill(&self, _: &mut [u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
                Err("no entropy".into())
            }
        }
        assert!(matches!(SessionId::random(&Dry), Err(Error::Random(_))));
    }
}
