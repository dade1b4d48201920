//! Where the primary is, by those who watch it.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ConnectionInfo, ErrorKind, RedisConnectionInfo, from_redis_value};
use tokio::time::timeout;

use crate::failure::Failure;
use crate::link::{at, open};

/// How long one sentinel has for its answer: they stand close to their clients, and the others are asked meanwhile.
const ANSWERING: Duration = Duration::from_millis(500);
/// How long the others have when more than half have answered.
const GRACE: Duration = Duration::from_millis(100);

pub(crate) struct Sentinels {
    sentinels: Vec<ConnectionInfo>,
    service: String,
}

/// What one sentinel says.
#[derive(Clone, PartialEq, Eq)]
struct Primary {
    /// Each failover has a greater one.
    epoch: u64,
    host: String,
    port: u16,
}

impl Sentinels {
    pub(crate) const fn new(sentinels: Vec<ConnectionInfo>, service: String) -> Self {
        Self { sentinels, service }
    }

    /// A connection to the primary. A server that stood still takes itself for the primary when it goes on, and may answer
    /// only then: so the sentinels are asked again when there is a connection.
    pub(crate) async fn open(&self, config: &AsyncConnectionConfig) -> Result<MultiplexedConnection, Failure> {
        let (primary, by) = self.primary().await?;
        let address = at(by.addr(), primary.host.clone(), primary.port);
        let connection = open(by.clone().set_addr(address), config).await?;
        let (still, _) = self.primary().await?;
        if still == primary { Ok(connection) } else { Err(Failure::NoPrimary) }
    }

    /// The primary, and who knows it. All sentinels are asked at once. Some hear of a failover later than others: the latest
    /// epoch is right.
    async fn primary(&self) -> Result<(Primary, &ConnectionInfo), Failure> {
        let asked = self.sentinels.iter().map(|sentinel| async move { (self.by(sentinel).await, sentinel) });
        let mut asked: FuturesUnordered<_> = asked.collect();
        let (mut latest, mut failure, mut answered) = (None, Failure::NoPrimary, 0);
        loop {
            let next = if 2 * answered > self.sentinels.len() {
                timeout(GRACE, asked.next()).await.unwrap_or(None)
            } else {
                asked.next().await
            };
            match next {
                Some((Ok(primary), sentinel)) => {
                    answered += 1;
                    if latest.as_ref().is_none_or(|(known, _): &(Primary, _)| primary.epoch > known.epoch) {
                        latest = Some((primary, sentinel));
                    }
                }
                Some((Err(error), _)) => failure = error,
                None => return latest.ok_or(failure),
            }
        }
    }

    async fn by(&self, sentinel: &ConnectionInfo) -> Result<Primary, Failure> {
        match self.ask(sentinel, RedisConnectionInfo::default()).await {
            Err(failure) if wants_a_password(&failure) => {
                self.ask(sentinel, sentinel.redis_settings().clone().set_db(0)).await
            }
            answer => answer,
        }
    }

    async fn ask(&self, sentinel: &ConnectionInfo, login: RedisConnectionInfo) -> Result<Primary, Failure> {
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(ANSWERING)).set_response_timeout(Some(ANSWERING));
        let mut connection = open(sentinel.clone().set_redis_settings(login), &config).await?;
        let mut question = redis::pipe();
        // In the midst of a failover the first one names the new primary already, and the second one still the old.
        question.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(&self.service);
        question.cmd("SENTINEL").arg("MASTER").arg(&self.service);
        // One by one: what a whole pipeline fails with doesn't say whether it was for the lack of a password.
        let answers = connection.send_packed_commands(&question, 0, 2).await.map_err(Failure::NotConnected)?;
        let mut answers = answers.into_iter().map(|answer| answer.extract_error().map_err(Failure::NotConnected));
        let named = answers.next().ok_or(Failure::Answer)??;
        let Some((host, port)) = from_redis_value::<Option<(String, u16)>>(named).map_err(|_| Failure::Answer)? else {
            return Err(Failure::NoPrimary);
        };
        let facts = answers.next().ok_or(Failure::Answer)??;
        let facts: HashMap<String, String> = from_redis_value(facts).map_err(|_| Failure::Answer)?;
        match facts.get("config-epoch").and_then(|epoch| epoch.parse().ok()) {
            Some(epoch) => Ok(Primary { epoch, host, port }),
            None => Err(Failure::Answer),
        }
    }
}

/// Sentinels often have no password though their servers have one; these have.
fn wants_a_password(failure: &Failure) -> bool {
    let Failure::NotConnected(error) = failure else { return false };
    error.code() == Some("NOAUTH") || matches!(error.kind(), ErrorKind::AuthenticationFailed)
}
