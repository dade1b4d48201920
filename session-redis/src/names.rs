//! What the keys on the server are called.

use std::sync::Arc;

use session_core::{StoreError, StoreKey};

/// Redis Cluster gives the part between braces a meaning, so these two are kept for us: whatever the prefix is, no two of the
/// names below are the same.
const LONGEST: usize = 64;

#[derive(Clone)]
pub(crate) struct Names(Arc<str>);

#[derive(Debug, thiserror::Error)]
#[error("it has 1 to {LONGEST} printable ASCII characters and neither a space nor a brace; choose another one")]
struct NoPrefix;

impl Names {
    pub(crate) fn new(prefix: &str) -> Result<Self, StoreError> {
        let sound = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'{' | b'}');
        if prefix.is_empty() || prefix.len() > LONGEST || !prefix.bytes().all(sound) {
            return Err(StoreError::new("setting the prefix", NoPrefix));
        }
        Ok(Self(prefix.into()))
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.0
    }

    /// A hash: the session's fields, and the record as JSON.
    pub(crate) fn session(&self, hex: &str) -> String {
        format!("{}:{hex}", self.0)
    }

    /// A sorted set: the keys of a subject's sessions by the time of their creation.
    pub(crate) fn index(&self, subject: &str) -> String {
        format!("{}:{{of:{subject}}}", self.0)
    }

    /// The moment at which it was revoked.
    pub(crate) fn revocation(&self, hex: &str) -> String {
        format!("{}:{{{hex}}}:revoked", self.0)
    }

    /// The moment up to which everything of a subject is revoked.
    pub(crate) fn revocation_of(&self, subject: &str) -> String {
        format!("{}:{{of:{subject}}}:revoked", self.0)
    }

    /// Which session a name on the server is of.
    pub(crate) fn key_of(&self, name: &[u8]) -> Option<StoreKey> {
        let hex = name.strip_prefix(self.0.as_bytes())?.strip_prefix(b":")?;
        key(std::str::from_utf8(hex).ok()?)
    }
}

impl Default for Names {
    fn default() -> Self {
        Self("session".into())
    }
}

/// The key that was written as these 64 digits.
pub(crate) fn key(hex: &str) -> Option<StoreKey> {
    let mut bytes = [0; 32];
    let digits = hex.as_bytes();
    if digits.len() != 64 || !digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(StoreKey::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_from_its_name_and_from_no_other() {
        let (names, of) = (Names::new("shop:session").unwrap(), StoreKey::from_bytes([0xab; 32]));
        let name = names.session(&of.to_hex());
        assert_eq!(names.key_of(name.as_bytes()), Some(of));
        for other in [
            format!("{name}0"),
            name.replace("ab", "AB"),
            name.replace("ab", "+b"),
            name.replace("shop", "chop"),
            names.index("ada"),
            names.revocation(&of.to_hex()),
            "shop:session".to_owned(),
        ] {
            assert_eq!(names.key_of(other.as_bytes()), None, "{other}");
        }
        assert_eq!(names.key_of(b"shop:session:\xff"), None);
    }

    #[test]
    fn a_prefix_that_means_something_to_a_cluster_is_refused() {
        for bad in ["", "a b", "{a}", "a}", "é", "a\n", "a\0", &"a".repeat(65)] {
            let refused = Names::new(bad).err().unwrap();
            assert_eq!(refused.to_string(), "setting the prefix failed", "{bad:?}");
        }
        for good in ["a", "shop:session", "s_1.v-2/x", &"a".repeat(64)] {
            assert_eq!(Names::new(good).unwrap().prefix(), good);
        }
    }
}
