//! What handlers see: the session, and its error.

use std::ops::Deref;

use rocket::http::Status;
use rocket::request::{FromRequest, Outcome};
use rocket::response::{self, Responder};
use rocket::{Ignite, Request, Rocket, Sentinel};

use crate::fairing::Installed;
use crate::local::Local;

const NOT_INSTALLED: &str = "no SessionFairing on this Rocket: add .attach(SessionFairing::new(manager)) to it";

/// The visitor's session, loaded when the handler is called. All its methods are those of
/// [`session_core::Session`].
///
/// Without a [`SessionFairing`](crate::SessionFairing) the launch fails, and the log says which line to add. While the
/// store is down the request fails with 503, also for `Option<Session>`, which is then `None` and whose answer is
/// replaced.
///
/// ```
/// use rocket::local::blocking::Client;
/// use rocket::{get, routes};
/// use session_rocket::{KeyRing, MemoryStore, Secret, Session, SessionFairing, SessionManager};
///
/// #[get("/")]
/// fn visit(session: Session) -> Result<String, session_rocket::Error> {
///     let visits = session.update("visits", |visits: &mut u64| *visits += 1)?;
///     Ok(format!("visit {visits}"))
/// }
///
/// # let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
/// let app = rocket::build().mount("/", routes![visit]).attach(SessionFairing::new(manager));
/// let client = Client::tracked(app).unwrap();
/// assert_eq!(client.get("/").dispatch().into_string().unwrap(), "visit 1");
/// assert_eq!(client.get("/").dispatch().into_string().unwrap(), "visit 2");
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Session(session_core::Session);

impl Deref for Session {
    type Target = session_core::Session;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Session {
    type Error = Error;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Error> {
        let session = match request.rocket().state::<Installed>() {
            Some(Installed(manager)) => Local::of(request).open(request, manager).load().await,
            // Routes can't get here, but catchers and fairings that ask for the guard by themselves.
            None => Err(session_core::Error::NotInstalled(NOT_INSTALLED)),
        };
        match session {
            Ok(session) => Outcome::Success(Self(session)),
            Err(error) => Outcome::Error((Status::new(error.answer()), error.into())),
        }
    }
}

impl Sentinel for Session {
    fn abort(rocket: &Rocket<Ignite>) -> bool {
        let missing = rocket.state::<Installed>().is_none();
        if missing {
            tracing::error!("{NOT_INSTALLED}");
        }
        missing
    }
}

/// A session error as a response: the page of the application's catcher for its status.
///
/// ```
/// let error = session_rocket::Error::from(session_core::Error::Gone);
/// assert_eq!(error.status(), 409);
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

impl<'r> Responder<'r, 'static> for Error {
    fn respond_to(self, _: &'r Request<'_>) -> response::Result<'static> {
        Err(Status::new(self.0.answer()))
    }
}
