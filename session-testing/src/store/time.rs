//! Deadlines. The store has its own clock, so real time passes here, in small pieces.

use tokio::time::{Instant, sleep};

use super::*;

pub(super) async fn a_record_is_dated_by_the_clock_of_the_store(store: Arc<impl SessionStore>) {
    let (store, start) = (Sound(store), Instant::now());
    let key = store.created(&living(1, ms(40_000), ms(90_000))).await;
    let first = store.loaded(&key).await;
    assert_eq!(first.times.seen, first.times.created);
    assert_eq!(first.times.expires, first.times.created.plus(ms(40_000)));
    assert!(first.times.created <= first.now);
    sleep(ms(40)).await;
    let second = store.loaded(&key).await;
    assert_eq!(second.times, first.times, "loading moves nothing");
    let passed = second.now.since(first.times.created);
    assert!(passed >= ms(35) && passed <= start.elapsed() + ms(5), "the clock of the store goes as time does");
}

pub(super) async fn every_write_moves_the_idle_deadline(store: Arc<impl SessionStore>) {
    let (store, new) = (Sound(store), key());
    let key = store.created(&record(1)).await;
    let created = store.loaded(&key).await.times;
    sleep(ms(20)).await;
    // By the limits of the record that is written, not by those that were there.
    let shorter = living(2, ms(40_000), ms(90_000));
    assert_eq!(store.update(&key, &shorter, Version::FIRST).await, Update::Updated);
    let updated = store.loaded(&key).await;
    assert!(updated.times.seen > created.seen && updated.times.seen <= updated.now);
    assert_eq!(updated.times.expires, updated.times.seen.plus(ms(40_000)));
    sleep(ms(20)).await;
    assert_eq!(store.touch(&key).await, Touch::Touched);
    let touched = store.loaded(&key).await;
    assert!(touched.times.seen > updated.times.seen && touched.times.seen <= touched.now);
    assert_eq!(touched.times.expires, touched.times.seen.plus(ms(40_000)));
    sleep(ms(20)).await;
    let longer = living(3, ms(50_000), ms(90_000));
    assert_eq!(store.rename(&key, &new, &longer, touched.version).await, Update::Updated);
    let renamed = store.loaded(&new).await;
    assert!(renamed.times.seen > touched.times.seen && renamed.times.seen <= renamed.now);
    assert_eq!(renamed.times.expires, renamed.times.seen.plus(ms(50_000)));
    assert_eq!(renamed.times.created, created.created);
}

pub(super) async fn no_deadline_moves_beyond_the_lifetime(store: Arc<impl SessionStore>) {
    let (store, new) = (Sound(store), key());
    let (idle, lifetime) = (ms(10_000), ms(10_010));
    let key = store.created(&living(1, idle, lifetime)).await;
    let end = store.loaded(&key).await.times.created.plus(lifetime);
    sleep(ms(30)).await;
    assert_eq!(store.touch(&key).await, Touch::Touched);
    assert_eq!(store.loaded(&key).await.times.expires, end, "touched");
    assert_eq!(store.update(&key, &living(2, idle, lifetime), Version::FIRST).await, Update::Updated);
    let updated = store.loaded(&key).await;
    assert_eq!(updated.times.expires, end, "updated");
    assert_eq!(store.rename(&key, &new, &updated.record, updated.version).await, Update::Updated);
    assert_eq!(store.loaded(&new).await.times.expires, end, "renamed");
    let short = store.created(&living(3, HOUR, ms(9_000))).await;
    let times = store.loaded(&short).await.times;
    assert_eq!(times.expires, times.created.plus(ms(9_000)), "created with a lifetime shorter than the idle limit");
}

pub(super) async fn an_expired_record_is_absent_in_every_verb(store: Arc<impl SessionStore>) {
    let (store, new, ada) = (Sound(store), key(), somebody());
    let mut keys = Vec::new();
    for short in [living(1, ms(40), HOUR), living(2, HOUR, ms(40))] {
        keys.push(store.created(&owned(Some(&ada), short)).await);
    }
    sleep(ms(60)).await;
    assert_eq!(store.sessions_of(&ada).await, []);
    for key in keys {
        assert_eq!(store.load(&key).await, None);
        assert_eq!(store.touch(&key).await, Touch::Gone);
        assert_eq!(store.update(&key, &record(3), Version::FIRST).await, Update::Gone);
        assert_eq!(store.rename(&key, &new, &record(3), Version::FIRST).await, Update::Gone);
        assert_eq!((store.load(&key).await, store.load(&new).await), (None, None));
        assert!(!store.delete_one_of(&ada, &key).await, "it has ended already");
        assert_eq!(store.delete_all_of(&ada, Some(&key)).await, 0, "they have ended already");
        assert!(!store.delete(&key).await, "it has ended already");
    }
}

pub(super) async fn an_expired_key_can_be_created_anew(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    let short = living(1, ms(40), HOUR);
    let (key, target) = (store.created(&short).await, store.created(&short).await);
    store.update(&key, &short, Version::FIRST).await;
    sleep(ms(60)).await;
    assert_eq!(store.create(&key, &record(2)).await, Create::Created);
    let loaded = store.loaded(&key).await;
    assert_eq!((&loaded.record, loaded.version), (&record(2), Version::FIRST));
    assert_eq!(loaded.times.seen, loaded.times.created, "nothing of the old one is left");
    assert_eq!(store.rename(&key, &target, &record(3), Version::FIRST).await, Update::Updated);
    assert_eq!(number(&store.loaded(&target).await.record), 3);
}

pub(super) async fn what_is_not_used_expires_and_what_is_touched_does_not(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    let idle = ms(200);
    // On a machine so busy that the touches came too late nothing has been shown yet.
    for _ in 0..10 {
        let mut last = Instant::now();
        let (used, unused) = (store.created(&living(1, idle, HOUR)).await, store.created(&living(2, idle, HOUR)).await);
        let mut in_time = true;
        for _ in 0..4 {
            sleep(ms(70)).await;
            let touched = store.touch(&used).await;
            in_time &= last.elapsed() < idle;
            last = Instant::now();
            assert!(touched == Touch::Touched || !in_time, "a record in use expired");
        }
        assert!(!store.is_live(&unused).await, "a record that nobody used outlived its idle limit");
        if in_time {
            return;
        }
    }
    unreachable!("in ten attempts this machine was too busy to touch a record every 200 ms");
}

pub(super) async fn the_lifetime_ends_what_is_touched(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    let key = store.created(&living(1, HOUR, ms(150))).await;
    for _ in 0..5 {
        sleep(ms(40)).await;
        store.touch(&key).await;
    }
    assert_eq!(store.touch(&key).await, Touch::Gone);
    assert!(!store.is_live(&key).await);
}

pub(super) async fn a_very_long_life_is_a_life(store: Arc<impl SessionStore>) {
    let (store, ever) = (Sound(store), Duration::from_millis(u64::MAX));
    for (idle, lifetime) in [(ever, ever), (HOUR, ever), (ever, HOUR), (HOUR * 24 * 400, HOUR * 24 * 36_500)] {
        let (long, new) = (living(1, idle, lifetime), key());
        let key = store.created(&long).await;
        assert_eq!(store.loaded(&key).await.record, long);
        assert_eq!(store.touch(&key).await, Touch::Touched);
        assert_eq!(store.update(&key, &long, Version::FIRST).await, Update::Updated);
        assert_eq!(store.rename(&key, &new, &long, Version::FIRST.next()).await, Update::Updated);
        store.sweep(10).await;
        assert_eq!(store.loaded(&new).await.record, long);
    }
}

pub(super) async fn sweeping_takes_the_expired_within_its_limit_and_leaves_the_living(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    let mut live = Vec::new();
    for n in 0..5 {
        store.created(&living(n, ms(30), HOUR)).await;
        live.push(store.created(&record(n)).await);
    }
    sleep(ms(50)).await;
    let mut swept = 0;
    for _ in 0..10 {
        let now = store.sweep(2).await;
        assert!(now <= 2, "{now} records were swept where two were allowed");
        swept += now;
    }
    assert!(swept == 5 || swept == 0, "all five are swept, or none where the store drops them by itself; not {swept}");
    assert_eq!(store.sweep(10).await, 0);
    for key in live {
        assert!(store.is_live(&key).await, "a live record was swept");
    }
}

pub(super) async fn sweeping_spares_a_key_that_was_created_anew(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    let key = store.created(&living(1, ms(30), HOUR)).await;
    sleep(ms(50)).await;
    assert_eq!(store.create(&key, &record(2)).await, Create::Created);
    store.sweep(10).await;
    assert_eq!(number(&store.loaded(&key).await.record), 2);
}

pub(super) async fn a_former_key_is_known_for_as_long_as_it_could_have_lived(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    let long = store.created(&record(1)).await;
    let short = store.renamed(&long, &living(2, ms(200), HOUR)).await;
    let updated = store.update(&short, &record(3), Version::FIRST.next()).await;
    sleep(ms(220)).await;
    store.sweep(ALL).await;
    if updated == Update::Updated {
        assert!(store.delete(&long).await, "its session is alive, and it could have lived as long itself");
    }
    assert!(!store.is_live(&short).await);
}

pub(super) async fn expired_sessions_do_not_count_for_a_limit(store: Arc<impl SessionStore>) {
    let (store, ada) = (Sound(store), somebody());
    let oldest = store.created(&of(&ada, 0)).await;
    sleep(APART).await;
    for n in 1..4 {
        store.created(&owned(Some(&ada), living(n, ms(40), HOUR))).await;
    }
    sleep(ms(60)).await;
    let second = store.created_within(end_oldest(2), &of(&ada, 4)).await;
    let visitor = store.created(&of_nobody(5)).await;
    let third = store.renamed_within(refuse(3), &visitor, &of(&ada, 5)).await;
    for key in [oldest, second, third] {
        assert!(store.is_live(&key).await, "it was ended for one that was over");
    }
    assert_eq!(store.create_within(refuse(3), &key(), &of(&ada, 6)).await, Create::Full);
}

pub(super) async fn expired_sessions_take_no_place_in_a_list(store: Arc<impl SessionStore>) {
    let (store, ada) = (Sound(store), somebody());
    let mut keys = Vec::new();
    for n in 0..6 {
        let idle = if n < 3 { HOUR } else { ms(40) };
        keys.insert(0, store.created(&owned(Some(&ada), living(n, idle, HOUR * 2))).await);
        sleep(APART).await;
    }
    sleep(ms(50)).await;
    for most in [1, 2, 3, 4] {
        let listed: Vec<_> = sound(store.0.sessions_of(&ada, most).await).into_iter().map(|(key, _)| key).collect();
        assert_eq!(listed, keys[3..3 + most.min(3)], "{most} were asked for");
    }
}
