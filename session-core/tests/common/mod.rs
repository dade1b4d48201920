//! A browser without a framework, a store that is watched, and what an application's operators see.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use session_core::{
    Close, Decorator, Effects, Event, Happening, KeyRing, ManualClock, MemoryStore, Observer, RequestHead,
    ResponseHead, Session, SessionManager, SessionManagerBuilder, SessionStore, Slot, StoreError, Timestamp, Verb,
};

pub(crate) const SECRET: &str = "8f1c5a09b7e34d62a0c9f8371be245d6013a7c4f9e82b56d70e1d3c4a5968b2f";

/// `Cookie` lines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cookies(pub(crate) Vec<String>);

impl Cookies {
    pub(crate) fn of(tokens: &[&str]) -> Self {
        Self(tokens.iter().map(|token| format!("__Host-id={token}")).collect())
    }
}

impl RequestHead for Cookies {
    fn method(&self) -> &str {
        "GET"
    }
    fn each(&self, name: &str, line: &mut dyn FnMut(&[u8])) {
        if name == "cookie" {
            self.0.iter().for_each(|value| line(value.as_bytes()));
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Response {
    pub(crate) lines: Vec<(&'static str, String)>,
    pub(crate) failure: Option<session_core::Error>,
}

impl ResponseHead for Response {
    fn each(&self, name: &str, line: &mut dyn FnMut(&[u8])) {
        self.lines.iter().filter(|(key, _)| *key == name).for_each(|(_, value)| line(value.as_bytes()));
    }
    fn append(&mut self, name: &'static str, value: Cow<'static, str>) {
        self.lines.push((name, value.into_owned()));
    }
    fn retain(&mut self, name: &'static str, keep: &mut dyn FnMut(&[u8]) -> bool) {
        self.lines.retain(|(key, value)| *key != name || keep(value.as_bytes()));
    }
}

impl Response {
    pub(crate) fn of(effects: &Effects) -> Self {
        let mut response = Self { lines: Vec::new(), failure: effects.failure().cloned() };
        effects.apply(&mut response);
        response
    }

    /// The cookie's new value: empty for a removal.
    pub(crate) fn token(&self) -> Option<&str> {
        let line = self.lines.iter().find(|(name, _)| *name == "set-cookie")?.1.as_str();
        line.strip_prefix("__Host-id=").and_then(|rest| rest.split(';').next())
    }
}

/// As a door does it: answers, and runs what remains to its end.
pub(crate) async fn close(slot: &Slot, status: u16) -> Response {
    match slot.close(status) {
        Close::Untouched => Response::default(),
        Close::Ready(effects) => Response::of(&effects),
        Close::Io(close) => Response::of(&close.await),
    }
}

/// One request with one cookie, or none, answered with 200.
pub(crate) async fn visit(manager: &SessionManager, token: Option<&str>, handler: impl FnOnce(&Session)) -> Response {
    let slot = manager.open(&Cookies::of(&token.into_iter().collect::<Vec<_>>()));
    handler(&slot.load().await.unwrap());
    close(&slot, 200).await
}

/// The token of a new session with `n` in it.
pub(crate) async fn begin(manager: &SessionManager) -> String {
    let response = visit(manager, None, |session| session.insert("n", 1).unwrap()).await;
    response.token().unwrap().to_owned()
}

#[derive(Debug, Default)]
pub(crate) struct Events(Mutex<Vec<Event>>);

impl Observer for Events {
    fn observe(&self, happening: &Happening<'_>) {
        self.0.lock().unwrap().push(happening.event());
    }
}

impl Events {
    /// What happened since the last time.
    pub(crate) fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.0.lock().unwrap()).into_iter().map(Event::name).collect()
    }
}

/// A clock that stands still, and a memory store by it.
pub(crate) fn stopped() -> (Arc<ManualClock>, MemoryStore) {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_793_000_000_000)));
    (Arc::clone(&clock), MemoryStore::new().clock(clock))
}

pub(crate) fn stored(store: impl SessionStore, clock: &Arc<ManualClock>) -> SessionManagerBuilder {
    SessionManager::stored(store, KeyRing::parse(SECRET).unwrap())
        .idle(Duration::from_secs(300))
        .clock(Arc::clone(clock))
}

/// The number under `key` that a visitor with this cookie finds.
pub(crate) async fn count(manager: &SessionManager, token: &str, key: &str) -> Option<u64> {
    let mut found = None;
    visit(manager, Some(token), |session| found = session.get(key).unwrap()).await;
    found
}

/// Counts the calls, is slow when told, fails when told.
#[derive(Clone, Default)]
pub(crate) struct Watched(pub(crate) Arc<Watching>);

#[derive(Default)]
pub(crate) struct Watching {
    pub(crate) inner: MemoryStore,
    pub(crate) calls: AtomicUsize,
    pub(crate) slow: AtomicUsize,
    pub(crate) down: AtomicBool,
}

impl Watched {
    pub(crate) fn of(inner: MemoryStore) -> Self {
        Self(Arc::new(Watching { inner, ..Watching::default() }))
    }

    pub(crate) fn calls(&self) -> usize {
        self.0.calls.swap(0, Ordering::SeqCst)
    }
}

impl Decorator for Watched {
    type Inner = MemoryStore;

    fn inner(&self) -> &MemoryStore {
        &self.0.inner
    }

    async fn around<T: Send>(
        &self,
        _: Verb,
        operation: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.0.calls.fetch_add(1, Ordering::SeqCst);
        for _ in 0..self.0.slow.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
        if self.0.down.load(Ordering::SeqCst) { Err(StoreError::new("testing", "down")) } else { operation.await }
    }
}
