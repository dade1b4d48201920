//! Sessions for [Rocket](https://docs.rs/rocket): one fairing, and a [`Session`] that handlers take as an argument.
//!
//! ```
//! use rocket::{Build, Rocket, get, routes};
//! use session_rocket::{KeyRing, MemoryStore, Session, SessionFairing, SessionManager};
//!
//! #[get("/")]
//! fn visit(session: Session) -> Result<String, session_rocket::Error> {
//!     let visits = session.update("visits", |visits: &mut u64| *visits += 1)?;
//!     Ok(format!("visit {visits}"))
//! }
//!
//! # fn main() -> Result<(), session_rocket::ConfigError> {
//! let manager = SessionManager::stored(MemoryStore::new(), KeyRing::from_env_or_random("SESSION_SECRET")?).build()?;
//! let app: Rocket<Build> = rocket::build().mount("/", routes![visit]).attach(SessionFairing::new(manager));
//! # Ok(()) }
//! ```
//!
//! # Where to put it
//!
//! Attach it last among the fairings that write to the session when a response passes: after it, the session is closed.
//! Its place among `.mount(…)` and `.register(…)` doesn't matter.
//!
//! A catcher sees the session as the handler that failed left it, in memory, and may write to it. If the response is a
//! 5xx, the changes of both are dropped, a logout excepted. A request that Rocket can't parse, such as one of an unknown
//! method, goes to its catcher past all fairings: what that catcher writes is lost, and its logout is carried out.
//!
//! Rocket drops header lines that are not UTF-8 before anybody sees them, so a cookie on such a line is no session.
//!
//! # Protection
//!
//! [`SessionManagerBuilder::refuse_cross_origin`] refuses `POST` and other changing requests from other sites' pages with 403,
//! before any handler runs; your catcher for 403 makes the page, and sees the request as a `CONNECT`.
//! [`SessionManagerBuilder::bind_user_agent`] notices a session that turns up in another browser. Both are off until you
//! ask for them.
//!
//! A form carries a token of its session back, which [`Session::verify_csrf`](session_core::Session::verify_csrf) checks; scripts
//! send it in the header [`CSRF_HEADER`]:
//!
//! ```
//! use rocket::form::{Form, FromForm};
//! use rocket::response::content::RawHtml;
//! use rocket::{get, post, routes};
//! use session_rocket::Session;
//!
//! #[derive(FromForm)]
//! struct Order {
//!     item: String,
//!     csrf_token: String,
//! }
//!
//! #[get("/")]
//! fn form(session: Session) -> Result<RawHtml<String>, session_rocket::Error> {
//!     let field = format!(r#"<input type="hidden" name="csrf_token" value="{}">"#, session.csrf_token()?);
//!     Ok(RawHtml(format!(r#"<form method="post"><input name="item">{field}</form>"#)))
//! }
//!
//! #[post("/", data = "<form>")]
//! fn order(session: Session, form: Form<Order>) -> Result<String, session_rocket::Error> {
//!     session.verify_csrf(&form.csrf_token)?;
//!     Ok(format!("ordered {}", form.item))
//! }
//!
//! let rocket = rocket::build().mount("/", routes![form, order]);
//! ```
//!
//! # When the client leaves
//!
//! The handler runs to its end, whichever way the client left, and what it changed is saved. A handler that panics is
//! answered with a 500 by Rocket: what it changed is lost, and its logout is carried out.
//!
//! # Testing your application
//!
//! [`visitor::cookie`](https://docs.rs/session-testing/latest/session_testing/visitor/fn.cookie.html) of the crate
//! `session-testing` makes a visitor who is logged in:
//!
//! ```
//! use rocket::http::Header;
//! use rocket::local::asynchronous::Client;
//! use rocket::{get, routes};
//! use session_rocket::{KeyRing, MemoryStore, Secret, Session, SessionFairing, SessionManager};
//! use session_testing::visitor;
//!
//! #[get("/")]
//! fn greet(session: Session) -> String {
//!     format!("welcome {}", session.subject().unwrap_or_else(|| "stranger".to_owned()))
//! }
//!
//! # rocket::async_test(async {
//! let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
//! let app = rocket::build().mount("/", routes![greet]).attach(SessionFairing::new(manager.clone()));
//! let client = Client::untracked(app).await.unwrap();
//!
//! let cookie = visitor::cookie(&manager, |session| session.login("ada")).await?;
//! let response = client.get("/").header(Header::new("Cookie", cookie)).dispatch().await;
//! assert_eq!(response.into_string().await.unwrap(), "welcome ada");
//! # Ok::<(), session_core::Error>(()) }).unwrap();
//! ```

mod fairing;
mod guard;
mod local;

pub use session_core::{
    CSRF_FIELD, CSRF_HEADER, ConfigError, Device, Event, Fingerprint, Flash, FlashLevel, Handle, Happening, KeyRing,
    Login, MemoryStore, Observer, Revocation, SameSite, Secret, SessionKey, SessionManager, SessionManagerBuilder,
    Settings, SubjectLimit, UserAgentBinding,
};

pub use crate::fairing::SessionFairing;
pub use crate::guard::{Error, Flashes, Session, Typed};
