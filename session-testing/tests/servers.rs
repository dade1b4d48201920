//! The servers are there, fall, come back, and leave nothing behind.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

use std::net::TcpStream;

use session_testing::servers::{MariaDb, Postgres, Redis};

#[test]
fn a_redis_keeps_what_it_acknowledged() {
    let Some(redis) = Redis::start() else { return };
    assert_eq!(redis.ask(&["PING"]).unwrap(), "PONG");
    assert_eq!(redis.ask(&["SET", "a", "1"]).unwrap(), "OK");
    redis.kill();
    assert!(TcpStream::connect(redis.addr()).is_err());
    redis.restart();
    assert_eq!(redis.ask(&["GET", "a"]).unwrap(), "1");
}

#[test]
fn a_postgres_comes_back() {
    let Some(postgres) = Postgres::start() else { return };
    assert_ne!(postgres.fresh_database(), postgres.fresh_database());
    postgres.kill();
    assert!(TcpStream::connect(postgres.addr()).is_err());
    postgres.restart();
    let _ = postgres.fresh_database();
}

#[test]
fn a_mariadb_comes_back() {
    let Some(mariadb) = MariaDb::start() else { return };
    assert_ne!(mariadb.fresh_database(), mariadb.fresh_database());
    mariadb.kill();
    assert!(TcpStream::connect(mariadb.addr()).is_err());
    mariadb.restart();
    let _ = mariadb.fresh_database();
}
