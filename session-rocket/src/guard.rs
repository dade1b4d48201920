//! What handlers see: the session, and its error.

use std::ops::{Deref, DerefMut};

use rocket::http::Status;
use rocket::request::{FromRequest, Outcome};
use rocket::response::{self, Responder};
use rocket::{Ignite, Request, Rocket, Sentinel};
use serde::Serialize;
use serde::de::DeserializeOwned;
use session_core::Flash;

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
        outcome(load(request).await.map(Self))
    }
}

impl Sentinel for Session {
    fn abort(rocket: &Rocket<Ignite>) -> bool {
        is_missing(rocket)
    }
}

async fn load(request: &Request<'_>) -> Result<session_core::Session, session_core::Error> {
    match request.rocket().state::<Installed>() {
        Some(Installed(manager)) => Local::of(request).open(request, manager).load().await,
        // Routes can't get here, but catchers and fairings that ask for the guard by themselves.
        None => Err(session_core::Error::NotInstalled(NOT_INSTALLED)),
    }
}

fn outcome<T>(guard: Result<T, session_core::Error>) -> Outcome<T, Error> {
    match guard {
        Ok(guard) => Outcome::Success(guard),
        Err(error) => Outcome::Error((Status::new(error.answer()), error.into())),
    }
}

fn is_missing(rocket: &Rocket<Ignite>) -> bool {
    let missing = rocket.state::<Installed>().is_none();
    if missing {
        tracing::error!("{NOT_INSTALLED}");
    }
    missing
}

/// The visitor's session read as a struct `T`, whose fields are the session's keys; written through
/// [`update`](session_core::Typed::update). See [`session_core::Typed`].
///
/// ```
/// use rocket::{get, routes};
/// use serde::{Deserialize, Serialize};
/// use session_rocket::Typed;
///
/// #[derive(Default, Serialize, Deserialize)]
/// struct Visitor {
///     visits: u32,
/// }
///
/// #[get("/")]
/// fn visit(mut visitor: Typed<Visitor>) -> Result<String, session_rocket::Error> {
///     visitor.update(|visitor| visitor.visits += 1)?;
///     Ok(format!("visit {}", visitor.visits))
/// }
///
/// let rocket = rocket::build().mount("/", routes![visit]);
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

#[rocket::async_trait]
impl<'r, T: Serialize + DeserializeOwned + Default> FromRequest<'r> for Typed<T> {
    type Error = Error;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Error> {
        outcome(load(request).await.and_then(|session| session.typed()).map(Self))
    }
}

impl<T> Sentinel for Typed<T> {
    fn abort(rocket: &Rocket<Ignite>) -> bool {
        is_missing(rocket)
    }
}

/// The messages that earlier requests left with [`flash`](session_core::Session::flash), taken out of the session to be shown
/// now, once.
///
/// ```
/// use rocket::response::Redirect;
/// use rocket::{get, post, routes};
/// use session_rocket::{FlashLevel, Flashes, Session};
///
/// #[post("/buy")]
/// fn buy(session: Session) -> Result<Redirect, session_rocket::Error> {
///     session.flash(FlashLevel::Success, "Bought.")?;
///     Ok(Redirect::to("/"))
/// }
///
/// #[get("/")]
/// fn page(messages: Flashes) -> String {
///     messages.0.into_iter().map(|message| format!("{}: {}\n", message.level.name(), message.text)).collect()
/// }
///
/// let rocket = rocket::build().mount("/", routes![buy, page]);
/// ```
#[derive(Clone, Debug)]
pub struct Flashes(pub Vec<Flash>);

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Flashes {
    type Error = Error;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Error> {
        outcome(load(request).await.and_then(|session| session.flashes()).map(Self))
    }
}

impl Sentinel for Flashes {
    fn abort(rocket: &Rocket<Ignite>) -> bool {
        is_missing(rocket)
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
