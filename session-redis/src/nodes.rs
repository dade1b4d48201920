//! Which node of a cluster has which key.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _, Shared};
use redis::aio::MultiplexedConnection;
use redis::{ConnectionInfo, ServerErrorKind, Value};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use crate::failure::{Failure, Verdict};
use crate::link::{Asking, Limits, Link, Target, at};
use crate::scripts::Call;

const SLOTS: u16 = 16_384;
/// How long one node has to be reached, and then to say who has what, before another one is asked.
const ASKING: Duration = Duration::from_millis(250);
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(80);
/// How often one command may be sent from node to node. The operation's deadline comes first, unless nodes contradict each
/// other quickly.
const ATTEMPTS: usize = 50;

type Node = (String, u16);
type Asked = Shared<BoxFuture<'static, Result<(), Failure>>>;

pub(crate) struct Nodes {
    seeds: Vec<ConnectionInfo>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// The first and the last slot of a range, and who has it.
    ranges: Vec<(u16, u16, Node)>,
    links: HashMap<Node, Arc<Link>>,
    asked: Option<Asked>,
    /// Whom to ask first next time.
    turn: usize,
}

impl Nodes {
    pub(crate) fn new(seeds: Vec<ConnectionInfo>) -> Arc<Self> {
        Arc::new(Self { seeds, known: Mutex::default() })
    }

    /// Runs a script on the node that has its key, wherever that is by now. What was refused because the node is not the one,
    /// or not ready, has not run, and is sent again; what may have run is not, unless it only reads or repeats.
    pub(crate) async fn run(self: &Arc<Self>, call: &Call, limits: &Limits) -> Result<Value, Failure> {
        let slot = slot(call.first_key().as_bytes());
        let (mut pause, mut elsewhere, mut repeated) = (SHORTEST_PAUSE, None, false);
        let mut last = Failure::NoOwner;
        for _ in 0..ATTEMPTS {
            let asking = if elsewhere.is_some() { Asking::Yes } else { Asking::No };
            let Some((node, link)) = self.owner(slot, elsewhere.take()) else {
                self.learn(limits).await?;
                if self.owner(slot, None).is_none() {
                    limits.within(sleep(pause)).await.map_err(|_| last.clone())?;
                    pause = (2 * pause).min(LONGEST_PAUSE);
                }
                continue;
            };
            let failure = match link.run(call, asking, limits).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if let Some((kind, to)) = redirect(&failure, &node) {
                if kind == ServerErrorKind::Ask {
                    elsewhere = Some(to);
                } else {
                    self.moved(slot, to);
                    self.learn_meanwhile();
                }
                continue;
            }
            match failure.verdict() {
                Verdict::Refused => return Err(failure),
                Verdict::Unknown if !call.may_run_twice() || repeated || Instant::now() >= limits.deadline => {
                    self.learn_meanwhile();
                    return Err(failure);
                }
                Verdict::Unknown => repeated = true,
                Verdict::NotRun => {}
            }
            last = failure;
            // A failover takes seconds; the operation's deadline ends the wait with the reason why.
            let waited = async {
                let _ = self.learn(limits).await;
                sleep(pause).await;
            };
            limits.within(waited).await.map_err(|_| last.clone())?;
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
        Err(last)
    }

    /// Asks the nodes who has what, one after the other until one says it. Who comes meanwhile waits for the same answer.
    pub(crate) async fn learn(self: &Arc<Self>, limits: &Limits) -> Result<(), Failure> {
        let asked = self.ask()?;
        limits.within(asked).await?
    }

    fn learn_meanwhile(self: &Arc<Self>) {
        // Nobody waits for it; whoever needs it asks again.
        drop(self.ask());
    }

    fn ask(self: &Arc<Self>) -> Result<Asked, Failure> {
        let mut known = self.known();
        if let Some(asked) = known.asked.as_ref().filter(|asked| asked.peek().is_none()) {
            return Ok(asked.clone());
        }
        let runtime = Handle::try_current().map_err(|_| Failure::NoRuntime)?;
        let nodes = Arc::clone(self);
        let asked = async move { nodes.ask_all().await }.boxed().shared();
        drop(runtime.spawn(asked.clone()));
        known.asked = Some(asked.clone());
        Ok(asked)
    }

    async fn ask_all(&self) -> Result<(), Failure> {
        let mut last = Failure::NoOwner;
        for (node, link) in self.everybody() {
            let limits = || Limits { timeout: ASKING, deadline: Instant::now() + ASKING, replicas: None };
            let answer = async {
                link.connect(&limits()).await?;
                let question = async |mut connection: MultiplexedConnection| {
                    let mut question = redis::cmd("CLUSTER");
                    Ok(connection.send_packed_command(question.arg("SLOTS")).await?.extract_error()?)
                };
                link.send(&limits(), question).await
            };
            match answer.await.and_then(|answer| ranges(&answer, &node.0).ok_or(Failure::Answer)) {
                Ok(ranges) => {
                    let mut known = self.known();
                    known.links.retain(|node, _| ranges.iter().any(|(_, _, owner)| owner == node));
                    known.ranges = ranges;
                    return Ok(());
                }
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }

    /// All nodes that there are connections to, another one first each time, then the ones the store was made with.
    fn everybody(&self) -> Vec<(Node, Arc<Link>)> {
        let mut known = self.known();
        let mut all: Vec<_> = known.links.iter().map(|(node, link)| (node.clone(), Arc::clone(link))).collect();
        if !all.is_empty() {
            known.turn = known.turn.wrapping_add(1);
            let turn = known.turn % all.len();
            all.rotate_left(turn);
        }
        for seed in &self.seeds {
            let (redis::ConnectionAddr::Tcp(host, port) | redis::ConnectionAddr::TcpTls { host, port, .. }) =
                seed.addr()
            else {
                continue;
            };
            let node = (host.clone(), *port);
            if !known.links.contains_key(&node) {
                // It stays until somebody has answered: a connection that takes its time is there the next time.
                let link = Link::new(Target::Server(Arc::new(seed.clone())));
                known.links.insert(node.clone(), Arc::clone(&link));
                all.push((node, link));
            }
        }
        all
    }

    /// Who has slots, in their order.
    pub(crate) fn owners(&self) -> Vec<Arc<Link>> {
        let mut ranges: Vec<_> = self.known().ranges.iter().map(|(first, _, node)| (*first, node.clone())).collect();
        ranges.sort_unstable();
        let mut met = HashSet::new();
        ranges.retain(|(_, node)| met.insert(node.clone()));
        ranges.into_iter().filter_map(|(first, _)| Some(self.owner(first, None)?.1)).collect()
    }

    fn owner(&self, slot: u16, named: Option<Node>) -> Option<(Node, Arc<Link>)> {
        let mut known = self.known();
        let owner = || known.ranges.iter().find(|(first, last, _)| (*first..=*last).contains(&slot));
        let node = named.or_else(|| owner().map(|(_, _, node)| node.clone()))?;
        let link = match known.links.get(&node) {
            Some(link) => Arc::clone(link),
            None => {
                let like = self.seeds.first()?;
                let info = like.clone().set_addr(at(like.addr(), node.0.clone(), node.1));
                let link = Link::new(Target::Server(Arc::new(info)));
                known.links.insert(node.clone(), Arc::clone(&link));
                link
            }
        };
        Some((node, link))
    }

    /// A node said so, until all is asked for anew.
    fn moved(&self, slot: u16, to: Node) {
        self.known().ranges.insert(0, (slot, slot, to));
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a node says the key is: for good, or just for this time.
fn redirect(failure: &Failure, from: &Node) -> Option<(ServerErrorKind, Node)> {
    let Failure::Driver(error) = failure else { return None };
    let kind = [ServerErrorKind::Moved, ServerErrorKind::Ask].into_iter().find(|kind| failure.is(*kind))?;
    let (host, port) = error.redirect_node()?.0.rsplit_once(':')?;
    let host = if host.is_empty() || host == "?" { &from.0 } else { host };
    Some((kind, (host.to_owned(), port.parse().ok()?)))
}

/// The answer to `CLUSTER SLOTS`: for each range its first and last slot, its primary and the replicas.
pub(crate) fn ranges(answer: &Value, asked: &str) -> Option<Vec<(u16, u16, Node)>> {
    let Value::Array(entries) = answer else { return None };
    let range = |entry: &Value| {
        let Value::Array(entry) = entry else { return None };
        let [Value::Int(first), Value::Int(last), Value::Array(primary), ..] = &entry[..] else { return None };
        let [host, Value::Int(port), ..] = &primary[..] else { return None };
        // A node that doesn't know its own name is the one that was asked.
        let host = match host {
            Value::BulkString(host) if !host.is_empty() && host != b"?" => std::str::from_utf8(host).ok()?,
            _ => asked,
        };
        let number = |number: i64| u16::try_from(number).ok().filter(|number| *number < SLOTS);
        Some((number(*first)?, number(*last)?, (host.to_owned(), u16::try_from(*port).ok()?)))
    };
    entries.iter().map(range).collect()
}

/// The slot of a key: that of what is between its first braces, if there is something.
fn slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|byte| *byte == b'}').filter(|close| *close > 0)?;
        Some(&rest[..close])
    });
    crc16(tag.unwrap_or(key)) % SLOTS
}

/// CRC-16/XMODEM, as the cluster specification says.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| (crc << 1) ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_slots_of_the_specification() {
        // The first is the specification's own check, the others are what `CLUSTER KEYSLOT` says.
        assert_eq!(crc16(b"123456789"), 0x31c3);
        for (key, expected) in [
            (&b"foo"[..], 12182),
            (b"{foo}bar", 12182),
            (b"a{foo}{bar}", 12182),
            (b"{}foo", 9500),
            (b"foo{", 7673),
            (b"session:{of:ada}", 7474),
            (b"session:{of:ada}:revoked", 7474),
            (b"a}b{c}", 7365),
        ] {
            assert_eq!(slot(key), expected, "{}", String::from_utf8_lossy(key));
        }
    }

    #[test]
    fn what_is_no_answer_about_slots_is_refused() {
        let node = |host: Value| Value::Array(vec![host, Value::Int(7000), Value::Nil]);
        let text = |text: &str| Value::BulkString(text.into());
        let entry =
            |first, last, node| Value::Array(vec![Value::Array(vec![Value::Int(first), Value::Int(last), node])]);
        let sound = ranges(&entry(0, 16_383, node(text("10.0.0.1"))), "asked");
        assert_eq!(sound, Some(vec![(0, 16_383, ("10.0.0.1".to_owned(), 7000))]));
        for unnamed in [text(""), text("?"), Value::Nil] {
            assert_eq!(ranges(&entry(1, 2, node(unnamed)), "asked").unwrap()[0].2.0, "asked");
        }
        for broken in [
            Value::Nil,
            Value::Array(vec![Value::Nil]),
            entry(-1, 2, node(text("a"))),
            entry(0, 16_384, node(text("a"))),
            entry(0, 1, Value::Nil),
            entry(0, 1, Value::Array(vec![text("a"), Value::Int(70_000)])),
        ] {
            assert_eq!(ranges(&broken, "asked"), None);
        }
    }
}
