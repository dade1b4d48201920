//! A store that counts its calls, and fails or waits when told to.
#![allow(dead_code, unreachable_pub, reason = "each file of tests uses its part of it")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Response;
use session_core::{
    Create, KeyRing, Loaded, MemoryStore, Record, Secret, SessionManager, SessionStore, StoreError, StoreKey, Touch,
    Update, Version, async_trait,
};
use tokio::sync::watch;

/// Clones are the same store.
#[derive(Clone, Default)]
pub struct TestStore(Arc<Inner>);

struct Inner {
    memory: MemoryStore,
    calls: Mutex<Vec<&'static str>>,
    down: AtomicBool,
    paused: watch::Sender<bool>,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            memory: MemoryStore::new(),
            calls: Mutex::default(),
            down: AtomicBool::new(false),
            paused: watch::Sender::new(false),
        }
    }
}

impl TestStore {
    pub fn manager(&self) -> SessionManager {
        SessionManager::stored(self.clone(), KeyRing::new(Secret::random().unwrap())).build().unwrap()
    }

    /// The calls since this was asked last.
    pub fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.0.calls.lock().unwrap())
    }

    pub fn live(&self) -> usize {
        self.0.memory.live()
    }

    /// From now on every call fails.
    pub fn go_down(&self) {
        self.0.down.store(true, Ordering::SeqCst);
    }

    /// From now on whoever writes has to wait.
    pub fn pause(&self) {
        self.0.paused.send_replace(true);
    }

    pub fn resume(&self) {
        self.0.paused.send_replace(false);
    }

    async fn call(&self, verb: &'static str) -> Result<&MemoryStore, StoreError> {
        self.0.calls.lock().unwrap().push(verb);
        if verb != "load" {
            self.0.paused.subscribe().wait_for(|paused| !paused).await.unwrap();
        }
        if self.0.down.load(Ordering::SeqCst) {
            return Err(StoreError::new(verb, "secret-host refused the connection"));
        }
        Ok(&self.0.memory)
    }
}

#[async_trait]
impl SessionStore for TestStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>, StoreError> {
        self.call("load").await?.load(key).await
    }
    async fn create(&self, key: &StoreKey, record: &Record) -> Result<Create, StoreError> {
        self.call("create").await?.create(key, record).await
    }
    async fn update(&self, key: &StoreKey, record: &Record, seen: Version) -> Result<Update, StoreError> {
        self.call("update").await?.update(key, record, seen).await
    }
    async fn touch(&self, key: &StoreKey) -> Result<Touch, StoreError> {
        self.call("touch").await?.touch(key).await
    }
    async fn rename(
        &self,
        old: &StoreKey,
        new: &StoreKey,
        record: &Record,
        seen: Version,
    ) -> Result<Update, StoreError> {
        self.call("rename").await?.rename(old, new, record, seen).await
    }
    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.call("delete").await?.delete(key).await
    }
    async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
        self.call("sweep").await?.sweep(limit).await
    }
}

/// The `name=value` of the one cookie that a response sets.
pub fn cookie<B>(response: &Response<B>) -> String {
    let mut lines = response.headers().get_all("set-cookie").iter();
    let line = lines.next().expect("the response sets a cookie").to_str().unwrap();
    assert!(lines.next().is_none(), "one cookie only");
    line.split(';').next().unwrap().to_owned()
}

/// Waits, for ten seconds at most, until something is so.
pub async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: not within ten seconds");
}
