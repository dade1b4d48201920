//! How long a session lives, how large it may be, under which secrets, and what a lab refuses to be.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Browser, COOKIE, LABS, Lab, NEWER_SECRET, NOBODY, SECRET, on_all, on_all_in_every_mode, peek, refused};
use tokio::time::sleep;

const OK: &str = r#"200 {"ok":true}"#;
const MINE: &str = r#"200 {"user":null,"k":"v"}"#;
const GONE: &str = r#"200 {"user":null,"k":null}"#;

async fn pause(millis: u64) {
    sleep(Duration::from_millis(millis)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_used_lives_on_and_one_that_is_not_ends() {
    on_all_in_every_mode(&[("LAB_IDLE_MS", "2000")], |lab| async move {
        let mut browser = Browser::new(&lab);
        browser.expect("POST /set?k=k&v=v", OK).await;
        for _ in 0..4 {
            pause(600).await;
            browser.expect("GET /peek?k=k", MINE).await;
        }
        pause(2_050).await;
        let response = browser.expect("GET /peek?k=k", GONE).await;
        assert_eq!(response.cookies(), [], "{}", lab.name);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_session_lives_longer_than_its_lifetime_however_much_it_is_used() {
    on_all_in_every_mode(&[("LAB_ABSOLUTE_MS", "2000")], |lab| async move {
        let mut browser = Browser::new(&lab);
        browser.expect("POST /set?k=k&v=v", OK).await;
        for _ in 0..3 {
            pause(300).await;
            browser.expect("GET /peek?k=k", MINE).await;
        }
        pause(1_150).await;
        browser.expect("GET /peek?k=k", GONE).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_frees_what_has_expired() {
    on_all(&[("LAB_IDLE_MS", "60000"), ("LAB_ABSOLUTE_MS", "300")], |lab| async move {
        for _ in 0..3 {
            Browser::new(&lab).expect("POST /set?k=k&v=v", OK).await;
        }
        assert_eq!(lab.stats().await["live"], 3, "{}", lab.name);
        pause(350).await;
        assert_eq!(lab.stats().await["live"], 0, "{}", lab.name);
        assert_eq!(lab.sweep().await, r#"{"swept":3}"#, "{}", lab.name);
        assert_eq!(lab.sweep().await, r#"{"swept":0}"#, "{}", lab.name);
        let stats = lab.stats().await;
        assert_eq!((&stats["sweep"], &stats["create"]), (&2.into(), &3.into()), "{}", lab.name);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_counters_are_those_of_the_store_and_live_is_null_without_one() {
    on_all_in_every_mode(&[], |lab| async move {
        Browser::new(&lab).expect("POST /set?k=k&v=v", OK).await;
        let stats = lab.stats().await;
        let stored = if stats["live"].is_null() { 0 } else { 1 };
        assert_eq!(stats["live"].as_u64().unwrap_or_default(), stored, "{}", lab.name);
        for (counter, count) in [("create", stored), ("panics", 0)] {
            assert_eq!(stats[counter], count, "{}: {counter}", lab.name);
        }
        for counter in ["load", "update", "touch", "rename", "delete", "sweep"] {
            assert_eq!(stats[counter], 0, "{}: {counter}", lab.name);
        }
        assert_eq!((&stats["events"]["created"], &stats["events"]["gone"]), (&1.into(), &0.into()), "{}", lab.name);
    })
    .await;
    let null = |mode| async move { Lab::start("axum", &[("LAB_STORE", mode)]).stats().await["live"].is_null() };
    assert!(!null("memory:").await && null("sealed:").await && null("signed:").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_does_not_touch_the_session_asks_no_store() {
    on_all(&[], |lab| async move {
        let mut browser = Browser::new(&lab);
        browser.expect("POST /set?k=k&v=v", OK).await;
        let before = lab.stats().await;
        for _ in 0..10 {
            let response = browser.expect("GET /none", OK).await;
            assert!(response.cookies().is_empty() && response.header("vary").is_none(), "{}", lab.name);
        }
        assert_eq!(lab.stats().await, before, "{}", lab.name);
        browser.expect("GET /peek?k=k", MINE).await;
        let after = lab.stats().await;
        let grown = |verb: &str| after[verb].as_u64().unwrap() - before[verb].as_u64().unwrap();
        assert_eq!((grown("load"), grown("touch"), grown("update")), (1, 1, 0), "{}", lab.name);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persistent_cookie_carries_the_lifetime_that_is_left() {
    on_all_in_every_mode(&[("LAB_PERSISTENT", "1"), ("LAB_ABSOLUTE_MS", "3600000")], |lab| async move {
        let mut browser = Browser::new(&lab);
        let cookie = browser.expect("POST /set?k=k&v=v", OK).await.cookie(COOKIE).unwrap();
        let max_age: u64 = cookie.attribute("max-age").unwrap().parse().unwrap();
        assert!((3_570..=3_600).contains(&max_age), "{}: {max_age}", lab.name);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cookie_attributes_are_those_of_the_variables() {
    let variables = [
        ("LAB_COOKIE", "__Secure-shop"),
        ("LAB_DOMAIN", "example.com"),
        ("LAB_PATH", "/app"),
        ("LAB_SAMESITE", "none"),
        ("LAB_PARTITIONED", "1"),
        ("LAB_HTTP_ONLY", "0"),
    ];
    on_all(&variables, |lab| async move {
        let mut browser = Browser::new(&lab);
        let set = browser.expect("POST /set?k=k&v=v", OK).await.cookie("__Secure-shop").unwrap();
        let removed = browser.expect("POST /logout", OK).await.cookie("__Secure-shop").unwrap();
        for cookie in [&set, &removed] {
            assert_eq!(cookie.attribute("domain"), Some("example.com"), "{}", lab.name);
            assert_eq!(cookie.attribute("path"), Some("/app"), "{}", lab.name);
            assert_eq!(cookie.attribute("samesite"), Some("None"), "{}", lab.name);
            assert!(cookie.has("secure") && cookie.has("partitioned") && !cookie.has("httponly"), "{}", lab.name);
        }
        assert!(!set.has("max-age") && !set.removes() && removed.removes(), "{}", lab.name);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_rotate_without_logging_anybody_out() {
    for mode in ["sealed:", "signed:"] {
        for (name, _) in LABS {
            // So that a reading request sets the cookie for one reason only.
            let start = |secrets: &str| {
                Arc::new(Lab::start(name, &[("LAB_STORE", mode), ("LAB_SECRETS", secrets), ("LAB_TOUCH_MS", "60000")]))
            };
            let mut browser = Browser::new(&start(SECRET));
            browser.expect("POST /set?k=k&v=v", OK).await;
            let old = browser.cookie();

            browser.lab = start(&format!("{NEWER_SECRET},{SECRET}"));
            browser.expect("GET /peek?k=k", MINE).await;
            let new = browser.cookie();
            assert_ne!(old, new, "{mode} {name}");
            assert_eq!(browser.expect("GET /peek?k=k", MINE).await.cookies(), [], "{mode} {name}");

            let lab = start(NEWER_SECRET);
            assert_eq!(peek(&lab, &old).await, NOBODY, "{mode} {name}");
            assert_eq!(format!("200 {}", peek(&lab, &new).await), MINE, "{mode} {name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_one_lab_is_a_session_of_all() {
    for mode in ["sealed:", "signed:"] {
        let labs = LABS.map(|(name, _)| Arc::new(Lab::start(name, &[("LAB_STORE", mode), ("LAB_SECRETS", SECRET)])));
        for maker in &labs {
            let mut browser = Browser::new(maker);
            browser.expect("POST /login?u=ada", r#"200 {"user":"ada"}"#).await;
            browser.expect("POST /set?k=k&v=%C3%A9", r#"200 {"ok":true}"#).await;
            for (n, reader) in labs.iter().enumerate() {
                browser.lab = Arc::clone(reader);
                browser.expect("GET /peek?k=k", "200 {\"user\":\"ada\",\"k\":\"\u{e9}\"}").await;
                browser.expect("POST /incr?k=n", &format!(r#"200 {{"v":{}}}"#, n + 1)).await;
            }
        }
        // Another application, another cookie name: the same bytes are nothing.
        for variable in [("LAB_APP", "shop"), ("LAB_COOKIE", "__Host-other")] {
            let mut browser = Browser::new(&labs[0]);
            browser.expect("POST /set?k=k&v=v", OK).await;
            let token = browser.cookie();
            let other = Lab::start("axum", &[("LAB_STORE", mode), ("LAB_SECRETS", SECRET), variable]);
            let line = format!("{COOKIE}={token}; __Host-other={token}");
            let response = other.client.get("/peek?k=k").header("cookie", line).send().await.unwrap();
            assert_eq!(response.text(), NOBODY, "{mode} {variable:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_refuses_new_guests_and_nobody_else() {
    on_all(&[("LAB_MAX_SESSIONS", "2")], |lab| async move {
        let mut first = Browser::new(&lab);
        first.expect("POST /set?k=k&v=v", OK).await;
        Browser::new(&lab).expect("POST /set?k=k&v=v", OK).await;
        let mut third = Browser::new(&lab);
        let response = third.expect("POST /set?k=k&v=v", "503 ").await;
        assert_eq!(response.cookies(), [], "{}", lab.name);
        third.expect("POST /login?u=ada", r#"200 {"user":"ada"}"#).await;
        first.expect("POST /incr?k=n", r#"200 {"v":1}"#).await;
        assert_eq!(lab.stats().await["live"], 3, "{}", lab.name);
        first.expect("POST /logout", OK).await;
        third.expect("POST /logout", OK).await;
        third.expect("POST /set?k=k&v=v", OK).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_too_large_is_an_error_and_the_one_before_stays() {
    on_all(&[("LAB_MAX_BYTES", "200")], |lab| async move {
        let mut browser = Browser::new(&lab);
        browser.expect("POST /set?k=k&v=v", OK).await;
        let response = browser.expect("POST /big?n=150", "500 ").await;
        assert_eq!(response.cookies(), [], "{}", lab.name);
        browser.expect("GET /has?k=big", r#"200 {"v":false}"#).await;
        browser.expect("POST /big?n=15", OK).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_a_cookie_cannot_hold_is_an_error_and_the_old_cookie_stays() {
    for mode in ["sealed:", "signed:"] {
        on_all(&[("LAB_STORE", mode), ("LAB_SECRETS", SECRET)], |lab| async move {
            let mut browser = Browser::new(&lab);
            browser.expect("POST /set?k=k&v=v", OK).await;
            let response = browser.expect("POST /big?n=5000", "500 ").await;
            assert_eq!(response.cookies(), [], "{}", lab.name);
            browser.expect("GET /peek?k=k", MINE).await;
            browser.expect("GET /has?k=big", r#"200 {"v":false}"#).await;
            let response = browser.expect("POST /big?n=1500", OK).await;
            assert!(response.all("set-cookie")[0].len() <= 4_096, "{}", lab.name);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d23_every_session_is_told_once_when_it_begins_and_once_when_it_ends() {
    for variables in [&[][..], &[("LAB_STORE", "sealed:"), ("LAB_REVOCATION", "memory:")]] {
        on_all(variables, |lab| async move {
            for _ in 0..5 {
                let mut browser = Browser::new(&lab);
                browser.expect("POST /login?u=ada", r#"200 {"user":"ada"}"#).await;
                browser.expect("POST /renew", OK).await;
                let cookie = browser.cookie();
                let leave = || browser.request("POST /logout").cookie(COOKIE, &cookie).send();
                let (one, other, late) = tokio::join!(leave(), leave(), leave());
                assert!([one, other, late].into_iter().all(|response| response.unwrap().status == 200), "{}", lab.name);
            }
            let events = &lab.stats().await["events"];
            assert_eq!((&events["created"], &events["destroyed"]), (&5.into(), &5.into()), "{}: {events}", lab.name);
        })
        .await;
    }
}

#[test]
fn a_refused_configuration_is_one_line_and_no_lab() {
    let cases: [&[(&str, &str)]; 16] = [
        &[("LAB_BIND", "localhost")],
        &[("LAB_ADMIN", "9")],
        &[("LAB_STORE", "files:")],
        &[("LAB_STORE", "redis://127.0.0.1:1")],
        &[("LAB_SECRETS", "correct horse battery staple")],
        &[("LAB_COOKIE", "a b")],
        &[("LAB_DOMAIN", "example.com")],
        &[("LAB_SAMESITE", "Lax")],
        &[("LAB_SECURE", "yes")],
        &[("LAB_IDLE_MS", "soon")],
        &[("LAB_TOUCH_MS", "1800000")],
        &[("LAB_REVOCATION", "memory:")],
        &[("LAB_BIND_UA", "sometimes")],
        &[("LAB_CROSS_ORIGIN", "yes")],
        &[("LAB_MAX_PER_SUBJECT", "0")],
        &[("LAB_STORE_TIMEOUT_MS", "-1")],
    ];
    for (name, _) in LABS {
        for variables in cases {
            let output = refused(name, variables);
            let line = String::from_utf8(output.stderr).unwrap();
            assert!(!output.status.success(), "{name} {variables:?}");
            assert!(line.starts_with(&format!("{}: ", variables[0].0)), "{name} {variables:?}: {line}");
            assert!(line.ends_with('\n') && line.lines().count() == 1, "{name} {variables:?}: {line}");
            assert!(output.stdout.is_empty(), "{name} {variables:?}");
        }
        let plain = refused(name, &[("LAB_SECURE", "0")]);
        assert!(String::from_utf8(plain.stderr).unwrap().starts_with("LAB_COOKIE: "), "{name}");
    }
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (name, _) in LABS {
        for variable in ["LAB_BIND", "LAB_ADMIN"] {
            let output = refused(name, &[(variable, &address), ("LAB_SECRETS", SECRET), ("RUST_LOG", "error")]);
            let line = String::from_utf8(output.stderr).unwrap();
            assert!(!output.status.success() && output.stdout.is_empty(), "{name} {variable}");
            assert!(line.starts_with(&format!("{variable}: ")) && line.lines().count() == 1, "{name}: {line}");
        }
    }
}
