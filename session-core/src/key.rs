//! Master secrets and the ring they rotate in.

use std::collections::HashSet;
use std::env;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use zeroize::Zeroize;

use crate::crypto;
use crate::error::{ConfigError, Error};
use crate::random::{OsRandom, Random};

const HOW_TO_MAKE_ONE: &str = "make one with `openssl rand -hex 32`";
pub(crate) const KEY_ID_LENGTH: usize = 4;

/// One master secret: at least 32 bytes of randomness, from which a key per purpose is derived. It never prints,
/// and its memory is cleared when it goes.
///
/// ```
/// use session_core::Secret;
///
/// let hexadecimal: String = (0..32).map(|byte| format!("{byte:02x}")).collect();
/// assert!(Secret::parse(&hexadecimal).is_ok());
/// let refused = Secret::parse("correct horse battery staple").unwrap_err();
/// assert!(refused.to_string().contains("openssl rand -hex 32"));
/// ```
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// The shortest secret that is accepted, in bytes.
    pub const MINIMUM: usize = 32;

    /// Reads a secret written in hexadecimal or base64 (either alphabet, padded or not).
    ///
    /// # Errors
    /// If the text is in neither notation, holds fewer than 32 bytes, or doesn't look random. A passphrase is
    /// refused: it has a fraction of the strength its length suggests.
    ///
    /// ```
    /// # use session_core::Secret;
    /// assert!(Secret::parse("too short").is_err());
    /// assert!(Secret::parse(&"00".repeat(32)).is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let refused = |rule: &str| ConfigError::new("secret", rule, HOW_TO_MAKE_ONE);
        let text = text.trim();
        if text.is_empty() {
            return Err(refused("there is none"));
        }
        let secret = Self(
            decode(text)
                .ok_or_else(|| refused("it has to be random bytes in hexadecimal or base64, not a passphrase"))?,
        );
        if secret.0.len() < Self::MINIMUM {
            return Err(refused("it has to be at least 32 bytes long"));
        }
        // 32 random bytes show about 30 different ones.
        if secret.0.iter().collect::<HashSet<_>>().len() < 4 {
            return Err(refused("it repeats itself, so it is not random"));
        }
        Ok(secret)
    }

    /// A new secret from the operating system.
    ///
    /// # Errors
    /// If the operating system has no randomness.
    ///
    /// ```
    /// # use session_core::{KeyRing, Secret};
    /// let ring = KeyRing::new(Secret::random()?);
    /// assert_eq!(format!("{ring:?}"), "KeyRing(1 current, 0 retired)");
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn random() -> Result<Self, Error> {
        let mut bytes = vec![0; Self::MINIMUM];
        OsRandom.fill(&mut bytes).map_err(Error::random)?;
        Ok(Self(bytes))
    }

    /// The key for one purpose.
    pub(crate) fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut key = [0; 32];
        crypto::derive(&self.0, format!("session-core v1 {purpose}").as_bytes(), &mut key);
        key
    }

    /// A public name for this secret, so that a token says which one it wants and none is tried in vain.
    pub(crate) fn id(&self) -> [u8; KEY_ID_LENGTH] {
        let mut id = [0; KEY_ID_LENGTH];
        crypto::derive(&self.0, b"session-core v1 key id", &mut id);
        id
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    if text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return decode_hex(text);
    }
    // Random base64 of this length mixes cases; a lowercase phrase that happens to be base64 doesn't.
    if !(text.bytes().any(|byte| byte.is_ascii_lowercase()) && text.bytes().any(|byte| byte.is_ascii_uppercase())) {
        return None;
    }
    [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].iter().find_map(|engine| engine.decode(text).ok())
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect()
}

/// One current secret that makes tokens, and any number of retired ones that are still accepted. A token under
/// a retired secret is re-issued under the current one, so rotation logs nobody out.
///
/// ```
/// use session_core::{KeyRing, Secret};
///
/// let (old, new) = (Secret::random()?, Secret::random()?);
/// let ring = KeyRing::new(new).retired(old);
/// assert_eq!(format!("{ring:?}"), "KeyRing(1 current, 1 retired)");
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone)]
pub struct KeyRing {
    current: Secret,
    retired: Vec<Secret>,
}

impl KeyRing {
    /// A ring of one secret.
    ///
    /// ```
    /// # use session_core::{KeyRing, Secret};
    /// let ring = KeyRing::new(Secret::random()?);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub const fn new(current: Secret) -> Self {
        Self { current, retired: Vec::new() }
    }

    /// Also accepts tokens made under an earlier secret. Drop it from the ring once the lifetime has passed, or at
    /// once if it became known to somebody: all tokens under it are then dead.
    ///
    /// ```
    /// # use session_core::{KeyRing, Secret};
    /// let ring = KeyRing::new(Secret::random()?).retired(Secret::random()?);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn retired(mut self, secret: Secret) -> Self {
        self.retired.push(secret);
        self
    }

    /// Reads a comma-separated ring: the current secret first, then the retired ones.
    ///
    /// # Errors
    /// As [`Secret::parse`] for each of them, and if two are equal.
    ///
    /// ```
    /// # use session_core::KeyRing;
    /// let secret = |bytes: std::ops::Range<u8>| bytes.map(|byte| format!("{byte:02x}")).collect::<String>();
    /// let (new, old) = (secret(0..32), secret(32..64));
    /// assert!(KeyRing::parse(&format!("{new},{old}")).is_ok());
    /// assert!(KeyRing::parse(&format!("{new},{new}")).is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let secrets = text.split(',').map(Secret::parse).collect::<Result<Vec<_>, _>>()?;
        let ids = secrets.iter().map(Secret::id).collect::<HashSet<_>>();
        if ids.len() < secrets.len() {
            return Err(ConfigError::new(
                "secret",
                "the same one stands in the ring twice",
                "name each secret once, the current one first",
            ));
        }
        let mut secrets = secrets.into_iter();
        let current = secrets.next().ok_or_else(|| ConfigError::new("secret", "there is none", HOW_TO_MAKE_ONE))?;
        Ok(Self { current, retired: secrets.collect() })
    }

    /// Reads the ring from an environment variable, by custom `SESSION_SECRET`.
    ///
    /// # Errors
    /// If the variable is missing or [`KeyRing::parse`] refuses it.
    ///
    /// ```
    /// # use session_core::KeyRing;
    /// let missing = KeyRing::from_env("SESSION_SECRET_OF_NOBODY").unwrap_err();
    /// assert!(missing.to_string().contains("SESSION_SECRET_OF_NOBODY"));
    /// ```
    pub fn from_env(variable: &str) -> Result<Self, ConfigError> {
        match env::var_os(variable) {
            // What is not text is refused as what it is: no secret.
            Some(text) => Self::parse(&text.to_string_lossy()).map_err(|error| error.of(variable)),
            None => Err(ConfigError::new(
                "secret",
                &format!("the environment variable {variable} is not set"),
                HOW_TO_MAKE_ONE,
            )),
        }
    }

    /// As [`KeyRing::from_env`], and a random secret if the variable is missing, with a warning in the log: every
    /// session ends with this process, and a second process doesn't know the sessions of the first.
    ///
    /// # Errors
    /// If the variable is there and refused, or the operating system has no randomness.
    ///
    /// ```
    /// # use session_core::KeyRing;
    /// assert!(KeyRing::from_env_or_random("SESSION_SECRET_OF_NOBODY").is_ok());
    /// ```
    pub fn from_env_or_random(variable: &str) -> Result<Self, ConfigError> {
        if env::var_os(variable).is_some() {
            return Self::from_env(variable);
        }
        tracing::warn!(
            "{variable} is not set, so this process made up a secret: its sessions end with it, and no other process knows them; {HOW_TO_MAKE_ONE}"
        );
        let secret = Secret::random()
            .map_err(|_| ConfigError::new("secret", "the operating system has no randomness", "set the variable"))?;
        Ok(Self::new(secret))
    }

    /// The secret that makes what is new.
    pub(crate) const fn current(&self) -> &Secret {
        &self.current
    }

    /// The secrets, the current one first.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.current).chain(&self.retired)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing(1 current, {} retired)", self.retired.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "8f1c5a09b7e34d62a0c9f8371be245d6013a7c4f9e82b56d70e1d3c4a5968b2f";

    #[test]
    fn hexadecimal_and_base64_of_the_same_bytes_are_the_same_secret() {
        let bytes = decode_hex(HEX).unwrap();
        for text in [
            HEX.to_owned(),
            HEX.to_uppercase(),
            STANDARD.encode(&bytes),
            URL_SAFE_NO_PAD.encode(&bytes),
            format!("  {HEX}\n"),
        ] {
            assert_eq!(Secret::parse(&text).unwrap().0, bytes);
        }
    }

    #[test]
    fn what_is_no_secret_is_refused_with_the_way_to_make_one() {
        let cases = [
            "",
            "   ",
            "a passphrase that is very long indeed, longer than 32 bytes",
            &HEX[..62],
            &HEX[..63],
            &"ab".repeat(32),
            "correcthorsebatterystaplecorrecthorsebatteryabcd",
            "CORRECTHORSEBATTERYSTAPLECORRECTHORSEBATTERYABCD",
        ];
        for text in cases {
            let error = Secret::parse(text).unwrap_err().to_string();
            assert!(error.contains(HOW_TO_MAKE_ONE), "{error}");
            assert!(text.trim().is_empty() || !error.contains(text), "{error}");
        }
    }

    #[test]
    fn purposes_have_different_keys() {
        let secret = Secret::parse(HEX).unwrap();
        let keys = ["reference", "sealed", "signed"].map(|purpose| secret.derive(purpose));
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), 3);
        assert!(keys.iter().all(|key| key.to_vec() != secret.0));
    }

    #[test]
    fn nothing_of_a_secret_prints() {
        let ring = KeyRing::new(Secret::parse(HEX).unwrap());
        assert_eq!(format!("{ring:?} {:?}", ring.current), "KeyRing(1 current, 0 retired) Secret(…)");
    }
}
