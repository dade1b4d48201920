//! What a store ends by itself, and whether it says so.

use std::collections::HashSet;
use std::sync::Mutex;

use session_core::{Ended, EndedBy, Found, Witness};
use tokio::time::sleep;

use super::*;

#[derive(Default)]
struct Told(Mutex<Vec<Ended>>);

impl Witness for Told {
    fn ended(&self, ended: &Ended) {
        self.0.lock().expect("no test panics in here").push(ended.clone());
    }
}

impl Told {
    fn all(&self) -> Vec<Ended> {
        self.0.lock().expect("no test panics in here").clone()
    }
}

/// Who listens, and the same as what the store is given, to be kept. A store that tells nobody is told from one that does by
/// what `watch` says.
fn watch(store: &impl SessionStore) -> Option<(Arc<Told>, Arc<dyn Witness>)> {
    let told = Arc::new(Told::default());
    let witness: Arc<dyn Witness> = told.clone();
    // Named twice it is told once.
    let _ = store.watch(&witness);
    store.watch(&witness).then_some((told, witness))
}

pub(super) async fn whom_a_limit_ends_is_told_once_as_it_was(store: Arc<impl SessionStore>) {
    let Some((told, _kept)) = watch(&*store) else { return };
    let (store, ada) = (Sound(store), somebody());
    let oldest = store.created(&of(&ada, 1)).await;
    sleep(APART).await;
    let next = store.created(&of(&ada, 2)).await;
    sleep(APART).await;
    let visitor = store.created(&of_nobody(3)).await;
    assert!(told.all().is_empty(), "nobody has ended");
    store.created_within(end_oldest(2), &of(&ada, 4)).await;
    store.renamed_within(end_oldest(2), &visitor, &of(&ada, 5)).await;
    store.created_within(refuse(9), &of(&ada, 6)).await;
    let told: Vec<_> = told.all();
    let seen: Vec<_> = told.iter().map(|ended| (ended.key, ended.by)).collect();
    assert_eq!(seen, [(oldest, EndedBy::Limit), (next, EndedBy::Limit)]);
    for (n, ended) in (1..).zip(told) {
        let session = ended.session.expect("the record can be read");
        assert_eq!((number(&session.record), session.record.subject.as_deref()), (n, Some(&*ada)));
    }
}

pub(super) async fn of_many_logins_at_once_whoever_a_limit_ends_is_told_once(store: Arc<impl SessionStore>) {
    let Some((told, _kept)) = watch(&*store) else { return };
    let (store, ada) = (Sound(store), somebody());
    let logins: Vec<_> = (0..40)
        .map(|n| {
            let (store, record) = (store.share(), of(&ada, n));
            tokio::spawn(async move { store.created_within(end_oldest(3), &record).await })
        })
        .collect();
    let mut all = HashSet::new();
    for login in logins {
        all.insert(finished(login).await);
    }
    let live: HashSet<_> = store.keys_of(&ada).await.into_iter().collect();
    let gone: Vec<_> = told.all().into_iter().map(|ended| ended.key).collect();
    assert_eq!(gone.iter().collect::<HashSet<_>>().len(), gone.len(), "nobody is told of twice");
    assert_eq!(gone.into_iter().collect::<HashSet<_>>(), &all - &live);
}

pub(super) async fn what_is_swept_is_told_once_as_it_was(store: Arc<impl SessionStore>) {
    let Some((told, _kept)) = watch(&*store) else { return };
    let store = Sound(store);
    let mut mine = HashSet::new();
    for n in 0..30 {
        mine.insert(store.created(&living(n, ms(20), HOUR)).await);
    }
    let stays = store.created(&record(99)).await;
    sleep(ms(40)).await;
    let sweepers: Vec<_> = (0..4)
        .map(|_| {
            let store = store.share();
            tokio::spawn(async move { store.sweep_all(7).await })
        })
        .collect();
    let mut swept = 0;
    for sweeper in sweepers {
        swept += finished(sweeper).await;
    }
    let told = told.all();
    // A store that others use too may sweep theirs; one that frees what expires by itself sweeps nothing and tells nothing.
    assert_eq!(told.len(), swept);
    let keys: HashSet<_> = told.iter().map(|ended| ended.key).collect();
    assert_eq!(keys.len(), told.len(), "nobody is told of twice");
    assert!(!keys.contains(&stays) && store.is_live(&stays).await);
    assert!(swept == 0 || mine.is_subset(&keys));
    for ended in told.iter().filter(|ended| mine.contains(&ended.key)) {
        assert_eq!(ended.by, EndedBy::Deadline);
        assert!(number(&ended.session.as_ref().expect("the record can be read").record) < 30);
    }
}

pub(super) async fn who_watches_no_longer_is_told_nothing(store: Arc<impl SessionStore>) {
    let Some((told, witness)) = watch(&*store) else { return };
    let (store, ada) = (Sound(store), somebody());
    store.created(&of(&ada, 1)).await;
    drop(witness);
    let told = Arc::into_inner(told).expect("a store keeps no witness alive");
    store.created_within(end_oldest(1), &of(&ada, 2)).await;
    assert!(told.all().is_empty());
}

pub(super) async fn finding_says_what_loading_says_and_no_more_than_is_so(store: Arc<impl SessionStore>) {
    let find = async |key: &StoreKey| sound(store.find(key).await);
    let (store, absent) = (Sound(Arc::clone(&store)), key());
    let live = store.created(&record(1)).await;
    let expired = store.created(&living(2, ms(20), HOUR)).await;
    let renamed = store.created(&record(3)).await;
    store.renamed(&renamed, &record(3)).await;
    let deleted = store.created(&record(4)).await;
    assert!(store.delete(&deleted).await);
    sleep(ms(40)).await;
    let found = find(&live).await.live().expect("what is live is found");
    let loaded = store.loaded(&live).await;
    assert_eq!((found.record, found.version, found.times), (loaded.record, loaded.version, loaded.times));
    for key in [absent, renamed, deleted] {
        assert_eq!(find(&key).await, Found::Absent);
    }
    // It may be gone already.
    assert!(find(&expired).await.live().is_none());
    store.sweep_all(ALL).await;
    assert_eq!(find(&expired).await, Found::Absent);
}
