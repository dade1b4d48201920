//! What the routes answer, the same on all four.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::Stream;
use futures_util::stream::unfold;
use rand::TryRng as _;
use rand::rngs::SysRng;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use session_core::{Device, Error};

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

/// `{"ok":…}`
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Whether {
    /// Whether it was.
    pub ok: bool,
}

/// `{"ended":…}`
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Ended {
    /// How many, where that can be counted.
    pub ended: Option<usize>,
}

/// `{"token":…}`
#[derive(Clone, Debug, Serialize)]
pub struct Token {
    /// For a form.
    pub token: String,
}

/// One line of `/devices`.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceLine {
    handle: String,
    created: u64,
    seen: u64,
    current: bool,
}

impl From<Device> for DeviceLine {
    fn from(device: Device) -> Self {
        let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let (created, seen) = (seconds(device.created), seconds(device.seen));
        Self { handle: device.handle.to_string(), created, seen, current: device.current }
    }
}

/// The session as a struct, and what `/typed` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visitor {
    /// How they want to be called.
    pub username: Option<String>,
    /// How often they were here.
    pub visits: u32,
}

impl Default for Visitor {
    fn default() -> Self {
        Self { username: Some("example".to_owned()), visits: 0 }
    }
}

impl Visitor {
    /// One more visit, under this name.
    pub fn came_as(&mut self, username: &str) {
        self.username = Some(username.to_owned());
        self.visits += 1;
    }
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
