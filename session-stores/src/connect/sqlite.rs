//! `sqlite:PATH`.

use std::sync::Arc;

use session_core::Countable;
use session_sqlx::SqliteStore;
use sqlx::sqlite::SqlitePoolOptions;

use crate::error::ConnectError;
use crate::time_limited::TimeLimited;
use crate::url::Url;

/// Readers at once; there is one writer at a time anyway.
const CONNECTIONS: u32 = 4;

pub(super) async fn connect(mut url: Url<'_>) -> Result<Arc<dyn Countable>, ConnectError> {
    let limit = url.take_timeout()?;
    url.ends("timeout_ms")?;
    let path = url.rest.strip_prefix("//").unwrap_or(url.rest);
    if path.is_empty() {
        return Err(url.refused("it names no file; write sqlite:sessions.db"));
    }
    if path.starts_with(':') {
        return Err(url.refused("it names no file; write memory: for sessions that end with the process"));
    }
    // A little less than the whole time, so that the error is SQLite's own.
    let options = SqliteStore::options(path).busy_timeout(limit * 9 / 10);
    let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).connect_with(options).await;
    let store = SqliteStore::new(pool.map_err(|error| url.failed(error))?);
    store.migrate().await.map_err(|error| url.failed(error))?;
    Ok(Arc::new(TimeLimited::new(store, limit)))
}
