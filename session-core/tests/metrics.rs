//! Every event reaches the recorder, under its name.

#![cfg(feature = "metrics")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

mod common;

use std::collections::BTreeMap;

use metrics_util::debugging::{DebugValue, DebuggingRecorder};

use common::{begin, stopped, stored, visit};

#[test]
fn events_are_counted_by_name() {
    let recorder = DebuggingRecorder::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let (clock, store) = stopped();
            let manager = stored(store, &clock).build().unwrap();
            let (token, _) = (begin(&manager).await, begin(&manager).await);
            for _ in 0..2 {
                visit(&manager, Some(&token), |session| session.logout().unwrap()).await;
            }
        });
    });
    let mut counted = BTreeMap::new();
    for (key, _, about, value) in recorder.snapshotter().snapshot().into_vec() {
        assert!(about.is_some(), "{key:?} is described");
        assert_eq!(key.key().name(), "session_events_total");
        let labels: Vec<_> = key.key().labels().map(|label| (label.key(), label.value().to_owned())).collect();
        let [("event", event)] = &labels[..] else { panic!("{labels:?}") };
        let DebugValue::Counter(count) = value else { panic!("{value:?}") };
        counted.insert(event.clone(), count);
    }
    let expected = [("created", 2), ("destroyed", 1), ("unknown", 1)];
    assert_eq!(counted, expected.map(|(event, count)| (event.to_owned(), count)).into());
}
