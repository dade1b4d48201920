//! What whoever watches is told: each session's beginning and end once, under a fingerprint that leads nobody to it.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

mod common;

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt::{Debug, Write as _};
use std::num::NonZeroU32;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use session_core::{
    Encrypted, Event, Fingerprint, Happening, KeyRing, ManualClock, MemoryStore, Observer, Record, Revocation,
    SameSite, SessionManager, SessionManagerBuilder, SessionStore, StoreKey, SubjectLimit, UserAgentBinding,
};
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record as SpanRecord};
use tracing::{Event as LogLine, Metadata, Subscriber, subscriber};

use common::{Cookies, Response, SECRET, Watched, begin, close, stopped, stored, visit};

const OTHER: &str = "c0ffee11223344556677889900aabbccddeeff0123456789abcdef9876543210";

/// One event, taken down.
#[derive(Clone, Debug)]
struct Told {
    name: &'static str,
    whose: Option<Fingerprint>,
    former: Option<Fingerprint>,
    record: Option<Record>,
    debug: String,
}

#[derive(Default)]
struct Diary(Mutex<Vec<Told>>);

impl Observer for Diary {
    fn observe(&self, happening: &Happening<'_>) {
        let told = Told {
            name: happening.event().name(),
            whose: happening.fingerprint(),
            former: happening.former(),
            record: happening.record().cloned(),
            debug: format!("{happening:?} {happening:#?}"),
        };
        self.0.lock().unwrap().push(told);
    }
}

impl Diary {
    /// What was told since the last time.
    fn take(&self) -> Vec<Told> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    fn names(&self) -> Vec<&'static str> {
        self.take().iter().map(|told| told.name).collect()
    }

    /// The only event since the last time.
    fn one(&self, name: &str) -> Told {
        let told = self.take();
        assert_eq!(told.iter().map(|told| told.name).collect::<Vec<_>>(), [name]);
        told[0].clone()
    }
}

fn sealed(clock: &Arc<ManualClock>, ring: &str, revocation: Revocation) -> SessionManagerBuilder {
    SessionManager::sealed(KeyRing::parse(ring).unwrap(), revocation).clock(Arc::clone(clock))
}

/// One application of each kind whose ends are ends: in a store, and in a cookie with revocations.
fn applications() -> Vec<(SessionManager, Arc<Diary>, Watched, Arc<ManualClock>)> {
    [false, true]
        .map(|in_cookie| {
            let (clock, inner) = stopped();
            let (store, diary) = (Watched::of(inner), Arc::new(Diary::default()));
            let builder = if in_cookie {
                sealed(&clock, SECRET, Revocation::kept_in(store.clone()))
            } else {
                stored(store.clone(), &clock)
            };
            (builder.observer(Arc::clone(&diary)).build().unwrap(), diary, store, clock)
        })
        .into()
}

fn token(response: &Response) -> String {
    response.token().unwrap().to_owned()
}

#[tokio::test]
async fn a_session_is_told_once_when_it_begins_and_once_when_it_ends_with_what_it_was() {
    for (manager, diary, ..) in applications() {
        let first = visit(&manager, None, |session| {
            session.login("ada").unwrap();
            session.insert("cart", "tea").unwrap();
        })
        .await;
        let created = diary.one("created");
        let record = created.record.unwrap();
        assert_eq!((record.subject.as_deref(), &record.values().get("cart").unwrap()), (Some("ada"), &json!("tea")));
        let written = visit(&manager, first.token(), |session| session.insert("cart", "rum").unwrap()).await;
        let token = written.token().or(first.token()).unwrap();
        assert_eq!(diary.names(), [""; 0], "a write is no event");
        visit(&manager, Some(token), |session| {
            session.insert("cart", "never saved").unwrap();
            session.logout().unwrap();
        })
        .await;
        let ended = diary.one("destroyed");
        assert_eq!(ended.whose, created.whose);
        let record = ended.record.unwrap();
        assert_eq!((record.subject.as_deref(), &record.values().get("cart").unwrap()), (Some("ada"), &json!("rum")));
    }
}

#[tokio::test]
async fn of_two_logouts_that_meet_one_is_told() {
    for (manager, diary, ..) in applications() {
        let token = begin(&manager).await;
        let slots = [manager.open(&Cookies::of(&[&token])), manager.open(&Cookies::of(&[&token]))];
        for slot in &slots {
            slot.load().await.unwrap().logout().unwrap();
        }
        diary.take();
        for slot in &slots {
            assert_eq!(close(slot, 200).await.token(), Some(""), "both browsers lose the cookie");
        }
        assert_eq!(diary.names(), ["destroyed"]);
    }
    // Where nothing remembers it, each is the first.
    let (clock, _) = stopped();
    let diary = Arc::new(Diary::default());
    let forgetful = sealed(&clock, SECRET, Revocation::NoneCopiedCookiesStayValid);
    let manager = forgetful.observer(Arc::clone(&diary)).build().unwrap();
    let token = begin(&manager).await;
    for _ in 0..2 {
        visit(&manager, Some(&token), |session| session.logout().unwrap()).await;
    }
    assert_eq!(diary.names(), ["created", "destroyed", "destroyed"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_session_ends_once_however_many_log_out_renew_and_write_at_once() {
    for (manager, diary, ..) in applications() {
        for _ in 0..50 {
            let token = begin(&manager).await;
            let slots: Vec<_> = (0..8).map(|_| manager.open(&Cookies::of(&[&token]))).collect();
            // All have it before any of them does something to it.
            for (place, slot) in slots.iter().enumerate() {
                let session = slot.load().await.unwrap();
                match place % 4 {
                    0 => session.renew().unwrap(),
                    1 => session.insert("n", place).unwrap(),
                    _ => session.logout().unwrap(),
                }
            }
            let mut running = JoinSet::new();
            for slot in slots {
                running.spawn(async move { close(&slot, 200).await });
            }
            running.join_all().await;
            let names = diary.names();
            for name in ["created", "destroyed"] {
                assert_eq!(names.iter().filter(|other| **other == name).count(), 1, "{names:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_destroy_before_a_write_ends_one_session_and_begins_another() {
    for (manager, diary, ..) in applications() {
        let token = begin(&manager).await;
        let first = diary.one("created");
        visit(&manager, Some(&token), |session| {
            session.destroy().unwrap();
            session.insert("n", 2).unwrap();
        })
        .await;
        let told = diary.take();
        assert_eq!(told.iter().map(|told| told.name).collect::<Vec<_>>(), ["destroyed", "created"]);
        assert_eq!(told[0].whose, first.whose);
        assert_ne!(told[1].whose, first.whose);
        let values = |told: &Told| told.record.as_ref().unwrap().values().get("n").unwrap();
        assert_eq!((values(&told[0]), values(&told[1])), (json!(1), json!(2)));
    }
}

#[tokio::test]
async fn a_session_can_be_followed_through_its_renewals() {
    for (in_cookie, (manager, diary, ..)) in applications().into_iter().enumerate() {
        let mut cookie = begin(&manager).await;
        let created = diary.one("created");
        let mut last = created.whose.unwrap();
        let mut names = HashSet::from([last]);
        // A visitor logs in, renews, and somebody else logs in over him: one session all the time.
        for step in 0..3 {
            let response = visit(&manager, Some(&cookie), |session| match step {
                0 => session.login("ada").unwrap(),
                1 => session.renew().unwrap(),
                _ => session.login("bob").unwrap(),
            })
            .await;
            cookie = token(&response);
            let renewed = diary.one("renewed");
            assert_eq!(renewed.former, Some(last));
            last = renewed.whose.unwrap();
            names.insert(last);
        }
        visit(&manager, Some(&cookie), |session| session.logout().unwrap()).await;
        let ended = diary.one("destroyed");
        assert_eq!((ended.whose, ended.record.unwrap().subject.as_deref()), (Some(last), Some("bob")));
        assert_eq!(names.len(), if in_cookie == 1 { 1 } else { 4 });
    }
}

#[tokio::test]
async fn a_store_that_fails_tells_nobody_of_what_it_may_not_have_done() {
    for (in_cookie, (manager, diary, store, _)) in applications().into_iter().enumerate() {
        let token = begin(&manager).await;
        diary.take();
        let slot = manager.open(&Cookies::of(&[&token]));
        slot.load().await.unwrap().logout().unwrap();
        store.0.down.store(true, Ordering::SeqCst);
        assert!(close(&slot, 200).await.failure.is_some());
        if in_cookie == 0 {
            let begun = visit(&manager, None, |session| session.insert("n", 1).unwrap()).await;
            assert!(begun.failure.is_some());
        }
        assert_eq!(diary.names(), [""; 0]);
        store.0.down.store(false, Ordering::SeqCst);
        visit(&manager, Some(&token), |session| session.logout().unwrap()).await;
        assert_eq!(diary.names(), ["destroyed"]);
    }
}

#[tokio::test]
async fn who_leaves_after_a_logout_has_logged_out_and_it_is_told() {
    for (manager, diary, ..) in applications() {
        let token = begin(&manager).await;
        diary.take();
        let slot = manager.open(&Cookies::of(&[&token]));
        slot.load().await.unwrap().logout().unwrap();
        if let Some(rest) = slot.abandon() {
            // Nobody gets the response.
            let _ = rest.await;
        }
        diary.one("destroyed");
    }
}

#[tokio::test]
async fn what_a_handle_ends_is_told_once_with_its_data() {
    let (clock, store) = stopped();
    let diary = Arc::new(Diary::default());
    let manager = stored(store, &clock).observer(Arc::clone(&diary)).build().unwrap();
    let login = async |label: &str| {
        let response = visit(&manager, None, |session| {
            session.login("ada").unwrap();
            session.insert("label", label).unwrap();
        })
        .await;
        clock.advance(Duration::from_secs(1));
        (token(&response), diary.one("created").whose)
    };
    let (laptop, own) = login("laptop").await;
    let (_, phone) = login("phone").await;
    let handle = manager.sessions_of("ada").await.unwrap()[0].handle;
    let slot = manager.open(&Cookies::of(&[&laptop]));
    let session = slot.load().await.unwrap();
    let ends = [session.end_device(&handle).await.unwrap(), session.end_device(&handle).await.unwrap()];
    assert_eq!((ends, manager.end(&handle).await.unwrap()), ([true, false], false));
    let ended = diary.one("destroyed");
    assert_eq!((ended.whose, &ended.record.unwrap().values().get("label").unwrap()), (phone, &json!("phone")));
    // By a job, under the handle it had when it was listed.
    let handle = manager.sessions_of("ada").await.unwrap()[0].handle;
    visit(&manager, Some(&laptop), |session| session.renew().unwrap()).await;
    assert_eq!(diary.one("renewed").former, own);
    assert!(manager.end(&handle).await.unwrap());
    let ended = diary.one("destroyed");
    assert_eq!((ended.whose, ended.record), (own, None));
    // All at once: as many as there were.
    for label in ["a", "b", "c"] {
        login(label).await;
    }
    assert_eq!(manager.end_all("ada").await.unwrap(), Some(3));
    assert_eq!(manager.end_all("ada").await.unwrap(), Some(0));
    let ended = diary.take();
    assert!(ended.iter().all(|told| told.name == "destroyed" && told.whose.is_none() && told.record.is_none()));
    assert_eq!(ended.len(), 3);
}

#[tokio::test]
async fn every_event_of_a_known_session_has_its_fingerprint() {
    // In a store.
    let (clock, inner) = stopped();
    let diary = Arc::new(Diary::default());
    let manager = stored(inner.clone(), &clock).observer(Arc::clone(&diary)).build().unwrap();
    let cookie = begin(&manager).await;
    let whose = diary.one("created").whose;
    assert!(whose.is_some());
    let [slow, slower] = [manager.open(&Cookies::of(&[&cookie])), manager.open(&Cookies::of(&[&cookie]))];
    for slot in [&slow, &slower] {
        slot.load().await.unwrap().insert("n", 2).unwrap();
    }
    visit(&manager, Some(&cookie), |session| session.insert("m", 3).unwrap()).await;
    close(&slow, 200).await;
    assert_eq!(diary.one("conflict").whose, whose);
    visit(&manager, Some(&cookie), |session| session.logout().unwrap()).await;
    assert_eq!(diary.one("destroyed").whose, whose);
    close(&slower, 200).await;
    assert_eq!(diary.one("gone").whose, whose);
    visit(&manager, Some(&cookie), |_| {}).await;
    assert_eq!(diary.one("unknown").whose, whose);
    let response = common::visit(&manager, None, |session| session.insert("n", 1).unwrap()).await;
    let whose = diary.one("created").whose;
    let slot = manager.open(&Cookies::of(&[response.token().unwrap()]));
    slot.load().await.unwrap().renew().unwrap();
    let session_core::Close::Ready(effects) = slot.close(200) else { panic!("the store answers at once") };
    let renewed = diary.one("renewed");
    assert_eq!(renewed.former, whose);
    effects.apply(&mut Response { lines: vec![("cache-control", "public".to_owned())], failure: None });
    assert_eq!(diary.one("cache_overruled").whose, renewed.whose);

    // In a cookie.
    let (manager, diary, _, clock) = applications().remove(1);
    let cookie = begin(&manager).await;
    let whose = diary.one("created").whose;
    let renewed = token(&visit(&manager, Some(&cookie), |session| session.renew().unwrap()).await);
    diary.take();
    visit(&manager, Some(&cookie), |_| {}).await;
    assert_eq!(diary.one("revoked").whose, whose);
    clock.advance(Duration::from_secs(3_600));
    visit(&manager, Some(&renewed), |_| {}).await;
    assert_eq!(diary.one("expired").whose, whose);

    // And whose are none.
    let (one, other) = (begin(&manager).await, begin(&manager).await);
    diary.take();
    for (cookies, name) in [(vec!["forged"], "forged"), (vec![&*one, &*other], "ambiguous")] {
        let slot = manager.open(&Cookies::of(&cookies));
        slot.load().await.unwrap();
        let told = diary.one(name);
        assert!(told.whose.is_none() && told.former.is_none() && told.record.is_none());
    }
}

#[tokio::test]
async fn a_fingerprint_needs_the_secret_and_nothing_else() {
    for in_cookie in [false, true] {
        let (clock, store) = stopped();
        let diary = Arc::new(Diary::default());
        // Another node, or the same one after a restart.
        let node = |ring: &str| {
            let builder = if in_cookie {
                sealed(&clock, ring, Revocation::kept_in(store.clone()))
            } else {
                SessionManager::stored(store.clone(), KeyRing::parse(ring).unwrap()).clock(Arc::clone(&clock))
            };
            builder.observer(Arc::clone(&diary)).build().unwrap()
        };
        let cookie = begin(&node(SECRET)).await;
        let whose = diary.one("created").whose.unwrap();
        visit(&node(SECRET), Some(&cookie), |session| session.logout().unwrap()).await;
        assert_eq!(diary.one("destroyed").whose, Some(whose));
        let seen = async |ring: &str| {
            visit(&node(ring), Some(&cookie), |_| {}).await;
            diary.one(if in_cookie { "revoked" } else { "unknown" }).whose.unwrap()
        };
        assert_eq!(seen(SECRET).await, whose);
        assert_eq!(seen(&format!("{SECRET},{OTHER}")).await, whose);
        assert_ne!(seen(&format!("{OTHER},{SECRET}")).await, whose);
        if in_cookie {
            continue;
        }
        let bytes = URL_SAFE_NO_PAD.decode(&cookie).unwrap();
        let mut known = vec![bytes[5..37].to_vec(), bytes[37..].to_vec(), Sha256::digest(&cookie).to_vec()];
        for _ in 0..3 {
            known.extend(known.clone().iter().map(|bytes| Sha256::digest(bytes).to_vec()));
        }
        for bytes in known {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            assert!(!hex.contains(&whose.to_string()), "it can be computed from what a thief has");
        }
        let key = StoreKey::from_bytes(Sha256::digest(&bytes[5..37]).into());
        assert!(!key.to_hex().contains(&whose.to_string()));
    }
}

thread_local! {
    /// What this thread wrote to the log: level, target, and the fields as `name=value`.
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// One for all threads: lines of log that are met first where nobody listens would stay unheard.
struct Log;

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &SpanRecord<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &LogLine<'_>) {
        let metadata = event.metadata();
        let mut line = Line(format!("{} {}", metadata.level(), metadata.target()));
        event.record(&mut line);
        LINES.with_borrow_mut(|lines| lines.push(line.0));
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Plays in a runtime of its own, and returns what the log got.
fn logged(play: impl AsyncFnOnce()) -> Vec<String> {
    static LISTENS: Once = Once::new();
    LISTENS.call_once(|| subscriber::set_global_default(Log).unwrap());
    LINES.take();
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(play());
    LINES.take()
}

#[test]
fn the_log_gets_the_same_and_nothing_shows_who_or_what() {
    for (manager, diary, ..) in applications() {
        let mut secrets = vec!["ada-1815".to_owned(), "tea-4711".to_owned()];
        let lines = logged(async || {
            let first = visit(&manager, None, |session| session.insert("cart", "tea-4711").unwrap()).await;
            let member = visit(&manager, first.token(), |session| session.login("ada-1815").unwrap()).await;
            visit(&manager, member.token(), |session| session.logout().unwrap()).await;
            visit(&manager, Some("forged"), |_| {}).await;
            for response in [first, member] {
                let token = token(&response);
                let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
                secrets.push(bytes[5..].iter().map(|byte| format!("{byte:02x}")).collect::<String>()[..16].to_owned());
                secrets.push(token[8..20].to_owned());
            }
        });
        let told = diary.take();
        let line = |told: &Told| {
            let session = told.whose.map(|whose| format!(" session={whose}")).unwrap_or_default();
            let former = told.former.map(|former| format!(" former={former}")).unwrap_or_default();
            format!("DEBUG session_core::event message=session event=\"{}\"{session}{former}", told.name)
        };
        assert_eq!(lines, told.iter().map(line).collect::<Vec<_>>());
        assert_eq!(told.len(), 4);
        let printed = lines.concat() + &told.iter().map(|told| told.debug.as_str()).collect::<String>();
        for secret in secrets {
            assert!(!printed.contains(&secret), "{secret}: {printed}");
        }
    }
}

#[test]
fn a_start_says_what_is_in_force_and_warns_of_what_is_not() {
    let (clock, store) = stopped();
    let start = |builder: SessionManagerBuilder| logged(async || drop(builder.build().unwrap()));
    assert_eq!(
        start(stored(store.clone(), &clock)),
        ["INFO session_core::summary message=sessions are in force carrier=\"stored\" \
          cookie=\"__Host-id=; HttpOnly; SameSite=Lax; Secure; Path=/\" persistent=false chunked=false idle=300s \
          lifetime=43200s anonymous_idle=300s touch_every=10s max_bytes=65536 max_keys=1000 \
          sessions_per_subject=\"any number\" refuse_cross_origin=false"]
    );
    let limit = SubjectLimit::EndOldest(3.try_into().unwrap());
    let unsafe_one = stored(store.clone(), &clock)
        .sessions_per_subject(limit)
        .cookie_name("id")
        .same_site(SameSite::Strict)
        .persistent()
        .insecure_over_plain_http()
        .insecure_readable_by_scripts()
        .renew_every(Duration::from_secs(60))
        .bind_user_agent(UserAgentBinding::Observe);
    let lines = start(unsafe_one);
    for fact in [
        "renew_every=60s",
        "bind_user_agent=Observe",
        "cookie=\"id=; SameSite=Strict; Path=/\"",
        "persistent=true",
        "\"3, then the oldest ends\"",
    ] {
        assert!(lines[0].contains(fact), "{fact} is not in {}", lines[0]);
    }
    for (line, choice) in lines[1..].iter().zip(["insecure_over_plain_http", "insecure_readable_by_scripts"]) {
        assert!(line.starts_with("WARN session_core::summary ") && line.contains(choice), "{line}");
    }
    assert_eq!(lines.len(), 3);
    let lines = start(sealed(&clock, SECRET, Revocation::kept_in(store)));
    assert!(lines.len() == 1 && lines[0].contains("carrier=\"sealed\""), "{lines:?}");
    assert!(lines[0].contains("revocation=\"kept\""), "{lines:?}");
    let lines = start(sealed(&clock, SECRET, Revocation::NoneCopiedCookiesStayValid));
    assert!(lines[0].contains("revocation=\"none: a copied cookie works until its deadline\""), "{lines:?}");
    assert!(lines.len() == 2 && lines[1].contains("NoneCopiedCookiesStayValid"), "{lines:?}");
    // What is refused doesn't start.
    let refused = SessionManager::stored(MemoryStore::new(), KeyRing::parse(SECRET).unwrap()).path("/app");
    assert_eq!(logged(async || drop(refused.build().unwrap_err())), [""; 0]);
}

#[test]
fn an_observer_of_ones_own_can_be_tested_without_a_session() {
    let diary = Diary::default();
    for event in Event::ALL {
        diary.observe(&Happening::from(*event));
    }
    assert_eq!(diary.names(), Event::ALL.iter().map(|event| event.name()).collect::<Vec<_>>());
}

/// What a store ends by itself is told as well: whom a limit ends is destroyed, whose time is over is expired when it comes, and
/// swept once.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_store_ends_by_itself_is_told_once_with_what_it_was() {
    let keys = || KeyRing::parse(SECRET).unwrap();
    for encrypted in [false, true] {
        let (clock, inner) = stopped();
        let inner: Arc<dyn SessionStore> =
            if encrypted { Arc::new(Encrypted::new(inner, keys())) } else { Arc::new(inner) };
        let diary = Arc::new(Diary::default());
        let builder = stored(inner, &clock).observer(Arc::clone(&diary));
        let manager = builder.sessions_per_subject(SubjectLimit::EndOldest(NonZeroU32::MIN)).build().unwrap();
        let log_in = async |cart: &str| {
            let response = visit(&manager, None, |session| {
                session.insert("cart", cart).unwrap();
                session.login("ada").unwrap();
            })
            .await;
            token(&response)
        };
        log_in("tea").await;
        let first = diary.one("created").whose;
        clock.advance(Duration::from_secs(1));
        let last = log_in("rum").await;
        let told = diary.take();
        assert_eq!(told.iter().map(|told| told.name).collect::<Vec<_>>(), ["destroyed", "created"]);
        let record = told[0].record.as_ref().unwrap();
        assert_eq!((told[0].whose, record.subject.as_deref()), (first, Some("ada")));
        assert_eq!(record.values().get("cart").unwrap(), json!("tea"));

        clock.advance(Duration::from_secs(301));
        for _ in 0..2 {
            visit(&manager, Some(&last), |_| {}).await;
            assert_eq!(diary.one("expired").whose, told[1].whose);
        }
        let mut sweeps = JoinSet::new();
        for _ in 0..8 {
            let manager = manager.clone();
            sweeps.spawn(async move { manager.sweep(10).await.unwrap() });
        }
        assert_eq!(sweeps.join_all().await.iter().sum::<usize>(), 1);
        let swept = diary.one("swept");
        assert_eq!((swept.whose, swept.record.unwrap().values().get("cart").unwrap()), (told[1].whose, json!("rum")));
        visit(&manager, Some(&last), |_| {}).await;
        assert_eq!(diary.one("unknown").whose, told[1].whose);
    }
}

#[tokio::test]
async fn a_manager_that_is_gone_hears_of_no_sweep() {
    let (clock, inner) = stopped();
    let diary = Arc::new(Diary::default());
    let manager = stored(inner.clone(), &clock).observer(Arc::clone(&diary)).build().unwrap();
    begin(&manager).await;
    clock.advance(Duration::from_secs(301));
    drop(manager);
    diary.take();
    assert_eq!(inner.sweep(10).await.unwrap(), 1);
    assert_eq!(diary.names(), [""; 0]);
}
