//! One way to run a script, whatever the servers are.

use std::sync::Arc;
use std::time::Duration;

use redis::{ServerErrorKind, Value};
#[cfg(feature = "cluster")]
use tokio::time::Instant;
use tokio::time::sleep;

use crate::failure::{Failure, Verdict};
use crate::link::{Asking, Limits, Link};
#[cfg(feature = "cluster")]
use crate::nodes::Nodes;
use crate::scripts::Call;

const PAUSE: Duration = Duration::from_millis(20);
/// More than fit into any timeout that makes sense.
const ATTEMPTS: usize = 1_000;

pub(crate) enum Topology {
    /// One server, or the primary that the sentinels name.
    One(Arc<Link>),
    #[cfg(feature = "cluster")]
    Cluster(Arc<Nodes>),
}

impl Topology {
    pub(crate) async fn run(&self, call: &Call, limits: &Limits) -> Result<Value, Failure> {
        match self {
            Self::One(link) => run(link, call, limits).await,
            #[cfg(feature = "cluster")]
            Self::Cluster(nodes) => nodes.run(call, limits).await,
        }
    }

    /// The servers that hold keys, in a cluster by their slots.
    #[cfg_attr(not(feature = "cluster"), expect(unused_variables, reason = "one server is known without asking"))]
    pub(crate) async fn nodes(&self, limits: &Limits) -> Result<Vec<Arc<Link>>, Failure> {
        match self {
            Self::One(link) => Ok(vec![Arc::clone(link)]),
            #[cfg(feature = "cluster")]
            Self::Cluster(nodes) => {
                nodes.learn(limits).await?;
                Ok(nodes.owners())
            }
        }
    }

    /// Makes sure that the servers are there.
    pub(crate) async fn connect(&self, limits: &Limits) -> Result<(), Failure> {
        match self {
            Self::One(link) => link.connect(limits).await,
            #[cfg(feature = "cluster")]
            Self::Cluster(nodes) => loop {
                match nodes.learn(limits).await {
                    // A node may take longer to connect to than one has to answer when there are others to ask.
                    Err(Failure::Late(_)) if Instant::now() < limits.deadline => {}
                    learned => return learned,
                }
            },
        }
    }
}

/// What was refused by a server that is no primary, or not yet ready, has not run, and is sent again; what may have run is not,
/// unless it only reads or repeats. Where there is no server nobody waits for one.
async fn run(link: &Arc<Link>, call: &Call, limits: &Limits) -> Result<Value, Failure> {
    let mut repeated = false;
    let mut last = None;
    for _ in 0..ATTEMPTS {
        let failure = match link.run(call, Asking::No, limits).await {
            Ok(answer) => return Ok(answer),
            Err(Failure::Late(_)) if last.is_some() => break,
            Err(failure) => failure,
        };
        if [ServerErrorKind::Moved, ServerErrorKind::Ask, ServerErrorKind::CrossSlot]
            .iter()
            .any(|kind| failure.is(*kind))
        {
            return Err(Failure::InCluster);
        }
        match failure.verdict() {
            Verdict::NotRun if !matches!(failure, Failure::NotConnected(_)) => {
                if limits.within(sleep(PAUSE)).await.is_err() {
                    return Err(failure);
                }
            }
            Verdict::Unknown if call.may_run_twice() && !repeated => repeated = true,
            _ => return Err(failure),
        }
        last = Some(failure);
    }
    Err(last.unwrap_or(Failure::Late(limits.timeout)))
}
