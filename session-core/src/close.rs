//! The end of a request's session: decided at once, or a future that has to be run to its end.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use sync_wrapper::SyncFuture;

use crate::error::Error;
use crate::head::Effects;

/// What [`Slot::close`](crate::Slot::close) decided.
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
pub struct CloseFuture(SyncFuture<Pin<Box<dyn Future<Output = Effects> + Send>>>);

impl CloseFuture {
    pub(crate) fn new(future: impl Future<Output = Effects> + Send + 'static) -> Self {
        Self(SyncFuture::new(Box::pin(future)))
    }

    /// The future of a task that runs a `CloseFuture`; an `Err` means that the task was ended before it finished.
    ///
    /// See [`Door`](crate::Door) for an example.
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
