//! The store on PostgreSQL.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

mod common;

use std::str::FromStr as _;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use futures_util::TryStreamExt as _;
use session_core::{SessionStore, StoreError, SubjectLimit};
use session_sqlx::PostgresStore;
use session_testing::servers::{self, Proxy};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolCopyExt as _, PgPoolOptions};
use sqlx::{AssertSqlSafe, query_scalar, raw_sql};
use tokio::time::timeout;

use crate::common::{Database, HOUR, Undone, end_oldest, key, ms, on, record, within};

const CONNECTIONS: u32 = 8;

/// One server for all tests of this file.
fn server() -> Option<&'static servers::Postgres> {
    static SERVER: OnceLock<Option<servers::Postgres>> = OnceLock::new();
    SERVER.get_or_init(servers::Postgres::start).as_ref()
}

struct Postgres {
    options: PgConnectOptions,
    pool: PgPool,
}

impl Postgres {
    /// A store whose connections have these settings.
    async fn with(&self, settings: &[(&str, &str)]) -> PostgresStore {
        PostgresStore::new(open(self.options.clone().options(settings.iter().copied())).await)
    }
}

async fn open(options: PgConnectOptions) -> PgPool {
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(Duration::from_secs(60));
    pool.connect_with(options).await.unwrap()
}

impl Database for Postgres {
    type Store = PostgresStore;

    async fn bare() -> Option<Self> {
        let options = PgConnectOptions::from_str(&server()?.fresh_database()).unwrap();
        Some(Self { pool: open(options.clone()).await, options })
    }

    fn store(&self) -> PostgresStore {
        PostgresStore::new(self.pool.clone())
    }

    async fn node(&self) -> PostgresStore {
        self.with(&[]).await
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        self.store().migrate().await
    }

    async fn run_schema(&self) {
        self.run(PostgresStore::schema()).await;
    }

    async fn run(&self, sql: &str) {
        raw_sql(AssertSqlSafe(sql)).execute(&self.pool).await.unwrap();
    }

    async fn number(&self, sql: &str) -> i64 {
        query_scalar(AssertSqlSafe(format!("SELECT ({sql})::bigint"))).fetch_one(&self.pool).await.unwrap()
    }

    async fn shape(&self) -> String {
        let parts = "SELECT string_agg(part, E'\n' ORDER BY part) FROM (
            SELECT concat_ws(' ', table_name, ordinal_position, column_name, data_type, is_nullable, column_default,
                is_identity, collation_name) FROM information_schema.columns WHERE table_schema = 'public'
            UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
            UNION ALL SELECT conrelid::regclass || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
                WHERE connamespace = 'public'::regnamespace
        ) AS parts (part)";
        query_scalar(parts).fetch_one(&self.pool).await.unwrap()
    }

    async fn dump(&self) -> Vec<u8> {
        let tables = "SELECT relname::text FROM pg_stat_user_tables";
        let tables: Vec<String> = query_scalar(tables).fetch_all(&self.pool).await.unwrap();
        let mut dump = Vec::new();
        for table in tables {
            let copy = self.pool.copy_out_raw(&format!("COPY {table} TO STDOUT")).await.unwrap();
            dump.extend(copy.try_collect::<Vec<_>>().await.unwrap().concat());
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
        let busy = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle'
            AND pid <> pg_backend_pid()";
        let locks = "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND database =
            (SELECT oid FROM pg_database WHERE datname = current_database())";
        let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
        for count in [busy, locks, deadlocks] {
            within(Duration::from_secs(10), async || self.number(count).await == 0).await;
        }
    }
}

on! { Postgres:
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
async fn a_limit_holds_whatever_the_isolation_and_the_time_zone_of_the_connections() {
    let Some(database) = Postgres::bare().await else { return };
    database.migrate().await.unwrap();
    let settings = [("default_transaction_isolation", "repeatable read"), ("TimeZone", "Asia/Kolkata")];
    let store = database.with(&settings).await;
    let logins = (0..60).map(|number| {
        let store = store.clone();
        tokio::spawn(async move { store.create(&key(number), &record("lovelace", HOUR), end_oldest(3)).await.unwrap() })
    });
    for login in logins.collect::<Vec<_>>() {
        login.await.unwrap();
    }
    let listed = database.store().sessions_of("lovelace", 99).await.unwrap();
    assert_eq!(listed.len(), 3);
    assert!(SystemTime::from(listed[0].1.times.created).elapsed().unwrap() < Duration::from_secs(60));
}

#[tokio::test]
async fn a_row_that_is_locked_is_an_error_within_the_time_limit() {
    let Some(database) = Postgres::bare().await else { return };
    database.migrate().await.unwrap();
    database.store().create(&key(1), &record("lovelace", HOUR), SubjectLimit::None).await.unwrap();
    database.store().create(&key(2), &record("lovelace", ms(1)), SubjectLimit::None).await.unwrap();
    let mut locks = database.pool.begin().await.unwrap();
    raw_sql("UPDATE sessions SET seen_at = seen_at").execute(&mut *locks).await.unwrap();
    for limit in ["statement_timeout", "lock_timeout"] {
        let store = database.with(&[(limit, "300ms")]).await;
        let started = Instant::now();
        let touch = async {
            let touched = timeout(Duration::from_secs(20), store.touch(&key(1))).await.unwrap();
            (touched, started.elapsed())
        };
        // A machine that stands still lets this wait as well.
        let clock = async {
            tokio::time::sleep(ms(300)).await;
            started.elapsed()
        };
        let ((touched, took), rang) = tokio::join!(touch, clock);
        assert_eq!(touched.unwrap_err().to_string(), "touching a session failed");
        assert!(took >= ms(300) && took < rang + ms(1_200), "it was tried again: {took:?}");
        assert!(store.load(&key(1)).await.unwrap().is_some(), "reading doesn't wait for writing");
        assert_eq!(store.sweep(9).await.unwrap(), 0, "nor does a sweep, which leaves to others what they have locked");
    }
    locks.rollback().await.unwrap();
    assert!(database.with(&[("lock_timeout", "300ms")]).await.touch(&key(1)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_undone_is_done_again_six_times_in_all() {
    let Some(database) = Postgres::bare().await else { return };
    let undo = async |times: u32, error: Undone| {
        let code = match error {
            Undone::SerializationFailure => "40001",
            Undone::Deadlock => "40P01",
            Undone::BecauseOfSomethingElse => "P0001",
        };
        // A sequence counts on, whatever is undone.
        let trigger = format!(
            "DROP SEQUENCE IF EXISTS attempts; CREATE SEQUENCE attempts;
             CREATE OR REPLACE FUNCTION undo() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 IF nextval('attempts') <= {times} THEN RAISE EXCEPTION 'undone' USING ERRCODE = '{code}'; END IF;
                 RETURN NEW;
             END $$;
             CREATE OR REPLACE TRIGGER undo BEFORE UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION undo()"
        );
        database.run(&trigger).await;
    };
    let attempts = async || database.number("SELECT last_value FROM attempts").await;
    common::what_was_undone_is_done_again_six_times_in_all(&database, undo, attempts).await;
}

/// As a login of this subject does.
const TAKE_TURN: &str = "SELECT pg_advisory_xact_lock(1936028531,
    ('x' || left(encode(sha256('lovelace'), 'hex'), 8))::bit(32)::int)";

#[tokio::test]
async fn a_session_begins_when_it_is_its_turn() {
    let Some(database) = Postgres::bare().await else { return };
    database.migrate().await.unwrap();
    let (store, record) = (database.store(), record("lovelace", HOUR));
    store.create(&key(1), &record, SubjectLimit::None).await.unwrap();
    let mut turn = database.pool.begin().await.unwrap();
    raw_sql(TAKE_TURN).execute(&mut *turn).await.unwrap();
    let login = tokio::spawn({
        let store = store.clone();
        async move { store.create(&key(2), &record, end_oldest(3)).await.unwrap() }
    });
    let waiting =
        "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'";
    within(Duration::from_secs(10), async || database.number(waiting).await == 1).await;
    tokio::time::sleep(ms(5)).await;
    let now = store.load(&key(1)).await.unwrap().unwrap().now;
    turn.rollback().await.unwrap();
    login.await.unwrap();
    assert!(store.load(&key(2)).await.unwrap().unwrap().times.created >= now);
}

/// A login waits for another one of the same subject, and the caller goes away.
#[tokio::test]
async fn a_login_that_waits_for_its_turn_can_be_given_up() {
    let Some(database) = Postgres::bare().await else { return };
    database.migrate().await.unwrap();
    let (store, record) = (database.store(), record("lovelace", HOUR));
    let mut turn = database.pool.begin().await.unwrap();
    raw_sql(TAKE_TURN).execute(&mut *turn).await.unwrap();
    for number in 0..20 {
        let login = timeout(ms(30), store.create(&key(number), &record, end_oldest(3))).await;
        assert!(login.is_err(), "it didn't wait for its turn");
    }
    let limited = database.with(&[("statement_timeout", "1s")]).await;
    assert!(limited.create(&key(20), &record, end_oldest(3)).await.is_err());
    assert!(limited.create(&key(21), &record, SubjectLimit::None).await.is_ok(), "only logins within a limit wait");
    turn.rollback().await.unwrap();
    database.is_at_rest().await;
    assert_eq!(store.sessions_of("lovelace", 9).await.unwrap().len(), 1, "what was given up didn't happen");
}

#[tokio::test(flavor = "multi_thread")]
async fn back_ends_that_are_terminated_are_errors_and_no_more() {
    let Some(database) = Postgres::bare().await else { return };
    let operator = open(database.options.clone().application_name("operator")).await;
    common::connections_that_are_ended_are_errors_and_no_more(&database, async || {
        let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name <> 'operator'";
        raw_sql(terminate).execute(&operator).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_network_keeps_no_connection() {
    let Some(database) = Postgres::bare().await else { return };
    database.migrate().await.unwrap();
    let proxy = Proxy::to(server().unwrap().addr());
    let options = database.options.clone().port(proxy.addr().port());
    let pool = PgPoolOptions::new().test_before_acquire(false).connect_with(options).await.unwrap();
    drop([pool.acquire().await.unwrap(), pool.acquire().await.unwrap(), pool.acquire().await.unwrap()]);
    let store = PostgresStore::new(pool.clone());
    common::a_silent_network_keeps_no_connection(store, &proxy, || pool.num_idle() == pool.size() as usize).await;
}
