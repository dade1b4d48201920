//! One call of a verb: which store, and how long it may take.

use std::sync::{Arc, MutexGuard, PoisonError};

use session_core::{Ended, Place, StoreKey};
use tokio::time::Instant;

use crate::failure::Failure;
use crate::link::{Asking, Limits, Link};
use crate::names::Names;
use crate::reply::Reply;
use crate::scripts::{Call, Script};
use crate::store::RedisStore;

pub(crate) struct Operation<'a> {
    store: &'a RedisStore,
    limits: Limits,
}

impl<'a> Operation<'a> {
    pub(crate) fn new(store: &'a RedisStore) -> Self {
        let (timeout, replicas) = (store.timeout, store.replicas);
        let patience = replicas.map_or(timeout, |(_, patience)| timeout.saturating_add(patience));
        // The end of an absurd timeout may be no time at all.
        let now = Instant::now();
        let deadline = now.checked_add(patience).unwrap_or(now + std::time::Duration::from_secs(86_400));
        Self { store, limits: Limits { timeout: patience, deadline, replicas } }
    }

    /// The same with all its time before it: for the next part of something that may be large.
    pub(crate) fn again(&self) -> Self {
        Self::new(self.store)
    }

    pub(crate) const fn names(&self) -> &'a Names {
        &self.store.names
    }

    /// Tells who watches of sessions that are gone.
    pub(crate) fn tell(&self, ended: impl IntoIterator<Item = Ended>) {
        self.store.witnesses.tell(ended);
    }

    pub(crate) const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether the server drops what has expired at once, and nobody is told.
    pub(crate) const fn keeps_nothing(&self) -> bool {
        self.store.kept.is_zero()
    }

    /// Where the next sweep begins.
    pub(crate) fn next_sweep(&self) -> MutexGuard<'_, Place> {
        self.store.next_sweep.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A script on a session.
    pub(crate) fn session(&self, script: &'static Script, key: &StoreKey) -> Call {
        self.call(script, self.names().session(&key.to_hex()))
    }

    /// A script on the index of a subject.
    pub(crate) fn of(&self, script: &'static Script, subject: &str) -> Call {
        self.call(script, self.names().index(subject))
    }

    pub(crate) fn call(&self, script: &'static Script, key: String) -> Call {
        self.anywhere(script).key(key)
    }

    /// A script on one of the [servers](Self::nodes).
    pub(crate) fn anywhere(&self, script: &'static Script) -> Call {
        Call::new(script, self.names().prefix(), self.store.kept)
    }

    /// The servers that hold sessions, always in the same order.
    pub(crate) async fn nodes(&self) -> Result<Vec<Arc<Link>>, Failure> {
        self.store.topology.nodes(&self.limits).await
    }

    /// Runs a script on one of the [servers](Self::nodes).
    pub(crate) async fn run_on(&self, node: &Arc<Link>, call: Call) -> Result<Reply, Failure> {
        Reply::new(node.run(&call, Asking::No, &self.limits).await?)
    }

    pub(crate) async fn run(&self, call: Call) -> Result<Reply, Failure> {
        #[cfg(test)]
        crate::halfway::burn(&self.store.fuse)?;
        #[cfg(fuzzing)]
        if let Some(answer) = crate::fuzzing::next() {
            return Reply::new(answer?);
        }
        Reply::new(self.store.topology.run(&call, &self.limits).await?)
    }
}
