//! Sessions that outlive the process and the machine, in SQLite, PostgreSQL, MySQL and MariaDB.
//!
//! ```
//! # #[cfg(feature = "sqlite")] {
//! use session_core::{KeyRing, Secret, SessionManager};
//! use session_sqlx::SqliteStore;
//! use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! // In a program: SqliteStore::options("sessions.db"), in a pool of a few connections.
//! let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
//! let store = SqliteStore::new(pool);
//! store.migrate().await?;
//! let manager = SessionManager::stored(store, KeyRing::new(Secret::random()?)).build()?;
//! assert_eq!(manager.sweep(100).await?, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! # }
//! ```
//!
//! # Which one
//!
//! | store | feature | for | an acknowledged write survives |
//! | --- | --- | --- | --- |
//! | `SqliteStore` | `sqlite`, on by default | one machine, nothing to install | the end of the process; a loss of power with `synchronous = FULL` |
//! | `PostgresStore` | `postgres` | many machines; PostgreSQL 12 or newer | a loss of power, unless you turned `synchronous_commit` off |
//! | `MySqlStore` | `mysql` | many machines; MySQL 8.0, MariaDB 10.6 or newer | a loss of power, unless you relaxed `innodb_flush_log_at_trx_commit` |
//!
//! What is acknowledged as ended stays ended to the same degree. Each store's own page says how it keeps the contract, and
//! what waiting, dropping and failing mean there. The pool is yours, and with it the features of sqlx that it needs, TLS
//! among them: this crate only adds the driver.
//!
//! # The tables
//!
//! They are in `schema/`, one file a database, to be run by you (`schema()` is the text) or by `migrate()`. The names are
//! `sessions` and others that begin with `session_`. A person can read a row: the key in hexadecimal, times in milliseconds since
//! the epoch, the record as JSON. Somebody who steals the tables finds hashes of ids, which open no session, and readable
//! values; [`Encrypted`](session_core::Encrypted) hides those.
//!
//! Call `sweep` now and then, on one node or on all of them: until then what has expired is absent, and takes up room.
//!
//! # Costs
//!
//! A verb is one statement on one connection, and a login with a limit per subject about five. Before it lends a connection
//! sqlx asks the server whether it is well, which is one more round trip; `test_before_acquire(false)` in the pool's options saves
//! that, and then each connection that broke while it was idle costs an error.

#[cfg(any(feature = "postgres", feature = "mysql"))]
mod lent;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod shared;

#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(feature = "mysql")]
pub use crate::mysql::MySqlStore;
#[cfg(feature = "postgres")]
pub use crate::postgres::PostgresStore;
#[cfg(feature = "sqlite")]
pub use crate::sqlite::SqliteStore;
