//! Devices, passwords, structs, messages and form tokens, at all labs and for every kind of session.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

mod common;

use std::sync::Arc;

use common::{Browser, Lab, SECRET, on_all, on_all_in_every_mode};
use serde_json::Value;

const OK: &str = r#"200 {"ok":true}"#;
const ADA: &str = r#"200 {"user":"ada"}"#;
const NOBODY: &str = r#"401 {"user":null}"#;

async fn logged_in(lab: &Arc<Lab>, user: &str) -> Browser {
    let mut browser = Browser::new(lab);
    browser.expect(&format!("POST /login?u={user}"), &format!(r#"200 {{"user":"{user}"}}"#)).await;
    browser
}

async fn value(browser: &mut Browser, line: &str) -> Value {
    let response = browser.send(line).await;
    assert_eq!(response.status, 200, "{}: {line}", browser.lab.name);
    serde_json::from_slice(&response.body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_are_listed_and_ended() {
    on_all(&[], |lab| async move {
        let (mut phone, mut laptop) = (logged_in(&lab, "ada").await, logged_in(&lab, "ada").await);
        let mut bob = logged_in(&lab, "bob").await;
        let devices = value(&mut laptop, "GET /devices").await["v"].clone();
        let [newer, older] = devices.as_array().unwrap().as_slice() else { panic!("{}: {devices}", lab.name) };
        let current = [newer, older].map(|device| device["current"].as_bool().unwrap());
        assert!(current[0] != current[1], "{}: {devices}", lab.name);
        for device in [newer, older] {
            assert!(device["created"].as_u64().unwrap() > 1_700_000_000 && device["seen"].is_u64(), "{devices}");
            assert_eq!(device.as_object().unwrap().len(), 4, "{devices}");
        }
        let other = [newer, older].into_iter().find(|device| device["current"] == false).unwrap();
        let end = format!("POST /devices/end?handle={}", other["handle"].as_str().unwrap());
        // Nobody ends another's, and a handle is no cookie.
        bob.expect(&end, r#"200 {"ok":false}"#).await;
        bob.expect("POST /devices/end?handle=nonsense", r#"200 {"ok":false}"#).await;
        let handle = other["handle"].as_str().unwrap();
        let as_cookie = lab.client.get("/me").cookie(common::COOKIE, handle).send().await.unwrap();
        assert_eq!(as_cookie.status, 401, "{}", lab.name);
        phone.expect("GET /me", ADA).await;
        laptop.expect(&end, OK).await;
        phone.expect("GET /me", NOBODY).await;
        laptop.expect("GET /me", ADA).await;
        Browser::new(&lab).expect("GET /devices", r#"200 {"v":[]}"#).await;
        laptop.expect("POST /logout-all?u=ada", r#"200 {"ended":1}"#).await;
        laptop.expect("GET /me", NOBODY).await;
        bob.expect("GET /me", r#"200 {"user":"bob"}"#).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_in_cookies_say_that_they_cannot_be_listed() {
    for mode in ["sealed:", "signed:"] {
        on_all(&[("LAB_STORE", mode)], |lab| async move {
            let mut ada = logged_in(&lab, "ada").await;
            assert_eq!(ada.send("GET /devices").await.status, 500, "{}", lab.name);
            assert_eq!(ada.send("POST /logout-all?u=ada").await.status, 500, "{}", lab.name);
            assert!(lab.log().contains("keep them in a store"), "{}: {}", lab.name, lab.log());
            ada.expect("GET /me", ADA).await;
        })
        .await;
        let kept = [("LAB_STORE", mode), ("LAB_REVOCATION", "memory:"), ("LAB_SECRETS", SECRET)];
        on_all(&kept, |lab| async move {
            let (mut phone, mut laptop) = (logged_in(&lab, "ada").await, logged_in(&lab, "ada").await);
            laptop.expect("POST /logout-all?u=ada", r#"200 {"ended":null}"#).await;
            phone.expect("GET /me", NOBODY).await;
            laptop.expect("GET /me", NOBODY).await;
        })
        .await;
    }
}

async fn a_new_password(lab: Arc<Lab>) {
    let (mut phone, mut laptop) = (logged_in(&lab, "ada").await, logged_in(&lab, "ada").await);
    let mut bob = logged_in(&lab, "bob").await;
    laptop.expect("POST /set?k=k&v=kept", OK).await;
    laptop.expect("POST /password?u=ada", OK).await;
    phone.expect("GET /me", NOBODY).await;
    laptop.expect("GET /peek?k=k", r#"200 {"user":"ada","k":"kept"}"#).await;
    bob.expect("GET /me", r#"200 {"user":"bob"}"#).await;
    logged_in(&lab, "ada").await.expect("GET /me", ADA).await;
    // An administrator's doing.
    bob.expect("POST /password?u=ada", OK).await;
    laptop.expect("GET /me", NOBODY).await;
    logged_in(&lab, "ada").await.expect("GET /me", ADA).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_all_other_sessions() {
    on_all_in_every_mode(&[], a_new_password).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_all_other_sessions_where_revocations_are_kept() {
    for mode in ["sealed:", "signed:"] {
        on_all(&[("LAB_STORE", mode), ("LAB_REVOCATION", "memory:")], a_new_password).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_struct_is_the_session() {
    on_all_in_every_mode(&[], |lab| async move {
        let mut browser = Browser::new(&lab);
        let fresh = browser.expect("GET /typed", r#"200 {"username":"example","visits":0}"#).await;
        assert!(fresh.cookie(common::COOKIE).is_none(), "{}: reading makes no session", lab.name);
        browser.expect("POST /typed?username=Dark%20Vader", r#"200 {"username":"Dark Vader","visits":1}"#).await;
        browser.expect("GET /typed", r#"200 {"username":"Dark Vader","visits":1}"#).await;
        // What it doesn't know stays, and its fields are keys.
        browser.expect("POST /set?k=other&v=x", OK).await;
        browser.expect("POST /typed?username=Luke", r#"200 {"username":"Luke","visits":2}"#).await;
        browser.expect("GET /peek?k=other", r#"200 {"user":null,"k":"x"}"#).await;
        browser.expect("POST /set?k=username&v=Leia", OK).await;
        browser.expect("GET /typed", r#"200 {"username":"Leia","visits":2}"#).await;
        // Another type is an error and does no harm.
        browser.expect("POST /set?k=visits&v=many", OK).await;
        assert_eq!(browser.send("GET /typed").await.status, 500, "{}", lab.name);
        browser.expect("POST /del?k=visits", OK).await;
        browser.expect("GET /typed", r#"200 {"username":"Leia","visits":0}"#).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_read_once_after_a_redirect() {
    on_all_in_every_mode(&[], |lab| async move {
        let mut browser = Browser::new(&lab);
        browser.expect("GET /flash", r#"200 {"v":[]}"#).await;
        browser.expect("POST /flash?m=saved", OK).await;
        browser.expect("POST /flash?m=%3Cb%3E", OK).await;
        assert_eq!(browser.send("GET /redirect?k=k&v=v").await.status, 303, "{}", lab.name);
        let both = r#"200 {"v":[{"level":"info","text":"saved"},{"level":"info","text":"<b>"}]}"#;
        browser.expect("GET /flash", both).await;
        browser.expect("GET /flash", r#"200 {"v":[]}"#).await;
        browser.expect("GET /keys", r#"200 {"v":["k"]}"#).await;
    })
    .await;
}

async fn submit(browser: &Browser, header: Option<&str>, form: &str) -> u16 {
    let mut request = browser.request("POST /csrf-do").body(form.as_bytes());
    request = request.header("content-type", "application/x-www-form-urlencoded");
    if let Some(token) = header {
        request = request.header("X-CSRF-Token", token);
    }
    request.send().await.unwrap().status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_needs_a_token_of_its_session() {
    on_all_in_every_mode(&[], |lab| async move {
        let mut browser = Browser::new(&lab);
        let token = async |browser: &mut Browser| {
            let answer = value(browser, "GET /csrf").await;
            answer["token"].as_str().unwrap().to_owned()
        };
        let first = token(&mut browser).await;
        let second = token(&mut browser).await;
        assert_ne!(first, second, "{}: each one is masked anew", lab.name);
        for token in [&first, &second] {
            assert_eq!(submit(&browser, Some(token), "").await, 200, "{}", lab.name);
            assert_eq!(submit(&browser, None, &format!("a=b&csrf_token={token}")).await, 200, "{}", lab.name);
        }
        for (header, form) in [(None, ""), (Some(""), ""), (None, "csrf_token="), (Some("guessed"), "")] {
            assert_eq!(submit(&browser, header, form).await, 403, "{}: {header:?} {form}", lab.name);
        }
        let mut stranger = Browser::new(&lab);
        let theirs = token(&mut stranger).await;
        assert_eq!(submit(&browser, Some(&theirs), "").await, 403, "{}: another session's", lab.name);
        assert_eq!(submit(&Browser::new(&lab), Some(&first), "").await, 403, "{}: no session", lab.name);
        browser.expect("POST /login?u=ada", ADA).await;
        assert_eq!(submit(&browser, Some(&first), "").await, 403, "{}: from before the login", lab.name);
        let after = token(&mut browser).await;
        assert_eq!(submit(&browser, Some(&after), "").await, 200, "{}", lab.name);
        let response = browser.request("POST /csrf-do").send().await.unwrap();
        assert_eq!(response.status, 403, "{}: {}", lab.name, response.text());
    })
    .await;
}
