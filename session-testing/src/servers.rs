//! Real servers for tests of stores: [`Redis`], [`Postgres`], [`MariaDb`], and a [`Proxy`] for what a network does.
//!
//! Each server is a child process on a free port of the loopback interface with a temporary folder of its own. It ends and
//! its folder goes when the value is dropped, and also when the test process ends, however that goes: so a test binary may
//! keep one in a `static` and share it. `kill` ends it without a warning, `restart` starts it again with what it has on
//! disk, `stop` and `resume` make it a server that has connections and doesn't answer.
//!
//! A machine without the programs skips these tests: `start` returns `None` and says on stderr what was not tested. Where
//! the variable `CI` is set, it panics instead. Nothing here needs a runtime; every call blocks until it is done.
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
