//! The sessions of one subject: which they are, and what ends them.

use tokio::time::sleep;

use super::*;

pub(super) async fn the_sessions_of_a_subject_are_listed_with_the_newest_first(store: Arc<impl SessionStore>) {
    let (store, ada, bob) = (Sound(store), somebody(), somebody());
    let mut keys = Vec::new();
    for n in 0..5 {
        keys.insert(0, store.created(&of(&ada, n)).await);
        store.created(&of(&bob, n)).await;
        sleep(APART).await;
    }
    assert_eq!(store.keys_of(&ada).await, keys);
    // The newest, not the one used last.
    assert_eq!(store.touch(&keys[4]).await, Touch::Touched);
    assert_eq!(store.update(&keys[3], &of(&ada, 9), Version::FIRST).await, Update::Updated);
    keys[2] = store.renamed(&keys[2], &of(&ada, 9)).await;
    assert_eq!(store.keys_of(&ada).await, keys);
    assert_eq!(store.keys_of(&somebody()).await, []);
}

pub(super) async fn a_list_is_no_longer_than_asked_for(store: Arc<impl SessionStore>) {
    let (store, ada) = (Sound(store), somebody());
    let mut keys = Vec::new();
    for n in 0..4 {
        keys.insert(0, store.created(&of(&ada, n)).await);
        sleep(APART).await;
    }
    for most in [0, 1, 3, 4, 5, usize::MAX] {
        let listed: Vec<_> = sound(store.0.sessions_of(&ada, most).await).into_iter().map(|(key, _)| key).collect();
        assert_eq!(listed, keys[..most.min(4)], "{most} were asked for");
    }
}

pub(super) async fn a_list_says_what_loading_says(store: Arc<impl SessionStore>) {
    let (store, ada) = (Sound(store), somebody());
    let changed = owned(Some(&ada), living(2, ms(50_000), ms(60_000)));
    let (one, two) = (store.created(&of(&ada, 1)).await, store.created(&of(&ada, 1)).await);
    let three = store.created(&of(&ada, 1)).await;
    sleep(APART).await;
    assert_eq!(store.update(&one, &changed, Version::FIRST).await, Update::Updated);
    assert_eq!(store.touch(&two).await, Touch::Touched);
    let three = store.renamed(&three, &changed).await;
    let listed = store.sessions_of(&ada).await;
    assert_eq!(listed.len(), 3);
    for (key, listed) in listed {
        assert!([one, two, three].contains(&key));
        let loaded = store.loaded(&key).await;
        assert!(listed.now >= listed.times.seen && listed.now <= loaded.now, "one clock");
        assert_eq!(Loaded { now: loaded.now, ..listed }, loaded);
    }
}

pub(super) async fn a_deleted_session_is_in_no_list(store: Arc<impl SessionStore>) {
    let (store, ada) = (Sound(store), somebody());
    let (one, two) = (store.created(&of(&ada, 1)).await, store.created(&of(&ada, 2)).await);
    assert!(store.delete(&one).await);
    assert_eq!(store.keys_of(&ada).await, [two]);
    let renamed = store.renamed(&two, &of(&ada, 3)).await;
    assert!(store.delete(&two).await, "by its former key");
    assert_eq!((store.keys_of(&ada).await, store.is_live(&renamed).await), (vec![], false));
    // A key that begins again is in the list of whom it belongs to now.
    let bob = somebody();
    assert_eq!(store.create(&one, &of(&bob, 4)).await, Create::Created);
    assert_eq!((store.keys_of(&ada).await, store.keys_of(&bob).await), (vec![], vec![one]));
}

pub(super) async fn a_renamed_session_is_listed_once_under_its_new_key(store: Arc<impl SessionStore>) {
    let (store, ada) = (Sound(store), somebody());
    let (mut key, mut version) = (store.created(&of(&ada, 0)).await, Version::FIRST);
    for n in 1..4 {
        let new = super::key();
        assert_eq!(store.rename(&key, &new, &of(&ada, n), version).await, Update::Updated);
        (key, version) = (new, version.next());
        let listed = store.sessions_of(&ada).await;
        let listed: Vec<_> = listed.iter().map(|(key, loaded)| (*key, number(&loaded.record))).collect();
        assert_eq!(listed, [(key, n)]);
    }
}

pub(super) async fn an_anonymous_session_is_in_nobodys_list(store: Arc<impl SessionStore>) {
    let store = Sound(store);
    let (one, two) = (store.created(&of_nobody(1)).await, store.created(&of_nobody(1)).await);
    let two = store.renamed(&two, &of_nobody(2)).await;
    for subject in ["", "null", "None", "anonymous"] {
        let listed = store.keys_of(subject).await;
        assert!(!listed.contains(&one) && !listed.contains(&two), "it was listed for {subject:?}");
        assert!(!store.delete_one_of(subject, &one).await);
        store.delete_all_of(subject, None).await;
    }
    assert!(store.is_live(&one).await && store.is_live(&two).await);
}

pub(super) async fn a_session_moves_to_the_list_of_its_subject(store: Arc<impl SessionStore>) {
    let (store, ada, bob) = (Sound(store), somebody(), somebody());
    for by_update in [true, false] {
        let (mut key, mut version) = (store.created(&of_nobody(0)).await, Version::FIRST);
        // A login, another one, a step up, a logout that keeps the values, and a login again.
        for subject in [Some(&ada), Some(&bob), Some(&bob), None, Some(&ada)] {
            let record = owned(subject.map(String::as_str), record(1));
            if by_update {
                assert_eq!(store.update(&key, &record, version).await, Update::Updated);
            } else {
                let new = super::key();
                assert_eq!(store.rename(&key, &new, &record, version).await, Update::Updated);
                key = new;
            }
            version = version.next();
            for listed in [&ada, &bob] {
                let expected: &[StoreKey] = if subject == Some(listed) { &[key] } else { &[] };
                assert_eq!(store.keys_of(listed).await, expected, "by update: {by_update}");
            }
        }
        assert!(!store.delete_one_of(&bob, &key).await, "it was Bob's once");
        assert_eq!(store.delete_all_of(&bob, None).await, 0);
        assert_eq!(store.delete_all_of(&ada, None).await, 1);
    }
}

pub(super) async fn subjects_that_look_alike_are_kept_apart(store: Arc<impl SessionStore>) {
    let (store, name) = (Sound(store), somebody());
    let alike = [
        name.clone(),
        name.to_uppercase(),
        format!("{name} "),
        format!(" {name}"),
        format!("{name}\n"),
        format!("{name}\t"),
        format!("{name}\0"),
        format!("{name}*"),
        format!("{name}?"),
        format!("{name}%"),
        format!("{name}_"),
        format!("{name}\\"),
        format!("{name}'"),
        format!("{name}\""),
        format!("{name}:sessions"),
        format!("[{name}]"),
        format!("{{{name}}}"),
        name.replace('-', "_"),
        name.replace('-', "%"),
        name.replace('-', "*"),
        format!("{name}é"),
        format!("{name}e"),
        format!("{name}e\u{301}"),
        format!("{name}ß"),
        format!("{name}ss"),
        format!("{name}王小明 👩‍🚀"),
        format!("{name}{}", "x".repeat(1_000)),
        format!("{name}{}y", "x".repeat(1_000)),
        "*".to_owned(),
        "%".to_owned(),
        String::new(),
    ];
    let mut keys = Vec::new();
    for subject in &alike {
        keys.push(store.created(&of(subject, 1)).await);
        let visitor = store.created(&of_nobody(1)).await;
        keys.push(store.renamed(&visitor, &of(subject, 2)).await);
    }
    // Others may have chosen the shortest ones too.
    let ours = async |subject: &str| {
        let mut listed = store.keys_of(subject).await;
        listed.retain(|key| keys.contains(key));
        listed
    };
    for (subject, own) in alike.iter().zip(keys.chunks(2)) {
        let listed = ours(subject).await;
        assert!(listed.len() == 2 && own.iter().all(|key| listed.contains(key)), "the list of {subject:?}");
    }
    for (n, (subject, own)) in alike.iter().zip(keys.chunks(2)).enumerate() {
        assert!(store.delete_one_of(subject, &own[0]).await, "one of {subject:?}");
        assert!(store.delete_all_of(subject, None).await >= 1, "all of {subject:?}");
        assert_eq!(ours(subject).await, []);
        for (place, key) in keys.iter().enumerate() {
            assert_eq!(store.is_live(key).await, place / 2 > n, "number {place} when {subject:?} had ended hers");
        }
    }
}

pub(super) async fn one_session_of_a_subject_is_ended_by_its_key(store: Arc<impl SessionStore>) {
    let (store, ada) = (Sound(store), somebody());
    let (one, two) = (store.created(&of(&ada, 1)).await, store.created(&of(&ada, 2)).await);
    assert!(store.delete_one_of(&ada, &one).await);
    assert!(!store.delete_one_of(&ada, &one).await, "it has ended already");
    assert!(!store.delete_one_of(&ada, &key()).await, "there never was such a key");
    assert_eq!((store.is_live(&one).await, store.keys_of(&ada).await), (false, vec![two]));
    assert_eq!(store.update(&one, &of(&ada, 3), Version::FIRST).await, Update::Gone);
    for renames in 1..4 {
        let mut keys = vec![store.created(&of(&ada, 0)).await];
        let mut version = Version::FIRST;
        for n in 0..renames {
            keys.push(key());
            assert_eq!(store.rename(&keys[n], &keys[n + 1], &of(&ada, 1), version).await, Update::Updated);
            version = version.next();
        }
        assert!(store.delete_one_of(&ada, &keys[0]).await, "by the key it had {renames} renames ago");
        assert!(!store.is_live(&keys[renames]).await);
        assert!(!store.delete_one_of(&ada, &keys[0]).await);
    }
    assert_eq!(store.keys_of(&ada).await, [two]);
}

pub(super) async fn a_session_of_somebody_else_is_not_ended(store: Arc<impl SessionStore>) {
    let (store, ada, bob) = (Sound(store), somebody(), somebody());
    let (old, nobodys) = (store.created(&of(&bob, 1)).await, store.created(&of_nobody(1)).await);
    let new = store.renamed(&old, &of(&bob, 2)).await;
    for key in [old, new, nobodys] {
        assert!(!store.delete_one_of(&ada, &key).await);
    }
    assert_eq!(number(&store.loaded(&new).await.record), 2);
    assert!(store.is_live(&nobodys).await);
    assert!(store.delete(&old).await, "where it went is still known");
    // Whose it is now counts, not whose it was under that key.
    let old = store.created(&of(&ada, 3)).await;
    let new = store.renamed(&old, &of(&bob, 4)).await;
    assert!(!store.delete_one_of(&ada, &old).await && store.is_live(&new).await);
    assert!(store.delete_one_of(&bob, &old).await && !store.is_live(&new).await);
}

pub(super) async fn all_sessions_of_a_subject_end_but_the_one_that_is_spared(store: Arc<impl SessionStore>) {
    let (store, ada, bob) = (Sound(store), somebody(), somebody());
    let (bobs, nobodys) = (store.created(&of(&bob, 1)).await, store.created(&of_nobody(1)).await);
    let mut keys = Vec::new();
    for n in 0..4 {
        keys.push(store.created(&of(&ada, n)).await);
    }
    keys[3] = store.renamed(&keys[3], &of(&ada, 9)).await;
    assert_eq!(store.delete_all_of(&ada, Some(&keys[1])).await, 3);
    for (n, key) in keys.iter().enumerate() {
        assert_eq!(store.is_live(key).await, n == 1);
    }
    assert_eq!(store.keys_of(&ada).await, [keys[1]]);
    assert_eq!(store.loaded(&keys[1]).await.version, Version::FIRST);
    assert_eq!(store.delete_all_of(&ada, Some(&keys[1])).await, 0, "there is none left but that one");
    // A key of nobody she is spares none of hers.
    for stranger in [None, Some(&bobs), Some(&nobodys), Some(&key())] {
        store.created(&of(&ada, 5)).await;
        let expected = store.keys_of(&ada).await.len();
        assert_eq!(store.delete_all_of(&ada, stranger).await, expected);
        assert_eq!(store.keys_of(&ada).await, []);
    }
    assert!(store.is_live(&bobs).await && store.is_live(&nobodys).await);
    assert_eq!(store.delete_all_of(&ada, None).await, 0);
    let late = store.created(&of(&ada, 6)).await;
    assert_eq!(store.keys_of(&ada).await, [late], "who logs in again has a session again");
}

pub(super) async fn a_former_key_spares_the_session_it_was_renamed_to(store: Arc<impl SessionStore>) {
    let (store, ada) = (Sound(store), somebody());
    for renames in 1..4 {
        let mut keys = vec![store.created(&of_nobody(0)).await];
        let mut version = Version::FIRST;
        for n in 0..renames {
            keys.push(key());
            assert_eq!(store.rename(&keys[n], &keys[n + 1], &of(&ada, 1), version).await, Update::Updated);
            version = version.next();
        }
        let other = store.created(&of(&ada, 2)).await;
        assert_eq!(store.delete_all_of(&ada, Some(&keys[0])).await, 1);
        assert_eq!(store.keys_of(&ada).await, [keys[renames]], "after {renames} renames");
        assert!(store.is_live(&keys[renames]).await && !store.is_live(&other).await);
        assert!(store.delete(&keys[0]).await, "where it went is still known");
    }
}

pub(super) async fn nothing_brings_back_what_ended_with_all(store: Arc<impl SessionStore>) {
    let (store, ada) = (Sound(store), somebody());
    let (one, two) = (store.created(&of(&ada, 1)).await, store.created(&of(&ada, 2)).await);
    let three = store.renamed(&two, &of(&ada, 3)).await;
    assert_eq!(store.delete_all_of(&ada, None).await, 2);
    for (key, seen) in [(one, Version::FIRST), (two, Version::FIRST), (three, Version::FIRST.next())] {
        assert_eq!(store.update(&key, &of(&ada, 4), seen).await, Update::Gone);
        assert_eq!(store.touch(&key).await, Touch::Gone);
        assert_eq!(store.rename(&key, &super::key(), &of(&ada, 5), seen).await, Update::Gone);
        assert!(!store.delete(&key).await && !store.delete_one_of(&ada, &key).await);
        assert!(!store.is_live(&key).await);
    }
    assert_eq!(store.keys_of(&ada).await, []);
}

pub(super) async fn hundreds_of_sessions_of_one_subject_are_listed_and_ended(store: Arc<impl SessionStore>) {
    let (store, ada) = (Sound(store), somebody());
    let tasks = (0..300).map(|n| {
        let (store, ada) = (store.share(), ada.clone());
        tokio::spawn(async move { store.created(&of(&ada, n)).await })
    });
    let mut keys = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        keys.push(finished(task).await);
    }
    let mut listed = store.keys_of(&ada).await;
    listed.sort_unstable();
    keys.sort_unstable();
    assert!(listed == keys, "{} were listed of 300", listed.len());
    assert_eq!(store.delete_all_of(&ada, Some(&keys[0])).await, 299);
    assert_eq!(store.keys_of(&ada).await, [keys[0]]);
}
