//! How much a session may hold, how long an anonymous one lives, and how old its id gets.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

mod common;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use session_core::{
    Error, KeyRing, ManualClock, MemoryStore, Revocation, SessionManager, SessionManagerBuilder, SubjectLimit,
};

use common::{Cookies, Events, SECRET, Watched, begin, close, count, stopped, stored, visit};

const MINUTE: Duration = Duration::from_secs(60);

/// A manager of each kind, by one clock, with an idle time of five minutes.
fn every_kind(
    settings: impl Fn(SessionManagerBuilder) -> SessionManagerBuilder,
) -> Vec<(SessionManager, Arc<ManualClock>)> {
    let keys = || KeyRing::parse(SECRET).unwrap();
    let revocation = || Revocation::kept_in(MemoryStore::new());
    let kinds: [&dyn Fn(MemoryStore) -> SessionManagerBuilder; 3] =
        [&|store| SessionManager::stored(store, keys()), &|_| SessionManager::sealed(keys(), revocation()), &|_| {
            SessionManager::signed(keys(), revocation())
        }];
    let make = |kind: &dyn Fn(MemoryStore) -> SessionManagerBuilder| {
        let (clock, store) = stopped();
        (settings(kind(store).idle(5 * MINUTE).clock(Arc::clone(&clock))).build().unwrap(), clock)
    };
    kinds.into_iter().map(make).collect()
}

async fn subject(manager: &SessionManager, token: &str) -> Option<String> {
    let mut subject = None;
    visit(manager, Some(token), |session| subject = session.subject()).await;
    subject
}

#[tokio::test]
async fn too_many_keys_leave_the_session_as_it_was() {
    let (clock, store) = stopped();
    let keys = || KeyRing::parse(SECRET).unwrap();
    let whole = Revocation::NoneCopiedCookiesStayValid;
    for builder in
        [stored(store, &clock), SessionManager::sealed(keys(), whole.clone()), SessionManager::signed(keys(), whole)]
    {
        let manager = builder.max_keys(3).build().unwrap();
        let token = begin(&manager).await;
        for renewing in [false, true] {
            let refused = visit(&manager, Some(&token), |session| {
                (0..3).for_each(|n| session.insert(format!("key {n}"), n).unwrap());
                if renewing {
                    session.renew().unwrap();
                }
            })
            .await;
            let error = refused.failure.as_ref().unwrap();
            assert!(matches!(error, Error::TooManyKeys { count: 4, limit: 3 }) && error.status() == 500, "{error:?}");
            assert_eq!(error.to_string(), "the session has 4 keys where 3 are allowed");
            assert_eq!(refused.token(), None, "the old cookie stays");
            assert_eq!(count(&manager, &token, "n").await, Some(1));
            assert_eq!(count(&manager, &token, "key 0").await, None);
        }
        let four = |session: &session_core::Session| (0..4).for_each(|n| session.insert(format!("{n}"), n).unwrap());
        let refused = visit(&manager, None, four).await;
        assert!(refused.failure.is_some() && refused.token().is_none());
        // As many as there may be.
        let fine =
            visit(&manager, Some(&token), |session| (0..2).for_each(|n| session.insert(format!("{n}"), n).unwrap()));
        assert!(fine.await.failure.is_none());
    }
}

#[tokio::test]
async fn a_thousand_keys_are_the_default() {
    let (clock, store) = stopped();
    let manager = stored(store, &clock).build().unwrap();
    for (keys, fits) in [(1_000, true), (1_001, false)] {
        let response = visit(&manager, None, |session| {
            (0..keys).for_each(|n| session.insert(format!("{n}"), n).unwrap());
        });
        assert_eq!(response.await.failure.is_none(), fits, "{keys}");
    }
}

#[tokio::test]
async fn an_anonymous_session_ends_sooner_and_a_login_starts_the_usual_limits() {
    let alive = async |manager: &SessionManager, token: &str| count(manager, token, "n").await.is_some();
    for (manager, clock) in every_kind(|builder| builder.anonymous_idle(MINUTE)) {
        // Created; renewed; written after a logout; written after a logout and a save.
        let created = begin(&manager).await;
        let renewed = visit(&manager, Some(&created), |session| session.renew().unwrap()).await;
        let member = visit(&manager, None, |session| session.login("ada").unwrap()).await;
        let left = visit(&manager, member.token(), |session| {
            session.logout().unwrap();
            session.insert("n", 1).unwrap();
        });
        let left = left.await;
        let slot = manager.open(&Cookies::default());
        let session = slot.load().await.unwrap();
        session.login("ada").unwrap();
        session.save().await.unwrap();
        session.logout().unwrap();
        session.save().await.unwrap();
        session.insert("n", 1).unwrap();
        let saved = close(&slot, 200).await;
        let anonymous = [renewed.token(), left.token(), saved.token()].map(Option::unwrap);
        let begun = begin(&manager).await;
        let member = visit(&manager, Some(&begun), |session| session.login("ada").unwrap()).await;

        clock.advance(MINUTE - Duration::from_millis(1));
        for token in anonymous {
            let found = manager.open(&Cookies::of(&[token])).load().await.unwrap().get::<u64>("n").unwrap();
            assert_eq!(found, Some(1));
        }
        clock.advance(Duration::from_millis(1));
        for token in anonymous {
            assert!(!alive(&manager, token).await);
        }
        assert!(alive(&manager, member.token().unwrap()).await);
        // What is in use stays, though the shorter deadline has to be moved more often.
        let mut token = begin(&manager).await;
        for _ in 0..20 {
            clock.advance(MINUTE / 2);
            let response = visit(&manager, Some(&token), |_| {}).await;
            token = response.token().unwrap_or(&token).to_owned();
        }
        assert!(alive(&manager, &token).await);
    }
}

#[tokio::test]
async fn limits_that_contradict_each_other_are_refused() {
    let refused = |settings: fn(SessionManagerBuilder) -> SessionManagerBuilder| {
        settings(stored(MemoryStore::new(), &stopped().0)).build().err().map(|error| error.field().to_owned())
    };
    assert_eq!(refused(|builder| builder.anonymous_idle(5 * MINUTE)), None);
    assert_eq!(refused(|builder| builder.anonymous_idle(6 * MINUTE)).as_deref(), Some("anonymous_idle"));
    assert_eq!(refused(|builder| builder.anonymous_idle(Duration::ZERO)).as_deref(), Some("anonymous_idle"));
    let touched = refused(|builder| builder.touch_every(MINUTE).anonymous_idle(MINUTE));
    assert_eq!(touched.as_deref(), Some("anonymous_idle"));
    assert_eq!(refused(|builder| builder.touch_every(MINUTE).anonymous_idle(2 * MINUTE)), None);
    assert_eq!(refused(|builder| builder.renew_every(Duration::ZERO)).as_deref(), Some("renew_every"));
}

#[tokio::test]
async fn an_old_id_is_renewed_with_the_next_write_or_touch() {
    for (manager, clock) in every_kind(|builder| builder.renew_every(10 * MINUTE).touch_every(MINUTE)) {
        let response = visit(&manager, None, |session| session.login("ada").unwrap()).await;
        let mut token = response.token().unwrap().to_owned();
        let mut renewals = 0;
        for minute in 1..=40_u64 {
            clock.advance(MINUTE);
            let before = token.clone();
            // One of two only looks.
            let writes = minute % 2 == 0;
            let response = visit(&manager, Some(&token), |session| {
                if writes {
                    session.insert("n", minute).unwrap();
                }
            });
            token = response.await.token().unwrap_or(&token).to_owned();
            if subject(&manager, &before).await.is_none() {
                renewals += 1;
                assert_eq!(minute % 10, 0, "{minute}");
            }
            assert_eq!(subject(&manager, &token).await.as_deref(), Some("ada"), "{minute}");
        }
        assert_eq!(renewals, 4);
    }
}

#[tokio::test]
async fn a_renewal_by_age_costs_no_store_operation_and_waits_for_a_response_that_carries_it() {
    let (clock, inner) = stopped();
    let (store, events) = (Watched::of(inner), Arc::new(Events::default()));
    let limit = SubjectLimit::Refuse(NonZeroU32::MIN);
    let builder = stored(store.clone(), &clock).observer(Arc::clone(&events)).sessions_per_subject(limit);
    let manager = builder.renew_every(2 * MINUTE).touch_every(MINUTE).build().unwrap();
    let token = visit(&manager, None, |session| session.login("ada").unwrap()).await.token().unwrap().to_owned();
    clock.advance(3 * MINUTE);
    store.calls();
    events.take();

    // Failed, or never answered.
    let slot = manager.open(&Cookies::of(&[&token]));
    slot.load().await.unwrap().insert("n", 1).unwrap();
    assert_eq!(close(&slot, 500).await.token(), None);
    let slot = manager.open(&Cookies::of(&[&token]));
    let session = slot.load().await.unwrap();
    session.insert("n", 1).unwrap();
    session.save().await.unwrap();
    assert!(slot.abandon().is_none());
    assert_eq!((events.take().len(), store.calls()), (0, 3));
    assert_eq!(count(&manager, &token, "n").await, Some(1), "just written: no touch");

    clock.advance(MINUTE);
    store.calls();
    let response = visit(&manager, Some(&token), |_| {}).await;
    assert_eq!((events.take(), store.calls()), (vec!["renewed"], 2));
    assert_eq!(subject(&manager, &token).await, None);
    assert_eq!(subject(&manager, response.token().unwrap()).await.as_deref(), Some("ada"));
}

#[tokio::test]
async fn a_session_that_has_no_room_for_the_note_stays_as_it_is() {
    let (clock, store) = stopped();
    let sized = |bytes: usize| stored(store.clone(), &clock).max_bytes(bytes).touch_every(MINUTE);
    let token = begin(&sized(1_000).build().unwrap()).await;
    let record = session_core::Record::new(session_core::Expiry { idle: 5 * MINUTE, lifetime: 720 * MINUTE });
    let manager = sized(record.size() + r#""n":1"#.len()).renew_every(2 * MINUTE).build().unwrap();
    clock.advance(2 * MINUTE);
    let response = visit(&manager, Some(&token), |_| {}).await;
    assert!(response.failure.is_none() && response.token().is_none());
    clock.advance(4 * MINUTE);
    assert_eq!(count(&manager, &token, "n").await, Some(1), "it was touched");
    let response = visit(&manager, Some(&token), |session| session.insert("n", 2).unwrap()).await;
    assert!(response.failure.is_none() && response.token().is_none());
    assert_eq!(count(&manager, &token, "n").await, Some(2));
}

#[tokio::test]
async fn a_limit_of_sessions_is_for_logins_and_not_for_a_renewal_by_age() {
    let (clock, store) = stopped();
    let login = |session: &session_core::Session| session.login("ada").unwrap();
    let unlimited = stored(store.clone(), &clock).build().unwrap();
    let mut tokens = Vec::new();
    for _ in 0..3 {
        tokens.push(visit(&unlimited, None, login).await.token().unwrap().to_owned());
    }
    // A configuration with a limit comes later.
    for limit in [SubjectLimit::Refuse(NonZeroU32::MIN), SubjectLimit::EndOldest(NonZeroU32::MIN)] {
        let builder = stored(store.clone(), &clock).renew_every(MINUTE).sessions_per_subject(limit);
        let manager = builder.build().unwrap();
        clock.advance(2 * MINUTE);
        for token in &mut tokens {
            let response = visit(&manager, Some(token), |_| {}).await;
            assert!(response.failure.is_none(), "{limit:?}");
            *token = response.token().unwrap().to_owned();
        }
        assert_eq!(store.live(), 3, "{limit:?}");
    }
}

#[tokio::test]
async fn a_flood_of_anonymous_sessions_is_refused_and_nobody_who_logs_in() {
    let (clock, store) = stopped();
    let builder = stored(store.clone(), &clock).idle(30 * MINUTE).anonymous_idle(15 * MINUTE).max_anonymous(3);
    let manager = builder.build().unwrap();
    let visitors = async || {
        let mut let_in = Vec::new();
        for _ in 0..5 {
            let visited = visit(&manager, None, |session| session.insert("n", 1).unwrap()).await;
            match &visited.failure {
                None => let_in.push(visited.token().unwrap().to_owned()),
                Some(error) => {
                    assert!(matches!(error, Error::TooManyAnonymous { limit: 3 }), "{error}");
                    assert_eq!(error.status(), 503);
                    assert!(visited.token().is_none());
                }
            }
        }
        let_in
    };
    let first = visitors().await;
    assert_eq!((first.len(), store.live()), (3, 3));
    // Who logs in is let in, who is there stays, and neither makes room.
    assert!(visit(&manager, None, |session| session.login("ada").unwrap()).await.failure.is_none());
    assert!(visit(&manager, Some(&first[0]), |session| session.insert("n", 2).unwrap()).await.failure.is_none());
    clock.advance(14 * MINUTE);
    assert_eq!((visitors().await.len(), store.live()), (0, 4));
    clock.advance(2 * MINUTE);
    assert_eq!(visitors().await.len(), 3);

    let keys = KeyRing::parse(SECRET).unwrap();
    let sealed = SessionManager::sealed(keys, Revocation::NoneCopiedCookiesStayValid).max_anonymous(3);
    assert_eq!(sealed.build().unwrap_err().field(), "max_anonymous");
}

#[tokio::test]
async fn what_the_store_did_not_take_does_not_count_as_anonymous() {
    let (clock, store) = stopped();
    let store = store.capacity(0);
    let full = stored(store, &clock).max_anonymous(1).build().unwrap();
    for _ in 0..3 {
        let refused = visit(&full, None, |session| session.insert("n", 1).unwrap()).await;
        assert!(matches!(refused.failure, Some(Error::Store(_))), "the quota is not used up");
    }
}
