//! A store to look into, to break and to hold up; requests and answers without a connection.

#![allow(dead_code, reason = "each file of tests uses its part of it")]

use std::time::{Duration, Instant};

use actix_web::body::{MessageBody, to_bytes};
use actix_web::dev::{Service, ServiceResponse};
use actix_web::test::{TestRequest, try_call_service};
use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
use session_testing::stores::{Failing, Held, Verb};

/// A memory store that writes down what it is asked for. Clones are the same store.
#[derive(Clone)]
pub(crate) struct TestStore {
    failing: Failing<MemoryStore>,
    held: Held<Failing<MemoryStore>>,
}

impl TestStore {
    pub(crate) fn new() -> Self {
        let failing = Failing::new(MemoryStore::new());
        Self { held: Held::new(failing.clone()), failing }
    }

    /// The verbs it was asked for, in order.
    pub(crate) fn begun(&self) -> Vec<Verb> {
        self.held.begun()
    }

    /// The verbs it has carried out, in order.
    pub(crate) fn done(&self) -> Vec<Verb> {
        self.held.done()
    }

    /// From now on this verb fails.
    pub(crate) fn break_verb(&self, verb: Verb) {
        self.failing.fail(verb);
    }

    /// Until `release` no verb goes on.
    pub(crate) fn hold(&self) {
        Verb::ALL.into_iter().for_each(|verb| self.held.before_it(verb));
    }

    pub(crate) fn release(&self) {
        self.held.release();
    }
}

/// A manager over the store.
pub(crate) fn manager(store: &TestStore) -> SessionManager {
    let keys = KeyRing::new(Secret::random().expect("the system has randomness"));
    SessionManager::stored(store.held.clone(), keys).build().expect("the defaults are valid")
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
