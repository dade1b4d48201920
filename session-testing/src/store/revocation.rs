//! What is remembered of sessions that no record is kept of.

use tokio::time::sleep;

use super::*;

const NOON: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// A moment so long after noon.
fn noon_and(seconds: u64) -> Timestamp {
    NOON.plus(Duration::from_secs(seconds))
}

pub(super) async fn a_revoked_key_is_revoked_and_no_other(store: Arc<impl SessionStore>) {
    let (store, one, two) = (Sound(store), key(), key());
    assert!(!store.is_revoked(&[one], None, NOON).await);
    assert!(store.revoke(&one, HOUR).await);
    for made in [Timestamp::from_millis(0), NOON, noon_and(1)] {
        assert!(store.is_revoked(&[one], None, made).await);
        assert!(store.is_revoked(&[one], Some(&somebody()), made).await);
        assert!(!store.is_revoked(&[two], None, made).await);
    }
}

pub(super) async fn one_revoked_key_of_several_is_enough(store: Arc<impl SessionStore>) {
    let (store, revoked) = (Sound(store), key());
    store.revoke(&revoked, HOUR).await;
    for keys in [vec![revoked, key(), key()], vec![key(), revoked, key()], vec![key(), key(), revoked]] {
        assert!(store.is_revoked(&keys, None, NOON).await);
    }
    assert!(store.is_revoked(&[revoked, revoked], None, NOON).await);
    assert!(!store.is_revoked(&[key(), key(), key()], None, NOON).await);
    assert!(!store.is_revoked(&[], None, NOON).await);
    assert!(!store.is_revoked(&[], Some(&somebody()), NOON).await);
}

pub(super) async fn revoking_twice_is_no_news(store: Arc<impl SessionStore>) {
    let (store, one, two) = (Sound(store), key(), key());
    assert!(store.revoke(&one, HOUR).await);
    assert!(store.revoke(&two, HOUR).await);
    assert!(!store.revoke(&one, HOUR).await);
    assert!(!store.revoke(&two, HOUR * 2).await);
    assert!(!store.revoke(&one, ms(1)).await);
    assert!(store.is_revoked(&[one], None, NOON).await && store.is_revoked(&[two], None, NOON).await);
}

pub(super) async fn a_revocation_ends_with_its_time(store: Arc<impl SessionStore>) {
    let (store, key, ada) = (Sound(store), key(), somebody());
    assert!(store.revoke(&key, ms(60)).await);
    store.revoke_all_of(&ada, noon_and(9), ms(60)).await;
    sleep(ms(80)).await;
    assert!(!store.is_revoked(&[key], Some(&ada), NOON).await);
    assert!(store.revoke(&key, HOUR).await, "what is over is news again");
    assert!(store.is_revoked(&[key], None, NOON).await);
    store.revoke_all_of(&ada, NOON, HOUR).await;
    assert!(store.is_revoked(&[], Some(&ada), NOON).await);
    assert!(!store.is_revoked(&[], Some(&ada), noon_and(1)).await, "the later moment was over");
}

pub(super) async fn of_two_revocations_the_longer_time_counts(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    // On a machine so busy that the first one was over before the second nothing has been shown yet.
    for _ in 0..10 {
        let (keys, [ada, bob]) = ([key(), key()], [somebody(), somebody()]);
        let news = [store.revoke(&keys[0], ms(150)).await, store.revoke(&keys[0], HOUR).await];
        assert!(store.revoke(&keys[1], HOUR).await);
        assert!(!store.revoke(&keys[1], ms(150)).await);
        for (subject, [first, second]) in [(&ada, [ms(150), HOUR]), (&bob, [HOUR, ms(150)])] {
            store.revoke_all_of(subject, NOON, first).await;
            store.revoke_all_of(subject, NOON, second).await;
        }
        sleep(ms(170)).await;
        for key in keys {
            assert!(store.is_revoked(&[key], None, NOON).await, "the shorter time counted");
        }
        for subject in [&ada, &bob] {
            assert!(store.is_revoked(&[], Some(subject), NOON).await, "the shorter time counted");
        }
        if news == [true, false] {
            return;
        }
    }
    unreachable!("in ten attempts a second revocation was never taken for one");
}

pub(super) async fn a_revocation_can_be_for_ever_and_for_no_time(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    for keep in [HOUR * 24 * 36_500, Duration::from_millis(u64::MAX), Duration::MAX] {
        let (key, ada) = (key(), somebody());
        assert!(store.revoke(&key, keep).await);
        assert!(!store.revoke(&key, keep).await);
        store.revoke_all_of(&ada, NOON, keep).await;
        store.revoke_all_of(&ada, noon_and(1), keep).await;
        assert!(store.is_revoked(&[key], None, NOON).await, "for {keep:?}");
        assert!(store.is_revoked(&[], Some(&ada), noon_and(1)).await, "for {keep:?}");
    }
    let (key, ada) = (key(), somebody());
    store.revoke(&key, Duration::ZERO).await;
    store.revoke_all_of(&ada, NOON, Duration::ZERO).await;
    sleep(ms(20)).await;
    assert!(!store.is_revoked(&[key], Some(&ada), NOON).await);
}

pub(super) async fn what_was_made_for_a_subject_is_revoked_up_to_a_moment(store: Arc<impl SessionStore>) {
    let (store, ada, bob) = (Sound(store), somebody(), somebody());
    store.revoke_all_of(&ada, NOON, HOUR).await;
    for (made, revoked) in [
        (Timestamp::from_millis(0), true),
        (Timestamp::from_millis(NOON.as_millis() - 1), true),
        (NOON, true),
        (NOON.plus(ms(1)), false),
        (noon_and(86_400), false),
    ] {
        assert_eq!(store.is_revoked(&[], Some(&ada), made).await, revoked, "{made:?}");
        assert_eq!(store.is_revoked(&[key()], Some(&ada), made).await, revoked, "{made:?}");
        assert!(!store.is_revoked(&[], Some(&bob), made).await);
        assert!(!store.is_revoked(&[], None, made).await, "what belongs to nobody");
    }
    // Whichever of the two it is.
    let revoked = key();
    store.revoke(&revoked, HOUR).await;
    assert!(store.is_revoked(&[revoked], Some(&ada), noon_and(1)).await);
    // The far ends of time are times.
    let cyd = somebody();
    store.revoke_all_of(&cyd, Timestamp::from_millis(0), HOUR).await;
    assert!(store.is_revoked(&[], Some(&cyd), Timestamp::from_millis(0)).await);
    assert!(!store.is_revoked(&[], Some(&cyd), NOON).await);
    store.revoke_all_of(&cyd, Timestamp::from_millis(u64::MAX), HOUR).await;
    assert!(store.is_revoked(&[], Some(&cyd), NOON).await);
}

pub(super) async fn the_later_moment_counts_in_whichever_order_it_is_told(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    for moments in [[1, 5, 3], [5, 3, 1], [3, 1, 5]] {
        let (ada, mut latest) = (somebody(), 0);
        for seconds in moments {
            store.revoke_all_of(&ada, noon_and(seconds), HOUR).await;
            latest = latest.max(seconds);
            assert!(store.is_revoked(&[], Some(&ada), noon_and(latest)).await, "{moments:?}");
            assert!(!store.is_revoked(&[], Some(&ada), noon_and(latest + 1)).await, "{moments:?}");
        }
    }
}

pub(super) async fn revocations_of_subjects_that_look_alike_are_kept_apart(store: Arc<impl SessionStore>) {
    let (store, name) = (Sound(store), somebody());
    for suffix in
        ["", " ", "\n", "\0", "*", "%", "_", "?", "\\", "'", "\"", "{}", "[a]", ":", "é", "e", "e\u{301}", "👩‍🚀"]
    {
        let subject = format!("{name}{suffix}");
        assert!(!store.is_revoked(&[], Some(&subject), NOON).await, "{subject:?}");
        store.revoke_all_of(&subject, NOON, HOUR).await;
        assert!(store.is_revoked(&[], Some(&subject), NOON).await, "{subject:?}");
    }
    let long = format!("{name}{}", "x".repeat(1_000));
    store.revoke_all_of(&long, NOON, HOUR).await;
    assert!(store.is_revoked(&[], Some(&long), NOON).await);
    for other in [format!("{long}y"), name.to_uppercase(), name.replace('-', "_"), name.replace('-', "*")] {
        assert!(!store.is_revoked(&[], Some(&other), NOON).await, "{other:?}");
    }
}

pub(super) async fn revocations_and_sessions_do_not_know_each_other(store: Arc<impl SessionStore>) {
    let (store, ada) = (Sound(store), somebody());
    let key = store.created(&of(&ada, 1)).await;
    assert!(store.revoke(&key, HOUR).await);
    store.revoke_all_of(&ada, Timestamp::from_millis(u64::MAX), HOUR).await;
    assert_eq!(store.keys_of(&ada).await, [key]);
    assert_eq!(store.loaded(&key).await.record, of(&ada, 1));
    assert!(store.delete(&key).await);
    assert!(store.is_revoked(&[key], None, NOON).await, "deleting takes no revocation back");
    assert_eq!(store.delete_all_of(&ada, None).await, 0);
    assert!(store.is_revoked(&[], Some(&ada), NOON).await);
    assert_eq!(store.create(&key, &of(&ada, 2)).await, Create::Created);
}

pub(super) async fn of_many_revocations_of_one_key_one_is_news(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    for _ in 0..10 {
        let key = key();
        let tasks = (0..10).map(|_| {
            let store = store.share();
            tokio::spawn(async move {
                let news = store.revoke(&key, HOUR).await;
                assert!(store.is_revoked(&[key], None, NOON).await);
                news
            })
        });
        let mut news = 0;
        for task in tasks.collect::<Vec<_>>() {
            news += usize::from(finished(task).await);
        }
        assert_eq!(news, 1);
    }
}

pub(super) async fn of_many_revocations_of_a_subject_the_latest_moment_counts(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    for _ in 0..10 {
        let ada = somebody();
        let tasks = (0..10).map(|seconds| {
            let (store, ada) = (store.share(), ada.clone());
            tokio::spawn(async move {
                store.revoke_all_of(&ada, noon_and(seconds), HOUR).await;
                assert!(store.is_revoked(&[], Some(&ada), noon_and(seconds)).await, "what was revoked is revoked");
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            finished(task).await;
        }
        assert!(store.is_revoked(&[], Some(&ada), noon_and(9)).await);
        assert!(!store.is_revoked(&[], Some(&ada), noon_and(10)).await);
    }
}

pub(super) async fn sweeping_leaves_the_revocations_that_hold_and_counts_none(store: Arc<impl SessionStore>) {
    let (store, ada, bob) = (Sound(store), somebody(), somebody());
    store.sweep_all(ALL).await;
    let keys = [key(), key(), key()];
    for key in &keys {
        store.revoke(key, HOUR).await;
        store.revoke(&super::key(), ms(20)).await;
    }
    store.revoke_all_of(&ada, NOON, HOUR).await;
    store.revoke_all_of(&bob, NOON, ms(20)).await;
    sleep(ms(40)).await;
    assert_eq!(store.sweep_all(ALL).await, 0, "revocations are no records");
    for key in keys {
        assert!(store.is_revoked(&[key], None, NOON).await && !store.revoke(&key, HOUR).await);
    }
    assert!(store.is_revoked(&[], Some(&ada), NOON).await);
}
