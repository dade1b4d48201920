//! A store that takes too long is an error in time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

use std::error::Error as _;
use std::time::Duration;

use session_core::{
    Count, Countable, Counting, Decorator, MemoryStore, Place, SessionStore, StoreError, StoreKey, Verb, async_trait,
};
use session_stores::TimeLimited;
use session_testing::{
    store,
    stores::{Failing, Slow},
};
use tokio::time::Instant;

use verbs::ask;

mod verbs;

const LIMIT: Duration = Duration::from_millis(500);

#[tokio::test(start_paused = true)]
async fn every_operation_ends_within_its_time() {
    for verb in Verb::ALL {
        let slow = Slow::new(MemoryStore::new());
        slow.before_it(verb, Duration::from_secs(3_600));
        let store = TimeLimited::new(slow, LIMIT).sweep_limit(Duration::from_secs(10));
        let start = Instant::now();
        let error = ask(&store, verb).await.unwrap_err();
        let (limit, text) = if verb == Verb::Sweep { (10_000, "10000 ms") } else { (500, "500 ms") };
        assert_eq!(start.elapsed().as_millis(), limit, "{verb:?}");
        assert_eq!(error.to_string(), verb.failed("").to_string());
        assert_eq!(error.source().unwrap().to_string(), format!("the store did not answer within {text}"));
        assert!(!error.is_unreadable());
    }
}

/// A store whose count never comes back.
struct Endless(MemoryStore);

impl Decorator for Endless {
    type Inner = MemoryStore;

    fn inner(&self) -> &MemoryStore {
        &self.0
    }

    async fn around<T: Send>(
        &self,
        _: Verb,
        operation: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        operation.await
    }
}

#[async_trait]
impl Countable for Endless {
    async fn count(&self, _: Place, _: usize) -> Result<(Count, Option<Place>), StoreError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_count_has_as_long_as_a_sweep() {
    let store = TimeLimited::new(Endless(MemoryStore::new()), LIMIT).sweep_limit(Duration::from_secs(10));
    let start = Instant::now();
    let error = store.count(Place::START, 1).await.unwrap_err();
    assert_eq!((start.elapsed().as_secs(), error.to_string().as_str()), (10, "counting the sessions failed"));
}

#[tokio::test(start_paused = true)]
async fn a_sweep_has_a_minute_unless_told_otherwise() {
    // It answers at once. A sweep of memory has a thread of its own, for which a clock that is stopped doesn't wait.
    let failing = Failing::new(MemoryStore::new());
    failing.fail(Verb::Sweep);
    let slow = Slow::new(failing);
    let store = TimeLimited::new(slow.clone(), LIMIT);
    for (takes, answer) in [(59, "the test said so"), (61, "the store did not answer within 60000 ms")] {
        slow.before_it(Verb::Sweep, Duration::from_secs(takes));
        let error = ask(&store, Verb::Sweep).await.unwrap_err();
        assert_eq!(error.source().unwrap().to_string(), answer);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_may_have_happened_and_what_never_reached_the_store_has_not() {
    let counting = Counting::new(MemoryStore::new());
    let slow = Slow::new(counting.clone());
    let store = TimeLimited::new(slow.clone(), LIMIT);
    slow.before_it(Verb::Create, Duration::from_secs(1));
    ask(&store, Verb::Create).await.unwrap_err();
    assert_eq!(counting.count(Verb::Create), 0);
    slow.before_it(Verb::Create, Duration::ZERO);
    slow.after_it(Verb::Create, Duration::from_secs(1));
    ask(&store, Verb::Create).await.unwrap_err();
    assert!(store.load(&StoreKey::from_bytes([1; 32])).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_time_keeps_the_contract() {
    store::suite(|| async { TimeLimited::new(MemoryStore::new(), Duration::from_secs(30)) }).await;
}
