//! Keeps the memory true: a connection on which the server says which keys have changed.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use redis::aio::{AsyncPushSender, MultiplexedConnection, SendError};
use redis::{AsyncConnectionConfig, PushInfo, PushKind, Value};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::memory::Memory;
use crate::link::{CONNECTING, Limits, Link};
use crate::names::Names;

const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Less would be lost in the pauses that every process makes; with more, a logout might wait for seconds.
const STALENESS: RangeInclusive<Duration> = Duration::from_millis(20)..=Duration::from_secs(10);

type Error = Box<dyn StdError + Send + Sync>;

pub(super) struct Tracking {
    pub(super) memory: Memory,
    names: Names,
    /// The store's own connection.
    store: Arc<Link>,
    /// How long without a sign of life the memory is served, in microseconds.
    staleness: AtomicU64,
    start: Instant,
    /// Until when the memory may be served, in microseconds since `start`. Every message the server sent before
    /// a moment `staleness` earlier than this has been heeded.
    served_until: AtomicU64,
    current: Mutex<Option<Connection>>,
    wake: Notify,
}

/// From the server's first sign of life to its end.
#[derive(Clone)]
struct Connection {
    connection: MultiplexedConnection,
    /// Which of its connections the store had before this one was made.
    generation: u64,
    /// Set before anything else when it ends, and never unset.
    ended: Arc<AtomicBool>,
}

#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("the connection was closed")]
    Closed,
    #[error("the store has made another connection, which may lead to another server")]
    Moved,
    #[error("the server is a replica now")]
    Replica,
}

impl Tracking {
    pub(super) fn new(store: Arc<Link>, names: Names, bytes: usize, staleness: Duration) -> Self {
        let tracking = Self {
            memory: Memory::new(bytes),
            names,
            store,
            staleness: AtomicU64::new(0),
            start: Instant::now(),
            served_until: AtomicU64::new(0),
            current: Mutex::new(None),
            wake: Notify::new(),
        };
        tracking.bound(staleness);
        tracking
    }

    /// Serves the memory so long after a sign of life, from the next one on.
    pub(super) fn bound(&self, staleness: Duration) {
        let staleness = staleness.clamp(*STALENESS.start(), *STALENESS.end());
        self.staleness.store(micros(staleness), Ordering::Relaxed);
        self.served_until.store(0, Ordering::Release);
        self.wake.notify_one();
    }

    /// Whether the memory may be served to who asks `now`.
    pub(super) fn is_live(&self, now: Instant) -> bool {
        self.since_start(now) < self.served_until.load(Ordering::Acquire)
    }

    /// Waits until everything is heeded that the server has to say of what happened before this call. If the server doesn't
    /// answer, the memory is empty afterwards.
    pub(super) async fn settle(&self) {
        let current = self.current().clone();
        if let Some(connection) = current
            && self.ask(&connection).await.is_err()
        {
            self.end(&connection.ended);
        }
    }

    /// Connects, and connects again, for ever.
    pub(super) async fn run(self: Arc<Self>) {
        let mut pause = SHORTEST_PAUSE;
        let mut warned = false;
        loop {
            let began = Instant::now();
            let ended = Arc::new(AtomicBool::new(false));
            let error = match self.connect(&ended).await {
                Ok(connection) => {
                    if warned {
                        tracing::info!("the near cache serves sessions again");
                        warned = false;
                    }
                    self.watch(&connection).await
                }
                Err(error) => error,
            };
            self.end(&ended);
            if !warned {
                let error: &(dyn StdError + 'static) = &*error;
                tracing::warn!(error, "the near cache hears nothing from the server and is bypassed until it does");
                warned = true;
            }
            if began.elapsed() > LONGEST_PAUSE {
                pause = SHORTEST_PAUSE;
            }
            sleep(pause).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    async fn connect(self: &Arc<Self>, ended: &Arc<AtomicBool>) -> Result<Connection, Error> {
        // Both connections have to lead to the same server. If the store's is made anew from here on, so is this one.
        let deadline = tokio::time::Instant::now() + CONNECTING;
        let limits = Limits { timeout: CONNECTING, deadline, replicas: None };
        self.store.connect(&limits).await?;
        let generation = self.store.generation();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECTING))
            .set_response_timeout(Some(*STALENESS.end()))
            .set_push_sender(listener(Arc::downgrade(self), Arc::clone(ended)));
        let mut connection = self.store.target().open(&config).await?;
        let mut tracking = redis::cmd("CLIENT");
        tracking.arg("TRACKING").arg("ON").arg("BCAST").arg("PREFIX").arg(self.names.session(""));
        tracking.exec_async(&mut connection).await?;
        let connection = Connection { connection, generation, ended: Arc::clone(ended) };
        self.ask(&connection).await?;
        Ok(connection)
    }

    /// Asks for signs of life until there is none.
    async fn watch(&self, connection: &Connection) -> Error {
        loop {
            let _ = timeout(self.staleness() / 4, self.wake.notified()).await;
            if connection.has_ended() {
                return Lost::Closed.into();
            }
            if let Err(error) = self.ask(connection).await {
                return error;
            }
        }
    }

    /// Asks for one sign of life. When the reply is there, so is every message that the server sent before it; and all that
    /// changed before the question was asked has been said.
    async fn ask(&self, connection: &Connection) -> Result<(), Error> {
        let asked = Instant::now();
        let (mut to, mut question) = (connection.connection.clone(), redis::cmd("HELLO"));
        let reply = question.arg(3).query_async::<HashMap<String, Value>>(&mut to);
        let reply = timeout(self.patience(), reply).await??;
        let role = reply.get("role").and_then(|role| redis::from_redis_value_ref::<String>(role).ok());
        if matches!(role.as_deref(), Some("replica" | "slave")) {
            return Err(Lost::Replica.into());
        }
        if self.store.generation() != connection.generation {
            return Err(Lost::Moved.into());
        }
        self.heard(connection, asked).map_err(Error::from)
    }

    fn heard(&self, connection: &Connection, asked: Instant) -> Result<(), Lost> {
        // After a time in which it was bypassed its entries could be older than what was loaded meanwhile.
        if !self.is_live(Instant::now()) {
            self.memory.forget_all();
        }
        let mut current = self.current();
        if connection.has_ended() {
            return Err(Lost::Closed);
        }
        *current = Some(connection.clone());
        let until = self.since_start(asked).saturating_add(self.staleness.load(Ordering::Relaxed));
        self.served_until.fetch_max(until, Ordering::AcqRel);
        Ok(())
    }

    /// The connection is of no use any more.
    fn end(&self, ended: &Arc<AtomicBool>) {
        ended.store(true, Ordering::Release);
        let mut current = self.current();
        if current.as_ref().is_some_and(|connection| Arc::ptr_eq(&connection.ended, ended)) {
            *current = None;
            self.served_until.store(0, Ordering::Release);
            drop(current);
            self.memory.forget_all();
            self.wake.notify_one();
        }
    }

    /// What the server says has changed: a list of keys, or no list, which is all of them.
    fn changed(&self, data: &[Value]) {
        let Some(Value::Array(keys)) = data.first() else { return self.memory.forget_all() };
        for key in keys {
            if let Value::BulkString(key) = key
                && let Some(key) = self.names.key_of(key)
            {
                self.memory.forget(&key);
            }
        }
    }

    fn current(&self) -> MutexGuard<'_, Option<Connection>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn staleness(&self) -> Duration {
        Duration::from_micros(self.staleness.load(Ordering::Relaxed))
    }

    /// How long the server has for an answer: a quarter of the time passes before the question, and a quarter is left then.
    fn patience(&self) -> Duration {
        self.staleness() / 2
    }

    fn since_start(&self, now: Instant) -> u64 {
        micros(now.saturating_duration_since(self.start))
    }
}

impl Connection {
    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

/// Called for each message, in order, and before the reply of a question that was asked after it is given out.
fn listener(tracking: Weak<Tracking>, ended: Arc<AtomicBool>) -> impl AsyncPushSender {
    move |message: PushInfo| {
        let tracking = tracking.upgrade().ok_or(SendError)?;
        match message.kind {
            PushKind::Disconnection => tracking.end(&ended),
            PushKind::Invalidate => tracking.changed(&message.data),
            _ => {}
        }
        Ok::<_, SendError>(())
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
