//! What goes with a request in Rocket's request-local cache.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rocket::Request;
use session_core::{CloseFuture, RequestHead, SessionManager, Slot};
use tokio::runtime::Handle;

/// A request's slot, as soon as somebody asked for the session.
#[derive(Default)]
pub(crate) struct Local(Mutex<State>);

#[derive(Default)]
struct State {
    slot: Option<Slot>,
    answered: bool,
}

impl Local {
    pub(crate) fn of<'r>(request: &'r Request<'_>) -> &'r Self {
        request.local_cache(Self::default)
    }

    /// Clones of a local request share one cache, and are dispatched one after another all the same.
    pub(crate) fn begin(&self) {
        let mut state = self.state();
        if state.answered {
            *state = State::default();
        }
    }

    pub(crate) fn open(&self, request: &Request<'_>, manager: &SessionManager) -> Slot {
        let mut state = self.state();
        let slot = state.slot.get_or_insert_with(|| manager.open(&Head(request))).clone();
        // Who asks for the first time while the body is sent is told that the session is closed.
        if state.answered {
            drop(slot.abandon());
        }
        slot
    }

    pub(crate) fn end(&self) -> Option<Slot> {
        let mut state = self.state();
        state.answered = true;
        state.slot.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request may end without passing our `on_response`: a local client that drops it, a fairing that panics, a page for a
/// request that Rocket couldn't parse. Its changes are lost then, and its logout is carried out all the same.
impl Drop for Local {
    fn drop(&mut self) {
        if let Some(close) = self.state().slot.take().and_then(|slot| slot.abandon()) {
            drop(detach(close));
        }
    }
}

/// Runs the future to its end in a task of its own, so that nobody who drops the request can tear a write in two.
pub(crate) fn detach(close: CloseFuture) -> CloseFuture {
    let Ok(runtime) = Handle::try_current() else { return close };
    CloseFuture::from_task(runtime.spawn(close))
}

/// The head of a request.
pub(crate) struct Head<'a, 'r>(pub(crate) &'a Request<'r>);

impl RequestHead for Head<'_, '_> {
    fn method(&self) -> &str {
        self.0.method().as_str()
    }

    fn authority(&self) -> Option<String> {
        self.0.host().map(ToString::to_string)
    }

    fn each(&self, name: &str, line: &mut dyn FnMut(&[u8])) {
        let mut written = self.0.headers().get(name).peekable();
        // Local clients put cookies into the jar and write no header. From the network the jar is never asked: it
        // decodes names and knows one cookie of a name only.
        let in_jar = name == "cookie" && written.peek().is_none();
        written.for_each(|value| line(value.as_bytes()));
        if in_jar {
            let cookies = self.0.cookies().iter();
            cookies.for_each(|cookie| line(format!("{}={}", cookie.name(), cookie.value()).as_bytes()));
        }
    }
}
