//! One request's place for its session: empty until somebody asks, decided when the response is.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sync_wrapper::SyncFuture;
use tokio::sync::OnceCell;

use crate::binding::Agent;
use crate::close::{Close, CloseFuture};
use crate::commit::Machine;
use crate::cookie::CookieLines;
use crate::error::Error;
use crate::plan::Answer;
use crate::session::Session;

/// Goes with a request, in its extensions or its local cache. Clones are the same slot.
///
/// ```
/// use session_core::{Close, KeyRing, MemoryStore, RequestHead, Secret, SessionManager};
///
/// struct NoHeaders;
/// impl RequestHead for NoHeaders {
///     fn method(&self) -> &str {
///         "GET"
///     }
///     fn each(&self, _: &str, _: &mut dyn FnMut(&[u8])) {}
/// }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
///
/// let slot = manager.open(&NoHeaders);
/// assert!(matches!(slot.close(200), Close::Untouched));
///
/// let slot = manager.open(&NoHeaders);
/// slot.load().await?.insert("n", 1)?;
/// assert!(matches!(slot.close(200), Close::Ready(_)));
/// # Ok::<(), session_core::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct Slot(Arc<Inner>);

struct Inner {
    machine: Arc<Machine>,
    cookies: CookieLines,
    agent: Agent,
    session: OnceCell<Result<Session, Error>>,
    closed: AtomicBool,
}

impl Slot {
    pub(crate) fn new(machine: Arc<Machine>, cookies: CookieLines, agent: Agent) -> Self {
        Self(Arc::new(Inner { machine, cookies, agent, session: OnceCell::new(), closed: AtomicBool::new(false) }))
    }

    pub(crate) fn machine(&self) -> &Arc<Machine> {
        &self.0.machine
    }

    /// The session of this request. The first call verifies the cookie and loads the record, with one read of the
    /// store unless several authentic cookies came; the others give the same session.
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed: remembered, so that the request fails even if somebody takes it for
    /// "no session". [`Error::Closed`] if the response was decided before anybody asked.
    pub async fn load(&self) -> Result<Session, Error> {
        let Inner { session, closed, .. } = &*self.0;
        if closed.load(Ordering::SeqCst) && !session.initialized() {
            return Err(Error::Closed);
        }
        let session = session.get_or_init(|| self.read()).await;
        // The response may have been decided while a task of the handler's was loading.
        if let (Ok(session), true) = (session, closed.load(Ordering::SeqCst)) {
            session.0.shut();
        }
        session.clone()
    }

    async fn read(&self) -> Result<Session, Error> {
        let machine = self.machine();
        let mut tokens = machine.open_tokens(&self.0.cookies);
        let base = if tokens.len() > 1 {
            SyncFuture::new(Box::pin(machine.find(tokens))).await
        } else if let Some(token) = tokens.pop() {
            // Nearly always, so this one isn't boxed.
            SyncFuture::new(machine.find_one(token)).await
        } else {
            Ok(None)
        };
        match base {
            Ok(base) => {
                let base = base.filter(|base| machine.admits(base, self.0.agent.as_deref()));
                let brought = self.0.cookies.brought(&machine.attributes);
                Ok(Session::new(Arc::clone(machine), base, brought, self.0.agent.clone()))
            }
            Err(error) => {
                error.log();
                Err(error)
            }
        }
    }

    /// Decides what happens to the session, now that the response has this status. Once: whoever writes to the
    /// session afterwards is told that it is closed.
    pub fn close(&self, status: u16) -> Close {
        self.0.closed.store(true, Ordering::SeqCst);
        match self.0.session.get() {
            None => Close::Untouched,
            Some(Ok(session)) => session.0.close(Answer::from(status)),
            Some(Err(error)) => Close::Ready(error.clone().into()),
        }
    }

    /// For a request that gets no response. What is left to do then is a logout; run it to its end.
    ///
    /// ```
    /// # use session_core::{KeyRing, MemoryStore, RequestHead, Secret, SessionManager};
    /// # struct NoHeaders;
    /// # impl RequestHead for NoHeaders {
    /// #     fn method(&self) -> &str { "GET" }
    /// #     fn each(&self, _: &str, _: &mut dyn FnMut(&[u8])) {}
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// # let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
    /// let slot = manager.open(&NoHeaders);
    /// slot.load().await?.insert("n", 1)?;
    /// assert!(slot.abandon().is_none(), "nobody logged out, and what was written is lost");
    /// # Ok::<(), session_core::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn abandon(&self) -> Option<CloseFuture> {
        self.0.closed.store(true, Ordering::SeqCst);
        self.0.session.get()?.as_ref().ok()?.0.abandon()
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("session", &self.0.session.get()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_public_future_is_send_and_sync() {
        fn check<T: Send + Sync>(_: T) {}
        fn futures(slot: &Slot, session: &Session, close: CloseFuture) {
            check(slot.load());
            check(session.save());
            check(close);
        }
        let _ = futures;
    }
}
