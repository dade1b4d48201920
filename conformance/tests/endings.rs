//! What ends sessions beyond their own cookie: revocations of those in cookies, and the limit of a subject's sessions. And
//! that no refusal of a store tells its password.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

mod common;
#[path = "faults/folder.rs"]
mod folder;

use std::sync::Arc;
use std::time::Duration;

use common::{Browser, LABS, Lab, NOBODY, SECRET, on_all, peek, refused};
use folder::Folder;
use tokio::time::sleep;

const OK: &str = r#"200 {"ok":true}"#;
const ADA: &str = r#"200 {"user":"ada"}"#;
const COOKIE_MODES: [&str; 2] = ["sealed:", "signed:"];

/// A store that several labs share.
fn shared(folder: &Folder) -> String {
    format!("sqlite:{}", folder.path().join("shared.db").display())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_revocations_are_kept_a_copied_cookie_ends_with_its_session() {
    for mode in COOKIE_MODES {
        on_all(&[("LAB_STORE", mode), ("LAB_REVOCATION", "memory:")], |lab| async move {
            let mut browser = Browser::new(&lab);
            browser.expect("POST /set?k=k&v=v", OK).await;
            for ending in ["POST /login?u=ada", "POST /renew", "POST /password?u=ada", "POST /logout"] {
                let copy = browser.cookie();
                assert_ne!(peek(&lab, &copy).await, NOBODY, "{}: {ending}", lab.name);
                assert_eq!(browser.send(ending).await.status, 200, "{}: {ending}", lab.name);
                assert_eq!(peek(&lab, &copy).await, NOBODY, "{}: {ending}", lab.name);
            }
            let stats = lab.stats().await;
            assert!(stats["events"]["revoked"].as_u64() >= Some(4), "{}: {stats}", lab.name);
            assert!(stats["revoke"].as_u64() >= Some(3) && stats["live"].is_null(), "{}: {stats}", lab.name);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_at_one_lab_is_known_at_all_and_after_a_restart() {
    for mode in COOKIE_MODES {
        let folder = Folder::new();
        let url = shared(&folder);
        let variables = [("LAB_STORE", mode), ("LAB_REVOCATION", url.as_str()), ("LAB_SECRETS", SECRET)];
        let start = || LABS.map(|(name, _)| Arc::new(Lab::start(name, &variables)));
        let labs = start();
        let mut browser = Browser::new(&labs[0]);
        browser.expect("POST /login?u=ada", ADA).await;
        let cookie = browser.cookie();
        for lab in &labs {
            assert_ne!(peek(lab, &cookie).await, NOBODY, "{mode} {}", lab.name);
        }
        browser.expect("POST /logout", OK).await;
        for lab in labs.iter().chain(&start()) {
            assert_eq!(peek(lab, &cookie).await, NOBODY, "{mode} {}", lab.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_limit_the_oldest_session_of_a_subject_ends() {
    on_all(&[("LAB_MAX_PER_SUBJECT", "2")], |lab| async move {
        let mut browsers = Vec::new();
        for _ in 0..3 {
            let mut browser = Browser::new(&lab);
            browser.expect("POST /login?u=ada", ADA).await;
            browsers.push(browser);
            sleep(Duration::from_millis(3)).await;
        }
        Browser::new(&lab).expect("POST /login?u=grace", r#"200 {"user":"grace"}"#).await;
        browsers[0].expect("GET /me", r#"401 {"user":null}"#).await;
        browsers[1].expect("GET /me", ADA).await;
        browsers[2].expect("GET /me", ADA).await;
        assert_eq!(lab.stats().await["live"], 3, "{}", lab.name);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_counts_the_sessions_at_all_labs_of_a_store() {
    let folder = Folder::new();
    let url = shared(&folder);
    let variables = [("LAB_STORE", url.as_str()), ("LAB_SECRETS", SECRET), ("LAB_MAX_PER_SUBJECT", "1")];
    let labs = LABS.map(|(name, _)| Arc::new(Lab::start(name, &variables)));
    let mut last: Option<Browser> = None;
    for lab in &labs {
        let mut browser = Browser::new(lab);
        browser.expect("POST /login?u=ada", ADA).await;
        if let Some(mut before) = last.replace(browser) {
            before.expect("GET /me", r#"401 {"user":null}"#).await;
        }
        sleep(Duration::from_millis(3)).await;
    }
    assert!(labs[0].stats().await["live"].is_null());
}

#[test]
fn no_refusal_of_a_store_tells_its_password() {
    for url in [
        "postgres://ada:hunter2@127.0.0.1:1/db",
        "mysql://ada:hunter2@127.0.0.1:1/db",
        "redis://:hunter2@127.0.0.1:1",
        "redis-cluster://:hunter2@127.0.0.1:1,127.0.0.1:2",
        "redis-sentinel://:hunter2@127.0.0.1:1/service",
        "redis://:hunter2@127.0.0.1:1?prefix=shop&hunter2",
        "sqlite:no/such/folder/hunter2.db?hunter2",
        "elsewhere://:hunter2@host",
    ] {
        for (variable, variables) in [
            ("LAB_STORE", &[("LAB_STORE", url)][..]),
            ("LAB_REVOCATION", &[("LAB_REVOCATION", url), ("LAB_STORE", "sealed:")]),
        ] {
            let output = refused("axum", variables);
            let line = String::from_utf8(output.stderr).unwrap();
            assert!(line.starts_with(&format!("{variable}: ")) && line.lines().count() == 1, "{url}: {line}");
            assert!(!line.contains("hunter2") && output.stdout.is_empty(), "{url}: {line}");
        }
    }
}
