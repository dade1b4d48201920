//! A session's error as warp takes one: as a rejection and as a reply.

use std::fmt;
use std::ops::Deref;

use warp::http::StatusCode;
use warp::reject::{Reject, Rejection};
use warp::reply::{Reply, Response};

/// A session error as a reply and as a rejection: its status and an empty body, or what
/// [`SessionLayer::on_error`](crate::SessionLayer::on_error) makes of it.
///
/// A handler behind `.map(…)` or `.then(…)` returns it as the error of its result; one behind `.and_then(…)` rejects
/// with [`reject`]. Your own `.recover(…)` finds it with `rejection.find::<session_warp::Error>()`.
///
/// ```
/// use session_warp::{Error, reject};
///
/// let rejection = reject(session_core::Error::Gone);
/// assert_eq!(rejection.find::<Error>().map(|error| error.status()), Some(409));
/// ```
#[derive(Clone, thiserror::Error)]
#[error(transparent)]
pub struct Error(#[from] session_core::Error);

impl Deref for Error {
    type Target = session_core::Error;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// Says nothing: warp writes this into the body of a response when nobody recovers the rejection.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("session error")
    }
}

impl Reject for Error {}

impl Reply for Error {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.answer()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(self.0);
        response
    }
}

/// A session error as a rejection, for handlers behind `.and_then(…)`.
///
/// ```
/// use session_warp::{Session, reject};
/// use warp::Rejection;
///
/// async fn visit(session: Session) -> Result<String, Rejection> {
///     let visits = session.update("visits", |visits: &mut u64| *visits += 1).map_err(reject)?;
///     Ok(format!("visit {visits}"))
/// }
/// # let rejection = reject(session_core::Error::Closed);
/// # assert_eq!(format!("{rejection:?}"), "Rejection(session error)");
/// ```
pub fn reject(error: impl Into<Error>) -> Rejection {
    warp::reject::custom(error.into())
}
