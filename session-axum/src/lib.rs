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
//! # When the client leaves
//!
//! A handler whose client leaves is dropped by axum and its changes with it, its logout excepted; long work calls
//! [`Session::save`](session_core::Session::save). What a handler has answered is stored even if the client leaves while the
//! store is at work.

use std::ops::Deref;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;

pub use session_core::{
    ConfigError, Event, KeyRing, MemoryStore, Observer, Revocation, SameSite, Secret, SessionManager,
    SessionManagerBuilder,
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
