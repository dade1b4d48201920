//! A store to look into, to break and to hold up; requests and answers without a connection.

#![allow(dead_code, reason = "each file of tests uses its part of it")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::body::{MessageBody, to_bytes};
use actix_web::dev::{Service, ServiceResponse};
use actix_web::test::{TestRequest, try_call_service};
use session_core::{
    Create, KeyRing, Loaded, MemoryStore, Record, Secret, SessionManager, SessionStore, StoreError, StoreKey, Touch,
    Update, Version, async_trait,
};
use tokio::sync::Semaphore;

/// A memory store that writes down what it is asked for. Clones are the same store.
#[derive(Clone)]
pub(crate) struct TestStore(Arc<Inner>);

struct Inner {
    memory: MemoryStore,
    begun: Mutex<Vec<&'static str>>,
    done: Mutex<Vec<&'static str>>,
    broken: Mutex<Vec<&'static str>>,
    gate: Semaphore,
}

impl TestStore {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            memory: MemoryStore::new(),
            begun: Mutex::default(),
            done: Mutex::default(),
            broken: Mutex::default(),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        }))
    }

    /// The verbs it was asked for, in order.
    pub(crate) fn begun(&self) -> Vec<&'static str> {
        self.0.begun.lock().expect("nobody panics holding it").clone()
    }

    /// The verbs it has carried out, in order.
    pub(crate) fn done(&self) -> Vec<&'static str> {
        self.0.done.lock().expect("nobody panics holding it").clone()
    }

    /// From now on this verb fails.
    pub(crate) fn break_verb(&self, verb: &'static str) {
        self.0.broken.lock().expect("nobody panics holding it").push(verb);
    }

    /// Until `release` no verb goes on.
    pub(crate) fn hold(&self) {
        self.0.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(crate) fn release(&self) {
        self.0.gate.add_permits(1_000);
    }

    async fn enter(&self, verb: &'static str) -> Result<(), StoreError> {
        self.0.begun.lock().expect("nobody panics holding it").push(verb);
        let _permit = self.0.gate.acquire().await;
        if self.0.broken.lock().expect("nobody panics holding it").contains(&verb) {
            return Err(StoreError::new(verb, "the disk is on fire"));
        }
        Ok(())
    }

    fn leave<T>(&self, verb: &'static str, outcome: T) -> T {
        self.0.done.lock().expect("nobody panics holding it").push(verb);
        outcome
    }
}

#[async_trait]
impl SessionStore for TestStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>, StoreError> {
        self.enter("load").await?;
        Ok(self.leave("load", self.0.memory.load(key).await?))
    }

    async fn create(&self, key: &StoreKey, record: &Record) -> Result<Create, StoreError> {
        self.enter("create").await?;
        Ok(self.leave("create", self.0.memory.create(key, record).await?))
    }

    async fn update(&self, key: &StoreKey, record: &Record, seen: Version) -> Result<Update, StoreError> {
        self.enter("update").await?;
        Ok(self.leave("update", self.0.memory.update(key, record, seen).await?))
    }

    async fn touch(&self, key: &StoreKey) -> Result<Touch, StoreError> {
        self.enter("touch").await?;
        Ok(self.leave("touch", self.0.memory.touch(key).await?))
    }

    async fn rename(
        &self,
        old: &StoreKey,
        new: &StoreKey,
        record: &Record,
        seen: Version,
    ) -> Result<Update, StoreError> {
        self.enter("rename").await?;
        Ok(self.leave("rename", self.0.memory.rename(old, new, record, seen).await?))
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.enter("delete").await?;
        self.0.memory.delete(key).await?;
        self.leave("delete", Ok(()))
    }

    async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
        self.0.memory.sweep(limit).await
    }
}

/// A manager over the store.
pub(crate) fn manager(store: &TestStore) -> SessionManager {
    let keys = KeyRing::new(Secret::random().expect("the system has randomness"));
    SessionManager::stored(store.clone(), keys).build().expect("the defaults are valid")
}

/// Waits for something that has to happen, for five seconds at most.
pub(crate) async fn until(what: &str, happened: impl Fn() -> bool) {
    let begin = Instant::now();
    while !happened() {
        assert!(begin.elapsed() < Duration::from_secs(5), "{what} didn't happen");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// An answer as it would go over the wire.
pub(crate) struct Reply {
    pub(crate) status: u16,
    lines: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.lines.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The session's cookie, as a browser sends it back.
    pub(crate) fn cookie(&self) -> &str {
        let lines = self.all("set-cookie");
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines[0].split(';').next().unwrap_or_default()
    }
}

pub(crate) async fn send<S, R, B>(app: &S, request: R) -> Reply
where
    S: Service<R, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody + 'static,
{
    let response = match try_call_service(app, request).await {
        Ok(response) => response.map_into_boxed_body().into_parts().1,
        Err(error) => error.error_response(),
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Reply {
        status: response.status().as_u16(),
        lines: response.headers().iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect(),
        body: text(&to_bytes(response.into_body()).await.unwrap_or_default()),
    }
}

pub(crate) fn get(path: &str) -> TestRequest {
    TestRequest::get().uri(path)
}

pub(crate) fn with_cookie(path: &str, cookie: &str) -> TestRequest {
    get(path).insert_header(("cookie", cookie))
}
