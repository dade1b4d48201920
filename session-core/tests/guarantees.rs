//! What the library promises, each promise as a sentence.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

mod common;

use std::error::Error as StdError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use session_core::{
    Clock, Close, Error, Happening, KeyRing, ManualClock, MemoryStore, Observer, Random, RequestHead, Revocation,
    SessionManager, Timestamp, UserAgentBinding,
};

use common::{Cookies, Events, SECRET, Watched, begin, close, count, stopped, stored, visit};

const OLD: &str = "c0ffee11223344556677889900aabbccddeeff0123456789abcdef9876543210";

#[tokio::test]
async fn an_untouched_session_costs_nothing() {
    struct Never;
    impl Clock for Never {
        fn now(&self) -> Timestamp {
            panic!("the clock was asked")
        }
    }
    impl Random for Never {
        fn fill(&self, _: &mut [u8]) -> Result<(), Box<dyn StdError + Send + Sync>> {
            panic!("randomness was drawn")
        }
    }
    impl Observer for Never {
        fn observe(&self, _: &Happening<'_>) {
            panic!("something happened")
        }
    }
    let (clock, inner) = stopped();
    let token = begin(&stored(inner.clone(), &clock).build().unwrap()).await;
    let forged = format!("{}A", &token[..token.len() - 1]);
    let store = Watched::of(inner);
    let keys = KeyRing::parse(SECRET).unwrap();
    let manager =
        SessionManager::stored(store.clone(), keys).clock(Never).random(Never).observer(Never).build().unwrap();
    // A forged cookie would be an event as soon as anything were verified.
    for cookies in [Cookies::default(), Cookies::of(&[&token]), Cookies::of(&[&forged]), Cookies::of(&["x", "y", "z"])]
    {
        for status in [200, 404, 500] {
            let slot = manager.open(&cookies);
            assert!(matches!(slot.close(status), Close::Untouched));
            assert!(manager.open(&cookies).abandon().is_none());
        }
    }
    assert_eq!(store.calls(), 0);
}

#[tokio::test]
async fn a_forged_cookie_never_reaches_the_store_and_an_unknown_one_reads_once() {
    let (clock, inner) = stopped();
    let store = Watched::of(inner);
    let events = Arc::new(Events::default());
    let manager = stored(store.clone(), &clock).observer(Arc::clone(&events)).build().unwrap();
    let token = begin(&manager).await;
    let elsewhere = begin(&stored(MemoryStore::new(), &clock).build().unwrap()).await;
    store.calls();
    events.take();
    let mut forged = token.clone().into_bytes();
    forged[50] ^= 1;
    for (cookie, calls, event) in [
        (String::from_utf8(forged).unwrap(), 0, "forged"),
        ("nonsense".to_owned(), 0, "forged"),
        ("x".repeat(64 * 1024), 0, "forged"),
        (elsewhere, 1, "unknown"),
    ] {
        let response = visit(&manager, Some(&cookie), |session| assert!(session.is_new() && session.is_empty())).await;
        assert_eq!((store.calls(), events.take()), (calls, vec![event]));
        assert_eq!(response.lines, [("vary", "Cookie".to_owned())], "no cookie for a session that isn't there");
        let response = visit(&manager, Some(&cookie), |session| session.insert("n", 2).unwrap()).await;
        assert!(response.token().is_some_and(|token| token != cookie && !token.is_empty()));
        store.calls();
        events.take();
    }
    assert_eq!(count(&manager, &token, "n").await, Some(1));
}

#[tokio::test]
async fn a_request_costs_one_read_and_one_write() {
    let (clock, inner) = stopped();
    let store = Watched::of(inner);
    let manager = stored(store.clone(), &clock).build().unwrap();
    visit(&manager, None, |session| assert!(session.is_empty())).await;
    assert_eq!(store.calls(), 0);
    let mut token = begin(&manager).await;
    assert_eq!(store.calls(), 1);
    visit(&manager, Some(&token), |session| assert!(!session.is_empty())).await;
    assert_eq!(store.calls(), 1);
    visit(&manager, Some(&token), |session| session.insert("n", 1).unwrap()).await;
    assert_eq!(store.calls(), 1, "writing what is there is reading");
    visit(&manager, Some(&token), |session| session.insert("n", 2).unwrap()).await;
    assert_eq!(store.calls(), 2);
    let response = visit(&manager, Some(&token), |session| {
        session.login("ada").unwrap();
        session.insert("n", 3).unwrap();
        session.renew().unwrap();
    })
    .await;
    assert_eq!(store.calls(), 2);
    token = response.token().unwrap().to_owned();
    visit(&manager, Some(&token), |session| session.destroy().unwrap()).await;
    assert_eq!(store.calls(), 2);
}

#[tokio::test]
async fn a_session_that_is_only_read_is_touched_now_and_then() {
    let (clock, inner) = stopped();
    let store = Watched::of(inner);
    let manager = stored(store.clone(), &clock).build().unwrap();
    let token = begin(&manager).await;
    store.calls();
    let mut writes = 0;
    // Idle for 300 seconds at most, moved every tenth of a minute at most, for an hour.
    for _ in 0..1_200 {
        clock.advance(Duration::from_secs(3));
        let response = visit(&manager, Some(&token), |session| assert!(session.contains("n"))).await;
        assert_eq!(response.lines, [("vary", "Cookie".to_owned())]);
        writes += store.calls() - 1;
    }
    assert_eq!(writes, 300, "every 12 seconds, the first visit after 10");
    clock.advance(Duration::from_secs(300));
    assert_eq!(count(&manager, &token, "n").await, None);
}

#[tokio::test]
async fn reading_never_prolongs_beyond_the_lifetime() {
    let (clock, store) = stopped();
    let manager = stored(store, &clock).lifetime(Duration::from_secs(1_000)).build().unwrap();
    let token = begin(&manager).await;
    for _ in 0..9 {
        clock.advance(Duration::from_secs(100));
        assert_eq!(count(&manager, &token, "n").await, Some(1));
    }
    clock.advance(Duration::from_secs(100));
    assert_eq!(count(&manager, &token, "n").await, None);
}

#[tokio::test]
async fn a_retired_key_is_replaced_while_its_session_lives_and_only_then() {
    let (clock, inner) = stopped();
    let store = Watched::of(inner.clone());
    let before = SessionManager::stored(inner, KeyRing::parse(OLD).unwrap()).clock(Arc::clone(&clock)).build().unwrap();
    let rotated = KeyRing::parse(&format!("{SECRET},{OLD}")).unwrap();
    let manager = SessionManager::stored(store.clone(), rotated).clock(Arc::clone(&clock)).build().unwrap();
    let after = stored(store.clone(), &clock).build().unwrap();
    for status in [200, 404] {
        let old = begin(&before).await;
        let slot = manager.open(&Cookies::of(&[&old]));
        assert_eq!(slot.load().await.unwrap().get("n").unwrap(), Some(1));
        let response = close(&slot, status).await;
        assert_eq!(store.calls(), 2, "loaded, and seen to be alive");
        let new = response.token().unwrap();
        assert_ne!(new, old);
        // The same session, under both cookies as long as the old secret is in the ring.
        assert_eq!(count(&after, new, "n").await, Some(1));
        assert_eq!(count(&after, &old, "n").await, None);
        assert!(visit(&manager, Some(new), |_| {}).await.token().is_none());
        store.calls();

        // It ends between the load and the response.
        let old = begin(&before).await;
        let slot = manager.open(&Cookies::of(&[&old]));
        slot.load().await.unwrap();
        visit(&before, Some(&old), |session| session.destroy().unwrap()).await;
        assert_eq!(close(&slot, status).await.token(), None);
        store.calls();
    }
}

#[tokio::test]
async fn of_two_live_cookies_none_is_taken() {
    let (clock, store) = stopped();
    let events = Arc::new(Events::default());
    let manager = stored(store.clone(), &clock).observer(Arc::clone(&events)).build().unwrap();
    let (mine, planted, dead) = (begin(&manager).await, begin(&manager).await, begin(&manager).await);
    visit(&manager, Some(&dead), |session| session.destroy().unwrap()).await;
    let five = ["a", "b", "c", "d", "e"].map(|_| &mine);
    events.take();
    for (tokens, seen, told) in [
        (vec![&mine, &planted], None, vec!["ambiguous"]),
        (vec![&planted, &mine], None, vec!["ambiguous"]),
        (vec![&mine, &mine], Some(1), vec![]),
        (vec![&mine, &dead], Some(1), vec!["unknown"]),
        (vec![&dead, &mine], Some(1), vec!["unknown"]),
        (five.to_vec(), Some(1), vec![]),
    ] {
        let tokens: Vec<_> = tokens.into_iter().map(String::as_str).collect();
        for cookies in [Cookies::of(&tokens), Cookies(vec![Cookies::of(&tokens).0.join("; ")])] {
            let slot = manager.open(&cookies);
            assert_eq!(slot.load().await.unwrap().get::<u64>("n").unwrap(), seen);
            assert_eq!(close(&slot, 200).await.token(), None);
            assert_eq!(events.take(), told);
        }
    }
    // Nobody's session was harmed by it.
    assert_eq!((count(&manager, &mine, "n").await, count(&manager, &planted, "n").await), (Some(1), Some(1)));
}

/// The cookies, and what the browser calls itself.
struct From<'a>(&'a Cookies, &'a str);

impl RequestHead for From<'_> {
    fn method(&self) -> &str {
        "GET"
    }
    fn each(&self, name: &str, line: &mut dyn FnMut(&[u8])) {
        match name {
            "user-agent" => line(self.1.as_bytes()),
            _ => self.0.each(name, line),
        }
    }
}

#[tokio::test]
async fn a_bound_session_is_told_of_in_another_browser_or_not_there_at_all() {
    for (binding, elsewhere) in [(UserAgentBinding::Observe, Some(1)), (UserAgentBinding::Reject, None)] {
        let (clock, store) = stopped();
        let events = Arc::new(Events::default());
        let builder = stored(store, &clock).observer(Arc::clone(&events));
        let manager = builder.bind_user_agent(binding).build().unwrap();
        let slot = manager.open(&From(&Cookies::default(), "Firefox"));
        slot.load().await.unwrap().insert("n", 1).unwrap();
        let cookies = Cookies::of(&[close(&slot, 200).await.token().unwrap()]);
        events.take();
        for (browser, seen, told) in [
            ("Firefox", Some(1), vec![]),
            ("Chrome", elsewhere, vec!["binding_mismatch"]),
            ("Firefox", Some(1), vec![]),
        ] {
            let session = manager.open(&From(&cookies, browser)).load().await.unwrap();
            assert_eq!(session.get::<u64>("n").unwrap(), seen, "{binding:?} {browser}");
            assert_eq!(events.take(), told, "{binding:?} {browser}");
        }
    }
}

#[tokio::test]
async fn more_than_four_cookies_are_not_looked_at() {
    let (clock, inner) = stopped();
    let store = Watched::of(inner);
    let events = Arc::new(Events::default());
    let manager = stored(store.clone(), &clock).observer(Arc::clone(&events)).build().unwrap();
    let mut tokens = vec![begin(&manager).await];
    for _ in 0..4 {
        let token = begin(&manager).await;
        visit(&manager, Some(&token), |session| session.destroy().unwrap()).await;
        tokens.push(token);
    }
    store.calls();
    events.take();
    for (most, seen, calls) in [(4, Some(1), 4), (5, None, 0)] {
        let slot = manager.open(&Cookies::of(&tokens[..most].iter().map(String::as_str).collect::<Vec<_>>()));
        assert_eq!(slot.load().await.unwrap().get::<u64>("n").unwrap(), seen);
        assert_eq!(store.calls(), calls);
        assert_eq!(events.take().contains(&"ambiguous"), most == 5);
    }
    // What can't be ours is none of them, nor is a part of a session where none is in parts.
    let parts: Vec<_> = (0..5).map(|n| format!("~02aaaaaaaa{n}")).collect();
    let all: Vec<_> = parts.iter().chain(&tokens[..1]).map(String::as_str).collect();
    let slot = manager.open(&Cookies::of(&all));
    assert_eq!(slot.load().await.unwrap().get::<u64>("n").unwrap(), Some(1));
    assert_eq!(events.take(), ["forged"]);
}

#[tokio::test]
async fn a_cookie_session_from_a_clock_ahead_is_taken_up_to_a_minute() {
    let at = |millis: u64| {
        let keys = KeyRing::parse(SECRET).unwrap();
        let clock = ManualClock::new(Timestamp::from_millis(1_793_000_000_000 + millis));
        SessionManager::sealed(keys, Revocation::NoneCopiedCookiesStayValid).clock(clock).build().unwrap()
    };
    for (ahead, seen) in [(0, Some(1)), (60_000, Some(1)), (60_001, None), (120_000, None)] {
        let token = begin(&at(ahead)).await;
        assert_eq!(count(&at(0), &token, "n").await, seen, "{ahead}");
    }
}

#[tokio::test]
async fn ids_that_repeat_never_take_a_session_over() {
    /// Gives the same bytes three times, then others.
    #[derive(Default)]
    struct Stutter(AtomicU8);
    impl Random for Stutter {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), Box<dyn StdError + Send + Sync>> {
            bytes.fill(self.0.fetch_add(1, Ordering::SeqCst) / 3);
            Ok(())
        }
    }
    struct Stuck;
    impl Random for Stuck {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), Box<dyn StdError + Send + Sync>> {
            bytes.fill(7);
            Ok(())
        }
    }
    let (clock, store) = stopped();
    let manager = stored(store, &clock).random(Stutter::default()).build().unwrap();
    let (first, second) = (begin(&manager).await, begin(&manager).await);
    assert_ne!(first, second);

    let (clock, store) = stopped();
    let manager = stored(store.clone(), &clock).random(Stuck).build().unwrap();
    let token = begin(&manager).await;
    let refused = visit(&manager, None, |session| session.insert("n", 2).unwrap()).await;
    assert!(matches!(refused.failure, Some(Error::Conflict(_))) && refused.token().is_none());
    let refused = visit(&manager, Some(&token), |session| session.login("ada").unwrap()).await;
    assert!(refused.failure.is_some() && refused.token().is_none());
    let mut subject = None;
    visit(&manager, Some(&token), |session| subject = session.subject()).await;
    assert_eq!((count(&manager, &token, "n").await, subject, store.live()), (Some(1), None, 1));
}

#[tokio::test]
async fn what_is_too_large_leaves_the_session_as_it_was() {
    let (clock, store) = stopped();
    let keys = || KeyRing::parse(SECRET).unwrap();
    let whole = Revocation::NoneCopiedCookiesStayValid;
    for manager in [
        stored(store, &clock).max_bytes(1_000).build().unwrap(),
        SessionManager::sealed(keys(), whole.clone()).build().unwrap(),
        SessionManager::signed(keys(), whole).build().unwrap(),
    ] {
        let token = begin(&manager).await;
        for renewing in [false, true] {
            let refused = visit(&manager, Some(&token), |session| {
                session.insert("n", 2).unwrap();
                session.insert("much", "x".repeat(5_000)).unwrap();
                if renewing {
                    session.renew().unwrap();
                }
            })
            .await;
            assert!(matches!(refused.failure, Some(Error::TooLarge { size, limit }) if size > limit));
            assert_eq!(refused.token(), None, "the old cookie stays");
            assert_eq!(count(&manager, &token, "n").await, Some(1));
        }
        let refused = visit(&manager, None, |session| session.insert("much", "x".repeat(5_000)).unwrap()).await;
        assert!(refused.failure.is_some() && refused.token().is_none());
    }
}

#[tokio::test]
async fn a_slot_closes_once() {
    let (clock, store) = stopped();
    let manager = stored(store, &clock).build().unwrap();
    let slot = manager.open(&Cookies::default());
    let session = slot.load().await.unwrap();
    session.insert("n", 1).unwrap();
    assert!(matches!(slot.close(200), Close::Ready(_)));
    assert!(matches!(slot.close(200), Close::Untouched));
    assert!(slot.abandon().is_none());
    assert!(matches!(session.insert("n", 2), Err(Error::Closed)));
    assert!(matches!(session.update("n", |n: &mut u64| *n += 1), Err(Error::Closed)));
    assert!(matches!(session.destroy(), Err(Error::Closed)));
    assert!(matches!(session.save().await, Err(Error::Closed)));
    let late = manager.open(&Cookies::default());
    assert!(matches!(late.close(200), Close::Untouched));
    assert!(matches!(late.load().await, Err(Error::Closed)));
}

#[tokio::test]
async fn what_was_saved_stays_and_its_cookie_goes_out_with_any_response() {
    let (clock, store) = stopped();
    let manager = stored(store.clone(), &clock).build().unwrap();
    for status in [200, 404, 500, 503] {
        let slot = manager.open(&Cookies::default());
        let session = slot.load().await.unwrap();
        session.insert("n", 1).unwrap();
        session.save().await.unwrap();
        session.insert("n", 2).unwrap();
        let response = close(&slot, status).await;
        let expected = if status < 500 { 2 } else { 1 };
        assert_eq!(count(&manager, response.token().unwrap(), "n").await, Some(expected));

        let slot = manager.open(&Cookies::of(&[response.token().unwrap()]));
        let session = slot.load().await.unwrap();
        session.logout().unwrap();
        session.save().await.unwrap();
        assert_eq!(close(&slot, status).await.token(), Some(""), "the removal is owed, too");
    }
    assert_eq!(store.live(), 0);
}

#[tokio::test]
async fn a_logout_before_a_saved_login_ends_nothing_but_the_old_session() {
    let (clock, store) = stopped();
    let manager = stored(store.clone(), &clock).build().unwrap();
    let old = begin(&manager).await;
    for cookies in [Cookies::default(), Cookies::of(&[&old])] {
        let slot = manager.open(&cookies);
        let session = slot.load().await.unwrap();
        session.destroy().unwrap();
        session.login("ada").unwrap();
        session.save().await.unwrap();
        let response = close(&slot, 200).await;
        let mut subject = None;
        visit(&manager, response.token(), |session| subject = session.subject()).await;
        assert_eq!(subject.as_deref(), Some("ada"));
    }
    assert_eq!((store.live(), count(&manager, &old, "n").await), (2, None));
}

#[tokio::test]
async fn a_login_whose_save_was_dropped_never_slips_in_without_a_new_id() {
    let (clock, inner) = stopped();
    let store = Watched::of(inner);
    let manager = stored(store.clone(), &clock).build().unwrap();
    let token = begin(&manager).await;
    let slot = manager.open(&Cookies::of(&[&token]));
    let session = slot.load().await.unwrap();
    session.login("ada").unwrap();
    store.0.slow.store(1_000, Ordering::SeqCst);
    tokio::select! {
        biased;
        _ = session.save() => panic!("the store is slow"),
        () = tokio::task::yield_now() => {}
    }
    store.0.slow.store(0, Ordering::SeqCst);
    session.insert("late", true).unwrap();
    assert_eq!(close(&slot, 200).await.token(), None);
    let mut subject = None;
    visit(&manager, Some(&token), |session| subject = session.subject()).await;
    assert_eq!(subject, None, "logged in under the id that was there before");
}

#[tokio::test]
async fn a_logout_during_a_save_is_carried_out() {
    let (clock, inner) = stopped();
    let store = Watched::of(inner.clone());
    let manager = stored(store.clone(), &clock).build().unwrap();
    let token = begin(&manager).await;
    store.0.slow.store(3, Ordering::SeqCst);
    let slot = manager.open(&Cookies::of(&[&token]));
    let session = slot.load().await.unwrap();
    session.destroy().unwrap();
    session.insert("n", 2).unwrap();
    let (saved, ()) = tokio::join!(session.save(), async {
        tokio::task::yield_now().await;
        session.destroy().unwrap();
    });
    saved.unwrap();
    assert!(session.is_empty() && session.is_new());
    assert_eq!((close(&slot, 200).await.token(), inner.live()), (Some(""), 0));
}

#[tokio::test]
async fn saving_a_session_that_ended_says_so_and_keeps_nothing() {
    let (clock, store) = stopped();
    let manager = stored(store.clone(), &clock).build().unwrap();
    let token = begin(&manager).await;
    let slot = manager.open(&Cookies::of(&[&token]));
    let session = slot.load().await.unwrap();
    visit(&manager, Some(&token), |session| session.logout().unwrap()).await;
    session.insert("n", 2).unwrap();
    assert!(matches!(session.save().await, Err(Error::Gone)));
    assert!(session.is_empty() && session.is_new());
    session.insert("n", 3).unwrap();
    assert!(matches!(session.save().await, Err(Error::Gone)));
    assert!(session.is_empty());
    session.insert("n", 4).unwrap();
    assert_eq!((close(&slot, 200).await.token(), store.live()), (None, 0));
}

#[tokio::test]
async fn a_store_that_is_down_is_never_taken_for_an_empty_one() {
    let (clock, inner) = stopped();
    let store = Watched::of(inner);
    let manager = stored(store.clone(), &clock).build().unwrap();
    let token = begin(&manager).await;
    store.0.down.store(true, Ordering::SeqCst);
    store.calls();
    let slot = manager.open(&Cookies::of(&[&token]));
    for _ in 0..3 {
        assert_eq!(slot.load().await.unwrap_err().status(), 503);
    }
    assert_eq!(store.calls(), 1, "asked once");
    let response = close(&slot, 200).await;
    assert_eq!((response.failure.map(|error| error.status()), response.lines.len()), (Some(503), 1));
    store.0.down.store(false, Ordering::SeqCst);

    // A logout that couldn't be carried out is no logout.
    let slot = manager.open(&Cookies::of(&[&token]));
    slot.load().await.unwrap().logout().unwrap();
    store.0.down.store(true, Ordering::SeqCst);
    let response = close(&slot, 200).await;
    assert!(response.failure.is_some() && response.token().is_none());
}

#[tokio::test]
async fn an_observer_that_panics_harms_nothing() {
    struct Bad;
    impl Observer for Bad {
        fn observe(&self, happening: &Happening<'_>) {
            panic!("{}", happening.event().name())
        }
    }
    let (clock, store) = stopped();
    let manager = stored(store.clone(), &clock).observer(Bad).build().unwrap();
    let token = begin(&manager).await;
    assert_eq!(count(&manager, &token, "n").await, Some(1));
    let response = visit(&manager, Some(&token), |session| session.login("ada").unwrap()).await;
    visit(&manager, response.token(), |session| session.logout().unwrap()).await;
    assert_eq!(store.live(), 0);
}
