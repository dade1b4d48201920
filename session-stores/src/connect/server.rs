//! What is the same for every store that talks to a server.

use std::error::Error;
use std::time::Duration;

use tokio::time::timeout;

use crate::error::ConnectError;
use crate::url::Url;

/// How long each step of the start may take.
const CONNECTING: Duration = Duration::from_secs(10);

/// What a server does for the store that is being made.
pub(super) async fn in_time<T, E: Into<Box<dyn Error + Send + Sync>>>(
    url: &Url<'_>,
    step: impl Future<Output = Result<T, E>>,
) -> Result<T, ConnectError> {
    match timeout(CONNECTING, step).await {
        Ok(outcome) => outcome.map_err(|error| url.failed(error)),
        Err(_) => Err(url.failed("there was no answer within ten seconds")),
    }
}

/// Refuses what wants TLS, if this build has none.
pub(super) fn secured(url: &Url<'_>, tls: bool) -> Result<(), ConnectError> {
    if tls && !cfg!(feature = "tls") { Err(url.not_built_in("TLS", "tls")) } else { Ok(()) }
}
