//! What the targets do with a session once they have one, and what they need to get one.

use std::borrow::Cow;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use session_core::{
    Close, Create, Effects, Event, FlashLevel, Happening, KeyRing, Loaded, Observer, Random, Record, RequestHead,
    ResponseHead, Session, SessionManager, SessionStore, StoreError, StoreKey, SubjectLimit, Timestamp, Touch, Update,
    Version, async_trait,
};

const SECRET: &str = "8f1c5a09b7e34d62a0c9f8371be245d6013a7c4f9e82b56d70e1d3c4a5968b2f";
pub const NAME: &str = "__Host-id";
pub const NOW: Timestamp = Timestamp::from_millis(1_793_000_000_000);

/// A secret that everybody can read here.
pub fn keys() -> KeyRing {
    KeyRing::parse(SECRET).expect("64 hexadecimal digits")
}

/// A session's future in these targets never has to wait.
pub fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("nothing here has to wait"),
    }
}

/// Randomness that is the same each time the program runs.
#[derive(Default)]
pub struct Counting(AtomicU64);

impl Random for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        for byte in bytes {
            let count = self.0.fetch_add(1, Ordering::Relaxed);
            *byte = (count.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8;
        }
        Ok(())
    }
}

/// Remembers which events there were.
#[derive(Clone, Default)]
pub struct Events(Arc<Mutex<Vec<Event>>>);

impl Events {
    /// Those since the last time, each once, in order.
    pub fn take(&self) -> Vec<Event> {
        let mut events = std::mem::take(&mut *self.0.lock().expect("nobody panics under this lock"));
        events.sort_unstable();
        events.dedup();
        events
    }
}

impl Observer for Events {
    fn observe(&self, happening: &Happening<'_>) {
        self.0.lock().expect("nobody panics under this lock").push(happening.event());
    }
}

/// A request with these `Cookie` lines.
pub struct Request<'a>(pub &'a [&'a [u8]]);

impl RequestHead for Request<'_> {
    fn method(&self) -> &str {
        "GET"
    }

    fn each(&self, name: &str, line: &mut dyn FnMut(&[u8])) {
        if name == "cookie" {
            self.0.iter().for_each(|value| line(value));
        }
    }
}

/// The `Set-Cookie` lines of a response.
#[derive(Default)]
pub struct Response(pub Vec<String>);

impl ResponseHead for Response {
    fn each(&self, name: &str, line: &mut dyn FnMut(&[u8])) {
        if name == "set-cookie" {
            self.0.iter().for_each(|value| line(value.as_bytes()));
        }
    }

    fn append(&mut self, name: &'static str, value: Cow<'static, str>) {
        if name == "set-cookie" {
            self.0.push(value.into_owned());
        }
    }

    fn retain(&mut self, name: &'static str, keep: &mut dyn FnMut(&[u8]) -> bool) {
        if name == "set-cookie" {
            self.0.retain(|value| keep(value.as_bytes()));
        }
    }
}

/// The value of the cookie that the response sets, if it does.
pub fn cookie_of(effects: &Effects) -> Option<String> {
    let mut response = Response::default();
    effects.apply(&mut response);
    let line = response.0.first()?;
    let value = line.strip_prefix(NAME)?.strip_prefix('=')?.split(';').next()?;
    (!value.is_empty()).then(|| value.to_owned())
}

pub fn closed(close: Close) -> Option<Effects> {
    match close {
        Close::Untouched => None,
        Close::Ready(effects) => Some(effects),
        Close::Io(_) => panic!("nothing here has to wait"),
    }
}

/// A request that writes, and the cookie that it gets.
pub fn begin(manager: &SessionManager, n: u64) -> String {
    let slot = manager.open(&Request(&[]));
    let session = at_once(slot.load()).expect("there is no store that could fail");
    session.insert("n", n).expect("the session is open");
    closed(slot.close(200)).as_ref().and_then(cookie_of).expect("a new session has a cookie")
}

/// Everything that can be asked of a session, and everything that can be done to it without ending it.
pub fn use_it(session: &Session) {
    let _ = (session.created(), session.seen(), session.expires(), session.authenticated_at(), session.is_new());
    let _ = (session.len(), session.is_empty(), session.subject(), format!("{session:?}"));
    for key in session.keys() {
        assert!(session.contains(&key));
        // What can't be decoded is an error, and not nothing.
        assert!(!matches!(session.get::<serde_json::Value>(&key), Ok(None)), "its key is there");
        let _ = session.get::<u64>(&key);
    }
    for limit in [Duration::ZERO, Duration::from_secs(60), Duration::MAX] {
        assert_eq!(session.is_fresh(limit), session.require_fresh(limit).is_ok());
    }
    session.flash(FlashLevel::Info, "text").expect("the session is open");
    assert!(session.flashes().expect("the session is open").iter().any(|flash| flash.text == "text"));
    let token = session.csrf_token().expect("there is randomness");
    session.verify_csrf(&token).expect("it is the session's own");
}

/// A store that has one session, whatever it is asked for, and keeps what it is told.
#[derive(Clone)]
pub struct Answering(pub Arc<Mutex<Option<Loaded>>>);

impl Answering {
    pub fn new(loaded: Loaded) -> Self {
        Self(Arc::new(Mutex::new(Some(loaded))))
    }

    pub fn loaded(&self) -> Option<Loaded> {
        self.0.lock().expect("nobody panics under this lock").clone()
    }

    fn keep(&self, record: &Record, version: Version) {
        if let Some(loaded) = &mut *self.0.lock().expect("nobody panics under this lock") {
            loaded.record = record.clone();
            loaded.version = version;
        }
    }
}

#[async_trait]
impl SessionStore for Answering {
    async fn load(&self, _: &StoreKey) -> Result<Option<Loaded>, StoreError> {
        Ok(self.loaded())
    }

    async fn create(&self, _: &StoreKey, record: &Record, _: SubjectLimit) -> Result<Create, StoreError> {
        self.keep(record, Version::FIRST);
        Ok(Create::Created)
    }

    async fn update(&self, _: &StoreKey, record: &Record, seen: Version) -> Result<Update, StoreError> {
        self.keep(record, seen.next());
        Ok(Update::Updated)
    }

    async fn touch(&self, _: &StoreKey) -> Result<Touch, StoreError> {
        Ok(Touch::Touched)
    }

    async fn rename(
        &self,
        _: &StoreKey,
        _: &StoreKey,
        record: &Record,
        seen: Version,
        _: SubjectLimit,
    ) -> Result<Update, StoreError> {
        self.keep(record, seen.next());
        Ok(Update::Updated)
    }

    async fn delete(&self, _: &StoreKey) -> Result<bool, StoreError> {
        Ok(self.0.lock().expect("nobody panics under this lock").take().is_some())
    }

    async fn sessions_of(&self, _: &str, _: usize) -> Result<Vec<(StoreKey, Loaded)>, StoreError> {
        Ok(self.loaded().map(|loaded| (StoreKey::from_bytes([1; 32]), loaded)).into_iter().collect())
    }

    async fn delete_one_of(&self, _: &str, key: &StoreKey) -> Result<bool, StoreError> {
        self.delete(key).await
    }

    async fn delete_all_of(&self, _: &str, _: Option<&StoreKey>) -> Result<usize, StoreError> {
        Ok(0)
    }

    async fn sweep(&self, _: usize) -> Result<usize, StoreError> {
        Ok(0)
    }

    async fn revoke(&self, _: &StoreKey, _: Duration) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn revoke_all_of(&self, _: &str, _: Timestamp, _: Duration) -> Result<(), StoreError> {
        Ok(())
    }

    async fn is_revoked(&self, _: &[StoreKey], _: Option<&str>, _: Timestamp) -> Result<bool, StoreError> {
        Ok(false)
    }
}
