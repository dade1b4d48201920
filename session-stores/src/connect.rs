//! From a URL to a store.

#[cfg(any(feature = "mysql", feature = "postgres", feature = "redis"))]
mod server;

#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::sync::Arc;

use session_core::{Countable, MemoryStore, SessionStore};

use crate::error::ConnectError;
use crate::url::{Kind, Url};

/// Connects to the store at `url`, makes its tables if they are missing, and bounds the time of its operations as
/// [`TimeLimited`](crate::TimeLimited) does.
///
/// | URL | store | feature |
/// | --- | --- | --- |
/// | `memory:` | this process, as long as it runs | |
/// | `sqlite:PATH` | a file, made if it is missing; one machine | `sqlite`, on by default |
/// | `postgres://user:password@host/database`, also `postgresql:` | PostgreSQL | `postgres` |
/// | `mysql://user:password@host/database`, also `mariadb:` | MySQL and MariaDB | `mysql` |
/// | `redis://:password@host:6379/0` | Redis or Valkey, one server | `redis` |
/// | `redis-sentinel://:password@host:26379,host:26379/service` | Redis, the primary that sentinels name | `redis-sentinel` |
/// | `redis-cluster://:password@host:6379,host:6379` | Redis Cluster; one node is enough | `redis-cluster` |
/// | `rediss:`, `rediss-sentinel:`, `rediss-cluster:` | the same by TLS | also `tls` |
///
/// The databases speak TLS with the feature `tls`, as their option `sslmode` says.
///
/// Options stand behind a question mark, with `&` between them:
///
/// | option | of | meaning |
/// | --- | --- | --- |
/// | `timeout_ms` | all but `memory:` | the time for one operation in milliseconds, 500 without it; a sweep has a minute |
/// | `prefix` | Redis | what all names on the server begin with, `session` without it |
/// | `keep_expired_s` | Redis | for how many seconds a session is kept when it has expired, so that its end is told; 0 without it; see `session_redis::RedisStore::keep_expired` |
/// | `near_cache_mb` | Redis, but for a cluster | loads from memory, so many megabytes of it; see `session_redis::NearCache` |
/// | `max_connections` | databases | the size of the pool, 10 without it |
/// | `sslmode` and others | databases | what the driver itself knows, see below |
///
/// Those of the drivers are `sslmode`, `sslcert`, `sslkey` and `statement-cache-capacity`; of PostgreSQL also `sslrootcert`,
/// `application_name`, `host` and `options`; of MySQL also `ssl-ca` and `socket`.
///
/// Call it from the runtime that will serve, or from one that runs as long as the store is used: drivers have tasks on it.
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
    Ok(connect_countable(url).await?)
}

/// As [`connect`], to a store that can also count its sessions: for operators' tools.
///
/// # Errors
/// As [`connect`].
///
/// ```
/// use session_core::{Count, Place};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let store = session_stores::connect_countable("memory:").await?;
/// assert_eq!(store.count(Place::START, 1_000_000).await?, (Count::default(), None));
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
pub async fn connect_countable(url: &str) -> Result<Arc<dyn Countable>, ConnectError> {
    let url = Url::read(url)?;
    // Boxed, because what a driver does to connect is large, and this is done once.
    match url.kind {
        Kind::Memory => memory(&url),
        #[cfg(feature = "sqlite")]
        Kind::Sqlite => Box::pin(sqlite::connect(url)).await,
        #[cfg(not(feature = "sqlite"))]
        Kind::Sqlite => Err(url.not_built_in("SQLite", "sqlite")),
        #[cfg(feature = "postgres")]
        Kind::Postgres => Box::pin(sql::postgres(url)).await,
        #[cfg(not(feature = "postgres"))]
        Kind::Postgres => Err(url.not_built_in("PostgreSQL", "postgres")),
        #[cfg(feature = "mysql")]
        Kind::MySql => Box::pin(sql::mysql(url)).await,
        #[cfg(not(feature = "mysql"))]
        Kind::MySql => Err(url.not_built_in("MySQL", "mysql")),
        #[cfg(not(feature = "redis-cluster"))]
        Kind::RedisCluster => Err(url.not_built_in("Redis Cluster", "redis-cluster")),
        #[cfg(not(feature = "redis-sentinel"))]
        Kind::RedisSentinel => Err(url.not_built_in("Redis Sentinel", "redis-sentinel")),
        #[cfg(feature = "redis")]
        _ => Box::pin(redis::connect(url)).await,
        #[cfg(not(feature = "redis"))]
        _ => Err(url.not_built_in("Redis", "redis")),
    }
}

fn memory(url: &Url<'_>) -> Result<Arc<dyn Countable>, ConnectError> {
    url.ends("no options")?;
    if !url.rest.is_empty() {
        return Err(url.refused("nothing may follow it; write memory:"));
    }
    Ok(Arc::new(MemoryStore::new()))
}
