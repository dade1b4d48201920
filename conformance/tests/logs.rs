//! What the labs print while they are busy: one line on standard output, and nothing anywhere that helps a thief.
//!
//! `trace` is asked of our own crates only: with it the frameworks' HTTP servers write down the headers they parse,
//! cookies among them, and that is theirs to answer for.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::{Browser, COOKIE, LABS, Lab, MODES, NEWER_SECRET, SECRET};
use session_testing::http::Jar;

const OURS: &str = "session_core=trace,session_tower=trace,session_axum=trace,session_actix=trace,session_rocket=trace,\
                    session_warp=trace,session_conformance=trace,lab_axum=trace,lab_actix=trace,lab_rocket=trace,\
                    lab_warp=trace";

const SCRIPT: [&str; 22] = [
    "POST /set?k=key-b81f&v=value-77c0",
    "GET /peek?k=key-b81f",
    "POST /set?k=key-b81f&v=value-19e4",
    "POST /incr?k=number",
    "POST /renew",
    "POST /login?u=subject-4d2a",
    "POST /login?u=subject-96bc",
    "POST /login-twice?u=subject-11aa&w=subject-22bb",
    "GET /me",
    "POST /slow-set?k=key-b81f&v=value-5a5a&ms=1",
    "POST /save-then-sleep?k=key-b81f&v=value-6b6b&ms=1",
    "POST /fail500?k=key-b81f&v=value-7c7c",
    "POST /fail400?k=key-b81f&v=value-8d8d",
    "POST /err?k=key-b81f&v=value-9e9e",
    "POST /panic?k=key-b81f&v=value-afaf",
    "POST /big?n=70000",
    "POST /incr?k=key-b81f",
    "POST /public-write?k=key-b81f&v=value-c1c1",
    "POST /logout-then-set?k=key-b81f&v=value-d2d2",
    "POST /logout",
    "GET /me",
    "GET /stream",
];

/// Everything secret that has crossed the wire or stood in the environment.
struct Secrets(BTreeSet<String>);

impl Secrets {
    /// A cookie's value, whole and in parts long enough to be no accident, and what stands in it, in hexadecimal and as
    /// text.
    fn add_token(&mut self, token: &str) {
        self.0.insert(token.to_owned());
        self.0.extend(token.as_bytes().chunks_exact(12).map(|part| String::from_utf8_lossy(part).into_owned()));
        for part in token.split('.') {
            let bytes = URL_SAFE_NO_PAD.decode(part).unwrap();
            // The first five bytes are no secret: the format and the key's name.
            let hexadecimal: String = bytes.iter().skip(5).map(|byte| format!("{byte:02x}")).collect();
            self.0
                .extend(hexadecimal.as_bytes().chunks_exact(16).map(|part| String::from_utf8_lossy(part).into_owned()));
            let text = String::from_utf8_lossy(&bytes);
            self.0.extend(text.split('"').filter(|word| word.len() > 20).map(str::to_owned));
        }
    }
}

async fn busy(lab: &Arc<Lab>) -> Secrets {
    let mut secrets = Secrets(BTreeSet::new());
    for secret in [SECRET, NEWER_SECRET] {
        secrets.0.extend([secret.to_owned(), secret.to_uppercase(), secret[..16].to_owned()]);
    }
    for line in SCRIPT {
        for word in line.split(['=', '&']).filter(|word| word.starts_with("value-") || word.starts_with("subject-")) {
            secrets.0.insert(word.to_owned());
        }
    }
    let mut browser = Browser::new(lab);
    for line in SCRIPT {
        // A handler that panics brings no answer.
        let Ok(response) = browser.request(line).send().await else { continue };
        browser.jar.keep(&response);
        response.cookies().iter().filter(|cookie| cookie.value.len() > 20).for_each(|cookie| {
            secrets.add_token(&cookie.value);
        });
    }
    // Forged, unknown, and two at once.
    let mut others = [Browser::new(lab), Browser::new(lab)];
    for browser in &mut others {
        browser.send("POST /set?k=key-b81f&v=value-77c0").await;
        secrets.add_token(&browser.cookie());
    }
    let [one, other] = others.map(|browser| browser.cookie());
    for line in
        [format!("{COOKIE}={one}; {COOKIE}={other}"), format!("{COOKIE}={one}x"), format!("{COOKIE}=value-forged")]
    {
        browser.jar = Jar::default();
        browser.request("GET /me").header("cookie", line).send().await.unwrap();
    }
    secrets.0.insert("value-forged".to_owned());
    browser.request("POST /logout").cookie(COOKIE, &one).send().await.unwrap();
    browser.request("GET /me").cookie(COOKIE, &one).send().await.unwrap();
    secrets
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_lab_prints_no_cookie_id_secret_or_value() {
    let both = format!("{SECRET},{NEWER_SECRET}");
    for mode in MODES {
        for (name, _) in LABS {
            let variables = [("LAB_STORE", mode), ("LAB_SECRETS", both.as_str()), ("RUST_LOG", OURS)];
            let lab = Arc::new(Lab::start(name, &variables));
            let secrets = busy(&lab).await;
            let (stdout, stderr) = Arc::into_inner(lab).unwrap().end();
            let printed = stdout + &stderr;
            // The lines that the script must leave, so that an empty log is no success.
            for event in ["created", "renewed", "forged", "destroyed"] {
                assert!(printed.contains(&format!("event=\"{event}\"")), "{mode} {name}: {event} is not in\n{printed}");
            }
            for secret in secrets.0 {
                assert!(!printed.contains(&secret), "{mode} {name}: {secret} is in\n{printed}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_lab_without_revocation_says_what_that_means() {
    for (name, _) in LABS {
        let (_, sealed) = Lab::start(name, &[("LAB_STORE", "sealed:"), ("LAB_SECRETS", SECRET)]).end();
        assert!(sealed.contains("a copied cookie works until its deadline"), "{name}: {sealed}");
        assert!(sealed.contains("carrier=\"sealed\"") && sealed.contains("WARN"), "{name}: {sealed}");
        let (_, memory) = Lab::start(name, &[("LAB_SECRETS", SECRET)]).end();
        assert!(memory.contains("carrier=\"stored\"") && !memory.contains("WARN"), "{name}: {memory}");
        assert!(!memory.contains("copied") && !memory.contains("LAB_SECRETS"), "{name}: {memory}");
        let (_, random) = Lab::start(name, &[]).end();
        assert!(random.contains("LAB_SECRETS is not set"), "{name}: {random}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_output_has_one_line() {
    for (name, _) in LABS {
        let lab = Arc::new(Lab::start(name, &[("RUST_LOG", "off,session_conformance=info")]));
        busy(&lab).await;
        let address = lab.client.address();
        let (stdout, _) = Arc::into_inner(lab).unwrap().end();
        assert_eq!(stdout, format!("listening on http://{address}\n"), "{name}");
    }
}
