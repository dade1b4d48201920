//! The three ways to keep sessions that every scenario is played with, at all four labs: twelve places.
#![allow(dead_code, reason = "each test file uses its part of this")]

use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde_json::Value;
use session_testing::http::{Response, SetCookie};
use session_testing::servers::Redis;

use crate::common::{Browser, COOKIE, LABS, Lab, PATIENT, SECRET, at_once};

pub(crate) const OK: &str = r#"200 {"ok":true}"#;
pub(crate) const ADA: &str = r#"200 {"user":"ada"}"#;
pub(crate) const ANONYMOUS: &str = r#"401 {"user":null}"#;
pub(crate) const NOTHING: &str = r#"200 {"user":null,"k":null}"#;
pub(crate) const MINE: &str = r#"200 {"user":null,"k":"v"}"#;

/// One for all scenarios of a file; without it on this machine, which is said aloud, they are played at the other places.
pub(crate) fn redis() -> Option<&'static Redis> {
    static REDIS: OnceLock<Option<Redis>> = OnceLock::new();
    REDIS.get_or_init(Redis::start).as_ref()
}

/// Where the sessions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    Memory,
    Cookies,
    Redis,
}

/// A lab's name, and the variables for as many of them as a scenario starts there.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) kept: Kept,
    pub(crate) name: &'static str,
    variables: Vec<(String, String)>,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {:?}", self.name, self.kept)
    }
}

impl Place {
    pub(crate) fn new(kept: Kept, name: &'static str, store: &str) -> Self {
        let place = Self { kept, name, variables: Vec::new() };
        place.with(&[("LAB_STORE", store), ("LAB_SECRETS", SECRET), PATIENT])
    }

    /// With more variables; a later one replaces an earlier one.
    pub(crate) fn with(&self, more: &[(&str, &str)]) -> Self {
        let mut place = self.clone();
        place.variables.retain(|(name, _)| !more.iter().any(|(other, _)| name == other));
        place.variables.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        place
    }

    pub(crate) fn without(&self, variable: &str) -> Self {
        let mut place = self.clone();
        place.variables.retain(|(name, _)| name != variable);
        place
    }

    pub(crate) fn variables(&self) -> Vec<(&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    pub(crate) fn start(&self) -> Arc<Lab> {
        Arc::new(Lab::start(self.name, &self.variables()))
    }

    /// Another framework's lab on the same store.
    pub(crate) fn next(&self) -> Self {
        let here = LABS.iter().position(|(name, _)| *name == self.name).unwrap();
        Self { name: LABS[(here + 1) % LABS.len()].0, ..self.clone() }
    }

    /// Whether a request with a cookie asks a Redis.
    pub(crate) fn needs_redis(&self) -> bool {
        self.variables.iter().any(|(_, value)| value.starts_with("redis:"))
    }

    /// How many sessions the store holds. Cookies are nowhere but at the browsers.
    pub(crate) async fn held(&self, lab: &Lab) -> Option<u64> {
        match self.kept {
            Kept::Memory => lab.stats().await["live"].as_u64(),
            Kept::Cookies => None,
            Kept::Redis => {
                let (_, url) = self.variables().into_iter().find(|(name, _)| *name == "LAB_STORE").unwrap();
                let database = url.rsplit('/').next().unwrap();
                // Where a renewed session went is an entry too, and none that counts.
                let count = "redis.call('SELECT', ARGV[1]) local held = 0
                    for _, key in ipairs(redis.call('KEYS', 'session:*')) do
                      if redis.call('TYPE', key).ok == 'hash' then held = held + redis.call('HEXISTS', key, 'record') end
                    end
                    return held";
                Some(redis().unwrap().ask(&["EVAL", count, "0", database]).unwrap().parse().unwrap())
            }
        }
    }

    /// Expects so many sessions in the store, where there is one.
    pub(crate) async fn holds(&self, lab: &Lab, expected: u64) {
        if let Some(held) = self.held(lab).await {
            assert_eq!(held, expected, "{self:?}");
        }
    }
}

fn places(revocations: bool) -> Vec<Place> {
    let mut places = Vec::new();
    for (name, _) in LABS {
        places.push(Place::new(Kept::Memory, name, "memory:"));
        let sealed = Place::new(Kept::Cookies, name, "sealed:");
        let revoked = redis().map_or_else(|| "memory:".to_owned(), Redis::fresh_database);
        places.push(if revocations { sealed.with(&[("LAB_REVOCATION", &revoked)]) } else { sealed });
        places.extend(redis().map(|redis| Place::new(Kept::Redis, name, &redis.fresh_database())));
    }
    places
}

/// Plays a scenario at all places at once: each has a store of its own. With sessions in cookies it is also kept which of them
/// have ended.
pub(crate) async fn everywhere<F>(scenario: impl Fn(Place) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    at_once(places(true).into_iter().map(scenario)).await;
}

/// As `everywhere`, but of sessions in cookies nothing at all is kept.
pub(crate) async fn everywhere_without_revocations<F>(scenario: impl Fn(Place) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    at_once(places(false).into_iter().map(scenario)).await;
}

/// As `everywhere_without_revocations`, one place after another: nothing else is going on.
pub(crate) async fn everywhere_without_revocations_in_turn<F: Future<Output = ()>>(scenario: impl Fn(Place) -> F) {
    for place in places(false) {
        scenario(place).await;
    }
}

pub(crate) async fn logged_in(lab: &Arc<Lab>, user: &str) -> Browser {
    let mut browser = Browser::new(lab);
    browser.expect(&format!("POST /login?u={user}"), &format!(r#"200 {{"user":"{user}"}}"#)).await;
    browser
}

/// Another browser with a copy of everything that `browser` has.
pub(crate) fn copy(browser: &Browser) -> Browser {
    at(&browser.lab, browser)
}

/// The browser goes to another lab with what it has.
pub(crate) fn at(lab: &Arc<Lab>, browser: &Browser) -> Browser {
    Browser { lab: Arc::clone(lab), jar: browser.jar.clone() }
}

/// A browser that has this session cookie and nothing else.
pub(crate) fn with_cookie(lab: &Arc<Lab>, cookie: &str) -> Browser {
    let mut browser = Browser::new(lab);
    browser.jar.put(COOKIE, cookie);
    browser
}

pub(crate) fn json(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap()
}

pub(crate) async fn event(lab: &Lab, name: &str) -> u64 {
    lab.stats().await["events"][name].as_u64().unwrap()
}

/// The session cookie that a response sets.
pub(crate) fn set_cookie(response: &Response) -> SetCookie {
    response.cookie(COOKIE).unwrap()
}

/// The token with one character changed.
pub(crate) fn turned(token: &str, at: usize) -> String {
    let other = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
    [&token[..at], other, &token[at + 1..]].concat()
}

pub(crate) async fn pause(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// Waits for a line in the log that has this text in it; it comes through a pipe, so maybe after the answer.
pub(crate) async fn tells(lab: &Lab, text: &str) {
    let until = Instant::now() + Duration::from_secs(5);
    while !lab.log().contains(text) {
        assert!(Instant::now() < until, "{}: no {text} in {}", lab.name, lab.log());
        pause(5).await;
    }
}
