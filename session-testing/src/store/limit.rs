//! How many live sessions a subject may have.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::yield_now;
use tokio::time::sleep;

use super::*;

/// Sessions that were created one after another; the oldest is the first.
async fn crowd(store: &Sound<impl SessionStore>, subject: &str, size: u64) -> Vec<StoreKey> {
    let mut keys = Vec::new();
    for n in 0..size {
        keys.push(store.created(&of(subject, n)).await);
        sleep(APART).await;
    }
    keys
}

/// The keys of a subject, the oldest first.
async fn oldest_first(store: &Sound<impl SessionStore>, subject: &str) -> Vec<StoreKey> {
    let mut keys = store.keys_of(subject).await;
    keys.reverse();
    keys
}

pub(super) async fn a_new_session_ends_the_oldest_beyond_the_limit(store: Arc<impl SessionStore>) {
    let (store, ada) = (Sound(store), somebody());
    let mut keys = Vec::new();
    for n in 0..5 {
        keys.push(store.created_within(end_oldest(3), &of(&ada, n)).await);
        sleep(APART).await;
        assert_eq!(oldest_first(&store, &ada).await, keys[keys.len().saturating_sub(3)..]);
    }
    for (n, key) in keys.iter().enumerate() {
        assert_eq!(store.is_live(key).await, n >= 2);
    }
}

pub(super) async fn a_login_ends_the_oldest_beyond_the_limit(store: Arc<impl SessionStore>) {
    let (store, ada) = (Sound(store), somebody());
    // The visitor was there before all of them, and stays.
    let visitor = store.created(&of_nobody(0)).await;
    sleep(APART).await;
    let keys = crowd(&store, &ada, 3).await;
    // What was used last is no younger for it.
    assert_eq!(store.touch(&keys[0]).await, Touch::Touched);
    let new = store.renamed_within(end_oldest(3), &visitor, &of(&ada, 9)).await;
    assert_eq!(oldest_first(&store, &ada).await, [new, keys[1], keys[2]]);
    assert!(!store.is_live(&keys[0]).await, "the oldest of the others ends");
    assert_eq!(number(&store.loaded(&new).await.record), 9);
}

pub(super) async fn the_session_that_was_just_written_is_never_the_one_that_ends(store: Arc<impl SessionStore>) {
    let (store, ada, bob) = (Sound(store), somebody(), somebody());
    let oldest = store.created(&of(&bob, 0)).await;
    sleep(APART).await;
    crowd(&store, &ada, 2).await;
    let renamed = store.renamed_within(end_oldest(1), &oldest, &of(&ada, 1)).await;
    assert_eq!((store.keys_of(&ada).await, store.keys_of(&bob).await), (vec![renamed], vec![]));
    let created = store.created_within(end_oldest(1), &of(&ada, 2)).await;
    assert_eq!(store.keys_of(&ada).await, [created]);
    // Within one millisecond nobody is older.
    for n in 0..20 {
        let created = store.created_within(end_oldest(2), &of(&ada, n)).await;
        assert!(store.is_live(&created).await);
        assert_eq!(store.keys_of(&ada).await.len(), 2);
    }
}

pub(super) async fn what_a_limit_ended_is_dead_in_every_verb(store: Arc<impl SessionStore>) {
    let (store, ada) = (Sound(store), somebody());
    for by_rename in [true, false] {
        let key = store.created(&of(&ada, 1)).await;
        sleep(APART).await;
        let mut last = store.created_within(end_oldest(1), &of(&ada, 2)).await;
        if by_rename {
            last = store.renamed_within(end_oldest(1), &last, &of(&ada, 3)).await;
        }
        assert_eq!(store.load(&key).await, None);
        assert_eq!(store.update(&key, &of(&ada, 4), Version::FIRST).await, Update::Gone);
        assert_eq!(store.touch(&key).await, Touch::Gone);
        assert_eq!(store.rename(&key, &super::key(), &of(&ada, 5), Version::FIRST).await, Update::Gone);
        assert!(!store.delete(&key).await && !store.delete_one_of(&ada, &key).await);
        assert_eq!(store.keys_of(&ada).await, [last]);
    }
}

pub(super) async fn a_lower_limit_ends_several_at_once(store: Arc<impl SessionStore>) {
    let (store, ada) = (Sound(store), somebody());
    let mut keys = crowd(&store, &ada, 6).await;
    keys.push(store.created_within(end_oldest(u32::MAX), &of(&ada, 8)).await);
    sleep(APART).await;
    assert_eq!(oldest_first(&store, &ada).await, keys);
    keys.push(store.created_within(end_oldest(4), &of(&ada, 9)).await);
    assert_eq!(oldest_first(&store, &ada).await, keys[4..]);
    // A session that is renamed counts once.
    let renamed = store.renamed_within(end_oldest(2), &keys[5], &of(&ada, 9)).await;
    assert_eq!(oldest_first(&store, &ada).await, [renamed, keys[7]]);
}

pub(super) async fn renewing_at_the_limit_ends_nobody_and_is_not_refused(store: Arc<impl SessionStore>) {
    let (store, ada) = (Sound(store), somebody());
    let mut keys = crowd(&store, &ada, 3).await;
    for (n, limit) in [(0, end_oldest(3)), (1, refuse(3)), (2, end_oldest(3))] {
        keys[n] = store.renamed_within(limit, &keys[n], &of(&ada, 9)).await;
        assert_eq!(oldest_first(&store, &ada).await, keys, "{limit:?}");
    }
}

pub(super) async fn a_full_subject_is_refused_and_nothing_changes(store: Arc<impl SessionStore>) {
    let (store, ada) = (Sound(store), somebody());
    let (visitor, new) = (store.created(&of_nobody(7)).await, key());
    let keys = [store.created_within(refuse(2), &of(&ada, 1)).await, {
        sleep(APART).await;
        store.created_within(refuse(2), &of(&ada, 2)).await
    }];
    let before = store.loaded(&visitor).await;
    for limit in [refuse(2), refuse(1)] {
        assert_eq!(store.create_within(limit, &new, &of(&ada, 3)).await, Create::Full);
        assert_eq!(store.rename_within(limit, &visitor, &new, &of(&ada, 3), Version::FIRST).await, Update::Full);
        assert!(!store.is_live(&new).await);
        let after = store.loaded(&visitor).await;
        assert_eq!((after.record, after.version, after.times), (before.record.clone(), before.version, before.times));
        assert_eq!(oldest_first(&store, &ada).await, keys);
    }
    assert!(store.delete(&keys[0]).await);
    assert_eq!(store.rename_within(refuse(2), &visitor, &new, &of(&ada, 3), Version::FIRST).await, Update::Updated);
    let mut listed = store.keys_of(&ada).await;
    listed.retain(|key| ![keys[1], new].contains(key));
    assert_eq!((listed, store.keys_of(&ada).await.len()), (vec![], 2), "an ended session gives its place up");
}

pub(super) async fn a_write_that_does_not_happen_ends_nobody(store: Arc<impl SessionStore>) {
    let (store, ada) = (Sound(store), somebody());
    let keys = crowd(&store, &ada, 3).await;
    let (visitor, gone) = (store.created(&of_nobody(1)).await, key());
    let (login, stale) = (of(&ada, 9), Version::FIRST.next());
    for limit in [end_oldest(1), refuse(1)] {
        let conflict = store.rename_within(limit, &visitor, &key(), &login, stale).await;
        assert_eq!(conflict, Update::Conflict, "{limit:?}");
        assert_eq!(store.rename_within(limit, &gone, &key(), &login, Version::FIRST).await, Update::Gone, "{limit:?}");
        assert_eq!(oldest_first(&store, &ada).await, keys);
    }
    assert_eq!(store.create_within(end_oldest(1), &visitor, &login).await, Create::Taken);
    assert_eq!(store.create_within(end_oldest(1), &keys[2], &login).await, Create::Taken);
    assert!(store.0.rename(&visitor, &keys[2], &login, Version::FIRST, end_oldest(1)).await.is_err());
    assert_eq!(oldest_first(&store, &ada).await, keys);
    assert_eq!(store.loaded(&visitor).await.record, of_nobody(1));
}

pub(super) async fn a_limit_is_one_subjects_own(store: Arc<impl SessionStore>) {
    let (store, ada, bob) = (Sound(store), somebody(), somebody());
    let (adas, bobs) = (crowd(&store, &ada, 2).await, crowd(&store, &bob, 2).await);
    let new = store.created_within(refuse(1), &of(&somebody(), 1)).await;
    // Who becomes somebody else counts there, and no longer here.
    let moved = store.renamed_within(end_oldest(2), &adas[0], &of(&bob, 9)).await;
    assert_eq!((oldest_first(&store, &ada).await, store.is_live(&new).await), (vec![adas[1]], true));
    assert_eq!(oldest_first(&store, &bob).await, [moved, bobs[1]]);
    assert_eq!(store.create_within(refuse(2), &key(), &of(&ada, 3)).await, Create::Created);
    assert_eq!(store.create_within(refuse(2), &key(), &of(&bob, 3)).await, Create::Full);
}

pub(super) async fn no_limit_counts_for_anonymous_sessions(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    let mut keys = Vec::new();
    for limit in [end_oldest(1), refuse(1)] {
        for n in 0..3 {
            keys.push(store.created_within(limit, &of_nobody(n)).await);
        }
        let visitor = store.created(&of_nobody(3)).await;
        keys.push(store.renamed_within(limit, &visitor, &of_nobody(4)).await);
    }
    for key in keys {
        assert!(store.is_live(&key).await);
    }
}

/// Logins of one subject, every other one by a visitor who was there before and every fourth renewed at once, and what
/// became of each.
async fn logins(
    store: &Sound<impl SessionStore>,
    subject: &str,
    limit: SubjectLimit,
    count: u64,
) -> Vec<(StoreKey, Update)> {
    let tasks = (0..count).map(|n| {
        let (store, login, key) = (store.share(), of(subject, n), key());
        tokio::spawn(async move {
            if n % 2 == 0 {
                let visitor = store.created(&of_nobody(n)).await;
                yield_now().await;
                let outcome = store.rename_within(limit, &visitor, &key, &login, Version::FIRST).await;
                assert_eq!(store.is_live(&visitor).await, outcome == Update::Full, "a visitor who got {outcome:?}");
                return (key, outcome);
            }
            match store.create_within(limit, &key, &login).await {
                Create::Created if n % 4 == 1 => {
                    yield_now().await;
                    let new = super::key();
                    let outcome = store.rename_within(limit, &key, &new, &login, Version::FIRST).await;
                    // Another login may have ended it before.
                    assert!(outcome == Update::Updated || outcome == Update::Gone, "{outcome:?}");
                    (if outcome == Update::Updated { new } else { key }, Update::Updated)
                }
                Create::Created => (key, Update::Updated),
                Create::Full => (key, Update::Full),
                Create::Taken => unreachable!("nobody has a key that is new"),
            }
        })
    });
    let mut outcomes = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        outcomes.push(finished(task).await);
    }
    outcomes
}

/// Looks at a subject's list until it is told to stop: there are never more than `most`.
fn watch(store: &Sound<impl SessionStore>, subject: &str, most: usize) -> (Arc<AtomicBool>, JoinHandle<()>) {
    let (store, subject, stop) = (store.share(), subject.to_owned(), Arc::new(AtomicBool::new(false)));
    let stopped = Arc::clone(&stop);
    let watching = tokio::spawn(async move {
        for _ in 0..10_000 {
            let listed = store.keys_of(&subject).await.len();
            assert!(listed <= most, "{listed} sessions were alive at once, {most} are the limit");
            if stopped.load(Ordering::SeqCst) {
                return;
            }
            yield_now().await;
        }
    });
    (stop, watching)
}

pub(super) async fn of_two_hundred_logins_at_once_none_slips_past_the_limit(store: Arc<impl SessionStore>) {
    let (store, ada) = (Sound(store), somebody());
    let (stop, watching) = watch(&store, &ada, 5);
    let outcomes = logins(&store, &ada, end_oldest(5), 200).await;
    stop.store(true, Ordering::SeqCst);
    finished(watching).await;
    let listed = store.keys_of(&ada).await;
    assert_eq!(listed.len(), 5);
    for (key, outcome) in outcomes {
        assert_eq!(outcome, Update::Updated);
        assert_eq!(store.is_live(&key).await, listed.contains(&key));
    }
}

pub(super) async fn of_many_logins_at_once_as_many_get_in_as_may(store: Arc<impl SessionStore>) {
    let (store, ada) = (Sound(store), somebody());
    let (stop, watching) = watch(&store, &ada, 5);
    let outcomes = logins(&store, &ada, refuse(5), 60).await;
    stop.store(true, Ordering::SeqCst);
    finished(watching).await;
    let listed = store.keys_of(&ada).await;
    assert_eq!(listed.len(), 5);
    for (key, outcome) in outcomes {
        assert!(matches!(outcome, Update::Updated | Update::Full), "{outcome:?}");
        assert_eq!(store.is_live(&key).await, outcome == Update::Updated);
        assert_eq!(listed.contains(&key), outcome == Update::Updated);
    }
}

pub(super) async fn sessions_that_change_places_are_not_in_each_others_way(store: Arc<impl SessionStore>) {
    let (store, ada, bob) = (Sound(store), somebody(), somebody());
    for round in 0..40 {
        let (hers, his) = (store.created(&of(&ada, 0)).await, store.created(&of(&bob, 0)).await);
        let limit = if round % 2 == 0 { end_oldest(2) } else { end_oldest(1) };
        let change = |old: StoreKey, to: String| {
            let store = store.share();
            tokio::spawn(async move { store.rename_within(limit, &old, &key(), &of(&to, 1), Version::FIRST).await })
        };
        let changes = [change(hers, bob.clone()), change(his, ada.clone())];
        for change in changes {
            let outcome = finished(change).await;
            // With one place each, who comes first ends the other.
            assert!(outcome == Update::Updated || limit == end_oldest(1) && outcome == Update::Gone, "{outcome:?}");
        }
        let left = store.delete_all_of(&ada, None).await + store.delete_all_of(&bob, None).await;
        assert!(left == 2 || limit == end_oldest(1) && left == 1, "{left} were left of two");
    }
}
