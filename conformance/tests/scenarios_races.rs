//! Acceptance scenarios, continued: requests that meet, and a store that fails. What these scenarios are is said in
//! `scenarios_basics.rs`.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

mod common;
mod scenarios;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Browser, LABS, Lab, at_once};
use scenarios::{
    ANONYMOUS, Kept, NOTHING, OK, Place, copy, event, everywhere, everywhere_without_revocations_in_turn, logged_in,
    pause, tells,
};
use session_testing::http::Response;
use session_testing::servers::Redis;
use tokio::sync::Barrier;

/// The places where something can fail: all labs on this server, with sessions or with revocations in it.
fn places_at(redis: &Redis) -> Vec<Place> {
    let stored = LABS.map(|(name, _)| Place::new(Kept::Redis, name, &redis.fresh_database()));
    let revoked = LABS.map(|(name, _)| {
        Place::new(Kept::Cookies, name, "sealed:").with(&[("LAB_REVOCATION", &redis.fresh_database())])
    });
    stored.into_iter().chain(revoked).collect()
}

/// Asks until it isn't 503 any more: the first request after a fault may find that its connection is lost.
async fn recovered(browser: &mut Browser, line: &str) -> Response {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let response = browser.send(line).await;
        if response.status != 503 {
            return response;
        }
        assert!(Instant::now() < until, "{}: {line} has not recovered", browser.lab.name);
        pause(20).await;
    }
}

/// A logout that the store refuses to carry out, because this user of it may read only, or because it is not there: it is
/// reported, and session and cookie remain. Memory doesn't fail.
#[tokio::test(flavor = "multi_thread")]
async fn d03_clear_fails() {
    for (name, _) in LABS {
        let lab = Place::new(Kept::Memory, name, "memory:").start();
        logged_in(&lab, "ada").await.expect("POST /logout", OK).await;
    }
    let Some(redis) = Redis::start() else { return };
    let places = places_at(&redis);
    let mut browsers = Vec::new();
    for place in places {
        browsers.push((logged_in(&place.start(), "ada").await, place));
    }
    // What ends a session in Redis, and what ends one in a cookie.
    redis.ask(&["ACL", "SETUSER", "default", "-del", "-set"]).unwrap();
    for (browser, place) in &mut browsers {
        let before = browser.jar.clone();
        assert_eq!(browser.send("POST /logout").await.status, 503, "{place:?}");
        assert_eq!(browser.jar, before, "{place:?}");
    }
    redis.ask(&["ACL", "SETUSER", "default", "+del", "+set"]).unwrap();
    for (browser, place) in &mut browsers {
        let deed = if place.kept == Kept::Redis { "deleting" } else { "revoking" };
        tells(&browser.lab, &format!("{deed} a session failed")).await;
        assert_eq!(event(&browser.lab, "destroyed").await, 0, "{place:?}");
        assert_eq!(recovered(browser, "GET /me").await.text(), r#"{"user":"ada"}"#, "{place:?}");
    }
    redis.kill();
    for (browser, place) in &mut browsers {
        let before = browser.jar.clone();
        assert_eq!(browser.send("POST /logout").await.status, 503, "{place:?}");
        assert_eq!(browser.jar, before, "{place:?}");
    }
    redis.restart();
    for (browser, place) in &mut browsers {
        assert_eq!(recovered(browser, "GET /me").await.text(), r#"{"user":"ada"}"#, "{place:?}");
        let mut copied = copy(browser);
        let ended = recovered(browser, "POST /logout").await;
        assert!(ended.status == 200 && ended.cookies()[0].removes(), "{place:?}: {}", ended.status);
        copied.expect("GET /me", ANONYMOUS).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d26_no_cross_talk() {
    const USERS: usize = 100;
    // Place after place, so that the thousand requests of each meet.
    everywhere_without_revocations_in_turn(|place| async move {
        let lab = place.with(&[("LAB_TOUCH_MS", "60000")]).start();
        let all_are_here = Arc::new(Barrier::new(USERS));
        at_once((0..USERS).map(|n| comes_and_goes(Arc::clone(&lab), n, Arc::clone(&all_are_here)))).await;
        assert_eq!([event(&lab, "created").await, event(&lab, "ambiguous").await], [100, 0], "{place:?}");
        place.holds(&lab, 100).await;
        assert_eq!(lab.stats().await["panics"], 0, "{place:?}");
    })
    .await;
}

/// A user, who logs in, and when all have done so sends ten requests at once. Every other one is without the cookie.
async fn comes_and_goes(lab: Arc<Lab>, n: usize, all_are_here: Arc<Barrier>) {
    let mut browser = logged_in(&lab, &format!("user-{n}")).await;
    Browser::new(&lab).expect("GET /me", ANONYMOUS).await;
    browser.expect(&format!("POST /set?k=k&v=value-{n}"), OK).await;
    let mine = format!(r#"200 {{"user":"user-{n}","k":"value-{n}"}}"#);
    all_are_here.wait().await;
    at_once((0..10).map(|turn| {
        let (own, mine) = (turn % 2 == 0, mine.clone());
        let mut browser = if own { copy(&browser) } else { Browser::new(&lab) };
        async move {
            let response = browser.expect("GET /peek?k=k", if own { &mine } else { NOTHING }).await;
            assert_eq!(response.cookies(), [], "{}", browser.lab.name);
        }
    }))
    .await;
    browser.expect("GET /me", &format!(r#"200 {{"user":"user-{n}"}}"#)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d34_race_of_logout_and_slow_request() {
    everywhere(|place| async move {
        let lab = place.start();
        for slow in ["POST /slow-set?k=k&v=v&ms=900", "POST /slow-incr?k=n&ms=900"] {
            let mut browser = logged_in(&lab, "ada").await;
            let (mut one, mut old) = (copy(&browser), copy(&browser));
            let (written, ()) = tokio::join!(one.send(slow), async {
                pause(400).await;
                browser.expect("POST /logout", OK).await;
            });
            // The write dies with its session. One in a cookie comes as a cookie, and that is dead.
            assert_eq!(written.status, 200, "{place:?}: {slow}");
            assert_eq!(written.cookies().len(), usize::from(place.kept == Kept::Cookies), "{place:?}: {slow}");
            for browser in [&mut one, &mut old, &mut browser] {
                browser.expect("GET /me", ANONYMOUS).await;
                browser.expect("GET /peek?k=k", NOTHING).await;
            }
            place.holds(&lab, 0).await;
        }
        let gone = if place.kept == Kept::Cookies { 0 } else { 2 };
        assert_eq!(event(&lab, "gone").await, gone, "{place:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d35_race_of_two_writers() {
    everywhere(|place| async move {
        let lab = place.start();
        let mut browser = Browser::new(&lab);
        browser.expect("POST /set?k=first&v=v", OK).await;
        let (mut one, mut other) = (copy(&browser), copy(&browser));
        tokio::join!(
            one.expect("POST /slow-set?k=a&v=1&ms=600", OK),
            other.expect("POST /slow-set?k=b&v=2&ms=600", OK)
        );
        if place.kept == Kept::Cookies {
            // Of two cookies the one that comes last is the session: each has its own write, and what was there before.
            for (browser, key) in [(&mut one, "a"), (&mut other, "b")] {
                browser.expect("GET /keys", &format!(r#"200 {{"v":["{key}","first"]}}"#)).await;
            }
            return;
        }
        browser.expect("GET /keys", r#"200 {"v":["a","b","first"]}"#).await;
        assert_ne!(event(&lab, "conflict").await, 0, "{place:?}: they never met");
        let increments =
            (0..5).map(|_| {
                let mut browser = copy(&browser);
                async move {
                    assert_eq!(browser.send("POST /slow-incr?k=n&ms=300").await.status, 200, "{}", browser.lab.name)
                }
            });
        at_once(increments).await;
        browser.expect("GET /peek?k=n", r#"200 {"user":null,"k":5}"#).await;
    })
    .await;
}

/// The store hangs: who has a session is told to come later, in the time that the store has, and keeps it; who needs no store
/// sees nothing of it.
#[tokio::test(flavor = "multi_thread")]
async fn d36_store_outage() {
    let Some(redis) = Redis::start() else { return };
    let redis = Arc::new(redis);
    let mut places = places_at(&redis);
    // These need no store, so for them there is no outage.
    places.extend(LABS.map(|(name, _)| Place::new(Kept::Memory, name, "memory:")));
    places.extend(LABS.map(|(name, _)| Place::new(Kept::Cookies, name, "sealed:")));
    let mut browsers = Vec::new();
    for place in places {
        let browser = logged_in(&place.with(&[("LAB_STORE_TIMEOUT_MS", "400")]).start(), "ada").await;
        browsers.push((browser, place));
    }
    redis.stop();
    at_once(browsers.iter().map(|(browser, place)| during_the_outage(copy(browser), place.clone()))).await;
    redis.resume();
    for (browser, place) in &mut browsers {
        assert_eq!(recovered(browser, "GET /me").await.text(), r#"{"user":"ada"}"#, "{place:?}");
        assert_eq!(recovered(browser, "POST /set?k=k&v=v").await.status, 200, "{place:?}");
        browser.expect("GET /peek?k=k", r#"200 {"user":"ada","k":"v"}"#).await;
        assert_eq!(browser.lab.stats().await["panics"], 0, "{place:?}");
    }
}

async fn during_the_outage(mut browser: Browser, place: Place) {
    let lab = Arc::clone(&browser.lab);
    let fails = place.needs_redis();
    let before = lab.stats().await;
    for line in ["GET /me", "POST /set?k=k&v=v", "GET /stream"] {
        let (asked, jar) = (Instant::now(), browser.jar.clone());
        let response = browser.send(line).await;
        assert_eq!(response.status, if fails { 503 } else { 200 }, "{place:?}: {line}");
        assert!(asked.elapsed() < Duration::from_secs(5), "{place:?}: {line} took {:?}", asked.elapsed());
        assert!(!fails || browser.jar == jar, "{place:?}: {line}: the cookie has changed");
    }
    // A page without a session, and a visitor without a cookie.
    browser.expect("GET /none", OK).await;
    let mut guest = Browser::new(&lab);
    guest.expect("GET /peek?k=k", NOTHING).await;
    guest.expect("GET /me", ANONYMOUS).await;
    let after = lab.stats().await;
    let asked = |verb: &str| after[verb].as_u64().unwrap() - before[verb].as_u64().unwrap();
    let expected = match (place.kept, fails) {
        (Kept::Cookies, false) => 0,
        _ => 3,
    };
    assert_eq!(asked("load") + asked("is_revoked"), expected, "{place:?}");
    // Whoever watches the counters sees it.
    assert_eq!(asked("failed"), if fails { expected } else { 0 }, "{place:?}");
    if fails {
        tells(&lab, "the session store failed").await;
    }
}
