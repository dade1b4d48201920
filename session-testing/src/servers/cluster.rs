//! A Redis in parts.

use super::Redis;
use super::process::{on_a_free_port, wait_until};
use super::redis::program;

/// Into how many parts a cluster divides its keys.
const SLOTS: u32 = 16_384;

const PRIMARIES: usize = 3;

/// A Redis cluster of three primaries, each with a replica that takes its place when the others have not heard from it for
/// a second. That takes a few seconds in all, in which no node of the cluster answers: that is the default of Redis.
///
/// ```
/// use session_testing::servers::RedisCluster;
///
/// let Some(cluster) = RedisCluster::start() else { return };
/// assert!(cluster.url().starts_with("redis-cluster://127.0.0.1:"));
/// let primary = cluster.primary_of("greeting"); // the third of them
/// assert_eq!(primary.port(), cluster.primaries()[2].port());
/// assert_eq!(primary.ask(&["SET", "greeting", "hello"]).unwrap(), "OK");
/// assert_eq!(primary.ask(&["WAIT", "1", "5000"]).unwrap(), "1"); // its replica has it
///
/// let former = cluster.kill_primary(2);
/// cluster.failed_over(former);
/// assert_eq!(cluster.primary_of("greeting").port(), cluster.nodes()[5].port());
/// assert_eq!(cluster.primary_of("greeting").ask(&["GET", "greeting"]).unwrap(), "hello");
/// ```
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Redis>,
}

impl RedisCluster {
    /// Starts all six, and waits until they know each other and the replicas have everything. `None` if the machine has no
    /// `redis-server`; this is said on stderr.
    ///
    /// ```no_run
    /// # use session_testing::servers::RedisCluster;
    /// let Some(cluster) = RedisCluster::start() else { return };
    /// assert_eq!(cluster.nodes().len(), 6);
    /// ```
    ///
    /// # Panics
    /// If they don't get so far within 30 seconds, and if `redis-server` is missing while the variable `CI` is set.
    #[must_use]
    pub fn start() -> Option<Self> {
        let program = program("Redis cluster")?;
        let arguments = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
        let start = |_| on_a_free_port(|port| Redis::node(port, &program, &arguments));
        let nodes: Vec<_> = (0..2 * PRIMARIES).map(start).collect();
        for (n, node) in nodes.iter().enumerate() {
            tell(node, &["CLUSTER", "SET-CONFIG-EPOCH", &(n + 1).to_string()]);
            tell(&nodes[0], &["CLUSTER", "MEET", "127.0.0.1", &node.port().to_string()]);
        }
        let all = |asked: &[&str], what: &str| wait_until(|| nodes.iter().all(|node| node.says(asked, what)));
        assert!(all(&["CLUSTER", "INFO"], "cluster_known_nodes:6\r"), "the nodes do not meet");
        let (primaries, replicas) = nodes.split_at(PRIMARIES);
        for (n, (primary, replica)) in (0..).zip(primaries.iter().zip(replicas)) {
            let slots: Vec<_> = (SLOTS * n / 3..SLOTS * (n + 1) / 3).map(|slot| slot.to_string()).collect();
            tell(
                primary,
                &["CLUSTER", "ADDSLOTS"].into_iter().chain(slots.iter().map(String::as_str)).collect::<Vec<_>>(),
            );
            let id = tell(primary, &["CLUSTER", "MYID"]);
            assert!(wait_until(|| replica.ask(&["CLUSTER", "REPLICATE", &id]).is_ok()), "a replica has no primary");
        }
        assert!(all(&["CLUSTER", "INFO"], "cluster_state:ok\r"), "the cluster is not complete");
        let synced = |replica: &Redis| replica.says(&["INFO", "replication"], "master_link_status:up");
        assert!(wait_until(|| replicas.iter().all(synced)), "a replica does not reach its primary");
        let roles =
            |node: &Redis| node.ask(&["CLUSTER", "NODES"]).is_ok_and(|list| list.matches("slave ").count() == 3);
        assert!(wait_until(|| nodes.iter().all(roles)), "the nodes do not know who is a replica");
        Some(Self { nodes })
    }

    /// `redis-cluster://127.0.0.1:port,127.0.0.1:port,…`: all nodes.
    ///
    /// ```no_run
    /// # use session_testing::servers::RedisCluster;
    /// # let Some(cluster) = RedisCluster::start() else { return };
    /// assert!(cluster.url().starts_with("redis-cluster://127.0.0.1:"));
    /// assert_eq!(cluster.url().split(',').count(), 6);
    /// ```
    #[must_use]
    pub fn url(&self) -> String {
        let nodes: Vec<_> = self.nodes.iter().map(|node| node.addr().to_string()).collect();
        format!("redis-cluster://{}", nodes.join(","))
    }

    /// All six in the order in which they were started: first the three that were primaries, then their replicas. A node has
    /// only database 0.
    ///
    /// ```no_run
    /// # use session_testing::servers::RedisCluster;
    /// # let Some(cluster) = RedisCluster::start() else { return };
    /// assert!(cluster.nodes()[5].ask(&["ROLE"]).unwrap().starts_with("slave"));
    /// ```
    #[must_use]
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// The nodes that are primaries now, in the order of the slots they serve.
    ///
    /// ```no_run
    /// # use session_testing::servers::RedisCluster;
    /// # let Some(cluster) = RedisCluster::start() else { return };
    /// assert_eq!(cluster.primaries()[2].port(), cluster.nodes()[2].port());
    /// ```
    ///
    /// # Panics
    /// If no node answers.
    #[must_use]
    pub fn primaries(&self) -> Vec<&Redis> {
        self.served().into_iter().map(|(_, node)| node).collect()
    }

    /// The node that serves this key now.
    ///
    /// ```no_run
    /// # use session_testing::servers::RedisCluster;
    /// # let Some(cluster) = RedisCluster::start() else { return };
    /// assert_eq!(cluster.primary_of("greeting").ask(&["SET", "greeting", "hello"]).unwrap(), "OK");
    /// ```
    ///
    /// # Panics
    /// If no node answers.
    #[must_use]
    pub fn primary_of(&self, key: &str) -> &Redis {
        let slot: u32 = self.ask(&["CLUSTER", "KEYSLOT", key]).parse().expect("a slot is a number");
        let served = self.served().into_iter().rfind(|(first, _)| *first <= slot);
        served.expect("every slot is served").1
    }

    /// Kills a primary, the `n`th in the order of the slots, and returns it, so that it can be started again; it will then be
    /// a replica. Does not wait for the failover: see [`failed_over`](Self::failed_over).
    ///
    /// ```no_run
    /// # use session_testing::servers::RedisCluster;
    /// # let Some(cluster) = RedisCluster::start() else { return };
    /// assert_eq!(cluster.kill_primary(0).port(), cluster.nodes()[0].port());
    /// ```
    ///
    /// # Panics
    /// If there are not so many, or no node answers.
    #[expect(clippy::must_use_candidate, reason = "it is called for what it does")]
    pub fn kill_primary(&self, n: usize) -> &Redis {
        let primary = self.primaries()[n];
        primary.kill();
        primary
    }

    /// Waits until another node than `former` serves its slots and every node that runs knows it.
    ///
    /// ```no_run
    /// # use session_testing::servers::RedisCluster;
    /// # let Some(cluster) = RedisCluster::start() else { return };
    /// cluster.failed_over(cluster.kill_primary(1));
    /// assert_eq!(cluster.primaries()[1].port(), cluster.nodes()[4].port());
    /// ```
    ///
    /// # Panics
    /// If that takes longer than 30 seconds.
    pub fn failed_over(&self, former: &Redis) {
        let over = |node: &Redis| {
            let served = served(&node.ask(&["CLUSTER", "NODES"]).unwrap_or_default());
            let replaced = served.len() == PRIMARIES && served.iter().all(|(_, port)| *port != former.port());
            replaced && node.says(&["CLUSTER", "INFO"], "cluster_state:ok\r")
        };
        let running = || self.nodes.iter().filter(|node| node.pid().is_some() && node.port() != former.port());
        assert!(wait_until(|| running().all(over)), "no replica has taken the place of the primary");
    }

    /// The first slot that each primary serves.
    fn served(&self) -> Vec<(u32, &Redis)> {
        let by_port = |port| self.nodes.iter().find(|node| node.port() == port);
        let served = served(&self.ask(&["CLUSTER", "NODES"])).into_iter();
        served.filter_map(|(first, port)| Some((first, by_port(port)?))).collect()
    }

    /// What any node that runs answers.
    fn ask(&self, command: &[&str]) -> String {
        let running = self.nodes.iter().filter(|node| node.pid().is_some());
        running.filter_map(|node| node.ask(command).ok()).next().expect("one node at least answers")
    }
}

fn tell(node: &Redis, command: &[&str]) -> String {
    node.ask(command).expect("a new node takes orders")
}

/// First slot and port of each node that serves slots. A line is `id address:port@bus flags primary ping pong epoch link
/// slots…`, and the slots are `first-last`.
fn served(list: &str) -> Vec<(u32, u16)> {
    let mut served: Vec<_> = list
        .lines()
        .filter_map(|line| {
            let words: Vec<_> = line.split(' ').collect();
            let port = words.get(1)?.split_once(':')?.1.split('@').next()?.parse().ok()?;
            let first = words.get(8)?.split('-').next()?.parse().ok()?;
            Some((first, port))
        })
        .collect();
    served.sort_unstable();
    served
}
