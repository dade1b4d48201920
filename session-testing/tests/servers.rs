//! The servers answer, fall, hang, come back, and leave nothing behind.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

mod wire;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::park;
use std::{env, fs};

use session_testing::servers::{MariaDb, Postgres, Redis, RedisCluster};
use wire::{eventually, is_cut, is_silent, read};

/// Tells the test process that it is to start servers and be killed.
const VICTIM: &str = "SESSION_TESTING_VICTIM";

#[test]
fn a_redis_keeps_what_it_acknowledged() {
    let Some(redis) = Redis::start() else { return };
    assert_eq!(redis.ask(&["SET", "a", "1"]).unwrap(), "OK");
    redis.kill();
    assert!(TcpStream::connect(redis.addr()).is_err());
    redis.restart();
    assert_eq!(redis.ask(&["GET", "a"]).unwrap(), "1");
}

#[test]
fn a_stopped_redis_answers_when_it_goes_on() {
    let Some(redis) = Redis::start() else { return };
    let mut connection = TcpStream::connect(redis.addr()).unwrap();
    redis.stop();
    connection.write_all(b"PING\r\n").unwrap();
    assert!(is_silent(&mut connection));
    redis.resume();
    assert_eq!(read(&mut connection, 7), b"+PONG\r\n");
}

#[test]
fn a_postgres_comes_back_with_its_databases() {
    let Some(postgres) = Postgres::start() else { return };
    assert_ne!(postgres.fresh_database(), postgres.fresh_database());
    let mut connection = Query::connect(&postgres, "sessions_1");
    postgres.kill();
    assert!(is_cut(&mut connection.0));
    assert!(TcpStream::connect(postgres.addr()).is_err());
    postgres.restart();
    let mut connection = Query::connect(&postgres, "sessions_2");
    connection.send("SELECT 1");
    connection.done();
    assert!(postgres.fresh_database().ends_with("/sessions_3"));
}

#[test]
fn a_stopped_postgres_stops_every_connection() {
    let Some(postgres) = Postgres::start() else { return };
    let mut connection = Query::connect(&postgres, "postgres");
    postgres.stop();
    connection.send("SELECT 1");
    assert!(is_silent(&mut connection.0));
    postgres.resume();
    connection.done();
}

#[test]
fn a_mariadb_hangs_falls_and_comes_back_with_its_databases() {
    let Some(mariadb) = MariaDb::start() else { return };
    assert_ne!(mariadb.fresh_database(), mariadb.fresh_database());
    mariadb.stop();
    let mut connection = TcpStream::connect(mariadb.addr()).unwrap();
    assert!(is_silent(&mut connection));
    mariadb.resume();
    assert_eq!(read(&mut connection, 5)[4], 10, "the version of the protocol");
    mariadb.kill();
    assert!(TcpStream::connect(mariadb.addr()).is_err());
    mariadb.restart();
    assert!(mariadb.fresh_database().ends_with("/sessions_3"));
}

#[test]
fn a_primary_that_comes_back_to_its_cluster_is_a_replica() {
    let Some(cluster) = RedisCluster::start() else { return };
    let former = cluster.kill_primary(0);
    cluster.failed_over(former);
    former.restart();
    eventually("the former primary is a replica", || former.ask(&["ROLE"]).unwrap().starts_with("slave"));
    assert_eq!(cluster.primaries()[0].port(), cluster.nodes()[3].port());
}

#[test]
fn a_test_that_panics_leaves_nothing_behind() {
    let outcome = catch_unwind(|| {
        let redis = Redis::start()?;
        let pid = redis.pid().unwrap();
        let left = Traces { pids: vec![pid], folders: vec![folder(pid)] };
        assert!(left.are_there());
        std::panic::resume_unwind(Box::new(left));
        #[expect(unreachable_code, reason = "it says what the closure returns when there is no Redis")]
        Some(())
    });
    let Err(left) = outcome else { return };
    assert!(left.downcast::<Traces>().unwrap().are_gone());
}

/// The test process is killed, and interrupted at the keyboard, which reaches all of its group. One of its servers has
/// been stopped and can't end itself.
#[test]
fn a_process_that_dies_leaves_nothing_behind() {
    if env::var_os(VICTIM).is_some() {
        return die();
    }
    for signal in ["kill -KILL $0", "kill -INT -$0"] {
        let mut victim = Command::new(env::current_exe().unwrap());
        victim.args(["--exact", "a_process_that_dies_leaves_nothing_behind", "--nocapture"]).env(VICTIM, "1");
        let mut victim = victim.process_group(0).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(victim.stdout.take().unwrap());
        let pids = said.lines().map_while(Result::ok).find_map(|line| line.strip_prefix("started").map(str::to_owned));
        let pids: Vec<u32> = pids.unwrap().split_whitespace().map(|pid| pid.parse().unwrap()).collect();
        let left = Traces { folders: pids.iter().copied().map(folder).collect(), pids };
        assert!(left.are_there());
        let killed = Command::new("sh").args(["-c", signal, &victim.id().to_string()]).status().unwrap();
        assert!(killed.success() && !victim.wait().unwrap().success());
        eventually("the servers and their folders are gone", || left.are_gone());
    }
}

fn die() {
    let (redis, postgres, mariadb) = (Redis::start(), Postgres::start(), MariaDb::start());
    postgres.iter().for_each(|postgres| postgres.stop());
    let pids = [redis.as_deref(), postgres.as_deref(), mariadb.as_deref()].into_iter().flatten();
    let pids: Vec<_> = pids.filter_map(|server| server.pid()).map(|pid| pid.to_string()).collect();
    println!("\nstarted {}", pids.join(" "));
    park();
}

/// What servers have in the system as long as they are there: processes, shared memory, folders.
struct Traces {
    pids: Vec<u32>,
    folders: Vec<PathBuf>,
}

impl Traces {
    fn are_there(&self) -> bool {
        self.pids.iter().all(|&pid| runs(pid)) && self.folders.iter().all(|folder| folder.exists())
    }

    fn are_gone(&self) -> bool {
        let memory = fs::read_to_string("/proc/sysvipc/shm").unwrap();
        let makers: Vec<_> = memory.lines().filter_map(|line| line.split_whitespace().nth(4)).collect();
        let left = |pid: &u32| runs(*pid) || makers.contains(&pid.to_string().as_str());
        !self.pids.iter().any(left) && !self.folders.iter().any(|folder| folder.exists())
    }
}

fn runs(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// The temporary folder in which, or in a folder of which, the server works.
fn folder(pid: u32) -> PathBuf {
    let works_in = fs::read_link(format!("/proc/{pid}/cwd")).unwrap();
    let own = |folder: &&Path| folder.parent() == Some(&env::temp_dir());
    works_in.ancestors().find(own).unwrap().to_owned()
}

/// A connection to a Postgres that can ask and wait for the end of the answer.
struct Query(TcpStream);

impl Query {
    fn connect(postgres: &Postgres, database: &str) -> Self {
        let mut connection = Self(TcpStream::connect(postgres.addr()).unwrap());
        let words = format!("user\0postgres\0database\0{database}\0\0");
        let version = 196_608_u32.to_be_bytes(); // 3.0
        let length = (words.len() as u32 + 8).to_be_bytes();
        connection.0.write_all(&[&length[..], &version, words.as_bytes()].concat()).unwrap();
        connection.done();
        connection
    }

    fn send(&mut self, query: &str) {
        let length = (query.len() as u32 + 5).to_be_bytes();
        self.0.write_all(&[b"Q", &length[..], query.as_bytes(), b"\0"].concat()).unwrap();
    }

    /// Reads up to `ReadyForQuery`.
    fn done(&mut self) {
        loop {
            let head = read(&mut self.0, 5);
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
            read(&mut self.0, length as usize - 4);
            assert_ne!(head[0], b'E', "an error of the server");
            if head[0] == b'Z' {
                return;
            }
        }
    }
}
