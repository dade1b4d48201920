//! Nothing that prints shows a secret: no `Debug`, no error, no line of the log.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

mod common;

use std::error::Error as StdError;
use std::fmt::{Debug, Write as _};
use std::future::{Future, ready};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use session_core::{
    Clock, Close, CloseFuture, Create, Door, Effects, Error, Event, Expiry, Happening, KeyRing, Loaded, MemoryStore,
    Observer, OsRandom, Passage, Record, RecordError, Revocation, SameSite, Secret, SessionManager, SessionStore,
    StoreKey, SubjectLimit, SystemClock, Times, Timestamp, Touch, Update, Verb, Version,
};
use sha2::{Digest, Sha256};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record as SpanRecord};
use tracing::{Event as LogLine, Metadata, Subscriber, subscriber};

use common::{Cookies, SECRET, Watched, close, stopped, stored, visit};

const OLD: &str = "c0ffee11223344556677889900aabbccddeeff0123456789abcdef9876543210";
const SUBJECT: &str = "ada-lovelace-1815";
const VALUE: &str = "the-value-that-nobody-shall-see";
const NUMBER: u64 = 271_828_182_845;

/// Everything that was printed.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<String>>);

impl Paper {
    fn print(&self, what: &dyn Debug) {
        let mut text = self.0.lock().unwrap();
        writeln!(text, "{what:?}\n{what:#?}").unwrap();
    }

    /// As a log prints an error, with its causes.
    fn print_error(&self, error: &dyn StdError) {
        self.print(&error);
        let mut cause = Some(error);
        while let Some(error) = cause {
            writeln!(self.0.lock().unwrap(), "{error}").unwrap();
            cause = error.source();
        }
    }

    fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

/// Records every span and event of every level.
struct Recorder {
    paper: Paper,
    spans: AtomicU64,
}

struct Fields<'a>(&'a Paper);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        writeln!(self.0.0.lock().unwrap(), "{}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.paper.print(span.metadata());
        span.record(&mut Fields(&self.paper));
        Id::from_u64(1 + self.spans.fetch_add(1, Ordering::SeqCst))
    }
    fn record(&self, _: &Id, values: &SpanRecord<'_>) {
        values.record(&mut Fields(&self.paper));
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &LogLine<'_>) {
        event.record(&mut Fields(&self.paper));
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// What must not be found, in every form in which it could be.
#[derive(Default)]
struct Secrets(Vec<(String, String)>);

impl Secrets {
    fn text(&mut self, what: &str, text: &str) {
        self.0.push((what.to_owned(), text.to_owned()));
        self.bytes(what, text.as_bytes());
    }

    fn bytes(&mut self, what: &str, bytes: &[u8]) {
        // A part is as bad as the whole.
        for (part, bytes) in [("beginning", &bytes[..8]), ("end", &bytes[bytes.len() - 8..])] {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let lists = [format!("{bytes:?}"), format!("{bytes:x?}"), format!("{bytes:02x?}")];
            let mut forms = vec![hex.to_uppercase(), hex];
            forms.extend(lists.iter().map(|list| list[1..list.len() - 1].to_owned()));
            for engine in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
                // The last digit depends on what follows.
                forms.push(engine.encode(bytes).trim_end_matches('=')[..10].to_owned());
            }
            forms.push(bytes.escape_ascii().to_string());
            self.0.extend(forms.into_iter().map(|form| (format!("{what}, its {part}"), form)));
        }
    }

    fn token(&mut self, token: &str) {
        self.text("token", token);
        if let Some(bytes) = URL_SAFE_NO_PAD.decode(token).ok().filter(|bytes| bytes.len() == 69) {
            self.bytes("id", &bytes[5..37]);
            self.bytes("tag", &bytes[37..]);
            self.bytes("store key", &Sha256::digest(&bytes[5..37]));
        }
    }

    fn check(&self, text: &str) {
        for (what, form) in &self.0 {
            assert!(!text.contains(form.as_str()), "{what} shows as {form}");
        }
    }
}

struct Nowhere;
impl Door<u16> for Nowhere {
    fn status(out: &u16) -> Option<u16> {
        Some(*out)
    }
    fn refuse(&self, error: session_core::Error) -> u16 {
        error.status()
    }
    fn finish(&self, out: u16, _: Effects) -> u16 {
        out
    }
    fn detach(close: CloseFuture) -> CloseFuture {
        close
    }
}

struct Panicking(Paper);
impl Observer for Panicking {
    fn observe(&self, happening: &Happening<'_>) {
        self.0.print(happening);
        assert_ne!(happening.event(), Event::Renewed, "an observer may panic");
    }
}

/// Everything a session can go through, printed on the way.
async fn live_through_it(paper: &Paper, secrets: &mut Secrets) {
    let (clock, inner) = stopped();
    let store = Watched::of(inner.clone());
    let keys = || KeyRing::parse(&format!("{SECRET},{OLD}")).unwrap();
    let whole = Revocation::NoneCopiedCookiesStayValid;
    let builders = [
        stored(store.clone(), &clock).observer(Panicking(paper.clone())),
        SessionManager::sealed(keys(), whole.clone()),
        SessionManager::signed(keys(), whole),
    ];
    for builder in builders {
        let builder = builder.max_bytes(3_000);
        paper.print(&builder);
        let manager = builder.build().unwrap();
        paper.print(&manager);
        let mut token: Option<String> = None;
        for round in 0..6_u8 {
            let cookies: Vec<&str> = token.as_deref().into_iter().collect();
            let slot = manager.open(&Cookies::of(&cookies));
            paper.print(&slot);
            let session = slot.load().await.unwrap();
            paper.print(&session);
            paper.print_error(&session.get::<bool>("text").err().unwrap_or(Error::Closed));
            session.insert("text", VALUE).unwrap();
            session.insert("number", NUMBER).unwrap();
            session.update("list", |list: &mut Vec<String>| list.push(VALUE.to_owned())).unwrap();
            match round {
                1 => session.login(SUBJECT).unwrap(),
                2 => session.save().await.unwrap(),
                3 => session.insert("much", VALUE.repeat(200)).unwrap(),
                4 => session.renew().unwrap(),
                5 => session.logout().unwrap(),
                _ => {}
            }
            paper.print(&(&slot, &session));
            let decided = slot.close(200);
            paper.print(&decided);
            let Close::Ready(effects) = decided else { panic!("the store answers at once") };
            paper.print(&effects);
            if let Some(failure) = effects.failure() {
                paper.print_error(failure);
            }
            let response = common::Response::of(&effects);
            if let Some(new) = response.token().filter(|token| !token.is_empty()) {
                secrets.token(new);
                token = Some(new.to_owned());
            }
        }
        // Cookies that are forged, dead, doubled.
        let token = token.unwrap();
        let mut forged = token.clone().into_bytes();
        forged[60] ^= 1;
        let forged = String::from_utf8_lossy(&forged).into_owned();
        for tokens in [vec![token.as_str()], vec![&forged], vec![&token, &forged], vec!["nonsense"]] {
            let slot = manager.open(&Cookies::of(&tokens));
            paper.print(&slot.load().await.unwrap());
            paper.print(&slot);
            close(&slot, 500).await;
        }
    }

    // A conflict, an end elsewhere, an outage.
    let manager = stored(store.clone(), &clock).build().unwrap();
    let token = visit(&manager, None, |session| session.insert("text", VALUE).unwrap()).await;
    let token = token.token().unwrap().to_owned();
    secrets.token(&token);
    for ending in [false, true] {
        let slot = manager.open(&Cookies::of(&[&token]));
        let session = slot.load().await.unwrap();
        visit(&manager, Some(&token), |other| {
            other.insert("number", NUMBER).unwrap();
            if ending {
                other.logout().unwrap();
            }
        })
        .await;
        session.insert("mine", format!("{VALUE} {ending}")).unwrap();
        if let Err(error) = session.save().await {
            paper.print_error(&error);
        }
        close(&slot, 200).await;
    }
    store.0.down.store(true, Ordering::SeqCst);
    let slot = manager.open(&Cookies::of(&[&token]));
    paper.print_error(&slot.load().await.unwrap_err());
    paper.print(&(&slot, close(&slot, 200).await.failure));
    store.0.down.store(false, Ordering::SeqCst);
    store.0.slow.store(1, Ordering::SeqCst);
    let slot = manager.open(&Cookies::default());
    slot.load().await.unwrap().insert("text", VALUE).unwrap();
    let Close::Io(future) = slot.close(200) else { panic!("the store is slow") };
    paper.print(&future);
    paper.print(&future.await);

    let slot = manager.open(&Cookies::of(&[&token]));
    paper.print(&Passage::new(ready(200), slot, Nowhere));
    paper.print(&inner);
}

/// What a public name stands for by itself.
async fn print_the_rest(paper: &Paper, secrets: &mut Secrets) {
    for text in [SECRET, OLD] {
        let bytes: Vec<u8> =
            (0..text.len()).step_by(2).map(|place| u8::from_str_radix(&text[place..place + 2], 16).unwrap()).collect();
        secrets.text("secret", text);
        secrets.bytes("secret", &bytes);
        paper.print(&Secret::parse(text).unwrap());
        paper.print(&KeyRing::parse(text).unwrap());
        for wrong in [&text[..60], &format!("{text}x"), &format!("{text},{text}")] {
            paper.print_error(&KeyRing::parse(wrong).unwrap_err());
        }
    }
    let mut record = Record::new(Expiry::default());
    record.subject = Some(SUBJECT.into());
    record.values_mut().insert("text", VALUE);
    let bytes: [u8; 32] = Sha256::digest(b"a key of a store").into();
    let key = StoreKey::from_bytes(bytes);
    secrets.bytes("store key", &bytes);
    let now = SystemClock.now();
    let times = Times::begin(now, record.expiry);
    paper.print(&Loaded { record: record.clone(), version: Version::FIRST, times, now });
    paper.print(&(&record, key, times, Version::FIRST, Timestamp::from_millis(1)));
    let mut cut = record.to_json();
    cut.truncate(80);
    paper.print_error(&Record::from_json(&cut).unwrap_err());
    paper.print_error(&RecordError::Format(9));

    let store = MemoryStore::new().capacity(0);
    record.subject = None;
    paper.print_error(&store.create(&key, &record, SubjectLimit::None).await.unwrap_err());
    paper.print_error(&Error::from(Verb::Load.failed("connection refused")));
    for error in [Error::Closed, Error::Gone, Error::Interrupted, Error::Conflict(3), Error::NotInstalled("a line")] {
        paper.print_error(&error);
    }
    let refused = SessionManager::stored(store.clone(), KeyRing::parse(SECRET).unwrap()).domain("a b").build();
    paper.print_error(&refused.unwrap_err());
    paper.print(&(store, SameSite::Lax, Event::Created, OsRandom, SystemClock, Expiry::default()));
    paper.print(&(Create::Taken, Update::Gone, Touch::Gone, Revocation::NoneCopiedCookiesStayValid));
}

fn run(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future);
}

#[test]
fn nothing_that_prints_shows_an_id_a_token_a_secret_or_a_value() {
    let paper = Paper::default();
    let mut secrets = Secrets::default();
    secrets.text("subject", SUBJECT);
    secrets.text("value", VALUE);
    secrets.0.push(("number".to_owned(), NUMBER.to_string()));
    subscriber::with_default(Recorder { paper: paper.clone(), spans: AtomicU64::new(0) }, || {
        run(live_through_it(&paper, &mut secrets));
        run(print_the_rest(&paper, &mut secrets));
    });
    let text = paper.text();
    // It has been printed on, and by the log too.
    for line in [
        "Session {",
        "Happening {",
        "Fingerprint(",
        "event=\"created\"",
        "\"forged\"",
        "\"conflict\"",
        "\"gone\"",
        "observer panicked",
    ] {
        assert!(text.contains(line), "{line}");
    }
    assert!(text.contains("the session store failed: testing failed: down"));
    secrets.check(&text);
}

/// The test above can fail.
#[test]
fn a_secret_is_found_in_every_form() {
    let mut secrets = Secrets::default();
    secrets.bytes("id", &[250; 32]);
    for text in [
        format!("{:?}", [250_u8; 9]),
        format!("{:02x?}", [250_u8; 9]),
        "fa".repeat(9),
        URL_SAFE.encode([250; 32]),
        "\\xfa".repeat(8),
    ] {
        assert!(std::panic::catch_unwind(|| secrets.check(&text)).is_err(), "{text}");
    }
}
