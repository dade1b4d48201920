//! The store on MySQL, shown on MariaDB.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

mod common;

use std::str::FromStr as _;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use session_core::{SessionStore, StoreError, SubjectLimit};
use session_sqlx::MySqlStore;
use session_testing::servers::{self, Proxy};
use sqlx::mysql::{MySqlConnectOptions, MySqlPool, MySqlPoolOptions};
use sqlx::{AssertSqlSafe, Executor as _, Row as _, query_scalar, raw_sql};
use tokio::time::timeout;

use crate::common::{Database, HOUR, Undone, end_oldest, key, ms, on, record, within};

const CONNECTIONS: u32 = 8;

/// One server for all tests of this file.
fn server() -> Option<&'static servers::MariaDb> {
    static SERVER: OnceLock<Option<servers::MariaDb>> = OnceLock::new();
    SERVER.get_or_init(servers::MariaDb::start).as_ref()
}

struct MariaDb {
    options: MySqlConnectOptions,
    pool: MySqlPool,
}

impl MariaDb {
    /// A store whose connections begin with this statement.
    async fn with(&self, setting: &'static str) -> MySqlStore {
        MySqlStore::new(open(self.options.clone(), setting).await)
    }
}

async fn open(options: MySqlConnectOptions, setting: &'static str) -> MySqlPool {
    let pool = MySqlPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(Duration::from_secs(60));
    let pool = pool.after_connect(move |connection, _| {
        Box::pin(async move {
            connection.execute(setting).await?;
            Ok(())
        })
    });
    pool.connect_with(options).await.unwrap()
}

impl Database for MariaDb {
    type Store = MySqlStore;

    async fn bare() -> Option<Self> {
        let options = MySqlConnectOptions::from_str(&server()?.fresh_database()).unwrap();
        Some(Self { pool: open(options.clone(), "DO 0").await, options })
    }

    fn store(&self) -> MySqlStore {
        MySqlStore::new(self.pool.clone())
    }

    async fn node(&self) -> MySqlStore {
        self.with("DO 0").await
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        self.store().migrate().await
    }

    async fn run_schema(&self) {
        self.run(MySqlStore::schema()).await;
    }

    async fn run(&self, sql: &str) {
        raw_sql(AssertSqlSafe(sql)).execute(&self.pool).await.unwrap();
    }

    async fn number(&self, sql: &str) -> i64 {
        query_scalar(AssertSqlSafe(sql)).fetch_one(&self.pool).await.unwrap()
    }

    async fn shape(&self) -> String {
        let tables =
            ["sessions", "session_renames", "session_revocations", "session_subject_revocations", "session_locks"];
        let mut shape = String::new();
        for table in tables {
            let show = AssertSqlSafe(format!("SHOW CREATE TABLE {table}"));
            let made: String = raw_sql(show).fetch_one(&self.pool).await.unwrap().get(1);
            // The next number depends on what was in it.
            shape.extend(
                made.split(' ').filter(|word| !word.starts_with("AUTO_INCREMENT=")).map(|word| format!("{word} ")),
            );
        }
        shape + &self.number("SELECT COUNT(*) FROM session_locks").await.to_string()
    }

    async fn dump(&self) -> Vec<u8> {
        let tables = "SELECT CONVERT(table_name, CHAR) FROM information_schema.tables WHERE table_schema = DATABASE()";
        let tables: Vec<String> = query_scalar(tables).fetch_all(&self.pool).await.unwrap();
        let mut dump = Vec::new();
        for table in tables {
            for row in raw_sql(AssertSqlSafe(format!("SELECT * FROM {table}"))).fetch_all(&self.pool).await.unwrap() {
                for column in 0..row.len() {
                    let value: Option<Vec<u8>> = row.try_get_unchecked(column).unwrap();
                    dump.extend(value.unwrap_or_default());
                }
            }
        }
        dump
    }

    async fn is_at_rest(&self) {
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push(self.pool.acquire().await.unwrap());
        }
        assert_eq!(self.pool.size(), CONNECTIONS);
        drop(connections);
        let transactions = "SELECT COUNT(*) FROM information_schema.innodb_trx JOIN information_schema.processlist
            ON id = trx_mysql_thread_id WHERE db = DATABASE() AND id <> CONNECTION_ID()";
        within(Duration::from_secs(10), async || self.number(transactions).await == 0).await;
    }
}

on! { MariaDb:
    it_keeps_the_contract,
    nodes_that_start_together_make_the_tables_once,
    the_schema_can_be_run_by_hand,
    a_dump_contains_no_id,
    what_is_no_record_is_unreadable_and_ends_like_any_other,
    subjects_are_any_text,
    a_former_key_ends_no_session_that_came_later,
    an_error_says_nothing_about_a_session,
    a_sweep_leaves_neither_sessions_nor_former_keys_nor_revocations,
    two_nodes_at_work_do_not_get_in_each_others_way,
    a_future_that_is_dropped_leaves_nothing_open,
}

#[tokio::test(flavor = "multi_thread")]
async fn the_settings_of_a_connection_do_not_change_the_contract() {
    let Some(database) = MariaDb::bare().await else { return };
    database.migrate().await.unwrap();
    let settings = "SET SESSION tx_isolation = 'READ-COMMITTED', time_zone = '+05:30'";
    let other = database.with(settings).await;
    common::keeps_the_contract(&database, &other).await;
    other.create(&key(1), &record("lovelace", HOUR), SubjectLimit::None).await.unwrap();
    let now = SystemTime::from(database.store().load(&key(1)).await.unwrap().unwrap().times.created);
    assert!(now.elapsed().unwrap() < Duration::from_secs(60));
}

#[tokio::test]
async fn a_row_that_is_locked_is_an_error_within_the_time_limit() {
    let Some(database) = MariaDb::bare().await else { return };
    database.migrate().await.unwrap();
    database.store().create(&key(1), &record("lovelace", HOUR), SubjectLimit::None).await.unwrap();
    let mut locks = database.pool.begin().await.unwrap();
    raw_sql("UPDATE sessions SET seen_at = seen_at + 1").execute(&mut *locks).await.unwrap();
    for limit in ["SET SESSION max_statement_time = 1", "SET SESSION innodb_lock_wait_timeout = 1"] {
        let store = database.with(limit).await;
        let started = Instant::now();
        let touched = timeout(Duration::from_secs(20), store.touch(&key(1))).await.unwrap();
        assert_eq!(touched.unwrap_err().to_string(), "touching a session failed");
        assert!(started.elapsed() >= ms(900) && started.elapsed() < ms(4_000), "it was tried again");
        assert!(store.load(&key(1)).await.unwrap().is_some(), "reading doesn't wait for writing");
    }
    locks.rollback().await.unwrap();
    assert!(database.with("SET SESSION max_statement_time = 1").await.touch(&key(1)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_undone_is_done_again_six_times_in_all() {
    let Some(database) = MariaDb::bare().await else { return };
    let undo = async |times: u32, error: Undone| {
        let state = match error {
            // As MariaDB says that a row has changed since it was read, and that there was a deadlock.
            Undone::SerializationFailure => "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1020",
            Undone::Deadlock => "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213",
            Undone::BecauseOfSomethingElse => "SIGNAL SQLSTATE '45000'",
        };
        // A sequence counts on, whatever is undone.
        let trigger = format!(
            "CREATE OR REPLACE SEQUENCE attempts NOCACHE;
             CREATE OR REPLACE TRIGGER undone BEFORE UPDATE ON sessions FOR EACH ROW
             IF NEXTVAL(attempts) <= {times} THEN {state}; END IF"
        );
        database.run(&trigger).await;
    };
    let attempts = async || database.number("SELECT next_not_cached_value - 1 FROM attempts").await;
    common::what_was_undone_is_done_again_six_times_in_all(&database, undo, attempts).await;
}

/// A login waits for another one of the same subject, and the caller goes away.
#[tokio::test]
async fn a_login_that_waits_for_its_turn_can_be_given_up() {
    let Some(database) = MariaDb::bare().await else { return };
    database.migrate().await.unwrap();
    let (store, record) = (database.store(), record("lovelace", HOUR));
    let mut turn = database.pool.begin().await.unwrap();
    let take = "UPDATE session_locks SET uses = uses + 1
        WHERE number = CONV(LEFT(SHA2('lovelace', 256), 8), 16, 10) % 256";
    raw_sql(take).execute(&mut *turn).await.unwrap();
    for number in 0..20 {
        let login = timeout(ms(30), store.create(&key(number), &record, end_oldest(3))).await;
        assert!(login.is_err(), "it didn't wait for its turn");
    }
    let limited = database.with("SET SESSION max_statement_time = 1").await;
    assert!(limited.create(&key(20), &record, end_oldest(3)).await.is_err());
    assert!(limited.create(&key(21), &record, SubjectLimit::None).await.is_ok(), "only logins within a limit wait");
    turn.rollback().await.unwrap();
    database.is_at_rest().await;
    assert_eq!(store.sessions_of("lovelace", 9).await.unwrap().len(), 1, "what was given up didn't happen");
}

#[tokio::test]
async fn a_table_of_locks_without_rows_is_an_error() {
    let Some(database) = MariaDb::bare().await else { return };
    database.migrate().await.unwrap();
    let (store, record) = (database.store(), record("lovelace", HOUR));
    database.run("DELETE FROM session_locks").await;
    let error = store.create(&key(1), &record, end_oldest(3)).await.unwrap_err();
    assert!(common::words(&error).contains("session_locks has lost its rows; run the schema again"));
    database.migrate().await.unwrap();
    assert!(store.create(&key(1), &record, end_oldest(3)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_killed_are_errors_and_no_more() {
    let Some(database) = MariaDb::bare().await else { return };
    let name: String = query_scalar("SELECT DATABASE()").fetch_one(&database.pool).await.unwrap();
    let operator = MySqlPool::connect(&server().unwrap().url()).await.unwrap();
    common::connections_that_are_ended_are_errors_and_no_more(&database, async || {
        let connections = "SELECT id FROM information_schema.processlist WHERE db = ?";
        let connections: Vec<i64> = query_scalar(connections).bind(&name).fetch_all(&operator).await.unwrap();
        for id in connections {
            // It may be gone by now.
            let _ = raw_sql(AssertSqlSafe(format!("KILL {id}"))).execute(&operator).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_network_keeps_no_connection() {
    let Some(database) = MariaDb::bare().await else { return };
    database.migrate().await.unwrap();
    let proxy = Proxy::to(server().unwrap().addr());
    let options = database.options.clone().port(proxy.addr().port());
    let pool = MySqlPoolOptions::new().test_before_acquire(false).connect_with(options).await.unwrap();
    drop([pool.acquire().await.unwrap(), pool.acquire().await.unwrap(), pool.acquire().await.unwrap()]);
    let store = MySqlStore::new(pool.clone());
    common::a_silent_network_keeps_no_connection(store, &proxy, || pool.num_idle() == pool.size() as usize).await;
}
