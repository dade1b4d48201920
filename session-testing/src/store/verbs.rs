//! What each verb does, one at a time.

use super::*;

const SECOND: Version = Version::FIRST.next();

pub(super) async fn what_is_absent_is_absent_in_every_verb(store: Arc<impl SessionStore>) {
    let (store, key, other) = (Sound(store), key(), key());
    assert_eq!(store.load(&key).await, None);
    assert_eq!(store.update(&key, &record(1), Version::FIRST).await, Update::Gone);
    assert_eq!(store.touch(&key).await, Touch::Gone);
    assert_eq!(store.rename(&key, &other, &record(1), Version::FIRST).await, Update::Gone);
    assert!(!store.delete(&key).await);
    let nobody = somebody();
    assert_eq!(store.sessions_of(&nobody).await, []);
    assert!(!store.delete_one_of(&nobody, &key).await);
    assert_eq!((store.delete_all_of(&nobody, None).await, store.delete_all_of(&nobody, Some(&key)).await), (0, 0));
    assert_eq!(store.sweep(10).await, 0);
    assert!(!store.is_revoked(&[key], Some(&nobody), Timestamp::from_millis(0)).await);
    assert_eq!((store.load(&key).await, store.load(&other).await), (None, None));
}

pub(super) async fn what_was_created_is_loaded(store: Arc<impl SessionStore>) {
    let (store, key) = (Sound(store), key());
    assert_eq!(store.create(&key, &record(1)).await, Create::Created);
    let loaded = store.loaded(&key).await;
    assert_eq!((loaded.record, loaded.version), (record(1), Version::FIRST));
}

pub(super) async fn a_taken_key_is_refused_and_left_as_it_is(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    let key = store.created(&record(1)).await;
    assert_eq!(store.create(&key, &record(2)).await, Create::Taken);
    let loaded = store.loaded(&key).await;
    assert_eq!((number(&loaded.record), loaded.version), (1, Version::FIRST));
}

pub(super) async fn of_two_writers_one_wins_and_the_other_knows_it(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    let key = store.created(&record(0)).await;
    assert_eq!(store.update(&key, &record(1), Version::FIRST).await, Update::Updated);
    let winner = store.loaded(&key).await;
    assert_eq!((number(&winner.record), winner.version), (1, SECOND));
    for stale in [Version::FIRST, SECOND.next()] {
        assert_eq!(store.update(&key, &record(2), stale).await, Update::Conflict);
        let loaded = store.loaded(&key).await;
        assert_eq!((loaded.record, loaded.version, loaded.times), (record(1), SECOND, winner.times));
    }
    assert_eq!(store.update(&key, &record(3), SECOND).await, Update::Updated);
    let loaded = store.loaded(&key).await;
    assert_eq!((loaded.record, loaded.version), (record(3), SECOND.next()));
}

pub(super) async fn updating_a_missing_record_makes_nothing(store: Arc<impl SessionStore>) {
    let (store, key) = (Sound(store), key());
    assert_eq!(store.update(&key, &record(1), Version::FIRST).await, Update::Gone);
    assert_eq!(store.load(&key).await, None);
}

pub(super) async fn updating_a_deleted_record_makes_nothing(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    let key = store.created(&record(1)).await;
    store.delete(&key).await;
    for seen in [Version::FIRST, SECOND] {
        assert_eq!(store.update(&key, &record(2), seen).await, Update::Gone);
    }
    assert_eq!(store.load(&key).await, None);
}

pub(super) async fn touching_keeps_everything_but_the_times(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    let key = store.created(&record(1)).await;
    let before = store.loaded(&key).await;
    tokio::time::sleep(ms(20)).await;
    assert_eq!(store.touch(&key).await, Touch::Touched);
    let after = store.loaded(&key).await;
    assert_eq!((&after.record, after.version), (&before.record, before.version));
    assert_eq!(after.times.created, before.times.created);
    assert!(after.times.seen > before.times.seen && after.times.expires > before.times.expires);
    // The version stayed, so the writer who saw it may still write.
    assert_eq!(store.update(&key, &record(2), before.version).await, Update::Updated);
}

pub(super) async fn touching_after_an_update_keeps_the_new_data(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    let key = store.created(&record(1)).await;
    let mut changed = living(2, ms(50_000), ms(60_000));
    changed.subject = None;
    assert_eq!(store.update(&key, &changed, Version::FIRST).await, Update::Updated);
    assert_eq!(store.touch(&key).await, Touch::Touched);
    let loaded = store.loaded(&key).await;
    assert_eq!((loaded.record, loaded.version), (changed, SECOND));
    assert_eq!(loaded.times.expires, loaded.times.seen.plus(ms(50_000)), "the new limits count");
}

pub(super) async fn touching_a_missing_record_makes_nothing(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    let deleted = store.created(&record(1)).await;
    store.delete(&deleted).await;
    for key in [key(), deleted] {
        assert_eq!(store.touch(&key).await, Touch::Gone);
        assert_eq!(store.load(&key).await, None);
    }
}

pub(super) async fn renaming_moves_the_record_in_one_step(store: Arc<impl SessionStore>) {
    let (store, new) = (Sound(store), key());
    let old = store.created(&record(1)).await;
    let before = store.loaded(&old).await;
    tokio::time::sleep(ms(20)).await;
    assert_eq!(store.rename(&old, &new, &record(2), Version::FIRST).await, Update::Updated);
    assert_eq!(store.load(&old).await, None);
    let after = store.loaded(&new).await;
    assert_eq!((&after.record, after.version), (&record(2), SECOND));
    assert_eq!(after.times.created, before.times.created, "a renewed session is no younger");
    assert!(after.times.seen > before.times.seen);
    assert_eq!(store.update(&old, &record(3), SECOND).await, Update::Gone);
    assert_eq!(store.touch(&old).await, Touch::Gone);
    assert_eq!(store.update(&new, &record(3), SECOND).await, Update::Updated);
}

pub(super) async fn renaming_on_a_conflict_changes_nothing(store: Arc<impl SessionStore>) {
    let (store, new) = (Sound(store), key());
    let old = store.created(&record(1)).await;
    assert_eq!(store.update(&old, &record(2), Version::FIRST).await, Update::Updated);
    let before = store.loaded(&old).await;
    assert_eq!(store.rename(&old, &new, &record(3), Version::FIRST).await, Update::Conflict);
    let after = store.loaded(&old).await;
    assert_eq!((after.record, after.version, after.times), (before.record, before.version, before.times));
    assert_eq!(store.load(&new).await, None);
}

pub(super) async fn renaming_a_missing_record_makes_nothing(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    let deleted = store.created(&record(1)).await;
    store.delete(&deleted).await;
    for old in [key(), deleted] {
        let new = key();
        assert_eq!(store.rename(&old, &new, &record(2), Version::FIRST).await, Update::Gone);
        assert_eq!((store.load(&old).await, store.load(&new).await), (None, None));
    }
}

pub(super) async fn renaming_onto_a_taken_key_is_an_error_and_both_stay(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    let (old, taken) = (store.created(&record(1)).await, store.created(&record(2)).await);
    assert!(store.0.rename(&old, &taken, &record(3), Version::FIRST, SubjectLimit::None).await.is_err());
    for (key, n) in [(old, 1), (taken, 2)] {
        let loaded = store.loaded(&key).await;
        assert_eq!((number(&loaded.record), loaded.version), (n, Version::FIRST));
    }
}

pub(super) async fn deleting_twice_is_fine_and_takes_no_other(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    let (one, other) = (store.created(&record(1)).await, store.created(&record(2)).await);
    store.delete(&one).await;
    store.delete(&one).await;
    assert_eq!(store.load(&one).await, None);
    assert_eq!(number(&store.loaded(&other).await.record), 2);
}

pub(super) async fn deleting_by_a_former_key_ends_the_session(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    let other = store.created(&record(1)).await;
    for renames in 1..4 {
        let mut keys = vec![store.created(&record(0)).await];
        let mut version = Version::FIRST;
        for n in 0..renames {
            keys.push(key());
            let renamed = store.rename(&keys[n], &keys[n + 1], &record(1), version).await;
            assert_eq!(renamed, Update::Updated);
            version = version.next();
        }
        store.delete(&keys[0]).await;
        for key in &keys {
            assert!(!store.is_live(key).await, "alive after {renames} renames and a delete by its first key");
        }
    }
    assert!(store.is_live(&other).await);
}

pub(super) async fn deleting_says_whether_it_ended_a_live_session(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    let key = store.created(&record(1)).await;
    assert!(store.delete(&key).await);
    assert!(!store.delete(&key).await);
    let old = store.created(&record(1)).await;
    let new = store.renamed(&old, &record(2)).await;
    assert!(store.delete(&old).await, "it ended the session that was renamed");
    assert!(!store.delete(&old).await && !store.delete(&new).await);
    let old = store.created(&record(1)).await;
    let new = store.renamed(&old, &record(2)).await;
    assert!(store.delete(&new).await);
    assert!(!store.delete(&old).await, "the session it was renamed to has ended already");
}

pub(super) async fn a_deleted_key_can_be_created_again(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    let key = store.created(&record(1)).await;
    assert_eq!(store.update(&key, &record(2), Version::FIRST).await, Update::Updated);
    store.delete(&key).await;
    assert_eq!(store.create(&key, &record(3)).await, Create::Created);
    let loaded = store.loaded(&key).await;
    assert_eq!((number(&loaded.record), loaded.version), (3, Version::FIRST));
}

pub(super) async fn every_record_comes_back_equal(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    let deep = format!("{}{}", r#"{"a":["#.repeat(30), "]}".repeat(30));
    let long = "long ".repeat(50);
    for (subject, values) in [
        ("null", "{}"),
        (r#""""#, r#"{"":""}"#),
        (r#""Žofie 王小明 👩‍🚀""#, r#"{"ключ":"значение","emoji":"👩‍🚀","right to left":"שלום"}"#),
        (r#""o'hara; drop table \"x\" -- %_\\""#, r#"{"'\"`;--%_\\$1?":"'\"`;--%_\\$1?"}"#),
        ("null", r#"{"controls":"\u0000\u0001\u001f\u007f\n\t\r","spaces":"  a  "}"#),
        ("null", r#"{"a":null,"b":true,"c":[],"d":{},"e":[[1,"2",{"f":null}]]}"#),
        ("null", r#"{"max":18446744073709551615,"min":-9223372036854775808,"tenth":0.1,"big":1e300,"minus":-1.5}"#),
        ("null", &format!(r#"{{"deep":{deep}}}"#)),
        (&format!("\"{long}\""), &format!(r#"{{"{long}":"{long}"}}"#)),
    ] {
        let json = format!(r#"{{"format":1,"subject":{subject},"idle":3600001,"lifetime":7199999,"values":{values}}}"#);
        let odd = Record::from_json(json.as_bytes()).expect("the suite's records are records");
        let key = store.created(&odd).await;
        assert_eq!(store.loaded(&key).await.record, odd, "created: {json}");
        let key = store.created(&record(1)).await;
        assert_eq!(store.update(&key, &odd, Version::FIRST).await, Update::Updated);
        assert_eq!(store.loaded(&key).await.record, odd, "updated: {json}");
        let new = super::key();
        assert_eq!(store.rename(&key, &new, &odd, SECOND).await, Update::Updated);
        assert_eq!(store.loaded(&new).await.record, odd, "renamed: {json}");
    }
}

pub(super) async fn records_of_a_megabyte_come_back_equal(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    let mut large = record(1);
    large.values_mut().insert("large", "ž\"\\".repeat(250_000));
    let key = store.created(&large).await;
    assert!(store.loaded(&key).await.record == large);
    large.values_mut().insert("n", 2);
    assert_eq!(store.update(&key, &large, Version::FIRST).await, Update::Updated);
    assert!(store.loaded(&key).await.record == large);
}
