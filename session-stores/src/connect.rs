//! From a URL to a store.

#[cfg(feature = "sqlite")]
mod sqlite;

use std::sync::Arc;

use session_core::{MemoryStore, SessionStore};

use crate::error::ConnectError;
use crate::url::{Kind, Url};

/// Connects to the store at `url`, makes its tables if they are missing, and bounds the time of its operations
/// ([`TimeLimited`](crate::TimeLimited)).
///
/// | URL | store | feature |
/// | --- | --- | --- |
/// | `memory:` | this process, as long as it runs | |
/// | `sqlite:PATH` | a file, made if it is missing; one machine | `sqlite`, by default |
///
/// Options stand behind a question mark:
///
/// | option | of | meaning |
/// | --- | --- | --- |
/// | `timeout_ms` | all but `memory:` | the time for one operation, in milliseconds; 500 without it |
///
/// # Errors
/// If the URL is no such URL, asks for what is not in this build, has an option that doesn't exist, or if the store can't
/// be reached within ten seconds.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// assert!(session_stores::connect("memory:").await.is_ok());
/// let refused = session_stores::connect("file:sessions.db").await.err();
/// assert!(refused.is_some_and(|error| error.to_string().contains("write one that begins with memory:, sqlite:")));
/// # });
/// ```
pub async fn connect(url: &str) -> Result<Arc<dyn SessionStore>, ConnectError> {
    let url = Url::read(url)?;
    match url.kind {
        Kind::Memory => memory(&url),
        #[cfg(feature = "sqlite")]
        Kind::Sqlite => sqlite::connect(url).await,
        #[cfg(not(feature = "sqlite"))]
        Kind::Sqlite => Err(url.not_built_in("SQLite", "sqlite")),
        Kind::Postgres => Err(url.not_built_in("PostgreSQL", "postgres")),
        Kind::MySql => Err(url.not_built_in("MySQL", "mysql")),
        Kind::Redis => Err(url.not_built_in("Redis", "redis")),
        Kind::RedisCluster => Err(url.not_built_in("Redis Cluster", "redis-cluster")),
        Kind::RedisSentinel => Err(url.not_built_in("Redis Sentinel", "redis-sentinel")),
    }
}

fn memory(url: &Url<'_>) -> Result<Arc<dyn SessionStore>, ConnectError> {
    url.ends("no options")?;
    if !url.rest.is_empty() {
        return Err(url.refused("nothing may follow it; write memory:"));
    }
    Ok(Arc::new(MemoryStore::new()))
}
