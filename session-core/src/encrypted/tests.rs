use std::error::Error as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;

use super::*;
use crate::clock::ManualClock;
use crate::decorator::Decorator;
use crate::expiry::{Expiry, Times};
use crate::memory::MemoryStore;

const NONE: SubjectLimit = SubjectLimit::None;

fn secret(byte: u8) -> Secret {
    let hex: String = (0..32).map(|n: u8| format!("{:02x}", n ^ byte)).collect();
    Secret::parse(&hex).unwrap()
}

/// A ring of the secrets with these numbers, the current one first.
fn ring(numbers: &[u8]) -> KeyRing {
    let ring = KeyRing::new(secret(numbers[0]));
    numbers[1..].iter().fold(ring, |ring, number| ring.retired(secret(*number)))
}

fn key(number: u8) -> StoreKey {
    StoreKey::from_bytes([number; 32])
}

fn record(subject: Option<&str>) -> Record {
    let mut record = Record::new(Expiry::default());
    record.subject = subject.map(Into::into);
    record.values_mut().insert("note", "tea & co");
    record
}

/// A store whose clock goes on by a millisecond with each session that is created.
struct Bench {
    inner: MemoryStore,
    clock: Arc<ManualClock>,
}

impl Bench {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_000_000)));
        Self { inner: MemoryStore::new().clock(Arc::clone(&clock)), clock }
    }

    fn under(&self, numbers: &[u8]) -> Encrypted<MemoryStore> {
        Encrypted::new(self.inner.clone(), ring(numbers))
    }

    /// A session of ada's, made by a process with these secrets.
    async fn login(&self, numbers: &[u8], number: u8, limit: SubjectLimit) -> Create {
        self.clock.advance(Duration::from_millis(1));
        self.under(numbers).create(&key(number), &record(Some("ada")), limit).await.unwrap()
    }

    /// Which of the sessions with the numbers up to 20 are alive.
    async fn alive(&self) -> Vec<u8> {
        let mut alive = Vec::new();
        for number in 0..=20 {
            if self.inner.load(&key(number)).await.unwrap().is_some() {
                alive.push(number);
            }
        }
        alive
    }
}

fn numbers(sessions: &[(StoreKey, Loaded)]) -> Vec<u8> {
    sessions.iter().map(|(key, _)| key.as_bytes()[0]).collect()
}

#[tokio::test]
async fn what_was_sealed_opens_after_each_kind_of_write() {
    let bench = Bench::new();
    let (store, mut record) = (bench.under(&[1]), record(Some("ada")));
    assert_eq!(store.create(&key(1), &record, NONE).await.unwrap(), Create::Created);
    assert_eq!(store.load(&key(1)).await.unwrap().unwrap().record, record);
    record.values_mut().insert("n", 2);
    assert_eq!(store.update(&key(1), &record, Version::FIRST).await.unwrap(), Update::Updated);
    assert_eq!(store.touch(&key(1)).await.unwrap(), Touch::Touched);
    assert_eq!(store.load(&key(1)).await.unwrap().unwrap().record, record);
    record.subject = None;
    let seen = Version::FIRST.next();
    assert_eq!(store.rename(&key(1), &key(2), &record, seen, NONE).await.unwrap(), Update::Updated);
    let loaded = store.load(&key(2)).await.unwrap().unwrap();
    assert_eq!((loaded.record, loaded.version), (record, seen.next()));
}

#[tokio::test]
async fn a_row_shows_neither_values_nor_subject_and_its_length_little() {
    let bench = Bench::new();
    let store = bench.under(&[1]);
    let mut lengths = HashSet::new();
    for (number, note) in (1..).zip(["", "t", "tea", "tea & co", "tea and biscuits"]) {
        // Texts that don't come about by chance in base64.
        let mut record = record(Some("ada@example.com"));
        record.values_mut().insert("a note", note);
        store.create(&key(number), &record, NONE).await.unwrap();
        let row = bench.inner.load(&key(number)).await.unwrap().unwrap().record;
        let json = String::from_utf8(row.to_json()).unwrap();
        assert!(!json.contains('@') && !json.contains("a note"), "{json}");
        assert!(!note.contains(' ') || !json.contains(note), "{json}");
        assert_eq!(row.subject.as_deref().map(str::len), Some(43));
        lengths.insert(json.len());
    }
    assert!(lengths.len() <= 2, "{lengths:?}");
}

#[tokio::test]
async fn no_two_rows_are_alike_though_their_records_are() {
    let bench = Bench::new();
    let sealed = |number: u8| {
        let (store, inner) = (bench.under(&[1]), bench.inner.clone());
        async move {
            store.create(&key(number), &record(None), NONE).await.unwrap();
            inner.load(&key(number)).await.unwrap().unwrap().record.values().get(VALUE).unwrap()
        }
    };
    assert_ne!(sealed(1).await, sealed(2).await);
}

/// The row that a store would hold.
fn row(numbers: &[u8], number: u8, version: Version, record: &Record) -> Loaded {
    let sealed = Encrypted::new((), ring(numbers)).seal(Verb::Update, &key(number), version, record).unwrap();
    let now = Timestamp::from_millis(5);
    Loaded { record: sealed, version, times: Times::begin(now, record.expiry), now }
}

fn open(numbers: &[u8], number: u8, row: Loaded) -> Result<Record, Unopened> {
    Encrypted::new((), ring(numbers)).rows.open(&key(number), row).map(|loaded| loaded.record)
}

#[test]
fn a_row_that_is_elsewhere_than_it_was_sealed_for_does_not_open() {
    let (first, second) = (Version::FIRST, Version::FIRST.next());
    let ada = record(Some("ada"));
    let good = row(&[1], 1, first, &ada);
    assert_eq!(open(&[1], 1, good.clone()), Ok(ada.clone()));

    assert_eq!(open(&[1], 2, good.clone()), Err(Unopened::Changed), "another key");
    assert_eq!(open(&[1], 1, Loaded { version: second, ..good.clone() }), Err(Unopened::Changed), "another version");

    let grace = row(&[1], 1, first, &record(Some("grace")));
    let mut given_away = good.clone();
    given_away.record.subject.clone_from(&grace.record.subject);
    assert_eq!(open(&[1], 1, given_away), Err(Unopened::Changed), "another subject");
    let mut anonymous = good.clone();
    anonymous.record.subject = None;
    assert_eq!(open(&[1], 1, anonymous), Err(Unopened::Changed), "no subject");

    for longer in [
        Expiry { idle: Duration::from_secs(9_999), ..ada.expiry },
        Expiry { lifetime: Duration::from_secs(999_999), ..ada.expiry },
    ] {
        let mut row = good.clone();
        row.record.expiry = longer;
        assert_eq!(open(&[1], 1, row), Err(Unopened::Changed), "other limits");
    }
}

#[test]
fn no_byte_can_be_changed_and_none_is_too_many() {
    let good = row(&[1], 1, Version::FIRST, &record(Some("ada")));
    let sealed = good.record.values().decode::<String>(VALUE).unwrap().unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
    let refused = |bytes: &[u8]| {
        let mut row = good.clone();
        row.record.values_mut().insert(VALUE, URL_SAFE_NO_PAD.encode(bytes));
        assert!(open(&[1], 1, row).is_err());
    };
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        refused(&changed);
        refused(&bytes[..place]);
    }
    refused(&[&bytes[..], &[0]].concat());
}

#[test]
fn what_was_not_sealed_here_says_why_it_does_not_open() {
    let plain = |value: Option<serde_json::Value>| {
        let mut loaded = row(&[1], 1, Version::FIRST, &record(Some("ada")));
        loaded.record = record(Some("ada"));
        if let Some(value) = value {
            loaded.record.values_mut().insert(VALUE, value);
        }
        open(&[1], 1, loaded)
    };
    for value in [None, Some(7.into()), Some("".into()), Some("not base64!".into()), Some("Ag".into())] {
        assert_eq!(plain(value), Err(Unopened::Unencrypted));
    }
    assert_eq!(plain(Some("BA".into())), Err(Unopened::Changed));
    assert_eq!(open(&[2], 1, row(&[1], 1, Version::FIRST, &record(None))), Err(Unopened::OtherSecret));
}

#[tokio::test]
async fn what_does_not_open_is_unreadable_and_left_out_of_lists_and_ends_like_any_other() {
    let bench = Bench::new();
    let store = bench.under(&[1]);
    for number in [1, 2, 3] {
        bench.login(&[1], number, NONE).await;
    }
    // What an attacker with the store in his hands may try: two rows swapped, and one of his own making.
    let (one, two) = (bench.inner.load(&key(1)).await.unwrap(), bench.inner.load(&key(2)).await.unwrap());
    for (number, row) in [(1, two.unwrap()), (2, one.unwrap())] {
        bench.inner.delete(&key(number)).await.unwrap();
        bench.inner.create(&key(number), &row.record, NONE).await.unwrap();
    }
    bench.inner.create(&key(4), &record(Some("ada")), NONE).await.unwrap();
    for number in [1, 2, 4] {
        let error = store.load(&key(number)).await.unwrap_err();
        assert!(error.is_unreadable());
        let text = format!("{error:?} {error} {}", error.source().unwrap());
        assert!(!text.contains("tea") && !text.contains("\"ada"), "{text}");
    }
    assert_eq!(numbers(&store.sessions_of("ada", 9).await.unwrap()), [3]);
    assert!(store.delete(&key(1)).await.unwrap());
    assert_eq!(store.delete_all_of("ada", None).await.unwrap(), 2);
    assert_eq!(bench.alive().await, [4]);
}

#[tokio::test]
async fn a_retired_secret_still_opens_and_the_next_write_uses_the_current_one() {
    let bench = Bench::new();
    bench.login(&[1], 1, NONE).await;
    bench.login(&[1], 2, NONE).await;
    let rotated = bench.under(&[2, 1]);
    let loaded = rotated.load(&key(1)).await.unwrap().unwrap();
    assert_eq!(loaded.record, record(Some("ada")));
    assert_eq!(rotated.update(&key(1), &loaded.record, loaded.version).await.unwrap(), Update::Updated);

    let dropped = bench.under(&[2]);
    assert!(dropped.load(&key(1)).await.unwrap().is_some());
    let error = dropped.load(&key(2)).await.unwrap_err();
    assert!(error.is_unreadable());
    assert_eq!(error.source().unwrap().to_string(), "it is sealed under a secret that is not in the ring");
}

#[tokio::test]
async fn a_list_has_the_sessions_under_every_secret_of_the_ring_the_newest_first() {
    let bench = Bench::new();
    for (number, secrets) in [(1, &[1][..]), (2, &[2, 1]), (3, &[3, 2, 1]), (4, &[1])] {
        bench.login(secrets, number, NONE).await;
    }
    let store = bench.under(&[3, 2, 1]);
    let sessions = store.sessions_of("ada", 9).await.unwrap();
    assert_eq!(numbers(&sessions), [4, 3, 2, 1]);
    assert!(sessions.iter().all(|(_, session)| session.record == record(Some("ada"))));
    assert_eq!(numbers(&store.sessions_of("ada", 2).await.unwrap()), [4, 3]);
    assert!(store.sessions_of("grace", 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn sessions_end_under_whichever_secret_they_are() {
    let bench = Bench::new();
    let store = bench.under(&[2, 1]);
    for number in [1, 2, 3] {
        bench.login(&[1], number, NONE).await;
        bench.login(&[2, 1], 10 + number, NONE).await;
    }
    assert!(!store.delete_one_of("grace", &key(1)).await.unwrap());
    assert!(store.delete_one_of("ada", &key(1)).await.unwrap() && !store.delete_one_of("ada", &key(1)).await.unwrap());
    assert!(store.delete_one_of("ada", &key(11)).await.unwrap());
    assert_eq!(store.delete_all_of("ada", Some(&key(2))).await.unwrap(), 3);
    assert_eq!(bench.alive().await, [2]);
    assert_eq!(store.delete_all_of("ada", None).await.unwrap(), 1);
}

#[tokio::test]
async fn a_revocation_is_known_under_every_secret_of_the_ring() {
    let (bench, hour) = (Bench::new(), Duration::from_secs(3_600));
    let at = Timestamp::from_millis;
    bench.under(&[1]).revoke_all_of("ada", at(100), hour).await.unwrap();
    let rotated = bench.under(&[2, 1]);
    assert!(rotated.is_revoked(&[], Some("ada"), at(100)).await.unwrap());
    assert!(!rotated.is_revoked(&[], Some("ada"), at(101)).await.unwrap());
    assert!(!rotated.is_revoked(&[], Some("grace"), at(100)).await.unwrap());
    rotated.revoke_all_of("ada", at(200), hour).await.unwrap();
    assert!(bench.under(&[1, 2]).is_revoked(&[], Some("ada"), at(200)).await.unwrap());
    assert!(!bench.under(&[3]).is_revoked(&[], Some("ada"), at(1)).await.unwrap());

    assert!(rotated.revoke(&key(1), hour).await.unwrap() && !rotated.revoke(&key(1), hour).await.unwrap());
    for subject in [None, Some("grace")] {
        assert!(rotated.is_revoked(&[key(2), key(1)], subject, at(300)).await.unwrap());
        assert!(!rotated.is_revoked(&[key(2)], subject, at(300)).await.unwrap());
    }
}

fn most(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

#[tokio::test]
async fn a_limit_that_refuses_counts_the_sessions_under_every_secret() {
    let (bench, limit) = (Bench::new(), SubjectLimit::Refuse(most(3)));
    bench.login(&[1], 1, limit).await;
    bench.login(&[1], 2, limit).await;
    assert_eq!(bench.login(&[2, 1], 3, limit).await, Create::Created);
    assert_eq!(bench.login(&[2, 1], 4, limit).await, Create::Full);
    assert_eq!(bench.login(&[2, 1], 4, SubjectLimit::Refuse(most(2))).await, Create::Full);
    assert_eq!(bench.alive().await, [1, 2, 3]);

    // A login in a session counts it once, whichever secret it is under, and is judged in the contract's order.
    let (store, ada) = (bench.under(&[2, 1]), record(Some("ada")));
    let second = Version::FIRST.next();
    let limit = |number| SubjectLimit::Refuse(most(number));
    assert_eq!(store.rename(&key(1), &key(5), &ada, Version::FIRST, limit(3)).await.unwrap(), Update::Updated);
    assert_eq!(store.rename(&key(5), &key(6), &ada, second, limit(2)).await.unwrap(), Update::Full);
    assert_eq!(store.rename(&key(5), &key(6), &ada, second, limit(1)).await.unwrap(), Update::Full);
    assert_eq!(store.rename(&key(5), &key(6), &ada, Version::FIRST, limit(1)).await.unwrap(), Update::Conflict);
    assert_eq!(store.rename(&key(7), &key(6), &ada, Version::FIRST, limit(1)).await.unwrap(), Update::Gone);
    assert_eq!(bench.alive().await, [2, 3, 5]);
}

#[tokio::test]
async fn a_limit_that_ends_the_oldest_ends_it_under_whichever_secret_it_is() {
    let (bench, limit) = (Bench::new(), SubjectLimit::EndOldest(most(3)));
    bench.login(&[1], 1, limit).await;
    bench.login(&[2, 1], 2, limit).await;
    bench.login(&[1, 2], 3, limit).await;
    bench.login(&[2, 1], 4, limit).await;
    assert_eq!(bench.alive().await, [2, 3, 4]);
    bench.login(&[2, 1], 5, SubjectLimit::EndOldest(most(1))).await;
    assert_eq!(bench.alive().await, [5]);

    // The session of a login keeps its age, and is spared all the same.
    bench.login(&[1], 6, NONE).await;
    bench.login(&[1], 7, NONE).await;
    let (store, ada) = (bench.under(&[2, 1]), record(Some("ada")));
    let limit = SubjectLimit::EndOldest(most(2));
    assert_eq!(store.rename(&key(5), &key(8), &ada, Version::FIRST, limit).await.unwrap(), Update::Updated);
    assert_eq!(bench.alive().await, [7, 8]);
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Lets something happen right after the first call of one verb.
struct Meanwhile {
    inner: MemoryStore,
    verb: Verb,
    task: Mutex<Option<Task>>,
}

impl Decorator for Meanwhile {
    type Inner = MemoryStore;

    fn inner(&self) -> &MemoryStore {
        &self.inner
    }

    async fn around<T: Send>(
        &self,
        verb: Verb,
        operation: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let outcome = operation.await;
        let task = if verb == self.verb { self.task.lock().unwrap().take() } else { None };
        if let Some(task) = task {
            task.await;
        }
        outcome
    }
}

#[tokio::test]
async fn who_ends_sessions_meets_the_one_that_changes_its_pseudonym_meanwhile() {
    for (before, after) in [([1, 2], [2, 1]), ([2, 1], [1, 2])] {
        for verb in [Verb::DeleteAllOf, Verb::DeleteOneOf] {
            let bench = Bench::new();
            bench.login(&before, 1, NONE).await;
            let writer = bench.under(&after);
            let task: Task = Box::pin(async move {
                // It may be gone already.
                let _ = writer.update(&key(1), &record(Some("ada")), Version::FIRST).await.unwrap();
            });
            let inner = Meanwhile { inner: bench.inner.clone(), verb, task: Mutex::new(Some(task)) };
            let store = Encrypted::new(inner, ring(&[2, 1]));
            match verb {
                Verb::DeleteOneOf => assert!(store.delete_one_of("ada", &key(1)).await.unwrap()),
                _ => assert_eq!(store.delete_all_of("ada", None).await.unwrap(), 1),
            }
            assert!(bench.alive().await.is_empty(), "{before:?} {after:?} {verb:?}");
        }
    }
}

#[tokio::test]
async fn a_session_that_changes_its_pseudonym_while_it_is_listed_is_listed_once() {
    let bench = Bench::new();
    bench.login(&[1], 1, NONE).await;
    let writer = bench.under(&[2, 1]);
    let task: Task = Box::pin(async move {
        writer.update(&key(1), &record(Some("ada")), Version::FIRST).await.unwrap();
    });
    let inner = Meanwhile { inner: bench.inner.clone(), verb: Verb::SessionsOf, task: Mutex::new(Some(task)) };
    let sessions = Encrypted::new(inner, ring(&[2, 1])).sessions_of("ada", 9).await.unwrap();
    assert_eq!(numbers(&sessions), [1]);
}

#[tokio::test]
async fn without_randomness_nothing_is_written() {
    struct Dry;
    impl Random for Dry {
        fn fill(&self, _: &mut [u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
            Err("no entropy".into())
        }
    }
    let bench = Bench::new();
    bench.login(&[1], 1, NONE).await;
    let (store, ada) = (bench.under(&[1]).random(Dry), record(Some("ada")));
    for error in [
        store.create(&key(2), &ada, NONE).await.unwrap_err(),
        store.update(&key(1), &ada, Version::FIRST).await.unwrap_err(),
        store.rename(&key(1), &key(2), &ada, Version::FIRST, NONE).await.unwrap_err(),
    ] {
        assert_eq!(error.source().unwrap().to_string(), "no entropy");
    }
    assert_eq!(bench.alive().await, [1]);
    assert_eq!(store.load(&key(1)).await.unwrap().unwrap().version, Version::FIRST);
}

#[test]
fn format_4_stays_readable() {
    const GOLDEN: &str = concat!(
        "BGJnIrgHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBweNr9w28W-2thQSP7rhhHaIfvPd7RYj3aokRzGzl9yuvUIjDWZyr739eeiaZHw4GSqcEf5gxkf6CcU",
        "uEjqncQa52KUwnV1BTN016RgP5tinqHXKVrkVzYoQ9x6km99F4jE7E_s-BbfVVU4_iQcJ8ocXhA6nS6upITm9181BFcpvr7ZiesCc_3XwTFR8y9EyAFw",
    );
    let mut row = Loaded {
        record: RowKey::new(&secret(1)).seal([7; 24], &key(9), Version::from_u64(3), &record(Some("ada"))),
        version: Version::from_u64(3),
        times: Times::begin(Timestamp::from_millis(5), Expiry::default()),
        now: Timestamp::from_millis(5),
    };
    assert_eq!(row.record.subject.as_deref(), Some("s9bQR6cZAAkD5UZdEGdHVHu7CXJuGSyczBTJsdvRghI"));
    assert_eq!(row.record.values().get(VALUE).unwrap(), GOLDEN);
    row.record.values_mut().insert(VALUE, GOLDEN);
    assert_eq!(open(&[1], 9, row), Ok(record(Some("ada"))));
}

#[test]
fn debug_shows_how_many_secrets_there_are_and_nothing_else() {
    assert_eq!(format!("{:?}", Encrypted::new("inner", ring(&[1, 2, 3]))), "Encrypted { keys: 3, .. }");
}
