//! A store that waits where it is told to.

use std::future::Future;
use std::sync::Arc;

use session_core::{Decorator, SessionStore, StoreError, Verb};
use tokio::sync::watch;

/// Holds a store up where it is told to, and writes down what it was asked for and what it has done.
///
/// ```
/// use session_core::{MemoryStore, SessionStore};
/// use session_testing::stores::{Held, Verb};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = Held::new(MemoryStore::new());
/// store.before_it(Verb::Sweep);
/// let given_away = store.clone();
/// let test = async {
///     store.reached(Verb::Sweep).await;
///     assert_eq!((store.begun(), store.done()), (vec![Verb::Sweep], vec![]));
///     store.release();
/// };
/// let (swept, ()) = tokio::join!(given_away.sweep(10), test);
/// assert_eq!((swept.unwrap(), store.done()), (0, vec![Verb::Sweep]));
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Held<S> {
    inner: S,
    state: Arc<watch::Sender<State>>,
}

#[derive(Debug, Default)]
struct State {
    begun: Vec<Verb>,
    done: Vec<Verb>,
    /// Where operations wait, before and after, and which ones do.
    closed: [Vec<Verb>; 2],
    waiting: Vec<Verb>,
}

impl<S> Held<S> {
    /// Holds nothing of `inner` up yet.
    ///
    /// ```
    /// # use session_core::{MemoryStore, SessionStore};
    /// # use session_testing::stores::Held;
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// assert!(Held::new(MemoryStore::new()).sweep(10).await.is_ok());
    /// # });
    /// ```
    pub fn new(inner: S) -> Self {
        Self { inner, state: Arc::default() }
    }

    /// From now on the wrapped store hears of `verb` only after [`Held::release`].
    ///
    /// ```
    /// # use session_core::{MemoryStore, SessionStore, Verb};
    /// # use session_testing::stores::Held;
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let store = Held::new(MemoryStore::new());
    /// store.before_it(Verb::Sweep);
    /// tokio::select! { biased;
    ///     _ = store.sweep(10) => unreachable!("it is held up"),
    ///     () = store.reached(Verb::Sweep) => {}
    /// }
    /// assert_eq!(store.done(), []);
    /// # });
    /// ```
    pub fn before_it(&self, verb: Verb) {
        self.state.send_modify(|state| state.closed[0].push(verb));
    }

    /// From now on `verb` is done at once, but its caller hears of it only after [`Held::release`].
    ///
    /// ```
    /// # use session_core::{MemoryStore, SessionStore, Verb};
    /// # use session_testing::stores::Held;
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let store = Held::new(MemoryStore::new());
    /// store.after_it(Verb::Sweep);
    /// tokio::select! { biased;
    ///     _ = store.sweep(10) => unreachable!("it is held up"),
    ///     () = store.reached(Verb::Sweep) => {}
    /// }
    /// assert_eq!(store.done(), [Verb::Sweep]);
    /// # });
    /// ```
    pub fn after_it(&self, verb: Verb) {
        self.state.send_modify(|state| state.closed[1].push(verb));
    }

    /// Everything goes on, and nothing is held up any more.
    ///
    /// ```
    /// # use session_core::{MemoryStore, SessionStore, Verb};
    /// # use session_testing::stores::Held;
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let store = Held::new(MemoryStore::new());
    /// store.before_it(Verb::Sweep);
    /// store.release();
    /// assert!(store.sweep(10).await.is_ok());
    /// # });
    /// ```
    pub fn release(&self) {
        self.state.send_modify(|state| state.closed = Default::default());
    }

    /// Waits until somebody's `verb` is held up.
    ///
    /// ```
    /// # use session_core::{MemoryStore, SessionStore, Verb};
    /// # use session_testing::stores::Held;
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let store = Held::new(MemoryStore::new());
    /// store.before_it(Verb::Sweep);
    /// let sweeping = store.clone();
    /// let sweeping = tokio::spawn(async move { sweeping.sweep(10).await });
    /// store.reached(Verb::Sweep).await;
    /// store.release();
    /// assert!(sweeping.await.unwrap().is_ok());
    /// # });
    /// ```
    pub async fn reached(&self, verb: Verb) {
        self.until(|state| state.waiting.contains(&verb)).await;
    }

    /// What it was asked for, in order.
    ///
    /// ```
    /// # use session_core::{MemoryStore, SessionStore, Verb};
    /// # use session_testing::stores::Held;
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let store = Held::new(MemoryStore::new());
    /// store.sweep(10).await.unwrap();
    /// assert_eq!(store.begun(), [Verb::Sweep]);
    /// # });
    /// ```
    #[must_use]
    pub fn begun(&self) -> Vec<Verb> {
        self.state.borrow().begun.clone()
    }

    /// What the wrapped store has done without an error, in order.
    ///
    /// ```
    /// # use session_core::{MemoryStore, SessionStore, Verb};
    /// # use session_testing::stores::Held;
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let store = Held::new(MemoryStore::new());
    /// store.sweep(10).await.unwrap();
    /// assert_eq!(store.done(), [Verb::Sweep]);
    /// # });
    /// ```
    #[must_use]
    pub fn done(&self) -> Vec<Verb> {
        self.state.borrow().done.clone()
    }

    /// Forgets what it wrote down, and returns what it was asked for.
    ///
    /// ```
    /// # use session_core::{MemoryStore, SessionStore, Verb};
    /// # use session_testing::stores::Held;
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let store = Held::new(MemoryStore::new());
    /// store.sweep(10).await.unwrap();
    /// assert_eq!(store.forget(), [Verb::Sweep]);
    /// assert!(store.begun().is_empty() && store.done().is_empty());
    /// # });
    /// ```
    pub fn forget(&self) -> Vec<Verb> {
        let mut begun = Vec::new();
        self.state.send_modify(|state| {
            state.done.clear();
            begun = std::mem::take(&mut state.begun);
        });
        begun
    }

    async fn pass(&self, verb: Verb, side: usize) {
        if !self.state.borrow().closed[side].contains(&verb) {
            return;
        }
        self.state.send_modify(|state| state.waiting.push(verb));
        let _waiting = Waiting(&self.state, verb);
        self.until(|state| !state.closed[side].contains(&verb)).await;
    }

    async fn until(&self, is_so: impl FnMut(&State) -> bool) {
        // It fails only when the sender is gone, which is here.
        let _ = self.state.subscribe().wait_for(is_so).await;
    }
}

/// Somebody who waits, or gives it up.
struct Waiting<'a>(&'a watch::Sender<State>, Verb);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|state| {
            let place = state.waiting.iter().position(|verb| *verb == self.1);
            place.map(|place| state.waiting.swap_remove(place));
        });
    }
}

impl<S: SessionStore> Decorator for Held<S> {
    type Inner = S;

    fn inner(&self) -> &S {
        &self.inner
    }

    async fn around<T: Send>(
        &self,
        verb: Verb,
        operation: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.state.send_modify(|state| state.begun.push(verb));
        self.pass(verb, 0).await;
        let outcome = operation.await;
        if outcome.is_ok() {
            self.state.send_modify(|state| state.done.push(verb));
        }
        self.pass(verb, 1).await;
        outcome
    }
}

#[cfg(test)]
mod tests {
    use session_core::MemoryStore;

    use super::*;
    use crate::stores::tests::ask;

    #[tokio::test]
    async fn just_the_verb_that_was_named_is_held_up_on_either_side() {
        for verb in Verb::ALL {
            let store = Held::new(MemoryStore::new());
            store.before_it(verb);
            store.after_it(verb);
            let begun = Verb::ALL[..=verb as usize].to_vec();
            for done in [&begun[..verb as usize], &begun] {
                let asked = tokio::spawn({
                    let store = store.clone();
                    async move { ask(&store).await }
                });
                store.reached(verb).await;
                assert_eq!((store.begun(), store.done()), (begun.clone(), done.to_vec()));
                asked.abort();
                asked.await.unwrap_err();
                assert!(store.state.borrow().waiting.is_empty());
                store.release();
                store.forget();
                store.after_it(verb);
            }
            store.release();
            assert_eq!(ask(&store).await, []);
        }
    }
}
