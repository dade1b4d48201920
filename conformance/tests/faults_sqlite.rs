//! Faults of a SQLite file that two labs share, under load; what is in the file, and what harm to it does.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

mod common;
mod faults;

use std::fs;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::{Browser, LABS, Lab};
use faults::entries::{
    Backdoor, a_dump_has_no_id_and_no_cookie, a_harmed_entry_is_nobody, an_encrypted_dump_tells_nothing,
};
use faults::folder::Folder;
use faults::history::{Deed, Event};
use faults::play::{Play, TURN, lab, nodes};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection as _, Row as _, query};
use tokio::runtime::Handle;

/// How many connections one lab has to its file.
const POOL: usize = 4;

struct File(Folder);

impl File {
    fn new() -> Self {
        Self(Folder::new())
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.0.path().join("sessions.db").display())
    }

    async fn open(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.0.path().join("sessions.db"));
        SqliteConnection::connect_with(&options).await.unwrap()
    }

    /// How often a process has the file open.
    fn open_by(&self, lab: &Lab) -> usize {
        let file = self.0.path().join("sessions.db").canonicalize().unwrap();
        let open = fs::read_dir(format!("/proc/{}/fd", lab.pid())).unwrap().flatten();
        open.filter(|open| fs::read_link(open.path()).is_ok_and(|to| to == file)).count()
    }
}

impl Backdoor for File {
    const OWN: &'static [&'static str] = &[];

    async fn write(&self, key: &str, record: &str) {
        let written = query("UPDATE sessions SET record = ?2 WHERE key = ?1").bind(key).bind(record);
        assert_eq!(written.execute(&mut self.open().await).await.unwrap().rows_affected(), 1);
    }

    async fn harm(&self, _: &str, how: &str) {
        panic!("{how} can't be done to SQLite");
    }

    /// All tables as text, and the bytes of all files.
    async fn dump(&self) -> Vec<u8> {
        let mut dump = Vec::new();
        let mut connection = self.open().await;
        let tables = "SELECT m.name, group_concat('quote(' || c.name || ')', '||''|''||') FROM sqlite_schema AS m
            JOIN pragma_table_info(m.name) AS c WHERE m.type = 'table' GROUP BY m.name";
        for table in query(tables).fetch_all(&mut connection).await.unwrap() {
            let (name, columns): (String, String) = (table.get(0), table.get(1));
            let rows = sqlx::AssertSqlSafe(format!("SELECT {columns} FROM {name}"));
            for row in query(rows).fetch_all(&mut connection).await.unwrap() {
                dump.extend(row.get::<String, _>(0).into_bytes());
            }
        }
        for file in fs::read_dir(self.0.path()).unwrap() {
            dump.extend(fs::read(file.unwrap().path()).unwrap());
        }
        dump
    }
}

/// Neither the fault nor the end of the play leaves files open. Of a connection that was closed SQLite itself keeps the file for
/// as long as another one of the process has a lock, so there may be as many again as the pool has connections.
fn no_file_is_left_open(file: &File, labs: &[Arc<Lab>]) {
    for lab in labs {
        let open = file.open_by(lab);
        assert!((1..=2 * POOL).contains(&open), "{} has the file open {open} times", lab.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_fault() {
    let _turn = TURN.lock().await;
    let file = File::new();
    let nodes = nodes(0, &file.url());
    let (summary, ()) = Play::new(&nodes).run(|| sleep(Duration::from_millis(300))).await;
    summary.hardly_failed();
    no_file_is_left_open(&file, &nodes.map(|node| node.lab()));
}

/// Another process writes for longer than anybody waits: reads go on, writes are 503.
#[tokio::test(flavor = "multi_thread")]
async fn locked_by_another_writer() {
    let _turn = TURN.lock().await;
    let file = File::new();
    let nodes = nodes(1, &file.url());
    // The first lab moves the idle deadline with each read; the second doesn't, so its reads are only reads.
    let mut reader = Browser::new(&nodes[1].lab());
    reader.expect("POST /login?u=reader", r#"200 {"user":"reader"}"#).await;
    let mut other = file.open().await;
    let handle = Handle::current();
    let lock = move || {
        handle.block_on(async {
            query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
            let until = Instant::now() + Duration::from_millis(1_500);
            let mut reads = 0;
            while Instant::now() < until {
                reader.expect("GET /me", r#"200 {"user":"reader"}"#).await;
                reads += 1;
            }
            assert!(reads > 20, "{reads} reads in a row were served while the file was locked");
            query("ROLLBACK").execute(&mut other).await.unwrap();
        });
    };
    let (summary, ()) = Play::new(&nodes).run(lock).await;
    assert_eq!(summary.lost(), 0);
    assert!(summary.failed() > 10, "{} writes failed", summary.failed());
    let reads = [Deed::Who, Deed::ReadMark, Deed::ReadCount];
    let failed = |event: &&Event| event.node == 1 && reads.contains(&event.deed) && event.failed();
    assert_eq!(summary.during_fault().find(failed).map(|event| event.deed), None);
    assert!(summary.median_failure() < Duration::from_millis(1_200), "{:?}", summary.median_failure());
    no_file_is_left_open(&file, &nodes.map(|node| node.lab()));
}

/// The lab is the process that writes: killed in the middle of it and started again, it has everything it acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn killed_and_started_again() {
    let _turn = TURN.lock().await;
    let file = File::new();
    let nodes = nodes(2, &file.url());
    let (node, url) = (Arc::clone(&nodes[0]), file.url());
    let kill = move || {
        for _ in 0..3 {
            node.lab().signal("KILL");
            sleep(Duration::from_millis(100));
            node.replace(lab(2, &url, "0"));
            sleep(Duration::from_millis(300));
        }
    };
    let (summary, ()) = Play::new(&nodes).run(kill).await;
    assert!(summary.lost() > 0, "nobody noticed that the lab was killed");
    no_file_is_left_open(&file, &nodes.map(|node| node.lab()));
    let sound: String = query("PRAGMA integrity_check").fetch_one(&mut file.open().await).await.unwrap().get(0);
    assert_eq!(sound, "ok");
}

/// Stopped in the middle of whatever it did, also of a write: the other lab serves or says 503, and both go on.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_labs_stopped() {
    let _turn = TURN.lock().await;
    let file = File::new();
    let nodes = nodes(3, &file.url());
    let lab = nodes[0].lab();
    let stop = move || {
        lab.signal("STOP");
        sleep(Duration::from_millis(1_500));
        lab.signal("CONT");
    };
    let (summary, ()) = Play::new(&nodes).run(stop).await;
    assert_eq!(summary.lost(), 0);
    assert!(summary.during_fault().any(|event| event.node == 1 && !event.failed()), "the other lab serves");
    no_file_is_left_open(&file, &nodes.map(|node| node.lab()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_harmed_entry() {
    let file = File::new();
    for (name, _) in LABS {
        a_harmed_entry_is_nobody(name, &file.url(), &file).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump() {
    let file = File::new();
    a_dump_has_no_id_and_no_cookie("axum", &file.url(), &file).await;
    let file = File::new();
    an_encrypted_dump_tells_nothing(&file.url(), &file).await;
}
