//! The fairing: the way of a request through Rocket, from its cookies to the headers of its response.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use rocket::fairing::{self, Fairing, Info, Kind};
use rocket::http::{Method, Status};
use rocket::route::{BoxFuture, Outcome, Route};
use rocket::{Build, Data, Request, Response, Rocket};
use session_core::{Close, Effects, Error, ResponseHead, SessionManager};

use crate::local::{self, Local, detach};

/// Brings sessions to the routes and catchers of a Rocket. Of two, the one attached last counts.
///
/// ```
/// use rocket::local::blocking::Client;
/// use rocket::{get, routes};
/// use session_rocket::{Error, KeyRing, MemoryStore, Secret, Session, SessionFairing, SessionManager};
///
/// #[get("/")]
/// fn visit(session: Session) -> Result<&'static str, Error> {
///     session.insert("n", 1)?;
///     Ok("welcome")
/// }
///
/// let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
/// let app = rocket::build().mount("/", routes![visit]).attach(SessionFairing::new(manager));
/// let client = Client::tracked(app).unwrap();
/// assert!(client.get("/").dispatch().headers().contains("set-cookie"));
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone)]
pub struct SessionFairing {
    manager: SessionManager,
    answer: Arc<dyn Fn(&Error) -> Response<'static> + Send + Sync>,
}

impl SessionFairing {
    /// A fairing that answers session errors with their status and an empty body.
    ///
    /// See [`SessionFairing`] for an example.
    #[must_use]
    pub fn new(manager: SessionManager) -> Self {
        let answer = |error: &Error| Response::build().status(Status::new(error.status())).finalize();
        Self { manager, answer: Arc::new(answer) }
    }

    /// Answers with `answer(&error)` instead where the session could not be saved, or could not be loaded and the
    /// handler went on without it. An error that a handler returned, or that kept it from being called, goes to the
    /// application's catchers, as every error does in Rocket.
    ///
    /// Rocket lets nobody call a catcher at this late point. For the same reason the response lacks the headers of
    /// fairings that were attached before this one, Rocket's own `Shield` among them; attach that once more, behind.
    ///
    /// ```
    /// use rocket::Response;
    /// use rocket::http::Status;
    /// # use session_rocket::{KeyRing, MemoryStore, Secret, SessionFairing, SessionManager};
    /// # let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
    ///
    /// let sessions = SessionFairing::new(manager)
    ///     .on_error(|_| Response::build().status(Status::ServiceUnavailable).raw_header("retry-after", "5").finalize());
    /// # assert!(format!("{sessions:?}").starts_with("SessionFairing"));
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn on_error(self, answer: impl Fn(&Error) -> Response<'static> + Send + Sync + 'static) -> Self {
        Self { answer: Arc::new(answer), ..self }
    }

    fn finish(&self, response: &mut Response<'_>, effects: &Effects) {
        // What a handler or a catcher answered stays, if it failed already.
        if let Some(error) = effects.failure().filter(|_| response.status().code < 500) {
            *response = (self.answer)(error);
        }
        effects.apply(&mut Head(response));
    }
}

impl From<SessionManager> for SessionFairing {
    fn from(manager: SessionManager) -> Self {
        Self::new(manager)
    }
}

impl fmt::Debug for SessionFairing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionFairing").field("manager", &self.manager).finish_non_exhaustive()
    }
}

/// The manager, where the guard finds it: managed state of the Rocket, under a type nobody else can name.
pub(crate) struct Installed(pub(crate) SessionManager);

#[rocket::async_trait]
impl Fairing for SessionFairing {
    fn info(&self) -> Info {
        Info { name: "Sessions", kind: Kind::Ignite | Kind::Request | Kind::Response | Kind::Singleton }
    }

    async fn on_ignite(&self, rocket: Rocket<Build>) -> fairing::Result {
        let refused = Route::ranked(isize::MIN, REFUSED, "/<_..>", refused);
        Ok(rocket.manage(Installed(self.manager.clone())).mount("/", [refused]))
    }

    async fn on_request(&self, request: &mut Request<'_>, _: &mut Data<'_>) {
        Local::of(request).begin();
        if self.manager.refuses(&local::Head(request)).is_some() {
            request.set_method(REFUSED);
        }
    }

    async fn on_response<'r>(&self, request: &'r Request<'_>, response: &mut Response<'r>) {
        if request.method() == REFUSED {
            Effects::from(Error::CrossOrigin).apply(&mut Head(response));
        }
        let Some(slot) = Local::of(request).end() else { return };
        match slot.close(response.status().code) {
            Close::Untouched => {}
            Close::Ready(effects) => self.finish(response, &effects),
            Close::Io(close) => self.finish(response, &detach(close).await),
        }
    }
}

/// A fairing can't answer a request, only send it to another route: by a method that is for proxies (RFC 9110, 9.3.6) and so
/// reaches no other one. The path stays, so that the application's catcher for it makes the page.
const REFUSED: Method = Method::Connect;

fn refused<'r>(_: &'r Request<'_>, _: Data<'r>) -> BoxFuture<'r> {
    Box::pin(async { Outcome::Error(Status::new(Error::CrossOrigin.status())) })
}

/// The head of a response. Not Rocket's cookie jar, which catchers empty.
struct Head<'a, 'r>(&'a mut Response<'r>);

impl ResponseHead for Head<'_, '_> {
    fn each(&self, name: &str, line: &mut dyn FnMut(&[u8])) {
        self.0.headers().get(name).for_each(|value| line(value.as_bytes()));
    }

    fn append(&mut self, name: &'static str, value: Cow<'static, str>) {
        self.0.adjoin_raw_header(name, value);
    }

    fn retain(&mut self, name: &'static str, keep: &mut dyn FnMut(&[u8]) -> bool) {
        let lines: Vec<_> =
            self.0.headers().get(name).filter(|value| keep(value.as_bytes())).map(str::to_owned).collect();
        self.0.remove_header(name);
        lines.into_iter().for_each(|value| {
            self.0.adjoin_raw_header(name, value);
        });
    }
}
