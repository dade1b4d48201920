//! Acceptance scenarios, continued: how long sessions live, what becomes of those that are over, and how large they may be. What
//! these scenarios are is said in `scenarios_basics.rs`.
//!
//! Where a test waits for a deadline it waits a third of a second longer, and what has to be alive is asked for more than half a
//! second before its own.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

mod common;
#[path = "faults/folder.rs"]
mod folder;
mod scenarios;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Browser, LABS, Lab, NEWER_SECRET, PATIENT, SECRET};
use folder::Folder;
use scenarios::{
    ANONYMOUS, Kept, MINE, NOTHING, OK, Place, at, copy, event, everywhere, everywhere_without_revocations, logged_in,
    pause, redis, set_cookie, tells,
};

#[tokio::test(flavor = "multi_thread")]
async fn d17_expire_after_thirty_days() {
    const DAYS_30: u64 = 2_592_000;
    everywhere(|place| async move {
        let month = (DAYS_30 * 1_000).to_string();
        let days = [("LAB_PERSISTENT", "1"), ("LAB_ABSOLUTE_MS", &month), ("LAB_IDLE_MS", &month)];
        let cookie = set_cookie(&Browser::new(&place.with(&days).start()).expect("POST /set?k=k&v=v", OK).await);
        let max_age: u64 = cookie.attribute("max-age").unwrap().parse().unwrap();
        assert!((DAYS_30 - 5..=DAYS_30).contains(&max_age), "{place:?}: {max_age}");

        // A month of one and a half seconds. The jar here never drops a cookie by itself.
        let lab = place.with(&[("LAB_PERSISTENT", "1"), ("LAB_ABSOLUTE_MS", "1500")]).start();
        let mut browser = Browser::new(&lab);
        browser.expect("POST /set?k=k&v=v", OK).await;
        browser.expect("GET /peek?k=k", MINE).await;
        pause(1_850).await;
        assert_eq!(browser.expect("GET /peek?k=k", NOTHING).await.cookies(), [], "{place:?}");
        let told = [event(&lab, "expired").await, event(&lab, "unknown").await];
        assert_eq!(told.iter().sum::<u64>(), 1, "{place:?}: {told:?}");
    })
    .await;
}

/// A session that is made, found by its cookie, asked for what it has and hasn't, emptied, and over after its time; and one that
/// nobody knows. There is no way to end everybody's sessions but a new secret, which does it at once.
#[tokio::test(flavor = "multi_thread")]
async fn d24_create_load_clear_and_size() {
    everywhere(|place| async move {
        let lab = place.with(&[("LAB_IDLE_MS", "2000")]).start();
        let mut browser = Browser::new(&lab);
        let cookie = set_cookie(&browser.expect("POST /set?k=k&v=v", OK).await);
        assert!(cookie.has("httponly") && !cookie.value.is_empty(), "{place:?}");
        copy(&browser).expect("GET /peek?k=k", MINE).await;
        for (target, v) in [("/has?k=k", "true"), ("/has?k=other", "false"), ("/len", "1"), ("/is-empty", "false")] {
            browser.expect(&format!("GET {target}"), &format!(r#"200 {{"v":{v}}}"#)).await;
        }
        browser.expect("GET /peek?k=other", NOTHING).await;
        place.holds(&lab, 1).await;
        // Emptied, it is still a session.
        browser.expect("POST /del?k=k", OK).await;
        browser.expect("GET /is-empty", r#"200 {"v":true}"#).await;
        place.holds(&lab, 1).await;
        browser.expect("POST /set?k=k&v=v", OK).await;
        assert_eq!(event(&lab, "created").await, 1, "{place:?}");
        pause(2_350).await;
        browser.expect("GET /len", r#"200 {"v":0}"#).await;
        browser.expect("GET /peek?k=k", NOTHING).await;
        place.holds(&lab, 0).await;

        // Of several the store has as many, until all of somebody's are ended.
        let [mut one, mut other] = [logged_in(&lab, "ada").await, logged_in(&lab, "ada").await];
        place.holds(&lab, 2).await;
        let ended = if place.kept == Kept::Cookies { "null" } else { "2" };
        one.expect("POST /logout-all?u=ada", &format!(r#"200 {{"ended":{ended}}}"#)).await;
        place.holds(&lab, 0).await;
        // Theirs are cookies of ours that nobody knows any more: no session, and no error.
        for browser in [&mut one, &mut other] {
            assert_eq!(browser.expect("GET /len", r#"200 {"v":0}"#).await.cookies(), [], "{place:?}");
            browser.expect("GET /me", ANONYMOUS).await;
        }
        let told = [event(&lab, "unknown").await, event(&lab, "revoked").await, event(&lab, "expired").await];
        assert!(told.iter().sum::<u64>() >= 4 && event(&lab, "forged").await == 0, "{place:?}: {told:?}");

        let last = logged_in(&lab, "eve").await;
        let renewed = place.with(&[("LAB_SECRETS", NEWER_SECRET)]).start();
        at(&renewed, &last).expect("GET /me", ANONYMOUS).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d25_expired_entries_are_removed() {
    everywhere_without_revocations(|place| async move {
        let lab = place.with(&[("LAB_IDLE_MS", "2000")]).start();
        let mut kept = Browser::new(&lab);
        kept.expect("POST /set?k=k&v=v", OK).await;
        for _ in 0..3 {
            Browser::new(&lab).expect("POST /set?k=k&v=v", OK).await;
        }
        let abandoned = Instant::now();
        place.holds(&lab, 4).await;
        while abandoned.elapsed() < Duration::from_millis(2_350) {
            pause(400).await;
            kept.expect("GET /peek?k=k", MINE).await;
        }
        // Whoever counts finds the living only, and a sweep takes away the others: Redis drops them by itself, and of sessions in
        // cookies there are none to drop.
        place.holds(&lab, 1).await;
        let swept = if place.kept == Kept::Memory { 3 } else { 0 };
        assert_eq!(lab.sweep().await, format!(r#"{{"swept":{swept}}}"#), "{place:?}");
        assert_eq!(lab.sweep().await, r#"{"swept":0}"#, "{place:?}");
        place.holds(&lab, 1).await;
        kept.expect("GET /peek?k=k", MINE).await;
    })
    .await;
    common::at_once(LABS.map(|(name, _)| memory_comes_back_by_itself(name))).await;
    let folder = Folder::new();
    common::at_once(LABS.map(|(name, _)| {
        let table = format!("sqlite:{}", folder.path().join(format!("{name}.db")).display());
        let keeping = redis().map(|redis| format!("{}?keep_expired_s=60", redis.fresh_database()));
        async move {
            for url in [Some(table), keeping].into_iter().flatten() {
                a_sweep_takes_what_has_expired_and_tells_of_it(name, &url).await;
            }
        }
    }))
    .await;
}

/// Nobody sweeps: what has expired makes room for who comes next.
async fn memory_comes_back_by_itself(name: &'static str) {
    let place = Place::new(Kept::Memory, name, "memory:");
    let lab = place.with(&[("LAB_IDLE_MS", "2000"), ("LAB_MAX_SESSIONS", "20")]).start();
    for _ in 0..2 {
        for _ in 0..20 {
            Browser::new(&lab).expect("POST /set?k=k&v=v", OK).await;
        }
        assert_eq!(Browser::new(&lab).send("POST /set?k=k&v=v").await.status, 503, "{place:?}: beyond its room");
        place.holds(&lab, 20).await;
        pause(2_350).await;
        place.holds(&lab, 0).await;
    }
    Browser::new(&lab).expect("POST /set?k=k&v=v", OK).await;
    assert_eq!(lab.sweep().await, r#"{"swept":0}"#, "{place:?}: what had expired was still there");
}

/// Where nothing frees it by itself: in a table, and in Redis if it keeps what has expired.
async fn a_sweep_takes_what_has_expired_and_tells_of_it(name: &'static str, url: &str) {
    let [short, long] = ["1500", "60000"].map(|idle| {
        let kept = [("LAB_STORE", url), ("LAB_SECRETS", SECRET), ("LAB_IDLE_MS", idle), PATIENT];
        Arc::new(Lab::start(name, &kept))
    });
    let mut kept = Browser::new(&long);
    kept.expect("POST /set?k=k&v=v", OK).await;
    let mut late = Browser::new(&short);
    late.expect("POST /set?k=k&v=v", OK).await;
    for _ in 0..2 {
        Browser::new(&short).expect("POST /set?k=k&v=v", OK).await;
    }
    pause(1_850).await;
    late.expect("GET /peek?k=k", NOTHING).await;
    assert_eq!([event(&short, "expired").await, event(&short, "unknown").await], [1, 0], "{name}: {url}");
    assert_eq!(long.sweep().await, r#"{"swept":3}"#, "{name}: {url}");
    assert_eq!(long.sweep().await, r#"{"swept":0}"#, "{name}: {url}");
    assert_eq!([event(&long, "swept").await, event(&short, "swept").await], [3, 0], "{name}: {url}");
    late.expect("GET /peek?k=k", NOTHING).await;
    assert_eq!([event(&short, "expired").await, event(&short, "unknown").await], [1, 1], "{name}: {url}");
    kept.expect("GET /peek?k=k", MINE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d27_sliding_timeout() {
    let idle = everywhere(|place| async move {
        let lab = place.with(&[("LAB_IDLE_MS", "2000")]).start();
        let mut browser = Browser::new(&lab);
        browser.expect("POST /set?k=k&v=v", OK).await;
        // Together they are longer than the timeout.
        for _ in 0..3 {
            pause(1_200).await;
            browser.expect("GET /peek?k=k", MINE).await;
        }
        pause(2_350).await;
        browser.expect("GET /peek?k=k", NOTHING).await;
    });
    let absolute = everywhere(|place| async move {
        let lab = place.with(&[("LAB_IDLE_MS", "2000"), ("LAB_ABSOLUTE_MS", "4000")]).start();
        let mut browser = Browser::new(&lab);
        browser.expect("POST /set?k=k&v=v", OK).await;
        let made = Instant::now();
        for _ in 0..4 {
            pause(750).await;
            browser.expect("GET /peek?k=k", MINE).await;
        }
        pause(4_350_u64.saturating_sub(made.elapsed().as_millis().try_into().unwrap())).await;
        browser.expect("GET /peek?k=k", NOTHING).await;
    });
    tokio::join!(idle, absolute);
}

#[tokio::test(flavor = "multi_thread")]
async fn d29_a_cookie_session_over_four_kilobytes() {
    async fn put_five_kilobytes(place: Place) {
        let lab = place.start();
        let mut browser = Browser::new(&lab);
        browser.expect("POST /set?k=k&v=v", OK).await;
        let small = browser.jar.clone();
        let response = browser.send("POST /big?n=5120").await;
        let refused = place.kept == Kept::Cookies;
        assert_eq!(response.status, if refused { 500 } else { 200 }, "{place:?}");
        if refused {
            // The application is told, and what was there is there.
            assert_eq!((response.cookies(), &browser.jar), (vec![], &small), "{place:?}");
            tells(&lab, "4096").await;
        }
        browser.expect("GET /has?k=big", &format!(r#"200 {{"v":{}}}"#, !refused)).await;
        browser.expect("GET /peek?k=k", MINE).await;
    }
    everywhere(put_five_kilobytes).await;
    common::at_once(LABS.map(|(name, _)| put_five_kilobytes(Place::new(Kept::Cookies, name, "signed:")))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d31_permanent_or_browser_session() {
    const DAYS_31: u64 = 2_678_400;
    everywhere(|place| async move {
        let month = (DAYS_31 * 1_000).to_string();
        let permanent = place.with(&[("LAB_PERSISTENT", "1"), ("LAB_ABSOLUTE_MS", &month), ("LAB_IDLE_MS", &month)]);
        let lab = permanent.start();
        let mut browser = Browser::new(&lab);
        let set = set_cookie(&browser.expect("POST /set?k=k&v=v", OK).await);
        let left =
            |cookie: &session_testing::http::SetCookie| cookie.attribute("max-age").unwrap().parse::<u64>().unwrap();
        assert!((DAYS_31 - 5..=DAYS_31).contains(&left(&set)), "{place:?}: {set:?}");
        // It is the end of the lifetime that counts, so the cookie needn't come again; one that holds the session does.
        let again = browser.expect("GET /peek?k=k", MINE).await.cookie(common::COOKIE);
        assert_eq!(again.is_some(), place.kept == Kept::Cookies, "{place:?}");
        assert!(again.is_none_or(|cookie| (DAYS_31 - 5..=DAYS_31).contains(&left(&cookie))), "{place:?}");
        let renewed = set_cookie(&browser.expect("POST /renew", OK).await);
        assert!((DAYS_31 - 5..=DAYS_31).contains(&left(&renewed)), "{place:?}");

        let lab = place.with(&[("LAB_PERSISTENT", "0")]).start();
        let mut browser = Browser::new(&lab);
        for line in ["POST /set?k=k&v=v", "POST /renew", "POST /login?u=ada"] {
            let cookie = set_cookie(&browser.send(line).await);
            assert!(!cookie.has("max-age") && !cookie.has("expires"), "{place:?}: {line}: {cookie:?}");
        }
    })
    .await;
}
