//! How much a session may hold, how long an anonymous one lives, and how old its id gets.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

mod common;

use session_core::{Error, KeyRing, Revocation, SessionManager};

use common::{SECRET, begin, count, stopped, stored, visit};

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
                (0..3).for_each(|n| session.insert(&format!("key {n}"), n).unwrap());
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
        let four = |session: &session_core::Session| (0..4).for_each(|n| session.insert(&format!("{n}"), n).unwrap());
        let refused = visit(&manager, None, four).await;
        assert!(refused.failure.is_some() && refused.token().is_none());
        // As many as there may be.
        let fine =
            visit(&manager, Some(&token), |session| (0..2).for_each(|n| session.insert(&format!("{n}"), n).unwrap()));
        assert!(fine.await.failure.is_none());
    }
}

#[tokio::test]
async fn a_thousand_keys_are_the_default() {
    let (clock, store) = stopped();
    let manager = stored(store, &clock).build().unwrap();
    for (keys, fits) in [(1_000, true), (1_001, false)] {
        let response = visit(&manager, None, |session| {
            (0..keys).for_each(|n| session.insert(&format!("{n}"), n).unwrap());
        });
        assert_eq!(response.await.failure.is_none(), fits, "{keys}");
    }
}
