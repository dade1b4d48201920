//! Many requests of one session at once: nothing is lost, and what was ended stays so.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

mod common;

use std::array::from_fn;
use std::sync::Arc;
use std::time::Duration;

use common::{Browser, COOKIE, Lab, Numbers, ask, at_once, on_all, peek};
use session_testing::http::Response;
use tokio::time::sleep;

const OK: &str = r#"{"ok":true}"#;

/// One request of the session with this cookie, with no jar.
async fn send(lab: &Lab, line: &str, cookie: &str) -> Response {
    let response = ask(&lab.client, line).cookie(COOKIE, cookie).send().await;
    response.unwrap_or_else(|error| panic!("{}: {line}: {error}", lab.name))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_incrementing_one_key_a_thousand_times_make_a_thousand() {
    on_all(&[], |lab| async move {
        let mut browser = Browser::new(&lab);
        browser.expect("POST /set?k=other&v=kept", r#"200 {"ok":true}"#).await;
        let cookie = browser.cookie();
        let client = |_| {
            let (lab, cookie) = (Arc::clone(&lab), cookie.clone());
            async move {
                for _ in 0..500 {
                    let response = send(&lab, "POST /incr?k=k", &cookie).await;
                    assert_eq!((response.status, response.cookies()), (200, vec![]), "{}", lab.name);
                }
            }
        };
        at_once((0..2).map(client)).await;
        assert_eq!(peek(&lab, &cookie).await, r#"{"user":null,"k":1000}"#, "{}", lab.name);
        browser.expect("GET /peek?k=other", r#"200 {"user":null,"k":"kept"}"#).await;
    })
    .await;
}

/// These meet for sure: all fifty have loaded the session before the first of them writes.
#[tokio::test(flavor = "multi_thread")]
async fn slow_increments_that_overlap_are_all_counted() {
    on_all(&[], |lab| async move {
        let mut browser = Browser::new(&lab);
        browser.expect("POST /set?k=other&v=kept", r#"200 {"ok":true}"#).await;
        let cookie = browser.cookie();
        let client = |_| {
            let (lab, cookie) = (Arc::clone(&lab), cookie.clone());
            async move {
                assert_eq!(send(&lab, "POST /slow-incr?k=k&ms=150", &cookie).await.status, 200, "{}", lab.name);
            }
        };
        at_once((0..50).map(client)).await;
        assert_eq!(peek(&lab, &cookie).await, r#"{"user":null,"k":50}"#, "{}", lab.name);
        assert_ne!(lab.stats().await["events"]["conflict"], 0, "{}: the requests never met", lab.name);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_keys_written_at_once_are_all_there() {
    on_all(&[], |lab| async move {
        let mut browser = Browser::new(&lab);
        browser.expect("POST /set?k=first&v=1", r#"200 {"ok":true}"#).await;
        let cookie = browser.cookie();
        let client = |n| {
            let (lab, cookie) = (Arc::clone(&lab), cookie.clone());
            // Half of them meet for sure, half of them by chance.
            let line = match n % 2 {
                0 => format!("POST /set?k=k{n}&v={n}"),
                _ => format!("POST /slow-set?k=k{n}&v={n}&ms=50"),
            };
            async move { assert_eq!(send(&lab, &line, &cookie).await.text(), OK, "{}", lab.name) }
        };
        at_once((0..50).map(client)).await;
        browser.expect("GET /len", r#"200 {"v":51}"#).await;
        for n in 0..50 {
            browser.expect(&format!("GET /peek?k=k{n}"), &format!(r#"200 {{"user":null,"k":"{n}"}}"#)).await;
        }
    })
    .await;
}

/// A thousand times on each lab: whatever moment the logout falls on, neither the cookie from before nor one that the
/// slow response brings is anybody afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_logged_out_during_a_slow_write_is_never_alive_again() {
    const ROUNDS: usize = 1_000;
    const AT_ONCE: usize = 20;
    const LONGEST_MS: usize = 12;
    on_all(&[], |lab| async move {
        let mut numbers = Numbers::new(1_000_000_007);
        let mut offsets = || (numbers.below(LONGEST_MS), numbers.below(LONGEST_MS + 3), numbers.below(3));
        let shares: [_; AT_ONCE] = from_fn(|_| from_fn::<_, { ROUNDS / AT_ONCE }, _>(|_| offsets()));
        let rounds = shares.map(|share| {
            let lab = Arc::clone(&lab);
            async move {
                for (write_ms, logout_ms, kind) in share {
                    let slow = match kind {
                        0 => format!("POST /slow-set?k=k&v=v&ms={write_ms}"),
                        1 => format!("POST /slow-incr?k=k&ms={write_ms}"),
                        _ => format!("POST /save-then-sleep?k=k&v=v&ms={write_ms}"),
                    };
                    logout_during(&lab, &slow, Duration::from_millis(logout_ms.try_into().unwrap())).await;
                }
            }
        });
        at_once(rounds).await;
        let stats = lab.stats().await;
        assert_eq!((&stats["live"], &stats["panics"]), (&0.into(), &0.into()), "{}", lab.name);
        assert_ne!(stats["events"]["gone"], 0, "{}: no logout ever fell into a write", lab.name);
    })
    .await;
}

async fn logout_during(lab: &Arc<Lab>, slow: &str, after: Duration) {
    let mut browser = Browser::new(lab);
    browser.expect("POST /login?u=ada", r#"200 {"user":"ada"}"#).await;
    let cookie = browser.cookie();
    let (written, ended) = tokio::join!(send(lab, slow, &cookie), async {
        sleep(after).await;
        send(lab, "POST /logout", &cookie).await
    });
    assert_eq!(ended.text(), OK, "{}", lab.name);
    // The explicit save learns that the session is gone; a write at the end of a request dies with it, silently.
    assert!([200, 409].contains(&written.status), "{}: {slow}: {}", lab.name, written.status);
    let brought = written.cookie(COOKIE).filter(|cookie| !cookie.removes()).map(|cookie| cookie.value);
    for cookie in std::iter::once(cookie).chain(brought) {
        let me = send(lab, "GET /me", &cookie).await;
        assert_eq!((me.status, me.text().as_str()), (401, r#"{"user":null}"#), "{}: {slow}, {after:?}", lab.name);
        // Whatever is alive now was made after the logout, by nobody in particular.
        send(lab, "POST /logout", &cookie).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_requests_that_renew_at_once_exactly_one_cookie_is_alive() {
    on_all(&[], |lab| async move {
        for _ in 0..100 {
            let mut browser = Browser::new(&lab);
            browser.expect("POST /login?u=ada", r#"200 {"user":"ada"}"#).await;
            let cookie = browser.cookie();
            let (one, other) = tokio::join!(send(&lab, "POST /renew", &cookie), send(&lab, "POST /renew", &cookie));
            let mut alive = 0;
            let brought = [one, other].into_iter().filter_map(|response| response.cookie(COOKIE)).map(|new| new.value);
            for cookie in brought.chain([cookie]) {
                alive += usize::from(peek(&lab, &cookie).await == r#"{"user":"ada","k":null}"#);
            }
            assert_eq!(alive, 1, "{}", lab.name);
        }
        assert_eq!(lab.stats().await["live"], 100, "{}", lab.name);
    })
    .await;
}
