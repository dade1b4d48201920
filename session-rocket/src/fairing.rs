//! The fairing: the way of a request through Rocket, from its cookies to the headers of its response.

use std::fmt;

use rocket::fairing::{self, Fairing, Info, Kind};
use rocket::http::Status;
use rocket::{Build, Data, Request, Response, Rocket};
use session_core::{Close, CloseFuture, Effects, Error, ResponseHead, SessionManager};
use tokio::runtime::Handle;

use crate::local::Local;

/// Brings sessions to the routes and catchers of a Rocket.
///
/// Attached twice, the last one counts, as Rocket's singletons do.
#[derive(Clone)]
pub struct SessionFairing<A = DefaultAnswer> {
    manager: SessionManager,
    answer: A,
}

impl SessionFairing {
    /// A fairing that answers session errors with their status and an empty body.
    ///
    /// ```
    /// use rocket::local::blocking::Client;
    /// use session_rocket::{KeyRing, MemoryStore, Secret, SessionFairing, SessionManager};
    ///
    /// let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
    /// let client = Client::tracked(rocket::build().attach(SessionFairing::new(manager)));
    /// assert!(client.is_ok());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub const fn new(manager: SessionManager) -> Self {
        Self { manager, answer: DefaultAnswer }
    }
}

impl<A> SessionFairing<A> {
    /// Answers with `answer(&error)` instead where the session could not be saved, or could not be loaded and the
    /// handler went on without it. An error that a handler returned, or that kept it from being called, goes to the
    /// application's catchers, as every error does in Rocket.
    ///
    /// ```
    /// use rocket::Response;
    /// use rocket::http::Status;
    /// use rocket::local::blocking::Client;
    /// use session_rocket::{KeyRing, MemoryStore, Secret, SessionFairing, SessionManager};
    ///
    /// let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
    /// let fairing = SessionFairing::new(manager).on_error(|error| {
    ///     Response::build().status(Status::new(error.status())).raw_header("retry-after", "5").finalize()
    /// });
    /// assert!(Client::tracked(rocket::build().attach(fairing)).is_ok());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn on_error<F>(self, answer: F) -> SessionFairing<F>
    where
        F: Fn(&Error) -> Response<'static>,
    {
        SessionFairing { manager: self.manager, answer }
    }
}

impl From<SessionManager> for SessionFairing {
    fn from(manager: SessionManager) -> Self {
        Self::new(manager)
    }
}

impl<A> fmt::Debug for SessionFairing<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionFairing").field("manager", &self.manager).finish_non_exhaustive()
    }
}

/// Turns an error into a response. Functions from `&Error` to a response do.
pub trait Answer {
    /// The response for `error`.
    fn answer(&self, error: &Error) -> Response<'static>;
}

/// The error's status, nothing in the body.
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultAnswer;

impl Answer for DefaultAnswer {
    fn answer(&self, error: &Error) -> Response<'static> {
        Response::build().status(Status::new(error.status())).finalize()
    }
}

impl<F: Fn(&Error) -> Response<'static>> Answer for F {
    fn answer(&self, error: &Error) -> Response<'static> {
        self(error)
    }
}

/// The manager, where the guard finds it: managed state of the Rocket, under a type nobody else can name.
pub(crate) struct Installed(pub(crate) SessionManager);

#[rocket::async_trait]
impl<A: Answer + Send + Sync + 'static> Fairing for SessionFairing<A> {
    fn info(&self) -> Info {
        Info { name: "Sessions", kind: Kind::Ignite | Kind::Request | Kind::Response | Kind::Singleton }
    }

    async fn on_ignite(&self, rocket: Rocket<Build>) -> fairing::Result {
        // Fairings with different answers are different types to Rocket, so not each other's singletons.
        match rocket.state::<Installed>() {
            None => Ok(rocket.manage(Installed(self.manager.clone()))),
            Some(Installed(other)) if other.is(&self.manager) => Ok(rocket),
            Some(_) => {
                tracing::error!("two SessionFairings of different managers on this Rocket: leave one .attach(…) out");
                Err(rocket)
            }
        }
    }

    async fn on_request(&self, request: &mut Request<'_>, _: &mut Data<'_>) {
        Local::of(request).begin();
    }

    async fn on_response<'r>(&self, request: &'r Request<'_>, response: &mut Response<'r>) {
        let Some(slot) = Local::of(request).end() else { return };
        let effects = match slot.close(response.status().code) {
            Close::Untouched => return,
            Close::Ready(effects) => effects,
            Close::Io(close) => detach(close).await,
        };
        self.finish(response, &effects);
    }
}

impl<A: Answer> SessionFairing<A> {
    fn finish(&self, response: &mut Response<'_>, effects: &Effects) {
        // What a handler or a catcher answered stays, if it failed already.
        if let Some(error) = effects.failure().filter(|_| response.status().code < 500) {
            *response = self.answer.answer(error);
        }
        effects.apply(&mut Head(response));
    }
}

/// Runs the future to its end in a task of its own, so that nobody who drops the request can tear a write in two.
pub(crate) fn detach(close: CloseFuture) -> CloseFuture {
    let Ok(runtime) = Handle::try_current() else { return close };
    let task = runtime.spawn(close);
    CloseFuture::new(async { task.await.unwrap_or_else(|_| Error::Interrupted.into()) })
}

/// The head of a response. Not Rocket's cookie jar, which catchers empty.
struct Head<'a, 'r>(&'a mut Response<'r>);

impl ResponseHead for Head<'_, '_> {
    fn each(&self, name: &str, line: &mut dyn FnMut(&[u8])) {
        self.0.headers().get(name).for_each(|value| line(value.as_bytes()));
    }

    fn append(&mut self, name: &'static str, value: &str) {
        self.0.adjoin_raw_header(name, value.to_owned());
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
