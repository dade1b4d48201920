//! Cookie sessions that take more than one cookie, seen from a browser.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use session_core::{Error, KeyRing, MemoryStore, Revocation, Session, SessionManager, SessionManagerBuilder};

use common::{Cookies, Events, Response, SECRET, close};

type Carrier = fn(KeyRing, Revocation) -> SessionManagerBuilder;
const CARRIERS: [Carrier; 2] = [SessionManager::sealed, SessionManager::signed];
const NAMES: [&str; 4] = ["__Host-id", "__Host-id-1", "__Host-id-2", "__Host-id-3"];

struct Site {
    manager: SessionManager,
    events: Arc<Events>,
}

impl Site {
    fn of(carrier: Carrier) -> Self {
        Self::with(carrier, SessionManagerBuilder::chunked)
    }

    fn with(carrier: Carrier, settings: impl FnOnce(SessionManagerBuilder) -> SessionManagerBuilder) -> Self {
        let events = Arc::new(Events::default());
        let builder = carrier(KeyRing::parse(SECRET).unwrap(), Revocation::kept_in(MemoryStore::new()));
        Self { manager: settings(builder.observer(Arc::clone(&events))).build().unwrap(), events }
    }

    async fn visit(&self, jar: &Jar, handler: impl FnOnce(&Session)) -> Response {
        let slot = self.manager.open(&jar.cookies());
        handler(&slot.load().await.unwrap());
        close(&slot, 200).await
    }

    /// The visit, and the browser's view of it.
    async fn browse(&self, jar: &mut Jar, handler: impl FnOnce(&Session)) -> Response {
        let response = self.visit(jar, handler).await;
        jar.take(&response);
        response
    }

    /// Puts as many bytes into the session, which begins if there is none.
    async fn put(&self, jar: &mut Jar, bytes: usize) -> Response {
        self.browse(jar, |session| session.insert("text", "x".repeat(bytes)).unwrap()).await
    }

    /// How many bytes the visitor finds.
    async fn found(&self, jar: &Jar) -> Option<usize> {
        let mut found = None;
        self.visit(jar, |session| found = session.get::<String>("text").unwrap()).await;
        found.map(|text| text.len())
    }
}

/// A browser's cookies.
#[derive(Clone, Debug, Default, PartialEq)]
struct Jar(BTreeMap<String, String>);

impl Jar {
    fn cookies(&self) -> Cookies {
        let pairs: Vec<_> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Cookies(vec![pairs.join("; ")])
    }

    /// As a browser does it, which drops a line that is too long; no response names a cookie twice.
    fn take(&mut self, response: &Response) {
        let mut seen = Vec::new();
        for (_, line) in response.lines.iter().filter(|(name, _)| *name == "set-cookie") {
            assert!(line.len() <= 4_096, "{} bytes", line.len());
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            assert!(!seen.contains(&name), "{name} twice");
            seen.push(name);
            if line.contains("Max-Age=0") {
                self.0.remove(name);
            } else {
                self.0.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

#[tokio::test]
async fn a_session_grows_and_shrinks_and_leaves_no_stale_chunk() {
    for carrier in CARRIERS {
        let (site, mut jar) = (Site::of(carrier), Jar::default());
        for (bytes, count) in
            [(10, 1), (5_000, 2), (8_000, 3), (10, 1), (11_000, 4), (5_000, 2), (5_001, 2), (11_000, 4), (10, 1)]
        {
            site.put(&mut jar, bytes).await;
            assert_eq!(jar.names(), NAMES[..count], "{bytes}");
            assert_eq!(site.found(&jar).await, Some(bytes));
        }
        assert_eq!(site.events.take(), ["created"]);
    }
}

#[tokio::test]
async fn d29_five_kilobytes_are_an_error_with_numbers_or_are_there() {
    for carrier in CARRIERS {
        let (site, mut jar) = (Site::with(carrier, |builder| builder), Jar::default());
        site.put(&mut jar, 10).await;
        let before = jar.clone();
        let refused = site.put(&mut jar, 5 * 1_024).await.failure;
        assert!(matches!(refused, Some(Error::TooLarge { size, limit: 4_096 }) if size > 5_120), "{refused:?}");
        assert_eq!(jar, before);
        assert_eq!(site.found(&jar).await, Some(10));

        let site = Site::of(carrier);
        assert_eq!(site.found(&jar).await, Some(10), "a cookie from before chunks is one");
        assert!(site.put(&mut jar, 5 * 1_024).await.failure.is_none());
        assert_eq!(site.found(&jar).await, Some(5 * 1_024));
    }
}

#[tokio::test]
async fn beyond_four_cookies_the_old_ones_stay() {
    for carrier in CARRIERS {
        let (site, mut jar) = (Site::of(carrier), Jar::default());
        site.put(&mut jar, 11_000).await;
        let before = jar.clone();
        let refused = site.put(&mut jar, 20_000).await;
        let numbers = matches!(refused.failure, Some(Error::TooLarge { size, limit: 16_384 }) if size > 20_000);
        assert!(numbers, "{:?}", refused.failure);
        assert_eq!(jar, before);
        assert_eq!(site.found(&jar).await, Some(11_000));
    }
}

#[tokio::test]
async fn the_end_takes_all_that_the_request_brought() {
    for carrier in CARRIERS {
        let (site, mut jar) = (Site::of(carrier), Jar::default());
        site.put(&mut jar, 8_000).await;
        jar.0.insert("__Host-id-3".to_owned(), "another application's".to_owned());
        let copy = jar.clone();
        let response = site.browse(&mut jar, |session| session.destroy().unwrap()).await;
        assert_eq!(jar.names(), ["__Host-id-3"]);
        assert_eq!(response.lines.iter().filter(|(name, _)| *name == "set-cookie").count(), 3);
        site.events.take();
        assert_eq!(site.found(&copy).await, None);
        assert_eq!(site.events.take(), ["revoked"]);
        // A logout and a new beginning in one.
        site.put(&mut jar, 5_000).await;
        site.browse(&mut jar, |session| {
            session.destroy().unwrap();
            session.insert("text", "new").unwrap();
        })
        .await;
        assert_eq!(jar.names(), ["__Host-id", "__Host-id-3"]);
        assert_eq!(site.found(&jar).await, Some(3));
    }
}

#[tokio::test]
async fn several_saves_of_one_request_send_the_last_one_s_cookies_only() {
    for carrier in CARRIERS {
        let (site, mut jar) = (Site::of(carrier), Jar::default());
        site.put(&mut jar, 5_000).await;
        for (first, last, count) in [(11_000, 10, 1), (10, 8_000, 3), (11_000, 20_000, 4)] {
            let slot = site.manager.open(&jar.cookies());
            let session = slot.load().await.unwrap();
            session.insert("text", "x".repeat(first)).unwrap();
            session.save().await.unwrap();
            session.insert("text", "x".repeat(last)).unwrap();
            let response = close(&slot, 200).await;
            jar.take(&response);
            assert_eq!(jar.names(), NAMES[..count]);
            assert_eq!(site.found(&jar).await, Some(if response.failure.is_some() { first } else { last }));
        }
    }
}

#[tokio::test]
async fn a_chunk_that_was_tampered_with_is_no_session() {
    for carrier in CARRIERS {
        let (site, mut jar) = (Site::of(carrier), Jar::default());
        site.put(&mut jar, 8_000).await;
        site.events.take();
        for name in &NAMES[..3] {
            let value = jar.0[*name].clone();
            for place in [0, 1, 2, 5, 11, 400, value.len() - 1] {
                let mut bytes = value.clone().into_bytes();
                bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
                let mut tampered = jar.clone();
                tampered.0.insert((*name).to_owned(), String::from_utf8(bytes).unwrap());
                assert_eq!(site.found(&tampered).await, None, "{name} {place}");
                assert_eq!(site.events.take(), ["forged"], "{name} {place}");
            }
            let mut missing = jar.clone();
            missing.0.remove(*name);
            assert_eq!(site.found(&missing).await, None, "{name}");
            assert_eq!(site.events.take(), if *name == NAMES[0] { &[][..] } else { &["forged"] }, "{name}");
        }
        assert_eq!(site.found(&jar).await, Some(8_000));
    }
}

#[tokio::test]
async fn chunks_of_two_responses_never_mix_and_the_later_one_wins() {
    for carrier in CARRIERS {
        let site = Site::of(carrier);
        let mut jar = Jar::default();
        site.put(&mut jar, 5_000).await;
        let (older, mut newer) = (jar.clone(), jar.clone());
        site.put(&mut newer, 5_000 + 1).await;
        for name in &NAMES[..2] {
            let mut mixed = newer.clone();
            mixed.0.insert((*name).to_owned(), older.0[*name].clone());
            assert_eq!(site.found(&mixed).await, None);
        }
        // Two requests cross: one makes the session large, the other one small. Whichever comes last is what there is.
        for large_last in [true, false] {
            let (mut jar, mut sent) = (Jar::default(), Vec::new());
            site.put(&mut jar, 10).await;
            for bytes in if large_last { [20, 8_000] } else { [8_000, 20] } {
                let text = "x".repeat(bytes);
                sent.push((bytes, site.visit(&jar, |session| session.insert("text", text).unwrap()).await));
            }
            for (_, response) in &sent {
                jar.take(response);
            }
            assert_eq!(site.found(&jar).await, Some(sent[1].0));
            // What the loser left behind goes with the next write.
            site.put(&mut jar, 30).await;
            assert_eq!(jar.names(), ["__Host-id"]);
        }
    }
}

#[tokio::test]
async fn planted_cookies_count_as_without_chunks() {
    for carrier in CARRIERS {
        let (site, mut jar) = (Site::of(carrier), Jar::default());
        site.put(&mut jar, 8_000).await;
        let visit = async |more: &[String]| {
            let mut cookies = jar.cookies();
            cookies.0.extend_from_slice(more);
            let slot = site.manager.open(&cookies);
            slot.load().await.unwrap().get::<String>("text").unwrap().map(|text| text.len())
        };
        site.events.take();
        // The same again, and what isn't ours.
        assert_eq!(visit(&jar.cookies().0).await, Some(8_000));
        assert_eq!(visit(&(0..500).map(|n| format!("__Host-id-1=~13{n:08}x")).collect::<Vec<_>>()).await, Some(8_000));
        assert_eq!(site.events.take(), [""; 0]);
        assert_eq!(visit(&["__Host-id=~02aaaaaaaax".to_owned()]).await, Some(8_000));
        assert_eq!(site.events.take(), ["forged"]);
        // Another authentic session, in one cookie or in several.
        for bytes in [10, 8_000] {
            let mut other = Jar::default();
            site.put(&mut other, bytes).await;
            site.events.take();
            assert_eq!(visit(&other.cookies().0).await, None);
            assert_eq!(site.events.take(), ["ambiguous"]);
        }
        // Too many to be looked at.
        assert_eq!(visit(&(0..4).map(|n| format!("__Host-id=~02{n:08}x")).collect::<Vec<_>>()).await, None);
        assert_eq!(site.events.take(), ["ambiguous"]);
    }
}

#[tokio::test]
async fn who_doesn_t_know_chunks_sees_an_anonymous_visitor() {
    for carrier in CARRIERS {
        let (site, mut jar) = (Site::of(carrier), Jar::default());
        site.put(&mut jar, 8_000).await;
        let without = Site::with(carrier, |builder| builder);
        assert_eq!(without.found(&jar).await, None);
        assert!(without.put(&mut jar, 10).await.failure.is_none());
        assert_eq!(without.found(&jar).await, Some(10));
        // And back again, what it left behind is cleared away.
        assert_eq!(site.found(&jar).await, Some(10));
        site.put(&mut jar, 20).await;
        assert_eq!(jar.names(), ["__Host-id"]);
    }
}

#[tokio::test]
async fn a_session_in_a_store_is_not_cut() {
    let keys = KeyRing::parse(SECRET).unwrap();
    let refused = SessionManager::stored(MemoryStore::new(), keys).chunked().build().unwrap_err();
    assert_eq!(
        refused.to_string(),
        "chunked: the cookie of a session in a store carries its id alone, which always fits; leave it out, or set max_bytes"
    );
}
