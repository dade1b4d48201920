//! Tokens that show that a form came from a page of ours.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::Error;
use crate::random::Random;

/// The header in which a script sends back a [form token](crate::Session::csrf_token).
///
/// ```
/// assert_eq!(session_core::CSRF_HEADER, "x-csrf-token");
/// ```
pub const CSRF_HEADER: &str = "x-csrf-token";

/// The form field in which a page sends back a [form token](crate::Session::csrf_token).
///
/// ```
/// assert_eq!(session_core::CSRF_FIELD, "csrf_token");
/// ```
pub const CSRF_FIELD: &str = "csrf_token";

/// 256 bits, as OWASP's cheat sheet on cross-site request forgery asks for a large random value.
const LENGTH: usize = 32;
/// Requests at once may each make one; so many are kept.
const MOST: usize = 4;

/// What a session's tokens are made of. A token is a fresh random mask and the secret under it, so that the same secret
/// looks different in each response: compressed pages don't leak it (BREACH).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct CsrfSecret([u8; LENGTH]);

impl CsrfSecret {
    pub(crate) fn random(random: &dyn Random) -> Result<Self, Error> {
        let mut bytes = [0; LENGTH];
        random.fill(&mut bytes).map_err(Error::random)?;
        Ok(Self(bytes))
    }

    /// A token for one form.
    pub(crate) fn token(self, random: &dyn Random) -> Result<String, Error> {
        let mask = Self::random(random)?;
        Ok(URL_SAFE_NO_PAD.encode([mask.0, mask.under(self).0].concat()))
    }

    /// The secret that a token was made of.
    fn of(token: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (mask, masked) = bytes.split_first_chunk::<LENGTH>()?;
        Some(Self(*mask).under(Self(masked.try_into().ok()?)))
    }

    /// Masks and unmasks.
    fn under(self, other: Self) -> Self {
        let mut bytes = self.0;
        bytes.iter_mut().zip(other.0).for_each(|(byte, other)| *byte ^= other);
        Self(bytes)
    }

    /// In a time that doesn't depend on where they differ.
    fn is(self, other: Self) -> bool {
        self.under(other).0.into_iter().fold(0, std::ops::BitOr::bitor) == 0
    }
}

/// Whether `token` was made of one of `secrets`.
pub(crate) fn verifies(secrets: &[CsrfSecret], token: &str) -> bool {
    CsrfSecret::of(token).is_some_and(|made_of| secrets.iter().any(|secret| secret.is(made_of)))
}

/// The token in an `application/x-www-form-urlencoded` body. All its characters are such that no browser encodes them (URL
/// Standard, 5.2), and neither are those of the field's name.
pub(crate) fn in_form(body: &[u8]) -> Option<&str> {
    let mut fields = body.split(|byte| *byte == b'&');
    let token = fields.find_map(|field| field.strip_prefix(CSRF_FIELD.as_bytes())?.strip_prefix(b"="))?;
    std::str::from_utf8(token).ok()
}

/// Keeps one more; the oldest gives way.
pub(crate) fn keep(secrets: &mut Vec<CsrfSecret>, secret: CsrfSecret) {
    if !secrets.contains(&secret) {
        secrets.truncate(MOST - 1);
        secrets.insert(0, secret);
    }
}

impl Serialize for CsrfSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl<'de> Deserialize<'de> for CsrfSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| de::Error::custom("not base64"))?;
        bytes.try_into().map(Self).map_err(|_| de::Error::custom("another length"))
    }
}

impl fmt::Debug for CsrfSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CsrfSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::OsRandom;

    #[test]
    fn tokens_differ_and_each_verifies() {
        let secret = CsrfSecret::random(&OsRandom).unwrap();
        let tokens = [secret.token(&OsRandom).unwrap(), secret.token(&OsRandom).unwrap()];
        assert_ne!(tokens[0], tokens[1]);
        assert_ne!(tokens[0][43..], tokens[1][43..], "the secret shows through the mask");
        for token in &tokens {
            assert!(verifies(&[secret], token));
            assert!(!verifies(&[CsrfSecret::random(&OsRandom).unwrap()], token));
            assert!(!verifies(&[], token));
        }
    }

    #[test]
    fn no_other_text_verifies() {
        let secret = CsrfSecret::random(&OsRandom).unwrap();
        let token = secret.token(&OsRandom).unwrap();
        let longer = format!("{token}AAAA");
        let raw = URL_SAFE_NO_PAD.encode(secret.0);
        let doubled = URL_SAFE_NO_PAD.encode([[0; LENGTH], [0; LENGTH]].concat());
        for other in ["", "x", &token[1..], &longer, &raw, &doubled, "ä"] {
            assert!(!verifies(&[secret], other), "{other}");
        }
        for place in 0..86 {
            let mut bytes = token.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            assert!(!verifies(&[secret], &String::from_utf8(bytes).unwrap()), "{place}");
        }
    }

    #[test]
    fn a_form_has_the_token_in_its_field() {
        for (body, token) in [
            ("csrf_token=a-b_C", Some("a-b_C")),
            ("x=1&csrf_token=abc&csrf_token=def", Some("abc")),
            ("csrf_token=", Some("")),
            ("x=csrf_token=abc", None),
            ("csrf_tokens=abc&csrf_token", None),
            ("", None),
        ] {
            assert_eq!(in_form(body.as_bytes()), token, "{body}");
        }
        assert_eq!(in_form(b"csrf_token=\xff"), None);
    }

    #[test]
    fn the_newest_few_are_kept() {
        let mut secrets = Vec::new();
        let all: Vec<_> = (0..6).map(|_| CsrfSecret::random(&OsRandom).unwrap()).collect();
        for secret in &all {
            keep(&mut secrets, *secret);
            keep(&mut secrets, *secret);
        }
        assert_eq!(secrets, [all[5], all[4], all[3], all[2]]);
    }
}
