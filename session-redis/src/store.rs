//! The store itself.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use session_core::{
    Create, Found, Loaded, Place, Record, SessionStore, StoreError, StoreKey, SubjectLimit, Timestamp, Touch, Update,
    Verb, Version, Witness, Witnesses, async_trait,
};

use crate::failure::Failure;
use crate::link::{Link, Target, parse};
use crate::names::Names;
use crate::operation::Operation;
use crate::topology::Topology;

const TIMEOUT: Duration = Duration::from_millis(500);

/// Keeps sessions in Redis or Valkey: on a single server, on the primary that sentinels name, or in a cluster. Clones share
/// the connections.
///
/// See the [crate's page](crate) for what it stores, what it promises and what it costs.
#[derive(Clone)]
pub struct RedisStore {
    pub(crate) topology: Arc<Topology>,
    pub(crate) names: Names,
    pub(crate) timeout: Duration,
    pub(crate) replicas: Option<(u64, Duration)>,
    /// For how long a session stays when it has expired.
    pub(crate) kept: Duration,
    pub(crate) next_sweep: Arc<Mutex<Place>>,
    pub(crate) witnesses: Witnesses,
    /// After so many commands there are no more: for tests of what a process leaves behind that ends halfway.
    #[cfg(test)]
    pub(crate) fuse: Arc<std::sync::atomic::AtomicUsize>,
}

impl RedisStore {
    /// A store on one server, such as `redis://:password@host:6379/0`. With the feature `tls` also `rediss://`.
    ///
    /// # Errors
    /// If this is no address, or the server can't be reached or refuses the password: better at start than at the first
    /// visitor. A server that goes away later comes back by itself.
    ///
    /// ```no_run
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use session_redis::RedisStore;
    ///
    /// let store = RedisStore::connect("redis://127.0.0.1").await?.prefix("shop:session")?;
    /// # Ok::<(), session_core::StoreError>(()) }).unwrap();
    /// ```
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::on(Topology::One(Link::new(Target::Server(Arc::new(parse(url)?))))).await
    }

    /// A store on the primary of `service`, as the sentinels at `urls` know it. It follows a failover. The user, the password and
    /// the database in the URLs are those of the servers; a sentinel is given user and password if it asks for them.
    ///
    /// # Errors
    /// If one of these is no address, or no sentinel leads to a primary.
    ///
    /// ```no_run
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use session_redis::RedisStore;
    ///
    /// let sentinels = ["redis://:secret@10.0.0.1:26379", "redis://:secret@10.0.0.2:26379"];
    /// let store = RedisStore::sentinel(&sentinels, "sessions").await?;
    /// # Ok::<(), session_core::StoreError>(()) }).unwrap();
    /// ```
    #[cfg(feature = "sentinel")]
    pub async fn sentinel(urls: &[impl AsRef<str>], service: &str) -> Result<Self, StoreError> {
        let sentinels = urls.iter().map(|url| parse(url.as_ref())).collect::<Result<_, _>>()?;
        let sentinels = crate::sentinel::Sentinels::new(sentinels, service.to_owned());
        Self::on(Topology::One(Link::new(Target::Sentinels(Arc::new(sentinels))))).await
    }

    /// A store on a cluster that the nodes at `urls` belong to: one is enough, more are better should one be away. User and
    /// password are the same on each node.
    ///
    /// # Errors
    /// If one of these is no address, or no node says which node has which key.
    ///
    /// ```no_run
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use session_redis::RedisStore;
    ///
    /// let store = RedisStore::cluster(&["redis://10.0.0.1", "redis://10.0.0.2"]).await?;
    /// # Ok::<(), session_core::StoreError>(()) }).unwrap();
    /// ```
    #[cfg(feature = "cluster")]
    pub async fn cluster(urls: &[impl AsRef<str>]) -> Result<Self, StoreError> {
        let seeds = urls.iter().map(|url| parse(url.as_ref())).collect::<Result<_, _>>()?;
        Self::on(Topology::Cluster(crate::nodes::Nodes::new(seeds))).await
    }

    async fn on(topology: Topology) -> Result<Self, StoreError> {
        let topology = Arc::new(topology);
        let store = Self {
            topology,
            names: Names::default(),
            timeout: crate::link::CONNECTING * 2,
            replicas: None,
            kept: Duration::ZERO,
            next_sweep: Arc::new(Mutex::new(Place::START)),
            witnesses: Witnesses::default(),
            #[cfg(test)]
            fuse: Arc::new(usize::MAX.into()),
        };
        let operation = Operation::new(&store);
        let connected = store.topology.connect(operation.limits()).await;
        connected.map_err(|failure| StoreError::new("connecting to Redis", failure))?;
        Ok(store.timeout(TIMEOUT))
    }

    /// What all names on the server begin with, `session` if you don't say otherwise. Applications with different prefixes
    /// know nothing of each other.
    ///
    /// # Errors
    /// If it has not 1 to 64 printable ASCII characters, or a space or a brace among them.
    ///
    /// ```
    /// # session_testing::servers::Redis::start().is_some_and(|redis| tokio::runtime::Builder::new_current_thread()
    /// #     .enable_all().build().unwrap().block_on(async {
    /// # use session_redis::RedisStore;
    /// let store = RedisStore::connect(&redis.url()).await?;
    /// assert!(store.clone().prefix("shop:session").is_ok());
    /// assert!(store.prefix("{shop}").is_err());
    /// # Ok::<_, session_core::StoreError>(true) }).unwrap());
    /// ```
    pub fn prefix(self, prefix: &str) -> Result<Self, StoreError> {
        Ok(Self { names: Names::new(prefix)?, ..self })
    }

    /// How long one operation may take, half a second if you don't say otherwise; then it fails, and nobody knows whether it
    /// happened.
    ///
    /// ```
    /// # session_testing::servers::Redis::start().is_some_and(|redis| tokio::runtime::Builder::new_current_thread()
    /// #     .enable_all().build().unwrap().block_on(async {
    /// # use session_redis::RedisStore;
    /// # use std::time::Duration;
    /// let store = RedisStore::connect(&redis.url()).await?.timeout(Duration::from_secs(2));
    /// assert!(format!("{store:?}").contains("2s"));
    /// # Ok::<_, session_core::StoreError>(true) }).unwrap());
    /// ```
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Lets every write wait until `count` replicas have it too, for at most `patience`, and fail otherwise: it has happened
    /// then, but may be lost with its server. This makes it unlikely that a failover forgets a logout; only a database that commits to
    /// several machines makes it impossible.
    ///
    /// All requests of this process share a connection to each server and wait for each other's replicas, so this costs
    /// throughput.
    ///
    /// ```
    /// # session_testing::servers::Redis::start().is_some_and(|redis| tokio::runtime::Builder::new_current_thread()
    /// #     .enable_all().build().unwrap().block_on(async {
    /// # use session_core::{SessionStore, StoreKey};
    /// # use session_redis::RedisStore;
    /// # use std::time::Duration;
    /// let store = RedisStore::connect(&redis.url()).await?.wait_for_replicas(1, Duration::from_millis(50));
    /// // This server has no replica.
    /// assert!(store.delete(&StoreKey::from_bytes([1; 32])).await.is_err());
    /// # Ok::<_, session_core::StoreError>(true) }).unwrap());
    /// ```
    #[must_use]
    pub fn wait_for_replicas(self, count: u32, patience: Duration) -> Self {
        Self { replicas: (count > 0).then_some((count.into(), patience)), ..self }
    }

    /// Keeps a session for so long when it has expired, counted in milliseconds. It is as absent as without this, and it
    /// is known that it was there: who still comes with it is [`Event::Expired`](session_core::Event::Expired), and a
    /// [sweep](SessionStore::sweep) frees it and tells of its end as it was, with
    /// [`Event::Swept`](session_core::Event::Swept), once, whichever node sweeps. Not at all if you don't say otherwise: then the server
    /// drops it at its deadline and tells nobody.
    ///
    /// Let it be some times as long as the pause between two sweeps. What no sweep has freed by then the server drops by
    /// itself, without a word. Say the same on every node.
    ///
    /// It costs the memory of what has expired meanwhile, and each sweep goes once through all keys of the servers, 20 of them a command, with rests between.
    ///
    /// ```
    /// # session_testing::servers::Redis::start().is_some_and(|redis| tokio::runtime::Builder::new_current_thread()
    /// #     .enable_all().build().unwrap().block_on(async {
    /// # use session_core::{Expiry, Found, Record, SessionStore, StoreKey, SubjectLimit};
    /// # use session_redis::RedisStore;
    /// # use std::time::Duration;
    /// let store = RedisStore::connect(&redis.url()).await?.keep_expired(Duration::from_secs(3_600));
    /// let key = StoreKey::from_bytes([1; 32]);
    /// let brief = Expiry { idle: Duration::from_millis(20), ..Expiry::default() };
    /// store.create(&key, &Record::new(brief), SubjectLimit::None).await?;
    /// tokio::time::sleep(Duration::from_millis(50)).await;
    /// assert!(store.load(&key).await?.is_none());
    /// assert_eq!(store.find(&key).await?, Found::Expired);
    /// assert_eq!(store.sweep(100).await?, 1);
    /// assert_eq!(store.find(&key).await?, Found::Absent);
    /// # Ok::<_, session_core::StoreError>(true) }).unwrap());
    /// ```
    #[must_use]
    pub fn keep_expired(self, kept: Duration) -> Self {
        Self { kept, ..self }
    }

    fn is_cluster(&self) -> bool {
        !matches!(*self.topology, Topology::One(_))
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers = if self.is_cluster() { "cluster" } else { "one" };
        f.debug_struct("RedisStore")
            .field("servers", &servers)
            .field("prefix", &self.names.prefix())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Does the same thing in one step where that is possible, and in several ones in a cluster.
macro_rules! carry_out {
    ($store:ident, $verb:ident: $step:ident / $steps:ident ($($argument:expr),*)) => {{
        let operation = Operation::new($store);
        let outcome: Result<_, Failure> = match &*$store.topology {
            Topology::One(_) => operation.$step($($argument),*).await,
            #[cfg(feature = "cluster")]
            Topology::Cluster(_) => operation.$steps($($argument),*).await,
        };
        outcome.map_err(|failure| failure.told(Verb::$verb))
    }};
}

#[async_trait]
impl SessionStore for RedisStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>, StoreError> {
        self.find(key).await.map(Found::live)
    }

    async fn find(&self, key: &StoreKey) -> Result<Found, StoreError> {
        carry_out!(self, Load: load / cluster_load(key))
    }

    async fn create(&self, key: &StoreKey, record: &Record, limit: SubjectLimit) -> Result<Create, StoreError> {
        carry_out!(self, Create: create / cluster_create(key, record, limit))
    }

    async fn update(&self, key: &StoreKey, record: &Record, seen: Version) -> Result<Update, StoreError> {
        carry_out!(self, Update: update / cluster_update(key, record, seen))
    }

    async fn touch(&self, key: &StoreKey) -> Result<Touch, StoreError> {
        carry_out!(self, Touch: touch / cluster_touch(key))
    }

    async fn rename(
        &self,
        old: &StoreKey,
        new: &StoreKey,
        record: &Record,
        seen: Version,
        limit: SubjectLimit,
    ) -> Result<Update, StoreError> {
        carry_out!(self, Rename: rename / cluster_rename(old, new, record, seen, limit))
    }

    async fn delete(&self, key: &StoreKey) -> Result<bool, StoreError> {
        carry_out!(self, Delete: delete / cluster_delete(key, None))
    }

    async fn sessions_of(&self, subject: &str, most: usize) -> Result<Vec<(StoreKey, Loaded)>, StoreError> {
        carry_out!(self, SessionsOf: sessions_of / cluster_sessions_of(subject, most))
    }

    async fn delete_one_of(&self, subject: &str, key: &StoreKey) -> Result<bool, StoreError> {
        carry_out!(self, DeleteOneOf: delete / cluster_delete(key, Some(subject)))
    }

    async fn delete_all_of(&self, subject: &str, except: Option<&StoreKey>) -> Result<usize, StoreError> {
        carry_out!(self, DeleteAllOf: delete_all_of / cluster_delete_all_of(subject, except))
    }

    /// Nothing to do, unless what has expired [is kept](RedisStore::keep_expired).
    async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
        Operation::new(self).sweep(limit).await.map_err(|failure| failure.told(Verb::Sweep))
    }

    async fn revoke(&self, key: &StoreKey, keep: Duration) -> Result<bool, StoreError> {
        carry_out!(self, Revoke: revoke / revoke(key, keep))
    }

    async fn revoke_all_of(&self, subject: &str, until: Timestamp, keep: Duration) -> Result<(), StoreError> {
        carry_out!(self, RevokeAllOf: revoke_all_of / revoke_all_of(subject, until, keep))
    }

    async fn is_revoked(&self, keys: &[StoreKey], subject: Option<&str>, made: Timestamp) -> Result<bool, StoreError> {
        carry_out!(self, IsRevoked: is_revoked / cluster_is_revoked(keys, subject, made))
    }

    /// Of what a limit ends, and of what has expired if it [is kept](RedisStore::keep_expired).
    fn watch(&self, witness: &Arc<dyn Witness>) -> bool {
        self.witnesses.add(witness);
        true
    }
}
