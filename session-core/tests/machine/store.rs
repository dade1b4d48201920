//! A memory store that lets others in before and after every operation, fails when told, and has each of its effects
//! checked against the model.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::time::Duration;

use session_core::{
    Clock, Create, Decorator, Loaded, ManualClock, MemoryStore, Record, SessionStore, StoreError, StoreKey,
    SubjectLimit, Timestamp, Touch, Update, Verb as StoreVerb, Version, async_trait,
};
use tokio::runtime::Runtime;

use crate::model::{Content, Model, Verb};

/// What the browser should be told of its cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Cookie {
    #[default]
    Keep,
    Remove,
    Set(StoreKey),
}

/// What the test knows of one request.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// The keys it asked for while loading, and what was there.
    pub(crate) loads: Option<Vec<(StoreKey, Option<Content>)>>,
    /// The session it is bound to, and the content it saw last.
    pub(crate) base: Option<StoreKey>,
    pub(crate) seen: Content,
    /// What it did since the last save.
    pub(crate) pending: Vec<Verb>,
    pub(crate) destroyed: bool,
    /// What is being written now.
    pub(crate) writing: Vec<Verb>,
    pub(crate) ending: bool,
    pub(crate) failed: bool,
    /// How the write went so far.
    pub(crate) wrote: bool,
    pub(crate) deleted: bool,
    pub(crate) told_gone: bool,
    /// A save was dropped and nothing settled since.
    pub(crate) unsettled: bool,
    pub(crate) faults: usize,
    /// The session ended elsewhere, and this request knows it.
    pub(crate) gone: bool,
    pub(crate) cookie: Cookie,
    /// Base, content and cookie as they were before the write.
    pub(crate) before: (Option<StoreKey>, Content, Cookie),
    /// Numbers it pushed: written for sure, and in which session; or perhaps.
    pub(crate) acknowledged: Vec<(StoreKey, u64)>,
    pub(crate) perhaps: Vec<u64>,
}

impl Trace {
    fn writes(&self) {
        assert!(!self.failed, "a failed request's changes were written");
        assert!(!self.wrote, "written twice");
    }
}

/// Where a case keeps its sessions.
pub(crate) struct Kept {
    pub(crate) store: Arc<dyn SessionStore>,
    /// The machine's clock, and a memory store's too.
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) has_own_clock: bool,
}

impl Kept {
    pub(crate) fn in_memory() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_000_000)));
        let store = Arc::new(MemoryStore::new().clock(Arc::clone(&clock)));
        Self { store, clock, has_own_clock: false }
    }

    /// In a store that talks to something, by a clock of its own.
    #[allow(dead_code, reason = "the stores' own tests play this machine in them")]
    pub(crate) fn in_store(store: impl SessionStore, runtime: &Arc<Runtime>) -> Self {
        let store = Arc::new(AtOnce { store, runtime: Arc::clone(runtime) });
        Self { store, has_own_clock: true, ..Self::in_memory() }
    }

    pub(crate) fn pass(&self, time: Duration) {
        if !self.has_own_clock {
            self.clock.advance(time);
        }
    }
}

/// Each operation is done by the time it is first polled: the play decides when others have their turns.
struct AtOnce<S> {
    store: S,
    runtime: Arc<Runtime>,
}

impl<S: SessionStore> Decorator for AtOnce<S> {
    type Inner = S;

    fn inner(&self) -> &S {
        &self.store
    }

    async fn around<T: Send>(
        &self,
        _: StoreVerb,
        operation: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.runtime.block_on(operation)
    }
}

pub(crate) struct World {
    pub(crate) kept: Kept,
    pub(crate) model: Model,
    pub(crate) traces: Vec<Trace>,
    /// Who is being polled.
    pub(crate) current: usize,
    pub(crate) faults: VecDeque<Fault>,
    pub(crate) numbers: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    None,
    Before,
    After,
}

impl World {
    pub(crate) fn now(&self) -> u64 {
        self.kept.clock.now().as_millis()
    }

    pub(crate) fn trace(&mut self) -> &mut Trace {
        &mut self.traces[self.current]
    }

    /// There is nothing alive that shouldn't be, and the other way round.
    async fn check_live(store: &Interleaved) {
        let (inner, keys) = {
            let world = store.world();
            let alive = |key: &StoreKey| world.model.content(key, world.now()).is_some();
            let keys: Vec<_> = world.model.keys().map(|key| (*key, alive(key))).collect();
            (Arc::clone(&world.kept.store), keys)
        };
        for (key, alive) in keys {
            let loaded = inner.load(&key).await.unwrap();
            assert_eq!(loaded.is_some(), alive, "more or fewer sessions are alive");
        }
    }
}

#[derive(Clone)]
pub(crate) struct Interleaved(pub(crate) Arc<Mutex<World>>);

impl Interleaved {
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    fn inner(&self) -> Arc<dyn SessionStore> {
        Arc::clone(&self.world().kept.store)
    }

    async fn begin(&self) -> Result<Fault, StoreError> {
        pause().await;
        let fault = self.world().faults.pop_front().unwrap_or(Fault::None);
        if fault == Fault::Before { self.end(fault).await.map(|()| fault) } else { Ok(fault) }
    }

    async fn end(&self, fault: Fault) -> Result<(), StoreError> {
        World::check_live(self).await;
        pause().await;
        if fault == Fault::None {
            return Ok(());
        }
        self.world().trace().faults += 1;
        Err(StoreError::new("testing", "a fault"))
    }
}

/// Pending once.
pub(crate) async fn pause() {
    let mut paused = false;
    poll_fn(|_| if std::mem::replace(&mut paused, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

#[async_trait]
impl SessionStore for Interleaved {
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>, StoreError> {
        let fault = self.begin().await?;
        let loaded = self.inner().load(key).await?;
        let content = loaded.as_ref().map(|loaded| Content::of(&loaded.record));
        {
            let world = self.world();
            assert_eq!(content.as_ref(), world.model.content(key, world.now()), "loaded something else");
        }
        self.end(fault).await?;
        let mut world = self.world();
        let trace = world.trace();
        match &mut trace.loads {
            Some(loads) => loads.push((*key, content)),
            None => {
                assert_eq!(trace.base, Some(*key), "loaded another session again");
                trace.told_gone |= content.is_none();
                trace.base = content.as_ref().map(|_| *key);
                trace.seen = content.unwrap_or_default();
            }
        }
        Ok(loaded)
    }

    async fn create(&self, key: &StoreKey, record: &Record, limit: SubjectLimit) -> Result<Create, StoreError> {
        let asked = self.world().now();
        let fault = self.begin().await?;
        let outcome = self.inner().create(key, record, limit).await?;
        {
            let mut world = self.world();
            let now = world.now();
            let trace = world.trace();
            trace.writes();
            assert_eq!(trace.base, None, "a second session beside the first");
            assert!(!trace.lost_to_gone(), "an ended session came back");
            assert_eq!(outcome, Create::Created);
            let verbs = trace.writing.clone();
            world.model.create(key, record, asked, now, &verbs);
        }
        self.end(fault).await?;
        let mut world = self.world();
        let trace = world.trace();
        trace.wrote = true;
        trace.cookie = Cookie::Set(*key);
        trace.base = Some(*key);
        trace.seen = Content::of(record);
        Ok(outcome)
    }

    async fn update(&self, key: &StoreKey, record: &Record, seen: Version) -> Result<Update, StoreError> {
        let fault = self.begin().await?;
        let outcome = self.inner().update(key, record, seen).await?;
        {
            let mut world = self.world();
            let now = world.now();
            let trace = world.trace();
            trace.writes();
            assert_eq!(trace.base, Some(*key));
            assert!(!trace.ending, "wrote to a session that it was to end");
            assert!(!trace.writing.iter().any(Verb::renames), "kept the old id");
            let verbs = trace.writing.clone();
            match outcome {
                Update::Updated => world.model.update(key, record, now, &verbs),
                Update::Conflict => assert!(world.model.content(key, now).is_some()),
                Update::Gone => assert!(world.model.content(key, now).is_none()),
                Update::Full => unreachable!("an update makes no session"),
            }
        }
        self.end(fault).await?;
        self.world().trace().written(*key, record, outcome, false);
        Ok(outcome)
    }

    async fn touch(&self, key: &StoreKey) -> Result<Touch, StoreError> {
        let fault = self.begin().await?;
        let outcome = self.inner().touch(key).await?;
        {
            let mut world = self.world();
            let now = world.now();
            let trace = world.trace();
            assert_eq!(trace.base, Some(*key));
            assert!(!trace.ending, "touched a session that it was to end");
            let unchanged = trace.seen.clone().after(&trace.writing) == trace.seen;
            let renamed = trace.writing.iter().any(Verb::renames);
            assert!(!trace.failed && unchanged && !renamed, "touched where it had to write, or to do nothing");
            assert_eq!(outcome == Touch::Touched, world.model.content(key, now).is_some());
            if outcome == Touch::Touched {
                world.model.touch(key, now);
            }
        }
        self.end(fault).await?;
        if outcome == Touch::Gone {
            self.world().trace().ended_elsewhere();
        }
        Ok(outcome)
    }

    async fn rename(
        &self,
        old: &StoreKey,
        new: &StoreKey,
        record: &Record,
        seen: Version,
        limit: SubjectLimit,
    ) -> Result<Update, StoreError> {
        let fault = self.begin().await?;
        let outcome = self.inner().rename(old, new, record, seen, limit).await?;
        {
            let mut world = self.world();
            let now = world.now();
            let trace = world.trace();
            trace.writes();
            assert_eq!(trace.base, Some(*old));
            assert!(!trace.ending, "renewed a session that it was to end");
            assert!(trace.writing.iter().any(Verb::renames), "a new id for nothing");
            let verbs = trace.writing.clone();
            match outcome {
                Update::Updated => world.model.rename(old, new, record, now, &verbs),
                Update::Conflict => assert!(world.model.content(old, now).is_some()),
                Update::Gone => assert!(world.model.content(old, now).is_none()),
                Update::Full => unreachable!("there is no limit"),
            }
        }
        self.end(fault).await?;
        self.world().trace().written(*new, record, outcome, true);
        Ok(outcome)
    }

    async fn delete(&self, key: &StoreKey) -> Result<bool, StoreError> {
        let fault = self.begin().await?;
        let ended = self.inner().delete(key).await?;
        {
            let mut world = self.world();
            let now = world.now();
            let trace = world.trace();
            assert_eq!(trace.base, Some(*key));
            assert!(trace.ending, "ended a session that nobody wanted to end");
            world.model.delete(key, now);
        }
        self.end(fault).await?;
        let mut world = self.world();
        let trace = world.trace();
        trace.deleted = true;
        trace.gone = false;
        trace.base = None;
        trace.seen = Content::default();
        trace.cookie = Cookie::Remove;
        Ok(ended)
    }

    async fn sessions_of(&self, subject: &str, most: usize) -> Result<Vec<(StoreKey, Loaded)>, StoreError> {
        self.inner().sessions_of(subject, most).await
    }

    async fn delete_one_of(&self, _: &str, _: &StoreKey) -> Result<bool, StoreError> {
        unreachable!("no request of these tests ends another session")
    }

    async fn delete_all_of(&self, _: &str, _: Option<&StoreKey>) -> Result<usize, StoreError> {
        unreachable!("no request of these tests ends another session")
    }

    async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
        self.inner().sweep(limit).await
    }

    async fn revoke(&self, _: &StoreKey, _: Duration) -> Result<bool, StoreError> {
        unreachable!("no session is in its cookie")
    }

    async fn revoke_all_of(&self, _: &str, _: Timestamp, _: Duration) -> Result<(), StoreError> {
        unreachable!("no session is in its cookie")
    }

    async fn is_revoked(&self, _: &[StoreKey], _: Option<&str>, _: Timestamp) -> Result<bool, StoreError> {
        unreachable!("no session is in its cookie")
    }
}

impl Trace {
    fn written(&mut self, key: StoreKey, record: &Record, outcome: Update, renamed: bool) {
        match outcome {
            Update::Updated => {
                self.wrote = true;
                self.base = Some(key);
                self.seen = Content::of(record);
                if renamed {
                    self.cookie = Cookie::Set(key);
                }
            }
            Update::Conflict | Update::Full => {}
            Update::Gone => self.ended_elsewhere(),
        }
    }

    fn ended_elsewhere(&mut self) {
        self.told_gone = true;
        self.base = None;
        self.seen = Content::default();
    }
}
