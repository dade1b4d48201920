//! A Redis that is watched.

use super::Redis;
use super::process::{on_a_free_port, wait_until};
use super::redis::program;

/// What the sentinels call the Redis that they watch.
const NAME: &str = "mymaster";

/// A Redis with a replica, and three sentinels that make the replica the primary when two of them have not heard from the
/// primary for a second. That takes two or three seconds in all.
///
/// ```
/// use session_testing::servers::RedisSentinel;
///
/// let Some(redis) = RedisSentinel::start() else { return };
/// assert!(redis.url().starts_with("redis-sentinel://127.0.0.1:"));
/// assert_eq!(redis.primary().ask(&["SET", "greeting", "hello"]).unwrap(), "OK");
/// assert_eq!(redis.primary().ask(&["WAIT", "1", "5000"]).unwrap(), "1"); // the replica has it
///
/// redis.sentinels()[0].kill(); // two are enough
/// let former = redis.kill_primary();
/// let primary = redis.failed_over(former);
/// assert_eq!(primary.port(), redis.nodes()[1].port());
/// assert_eq!(primary.ask(&["GET", "greeting"]).unwrap(), "hello");
/// ```
#[derive(Debug)]
pub struct RedisSentinel {
    nodes: Vec<Redis>,
    sentinels: Vec<Redis>,
}

impl RedisSentinel {
    /// Starts all five, and waits until the replica has everything and the sentinels know it and each other. `None` if the
    /// machine has no `redis-server`; this is said on stderr.
    ///
    /// ```no_run
    /// # use session_testing::servers::RedisSentinel;
    /// let Some(redis) = RedisSentinel::start() else { return };
    /// assert_eq!(redis.primary().ask(&["SET", "greeting", "hello"]).unwrap(), "OK");
    /// ```
    ///
    /// # Panics
    /// If they don't get so far within 30 seconds, and if `redis-server` is missing while the variable `CI` is set.
    #[must_use]
    pub fn start() -> Option<Self> {
        let program = program("Redis with sentinels")?;
        let primary = on_a_free_port(|port| Redis::node(port, &program, &[]));
        let at = primary.port().to_string();
        let replica = on_a_free_port(|port| Redis::node(port, &program, &["--replicaof", "127.0.0.1", &at]));
        let synced = wait_until(|| replica.says(&["INFO", "replication"], "master_link_status:up"));
        assert!(synced, "the replica does not reach its primary");
        let sentinels: Vec<_> = (0..3).map(|_| on_a_free_port(|port| Redis::sentinel(port, &program))).collect();
        for sentinel in &sentinels {
            let told = sentinel.ask(&["SENTINEL", "MONITOR", NAME, "127.0.0.1", &at, "2"]).and_then(|_| {
                sentinel.ask(&["SENTINEL", "SET", NAME, "down-after-milliseconds", "1000", "failover-timeout", "2000"])
            });
            told.expect("a sentinel takes orders");
        }
        let ready = wait_until(|| {
            let asked = ["SENTINEL", "MASTER", NAME];
            let know = |what: &str| sentinels.iter().all(|sentinel| sentinel.says(&asked, what));
            know("num-slaves\n1\n") && know("num-other-sentinels\n2\n")
        });
        assert!(ready, "the sentinels do not find each other");
        Some(Self { nodes: vec![primary, replica], sentinels })
    }

    /// `redis-sentinel://127.0.0.1:port,127.0.0.1:port,127.0.0.1:port/mymaster`: the sentinels, and what they call the
    /// primary.
    ///
    /// ```no_run
    /// # use session_testing::servers::RedisSentinel;
    /// # let Some(redis) = RedisSentinel::start() else { return };
    /// assert!(redis.url().starts_with("redis-sentinel://127.0.0.1:"));
    /// assert!(redis.url().ends_with("/mymaster"));
    /// ```
    #[must_use]
    pub fn url(&self) -> String {
        let sentinels: Vec<_> = self.sentinels.iter().map(|sentinel| sentinel.addr().to_string()).collect();
        format!("redis-sentinel://{}/{NAME}", sentinels.join(","))
    }

    /// The two that serve data, in the order in which they were started: the first was the primary.
    ///
    /// ```no_run
    /// # use session_testing::servers::RedisSentinel;
    /// # let Some(redis) = RedisSentinel::start() else { return };
    /// assert_eq!(redis.primary().port(), redis.nodes()[0].port());
    /// ```
    #[must_use]
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// The three that watch.
    ///
    /// ```no_run
    /// # use session_testing::servers::RedisSentinel;
    /// # let Some(redis) = RedisSentinel::start() else { return };
    /// redis.sentinels()[0].kill(); // two are enough
    /// assert_eq!(redis.primary().port(), redis.nodes()[0].port());
    /// ```
    #[must_use]
    pub fn sentinels(&self) -> &[Redis] {
        &self.sentinels
    }

    /// The node that the sentinels name now.
    ///
    /// ```no_run
    /// # use session_testing::servers::RedisSentinel;
    /// # let Some(redis) = RedisSentinel::start() else { return };
    /// assert!(redis.primary().ask(&["ROLE"]).unwrap().starts_with("master"));
    /// ```
    ///
    /// # Panics
    /// If no sentinel answers.
    #[must_use]
    pub fn primary(&self) -> &Redis {
        let ask = |sentinel: &Redis| sentinel.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME]).ok();
        let named = self.sentinels.iter().filter(|sentinel| sentinel.pid().is_some()).find_map(ask);
        let named = named.expect("one sentinel at least answers");
        let is_named = |node: &&Redis| named == format!("127.0.0.1\n{}", node.port());
        self.nodes.iter().find(is_named).expect("the primary is one of the nodes")
    }

    /// Kills the primary and returns it, so that it can be started again; it will then be the replica, about ten seconds
    /// later. Does not wait for the failover: see [`failed_over`](Self::failed_over).
    ///
    /// ```no_run
    /// # use session_testing::servers::RedisSentinel;
    /// # let Some(redis) = RedisSentinel::start() else { return };
    /// let killed = redis.kill_primary();
    /// assert_eq!(killed.pid(), None);
    /// ```
    ///
    /// # Panics
    /// If no sentinel answers.
    #[expect(clippy::must_use_candidate, reason = "it is called for what it does")]
    pub fn kill_primary(&self) -> &Redis {
        let primary = self.primary();
        primary.kill();
        primary
    }

    /// Waits until the sentinels name another primary than `former` and that one takes writes, and returns it.
    ///
    /// ```no_run
    /// # use session_testing::servers::RedisSentinel;
    /// # let Some(redis) = RedisSentinel::start() else { return };
    /// let former = redis.kill_primary();
    /// let primary = redis.failed_over(former);
    /// assert_eq!(primary.ask(&["SET", "greeting", "hello"]).unwrap(), "OK");
    /// ```
    ///
    /// # Panics
    /// If that takes longer than 30 seconds.
    pub fn failed_over(&self, former: &Redis) -> &Redis {
        let other = || self.primary().port() != former.port() && self.primary().says(&["ROLE"], "master");
        assert!(wait_until(other), "the sentinels name no other primary");
        self.primary()
    }
}
