//! Requests from other sites' pages, refused before any handler, and sessions that turn up in another browser.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

mod common;

use std::sync::Arc;

use common::{Browser, Lab, on_all, on_all_in_every_mode, summary};
use session_testing::http::Response;

const OK: &str = r#"200 {"ok":true}"#;
const ADA: &str = r#"{"user":"ada"}"#;
const REFUSE: &[(&str, &str)] = &[("LAB_CROSS_ORIGIN", "1")];
const STORE: [&str; 8] = ["load", "create", "update", "touch", "rename", "delete", "revoke", "panics"];

/// Sends a request with these header lines and, where one is given, a body.
async fn send(browser: &mut Browser, line: &str, headers: &[(&str, &str)], body: &str) -> Response {
    let mut request = headers.iter().fold(browser.request(line), |request, (name, value)| request.header(name, value));
    if !body.is_empty() {
        request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
    }
    let response = request.send().await;
    let response = response.unwrap_or_else(|error| panic!("{}: {line} {headers:?}: {error}", browser.lab.name));
    browser.jar.keep(&response);
    response
}

/// A browser with `k` = `v`.
async fn visitor(lab: &Arc<Lab>) -> Browser {
    let mut browser = Browser::new(lab);
    browser.expect("POST /set?k=k&v=v", OK).await;
    browser
}

fn host(lab: &Lab) -> String {
    lab.client.address().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_from_another_site_is_refused_before_any_handler_and_the_store() {
    on_all_in_every_mode(REFUSE, |lab| async move {
        let mut browser = visitor(&lab).await;
        let before = lab.stats().await;
        let (own, own_page) = (format!("http://{}", host(&lab)), format!("http://{}/page", host(&lab)));
        let cases: &[&[(&str, &str)]] = &[
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "cross-site"), ("origin", &own), ("referer", &own_page)],
            &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "")],
            &[("origin", "null")],
            &[("origin", "https://evil.example"), ("referer", &own_page)],
            &[("origin", &own), ("origin", &own)],
            &[("origin", "http://127.0.0.1")],
            &[("origin", "http://\u{e9}.example")],
            &[("referer", "https://evil.example/")],
            &[("referer", "http://127.0.0.1.evil.example/")],
        ];
        for headers in cases {
            for line in
                ["POST /set?k=k&v=w", "POST /panic?k=k&v=w", "PUT /set?k=k&v=w", "DELETE /none", "POST /missing"]
            {
                for body in ["", "a=1&b=2", "_method=delete", &"x".repeat(200_000)] {
                    let response = send(&mut browser, line, headers, body).await;
                    let what = format!("{}: {line} {headers:?}", lab.name);
                    assert_eq!(response.status, 403, "{what}");
                    assert_eq!(response.header("vary").as_deref(), Some("Sec-Fetch-Site, Origin"), "{what}");
                    assert_eq!(response.cookies(), [], "{what}");
                }
            }
        }
        let after = lab.stats().await;
        for verb in STORE {
            assert_eq!(before[verb], after[verb], "{}: {verb}", lab.name);
        }
        assert_eq!(after["events"]["cross_origin"], u64::try_from(cases.len() * 20).unwrap(), "{}", lab.name);
        browser.expect("GET /peek?k=k", r#"200 {"user":null,"k":"v"}"#).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_from_here_or_from_no_browser_passes() {
    on_all(REFUSE, |lab| async move {
        let mut browser = visitor(&lab).await;
        let (own, own_page) = (format!("http://{}", host(&lab)), format!("http://{}/page?x", host(&lab)));
        let cases: &[&[(&str, &str)]] = &[
            &[],
            &[("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
            &[("sec-fetch-site", "same-origin"), ("origin", "null")],
            &[("origin", &own)],
            &[("origin", &own), ("referer", "https://evil.example/")],
            &[("referer", &own_page)],
        ];
        for (count, headers) in (1..).zip(cases) {
            for body in ["", "a=1"] {
                let response = send(&mut browser, "POST /set?k=k&v=v", headers, body).await;
                assert_eq!(response.status, 200, "{}: {headers:?}", lab.name);
            }
            let response = send(&mut browser, "POST /incr?k=n", headers, "").await;
            assert_eq!(response.text(), format!(r#"{{"v":{count}}}"#), "{}: {headers:?}", lab.name);
        }
        assert_eq!(lab.stats().await["events"]["cross_origin"], 0, "{}", lab.name);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_never_depends_on_where_one_comes_from() {
    let foreign = [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")];
    on_all(REFUSE, move |lab| async move {
        let mut browser = visitor(&lab).await;
        for line in ["GET /peek?k=k", "GET /none", "GET /missing", "HEAD /peek?k=k", "OPTIONS /set", "TRACE /peek"] {
            let plain = browser.request(line).send().await.unwrap();
            let response = send(&mut browser, line, &foreign, "").await;
            assert_eq!(summary(&plain), summary(&response), "{}: {line}", lab.name);
        }
    })
    .await;
    on_all(&[], move |lab| async move {
        let mut browser = visitor(&lab).await;
        let response = send(&mut browser, "POST /set?k=k&v=w", &foreign, "").await;
        assert_eq!(response.status, 200, "{}: nobody asked for refusals", lab.name);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_in_another_browser_is_an_event_and_where_asked_for_anonymous() {
    for mode in ["off", "observe", "reject"] {
        on_all_in_every_mode(&[("LAB_BIND_UA", mode)], move |lab| async move {
            let (firefox, chrome) = ([("user-agent", "Firefox")], [("user-agent", "Chrome")]);
            let mut browser = Browser::new(&lab);
            let login = send(&mut browser, "POST /login?u=ada", &firefox, "").await;
            assert_eq!(login.text(), ADA, "{}", lab.name);
            let readable = String::from_utf8_lossy(&login.cookies()[0].value.clone().into_bytes()).into_owned();
            assert!(!readable.contains("Firefox"), "{}", lab.name);
            let mut thief = Browser { lab: Arc::clone(&lab), jar: browser.jar.clone() };
            for headers in [&chrome[..], &[], &[("user-agent", "Firefox"), ("user-agent", "Firefox")]] {
                let response = send(&mut thief, "GET /me", headers, "").await;
                let expected = if mode == "reject" { (401, r#"{"user":null}"#) } else { (200, ADA) };
                assert_eq!((response.status, response.text().as_str()), expected, "{} {mode}: {headers:?}", lab.name);
                assert_eq!(response.all("set-cookie").len(), usize::from(moved(&response)), "{} {mode}", lab.name);
            }
            // Nobody believes a proxy's word for it either.
            let forwarded =
                [("user-agent", "Firefox"), ("x-forwarded-for", "192.0.2.7"), ("forwarded", "for=192.0.2.7")];
            for headers in [&firefox[..], &forwarded] {
                let response = send(&mut browser, "GET /me", headers, "").await;
                assert_eq!((response.status, response.text().as_str()), (200, ADA), "{} {mode}", lab.name);
            }
            let seen = &lab.stats().await["events"]["binding_mismatch"];
            assert_eq!(*seen, if mode == "off" { 0 } else { 3 }, "{} {mode}", lab.name);
        })
        .await;
    }
}

/// In the lab a session that is in its cookie moves with each request that reads it; a rejected one must not.
fn moved(response: &Response) -> bool {
    response.status == 200 && !response.all("set-cookie").is_empty()
}
