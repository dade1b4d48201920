//! The connection to one server, made anew when it broke.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _, Shared};
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, ProtocolVersion, PushInfo, PushKind, RedisError, Value};
use redis::{IntoConnectionInfo as _, ServerErrorKind};
use session_core::StoreError;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};

use crate::failure::Failure;
use crate::scripts::Call;
#[cfg(feature = "sentinel")]
use crate::sentinel::Sentinels;

/// How long making a connection may take. It goes on when the request that needed it has given up, for the next one.
pub(crate) const CONNECTING: Duration = Duration::from_secs(1);

/// Whom to connect to.
#[derive(Clone)]
pub(crate) enum Target {
    Server(Arc<ConnectionInfo>),
    #[cfg(feature = "sentinel")]
    Sentinels(Arc<Sentinels>),
}

/// One connection that all requests share. When it breaks, or doesn't answer in time, the next request finds a new one.
pub(crate) struct Link {
    target: Target,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    generation: u64,
    attempt: Option<Attempt>,
}

/// A connection that is there or is being made.
type Attempt = Shared<BoxFuture<'static, Result<MultiplexedConnection, Failure>>>;

/// What an operation may take.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) timeout: Duration,
    pub(crate) deadline: Instant,
    /// How many replicas a write has to reach, and how long it may take to.
    pub(crate) replicas: Option<(u64, Duration)>,
}

impl Limits {
    /// Waits for something, but not longer than the operation may take.
    pub(crate) async fn within<T>(&self, future: impl Future<Output = T>) -> Result<T, Failure> {
        timeout_at(self.deadline, future).await.map_err(|_| Failure::Late(self.timeout))
    }
}

impl Link {
    pub(crate) fn new(target: Target) -> Arc<Self> {
        Arc::new(Self { target, current: Mutex::default() })
    }

    pub(crate) const fn target(&self) -> &Target {
        &self.target
    }

    /// Which of the connections made so far is used: another number, perhaps another server.
    pub(crate) fn generation(&self) -> u64 {
        self.current().generation
    }

    /// Runs a script once, or not at all. With `asking` on a node that is about to get the key.
    pub(crate) async fn run(self: &Arc<Self>, call: &Call, asking: Asking, limits: &Limits) -> Result<Value, Failure> {
        let replicas = limits.replicas.filter(|_| call.writes());
        let ran = self.send(limits, |connection| send(connection, call, asking, replicas)).await;
        match ran {
            Err(failure) if failure.is(ServerErrorKind::NoScript) => {
                self.send(limits, |connection| send_text(connection, call, asking, replicas)).await
            }
            ran => ran,
        }
    }

    /// Makes sure that there is a connection.
    pub(crate) async fn connect(self: &Arc<Self>, limits: &Limits) -> Result<(), Failure> {
        self.send(limits, |_| async { Ok(()) }).await
    }

    /// Does something with the connection. Who fails in a way that is the connection's fault leaves it to nobody.
    pub(crate) async fn send<T, F>(
        self: &Arc<Self>,
        limits: &Limits,
        act: impl FnOnce(MultiplexedConnection) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let (generation, attempt) = self.attempt()?;
        let connection = limits.within(attempt).await?.inspect_err(|_| self.forget(generation))?;
        let done = limits.within(act(connection)).await.and_then(|done| done);
        done.inspect_err(|failure| {
            if failure.is_about_the_connection() {
                self.forget(generation);
            }
        })
    }

    fn attempt(self: &Arc<Self>) -> Result<(u64, Attempt), Failure> {
        let mut current = self.current();
        // One that failed when nobody waited any more is of no interest to who comes now.
        if let Some(attempt) = current.attempt.as_ref().filter(|attempt| !matches!(attempt.peek(), Some(Err(_)))) {
            return Ok((current.generation, attempt.clone()));
        }
        let runtime = Handle::try_current().map_err(|_| Failure::NoRuntime)?;
        current.generation += 1;
        let generation = current.generation;
        // The server's good-bye comes as a message: who asks next finds a new connection and not the end of this one.
        let link = Arc::downgrade(self);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECTING))
            .set_response_timeout(None)
            .set_push_sender(move |message: PushInfo| {
                if message.kind == PushKind::Disconnection
                    && let Some(link) = link.upgrade()
                {
                    link.forget(generation);
                }
                Ok::<_, RedisError>(())
            });
        let target = self.target.clone();
        let attempt = async move { target.open(&config).await }.boxed().shared();
        drop(runtime.spawn(attempt.clone()));
        current.attempt = Some(attempt.clone());
        Ok((generation, attempt))
    }

    fn forget(&self, generation: u64) {
        let mut current = self.current();
        if current.generation == generation {
            current.attempt = None;
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the node was named by the one that gives the key away.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asking {
    No,
    #[cfg(feature = "cluster")]
    Yes,
}

async fn send(
    connection: MultiplexedConnection,
    call: &Call,
    asking: Asking,
    replicas: Option<(u64, Duration)>,
) -> Result<Value, Failure> {
    exchange(connection, &call.by_hash(), asking, replicas).await
}

async fn send_text(
    connection: MultiplexedConnection,
    call: &Call,
    asking: Asking,
    replicas: Option<(u64, Duration)>,
) -> Result<Value, Failure> {
    exchange(connection, &call.by_text(), asking, replicas).await
}

async fn exchange(
    mut connection: MultiplexedConnection,
    command: &redis::Cmd,
    asking: Asking,
    replicas: Option<(u64, Duration)>,
) -> Result<Value, Failure> {
    if asking == Asking::No && replicas.is_none() {
        return Ok(connection.send_packed_command(command).await?.extract_error()?);
    }
    // One message, so that nobody's command comes between.
    let mut pipeline = redis::pipe();
    let before = usize::from(asking != Asking::No);
    if before == 1 {
        pipeline.cmd("ASKING");
    }
    pipeline.add_command(command.clone());
    if let Some((count, patience)) = replicas {
        pipeline.cmd("WAIT").arg(count).arg(u64::try_from(patience.as_millis()).unwrap_or(u64::MAX).max(1));
    }
    let count = before + 1 + usize::from(replicas.is_some());
    let mut answers = connection.send_packed_commands(&pipeline, 0, count).await?.into_iter().skip(before);
    let answer = answers.next().ok_or(Failure::Answer)?.extract_error()?;
    if let Some((wanted, _)) = replicas {
        match answers.next().ok_or(Failure::Answer)?.extract_error()? {
            Value::Int(reached) if u64::try_from(reached).is_ok_and(|reached| reached >= wanted) => {}
            Value::Int(reached) => return Err(Failure::NotReplicated(u64::try_from(reached).unwrap_or(0), wanted)),
            _ => return Err(Failure::Answer),
        }
    }
    Ok(answer)
}

impl Target {
    pub(crate) async fn open(&self, config: &AsyncConnectionConfig) -> Result<MultiplexedConnection, Failure> {
        match self {
            Self::Server(info) => open(ConnectionInfo::clone(info), config).await,
            #[cfg(feature = "sentinel")]
            Self::Sentinels(sentinels) => sentinels.open(config).await,
        }
    }
}

pub(crate) async fn open(
    info: ConnectionInfo,
    config: &AsyncConnectionConfig,
) -> Result<MultiplexedConnection, Failure> {
    let client = Client::open(info).map_err(Failure::NotConnected)?;
    client.get_multiplexed_async_connection_with_config(config).await.map_err(Failure::NotConnected)
}

/// What a URL says, with the protocol in which the server says good-bye, and without waiting to fill a packet.
pub(crate) fn parse(url: &str) -> Result<ConnectionInfo, StoreError> {
    let info =
        url.into_connection_info().map_err(|error| StoreError::new("reading the address of a Redis server", error))?;
    #[cfg(feature = "tls")]
    if matches!(info.addr(), redis::ConnectionAddr::TcpTls { .. }) {
        // The driver takes the cryptography that the process has chosen, and panics where none or several could be meant.
        // Who has chosen one already keeps it.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    Ok(info.set_redis_settings(redis).set_tcp_settings(TcpSettings::default().set_nodelay(true)))
}

#[cfg(any(feature = "sentinel", feature = "cluster"))]
/// The same way to another server.
pub(crate) fn at(like: &redis::ConnectionAddr, host: String, port: u16) -> redis::ConnectionAddr {
    match like {
        redis::ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            redis::ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
        }
        _ => redis::ConnectionAddr::Tcp(host, port),
    }
}

#[cfg(all(test, feature = "tls"))]
mod tests {
    use super::*;

    #[test]
    fn an_address_with_tls_finds_cryptography() {
        assert!(parse("rediss://localhost").is_ok());
        assert!(rustls::crypto::CryptoProvider::get_default().is_some());
    }
}
