//! One request's place for its session: empty until somebody asks, decided when the response is.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::OnceCell;

use crate::cookie::CookieLines;
use crate::error::Error;
use crate::head::Effects;
use crate::manager::SessionManager;
use crate::plan::Answer;
use crate::session::Session;

/// Goes with a request, in its extensions or its local cache. Clones are the same slot.
///
/// ```
/// use session_core::{Close, KeyRing, MemoryStore, RequestHead, Secret, SessionManager};
///
/// struct NoHeaders;
/// impl RequestHead for NoHeaders {
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
    manager: SessionManager,
    cookies: CookieLines,
    session: OnceCell<Result<Session, Error>>,
    closed: AtomicBool,
}

impl Slot {
    pub(crate) fn new(manager: SessionManager, cookies: CookieLines) -> Self {
        Self(Arc::new(Inner { manager, cookies, session: OnceCell::new(), closed: AtomicBool::new(false) }))
    }

    /// Whose slot this is: a door that meets one of its own manager has been installed twice.
    #[must_use]
    pub fn manager(&self) -> &SessionManager {
        &self.0.manager
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
            session.shut();
        }
        session.clone()
    }

    async fn read(&self) -> Result<Session, Error> {
        let machine = self.0.manager.machine();
        let tokens = machine.open_tokens(&self.0.cookies);
        let base = if tokens.is_empty() { Ok(None) } else { exclusive(machine.find(tokens)).await };
        match base {
            Ok(base) => Ok(Session::new(Arc::clone(machine), base)),
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
            Some(Ok(session)) => session.close(Answer::from(status)),
            Some(Err(error)) => Close::Ready(error.clone().into()),
        }
    }

    /// For a request that gets no response. What is left to do then is a logout; run it to its end.
    #[must_use]
    pub fn abandon(&self) -> Option<CloseFuture> {
        self.0.closed.store(true, Ordering::SeqCst);
        self.0.session.get()?.as_ref().ok()?.abandon()
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("session", &self.0.session.get()).finish_non_exhaustive()
    }
}

/// What [`Slot::close`] decided.
#[derive(Debug)]
#[must_use = "the session is only written, and its cookie only sent, when this is followed"]
pub enum Close {
    /// Nobody looked at the session: leave the response as it is.
    Untouched,
    /// Decided, and done.
    Ready(Effects),
    /// The store is not ready yet. Run this to its end, even if the client leaves.
    Io(CloseFuture),
}

/// Writes the session to its store.
#[must_use = "futures do nothing unless polled"]
pub struct CloseFuture(Exclusive<'static, Effects>);

impl CloseFuture {
    pub(crate) fn new(future: impl Future<Output = Effects> + Send + 'static) -> Self {
        Self(exclusive(future))
    }

    /// The future of a task that runs a `CloseFuture`; an `Err` means that the task was ended before it finished.
    ///
    /// See [`Door::detach`](crate::Door::detach).
    pub fn from_task<E>(task: impl Future<Output = Result<Effects, E>> + Send + 'static) -> Self {
        Self::new(async {
            task.await.unwrap_or_else(|_| {
                Error::Interrupted.log();
                Error::Interrupted.into()
            })
        })
    }

    /// Polls once: a store that answers at once costs no task.
    pub(crate) fn start(mut self) -> Close {
        match Pin::new(&mut self).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(effects) => Close::Ready(effects),
            Poll::Pending => Close::Io(self),
        }
    }
}

impl Future for CloseFuture {
    type Output = Effects;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Effects> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl fmt::Debug for CloseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CloseFuture(…)")
    }
}

/// A `Send` future that is also `Sync`, as streams in some frameworks' bodies have to be: polling takes `&mut`, so the
/// mutex is never locked.
pub(crate) struct Exclusive<'a, T>(Mutex<Pin<Box<dyn Future<Output = T> + Send + 'a>>>);

pub(crate) fn exclusive<'a, T>(future: impl Future<Output = T> + Send + 'a) -> Exclusive<'a, T> {
    Exclusive(Mutex::new(Box::pin(future)))
}

impl<T> Future for Exclusive<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).as_mut().poll(cx)
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
