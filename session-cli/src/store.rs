//! The store that is meant.

use std::env;
use std::path::Path;
use std::sync::Arc;

use session_core::{Countable, Encrypted, SessionStore};

use crate::arguments;
use crate::failure::Failure;
use crate::sources::store_secrets;

const STORE: &str = "STORE";

pub(crate) struct Store {
    /// As the application sees it.
    pub(crate) sessions: Arc<dyn SessionStore>,
    /// As it is.
    pub(crate) countable: Arc<dyn Countable>,
    /// Redis does, unless it is told to keep what has expired.
    pub(crate) frees_by_itself: bool,
    pub(crate) is_encrypted: bool,
}

impl Store {
    pub(crate) async fn connect(from: &arguments::Store) -> Result<Self, Failure> {
        let connected = Self::connect_if_named(from).await?;
        connected.ok_or_else(|| {
            Failure::Usage(format!(
                "which store? Set {STORE} to its URL, or give --store: sqlite:sessions.db, postgres://…, mysql://…, redis://…"
            ))
        })
    }

    pub(crate) async fn connect_if_named(from: &arguments::Store) -> Result<Option<Self>, Failure> {
        let url = match &from.store {
            Some(url) => {
                if has_password(url) {
                    eprintln!(
                        "sessionctl: the password in --store can be seen by other users of this machine; put the URL into the variable {STORE} instead"
                    );
                }
                url.clone()
            }
            None => match env::var(STORE) {
                Ok(url) => url,
                Err(_) => return Ok(None),
            },
        };
        check(&url)?;
        let keys = store_secrets(from)?;
        let countable = session_stores::connect_countable(&url).await?;
        let is_encrypted = keys.is_some();
        let sessions: Arc<dyn SessionStore> = match keys {
            Some(keys) => Arc::new(Encrypted::new(Arc::clone(&countable), keys)),
            None => Arc::<dyn Countable>::clone(&countable),
        };
        let frees_by_itself = url.starts_with("redis") && !url.contains("keep_expired_s=");
        Ok(Some(Self { sessions, countable, frees_by_itself, is_encrypted }))
    }
}

/// Refuses what would be a new, empty store: whoever asks means one that is there.
fn check(url: &str) -> Result<(), Failure> {
    if url.starts_with("memory:") {
        return Err(Failure::Usage(
            "memory: is inside of the application's process, where no other program can look".to_owned(),
        ));
    }
    let Some(rest) = url.strip_prefix("sqlite:") else { return Ok(()) };
    let path = rest.split('?').next().unwrap_or_default();
    let path = path.strip_prefix("//").unwrap_or(path);
    if !path.is_empty() && !path.starts_with(':') && !Path::new(path).is_file() {
        return Err(Failure::Usage(format!("there is no file {path}; is it another folder that is meant?")));
    }
    Ok(())
}

fn has_password(url: &str) -> bool {
    let address = url.split_once("://").map_or("", |(_, address)| address);
    address.rsplit_once('@').is_some_and(|(credentials, _)| credentials.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_found_where_one_stands() {
        for url in ["redis://:p@h", "postgres://u:p@h/d", "mysql://u:p@x@h", "redis-cluster://u:p@a:1,b:2"] {
            assert!(has_password(url), "{url}");
        }
        for url in ["redis://h:6379/0", "postgres://u@h:1/d", "sqlite:a:b@c", "redis-cluster://a:1,b:2"] {
            assert!(!has_password(url), "{url}");
        }
    }
}
