//! Sessions for [axum](https://docs.rs/axum): one layer, and a [`Session`] that handlers take as an argument.
//!
//! ```
//! use axum::{Router, routing::get};
//! use session_axum::{KeyRing, MemoryStore, Session, SessionLayer, SessionManager};
//!
//! async fn visit(session: Session) -> Result<String, session_axum::Error> {
//!     let visits = session.update("visits", |visits: &mut u64| *visits += 1)?;
//!     Ok(format!("visit {visits}"))
//! }
//!
//! # fn main() -> Result<(), session_axum::ConfigError> {
//! let manager = SessionManager::stored(MemoryStore::new(), KeyRing::from_env_or_random("SESSION_SECRET")?).build()?;
//! let app: Router = Router::new().route("/", get(visit)).layer(SessionLayer::new(manager));
//! # Ok(()) }
//! ```
//!
//! # Where to put it
//!
//! Routes added after `.layer(…)` have no session. What layers inside it answer, errors included, keeps the session's cookie.
//!
//! # Protection
//!
//! [`SessionManagerBuilder::refuse_cross_origin`] refuses `POST` and other changing requests from other sites' pages with 403,
//! before any handler runs; [`SessionLayer::on_error`] makes the page.
//! [`SessionManagerBuilder::bind_user_agent`] notices a session that turns up in another browser. Both are off until you
//! ask for them.
//!
//! A form carries a token of its session back, which [`Session::verify_csrf`](session_core::Session::verify_csrf) checks; scripts
//! send it in the header [`CSRF_HEADER`]:
//!
//! ```
//! use axum::{Form, Router, response::Html, routing::get};
//! use serde::Deserialize;
//! use session_axum::Session;
//!
//! #[derive(Deserialize)]
//! struct Order {
//!     item: String,
//!     csrf_token: String,
//! }
//!
//! async fn form(session: Session) -> Result<Html<String>, session_axum::Error> {
//!     let field = format!(r#"<input type="hidden" name="csrf_token" value="{}">"#, session.csrf_token()?);
//!     Ok(Html(format!(r#"<form method="post"><input name="item">{field}</form>"#)))
//! }
//!
//! async fn order(session: Session, Form(order): Form<Order>) -> Result<String, session_axum::Error> {
//!     session.verify_csrf(&order.csrf_token)?;
//!     Ok(format!("ordered {}", order.item))
//! }
//!
//! let app: Router = Router::new().route("/", get(form).post(order));
//! ```
//!
//! # When the client leaves
//!
//! A handler whose client leaves is dropped by axum and its changes with it, its logout excepted; long work calls
//! [`Session::save`](session_core::Session::save). What a handler has answered is stored even if the client leaves while the
//! store is at work.
//!
//! # Testing your application
//!
//! [`visitor::cookie`](https://docs.rs/session-testing/latest/session_testing/visitor/fn.cookie.html) of the crate
//! `session-testing` makes a visitor who is logged in:
//!
//! ```
//! use axum::{Router, body::Body, routing::get};
//! use http::Request;
//! use session_axum::{KeyRing, MemoryStore, Secret, Session, SessionLayer, SessionManager};
//! use session_testing::visitor;
//! use tower::ServiceExt;
//!
//! async fn greet(session: Session) -> String {
//!     format!("welcome {}", session.subject().unwrap_or_else(|| "stranger".to_owned()))
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
//! let app = Router::new().route("/", get(greet)).layer(SessionLayer::new(manager.clone()));
//!
//! let cookie = visitor::cookie(&manager, |session| session.login("ada")).await?;
//! let request = Request::get("/").header("cookie", cookie).body(Body::empty()).unwrap();
//! let response = app.oneshot(request).await.unwrap();
//! assert_eq!(axum::body::to_bytes(response.into_body(), 100).await.unwrap(), "welcome ada");
//! # Ok::<(), session_core::Error>(()) }).unwrap();
//! ```

use std::ops::{Deref, DerefMut};

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use session_core::{
    CSRF_FIELD, CSRF_HEADER, ConfigError, Device, Event, Fingerprint, Flash, FlashLevel, Handle, Happening, KeyRing,
    Login, MemoryStore, Observer, Revocation, SameSite, Secret, SessionKey, SessionManager, SessionManagerBuilder,
    Settings, SubjectLimit, UserAgentBinding,
};
pub use session_tower::SessionLayer;

/// The visitor's session, loaded when the handler is called. All its methods are those of
/// [`session_core::Session`].
///
/// Without a [`SessionLayer`] the request fails with 500, and the log says which line to add. While the store is down it
/// fails with 503, also for `Option<Session>`, which is `None` only where there is no layer.
///
/// ```
/// use axum::body::Body;
/// use axum::{Router, routing::get};
/// use http::Request;
/// use session_axum::{KeyRing, MemoryStore, Secret, Session, SessionLayer, SessionManager};
/// use tower::ServiceExt;
///
/// async fn greet(session: Session) -> String {
///     format!("welcome {}", session.subject().unwrap_or_else(|| "stranger".to_owned()))
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
/// let app = Router::new().route("/", get(greet)).layer(SessionLayer::new(manager));
/// let response = app.oneshot(Request::new(Body::empty())).await.unwrap();
/// assert_eq!(axum::body::to_bytes(response.into_body(), 100).await.unwrap(), "welcome stranger");
/// # Ok::<(), session_core::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Session(session_core::Session);

impl Deref for Session {
    type Target = session_core::Session;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Session {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        Ok(Self(session_tower::session(&parts.extensions).await?))
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Session {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Error> {
        match session_tower::session(&parts.extensions).await {
            Ok(session) => Ok(Some(Self(session))),
            Err(session_core::Error::NotInstalled(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// The visitor's session read as a struct `T`, whose fields are the session's keys; written through
/// [`update`](session_core::Typed::update). See [`session_core::Typed`].
///
/// ```
/// use axum::{Router, routing::get};
/// use serde::{Deserialize, Serialize};
/// use session_axum::Typed;
///
/// #[derive(Default, Serialize, Deserialize)]
/// struct Visitor {
///     visits: u32,
/// }
///
/// async fn visit(mut visitor: Typed<Visitor>) -> Result<String, session_axum::Error> {
///     visitor.update(|visitor| visitor.visits += 1)?;
///     Ok(format!("visit {}", visitor.visits))
/// }
///
/// let app: Router = Router::new().route("/", get(visit));
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

impl<S: Send + Sync, T: Serialize + DeserializeOwned + Default> FromRequestParts<S> for Typed<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        Ok(Self(session_tower::session(&parts.extensions).await?.typed()?))
    }
}

/// The messages that earlier requests left with [`flash`](session_core::Session::flash), taken out of the session to be shown
/// now, once.
///
/// ```
/// use axum::{Router, response::Redirect, routing::{get, post}};
/// use session_axum::{FlashLevel, Flashes, Session};
///
/// async fn buy(session: Session) -> Result<Redirect, session_axum::Error> {
///     session.flash(FlashLevel::Success, "Bought.")?;
///     Ok(Redirect::to("/"))
/// }
///
/// async fn page(Flashes(messages): Flashes) -> String {
///     messages.into_iter().map(|message| format!("{}: {}\n", message.level.name(), message.text)).collect()
/// }
///
/// let app: Router = Router::new().route("/", get(page)).route("/buy", post(buy));
/// ```
#[derive(Clone, Debug)]
pub struct Flashes(pub Vec<Flash>);

impl<S: Send + Sync> FromRequestParts<S> for Flashes {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        Ok(Self(session_tower::session(&parts.extensions).await?.flashes()?))
    }
}

/// A session error as a response: its status and an empty body, or what [`SessionLayer::on_error`] makes of it.
///
/// ```
/// use axum::response::IntoResponse;
/// let error = session_axum::Error::from(session_core::Error::Gone);
/// assert_eq!(error.into_response().status(), 409);
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

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.answer()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(self.0);
        response
    }
}
