//! How sessions end before their time: revoked cookies, limits per subject, entries that can't be read.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

mod common;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use session_core::{
    Clock, Decorator, Error, KeyRing, ManualClock, MemoryStore, RecordError, Revocation, SessionManager,
    SessionManagerBuilder, SessionStore, StoreError, SubjectLimit, Verb,
};

use common::{Cookies, Events, SECRET, Watched, close, count, stopped, stored, visit};

type Carrier = fn(KeyRing, Revocation) -> SessionManagerBuilder;
const CARRIERS: [Carrier; 2] = [SessionManager::sealed, SessionManager::signed];

struct Cookie {
    manager: SessionManager,
    store: Watched,
    clock: Arc<ManualClock>,
    events: Arc<Events>,
}

impl Cookie {
    fn sessions(carrier: Carrier) -> Self {
        let (clock, inner) = stopped();
        let (store, events) = (Watched::of(inner), Arc::new(Events::default()));
        let manager = carrier(KeyRing::parse(SECRET).unwrap(), Revocation::kept_in(store.clone()))
            .clock(Arc::clone(&clock))
            .observer(Arc::clone(&events))
            .lifetime(Duration::from_secs(3_600))
            .build()
            .unwrap();
        Self { manager, store, clock, events }
    }

    async fn login(&self, subject: &str, token: Option<&str>) -> String {
        let response = visit(&self.manager, token, |session| session.login(subject).unwrap()).await;
        response.token().unwrap().to_owned()
    }

    async fn renew(&self, token: &str) -> String {
        let response = visit(&self.manager, Some(token), |session| session.renew().unwrap()).await;
        response.token().unwrap().to_owned()
    }

    async fn subject(&self, token: &str) -> Option<String> {
        let mut subject = None;
        visit(&self.manager, Some(token), |session| subject = session.subject()).await;
        subject
    }
}

#[tokio::test]
async fn a_logout_revokes_every_copy_of_a_cookie_session() {
    for carrier in CARRIERS {
        let cookie = Cookie::sessions(carrier);
        let token = cookie.login("ada", None).await;
        let written = visit(&cookie.manager, Some(&token), |session| session.insert("n", 1).unwrap()).await;
        let copies = [token.clone(), written.token().unwrap().to_owned()];
        let other = cookie.login("ada", None).await;
        visit(&cookie.manager, Some(&token), |session| session.destroy().unwrap()).await;
        cookie.events.take();
        for copy in &copies {
            assert_eq!(cookie.subject(copy).await, None);
            assert_eq!(cookie.events.take(), ["revoked"]);
        }
        assert_eq!(cookie.subject(&other).await.as_deref(), Some("ada"));
    }
}

#[tokio::test]
async fn a_renewal_and_a_login_revoke_the_cookie_before_them() {
    for carrier in CARRIERS {
        let cookie = Cookie::sessions(carrier);
        let visitor = visit(&cookie.manager, None, |session| session.insert("n", 1).unwrap()).await;
        let visitor = visitor.token().unwrap().to_owned();
        let member = cookie.login("ada", Some(&visitor)).await;
        assert_eq!(count(&cookie.manager, &visitor, "n").await, None);
        let renewed = cookie.renew(&member).await;
        assert_eq!(cookie.subject(&member).await, None);
        assert_eq!(cookie.subject(&renewed).await.as_deref(), Some("ada"));
        assert_eq!(count(&cookie.manager, &renewed, "n").await, Some(1));
        // Of two renewals of one cookie one comes to something.
        let slots = [cookie.manager.open(&Cookies::of(&[&renewed])), cookie.manager.open(&Cookies::of(&[&renewed]))];
        for slot in &slots {
            slot.load().await.unwrap().renew().unwrap();
        }
        let tokens = [close(&slots[0], 200).await, close(&slots[1], 200).await];
        assert_eq!(tokens.iter().filter(|response| response.token().is_some()).count(), 1);
    }
}

#[tokio::test]
async fn a_logout_ends_what_a_renewal_at_the_same_time_made_of_the_cookie() {
    for carrier in CARRIERS {
        for logout_first in [true, false] {
            let cookie = Cookie::sessions(carrier);
            let token = cookie.login("ada", None).await;
            let renewing = cookie.manager.open(&Cookies::of(&[&token]));
            let leaving = cookie.manager.open(&Cookies::of(&[&token]));
            renewing.load().await.unwrap().renew().unwrap();
            leaving.load().await.unwrap().destroy().unwrap();
            let late = if logout_first {
                close(&leaving, 200).await;
                close(&renewing, 200).await
            } else {
                let early = close(&renewing, 200).await;
                close(&leaving, 200).await;
                early
            };
            if let Some(token) = late.token() {
                assert_eq!(cookie.subject(token).await, None, "logout first: {logout_first}");
            }
        }
    }
}

#[tokio::test]
async fn what_was_made_for_a_subject_before_a_moment_is_revoked_also_when_it_was_renewed_since() {
    for carrier in CARRIERS {
        let cookie = Cookie::sessions(carrier);
        let (first, second) = (cookie.login("ada", None).await, cookie.login("ada", None).await);
        let other = cookie.login("bob", None).await;
        cookie.clock.advance(Duration::from_secs(1));
        let moment = cookie.clock.now();
        cookie.clock.advance(Duration::from_secs(1));
        let renewed = cookie.renew(&first).await;
        let later = cookie.login("ada", None).await;
        // The same cookie, logged in anew.
        let again = cookie.login("ada", Some(&second)).await;
        cookie.store.revoke_all_of("ada", moment, Duration::from_secs(3_600)).await.unwrap();
        assert_eq!(cookie.subject(&renewed).await, None);
        for (token, subject) in [(&later, "ada"), (&again, "ada"), (&other, "bob")] {
            assert_eq!(cookie.subject(token).await.as_deref(), Some(subject));
        }
    }
}

#[tokio::test]
async fn a_revocation_is_kept_until_its_cookies_are_over_and_asked_for_once_a_request() {
    for carrier in CARRIERS {
        let cookie = Cookie::sessions(carrier);
        let token = cookie.login("ada", None).await;
        cookie.store.calls();
        assert_eq!(cookie.subject(&token).await.as_deref(), Some("ada"));
        assert_eq!(cookie.store.calls(), 1);
        visit(&cookie.manager, Some(&token), |session| session.insert("n", 1).unwrap()).await;
        assert_eq!(cookie.store.calls(), 1);
        visit(&cookie.manager, Some(&token), |session| session.destroy().unwrap()).await;
        assert_eq!(cookie.store.calls(), 2);
        cookie.events.take();
        // Idle limits are in the cookie; so that it is the revocation that speaks, ask while it is not idle.
        cookie.clock.advance(Duration::from_secs(1_799));
        assert_eq!(cookie.subject(&token).await, None);
        assert_eq!(cookie.events.take(), ["revoked"]);
        cookie.clock.advance(Duration::from_secs(1));
        cookie.store.calls();
        assert_eq!(cookie.subject(&token).await, None);
        assert_eq!((cookie.events.take(), cookie.store.calls()), (vec!["expired"], 0));
    }
}

#[tokio::test]
async fn a_revocation_store_that_fails_is_an_error_and_nobody_is_let_in_or_out() {
    for carrier in CARRIERS {
        let cookie = Cookie::sessions(carrier);
        let token = cookie.login("ada", None).await;
        let slot = cookie.manager.open(&Cookies::of(&[&token]));
        slot.load().await.unwrap().destroy().unwrap();
        cookie.store.0.down.store(true, std::sync::atomic::Ordering::SeqCst);
        let response = close(&slot, 200).await;
        assert_eq!((response.failure.as_ref().map(Error::status), response.token()), (Some(503), None));
        let slot = cookie.manager.open(&Cookies::of(&[&token]));
        assert_eq!(slot.load().await.unwrap_err().status(), 503);
        cookie.store.0.down.store(false, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(cookie.subject(&token).await.as_deref(), Some("ada"));
    }
}

#[tokio::test]
async fn a_login_beyond_the_limit_ends_the_oldest_or_is_refused() {
    let two = NonZeroU32::new(2).unwrap();
    for limit in [SubjectLimit::EndOldest(two), SubjectLimit::Refuse(two)] {
        let (clock, store) = stopped();
        let manager = stored(store.clone(), &clock).sessions_per_subject(limit).build().unwrap();
        let mut tokens = Vec::new();
        for _ in 0..2 {
            let response = visit(&manager, None, |session| session.login("ada").unwrap()).await;
            tokens.push(response.token().unwrap().to_owned());
            clock.advance(Duration::from_secs(1));
        }
        // Once from nothing, once as a visitor with something to keep.
        for begin in [false, true] {
            let visitor = if begin { Some(common::begin(&manager).await) } else { None };
            let response = visit(&manager, visitor.as_deref(), |session| session.login("ada").unwrap()).await;
            clock.advance(Duration::from_secs(1));
            assert_eq!(store.sessions_of("ada", 10).await.unwrap().len(), 2);
            match limit {
                SubjectLimit::Refuse(_) => {
                    let refused = response.failure.unwrap();
                    assert_eq!(refused.status(), 403);
                    assert_eq!(refused.to_string(), "the subject has 2 live sessions already, and may not have more");
                    if let Some(visitor) = visitor {
                        assert_eq!(count(&manager, &visitor, "n").await, Some(1), "the visitor stays who he was");
                    }
                }
                _ => {
                    assert!(response.failure.is_none());
                    let ended = tokens.remove(0);
                    let mut subject = Some(String::new());
                    visit(&manager, Some(&ended), |session| subject = session.subject()).await;
                    assert_eq!(subject, None);
                    tokens.push(response.token().unwrap().to_owned());
                }
            }
        }
    }
}

#[test]
fn a_limit_that_nobody_could_keep_is_refused_at_start() {
    let keys = KeyRing::parse(SECRET).unwrap();
    let limit = SubjectLimit::EndOldest(NonZeroU32::new(1).unwrap());
    let refused =
        SessionManager::sealed(keys, Revocation::kept_in(MemoryStore::new())).sessions_per_subject(limit).build();
    assert_eq!(
        refused.unwrap_err().to_string(),
        "sessions_per_subject: sessions in cookies can't be counted; leave it out or keep the sessions in a store"
    );
}

/// After so many loads every one is answered with this error.
struct Spoiled(MemoryStore, AtomicUsize, fn() -> StoreError);

impl Decorator for Spoiled {
    type Inner = MemoryStore;

    fn inner(&self) -> &MemoryStore {
        &self.0
    }

    async fn around<T: Send>(
        &self,
        verb: Verb,
        operation: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let goes_well = |left: usize| left.checked_sub(1);
        if verb == Verb::Load && self.1.fetch_update(Ordering::SeqCst, Ordering::SeqCst, goes_well).is_err() {
            return Err((self.2)());
        }
        operation.await
    }
}

fn unreadable() -> StoreError {
    StoreError::unreadable(RecordError::Malformed)
}

#[tokio::test]
async fn an_entry_that_is_no_record_is_no_session_and_the_next_write_starts_afresh() {
    let (clock, inner) = stopped();
    let events = Arc::new(Events::default());
    let whole = stored(inner.clone(), &clock).build().unwrap();
    let token = common::begin(&whole).await;
    let manager = stored(Spoiled(inner, 0.into(), unreadable), &clock).observer(Arc::clone(&events)).build().unwrap();
    let response = visit(&manager, Some(&token), |session| assert!(session.is_new() && session.is_empty())).await;
    assert_eq!(events.take(), ["unreadable"]);
    assert!(response.failure.is_none());
    assert_eq!(response.token(), None, "no removal cookie for what another version may be able to read");
    let response = visit(&manager, Some(&token), |session| session.insert("n", 7).unwrap()).await;
    let fresh = response.token().unwrap();
    assert_ne!(fresh, token);
    assert_eq!(count(&whole, fresh, "n").await, Some(7));
    assert_eq!(count(&whole, &token, "n").await, Some(1), "what can't be read is left as it is");
}

/// How a request fails that has to load again, because another one was faster.
async fn fails_at_the_second_load(error: fn() -> StoreError) -> (Option<u16>, Vec<&'static str>) {
    let (clock, inner) = stopped();
    let events = Arc::new(Events::default());
    let whole = stored(inner.clone(), &clock).build().unwrap();
    let token = common::begin(&whole).await;
    let spoiled = Spoiled(inner, 1.into(), error);
    let manager = stored(spoiled, &clock).observer(Arc::clone(&events)).build().unwrap();
    let slot = manager.open(&Cookies::of(&[&token]));
    slot.load().await.unwrap().insert("mine", 1).unwrap();
    visit(&whole, Some(&token), |session| session.insert("theirs", 1).unwrap()).await;
    let failure = close(&slot, 200).await.failure.map(|error| error.status());
    (failure, events.take())
}

#[tokio::test]
async fn what_can_no_longer_be_read_when_two_write_is_gone_and_a_failure_is_a_failure() {
    let (failure, events) = fails_at_the_second_load(unreadable).await;
    assert_eq!((failure, events.contains(&"gone")), (None, true), "{events:?}");
    let (failure, events) = fails_at_the_second_load(|| StoreError::new("loading", "the line is cut")).await;
    assert_eq!((failure, events.contains(&"gone")), (Some(503), false), "{events:?}");
}
