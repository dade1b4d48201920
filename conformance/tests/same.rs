//! One script, four labs, three kinds of sessions: every answer is the same.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

mod common;

use std::sync::Arc;

use common::{Browser, LABS, Lab, MODES, SECRET, summary};
use session_testing::http::Jar;

/// Where a framework itself decides otherwise: lab, request, and what comes instead of what axum answers. All of it is
/// about requests that never reach a handler, or whose handler never answers.
const DIFFERENCES: [(&str, &str, &str); 7] = [
    // In actix-web it is the application's choice whether another method is 404 or 405, and HEAD is one like others.
    ("actix", "PUT /set?k=a&v=b", r#"404 {"error":"not found"} | content-type: application/json"#),
    ("actix", "HEAD /peek?k=a", "404  | content-type: application/json"),
    // Rocket knows no 405.
    ("rocket", "PUT /set?k=a&v=b", r#"404 {"error":"not found"} | content-type: application/json"#),
    ("rocket", "PUT /typed", r#"404 {"error":"not found"} | content-type: application/json"#),
    // A handler that panics is a 500 on Rocket; the others close the connection.
    ("rocket", "POST /panic?k=a&v=b", "500  | vary: Cookie"),
    ("rocket", "POST /panic?k=a&v=c", "500  | vary: Cookie"),
    // warp's get() is GET and nothing else.
    ("warp", "HEAD /peek?k=a", "405 "),
];

/// A request, and the status and body that axum answers in every mode; or something that happens to the cookies.
enum Step {
    Ask(&'static str, &'static str),
    /// The connection is closed without an answer.
    Lost(&'static str),
    /// Another browser, with an empty jar.
    Forget,
    /// Puts a cookie in that isn't the session's.
    Put(&'static str, &'static str),
}

use Step::{Ask, Forget, Lost, Put};

const OK: &str = r#"200 {"ok":true}"#;
const WISHED_500: &str = r#"500 {"error":"as you wished"}"#;
const UNREADABLE: &str = r#"400 {"error":"a parameter is missing or can't be read"}"#;

const SCRIPT: &[Step] = &[
    // nobody
    Ask("GET /none", OK),
    Ask("GET /peek", r#"200 {"user":null,"k":null}"#),
    Ask("GET /peek?k=a", r#"200 {"user":null,"k":null}"#),
    Ask("GET /has?k=a", r#"200 {"v":false}"#),
    Ask("GET /len", r#"200 {"v":0}"#),
    Ask("GET /keys", r#"200 {"v":[]}"#),
    Ask("GET /is-empty", r#"200 {"v":true}"#),
    Ask("GET /me", r#"401 {"user":null}"#),
    Ask("POST /del?k=a", OK),
    Ask("POST /renew", OK),
    Ask("POST /logout", OK),
    Ask("GET /nowhere", r#"404 {"error":"not found"}"#),
    Ask("PUT /set?k=a&v=b", "405 "),
    Ask("PUT /typed", "405 "),
    Ask("HEAD /peek?k=a", "200 "),
    // values
    Ask("POST /set?k=a&v=1", OK),
    Ask("GET /peek?k=a", r#"200 {"user":null,"k":"1"}"#),
    Ask("POST /set?k=a&v=1", OK),
    Ask("POST /set?k=%E2%98%83+x%26&v=", OK),
    Ask("GET /peek?k=%e2%98%83%20x%26", r#"200 {"user":null,"k":""}"#),
    Ask("GET /keys", "200 {\"v\":[\"a\",\"\u{2603} x&\"]}"),
    Ask("GET /len", r#"200 {"v":2}"#),
    Ask("GET /has?k=a", r#"200 {"v":true}"#),
    Ask("GET /is-empty", r#"200 {"v":false}"#),
    Ask("POST /incr?k=n", r#"200 {"v":1}"#),
    Ask("POST /incr?k=n", r#"200 {"v":2}"#),
    Ask("GET /peek?k=n", r#"200 {"user":null,"k":2}"#),
    Ask("POST /incr?k=a", "500 "),
    Ask("GET /peek?k=a", r#"200 {"user":null,"k":"1"}"#),
    Ask("POST /del?k=a", OK),
    Ask("POST /del?k=a", OK),
    Ask("GET /peek?k=a", r#"200 {"user":null,"k":null}"#),
    // parameters
    Ask("POST /set?k=a", UNREADABLE),
    Ask("POST /set", UNREADABLE),
    Ask("POST /set?k=%ff&v=1", UNREADABLE),
    Ask("POST /set?k=a&k=b&v=1", UNREADABLE),
    Ask("POST /slow-set?k=a&v=1&ms=soon", UNREADABLE),
    Ask("POST /big?n=-1", UNREADABLE),
    Ask("POST /login", UNREADABLE),
    Ask("GET /echo-cookie", UNREADABLE),
    // identity
    Ask("POST /login?u=ada", r#"200 {"user":"ada"}"#),
    Ask("GET /me", r#"200 {"user":"ada"}"#),
    Ask("GET /peek?k=n", r#"200 {"user":"ada","k":2}"#),
    Ask("POST /renew", OK),
    Ask("GET /peek?k=n", r#"200 {"user":"ada","k":2}"#),
    Ask("POST /login?u=bob", r#"200 {"user":"bob"}"#),
    Ask("GET /peek?k=n", r#"200 {"user":"bob","k":null}"#),
    Ask("POST /login-twice?u=ada&w=eve%20%C3%A9", "200 {\"user\":\"eve \u{e9}\"}"),
    Ask("GET /me", "200 {\"user\":\"eve \u{e9}\"}"),
    Ask("POST /logout-then-set?k=a&v=after", OK),
    Ask("GET /peek?k=a", r#"200 {"user":null,"k":"after"}"#),
    Ask("POST /logout", OK),
    Ask("GET /peek?k=a", r#"200 {"user":null,"k":null}"#),
    Ask("POST /login-twice?u=ada&w=bob", r#"200 {"user":"bob"}"#),
    Ask("GET /me", r#"200 {"user":"bob"}"#),
    Forget,
    Ask("GET /me", r#"401 {"user":null}"#),
    // slow ones
    Ask("POST /slow-set?k=a&v=slow&ms=5", OK),
    Ask("GET /slow-read?k=a&ms=5", r#"200 {"user":null,"k":"slow"}"#),
    Ask("GET /slow-read?ms=0", r#"200 {"user":null,"k":null}"#),
    Ask("POST /slow-incr?k=n&ms=5", r#"200 {"v":1}"#),
    Ask("POST /save-then-sleep?k=a&v=saved&ms=5", OK),
    Ask("GET /peek?k=a", r#"200 {"user":null,"k":"saved"}"#),
    // failures
    Ask("POST /fail500?k=a&v=lost", WISHED_500),
    Ask("GET /peek?k=a", r#"200 {"user":null,"k":"saved"}"#),
    Ask("POST /err?k=a&v=lost", WISHED_500),
    Ask("GET /peek?k=a", r#"200 {"user":null,"k":"saved"}"#),
    Lost("POST /panic?k=a&v=b"),
    Ask("GET /peek?k=a", r#"200 {"user":null,"k":"saved"}"#),
    Ask("POST /fail400?k=a&v=kept", r#"400 {"error":"as you wished"}"#),
    Ask("GET /peek?k=a", r#"200 {"user":null,"k":"kept"}"#),
    Ask("POST /big?n=60", OK),
    Ask("POST /big?n=60000", "500 "),
    Ask("GET /has?k=big", r#"200 {"v":true}"#),
    Ask("GET /peek?k=a", r#"200 {"user":null,"k":"kept"}"#),
    // headers of the application
    Ask("GET /public?k=a", r#"200 {"user":null,"k":"kept"}"#),
    Ask("POST /public-write?k=a&v=public", OK),
    Ask("GET /redirect?k=a&v=away", "303 "),
    Ask("GET /peek?k=a", r#"200 {"user":null,"k":"away"}"#),
    Ask("GET /not-modified", "304 "),
    Ask("GET /stream", "200 one\ntwo\nthree\n"),
    Forget,
    Put("other", "one"),
    Ask("GET /echo-cookie?name=other", r#"200 {"v":"one"}"#),
    Ask("GET /echo-cookie?name=none", r#"200 {"v":null}"#),
    Ask("GET /redirect?k=a&v=away", "303 "),
    Ask("GET /echo-cookie?name=other", r#"200 {"v":"one"}"#),
    Forget,
    Ask("POST /public-write?k=a&v=public", OK),
    Forget,
    Ask("GET /public", r#"200 {"user":null,"k":null}"#),
    Ask("GET /not-modified", "304 "),
    Ask("GET /stream", "200 one\ntwo\nthree\n"),
    Ask("POST /fail500?k=a&v=b", WISHED_500),
    Ask("POST /err?k=a&v=b", WISHED_500),
    Lost("POST /panic?k=a&v=c"),
    Ask("POST /fail400?k=a&v=b", r#"400 {"error":"as you wished"}"#),
    Ask("GET /peek?k=a", r#"200 {"user":null,"k":"b"}"#),
    // what applications build on it
    Ask("POST /devices/end?handle=x", r#"200 {"ok":false}"#),
    Ask("GET /typed", r#"200 {"username":"example","visits":0}"#),
    Ask("POST /typed?username=x", r#"200 {"username":"x","visits":1}"#),
    Ask("POST /flash?m=x", OK),
    Ask("GET /flash", r#"200 {"v":[{"level":"info","text":"x"}]}"#),
    Ask("GET /flash", r#"200 {"v":[]}"#),
    Ask("POST /csrf-do", "403 "),
    Ask("POST /password?u=ada", OK),
    Ask("POST /logout", OK),
];

/// What the lab answered, request by request.
async fn transcript(lab: Arc<Lab>) -> Vec<(&'static str, String)> {
    let mut browser = Browser::new(&lab);
    let mut lines = Vec::new();
    for step in SCRIPT {
        match step {
            Forget => browser.jar = Jar::default(),
            Put(name, value) => browser.jar.put(name, value),
            Ask(line, _) | Lost(line) => {
                let answer = match browser.request(line).send().await {
                    Ok(response) => {
                        browser.jar.keep(&response);
                        summary(&response)
                    }
                    Err(_) => "no answer".to_owned(),
                };
                lines.push((*line, answer));
            }
        }
    }
    // One for each `Lost`, whether or not the framework made an answer of it.
    assert_eq!(lab.stats().await["panics"], 2, "{}", lab.name);
    lines
}

async fn transcripts(mode: &str) -> Vec<(&'static str, Vec<(&'static str, String)>)> {
    let mut scripts = Vec::new();
    for (name, _) in LABS {
        let lab = Arc::new(Lab::start(name, &[("LAB_STORE", mode), ("LAB_SECRETS", SECRET)]));
        scripts.push((name, tokio::spawn(transcript(lab))));
    }
    let mut transcripts = Vec::new();
    for (name, script) in scripts {
        transcripts.push((name, script.await.unwrap()));
    }
    transcripts
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_script_gives_the_same_answers_on_all_labs() {
    let asked = SCRIPT.iter().filter(|step| matches!(step, Ask(..) | Lost(_))).count();
    assert!(asked >= 60, "{asked} requests");
    for mode in MODES {
        let transcripts = transcripts(mode).await;
        let axum = &transcripts[0].1;
        let mut wrong = Vec::new();
        for (name, transcript) in &transcripts[1..] {
            for ((line, answer), (_, expected)) in transcript.iter().zip(axum) {
                let difference = DIFFERENCES.iter().find(|(lab, other, _)| lab == name && other == line);
                let expected = difference.map_or(expected.as_str(), |(_, _, instead)| instead);
                if answer != expected {
                    wrong.push(format!("{mode} {name}: {line}\n  {answer}\n  {expected}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_gives_the_answers_of_the_contract_in_every_mode() {
    for mode in MODES {
        let lab = Arc::new(Lab::start("axum", &[("LAB_STORE", mode), ("LAB_SECRETS", SECRET)]));
        let mut answers = transcript(lab).await.into_iter();
        for step in SCRIPT {
            let expected = match step {
                Ask(_, expected) => expected,
                Lost(_) => "no answer",
                Forget | Put(..) => continue,
            };
            let (line, answer) = answers.next().unwrap();
            assert_eq!(answer.split(" | ").next(), Some(expected), "{mode} {line}");
        }
    }
}

/// The rules of the wire that hold for every answer in the script.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_session_that_was_looked_at_leaves_traces_in_the_headers() {
    for (_, transcript) in transcripts("memory:").await {
        for (line, answer) in transcript {
            let untouched = ["/none", "/nowhere", "/echo-cookie", "PUT "].iter().any(|part| line.contains(part))
                || answer.starts_with(UNREADABLE);
            let looked = answer.contains("vary: Cookie") || answer.contains("vary: Accept-Encoding, Cookie");
            if untouched || line.starts_with("HEAD ") || answer == "no answer" {
                assert!(!answer.contains("set-cookie") && (!looked || line.starts_with("HEAD ")), "{line}: {answer}");
            } else {
                assert!(looked, "{line}: {answer}");
            }
            if answer.contains("set-cookie: __Host-id=") {
                assert!(answer.contains("cache-control: no-store") && !answer.contains("public"), "{line}: {answer}");
                assert!(answer.contains("path=/; ") || answer.contains("path=/ "), "{line}: {answer}");
                assert!(answer.contains("httponly=;") && answer.contains("secure=;"), "{line}: {answer}");
                assert!(answer.contains("samesite=Lax"), "{line}: {answer}");
            }
        }
    }
}
