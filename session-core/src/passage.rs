//! The way through a door for frameworks whose middleware is a future around a future (tower, actix-web).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::close::{Close, CloseFuture};
use crate::error::Error;
use crate::head::Effects;
use crate::slot::Slot;

/// What a framework's door knows that core doesn't. `Out` is what its inner service returns.
///
/// ```
/// use session_core::{CloseFuture, Door, Effects, Error, Passage};
/// # use session_core::{KeyRing, MemoryStore, RequestHead, Secret, SessionManager};
/// # struct NoHeaders;
/// # impl RequestHead for NoHeaders {
/// #     fn method(&self) -> &str { "GET" }
/// #     fn each(&self, _: &str, _: &mut dyn FnMut(&[u8])) {}
/// # }
///
/// /// Of a framework whose responses are a status and nothing else.
/// struct Bare;
/// impl Door<u16> for Bare {
///     fn status(out: &u16) -> Option<u16> {
///         Some(*out)
///     }
///     fn refuse(&self, error: Error) -> u16 {
///         error.status()
///     }
///     fn finish(&self, out: u16, effects: Effects) -> u16 {
///         effects.failure().map_or(out, Error::status)
///     }
///     fn detach(close: CloseFuture) -> CloseFuture {
///         CloseFuture::from_task(tokio::spawn(close))
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
/// let slot = manager.open(&NoHeaders);
/// let session = slot.clone();
/// let handler = async move { session.load().await.and_then(|session| session.login("ada")).map_or(500, |()| 200) };
/// assert_eq!(Passage::new(handler, slot, Bare).await, 200);
/// assert_eq!(manager.sessions_of("ada").await?.len(), 1);
///
/// assert_eq!(Passage::bypass(async { 404 }, Bare).await, 404);
/// assert_eq!(Passage::<std::future::Ready<u16>, _>::refused(Error::CrossOrigin, Bare).await, 403);
/// # Ok::<(), Error>(()) }).unwrap();
/// ```
pub trait Door<Out> {
    /// The status of the response, or `None` if the service failed and there is no response.
    fn status(out: &Out) -> Option<u16>;

    /// The answer to a request that isn't let in: nobody else is asked for one.
    fn refuse(&self, error: Error) -> Out;

    /// Puts the effects on the response, or an error in its place.
    fn finish(&self, out: Out, effects: Effects) -> Out;

    /// Runs the future to its end in a task of its own, so that a client who leaves can't tear a write in two. On tokio
    /// that is `CloseFuture::from_task(tokio::spawn(close))`, or `close` itself where there is no runtime.
    fn detach(close: CloseFuture) -> CloseFuture;
}

pin_project! {
    /// A handler's future, with the session opened before and closed after it.
    ///
    /// If it is dropped before the handler answered (a client that left, a panic), the handler's changes are lost,
    /// and its logout is carried out all the same.
    #[must_use = "futures do nothing unless polled"]
    pub struct Passage<F, D>
    where
        F: Future,
        D: Door<F::Output>,
    {
        #[pin]
        handler: Option<F>,
        slot: Option<Slot>,
        door: D,
        refused: Option<Box<Error>>,
        // Seldom and large, so boxed: a passage is moved with each request.
        closing: Option<Box<(F::Output, CloseFuture)>>,
    }

    impl<F, D> PinnedDrop for Passage<F, D>
    where
        F: Future,
        D: Door<F::Output>,
    {
        fn drop(this: Pin<&mut Self>) {
            if let Some(close) = this.project().slot.take().and_then(|slot| slot.abandon()) {
                drop(D::detach(close));
            }
        }
    }
}

impl<F: Future, D: Door<F::Output>> Passage<F, D> {
    /// The way of a request whose session is in `slot`.
    ///
    /// See [`Door`] for an example.
    pub const fn new(handler: F, slot: Slot, door: D) -> Self {
        Self { handler: Some(handler), slot: Some(slot), door, refused: None, closing: None }
    }

    /// The way of a request that somebody else opens and closes.
    ///
    /// See [`Door`] for an example.
    pub const fn bypass(handler: F, door: D) -> Self {
        Self { handler: Some(handler), slot: None, door, refused: None, closing: None }
    }

    /// The way of a request that ends at the door, as [`SessionManager::refuses`](crate::SessionManager::refuses) says.
    ///
    /// See [`Door`] for an example.
    pub fn refused(error: Error, door: D) -> Self {
        Self { handler: None, slot: None, door, refused: Some(Box::new(error)), closing: None }
    }
}

impl<F: Future, D: Door<F::Output>> Future for Passage<F, D> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(error) = this.refused.take() {
            return Poll::Ready(this.door.refuse(*error));
        }
        if let Some(handler) = this.handler.as_mut().as_pin_mut() {
            let out = ready!(handler.poll(cx));
            // What the handler's frame holds (locks, connections) is free before the store is written.
            this.handler.set(None);
            let Some(slot) = this.slot.take() else { return Poll::Ready(out) };
            let Some(status) = D::status(&out) else {
                if let Some(close) = slot.abandon() {
                    drop(D::detach(close));
                }
                return Poll::Ready(out);
            };
            match slot.close(status) {
                Close::Untouched => return Poll::Ready(out),
                Close::Ready(effects) => return Poll::Ready(this.door.finish(out, effects)),
                Close::Io(close) => *this.closing = Some(Box::new((out, D::detach(close)))),
            }
        }
        let mut closing = this.closing.take().expect("a passage is not polled after it was ready");
        match Pin::new(&mut closing.1).poll(cx) {
            Poll::Ready(effects) => Poll::Ready(this.door.finish(closing.0, effects)),
            Poll::Pending => {
                *this.closing = Some(closing);
                Poll::Pending
            }
        }
    }
}

impl<F: Future, D: Door<F::Output>> fmt::Debug for Passage<F, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passage(…)")
    }
}
