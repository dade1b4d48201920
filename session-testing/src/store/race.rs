//! What each verb does while others happen.

use tokio::task::yield_now;

use super::*;

/// How often a meeting of two is arranged: they can miss each other.
const ROUNDS: u64 = 100;
/// More attempts than a fair store makes anybody need.
const ATTEMPTS: usize = 10_000;

pub(super) async fn a_thousand_records_at_once_are_all_there(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    let tasks = (0..1_000).map(|n| {
        let store = store.share();
        tokio::spawn(async move {
            let key = store.created(&record(n)).await;
            assert_eq!(store.loaded(&key).await.record, record(n));
            key
        })
    });
    for (n, task) in tasks.collect::<Vec<_>>().into_iter().enumerate() {
        let key = ended(task).await;
        assert_eq!(number(&store.loaded(&key).await.record), n as u64);
    }
}

pub(super) async fn of_many_creators_of_one_key_one_wins(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    for _ in 0..10 {
        let key = key();
        let tasks = (0..10).map(|n| {
            let store = store.share();
            tokio::spawn(async move { (n, store.create(&key, &record(n)).await) })
        });
        let mut winners = Vec::new();
        for task in tasks.collect::<Vec<_>>() {
            let (n, outcome) = ended(task).await;
            winners.extend((outcome == Create::Created).then_some(n));
        }
        assert_eq!(winners, [number(&store.loaded(&key).await.record)]);
    }
}

pub(super) async fn fifty_writers_of_one_record_lose_nothing(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    let key = store.created(&record(0)).await;
    let tasks = (0..50).map(|_| {
        let store = store.share();
        tokio::spawn(async move {
            increment(&store, &key).await;
            increment(&store, &key).await;
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        ended(task).await;
    }
    let loaded = store.loaded(&key).await;
    assert_eq!((number(&loaded.record), loaded.version.as_u64()), (100, 101));
}

async fn increment(store: &Sound<impl SessionStore>, key: &StoreKey) {
    for _ in 0..ATTEMPTS {
        let Loaded { record: seen, version, .. } = store.loaded(key).await;
        match store.update(key, &record(number(&seen) + 1), version).await {
            Update::Updated => return,
            Update::Conflict => yield_now().await,
            Update::Gone => unreachable!("nobody deleted the record"),
        }
    }
    unreachable!("a writer never got through");
}

pub(super) async fn nothing_brings_back_what_was_deleted(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    for round in 0..ROUNDS {
        let key = store.created(&record(0)).await;
        let writers = (0..4).map(|writer| {
            let store = store.share();
            tokio::spawn(async move {
                // Each goes on for a while after it has seen the record dead.
                let mut after = 0;
                for n in 0..ATTEMPTS as u64 {
                    let gone = match (writer, store.load(&key).await) {
                        (_, None) => true,
                        (0, Some(_)) => store.touch(&key).await == Touch::Gone,
                        (_, Some(loaded)) => store.update(&key, &record(n), loaded.version).await == Update::Gone,
                    };
                    assert!(gone || after == 0, "a deleted record came back");
                    after += u64::from(gone);
                    if after == 5 {
                        return;
                    }
                    yield_now().await;
                }
                unreachable!("a deleted record stayed");
            })
        });
        let writers: Vec<_> = writers.collect();
        for _ in 0..round % 20 {
            yield_now().await;
        }
        store.delete(&key).await;
        for _ in 0..5 {
            assert!(!store.is_live(&key).await, "a record was alive after its deletion was acknowledged");
            yield_now().await;
        }
        for writer in writers {
            ended(writer).await;
        }
        assert!(!store.is_live(&key).await);
    }
}

pub(super) async fn of_many_renames_one_wins(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    for _ in 0..ROUNDS / 5 {
        let old = store.created(&record(0)).await;
        let tasks = (1..6).map(|n| {
            let (store, new) = (store.share(), key());
            tokio::spawn(async move { (n, new, store.rename(&old, &new, &record(n), Version::FIRST).await) })
        });
        let mut winners = 0;
        for task in tasks.collect::<Vec<_>>() {
            let (n, new, outcome) = ended(task).await;
            assert_ne!(outcome, Update::Conflict, "the one that won has taken the record away");
            let live = store.load(&new).await.map(|loaded| number(&loaded.record));
            assert_eq!(live, (outcome == Update::Updated).then_some(n));
            winners += usize::from(live.is_some());
        }
        assert_eq!((winners, store.is_live(&old).await), (1, false));
    }
}

pub(super) async fn a_rename_against_a_delete_leaves_neither_alive(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    for round in 0..ROUNDS {
        let (old, new) = (store.created(&record(0)).await, key());
        let renamer = store.share();
        let renaming = tokio::spawn(async move { renamer.rename(&old, &new, &record(1), Version::FIRST).await });
        for _ in 0..round % 4 {
            yield_now().await;
        }
        store.delete(&old).await;
        assert!(!store.is_live(&old).await, "a record was alive after its deletion was acknowledged");
        let outcome = ended(renaming).await;
        assert_ne!(outcome, Update::Conflict);
        assert!(!store.is_live(&old).await);
        assert!(!store.is_live(&new).await, "it lives on under its new key; the rename said {outcome:?}");
    }
}

pub(super) async fn a_rename_against_a_writer_loses_neither(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    for round in 0..ROUNDS {
        let (old, new) = (store.created(&record(0)).await, key());
        let (renamer, toucher) = (store.share(), store.share());
        let renaming = tokio::spawn(async move { renamer.rename(&old, &new, &record(1), Version::FIRST).await });
        let touching = tokio::spawn(async move { toucher.touch(&old).await });
        for _ in 0..round % 4 {
            yield_now().await;
        }
        let updated = store.update(&old, &record(2), Version::FIRST).await;
        let renamed = ended(renaming).await;
        ended(touching).await;
        let live = [store.load(&old).await, store.load(&new).await]
            .map(|loaded| loaded.map(|loaded| (number(&loaded.record), loaded.version.as_u64())));
        match (renamed, updated) {
            (Update::Updated, Update::Gone) => assert_eq!(live, [None, Some((1, 2))]),
            (Update::Conflict, Update::Updated) => assert_eq!(live, [Some((2, 2)), None]),
            other => unreachable!("renamed and updated: {other:?}"),
        }
    }
}

pub(super) async fn a_rename_has_no_moment_with_both_or_neither(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    for _ in 0..ROUNDS {
        let (old, new) = (store.created(&record(0)).await, key());
        let watcher = store.share();
        let watching = tokio::spawn(async move {
            for _ in 0..ATTEMPTS {
                // Asked in this order, the two answers contradict each other only if there was such a moment.
                if watcher.is_live(&new).await {
                    return assert!(!watcher.is_live(&old).await, "both the old and the new one were alive");
                }
                if !watcher.is_live(&old).await {
                    return assert!(watcher.is_live(&new).await, "neither the old nor the new one was alive");
                }
                yield_now().await;
            }
            unreachable!("the record was never renamed");
        });
        yield_now().await;
        assert_eq!(store.rename(&old, &new, &record(1), Version::FIRST).await, Update::Updated);
        ended(watching).await;
    }
}
