//! Where the primary is, by those who watch it.

use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _, select_ok};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ConnectionInfo, ErrorKind, RedisConnectionInfo};

use crate::failure::Failure;
use crate::link::{at, open};

/// How long one sentinel has for its answer: they stand close to their clients, and the others are asked meanwhile.
const ANSWERING: Duration = Duration::from_millis(500);

pub(crate) struct Sentinels {
    sentinels: Vec<ConnectionInfo>,
    service: String,
}

impl Sentinels {
    pub(crate) const fn new(sentinels: Vec<ConnectionInfo>, service: String) -> Self {
        Self { sentinels, service }
    }

    /// A connection to the primary. All sentinels are asked at once; the first one that leads to a server decides. During a
    /// failover that may be none any more, or none yet: then it says so itself when it is asked for something.
    pub(crate) async fn open(&self, config: &AsyncConnectionConfig) -> Result<MultiplexedConnection, Failure> {
        let asked = self.sentinels.iter().map(|sentinel| self.by(sentinel, config).boxed());
        let asked: Vec<BoxFuture<'_, _>> = asked.collect();
        if asked.is_empty() {
            return Err(Failure::NoPrimary);
        }
        select_ok(asked).await.map(|(connection, _)| connection)
    }

    async fn by(
        &self,
        sentinel: &ConnectionInfo,
        config: &AsyncConnectionConfig,
    ) -> Result<MultiplexedConnection, Failure> {
        let anonymous = RedisConnectionInfo::default();
        let named = match self.ask(sentinel, anonymous).await {
            Err(failure) if wants_a_password(&failure) => {
                self.ask(sentinel, sentinel.redis_settings().clone().set_db(0)).await
            }
            answer => answer,
        };
        let (host, port) = named?;
        open(sentinel.clone().set_addr(at(sentinel.addr(), host, port)), config).await
    }

    async fn ask(&self, sentinel: &ConnectionInfo, login: RedisConnectionInfo) -> Result<(String, u16), Failure> {
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(ANSWERING)).set_response_timeout(Some(ANSWERING));
        let mut connection = open(sentinel.clone().set_redis_settings(login), &config).await?;
        let mut question = redis::cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.service);
        let named: Option<(String, u16)> =
            question.query_async(&mut connection).await.map_err(Failure::NotConnected)?;
        named.ok_or(Failure::NoPrimary)
    }
}

/// Sentinels often have no password though their servers have one; these have.
fn wants_a_password(failure: &Failure) -> bool {
    let Failure::NotConnected(error) = failure else { return false };
    error.code() == Some("NOAUTH") || matches!(error.kind(), ErrorKind::AuthenticationFailed)
}
