//! A store that counts its calls, and fails or waits when told to.
#![allow(dead_code, unreachable_pub, reason = "each file of tests uses its part of it")]

use std::time::Duration;

use http::Response;
use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
use session_testing::stores::{Failing, Held, Verb};

/// Clones are the same store.
#[derive(Clone)]
pub struct TestStore {
    memory: MemoryStore,
    failing: Failing<MemoryStore>,
    held: Held<Failing<MemoryStore>>,
}

impl Default for TestStore {
    fn default() -> Self {
        let memory = MemoryStore::new();
        let failing = Failing::new(memory.clone());
        Self { held: Held::new(failing.clone()), memory, failing }
    }
}

impl TestStore {
    pub fn manager(&self) -> SessionManager {
        SessionManager::stored(self.held.clone(), KeyRing::new(Secret::random().unwrap())).build().unwrap()
    }

    /// The calls since this was asked last.
    pub fn calls(&self) -> Vec<&'static str> {
        self.held.forget().into_iter().map(Verb::name).collect()
    }

    pub fn live(&self) -> usize {
        self.memory.live()
    }

    /// From now on every call fails.
    pub fn go_down(&self) {
        self.failing.fail_all();
    }

    /// From now on whoever writes has to wait.
    pub fn pause(&self) {
        Verb::ALL.into_iter().filter(|verb| *verb != Verb::Load).for_each(|verb| self.held.before_it(verb));
    }

    pub fn resume(&self) {
        self.held.release();
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
