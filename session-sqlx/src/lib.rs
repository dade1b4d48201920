//! Sessions that outlive the process, kept in SQLite: nothing to install, one file, one machine.
//!
//! ```
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
//! ```
//!
//! The tables are in `schema/sqlite.sql`, to be run by you or by [`SqliteStore::migrate`]. Somebody who steals the file finds
//! hashes of ids, which open no session; the values are readable JSON.

mod sqlite;

pub use crate::sqlite::SqliteStore;
