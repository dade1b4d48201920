//! Requests of one session at the same time, on real threads.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

mod common;

use std::sync::atomic::Ordering;

use session_core::{OsRandom, Random};
use tokio::task::JoinSet;

use common::{Cookies, Watched, begin, close, count, stopped, stored, visit};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn increments_of_concurrent_tasks_are_exact() {
    let (clock, store) = stopped();
    let manager = stored(store, &clock).build().unwrap();
    for (tasks, times) in [(2, 500), (2, 1_000), (8, 125)] {
        let token = begin(&manager).await;
        let mut running = JoinSet::new();
        for _ in 0..tasks {
            let (manager, token) = (manager.clone(), token.clone());
            running.spawn(async move {
                for _ in 0..times {
                    let slot = manager.open(&Cookies::of(&[&token]));
                    slot.load().await.unwrap().update("count", |count: &mut u64| *count += 1).unwrap();
                    tokio::task::yield_now().await;
                    assert!(close(&slot, 200).await.failure.is_none());
                }
            });
        }
        running.join_all().await;
        assert_eq!(count(&manager, &token, "count").await, Some(tasks * times));
    }
}

#[tokio::test]
async fn fifty_requests_at_once_that_write_fifty_keys_keep_them_all() {
    let (clock, store) = stopped();
    let store = Watched::of(store);
    let manager = stored(store.clone(), &clock).build().unwrap();
    let token = begin(&manager).await;
    let slots: Vec<_> = (0..50).map(|_| manager.open(&Cookies::of(&[&token]))).collect();
    // All load before any writes.
    for (number, slot) in slots.iter().enumerate() {
        slot.load().await.unwrap().insert(format!("key {number}"), number).unwrap();
    }
    // Each operation lets all others begin theirs, so that of fifty writers one gets through at a time.
    store.0.slow.store(1, Ordering::SeqCst);
    let mut running = JoinSet::new();
    for slot in slots {
        running.spawn(async move { close(&slot, 200).await });
    }
    assert!(running.join_all().await.iter().all(|response| response.failure.is_none()));
    for number in 0..50 {
        assert_eq!(count(&manager, &token, &format!("key {number}")).await, Some(number));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_during_a_slow_write_is_final_a_thousand_times() {
    let (clock, store) = stopped();
    let store = Watched::of(store);
    let manager = stored(store.clone(), &clock).build().unwrap();
    for round in 0..1_000 {
        let mut offset = [0];
        OsRandom.fill(&mut offset).unwrap();
        store.0.slow.store(0, Ordering::SeqCst);
        let token = begin(&manager).await;
        store.0.slow.store(usize::from(offset[0] % 8), Ordering::SeqCst);
        let slow = {
            let (manager, token) = (manager.clone(), token.clone());
            tokio::spawn(async move {
                let slot = manager.open(&Cookies::of(&[&token]));
                let session = slot.load().await.unwrap();
                let found = !session.is_new();
                session.update("n", |n: &mut u64| *n += 1).unwrap();
                if round % 2 == 0 {
                    let _ = session.save().await;
                    session.insert("after", true).unwrap();
                }
                (found, close(&slot, 200).await)
            })
        };
        for _ in 0..offset[0] / 8 {
            tokio::task::yield_now().await;
        }
        let logout = visit(&manager, Some(&token), |session| session.logout().unwrap()).await;
        assert!(logout.failure.is_none());
        let (found, late) = slow.await.unwrap();
        // One that came too late to find it begins a session of its own; one that found it never begins another.
        let fresh = late.token().filter(|token| !token.is_empty()).map(str::to_owned);
        assert_eq!(count(&manager, &token, "n").await, None, "alive again");
        assert_ne!(fresh.as_deref(), Some(token.as_str()));
        if let Some(fresh) = fresh {
            assert!(!found, "the old session under a new id");
            assert_eq!(count(&manager, &fresh, "n").await, Some(1), "the old data under a new id");
            visit(&manager, Some(&fresh), |session| session.logout().unwrap()).await;
        }
        assert_eq!(store.0.inner.live(), 0);
    }
}
