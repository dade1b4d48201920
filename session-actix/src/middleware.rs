//! The middleware: the door between actix-web's services and the sessions.

use std::borrow::Cow;
use std::fmt;
use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpMessage, HttpResponse};
use session_core::{CloseFuture, Door, Effects, Error, Passage, RequestHead, ResponseHead, SessionManager, Slot};
use tokio::runtime::Handle;

/// Brings sessions to the services inside it.
///
/// ```
/// use actix_web::{App, test, web};
/// use session_actix::{Error, KeyRing, MemoryStore, Secret, Session, SessionManager, SessionMiddleware};
///
/// async fn visit(session: Session) -> Result<&'static str, Error> {
///     session.insert("n", 1)?;
///     Ok("welcome")
/// }
///
/// # actix_web::rt::System::new().block_on(async {
/// let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build()?;
/// let app = test::init_service(
///     App::new().route("/", web::get().to(visit)).wrap(SessionMiddleware::new(manager)),
/// ).await;
/// let response = test::call_service(&app, test::TestRequest::get().to_request()).await;
/// assert!(response.headers().contains_key("set-cookie"));
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct SessionMiddleware {
    manager: SessionManager,
    answer: Arc<dyn Fn(&Error) -> HttpResponse + Send + Sync>,
}

impl SessionMiddleware {
    /// A middleware that answers session errors with their status and an empty body.
    ///
    /// See [`SessionMiddleware`] for an example.
    #[must_use]
    pub fn new(manager: SessionManager) -> Self {
        Self { manager, answer: Arc::new(|error| HttpResponse::new(status(error.status()))) }
    }

    /// Answers session errors with `answer(&error)` instead: where the session could not be loaded or saved, where
    /// a handler returned the adapter's own error, and where a request from another site was refused.
    ///
    /// ```
    /// use actix_web::HttpResponse;
    /// # use session_actix::{KeyRing, MemoryStore, Secret, SessionManager, SessionMiddleware};
    /// # let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build()?;
    ///
    /// let sessions = SessionMiddleware::new(manager)
    ///     .on_error(|_| HttpResponse::ServiceUnavailable().body("Please come back in a minute."));
    /// # assert!(format!("{sessions:?}").starts_with("SessionMiddleware"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn on_error(self, answer: impl Fn(&Error) -> HttpResponse + Send + Sync + 'static) -> Self {
        Self { answer: Arc::new(answer), ..self }
    }
}

impl From<SessionManager> for SessionMiddleware {
    fn from(manager: SessionManager) -> Self {
        Self::new(manager)
    }
}

impl<S, B> Transform<S, ServiceRequest> for SessionMiddleware
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Transform = SessionService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(SessionService { inner, middleware: self.clone() }))
    }
}

impl fmt::Debug for SessionMiddleware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionMiddleware").field("manager", &self.manager).finish_non_exhaustive()
    }
}

/// A service with sessions. Made by [`SessionMiddleware`].
#[derive(Clone, Debug)]
pub struct SessionService<S> {
    inner: S,
    middleware: SessionMiddleware,
}

impl<S, B> Service<ServiceRequest> for SessionService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Passage<S::Future, SessionMiddleware>;

    forward_ready!(inner);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let door = self.middleware.clone();
        if request.extensions().get::<Slot>().is_some_and(|slot| door.manager.opened(slot)) {
            return Passage::bypass(self.inner.call(request), door);
        }
        let head = Head(&request);
        if let Some(error) = door.manager.refuses(&head) {
            return Passage::refused(error, door);
        }
        let slot = door.manager.open(&head);
        request.extensions_mut().insert(slot.clone());
        Passage::new(self.inner.call(request), slot, door)
    }
}

impl<B> Door<Result<ServiceResponse<B>, actix_web::Error>> for SessionMiddleware {
    fn status(out: &Result<ServiceResponse<B>, actix_web::Error>) -> Option<u16> {
        // A handler's error is a response by now. An `Err` is another middleware's, and will be one: it may only be
        // rendered once, which `finish` does.
        let status = match out {
            Ok(response) => response.status(),
            Err(error) => error.as_response_error().status_code(),
        };
        Some(status.as_u16())
    }

    fn refuse(&self, error: Error) -> Result<ServiceResponse<B>, actix_web::Error> {
        let response = (self.answer)(&error);
        Err(with(&Effects::from(error.clone()), response, crate::Error::from(error)))
    }

    fn finish(
        &self,
        out: Result<ServiceResponse<B>, actix_web::Error>,
        effects: Effects,
    ) -> Result<ServiceResponse<B>, actix_web::Error> {
        let failed = Self::status(&out).is_some_and(|status| status >= 500);
        let cause = match &out {
            Ok(response) => response.response().error(),
            Err(error) => Some(error),
        };
        // What the handler answered stays, if it failed by itself and not by the session's own error.
        let error = effects.failure().filter(|_| !failed);
        let error = error.or_else(|| Some(&**cause?.as_error::<crate::Error>()?));
        if let Some(error) = error {
            return Err(with(&effects, (self.answer)(error), crate::Error::from(error.clone())));
        }
        match out {
            Ok(mut response) => {
                effects.apply(&mut Head(response.headers_mut()));
                Ok(response)
            }
            Err(error) => Err(with(&effects, error.error_response(), error)),
        }
    }

    fn detach(close: CloseFuture) -> CloseFuture {
        let Ok(runtime) = Handle::try_current() else { return close };
        CloseFuture::from_task(runtime.spawn(close))
    }
}

pub(crate) fn status(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The session's cookie on a response that travels as an error, whose cause it keeps.
fn with<E>(effects: &Effects, mut response: HttpResponse, cause: E) -> actix_web::Error
where
    E: fmt::Debug + fmt::Display + 'static,
{
    effects.apply(&mut Head(response.headers_mut()));
    InternalError::from_response(cause, response).into()
}

/// The head of a request or a response.
struct Head<T>(T);

impl RequestHead for Head<&ServiceRequest> {
    fn method(&self) -> &str {
        self.0.method().as_str()
    }

    fn authority(&self) -> Option<String> {
        self.0.uri().authority().map(ToString::to_string)
    }

    fn each(&self, name: &str, line: &mut dyn FnMut(&[u8])) {
        self.0.headers().get_all(name).for_each(|value| line(value.as_bytes()));
    }
}

impl ResponseHead for Head<&mut HeaderMap> {
    fn each(&self, name: &str, line: &mut dyn FnMut(&[u8])) {
        self.0.get_all(name).for_each(|value| line(value.as_bytes()));
    }

    fn append(&mut self, name: &'static str, value: Cow<'static, str>) {
        let value = match value {
            Cow::Borrowed(value) => HeaderValue::from_static(value),
            Cow::Owned(value) => HeaderValue::try_from(value).expect("core writes visible ASCII only"),
        };
        self.0.append(HeaderName::from_static(name), value);
    }

    fn retain(&mut self, name: &'static str, keep: &mut dyn FnMut(&[u8]) -> bool) {
        self.0.retain(|key, value| key != name || keep(value.as_bytes()));
    }
}
