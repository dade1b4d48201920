//! What the fuzz targets of this repository need of the inside. Compiled with `--cfg fuzzing` only, so no part of the library.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis::Value;
use session_core::{Place, StoreError, StoreKey};

use crate::failure::Failure;
use crate::link::{Link, Target, parse};
use crate::names::Names;
use crate::nodes::{self, Nodes};
use crate::store::RedisStore;
use crate::topology::Topology;

thread_local! {
    static ANSWERS: RefCell<VecDeque<Value>> = const { RefCell::new(VecDeque::new()) };
}

/// A store that is connected to nothing.
///
/// # Errors
/// None.
pub fn store(in_cluster: bool) -> Result<RedisStore, StoreError> {
    let seed = parse("redis://127.0.0.1")?;
    let topology = if in_cluster {
        Topology::Cluster(Nodes::new(vec![seed]))
    } else {
        Topology::One(Link::new(Target::Server(Arc::new(seed))))
    };
    Ok(RedisStore {
        topology: Arc::new(topology),
        names: Names::default(),
        timeout: Duration::from_secs(60),
        replicas: None,
        kept: Duration::ZERO,
        next_sweep: Arc::new(Mutex::new(Place::START)),
        witnesses: session_core::Witnesses::default(),
        #[cfg(test)]
        fuse: Arc::new(usize::MAX.into()),
    })
}

/// What scripts answer on this thread from now on, one after the other; when there is none left, nothing useful.
pub fn answers(values: impl IntoIterator<Item = Value>) {
    ANSWERS.with_borrow_mut(|answers| *answers = values.into_iter().collect());
}

/// The session that a key on the server is of.
#[must_use]
pub fn key_of(name: &[u8]) -> Option<StoreKey> {
    Names::default().key_of(name)
}

/// Which slots which host has, by the answer of the node `asked`.
#[must_use]
pub fn slots(answer: &Value, asked: &str) -> Option<Vec<(u16, u16, (String, u16))>> {
    nodes::ranges(answer, asked)
}

pub(crate) fn next() -> Option<Result<Value, Failure>> {
    let answer = ANSWERS.with_borrow_mut(VecDeque::pop_front);
    Some(answer.map_or(Err(Failure::Answer), |answer| Ok(answer.extract_error()?)))
}
