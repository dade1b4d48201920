//! Real servers for tests of stores, and a network between that fails when told.
//!
//! | | what runs | URL |
//! |---|---|---|
//! | [`Redis`] | `redis-server` | `redis://127.0.0.1:port` |
//! | [`RedisSentinel`] | a primary, a replica, three sentinels | `redis-sentinel://127.0.0.1:port,…/mymaster` |
//! | [`RedisCluster`] | three primaries, each with a replica | `redis-cluster://127.0.0.1:port,…` |
//! | [`Postgres`] | `postgres` on what `initdb` made | `postgres://postgres@127.0.0.1:port/postgres` |
//! | [`MariaDb`] | `mariadbd` on what `mariadb-install-db` made | `mysql://root@127.0.0.1:port/sessions` |
//! | [`Proxy`] | nothing: threads of the test between a store and any of these | the server's, with [`Proxy::addr`] |
//!
//! Nothing has to be configured or to run before, and nothing that runs is touched. Each server is a child process on a
//! free port of the loopback interface, with a temporary folder for all it writes. It ends and its folder goes when the
//! value is dropped, and also when the test process ends, however that goes: a panic, a signal, a test binary that keeps
//! one server in a `static` for all its tests. If the tests run as root, the servers run as `nobody`.
//!
//! What a server does to a store, a test does to the server: [`kill`](Server::kill) ends it without a warning,
//! [`restart`](Server::restart) starts it again with what it has on disk, [`stop`](Server::stop) and
//! [`resume`](Server::resume) make it one that hangs. What a network does, a [`Proxy`] does: see [`Fault`].
//!
//! A machine that lacks the programs skips these tests: `start` returns `None` and says on stderr which test was not made
//! and which package it needs. Where the variable `CI` is set, it panics instead, because there nobody reads that. The
//! module needs Unix and no runtime; every call blocks until it is done, mostly well below a second.
//!
//! ```
//! use std::sync::OnceLock;
//!
//! use session_testing::servers::Redis;
//!
//! /// One for all tests of this file.
//! fn redis() -> Option<&'static Redis> {
//!     static REDIS: OnceLock<Option<Redis>> = OnceLock::new();
//!     REDIS.get_or_init(Redis::start).as_ref()
//! }
//!
//! let Some(redis) = redis() else { return };
//! assert!(redis.fresh_database().starts_with("redis://127.0.0.1:"));
//! assert_eq!(redis.ask(&["SET", "greeting", "hello"]).unwrap(), "OK");
//! redis.kill();
//! assert!(redis.ask(&["PING"]).is_err());
//! redis.restart();
//! assert_eq!(redis.ask(&["GET", "greeting"]).unwrap(), "hello");
//! ```
//!
//! A store that is given the address of a proxy meets the same server through a bad network:
//!
//! ```
//! use std::io::Read;
//! use std::net::TcpStream;
//! use std::time::Duration;
//!
//! use session_testing::servers::{Fault, MariaDb, Proxy};
//!
//! let Some(mariadb) = MariaDb::start() else { return };
//! let proxy = Proxy::to(mariadb.addr());
//! let url = mariadb.url().replace(&mariadb.addr().to_string(), &proxy.addr().to_string());
//! assert!(url.ends_with("/sessions"));
//!
//! proxy.set(Fault::Silent);
//! let mut connection = TcpStream::connect(proxy.addr()).unwrap();
//! connection.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
//! assert!(connection.read(&mut [0]).is_err()); // no greeting
//! ```

#![allow(clippy::panic, reason = "a test whose server does not start has to fail, and with the server's own words")]

mod port;
mod process;
mod program;
mod server;

mod cluster;
mod mariadb;
mod postgres;
mod proxy;
mod redis;
mod sentinel;

pub use cluster::RedisCluster;
pub use mariadb::MariaDb;
pub use postgres::Postgres;
pub use proxy::{Fault, Proxy};
pub use redis::Redis;
pub use sentinel::RedisSentinel;
pub use server::Server;
