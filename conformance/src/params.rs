//! The parameters of the routes, from the query string.

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// `?k=`, which may be missing.
#[derive(Debug, Deserialize)]
pub struct OptionalKey {
    /// The session key.
    pub k: Option<String>,
}

/// `?k=`
#[derive(Debug, Deserialize)]
pub struct Key {
    /// The session key.
    pub k: String,
}

/// `?k=&v=`
#[derive(Debug, Deserialize)]
pub struct KeyValue {
    /// The session key.
    pub k: String,
    /// Its value.
    pub v: String,
}

/// `?u=`
#[derive(Debug, Deserialize)]
pub struct User {
    /// The subject.
    pub u: String,
}

/// `?u=&w=`
#[derive(Debug, Deserialize)]
pub struct TwoUsers {
    /// The first subject.
    pub u: String,
    /// The second.
    pub w: String,
}

/// `?ms=`, and `?k=`, which may be missing.
#[derive(Debug, Deserialize)]
pub struct SlowRead {
    /// The session key.
    pub k: Option<String>,
    /// Milliseconds to sleep.
    pub ms: u64,
}

/// `?k=&ms=`
#[derive(Debug, Deserialize)]
pub struct SlowKey {
    /// The session key.
    pub k: String,
    /// Milliseconds to sleep.
    pub ms: u64,
}

/// `?k=&v=&ms=`
#[derive(Debug, Deserialize)]
pub struct SlowWrite {
    /// The session key.
    pub k: String,
    /// Its value.
    pub v: String,
    /// Milliseconds to sleep.
    pub ms: u64,
}

/// `?n=`
#[derive(Debug, Deserialize)]
pub struct Size {
    /// Bytes, at most 16 MiB.
    #[serde(deserialize_with = "size")]
    pub n: usize,
}

/// `?handle=`
#[derive(Debug, Deserialize)]
pub struct ByHandle {
    /// Which of the subject's sessions.
    pub handle: String,
}

/// `?username=`
#[derive(Debug, Deserialize)]
pub struct Username {
    /// The name.
    pub username: String,
}

/// `?m=`
#[derive(Debug, Deserialize)]
pub struct Message {
    /// The text.
    pub m: String,
}

/// `?name=`
#[derive(Debug, Deserialize)]
pub struct Name {
    /// The name of a cookie.
    pub name: String,
}

/// A query string without what the route needs, or with what it can't read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// Reads the parameters of a route.
///
/// # Errors
/// If one is missing, given twice, of another type, or not UTF-8.
///
/// ```
/// use session_conformance::params::{KeyValue, Unreadable, read};
///
/// let KeyValue { k, v } = read(Some("k=a%20key&v=1+2")).unwrap();
/// assert_eq!((k.as_str(), v.as_str()), ("a key", "1 2"));
/// assert_eq!(read::<KeyValue>(Some("k=a")).unwrap_err(), Unreadable);
/// ```
pub fn read<T: DeserializeOwned>(query: Option<&str>) -> Result<T, Unreadable> {
    let query = query.unwrap_or_default();
    // The parser below would put question marks where it can't read.
    percent_decode_str(query).decode_utf8().map_err(|_| Unreadable)?;
    serde_urlencoded::from_str(query).map_err(|_| Unreadable)
}

fn size<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let size = usize::deserialize(deserializer)?;
    if size > 16 * 1024 * 1024 {
        return Err(serde::de::Error::custom("more than 16 MiB"));
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_refused() {
        for query in [None, Some(""), Some("k=%ff"), Some("k=a&k=b"), Some("K=a")] {
            assert!(read::<Key>(query).is_err(), "{query:?}");
        }
        for query in ["k=a&ms=", "k=a&ms=soon", "k=a&ms=-1", "k=a&ms=1.5"] {
            assert!(read::<SlowKey>(Some(query)).is_err(), "{query}");
        }
        assert!(read::<Size>(Some("n=16777217")).is_err());
    }

    #[test]
    fn any_text_may_be_a_key_and_any_a_value() {
        let KeyValue { k, v } = read(Some("k=%E2%98%83%26%3D%00&v=")).unwrap();
        assert_eq!((k.as_str(), v.as_str()), ("\u{2603}&=\0", ""));
        assert_eq!(read::<OptionalKey>(None).unwrap().k, None);
        assert_eq!(read::<Size>(Some("n=16777216&other=1")).unwrap().n, 16 * 1024 * 1024);
    }
}
