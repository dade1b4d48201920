//! `postgres:` and `mysql:`.

use std::sync::Arc;

use session_core::{Countable, StoreError};
use sqlx::pool::PoolOptions;
use sqlx::{ConnectOptions, Connection, Database, Pool};

use super::server::{in_time, secured};
use crate::error::ConnectError;
use crate::time_limited::TimeLimited;
use crate::url::Url;

/// sqlx's own default.
const CONNECTIONS: u64 = 10;
/// What both drivers know.
const OPTIONS: [&str; 5] = ["sslcert", "sslkey", "sslmode", "ssl-mode", "statement-cache-capacity"];

#[cfg(feature = "postgres")]
pub(super) async fn postgres(url: Url<'_>) -> Result<Arc<dyn Countable>, ConnectError> {
    let options = ["application_name", "host", "options", "sslrootcert"];
    let store = |pool| async {
        let store = session_sqlx::PostgresStore::new(pool);
        store.migrate().await.map(|()| store)
    };
    open::<sqlx::Postgres, _>(url, &options, store).await
}

#[cfg(feature = "mysql")]
pub(super) async fn mysql(url: Url<'_>) -> Result<Arc<dyn Countable>, ConnectError> {
    let store = |pool| async {
        let store = session_sqlx::MySqlStore::new(pool);
        store.migrate().await.map(|()| store)
    };
    open::<sqlx::MySql, _>(url, &["socket", "ssl-ca"], store).await
}

async fn open<DB: Database, S: Countable>(
    mut url: Url<'_>,
    options: &[&str],
    store: impl AsyncFnOnce(Pool<DB>) -> Result<S, StoreError>,
) -> Result<Arc<dyn Countable>, ConnectError> {
    let limit = url.take_timeout()?;
    let connections = url.take_number("max_connections")?.unwrap_or(CONNECTIONS);
    let mode = url.option("sslmode").or(url.option("ssl-mode")).unwrap_or_default().to_ascii_lowercase();
    secured(&url, mode.starts_with("require") || mode.starts_with("verify"))?;
    let for_driver = url.for_driver(|name| OPTIONS.contains(&name) || options.contains(&name));
    url.ends("timeout_ms, max_connections and some of the driver's own")?;
    if !url.rest.starts_with("//") {
        return Err(url.refused(format!("this is no address; write {}://user:password@host/database", url.scheme)));
    }
    let options: <DB::Connection as Connection>::Options =
        for_driver.parse().map_err(|error: sqlx::Error| url.failed(error))?;
    // The pool would wait for a server that isn't there, and only say that it did. A connection says why.
    let first = in_time(&url, options.connect()).await?;
    in_time(&url, first.close()).await?;
    let connections = u32::try_from(connections).unwrap_or(u32::MAX);
    let pool = PoolOptions::new().max_connections(connections).connect_lazy_with(options);
    let store = in_time(&url, store(pool)).await?;
    Ok(Arc::new(TimeLimited::new(store, limit)))
}
