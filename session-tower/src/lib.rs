//! Sessions for every [`tower`](https://docs.rs/tower) service over `http` 1.x: the door that `session-axum` and
//! `session-warp` stand on, and all there is to say for tonic or a service of your own.
//!
//! ```
//! use http::{Request, Response};
//! use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
//! use session_tower::{SessionLayer, session};
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
//! let service = ServiceBuilder::new().layer(SessionLayer::new(manager)).service_fn(|request: Request<String>| async move {
//!     session(request.extensions()).await?.insert("n", 1)?;
//!     Ok::<_, session_core::Error>(Response::new(String::new()))
//! });
//! let response = service.oneshot(Request::new(String::new())).await?;
//! assert!(response.headers().contains_key("set-cookie"));
//! # Ok::<(), session_core::Error>(()) }).unwrap();
//! ```

use std::borrow::Cow;
use std::fmt;
use std::task::{Context, Poll};

use http::header::{COOKIE, HeaderMap, HeaderName, HeaderValue, VARY};
use http::{Extensions, Request, Response, StatusCode};
use session_core::{
    CloseFuture, Door, Effects, Error, Passage, RequestHead, ResponseHead, Session, SessionManager, Slot,
};
use tokio::runtime::Handle;
use tower_layer::Layer;
use tower_service::Service;

/// Brings sessions to the services inside it.
#[derive(Clone)]
pub struct SessionLayer<A = DefaultAnswer> {
    manager: SessionManager,
    answer: A,
}

impl SessionLayer {
    /// A layer that answers session errors with their status and an empty body.
    ///
    /// ```
    /// use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// use session_tower::SessionLayer;
    ///
    /// let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
    /// let layer = SessionLayer::new(manager);
    /// assert!(format!("{layer:?}").starts_with("SessionLayer"));
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub const fn new(manager: SessionManager) -> Self {
        Self { manager, answer: DefaultAnswer }
    }
}

impl<A> SessionLayer<A> {
    /// Answers session errors with `answer(&error)` instead: where the session could not be loaded or saved, where
    /// a handler returned the adapter's own error, and where a request from another site was refused.
    ///
    /// ```
    /// use http::Response;
    /// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
    /// # use session_tower::SessionLayer;
    /// # let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
    ///
    /// let layer = SessionLayer::new(manager).on_error(|error| {
    ///     let page = Response::builder().status(error.status()).header("retry-after", "5");
    ///     page.body("Please come back in a minute.".to_owned()).unwrap_or_default()
    /// });
    /// # assert!(format!("{layer:?}").starts_with("SessionLayer"));
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn on_error<R, F: Fn(&Error) -> R>(self, answer: F) -> SessionLayer<F> {
        SessionLayer { manager: self.manager, answer }
    }
}

impl From<SessionManager> for SessionLayer {
    fn from(manager: SessionManager) -> Self {
        Self::new(manager)
    }
}

impl<S, A: Clone> Layer<S> for SessionLayer<A> {
    type Service = SessionService<S, A>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService { inner, layer: self.clone() }
    }
}

impl<A> fmt::Debug for SessionLayer<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayer").field("manager", &self.manager).finish_non_exhaustive()
    }
}

/// Turns an error into a response `R`. Functions from `&Error` to a response do.
///
/// ```
/// use http::Response;
/// use session_core::Error;
/// use session_tower::{Answer, DefaultAnswer};
///
/// let response: Response<String> = DefaultAnswer.answer(&Error::Gone);
/// assert_eq!((response.status().as_u16(), response.body().as_str()), (409, ""));
///
/// let page = |error: &Error| Response::new(format!("Sorry: {error}"));
/// assert!(page.answer(&Error::Gone).body().starts_with("Sorry"));
/// ```
pub trait Answer<R> {
    /// The response for `error`.
    fn answer(&self, error: &Error) -> R;
}

/// The error's status, nothing in the body.
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultAnswer;

impl<B: Default> Answer<Response<B>> for DefaultAnswer {
    fn answer(&self, error: &Error) -> Response<B> {
        let mut response = Response::new(B::default());
        *response.status_mut() = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response
    }
}

impl<R, F: Fn(&Error) -> R> Answer<R> for F {
    fn answer(&self, error: &Error) -> R {
        self(error)
    }
}

/// A service with sessions. Made by [`SessionLayer`].
#[derive(Clone, Debug)]
pub struct SessionService<S, A = DefaultAnswer> {
    inner: S,
    layer: SessionLayer<A>,
}

impl<S, A, In, Out> Service<Request<In>> for SessionService<S, A>
where
    S: Service<Request<In>, Response = Response<Out>>,
    A: Answer<Response<Out>> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Passage<S::Future, SessionLayer<A>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<In>) -> Self::Future {
        let door = self.layer.clone();
        let slot = door.manager.open(&Head(&request));
        let outer = request.extensions_mut().insert(slot.clone());
        if let Some(outer) = outer.filter(|outer| door.manager.opened(outer)) {
            request.extensions_mut().insert(outer);
            return Passage::bypass(self.inner.call(request), door);
        }
        if let Some(error) = door.manager.refuses(&Head(&request)) {
            return Passage::refused(error, door);
        }
        Passage::new(self.inner.call(request), slot, door)
    }
}

/// The session of a request that came through a [`SessionLayer`], from its extensions.
///
/// # Errors
/// [`Error::NotInstalled`] without the layer; otherwise as [`Slot::load`].
///
/// ```
/// use http::{Request, Response};
/// # use session_core::{Error, KeyRing, MemoryStore, Secret, SessionManager};
/// # use session_tower::{SessionLayer, session};
/// # use tower::{ServiceBuilder, ServiceExt};
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
///
/// let service = ServiceBuilder::new().layer(SessionLayer::new(manager)).service_fn(|request: Request<String>| async move {
///     Ok::<_, Error>(Response::new(session(request.extensions()).await?.is_new().to_string()))
/// });
/// assert_eq!(service.oneshot(Request::new(String::new())).await?.body(), "true");
///
/// let outside = Request::new(());
/// assert!(matches!(session(outside.extensions()).await, Err(Error::NotInstalled(_))));
/// # Ok::<(), Error>(()) }).unwrap();
/// ```
pub async fn session(extensions: &Extensions) -> Result<Session, Error> {
    match extensions.get::<Slot>() {
        Some(slot) => slot.clone().load().await,
        None => Err(Error::NotInstalled(
            "no SessionLayer on this service: add .layer(SessionLayer::new(manager)) around it",
        )),
    }
}

impl<B, E, A: Answer<Response<B>>> Door<Result<Response<B>, E>> for SessionLayer<A> {
    fn status(out: &Result<Response<B>, E>) -> Option<u16> {
        out.as_ref().ok().map(|response| response.status().as_u16())
    }

    fn refuse(&self, error: Error) -> Result<Response<B>, E> {
        let mut response = self.answer.answer(&error);
        Effects::from(error).apply(&mut Head(response.headers_mut()));
        Ok(response)
    }

    fn finish(&self, out: Result<Response<B>, E>, effects: Effects) -> Result<Response<B>, E> {
        let mut response = out?;
        // What the handler answered stays, if it failed by itself and not by the session's own error.
        let error = effects.failure().filter(|_| !response.status().is_server_error());
        let error = error.or_else(|| response.extensions().get::<Error>());
        if let Some(error) = error {
            response = self.answer.answer(error);
        }
        effects.apply(&mut Head(response.headers_mut()));
        Ok(response)
    }

    fn detach(close: CloseFuture) -> CloseFuture {
        let Ok(runtime) = Handle::try_current() else { return close };
        CloseFuture::from_task(runtime.spawn(close))
    }
}

/// The head of a request or a response.
struct Head<T>(T);

impl<B> RequestHead for Head<&Request<B>> {
    fn method(&self) -> &str {
        self.0.method().as_str()
    }

    fn authority(&self) -> Option<String> {
        self.0.uri().authority().map(ToString::to_string)
    }

    fn each(&self, name: &str, line: &mut dyn FnMut(&[u8])) {
        each(self.0.headers(), name, line);
    }
}

impl ResponseHead for Head<&mut HeaderMap> {
    fn each(&self, name: &str, line: &mut dyn FnMut(&[u8])) {
        each(self.0, name, line);
    }

    fn append(&mut self, name: &'static str, value: Cow<'static, str>) {
        let value = match value {
            Cow::Borrowed(value) => HeaderValue::from_static(value),
            Cow::Owned(value) => HeaderValue::try_from(value).expect("core writes visible ASCII only"),
        };
        self.0.append(header(name), value);
    }

    fn retain(&mut self, name: &'static str, keep: &mut dyn FnMut(&[u8]) -> bool) {
        let lines: Vec<_> = self.0.get_all(name).iter().filter(|value| keep(value.as_bytes())).cloned().collect();
        self.0.remove(name);
        lines.into_iter().for_each(|value| {
            self.0.append(HeaderName::from_static(name), value);
        });
    }
}

fn each(headers: &HeaderMap, name: &str, line: &mut dyn FnMut(&[u8])) {
    headers.get_all(header(name)).iter().for_each(|value| line(value.as_bytes()));
}

/// Those that are asked for with every request need not be looked up by their names.
fn header(name: &str) -> HeaderName {
    match name {
        "cookie" => COOKIE,
        "vary" => VARY,
        name => HeaderName::try_from(name).expect("core asks for names of headers"),
    }
}
