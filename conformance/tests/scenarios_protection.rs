//! Acceptance scenarios, continued: requests that another site's page has sent, and a cookie that comes from another browser. What
//! these scenarios are is said in `scenarios_basics.rs`.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

mod common;
mod scenarios;

use common::{Browser, NOBODY};
use scenarios::{ADA, ANONYMOUS, OK, event, everywhere, json, logged_in, tells};

/// Sends with one more header, and gives status and body.
async fn with(browser: &mut Browser, line: &str, name: &str, value: &str) -> String {
    let response = browser.request(line).header(name, value).send().await.unwrap();
    browser.jar.keep(&response);
    format!("{} {}", response.status, response.text())
}

#[tokio::test(flavor = "multi_thread")]
async fn d20_protection_against_other_sites() {
    everywhere(|place| async move {
        let lab = place.with(&[("LAB_CROSS_ORIGIN", "1")]).start();
        let mut browser = logged_in(&lab, "ada").await;
        browser.expect("POST /set?k=k&v=v", OK).await;
        let before = browser.jar.clone();
        let (own, set) = (format!("http://{}", lab.client.address()), "POST /set?k=k&v=theirs");
        let foreign = [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("referer", "https://evil.example/page"),
        ];
        for (name, value) in foreign {
            for line in [set, "POST /logout"] {
                let answer = with(&mut browser, line, name, value).await;
                assert!(answer.starts_with("403 "), "{place:?}: {name}: {value}: {answer}");
            }
            assert_eq!(browser.jar, before, "{place:?}: {name}: {value}");
            // What only reads is nobody's business.
            assert_eq!(with(&mut browser, "GET /me", name, value).await, ADA, "{place:?}: {name}: {value}");
            browser.jar = before.clone();
        }
        browser.expect("GET /peek?k=k", r#"200 {"user":"ada","k":"v"}"#).await;
        assert_eq!(event(&lab, "cross_origin").await, 10, "{place:?}");
        let page = format!("{own}/page");
        for (name, value) in
            [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "none"), ("origin", &own), ("referer", &page)]
        {
            assert_eq!(with(&mut browser, "POST /set?k=k&v=ours", name, value).await, OK, "{place:?}: {name}: {value}");
        }
        // No browser of today sends none of them.
        browser.expect("POST /set?k=k&v=ours", OK).await;

        // Where it is off a token is what protects, in the header or in the form.
        let lab = place.start();
        let mut browser = logged_in(&lab, "ada").await;
        assert_eq!(
            with(&mut browser, "POST /csrf-do", "origin", "https://evil.example").await[..4],
            *"403 ",
            "{place:?}"
        );
        let token = json(&browser.send("GET /csrf").await)["token"].as_str().unwrap().to_owned();
        let other = json(&logged_in(&lab, "bob").await.send("GET /csrf").await)["token"].as_str().unwrap().to_owned();
        // The same request with a token, in the header and in the form.
        let submit = async |header: &str, field: &str| {
            let request = browser.request("POST /csrf-do").header("origin", "https://evil.example");
            let request = request.header("content-type", "application/x-www-form-urlencoded");
            let request = if header.is_empty() { request } else { request.header("x-csrf-token", header) };
            request.body(format!("a=b&csrf_token={field}").as_bytes()).send().await.unwrap().status
        };
        for (token, status) in [(&*token, 200), (&*other, 403), ("", 403), ("guessed", 403)] {
            assert_eq!(submit(token, "").await, status, "{place:?}: {token} in the header");
            assert_eq!(submit("", token).await, status, "{place:?}: {token} in the form");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d21_hijack_check() {
    const UPDATED: &str = "Firefox/129.0";
    everywhere(|place| async move {
        for mode in ["default", "off", "observe", "reject"] {
            let place = if mode == "default" { place.clone() } else { place.with(&[("LAB_BIND_UA", mode)]) };
            let place = place.with(&[("RUST_LOG", "info,session_core::event=debug")]);
            let lab = place.start();
            let mut browser = Browser::new(&lab);
            let own =
                async |browser: &mut Browser, line: &str| with(browser, line, "user-agent", "Firefox/128.0").await;
            assert_eq!(own(&mut browser, "POST /login?u=ada").await, ADA, "{place:?}: {mode}");
            assert_eq!(own(&mut browser, "GET /me").await, ADA, "{place:?}: {mode}");
            let expected = if mode == "reject" { ANONYMOUS } else { ADA };
            assert_eq!(with(&mut browser, "GET /me", "user-agent", UPDATED).await, expected, "{place:?}: {mode}");
            let told = u64::from(["observe", "reject"].contains(&mode));
            assert_eq!(event(&lab, "binding_mismatch").await, told, "{place:?}: {mode}");
            if told == 0 {
                assert!(!lab.log().contains("binding_mismatch"), "{place:?}: {mode}");
            } else {
                tells(&lab, "binding_mismatch").await;
            }
            if mode == "reject" {
                assert_eq!(browser.send("GET /peek?k=k").await.text(), NOBODY, "{place:?}: no browser's name at all");
            }
            // Who has the session's own browser has the session.
            assert_eq!(own(&mut browser, "GET /me").await, ADA, "{place:?}: {mode}");
        }
    })
    .await;
}
