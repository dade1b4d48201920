//! Faults of a MariaDB that two labs share, under load; what is in its tables, and what harm to it does.
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
use session_testing::servers::MariaDb;
use sqlx::mysql::MySqlConnection;
use sqlx::{Connection as _, Row as _, query, query_scalar};
use tokio::runtime::Handle;

/// How many connections two labs have at most.
const POOLS: usize = 20;

/// The labs' connections at the server.
async fn connections(url: &str) -> usize {
    let mut connection = MySqlConnection::connect(url).await.unwrap();
    let count = "SELECT count(*) FROM information_schema.processlist WHERE id <> connection_id() AND user = 'root'";
    let count: i64 = query_scalar(count).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    count.try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_and_started_again() {
    let _turn = TURN.lock().await;
    let Some(mariadb) = MariaDb::start() else { return };
    let url = mariadb.url();
    let _running = server::killed_and_started_again(0, &url, mariadb).await;
    settles(POOLS, || connections(&url)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_for_two_seconds() {
    let _turn = TURN.lock().await;
    let Some(mariadb) = MariaDb::start() else { return };
    let url = mariadb.url();
    let _running = server::stopped_for_two_seconds(1, &url, mariadb).await;
    settles(POOLS, || connections(&url)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_killed() {
    let _turn = TURN.lock().await;
    let Some(mariadb) = MariaDb::start() else { return };
    let url = mariadb.url();
    let nodes = nodes(2, &url);
    let mut admin = MySqlConnection::connect(&url).await.unwrap();
    let handle = Handle::current();
    let kill = move || {
        let mut killed = 0;
        for _ in 0..10 {
            let all = "SELECT id FROM information_schema.processlist WHERE id <> connection_id() AND user = 'root'";
            for row in handle.block_on(query(all).fetch_all(&mut admin)).unwrap() {
                let kill = sqlx::AssertSqlSafe(format!("KILL {}", row.get::<i64, _>(0)));
                // It may have gone by itself.
                killed += usize::from(handle.block_on(sqlx::raw_sql(kill).execute(&mut admin)).is_ok());
            }
            sleep(Duration::from_millis(100));
        }
        killed
    };
    let (_, killed) = Play::new(&nodes).run(kill).await;
    assert!(killed > 20, "{killed} connections were killed");
    settles(POOLS, || connections(&url)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn through_bad_weather() {
    let _turn = TURN.lock().await;
    let Some(mariadb) = MariaDb::start() else { return };
    for (turn, weather) in (3..).zip(Weather::ALL) {
        let database = mariadb.fresh_database();
        through_a_proxy(turn, &database, mariadb.addr(), weather, POOLS).await;
        settles(POOLS, || connections(&database)).await;
    }
}

struct Tables(String);

impl Backdoor for Tables {
    const OWN: &'static [&'static str] = &[];

    async fn write(&self, key: &str, record: &str) {
        let written = query("UPDATE sessions SET record = ? WHERE `key` = ?").bind(record).bind(key);
        let mut connection = MySqlConnection::connect(&self.0).await.unwrap();
        assert_eq!(written.execute(&mut connection).await.unwrap().rows_affected(), 1);
    }

    async fn harm(&self, _: &str, how: &str) {
        panic!("{how} can't be done to MariaDB");
    }

    async fn dump(&self) -> Vec<u8> {
        let mut connection = MySqlConnection::connect(&self.0).await.unwrap();
        let tables = "SELECT table_name, group_concat('IFNULL(`', column_name, '`, 0)') FROM information_schema.columns
            WHERE table_schema = database() GROUP BY table_name";
        let mut dump = Vec::new();
        for table in query(tables).fetch_all(&mut connection).await.unwrap() {
            let (name, columns): (String, String) = (table.get(0), table.get(1));
            let rows = sqlx::AssertSqlSafe(format!("SELECT CAST(CONCAT_WS('|', {columns}) AS BINARY) FROM {name}"));
            for row in query(rows).fetch_all(&mut connection).await.unwrap() {
                dump.extend(row.get::<Vec<u8>, _>(0));
            }
        }
        dump
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn harmed_entries_and_a_dump() {
    let _turn = TURN.lock().await;
    let Some(mariadb) = MariaDb::start() else { return };
    let url = mariadb.fresh_database();
    a_dump_has_no_id_and_no_cookie("actix", &url, &Tables(url.clone())).await;
    a_harmed_entry_is_nobody("actix", &url, &Tables(url.clone())).await;
    let url = mariadb.fresh_database();
    an_encrypted_dump_tells_nothing(&url, &Tables(url.clone())).await;
}
