//! Sessions for [actix-web](https://docs.rs/actix-web): one middleware, and a [`Session`] that handlers take as an
//! argument.
//!
//! ```
//! use actix_web::{App, HttpServer, web};
//! use session_actix::{KeyRing, MemoryStore, Session, SessionManager, SessionMiddleware};
//!
//! async fn visit(session: Session) -> Result<String, session_actix::Error> {
//!     let visits = session.update("visits", |visits: &mut u64| *visits += 1)?;
//!     Ok(format!("visit {visits}"))
//! }
//!
//! # fn main() -> Result<(), session_actix::ConfigError> {
//! let manager = SessionManager::stored(MemoryStore::new(), KeyRing::from_env_or_random("SESSION_SECRET")?).build()?;
//! let server = HttpServer::new(move || {
//!     App::new().route("/", web::get().to(visit)).wrap(SessionMiddleware::new(manager.clone()))
//! });
//! # Ok(()) }
//! ```
//!
//! # Where to put it
//!
//! Make one manager outside the factory and clone it into each `App`, as above. The factory runs once for every worker:
//! a manager made inside it would give each of them a memory store, and perhaps a random secret, of its own.
//!
//! The last `.wrap(…)` of an `App` is the outermost. Put the sessions last: the middlewares wrapped before it are inside
//! and have the session too, through [`SessionExt`], and what they answer, errors included, keeps the session's cookie.
//! Whether such an error is a 5xx, which drops the changes, is what its `status_code()` says.
//!
//! A session error that replaces a response leaves the middleware as `Err`, as actix-web's own errors do; its `Logger`
//! writes no line for those when it is outside, and the status before the replacement when it is inside.
//!
//! # Protection
//!
//! [`SessionManagerBuilder::refuse_cross_origin`] refuses `POST` and other changing requests from other sites' pages with 403,
//! before any handler runs; [`SessionMiddleware::on_error`] makes the page.
//! [`SessionManagerBuilder::bind_user_agent`] notices a session that turns up in another browser. Both are off until you
//! ask for them.
//!
//! A form carries a token of its session back, which [`Session::verify_csrf`](session_core::Session::verify_csrf) checks; scripts
//! send it in the header [`CSRF_HEADER`]:
//!
//! ```
//! use actix_web::web::{self, Form, Html};
//! use serde::Deserialize;
//! use session_actix::Session;
//!
//! #[derive(Deserialize)]
//! struct Order {
//!     item: String,
//!     csrf_token: String,
//! }
//!
//! async fn form(session: Session) -> Result<Html, session_actix::Error> {
//!     let field = format!(r#"<input type="hidden" name="csrf_token" value="{}">"#, session.csrf_token()?);
//!     Ok(Html::new(format!(r#"<form method="post"><input name="item">{field}</form>"#)))
//! }
//!
//! async fn order(session: Session, form: Form<Order>) -> Result<String, session_actix::Error> {
//!     session.verify_csrf(&form.csrf_token)?;
//!     Ok(format!("ordered {}", form.item))
//! }
//!
//! let routes = web::resource("/").get(form).post(order);
//! ```
//!
//! # When the client leaves
//!
//! | over HTTP/1 | the handler | what it changed | its logout |
//! | --- | --- | --- | --- |
//! | the client closes or half-closes the connection | runs to its end | is saved | is carried out |
//! | the client resets the connection | is dropped where it waits | is lost | is carried out |
//! | the handler panics | ends, and the connection with it | is lost | is carried out |
//!
//! A write that has begun is finished in all these cases. Work that must survive a reset calls
//! [`Session::save`](session_core::Session::save), or goes into a task of its own.
//!
//! # Testing your application
//!
//! [`visitor::cookie`](https://docs.rs/session-testing/latest/session_testing/visitor/fn.cookie.html) of the crate
//! `session-testing` makes a visitor who is logged in:
//!
//! ```
//! use actix_web::{App, test, web};
//! use session_actix::{KeyRing, MemoryStore, Secret, Session, SessionManager, SessionMiddleware};
//! use session_testing::visitor;
//!
//! async fn greet(session: Session) -> String {
//!     format!("welcome {}", session.subject().unwrap_or_else(|| "stranger".to_owned()))
//! }
//!
//! # actix_web::rt::System::new().block_on(async {
//! let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
//! let sessions = SessionMiddleware::new(manager.clone());
//! let app = test::init_service(App::new().route("/", web::get().to(greet)).wrap(sessions)).await;
//!
//! let cookie = visitor::cookie(&manager, |session| session.login("ada")).await?;
//! let request = test::TestRequest::get().insert_header(("cookie", cookie)).to_request();
//! assert_eq!(test::call_and_read_body(&app, request).await, "welcome ada");
//! # Ok::<(), session_core::Error>(()) }).unwrap();
//! ```

use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use session_core::Slot;

mod middleware;

use crate::middleware::status;

pub use session_core::{
    CSRF_FIELD, CSRF_HEADER, ConfigError, Device, Event, Fingerprint, Flash, FlashLevel, Handle, Happening, KeyRing,
    Login, MemoryStore, Observer, Revocation, SameSite, Secret, SessionKey, SessionManager, SessionManagerBuilder,
    Settings, SubjectLimit, UserAgentBinding,
};

pub use crate::middleware::{SessionMiddleware, SessionService};

/// The visitor's session, loaded when the handler is called. All its methods are those of
/// [`session_core::Session`].
///
/// Without a [`SessionMiddleware`] the request fails with 500, and the log says which line to add. While the store is
/// down it fails with 503, also for `Option<Session>` and `Result<Session, Error>`: the handler is called then, as
/// actix-web has it, but its answer is replaced. So a `None` whose answer arrives means that there is no middleware.
#[derive(Clone, Debug)]
pub struct Session(session_core::Session);

impl Deref for Session {
    type Target = session_core::Session;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl FromRequest for Session {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Error>> + Send>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        request.session()
    }
}

/// The visitor's session read as a struct `T`, whose fields are the session's keys; written through
/// [`update`](session_core::Typed::update). See [`session_core::Typed`].
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use session_actix::Typed;
///
/// #[derive(Default, Serialize, Deserialize)]
/// struct Visitor {
///     visits: u32,
/// }
///
/// #[actix_web::get("/")]
/// async fn visit(mut visitor: Typed<Visitor>) -> Result<String, session_actix::Error> {
///     visitor.update(|visitor| visitor.visits += 1)?;
///     Ok(format!("visit {}", visitor.visits))
/// }
/// ```
#[derive(Debug)]
pub struct Typed<T>(session_core::Typed<T>);

impl<T> Deref for Typed<T> {
    type Target = session_core::Typed<T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T> DerefMut for Typed<T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<T: Serialize + DeserializeOwned + Default + 'static> FromRequest for Typed<T> {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Error>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let session = request.session();
        Box::pin(async move { Ok(Self(session.await?.typed()?)) })
    }
}

/// The messages that earlier requests left with [`flash`](session_core::Session::flash), taken out of the session to be shown
/// now, once.
///
/// ```
/// use actix_web::{HttpResponse, get, http::header::LOCATION, post};
/// use session_actix::{FlashLevel, Flashes, Session};
///
/// #[post("/buy")]
/// async fn buy(session: Session) -> Result<HttpResponse, session_actix::Error> {
///     session.flash(FlashLevel::Success, "Bought.")?;
///     Ok(HttpResponse::SeeOther().insert_header((LOCATION, "/")).finish())
/// }
///
/// #[get("/")]
/// async fn page(Flashes(messages): Flashes) -> String {
///     messages.into_iter().map(|message| format!("{}: {}\n", message.level.name(), message.text)).collect()
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Flashes(pub Vec<Flash>);

impl FromRequest for Flashes {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Error>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let session = request.session();
        Box::pin(async move { Ok(Self(session.await?.flashes()?)) })
    }
}

/// The session for those who have a request and are no handler: other middlewares, inside the [`SessionMiddleware`].
///
/// ```
/// use actix_web::body::BoxBody;
/// use actix_web::dev::{ServiceRequest, ServiceResponse};
/// use actix_web::middleware::{Next, from_fn};
/// use actix_web::{App, Error, error::ErrorUnauthorized, test, web};
/// use session_actix::{KeyRing, MemoryStore, Secret, SessionExt, SessionManager, SessionMiddleware};
///
/// async fn members(request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse<BoxBody>, Error> {
///     if request.session().await?.subject().is_none() {
///         return Err(ErrorUnauthorized("log in first"));
///     }
///     next.call(request).await
/// }
///
/// # actix_web::rt::System::new().block_on(async {
/// let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build()?;
/// let app = test::init_service(
///     App::new()
///         .route("/", web::get().to(|| async { "welcome" }))
///         .wrap(from_fn(members))
///         .wrap(SessionMiddleware::new(manager)),
/// ).await;
/// let refused = test::try_call_service(&app, test::TestRequest::get().to_request()).await.unwrap_err();
/// assert_eq!(refused.to_string(), "log in first");
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
pub trait SessionExt {
    /// The session of this request. The future holds nothing of the request, which must not be cloned and kept while
    /// the services inside are called: actix-web would panic.
    ///
    /// # Errors
    /// [`NotInstalled`](session_core::Error::NotInstalled) outside the middleware; otherwise as [`Slot::load`].
    fn session(&self) -> Pin<Box<dyn Future<Output = Result<Session, Error>> + Send>>;
}

impl<M: HttpMessage> SessionExt for M {
    fn session(&self) -> Pin<Box<dyn Future<Output = Result<Session, Error>> + Send>> {
        // Cloned here, so that no borrow of the extensions lives on in the future.
        let slot = self.extensions().get::<Slot>().cloned();
        Box::pin(async move {
            match slot {
                Some(slot) => Ok(Session(slot.load().await?)),
                None => Err(Error(session_core::Error::NotInstalled(
                    "no SessionMiddleware on this route: add .wrap(SessionMiddleware::new(manager.clone())) to its App",
                ))),
            }
        })
    }
}

/// A session error as a response: its status and an empty body, or what [`SessionMiddleware::on_error`] makes of it.
///
/// ```
/// use actix_web::ResponseError;
/// let error = session_actix::Error::from(session_core::Error::Gone);
/// assert_eq!(error.error_response().status(), 409);
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(#[from] session_core::Error);

impl Deref for Error {
    type Target = session_core::Error;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        status(self.0.status())
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(status(self.0.answer()))
    }
}
