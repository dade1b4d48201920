//! A session's state during its request, and the two moments that move it to the store: `save` and the end.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::binding::Agent;
use crate::changes::{Change, Changes};
use crate::clock::Timestamp;
use crate::close::{Close, CloseFuture};
use crate::commit::{CookieChange, Machine, Progress, Rest};
use crate::cookie::{Brought, MOST_CHUNKS};
use crate::error::Error;
use crate::expiry::Times;
use crate::head::{Effects, SetCookie};
use crate::id::StoreKey;
use crate::plan::{Answer, Base, Plan};
use crate::record::Record;
use crate::store::SessionStore;
use crate::values::Values;

/// What all clones of a session share.
pub(crate) struct Shared {
    machine: Arc<Machine>,
    brought: Brought,
    agent: Agent,
    state: Mutex<State>,
    /// Saves of one request happen one after another. Requests never wait for each other.
    turn: OnceLock<Semaphore>,
}

struct State {
    base: Option<Arc<Base>>,
    /// The base with the changes applied: what the handler reads.
    view: Record,
    changes: Changes,
    /// Counts the writes, so that a closure's result is only used if nothing came between.
    generation: u64,
    /// What earlier saves of this request did to the cookie.
    cookie: CookieChange,
    /// The session ended elsewhere while this request ran.
    gone: bool,
    /// What was written during a save didn't fit on what it saved.
    failure: Option<Error>,
    /// A save was begun and hasn't told its result, or was dropped on the way; true: it ends the session. Noted until
    /// it is known to be done, because a client that leaves now must not stop it.
    saving: Option<bool>,
    closed: bool,
    opened: Times,
}

impl State {
    /// Nobody has written anything, and no save has.
    fn is_as_loaded(&self) -> bool {
        let Self { changes, cookie, gone, failure, saving, .. } = self;
        changes.is_empty() && matches!(cookie, CookieChange::Keep) && !gone && failure.is_none() && saving.is_none()
    }

    /// The session that was loaded is to end.
    fn ends(&self) -> bool {
        self.changes.destroyed || self.saving == Some(true)
    }
}

impl Shared {
    pub(crate) fn new(machine: Arc<Machine>, base: Option<Arc<Base>>, brought: Brought, agent: Agent) -> Self {
        let view = base.as_ref().map_or_else(|| Record::new(machine.policy.anonymous), |base| base.record.clone());
        let now = base.as_ref().map_or_else(|| machine.clock.now(), |base| base.ours);
        let opened = Times::begin(now, machine.policy.anonymous);
        let state = State {
            base,
            view,
            changes: Changes::default(),
            generation: 0,
            cookie: CookieChange::Keep,
            gone: false,
            failure: None,
            saving: None,
            closed: false,
            opened,
        };
        Self { machine, brought, agent, state: Mutex::new(state), turn: OnceLock::new() }
    }

    /// No more writing.
    pub(crate) fn shut(&self) {
        self.state().closed = true;
    }

    /// Decides at once. A session that was only read is done with it, and one whose store answers at once too.
    pub(crate) fn close(self: &Arc<Self>, answer: Answer) -> Close {
        let mut state = self.state();
        if std::mem::replace(&mut state.closed, true) {
            return Close::Untouched;
        }
        if state.is_as_loaded() && self.plan(&state, answer).0 == Plan::Nothing {
            return Close::Ready(Effects::default());
        }
        // Nothing begins to save a closed session, so a turn that is free stays free.
        if self.turn.get().is_some_and(|turn| turn.available_permits() == 0) {
            drop(state);
            let shared = Arc::clone(self);
            return CloseFuture::new(async move {
                let _turn = shared.turn().await;
                let mut rest = shared.rest(shared.state());
                match shared.decide(&mut rest, answer) {
                    Some(effects) => effects,
                    None => Arc::clone(&shared).finish(rest, answer).await,
                }
            })
            .start();
        }
        let mut rest = self.rest(state);
        match self.decide(&mut rest, answer) {
            Some(effects) => Close::Ready(effects),
            None => CloseFuture::new(Arc::clone(self).finish(rest, answer)).start(),
        }
    }

    fn plan(&self, State { base, changes, view, .. }: &State, answer: Answer) -> (Plan, Timestamp) {
        self.machine.plan(base.as_deref(), changes, view, answer)
    }

    /// What remains to be done for a handler that never answered: its logout.
    pub(crate) fn abandon(self: &Arc<Self>) -> Option<CloseFuture> {
        let ends = {
            let state = self.state();
            !state.closed && state.ends() && state.base.is_some()
        };
        if !ends {
            self.shut();
            return None;
        }
        match self.close(Answer::Failed) {
            Close::Io(close) => Some(close),
            Close::Ready(_) | Close::Untouched => None,
        }
    }

    fn rest<'a>(&'a self, mut state: MutexGuard<'a, State>) -> Rest {
        if state.saving.is_some() {
            drop(state);
            self.settle();
            state = self.state();
        }
        Rest {
            progress: Progress {
                base: state.base.clone(),
                cookie: std::mem::take(&mut state.cookie),
                deleted: false,
                gone: state.gone,
            },
            changes: std::mem::take(&mut state.changes),
            result: state.view.clone(),
            failure: state.failure.take(),
            plan: None,
        }
    }

    /// The effects, if there is nothing to do for them.
    fn decide(&self, rest: &mut Rest, answer: Answer) -> Option<Effects> {
        let Rest { progress, changes, result, failure, plan } = rest;
        let nothing = (progress.gone && !changes.begins_anew()) || (failure.is_some() && !changes.destroyed);
        let next = self.machine.plan(progress.base.as_deref(), changes, result, answer);
        if nothing || next.0 == Plan::Nothing {
            return Some(self.effects(progress, failure.take()));
        }
        *plan = Some(next);
        None
    }

    async fn finish(self: Arc<Self>, mut rest: Rest, answer: Answer) -> Effects {
        match self.machine.commit(&mut rest, answer, self.agent.as_deref()).await {
            // What a late request wanted is told to its own `save` only: the visitor has logged out and knows it.
            Ok(()) | Err(Error::Gone) => self.effects(&rest.progress, None),
            Err(error) => self.effects(&rest.progress, Some(error)),
        }
    }

    fn effects(&self, progress: &Progress, failure: Option<Error>) -> Effects {
        let set_cookies = match &progress.cookie {
            CookieChange::Keep => Vec::new(),
            CookieChange::Remove => self.set_cookies(&[]),
            CookieChange::Set(lines) => self.set_cookies(lines),
        };
        if let Some(error) = &failure {
            error.log();
        }
        // Only a response that sets the cookie is an event.
        let whose = progress.base.as_ref().filter(|_| !set_cookies.is_empty());
        let session = whose.and_then(|base| self.machine.fingerprint(base));
        Effects { failure, set_cookies, session, observer: self.machine.reporter.observer.clone() }
    }

    /// These lines, and the removal of what the browser has besides. Without lines it has the cookie itself.
    fn set_cookies(&self, lines: &[String]) -> Vec<SetCookie> {
        let attributes = &self.machine.attributes;
        let set_cookie = |place| {
            let name = attributes.name_at(place);
            let stale = self.brought.has(place) || place == 0;
            let line = lines.get(place).cloned().or_else(|| stale.then(|| attributes.removal(&name)))?;
            Some(SetCookie { name, line })
        };
        (0..MOST_CHUNKS).filter_map(set_cookie).collect()
    }
}

impl Shared {
    pub(crate) async fn save(&self) -> Result<(), Error> {
        let _turn = self.turn().await;
        self.settle();
        let mut rest = {
            let mut state = self.open_state()?;
            if state.changes.is_empty() {
                return Ok(());
            }
            let refused =
                if state.gone && !state.changes.begins_anew() { Some(Error::Gone) } else { state.failure.take() };
            if let Some(error) = refused {
                drop(state);
                self.discard()?;
                return Err(error);
            }
            state.saving = Some(state.changes.destroyed && state.base.is_some());
            let progress = Progress { base: state.base.clone(), gone: state.gone, ..Progress::default() };
            let (changes, result) = (std::mem::take(&mut state.changes), state.view.clone());
            Rest { progress, changes, result, failure: None, plan: None }
        };
        let agent = self.agent.as_deref();
        let outcome = self.machine.commit(&mut rest, Answer::Open, agent).await;
        self.rebase(rest.progress);
        if let Err(error) = &outcome
            && error.status() == 503
        {
            error.log();
        }
        outcome
    }

    /// A save that was dropped on the way may or may not have written. What it wanted is forgotten but for a logout, so
    /// that a login among it can't slip into the session without a new id.
    fn settle(&self) {
        let dropped = {
            let state = self.state();
            let progress = || Progress { base: state.base.clone(), gone: state.gone, ..Progress::default() };
            state.saving.map(|_| progress())
        };
        if let Some(progress) = dropped {
            self.rebase(progress);
        }
    }

    /// Takes over what a save made true, with what was written meanwhile on top of it.
    fn rebase(&self, progress: Progress) {
        let mut state = loop {
            let (since, generation) = {
                let state = self.state();
                let undone = state.saving == Some(true) && !progress.deleted;
                (Changes { destroyed: state.changes.destroyed || undone, ..state.changes.clone() }, state.generation)
            };
            let base = progress.base.as_deref().filter(|_| !since.destroyed);
            let view = self.machine.replay(base, &since);
            let mut state = self.state();
            if state.generation == generation {
                state.changes = since;
                match view {
                    Ok(view) => state.view = view,
                    Err(error) => state.failure = Some(error),
                }
                break state;
            }
        };
        state.saving = None;
        state.gone = progress.gone;
        state.base = progress.base;
        if !matches!(progress.cookie, CookieChange::Keep) {
            state.cookie = progress.cookie;
        }
        state.generation += 1;
    }

    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turn.get_or_init(|| Semaphore::new(1)).acquire().await.ok()
    }

    pub(crate) fn change(&self, change: Change) -> Result<(), Error> {
        let mut state = self.open_state()?;
        let ends = state.ends();
        let State { base, view, .. } = &mut *state;
        let base = base.as_deref().filter(|_| !ends);
        change.apply(view, &|| self.age_of(base), self.machine.policy.expiry)?;
        state.changes.push(change);
        state.generation += 1;
        Ok(())
    }

    /// As `change`, for one that runs the application's code: not under the lock, so again if something came between.
    pub(crate) fn change_with(&self, change: &Change) -> Result<Record, Error> {
        loop {
            let (mut view, generation) = {
                let state = self.open_state()?;
                (state.view.clone(), state.generation)
            };
            // None of these steps asks how old the session is.
            change.apply(&mut view, &|| Duration::ZERO, self.machine.policy.expiry)?;
            let mut state = self.open_state()?;
            if state.generation == generation {
                state.view = view.clone();
                state.changes.push(change.clone());
                state.generation += 1;
                return Ok(view);
            }
        }
    }

    fn age(&self, state: &State) -> Duration {
        self.age_of(state.base.as_deref().filter(|_| !state.ends()))
    }

    fn age_of(&self, base: Option<&Base>) -> Duration {
        base.map_or(Duration::ZERO, |base| base.now(self.machine.clock.now()).since(base.times.created))
    }

    pub(crate) fn renew(&self) -> Result<(), Error> {
        let mut state = self.open_state()?;
        state.changes.renewed = true;
        state.generation += 1;
        Ok(())
    }

    pub(crate) fn destroy(&self) -> Result<(), Error> {
        let mut state = self.open_state()?;
        state.changes = Changes { destroyed: true, ..Changes::default() };
        state.failure = None;
        state.view = Record::new(self.machine.policy.anonymous);
        state.generation += 1;
        Ok(())
    }

    pub(crate) fn discard(&self) -> Result<(), Error> {
        let mut state = self.open_state()?;
        let destroyed = state.changes.destroyed;
        state.changes = Changes { destroyed, ..Changes::default() };
        state.failure = None;
        let kept = state.base.as_ref().filter(|_| !state.ends()).map(|base| base.record.clone());
        state.view = kept.unwrap_or_else(|| Record::new(self.machine.policy.anonymous));
        state.generation += 1;
        Ok(())
    }

    pub(crate) fn is_new(&self) -> bool {
        let state = self.state();
        state.ends() || state.base.is_none()
    }

    pub(crate) fn values(&self) -> Values {
        self.state().view.values().clone()
    }

    /// The record as the handler sees it. Clones share their values.
    pub(crate) fn view(&self) -> Record {
        self.state().view.clone()
    }

    pub(crate) fn machine(&self) -> &Machine {
        &self.machine
    }

    /// What the store knows the session by, if it does.
    pub(crate) fn key(&self) -> Option<StoreKey> {
        let state = self.state();
        state.base.as_ref().filter(|_| !state.ends()).map(|base| base.key)
    }

    pub(crate) fn listing_store(&self) -> Result<&dyn SessionStore, Error> {
        self.machine.listing_store()
    }

    /// How long ago the session was created.
    pub(crate) fn age_now(&self) -> Duration {
        self.age(&self.state())
    }

    pub(crate) fn times(&self) -> Times {
        let state = self.state();
        state.base.as_ref().filter(|_| !state.ends()).map_or(state.opened, |base| base.times)
    }

    fn open_state(&self) -> Result<MutexGuard<'_, State>, Error> {
        let state = self.state();
        if state.closed { Err(Error::Closed) } else { Ok(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The application's code never runs under this lock, so a poisoned state is whole all the same.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
