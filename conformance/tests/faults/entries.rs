//! What stands in a store: what somebody who steals it finds, and what a lab makes of it when somebody has harmed it.

use std::fmt::Write as _;
use std::future::Future;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use session_core::{Encrypted, KeyRing, Secret, SessionManager};
use sha2::{Digest as _, Sha256};

use crate::common::{Browser, COOKIE, Lab, PATIENT, SECRET};

/// Stands in every entry that a test writes itself. Nobody may ever see it.
const RAW: &str = "raw-5d0c";
/// A lab that waits for a busy disk, and logs everything that our crates do.
fn patient_and_loud(name: &'static str, store: &str) -> Lab {
    let log = "info,session_core=trace,session_sqlx=trace,session_redis=trace,session_stores=trace";
    Lab::start(name, &[("LAB_STORE", store), ("LAB_SECRETS", SECRET), ("RUST_LOG", log), PATIENT])
}

/// Format, key id, then 32 bytes of id, then the authentication.
const ID: std::ops::Range<usize> = 5..37;
const OK: &str = r#"200 {"ok":true}"#;
const NOBODY: &str = r#"200 {"user":null,"k":null}"#;

/// The way into a store past the library.
pub(crate) trait Backdoor: Sync {
    /// What can be done to an entry of this store alone.
    const OWN: &'static [&'static str];

    /// Replaces the record under a key, which is in hexadecimal.
    fn write(&self, key: &str, record: &str) -> impl Future<Output = ()> + Send;

    /// Does one of [`Self::OWN`] to the entry under a key.
    fn harm(&self, key: &str, how: &str) -> impl Future<Output = ()> + Send;

    /// Everything that there is, as text or bytes.
    fn dump(&self) -> impl Future<Output = Vec<u8>> + Send;
}

/// Entries that are no record of this version.
fn harmed_records() -> Vec<(&'static str, String)> {
    let record = |fields: &str| format!(r#"{{{fields},"values":{{"k":"{RAW}"}}}}"#);
    vec![
        ("nothing", String::new()),
        ("no JSON", format!("<b>{RAW}</b>\r\nset-cookie: {RAW}=1")),
        ("a JSON string", format!(r#""{RAW}""#)),
        ("a JSON list", format!(r#"["{RAW}"]"#)),
        ("null", "null".to_owned()),
        ("cut off", format!(r#"{{"format":1,"subject":"{RAW}","idle":18000"#)),
        ("another version", record(r#""format":2,"subject":"ada","idle":1800000,"lifetime":43200000"#)),
        ("a version that is no number", record(&format!(r#""format":"{RAW}","subject":"ada""#))),
        ("no version", record(r#""subject":"ada","idle":1800000,"lifetime":43200000"#)),
        ("a time that is none", record(&format!(r#""format":1,"subject":"ada","idle":"{RAW}","lifetime":43200000"#))),
        ("a subject that is none", record(&format!(r#""format":1,"subject":["{RAW}"],"idle":1,"lifetime":1"#))),
        ("values that are none", format!(r#"{{"format":1,"subject":"ada","idle":1,"lifetime":1,"values":"{RAW}"}}"#)),
        ("very deep", format!("{}\"{RAW}\"", "[".repeat(100_000))),
        ("very large", RAW.repeat(100_000)),
    ]
}

/// A harmed entry is nobody and is counted, can be written over by nobody, and nobody sees what is in it.
pub(crate) async fn a_harmed_entry_is_nobody<B: Backdoor>(name: &'static str, url: &str, backdoor: &B) {
    let lab = Arc::new(patient_and_loud(name, url));
    let records = harmed_records();
    let own = B::OWN.iter().map(|&how| (how, None));
    for (how, record) in records.iter().map(|(how, record)| (*how, Some(record))).chain(own) {
        for line in ["POST /set?k=k&v=new", "POST /incr?k=k", "POST /login?u=eve", "POST /renew", "POST /logout"] {
            let mut browser = Browser::new(&lab);
            browser.expect("POST /login?u=ada", r#"200 {"user":"ada"}"#).await;
            browser.expect("POST /set?k=k&v=old", OK).await;
            let (old, jar) = (browser.cookie(), browser.jar.clone());
            match record {
                Some(record) => backdoor.write(&key(&old), record).await,
                None => backdoor.harm(&key(&old), how).await,
            }

            let before = unreadable(&lab).await;
            for (look, answer) in [("GET /me", r#"401 {"user":null}"#), ("GET /peek?k=k", NOBODY)] {
                let response = browser.expect(look, answer).await;
                assert_eq!(response.cookies(), [], "{}: {how}: {look}", lab.name);
            }
            assert_eq!(unreadable(&lab).await, before + 2, "{}: {how}", lab.name);

            let response = browser.send(line).await;
            assert_eq!(response.status, 200, "{}: {how}: {line}", lab.name);
            let shown = response
                .headers
                .iter()
                .fold(response.text(), |text, (_, value)| text + &String::from_utf8_lossy(value));
            assert!(!shown.contains(RAW), "{}: {how}: {line}: {shown}", lab.name);
            if matches!(line, "POST /renew" | "POST /logout") {
                assert_eq!(response.cookies(), [], "{}: {how}: {line}", lab.name);
                continue;
            }
            assert_ne!(browser.cookie(), old, "{}: {how}: {line}", lab.name);
            let afresh = match line {
                "POST /login?u=eve" => r#"200 {"user":"eve","k":null}"#,
                "POST /incr?k=k" => r#"200 {"user":null,"k":1}"#,
                _ => r#"200 {"user":null,"k":"new"}"#,
            };
            browser.expect("GET /peek?k=k", afresh).await;
            browser.jar = jar;
            browser.expect("GET /peek?k=k", NOBODY).await;
        }
    }
    assert!(lab.sweep().await.contains("swept"), "{}: a harmed entry stops the sweep", lab.name);
    let (stdout, stderr) = Arc::into_inner(lab).unwrap().end();
    let printed = stdout + &stderr;
    assert!(!printed.contains(RAW), "{}", printed.split(RAW).next().unwrap());
}

async fn unreadable(lab: &Lab) -> u64 {
    let events = &lab.stats().await["events"];
    ["unreadable", "unknown"].iter().filter_map(|name| events[name].as_u64()).sum()
}

/// Where the session of a cookie is kept: SHA-256 of the id, in hexadecimal.
pub(crate) fn key(cookie: &str) -> String {
    hex(&Sha256::digest(&URL_SAFE_NO_PAD.decode(cookie).unwrap()[ID]))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// What a thief of the store must not find.
struct Secrets(Vec<(&'static str, Vec<u8>)>);

impl Secrets {
    fn add_bytes(&mut self, what: &'static str, bytes: &[u8]) {
        self.0.push((what, bytes.to_vec()));
        for text in [hex(bytes), hex(bytes).to_uppercase()] {
            self.0.push((what, text.into()));
        }
        for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
            self.0.push((what, engine.encode(bytes).into()));
        }
    }

    /// A cookie's value, what is in it, and everything in that that could be an id.
    fn add_cookie(&mut self, cookie: &str) {
        self.0.push(("a cookie", cookie.into()));
        for part in cookie.split('.') {
            let bytes = URL_SAFE_NO_PAD.decode(part).unwrap();
            self.add_bytes("a cookie", &bytes);
            if bytes.len() == 69 {
                self.add_bytes("an id", &bytes[ID]);
                self.add_bytes("half an id", &bytes[ID][..16]);
                self.add_bytes("half an id", &bytes[ID][16..]);
                self.add_bytes("an authentication", &bytes[37..]);
            }
            let text = String::from_utf8_lossy(&bytes).into_owned();
            for word in text.split('"').filter(|word| word.len() > 20) {
                self.add_bytes("a part of a cookie", word.as_bytes());
                if let Ok(bytes) = URL_SAFE_NO_PAD.decode(word) {
                    self.add_bytes("an id", &bytes);
                }
            }
        }
    }

    fn are_not_in(&self, dump: &[u8]) {
        for (what, secret) in &self.0 {
            assert!(!contains(dump, secret), "{what} is in the dump: {}", String::from_utf8_lossy(secret));
        }
    }
}

fn contains(dump: &[u8], part: &[u8]) -> bool {
    dump.windows(part.len()).any(|window| window == part)
}

/// Sessions that live, were renewed, logged in, ended; revocations; and in what the store has of all that, no id and no
/// cookie.
pub(crate) async fn a_dump_has_no_id_and_no_cookie<B: Backdoor>(name: &'static str, url: &str, backdoor: &B) {
    const SCRIPT: [&str; 10] = [
        "POST /set?k=key-b81f&v=value-77c0",
        "POST /renew",
        "POST /login?u=subject-4d2a",
        "POST /set?k=key-b81f&v=value-19e4",
        "POST /login?u=subject-96bc",
        "POST /logout-then-set?k=key-b81f&v=value-c1c1",
        "POST /login?u=subject-22bb",
        "POST /logout",
        "POST /login?u=subject-4d2a",
        "POST /set?k=key-b81f&v=value-d2d2",
    ];
    let mut secrets = Secrets(Vec::new());
    secrets.add_bytes("a secret", SECRET.as_bytes());
    let mut live = Vec::new();
    for variables in [
        &[("LAB_STORE", url)][..],
        &[("LAB_STORE", "signed:"), ("LAB_REVOCATION", url)],
        &[("LAB_STORE", "sealed:"), ("LAB_REVOCATION", url)],
    ] {
        let lab = Arc::new(Lab::start(name, &[variables, &[("LAB_SECRETS", SECRET), PATIENT]].concat()));
        let mut browser = Browser::new(&lab);
        for line in SCRIPT {
            let response = browser.send(line).await;
            assert_eq!(response.status, 200, "{name}: {line}");
            for cookie in response.cookies().iter().filter(|cookie| cookie.name == COOKIE && !cookie.removes()) {
                secrets.add_cookie(&cookie.value);
            }
        }
        live.push(browser.cookie());
    }
    let dump = backdoor.dump().await;
    // What has to be there, so that an empty dump is no success.
    for part in ["value-d2d2", "subject-4d2a", &key(&live[0])] {
        assert!(contains(&dump, part.as_bytes()), "{part} is not in the dump");
    }
    secrets.are_not_in(&dump);
}

/// Encrypted at rest: no value, no name of a value, no subject, and no hash of a subject either. The database has to be
/// empty.
pub(crate) async fn an_encrypted_dump_tells_nothing<B: Backdoor>(url: &str, backdoor: &B) {
    let store = Encrypted::new(
        session_stores::connect(&format!("{url}?timeout_ms=10000")).await.unwrap(),
        KeyRing::new(Secret::random().unwrap()),
    );
    let manager = SessionManager::stored(store, KeyRing::new(Secret::random().unwrap())).build().unwrap();
    for (subject, value) in
        [("subject-4d2a", "value-77c0"), ("subject-4d2a", "value-19e4"), ("subject-96bc", "value-c1c1")]
    {
        let session = manager.begin();
        session.insert("key-b81f", value).unwrap();
        session.save().await.unwrap();
        session.login(subject).unwrap();
        session.save().await.unwrap();
    }
    let mut secrets = Secrets(Vec::new());
    for text in ["subject-4d2a", "subject-96bc", "key-b81f", "value-77c0", "value-19e4", "value-c1c1"] {
        secrets.add_bytes("plain text", text.as_bytes());
        secrets.add_bytes("a hash of plain text", &Sha256::digest(text));
    }
    let dump = backdoor.dump().await;
    assert!(contains(&dump, b"sealed"), "the records are not in the dump");
    secrets.are_not_in(&dump);
}
