//! Faults of a PostgreSQL that two labs share, under load; what is in its tables, and what harm to it does.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

mod common;
mod faults;

use std::thread::sleep;
use std::time::Duration;

use faults::entries::{
    Backdoor, a_dump_has_no_id_and_no_cookie, a_harmed_entry_is_nobody, an_encrypted_dump_tells_nothing,
};
use faults::network::{Weather, through_a_proxy};
use faults::play::{Play, TURN, nodes, settles};
use faults::server;
use session_testing::servers::Postgres;
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _, query, query_scalar};
use tokio::runtime::Handle;

/// How many connections two labs have at most.
const POOLS: usize = 20;

/// The labs' connections at the server.
async fn connections(url: &str) -> usize {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let count =
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    let count: i64 = query_scalar(count).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    count.try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_and_started_again() {
    let _turn = TURN.lock().await;
    let Some(postgres) = Postgres::start() else { return };
    let url = postgres.url();
    let _running = server::killed_and_started_again(0, &url, postgres).await;
    settles(POOLS, || connections(&url)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_for_two_seconds() {
    let _turn = TURN.lock().await;
    let Some(postgres) = Postgres::start() else { return };
    let url = postgres.url();
    let _running = server::stopped_for_two_seconds(1, &url, postgres).await;
    settles(POOLS, || connections(&url)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn back_ends_terminated() {
    let _turn = TURN.lock().await;
    let Some(postgres) = Postgres::start() else { return };
    let url = postgres.url();
    let nodes = nodes(2, &url);
    let mut admin = PgConnection::connect(&url).await.unwrap();
    let handle = Handle::current();
    let terminate = move || {
        let mut terminated = 0;
        for _ in 0..10 {
            let all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
            terminated += handle.block_on(query(all).fetch_all(&mut admin)).unwrap().len();
            sleep(Duration::from_millis(100));
        }
        terminated
    };
    let (_, terminated) = Play::new(&nodes).run(terminate).await;
    assert!(terminated > 20, "{terminated} back ends were terminated");
    settles(POOLS, || connections(&url)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn through_bad_weather() {
    let _turn = TURN.lock().await;
    let Some(postgres) = Postgres::start() else { return };
    for (turn, weather) in (3..).zip(Weather::ALL) {
        let database = postgres.fresh_database();
        through_a_proxy(turn, &database, postgres.addr(), weather, POOLS).await;
        settles(POOLS, || connections(&database)).await;
    }
}

struct Tables(String);

impl Backdoor for Tables {
    const OWN: &'static [&'static str] = &[];

    async fn write(&self, key: &str, record: &str) {
        let written = query("UPDATE sessions SET record = $2 WHERE key = $1").bind(key).bind(record);
        let mut connection = PgConnection::connect(&self.0).await.unwrap();
        assert_eq!(written.execute(&mut connection).await.unwrap().rows_affected(), 1);
    }

    async fn harm(&self, _: &str, how: &str) {
        panic!("{how} can't be done to PostgreSQL");
    }

    async fn dump(&self) -> Vec<u8> {
        let mut connection = PgConnection::connect(&self.0).await.unwrap();
        let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'";
        let mut dump = Vec::new();
        for table in query(tables).fetch_all(&mut connection).await.unwrap() {
            let table: String = table.get(0);
            let rows = sqlx::AssertSqlSafe(format!("SELECT t::text FROM {table} AS t"));
            for row in query(rows).fetch_all(&mut connection).await.unwrap() {
                // A row as text doubles the quotation marks that are in it.
                dump.extend(row.get::<String, _>(0).replace("\"\"", "\"").into_bytes());
            }
        }
        dump
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn harmed_entries_and_a_dump() {
    let _turn = TURN.lock().await;
    let Some(postgres) = Postgres::start() else { return };
    let url = postgres.fresh_database();
    a_dump_has_no_id_and_no_cookie("actix", &url, &Tables(url.clone())).await;
    a_harmed_entry_is_nobody("actix", &url, &Tables(url.clone())).await;
    let url = postgres.fresh_database();
    an_encrypted_dump_tells_nothing(&url, &Tables(url.clone())).await;
}
