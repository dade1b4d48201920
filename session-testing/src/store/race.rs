//! What each verb does while others happen.

use std::sync::atomic::{AtomicBool, Ordering};

use std::time::Instant;

use tokio::task::yield_now;
use tokio::time::sleep;

use super::*;

/// How often a meeting of two is arranged: they can miss each other.
const ROUNDS: u64 = 100;
/// Longer than anything that is asked for takes.
const PATIENCE: Duration = Duration::from_secs(30);
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
        let key = finished(task).await;
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
            let (n, outcome) = finished(task).await;
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
        finished(task).await;
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
            outcome => unreachable!("nobody deleted or limited the record: {outcome:?}"),
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
                // Each goes on for a while after it has seen the record dead. Where the machine is busy, that may take its time.
                let (mut after, start) = (0, Instant::now());
                for n in 0.. {
                    assert!(start.elapsed() < PATIENCE, "a deleted record stayed");
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
            finished(writer).await;
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
            let (n, new, outcome) = finished(task).await;
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
        let outcome = finished(renaming).await;
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
        let renamed = finished(renaming).await;
        finished(touching).await;
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
        finished(watching).await;
    }
}

pub(super) async fn a_session_that_is_renamed_is_listed_once_at_every_moment(store: Arc<impl SessionStore>) {
    let (store, ada) = (Sound(store), somebody());
    let (mut key, stop) = (store.created(&of(&ada, 0)).await, Arc::new(AtomicBool::new(false)));
    let (watcher, subject, stopped) = (store.share(), ada.clone(), Arc::clone(&stop));
    let watching = tokio::spawn(async move {
        for _ in 0..ATTEMPTS {
            let listed = watcher.sessions_of(&subject).await.len();
            assert_eq!(listed, 1, "so many were listed while one was renamed");
            if stopped.load(Ordering::SeqCst) {
                return;
            }
            yield_now().await;
        }
    });
    let mut version = Version::FIRST;
    for n in 0..ROUNDS {
        let new = super::key();
        assert_eq!(store.rename(&key, &new, &of(&ada, n), version).await, Update::Updated);
        (key, version) = (new, version.next());
        yield_now().await;
    }
    stop.store(true, Ordering::SeqCst);
    finished(watching).await;
}

pub(super) async fn of_many_deletes_of_one_session_one_ended_it(store: Arc<impl SessionStore>) {
    let (store, ada) = (Sound(store), somebody());
    for _ in 0..ROUNDS / 5 {
        let old = store.created(&of(&ada, 0)).await;
        let new = store.renamed(&old, &of(&ada, 1)).await;
        let tasks = (0..8).map(|n| {
            let (store, ada) = (store.share(), ada.clone());
            let key = if n % 2 == 0 { old } else { new };
            tokio::spawn(async move {
                match n {
                    0..4 => usize::from(store.delete(&key).await),
                    4..6 => usize::from(store.delete_one_of(&ada, &key).await),
                    _ => store.delete_all_of(&ada, None).await,
                }
            })
        });
        let mut sessions = 0;
        for task in tasks.collect::<Vec<_>>() {
            sessions += finished(task).await;
        }
        assert_eq!(sessions, 1, "so many were ended, and there was one");
    }
}

/// Renames a session on and on until it has ended or the test stops it. All the keys it had.
async fn wander(
    store: Sound<impl SessionStore>,
    subject: String,
    key: StoreKey,
    stop: Arc<AtomicBool>,
) -> Vec<StoreKey> {
    let (mut keys, mut key, mut version) = (vec![key], key, Version::FIRST);
    for n in 0..200 {
        let new = super::key();
        match store.rename(&key, &new, &of(&subject, n), version).await {
            Update::Updated => (key, version) = (new, version.next()),
            Update::Gone => return keys,
            outcome => unreachable!("nobody else writes: {outcome:?}"),
        }
        keys.push(key);
        if stop.load(Ordering::SeqCst) {
            return keys;
        }
        yield_now().await;
    }
    keys
}

pub(super) async fn ending_all_leaves_no_session_that_began_before_however_often_it_is_renamed(
    store: Arc<impl SessionStore>,
) {
    let store = Sound(store);
    for round in 0..ROUNDS / 5 {
        let (ada, stop) = (somebody(), Arc::new(AtomicBool::new(false)));
        let mut first = Vec::new();
        for n in 0..4 {
            first.push(store.created(&of(&ada, n)).await);
        }
        let wanderers =
            first.iter().map(|key| tokio::spawn(wander(store.share(), ada.clone(), *key, Arc::clone(&stop))));
        let wanderers: Vec<_> = wanderers.collect();
        for _ in 0..round % 7 {
            yield_now().await;
        }
        let spared = (round % 2 == 0).then_some(&first[0]);
        let sessions = store.delete_all_of(&ada, spared).await;
        stop.store(true, Ordering::SeqCst);
        let mut live = Vec::new();
        for wanderer in wanderers {
            let keys = finished(wanderer).await;
            for key in &keys {
                live.extend(store.is_live(key).await.then_some((*key, keys[0])));
            }
        }
        let firsts: Vec<_> = live.iter().map(|(_, first)| first).collect();
        assert_eq!(firsts, Vec::from_iter(spared), "who is alive, of those that were there");
        assert_eq!(sessions, 4 - live.len(), "so many were said to be ended");
        assert_eq!(store.keys_of(&ada).await, live.iter().map(|(key, _)| *key).collect::<Vec<_>>());
    }
}

pub(super) async fn ending_all_against_logins_ends_a_session_or_leaves_it_and_says_so(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    for round in 0..ROUNDS / 10 {
        let ada = somebody();
        let limit = if round % 2 == 0 { SubjectLimit::None } else { end_oldest(50) };
        let logins = (0..4).map(|_| {
            let (store, ada) = (store.share(), ada.clone());
            tokio::spawn(async move {
                let mut keys = Vec::new();
                for n in 0..5 {
                    keys.push(store.created_within(limit, &of(&ada, n)).await);
                    let visitor = store.created(&of_nobody(n)).await;
                    keys.push(store.renamed_within(limit, &visitor, &of(&ada, n)).await);
                    yield_now().await;
                }
                keys
            })
        });
        let (logins, mut sessions, mut keys) = (logins.collect::<Vec<_>>(), 0, Vec::new());
        for _ in 0..4 {
            for _ in 0..round % 4 {
                yield_now().await;
            }
            sessions += store.delete_all_of(&ada, None).await;
        }
        for login in logins {
            keys.extend(finished(login).await);
        }
        assert_eq!(sessions + store.keys_of(&ada).await.len(), 40, "who ended and who was left");
        agreed(&store, std::slice::from_ref(&ada), &keys).await;
        let late = store.created(&of(&ada, 9)).await;
        assert!(store.is_live(&late).await && store.keys_of(&ada).await.contains(&late));
    }
}

/// What these subjects' lists say is what loading these keys says.
async fn agreed(store: &Sound<impl SessionStore>, subjects: &[String], keys: &[StoreKey]) {
    let mut listed = Vec::new();
    for subject in subjects {
        for (key, session) in store.sessions_of(subject).await {
            let loaded = store.load(&key).await.expect("who is listed is alive");
            assert_eq!(loaded.record.subject.as_deref(), Some(subject.as_str()), "whose it is");
            assert_eq!(Loaded { now: loaded.now, ..session }, loaded);
            assert!(!listed.contains(&key), "listed twice");
            listed.push(key);
        }
    }
    for key in keys {
        let subject = store.load(key).await.and_then(|loaded| loaded.record.subject);
        let belongs = subject.is_some_and(|subject| subjects.iter().any(|one| **one == *subject));
        assert_eq!(listed.contains(key), belongs, "whether it is listed, and whether it is alive");
    }
    assert!(listed.iter().all(|key| keys.contains(key)), "a key was listed that nobody wrote");
}

pub(super) async fn whatever_happens_at_once_list_and_load_agree(store: Arc<impl SessionStore>) {
    let (store, subjects) = (Sound(store), [somebody(), somebody()]);
    let tasks = (0..8).map(|task| {
        let (store, subjects) = (store.share(), subjects.clone());
        tokio::spawn(async move {
            let (mut keys, mut session) = (Vec::new(), None);
            for step in 0..40 {
                let subject = &subjects[(task / 2 + step / 3) % 2];
                let record = of(subject, step as u64);
                let Some((key, version)) = session else {
                    let limit = if step % 2 == 0 { end_oldest(6) } else { SubjectLimit::None };
                    let key = store.created_within(limit, &record).await;
                    keys.push(key);
                    session = Some((key, Version::FIRST));
                    continue;
                };
                let new = super::key();
                keys.push(new);
                // Towards the end nobody ends any more, so that somebody is left to agree about.
                let outcome = match (task + step * 3) % if step < 30 { 8 } else { 5 } {
                    0 | 1 => store.update(&key, &record, version).await,
                    2 => store.rename(&key, &new, &of_nobody(1), version).await,
                    3 => store.rename_within(end_oldest(6), &key, &new, &record, version).await,
                    4 => store.rename_within(refuse(6), &key, &new, &record, version).await,
                    5 => {
                        store.delete_one_of(subject, &key).await;
                        Update::Gone
                    }
                    6 => {
                        store.delete(&key).await;
                        Update::Gone
                    }
                    _ => {
                        store.delete_all_of(subject, (task % 2 == 0).then_some(&key)).await;
                        Update::Gone
                    }
                };
                session = match outcome {
                    Update::Updated if store.is_live(&new).await => Some((new, version.next())),
                    Update::Updated => Some((key, version.next())),
                    Update::Full => session,
                    Update::Gone => None,
                    Update::Conflict => unreachable!("nobody else writes this session"),
                };
                yield_now().await;
            }
            keys
        })
    });
    let mut keys = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        keys.extend(finished(task).await);
    }
    agreed(&store, &subjects, &keys).await;
}

pub(super) async fn several_sweepers_take_each_expired_record_once_and_no_live_one(store: Arc<impl SessionStore>) {
    let (store, ada) = (Sound(store), somebody());
    store.sweep_all(ALL).await;
    let (mut live, idle) = (Vec::new(), ms(800));
    for n in 0..60 {
        store.created(&owned(Some(&ada), living(n, idle, HOUR))).await;
    }
    for n in 0..8 {
        live.push(store.created(&of(&ada, n)).await);
    }
    sleep(idle + ms(20)).await;
    let writers = live.into_iter().map(|key| {
        let (store, ada) = (store.share(), ada.clone());
        tokio::spawn(async move {
            let (mut key, mut version) = (key, Version::FIRST);
            for n in 0..10 {
                let new = super::key();
                assert_eq!(store.touch(&key).await, Touch::Touched);
                assert_eq!(store.update(&key, &of(&ada, n), version).await, Update::Updated);
                assert_eq!(store.rename(&key, &new, &of(&ada, n), version.next()).await, Update::Updated);
                (key, version) = (new, version.next().next());
                yield_now().await;
            }
            key
        })
    });
    let writers: Vec<_> = writers.collect();
    let sweepers = (0..4).map(|_| {
        let store = store.share();
        tokio::spawn(async move { store.sweep_all(7).await })
    });
    let mut swept = 0;
    for sweeper in sweepers.collect::<Vec<_>>() {
        swept += finished(sweeper).await;
    }
    swept += store.sweep_all(ALL).await;
    assert!(swept == 60 || swept == 0, "each is swept once, or none where the store drops them by itself; not {swept}");
    let mut live = Vec::new();
    for writer in writers {
        live.push(finished(writer).await);
    }
    for key in &live {
        assert!(store.is_live(key).await, "a live record was swept");
    }
    let listed = store.keys_of(&ada).await;
    assert!(listed.len() == 8 && listed.iter().all(|key| live.contains(key)));
}

pub(super) async fn a_sweep_takes_nothing_that_begins_anew_meanwhile(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    for _ in 0..5 {
        let mut keys = Vec::new();
        for n in 0..12 {
            keys.push(store.created(&living(n, ms(30), HOUR)).await);
        }
        sleep(ms(50)).await;
        let sweeper = store.share();
        let sweeping = tokio::spawn(async move { sweeper.sweep_all(ALL).await });
        let creators = keys.iter().map(|key| {
            let (store, key) = (store.share(), *key);
            tokio::spawn(async move { store.create(&key, &record(1)).await })
        });
        for creator in creators.collect::<Vec<_>>() {
            assert_eq!(finished(creator).await, Create::Created);
        }
        finished(sweeping).await;
        for key in keys {
            assert!(store.is_live(&key).await, "it was swept after it had begun anew");
        }
    }
}
