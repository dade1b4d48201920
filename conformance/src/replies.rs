//! What the routes answer, the same on all four.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::Stream;
use futures_util::stream::unfold;
use rand::TryRng as _;
use rand::rngs::SysRng;
use serde::Serialize;
use serde_json::Value;
use session_core::Error;

/// `{"ok":true}`
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Done {
    ok: bool,
}

/// It is done.
pub const DONE: Done = Done { ok: true };

/// `{"v":…}`
#[derive(Clone, Debug, Serialize)]
pub struct Val<T> {
    /// What was asked for.
    pub v: T,
}

/// `{"user":…,"k":…}`
#[derive(Clone, Debug, Serialize)]
pub struct Peek {
    /// Who is logged in.
    pub user: Option<String>,
    /// The value of the key that was asked for.
    pub k: Option<Value>,
}

/// `{"user":…}`
#[derive(Clone, Debug, Serialize)]
pub struct Who {
    /// Who is logged in.
    pub user: Option<String>,
}

/// `{"error":…}`
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Failure {
    /// In plain words.
    pub error: &'static str,
}

/// With 400: the parameters can't be read.
pub const UNREADABLE: Failure = Failure { error: "a parameter is missing or can't be read" };
/// With 400 or 500, as the request wished.
pub const AS_WISHED: Failure = Failure { error: "as you wished" };
/// With 404.
pub const NOT_FOUND: Failure = Failure { error: "not found" };
/// With 501.
pub const NOT_IMPLEMENTED: Failure = Failure { error: "not implemented" };

/// Three chunks, 100 ms apart.
pub fn chunks() -> impl Stream<Item = &'static str> + Send + Sync + 'static {
    unfold(0, |place| async move {
        let chunk = *["one\n", "two\n", "three\n"].get(place)?;
        if place > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Some((chunk, place + 1))
    })
}

/// `bytes` random bytes as base64.
///
/// # Errors
/// If the operating system has no randomness.
///
/// ```
/// assert_eq!(session_conformance::replies::random_base64(30).unwrap().len(), 40);
/// ```
pub fn random_base64(bytes: usize) -> Result<String, Error> {
    let mut random = vec![0; bytes];
    SysRng.try_fill_bytes(&mut random).map_err(|error| Error::Random(Arc::new(error)))?;
    Ok(STANDARD.encode(random))
}

/// The value of one cookie in a `Cookie` header, as somebody reads it whose framework has no cookies.
///
/// ```
/// use session_conformance::replies::cookie;
/// assert_eq!(cookie("a=1; b=2", "b").as_deref(), Some("2"));
/// assert_eq!(cookie("a=1; b=2", "c"), None);
/// ```
#[must_use]
pub fn cookie(header: &str, name: &str) -> Option<String> {
    let mut pairs = header.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

/// Sleeps as long as a slow route is told to.
pub async fn sleep(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}
