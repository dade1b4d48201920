//! What holds for each of the three databases, beside the store's contract.

#[path = "../../../session-core/tests/common/mod.rs"]
mod browser;

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use session_core::{
    Create, Expiry, KeyRing, Record, SessionManager, SessionStore, StoreError, StoreKey, SubjectLimit, Timestamp,
    Touch, Update, Version,
};
use session_testing::servers::{Fault, Proxy};
use session_testing::store;
use tokio::time::{sleep, timeout};

/// A database with the store's tables, and how to look into it.
pub(crate) trait Database: Sized {
    type Store: SessionStore + Clone;

    /// An empty one, without tables; `None` if this machine has no such server.
    async fn bare() -> Option<Self>;

    fn store(&self) -> Self::Store;

    /// The store as another machine has it, in a pool of its own.
    async fn node(&self) -> Self::Store;

    async fn migrate(&self) -> Result<(), StoreError>;

    async fn run_schema(&self);

    async fn run(&self, sql: &str);

    async fn number(&self, sql: &str) -> i64;

    /// Every table, column and index that there is, in a text.
    async fn shape(&self) -> String;

    /// All that is in all tables, and whatever else a thief of the disk finds.
    async fn dump(&self) -> Vec<u8>;

    /// That each connection of the store's pool is to be had, and nobody has a transaction open.
    async fn is_at_rest(&self);
}

/// One test for each of these, if the machine has the database.
macro_rules! on {
    ($database:ty: $($test:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                if let Some(database) = <$database as common::Database>::bare().await {
                    common::$test(database).await;
                }
            }
        )*
    };
}
pub(crate) use on;

pub(crate) const HOUR: Duration = Duration::from_secs(3_600);

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn key(number: u16) -> StoreKey {
    let mut bytes = [0xa5; 32];
    bytes[..2].copy_from_slice(&number.to_be_bytes());
    StoreKey::from_bytes(bytes)
}

pub(crate) fn record(subject: &str, idle: Duration) -> Record {
    let mut record = Record::new(Expiry { idle, ..Expiry::default() });
    record.subject = Some(subject.into());
    record.values_mut().insert("note", "tea & co");
    record
}

pub(crate) fn end_oldest(most: u32) -> SubjectLimit {
    SubjectLimit::EndOldest(most.try_into().unwrap())
}

async fn created(store: &impl SessionStore, key: &StoreKey, record: &Record) {
    assert_eq!(store.create(key, record, SubjectLimit::None).await.unwrap(), Create::Created);
}

async fn renamed(store: &impl SessionStore, old: &StoreKey, new: &StoreKey, record: &Record) {
    let renamed = store.rename(old, new, record, Version::FIRST, SubjectLimit::None).await;
    assert_eq!(renamed.unwrap(), Update::Updated);
}

/// All that an error says to anybody.
pub(crate) fn words(error: &StoreError) -> String {
    let source = std::error::Error::source(error).unwrap();
    format!("{error} {source} {error:?} {source:?}")
}

pub(crate) async fn it_keeps_the_contract(database: impl Database) {
    database.migrate().await.unwrap();
    keeps_the_contract(&database, &database.store()).await;
    database.is_at_rest().await;
}

/// Each sentence finds the tables empty.
pub(crate) async fn keeps_the_contract<D: Database>(database: &D, store: &D::Store) {
    let empty = async || {
        for table in ["sessions", "session_renames", "session_revocations", "session_subject_revocations"] {
            database.run(&format!("DELETE FROM {table}")).await;
        }
        store.clone()
    };
    store::suite(empty).await;
}

pub(crate) async fn nodes_that_start_together_make_the_tables_once(database: impl Database) {
    let nodes = [database.node().await, database.node().await, database.node().await];
    let made = tokio::join!(database.migrate(), database.migrate(), database.migrate(), database.migrate());
    for made in [made.0, made.1, made.2, made.3] {
        made.unwrap();
    }
    for (number, node) in (0..).zip(&nodes) {
        created(node, &key(number), &record("lovelace", HOUR)).await;
    }
    database.migrate().await.unwrap();
    assert_eq!(database.store().sessions_of("lovelace", 9).await.unwrap().len(), 3, "what is there stays");
}

pub(crate) async fn the_schema_can_be_run_by_hand<D: Database>(database: D) {
    database.run_schema().await;
    let store = database.store();
    let limited = store.create(&key(1), &record("lovelace", HOUR), end_oldest(2)).await;
    assert_eq!(limited.unwrap(), Create::Created);
    renamed(&store, &key(1), &key(2), &record("lovelace", HOUR)).await;
    let by_hand = database.shape().await;
    database.migrate().await.unwrap();
    assert_eq!(database.shape().await, by_hand, "there is nothing left to be made");
    assert!(store.delete(&key(1)).await.unwrap());
    let Some(migrated) = D::bare().await else { return };
    migrated.migrate().await.unwrap();
    assert_eq!(migrated.shape().await, by_hand);
    assert!(by_hand.contains("expires_at") && by_hand.contains("sessions_by_deadline"), "{by_hand}");
}

pub(crate) async fn a_dump_contains_no_id(database: impl Database) {
    database.migrate().await.unwrap();
    let keys = KeyRing::parse(browser::SECRET).unwrap();
    let manager = SessionManager::stored(database.store(), keys).build().unwrap();
    let first = browser::begin(&manager).await;
    let login = browser::visit(&manager, Some(&first), |session| session.login("lovelace").unwrap()).await;
    let dump = database.dump().await;
    let contains = |part: &[u8]| dump.windows(part.len()).any(|window| window == part);
    for token in [first.as_str(), login.token().unwrap()] {
        let bytes = URL_SAFE_NO_PAD.decode(token).unwrap();
        let id: [u8; 32] = bytes[5..37].try_into().unwrap();
        assert!(!contains(token.as_bytes()) && !contains(&bytes) && !contains(&id));
        let hex = StoreKey::from_bytes(id).to_hex();
        assert!(!contains(hex.as_bytes()) && !contains(hex.to_uppercase().as_bytes()));
        assert!(!contains(URL_SAFE_NO_PAD.encode(id).as_bytes()));
    }
    let listed = database.store().sessions_of("lovelace", 9).await.unwrap();
    assert!(contains(listed[0].0.to_hex().as_bytes()) && contains(br#""subject":"lovelace""#), "it is a dump");
}

pub(crate) async fn what_is_no_record_is_unreadable_and_ends_like_any_other(database: impl Database) {
    database.migrate().await.unwrap();
    let store = database.store();
    let sound = record("lovelace", HOUR);
    let truncated = &String::from_utf8(sound.to_json()).unwrap()[..40];
    for broken in ["", "[]", "secret", truncated, r#"{"format":9,"secret":1}"#] {
        for number in [1, 2, 3, 4] {
            created(&store, &key(number), &sound).await;
            sleep(ms(3)).await;
        }
        let spoil = async |key: StoreKey| {
            let key = key.to_hex();
            database.run(&format!("UPDATE sessions SET record = '{broken}' WHERE sessions.key = '{key}'")).await;
        };
        spoil(key(1)).await;
        spoil(key(3)).await;
        let error = store.load(&key(1)).await.unwrap_err();
        assert!(error.is_unreadable(), "{broken}: {error:?}");
        assert!(!["secret", "lovelace"].iter().any(|word| words(&error).contains(word)), "{error:?}");

        let listed = async |most: usize| -> Vec<StoreKey> {
            store.sessions_of("lovelace", most).await.unwrap().into_iter().map(|(key, _)| key).collect()
        };
        assert_eq!(listed(9).await, [key(4), key(2)], "who can't be read is left out");
        assert_eq!(listed(2).await, [key(4), key(2)], "and takes no other's place");
        assert_eq!(listed(1).await, [key(4)]);

        assert_eq!(store.touch(&key(1)).await.unwrap(), Touch::Touched);
        let fifth = store.create(&key(5), &sound, end_oldest(4)).await.unwrap();
        assert_eq!((fifth, store.load(&key(1)).await.unwrap()), (Create::Created, None), "it counts, and goes first");
        assert!(store.load(&key(2)).await.unwrap().is_some());
        assert_eq!(store.update(&key(3), &sound, Version::FIRST).await.unwrap(), Update::Updated);
        assert_eq!(store.load(&key(3)).await.unwrap().unwrap().record, sound);
        spoil(key(3)).await;
        assert!(store.delete(&key(3)).await.unwrap());
        assert_eq!(store.delete_all_of("lovelace", None).await.unwrap(), 3);

        created(&store, &key(6), &record("lovelace", ms(30))).await;
        spoil(key(6)).await;
        sleep(ms(60)).await;
        assert_eq!(store.load(&key(6)).await.unwrap(), None, "what has expired is absent, whatever it is");
        assert_eq!(store.sweep(9).await.unwrap(), 1);
    }
}

pub(crate) async fn subjects_are_any_text(database: impl Database) {
    database.migrate().await.unwrap();
    let store = database.store();
    let long = "long ".repeat(10_000);
    let subjects = ["", "\0", "a\0b", "a\0c", " ", "ADA", "ada", "ada ", "\u{e9}", "e\u{301}", "👩‍🚀", &long];
    for (number, subject) in (0..).zip(subjects) {
        let limit = SubjectLimit::Refuse(1.try_into().unwrap());
        assert_eq!(store.create(&key(number), &record(subject, HOUR), limit).await.unwrap(), Create::Created);
        store.revoke_all_of(subject, Timestamp::from_millis(u64::from(number)), HOUR).await.unwrap();
    }
    for (number, subject) in (0..).zip(subjects) {
        let [listed] = &store.sessions_of(subject, 9).await.unwrap()[..] else { panic!("{subject:?} has one session") };
        assert_eq!((listed.0, listed.1.record.subject.as_deref()), (key(number), Some(subject)));
        let revoked = async |made| store.is_revoked(&[], Some(subject), Timestamp::from_millis(made)).await.unwrap();
        assert!(revoked(number.into()).await && !revoked(u64::from(number) + 1).await);
        assert_eq!(store.delete_all_of(subject, None).await.unwrap(), 1);
    }
}

pub(crate) async fn a_former_key_ends_no_session_that_came_later(database: impl Database) {
    database.migrate().await.unwrap();
    let (store, record) = (database.store(), record("lovelace", HOUR));
    created(&store, &key(1), &record).await;
    renamed(&store, &key(1), &key(2), &record).await;
    assert!(store.delete(&key(2)).await.unwrap());
    created(&store, &key(3), &record).await;
    assert!(!store.delete(&key(1)).await.unwrap());
    assert!(!store.delete_one_of("lovelace", &key(1)).await.unwrap());
    assert_eq!(store.delete_all_of("lovelace", Some(&key(1))).await.unwrap(), 1, "and spares none");
}

pub(crate) async fn an_error_says_nothing_about_a_session(database: impl Database) {
    database.migrate().await.unwrap();
    let store = database.store();
    created(&store, &key(1), &record("lovelace", HOUR)).await;
    created(&store, &key(2), &record("lovelace", HOUR)).await;
    let taken = store.rename(&key(1), &key(2), &record("lovelace", HOUR), Version::FIRST, SubjectLimit::None).await;
    let mut said = words(&taken.unwrap_err());
    database.run("DROP TABLE sessions").await;
    for outcome in [
        store.load(&key(1)).await.map(drop),
        store.create(&key(3), &record("lovelace", HOUR), end_oldest(2)).await.map(drop),
        store.update(&key(1), &record("lovelace", HOUR), Version::FIRST).await.map(drop),
        store.delete_all_of("lovelace", Some(&key(1))).await.map(drop),
    ] {
        said.push_str(&words(&outcome.unwrap_err()));
    }
    for secret in ["lovelace", "tea", &key(1).to_hex(), &key(2).to_hex(), &key(3).to_hex()] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
}

pub(crate) async fn a_sweep_leaves_neither_sessions_nor_former_keys_nor_revocations(database: impl Database) {
    database.migrate().await.unwrap();
    let (store, record) = (database.store(), record("lovelace", HOUR));
    for number in 0..10 {
        created(&store, &key(number), &record).await;
        renamed(&store, &key(number), &key(100 + number), &record).await;
        store.revoke(&key(number), HOUR).await.unwrap();
        store.revoke_all_of(&format!("lovelace {number}"), Timestamp::from_millis(0), HOUR).await.unwrap();
    }
    for (table, deadline) in [
        ("sessions", "expires_at"),
        ("session_renames", "until"),
        ("session_revocations", "until"),
        ("session_subject_revocations", "until"),
    ] {
        database.run(&format!("UPDATE {table} SET {deadline} = 1")).await;
    }
    created(&store, &key(200), &record).await;
    store.revoke(&key(200), HOUR).await.unwrap();
    assert_eq!(store.sweep(4).await.unwrap(), 4);
    for table in ["session_renames", "session_revocations", "session_subject_revocations"] {
        assert_eq!(
            database.number(&format!("SELECT COUNT(*) - 6 FROM {table}")).await,
            i64::from(table == "session_revocations")
        );
    }
    assert_eq!(store.sweep(100).await.unwrap(), 6);
    for (table, left) in
        [("sessions", 1), ("session_renames", 0), ("session_revocations", 1), ("session_subject_revocations", 0)]
    {
        assert_eq!(database.number(&format!("SELECT COUNT(*) FROM {table}")).await, left, "{table}");
    }
}

/// Logins within a limit, sessions that expire at once, logouts everywhere and sweeps, on two nodes: nothing fails.
pub(crate) async fn two_nodes_at_work_do_not_get_in_each_others_way(database: impl Database) {
    database.migrate().await.unwrap();
    let nodes = [database.store(), database.node().await];
    let mut tasks = Vec::new();
    for task in 0..8_u16 {
        let store = nodes[usize::from(task) % 2].clone();
        tasks.push(tokio::spawn(async move {
            for step in 0..25 {
                let [first, second] = [key(task * 1_000 + 2 * step), key(task * 1_000 + 2 * step + 1)];
                let subject = ["lovelace", "bob"][usize::from(step) % 2];
                created(&store, &first, &record(subject, if step % 3 == 0 { ms(1) } else { HOUR })).await;
                store.touch(&first).await.unwrap();
                let limit = end_oldest(3);
                let login = store.rename(&first, &second, &record(subject, HOUR), Version::FIRST, limit).await.unwrap();
                assert!(matches!(login, Update::Updated | Update::Gone), "{login:?}");
                match (task + step) % 5 {
                    0 => drop(store.delete_all_of(subject, Some(&first)).await.unwrap()),
                    1 => drop(store.delete(&first).await.unwrap()),
                    _ => drop(store.sweep(10).await.unwrap()),
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    for subject in ["lovelace", "bob"] {
        let last = nodes[0].create(&key(9), &record(subject, HOUR), end_oldest(3)).await.unwrap();
        assert_eq!(last, Create::Created);
        let listed = nodes[1].sessions_of(subject, 9).await.unwrap();
        assert!((1..=3).contains(&listed.len()), "{}", listed.len());
        assert!(nodes[1].delete(&key(9)).await.unwrap());
    }
    database.is_at_rest().await;
}

/// Whoever waits no longer drops the future, at whatever point it is.
pub(crate) async fn a_future_that_is_dropped_leaves_nothing_open(database: impl Database) {
    database.migrate().await.unwrap();
    let store = database.store();
    let record = record("lovelace", HOUR);
    let mut done = 0;
    for round in 0..150 {
        let (old, new) = (key(2 * round), key(2 * round + 1));
        let patience = Duration::from_micros(u64::from(round) * 40);
        let work = async {
            store.create(&old, &record, end_oldest(3)).await.unwrap();
            store.rename(&old, &new, &record, Version::FIRST, end_oldest(3)).await.unwrap();
            store.delete_all_of("lovelace", Some(&old)).await.unwrap();
            store.delete(&old).await.unwrap();
        };
        done += usize::from(timeout(patience, work).await.is_ok());
    }
    assert!(done < 150, "nothing was dropped");
    database.is_at_rest().await;
    // What was acknowledged counts, so no transaction is left open that takes it back.
    created(&store, &key(9_999), &record).await;
    assert!(database.node().await.load(&key(9_999)).await.unwrap().is_some());
}

/// What the database undoes because of what others do at that moment is done again, six times in all. `undo` makes it undo the
/// next changes of sessions, so many of them, with an error that is such a one or isn't; `attempts` says how often one was
/// tried since.
#[allow(dead_code, reason = "in SQLite nobody can undo a change of somebody else")]
pub(crate) async fn what_was_undone_is_done_again_six_times_in_all(
    database: &impl Database,
    undo: impl AsyncFn(u32, Undone),
    attempts: impl AsyncFn() -> i64,
) {
    database.migrate().await.unwrap();
    let (store, record) = (database.store(), record("lovelace", HOUR));
    created(&store, &key(1), &record).await;
    let version = async || store.load(&key(1)).await.unwrap().unwrap().version;
    for error in [Undone::SerializationFailure, Undone::Deadlock] {
        let before = version().await;
        undo(5, error).await;
        assert_eq!(store.update(&key(1), &record, before).await.unwrap(), Update::Updated);
        assert_eq!(attempts().await, 6);
        undo(1_000, error).await;
        assert_eq!(store.touch(&key(1)).await.unwrap_err().to_string(), "touching a session failed");
        assert_eq!(attempts().await, 6);
        let refused = store.rename(&key(1), &key(2), &record, before.next(), end_oldest(3)).await;
        assert_eq!(refused.unwrap_err().to_string(), "renaming a session failed");
        assert_eq!(attempts().await, 12);
        assert_eq!(version().await, before.next(), "what was undone has not happened");
    }
    undo(1, Undone::BecauseOfSomethingElse).await;
    store.touch(&key(1)).await.unwrap_err();
    assert_eq!(attempts().await, 1, "it would fail again");
    let before = version().await;
    undo(5, Undone::SerializationFailure).await;
    let renamed = store.rename(&key(1), &key(2), &record, before, end_oldest(3)).await;
    assert_eq!((renamed.unwrap(), attempts().await), (Update::Updated, 6));
    database.is_at_rest().await;
}

#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "in SQLite nobody can undo a change of somebody else")]
pub(crate) enum Undone {
    SerializationFailure,
    Deadlock,
    BecauseOfSomethingElse,
}

/// A network that swallows everything: whoever waits no longer closes the connection, so none is waited for without end.
#[allow(dead_code, reason = "SQLite has no network")]
pub(crate) async fn a_silent_network_keeps_no_connection(
    store: impl SessionStore,
    proxy: &Proxy,
    rests: impl Fn() -> bool,
) {
    let record = record("lovelace", HOUR);
    created(&store, &key(1), &record).await;
    // The pool asks each connection that comes back whether it is well; what is lost is what a verb of ours works on.
    within(Duration::from_secs(10), async || rests()).await;
    proxy.set(Fault::Silent);
    for number in 2..6 {
        let (patience, old, new) = (ms(80), key(1), key(number));
        let (read, write, login) = tokio::join!(
            timeout(patience, store.load(&old)),
            timeout(patience, store.touch(&old)),
            timeout(patience, store.create(&new, &record, end_oldest(3))),
        );
        assert!(read.is_err() && write.is_err() && login.is_err(), "the network was not silent");
    }
    within(Duration::from_secs(10), async || proxy.connections() == 0).await;
    proxy.set(Fault::None);
    assert!(timeout(Duration::from_secs(10), store.load(&key(1))).await.unwrap().unwrap().is_some());
    assert_eq!(store.create(&key(9), &record, end_oldest(3)).await.unwrap(), Create::Created);
}

/// Connections that the server ends while they work are errors at most, and what was acknowledged is there.
#[allow(dead_code, reason = "SQLite has no server")]
pub(crate) async fn connections_that_are_ended_are_errors_and_no_more(
    database: &impl Database,
    end_all: impl AsyncFn(),
) {
    database.migrate().await.unwrap();
    let store = database.store();
    let workers = (0..4).map(|worker| {
        let store = store.clone();
        tokio::spawn(async move {
            let (started, mut acknowledged, mut failed) = (Instant::now(), Vec::new(), 0);
            for number in 0..2_000 {
                let [first, second] = [key(worker * 8_000 + 2 * number), key(worker * 8_000 + 2 * number + 1)];
                let record = record(&format!("lovelace {worker} {number}"), HOUR);
                let created = store.create(&first, &record, SubjectLimit::None).await;
                let renamed = store.rename(&first, &second, &record, Version::FIRST, end_oldest(1)).await;
                match (created, renamed) {
                    (_, Ok(Update::Updated)) => acknowledged.push(second),
                    (Ok(Create::Created), Err(_)) | (Err(_), _) => failed += 1,
                    other => panic!("nobody else writes: {other:?}"),
                }
                if started.elapsed() > ms(1_500) {
                    break;
                }
            }
            (acknowledged, failed)
        })
    });
    let workers: Vec<_> = workers.collect();
    for _ in 0..12 {
        sleep(ms(100)).await;
        end_all().await;
    }
    let (mut acknowledged, mut failed) = (Vec::new(), 0);
    for worker in workers {
        let (keys, errors) = worker.await.unwrap();
        acknowledged.extend(keys);
        failed += errors;
    }
    assert!(failed > 0, "no connection was ended at work");
    for key in &acknowledged {
        assert!(store.load(key).await.unwrap().is_some(), "acknowledged, and not there");
    }
    database.is_at_rest().await;
}

/// Waits until something is so.
#[allow(dead_code, reason = "SQLite does nothing behind one's back")]
pub(crate) async fn within(limit: Duration, so: impl AsyncFn() -> bool) {
    let started = Instant::now();
    while !so().await {
        assert!(started.elapsed() < limit, "it never became so");
        sleep(ms(10)).await;
    }
}
