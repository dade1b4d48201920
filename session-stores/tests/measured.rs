//! Every operation reaches the recorder, once, with how it ended.

#![cfg(feature = "metrics")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use metrics_util::MetricKind;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use session_core::{
    Decorator, Expiry, MemoryStore, Record, SessionStore, StoreError, StoreKey, SubjectLimit, Touch, Verb,
};
use session_stores::{Measured, TimeLimited};
use session_testing::stores::{Failing, Slow};

use verbs::ask;

mod verbs;

const KEY: StoreKey = StoreKey::from_bytes([1; 32]);

/// Plays `story` under a recorder of its own, and returns what it recorded: operation and outcome, how many, and how many
/// durations.
fn record(story: impl Future<Output = ()>) -> BTreeMap<(String, String), (u64, Vec<f64>)> {
    let recorder = DebuggingRecorder::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    metrics::with_local_recorder(&recorder, || runtime.block_on(story));
    let mut recorded = BTreeMap::<_, (u64, Vec<f64>)>::new();
    for (key, _, about, value) in recorder.snapshotter().snapshot().into_vec() {
        assert!(about.is_some(), "{key:?} is described");
        let labels: BTreeMap<_, _> =
            key.key().labels().map(|label| (label.key().to_owned(), label.value().to_owned())).collect();
        assert_eq!(labels.len(), 2);
        let entry = recorded.entry((labels["operation"].clone(), labels["outcome"].clone())).or_default();
        match (key.kind(), key.key().name(), value) {
            (MetricKind::Counter, "session_store_operations_total", DebugValue::Counter(count)) => entry.0 = count,
            (MetricKind::Histogram, "session_store_operation_seconds", DebugValue::Histogram(seconds)) => {
                entry.1 = seconds.into_iter().map(f64::from).collect();
            }
            other => unreachable!("{other:?}"),
        }
    }
    recorded
}

fn counts(story: impl Future<Output = ()>) -> Vec<(String, u64)> {
    let recorded = record(story).into_iter().map(|((operation, outcome), (count, seconds))| {
        assert_eq!(seconds.len() as u64, count, "each operation has its duration");
        (format!("{operation} {outcome}"), count)
    });
    recorded.collect()
}

fn expected(counts: &[(&str, u64)]) -> Vec<(String, u64)> {
    counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[test]
fn operations_are_counted_by_name_and_outcome() {
    let counted = counts(async {
        let failing = Failing::new(MemoryStore::new());
        let store = Measured::new(failing.clone());
        let anonymous = Record::new(Expiry::default());
        store.create(&KEY, &anonymous, SubjectLimit::None).await.unwrap();
        // That the key is taken, or nothing there, is an answer too.
        store.create(&KEY, &anonymous, SubjectLimit::None).await.unwrap();
        assert_eq!(store.touch(&StoreKey::from_bytes([2; 32])).await.unwrap(), Touch::Gone);
        store.load(&KEY).await.unwrap();
        failing.fail(Verb::Load);
        store.load(&KEY).await.unwrap_err();
        store.load(&KEY).await.unwrap_err();
    });
    assert_eq!(counted, expected(&[("create ok", 2), ("load error", 2), ("load ok", 1), ("touch ok", 1)]));
}

#[test]
fn every_operation_is_told_under_its_own_name_well_or_not() {
    for verb in Verb::ALL {
        let counted = counts(async {
            let failing = Failing::new(MemoryStore::new());
            let store = Measured::new(failing.clone());
            ask(&store, verb).await.unwrap();
            failing.fail(verb);
            ask(&store, verb).await.unwrap_err();
        });
        let [error, ok] = ["error", "ok"].map(|outcome| format!("{} {outcome}", verb.name()));
        assert_eq!(counted, [(error, 1), (ok, 1)]);
    }
}

struct Garbled(MemoryStore);

impl Decorator for Garbled {
    type Inner = MemoryStore;

    fn inner(&self) -> &MemoryStore {
        &self.0
    }

    async fn around<T: Send>(
        &self,
        _: Verb,
        _: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        Err(StoreError::unreadable("not a session record"))
    }
}

#[test]
fn an_entry_that_cannot_be_read_is_no_failure_of_the_store() {
    let counted = counts(async {
        Measured::new(Garbled(MemoryStore::new())).load(&KEY).await.unwrap_err();
    });
    assert_eq!(counted, expected(&[("load unreadable", 1)]));
}

#[test]
fn what_is_given_up_is_an_error_and_what_nobody_waits_for_is_dropped() {
    let counted = counts(async {
        let slow = Slow::new(MemoryStore::new());
        slow.before_it(Verb::Load, Duration::from_secs(10));
        let store = Measured::new(TimeLimited::new(slow, Duration::from_secs(1)));
        store.load(&KEY).await.unwrap_err();
        tokio::time::timeout(Duration::from_millis(10), store.load(&KEY)).await.unwrap_err();
    });
    assert_eq!(counted, expected(&[("load dropped", 1), ("load error", 1)]));
}

#[test]
fn durations_are_in_seconds() {
    let recorded = record(async {
        Measured::new(Sleepy(MemoryStore::new())).sweep(1).await.unwrap();
    });
    let seconds = &recorded[&("sweep".to_owned(), "ok".to_owned())].1;
    assert!(seconds.len() == 1 && (0.02..10.0).contains(&seconds[0]), "{seconds:?}");
}

/// Takes real time: the runtime's clock stands still here.
struct Sleepy(MemoryStore);

impl Decorator for Sleepy {
    type Inner = MemoryStore;

    fn inner(&self) -> &MemoryStore {
        &self.0
    }

    async fn around<T: Send>(
        &self,
        _: Verb,
        operation: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        std::thread::sleep(Duration::from_millis(20));
        operation.await
    }
}
