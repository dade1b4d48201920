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
//! Attach it last among the fairings that write to the session when a response passes: after it, the session is closed.
//! The page of [`SessionFairing::on_error`] has the headers of those fairings only that were attached after it.
//!
//! A handler whose client leaves is run to its end by Rocket, and its changes are saved. A catcher sees the session as
//! the handler that failed left it, in memory; a response of 5xx drops these changes, a logout excepted. The page of a
//! request that no route could get, such as one of an unknown method, passes no fairing: what its catcher writes is lost.
//!
//! Rocket drops header lines that are not UTF-8 before anybody sees them, so a cookie on such a line is no session.

mod fairing;
mod guard;
mod local;

pub use session_core::{
    ConfigError, KeyRing, MemoryStore, Revocation, SameSite, Secret, SessionManager, SessionManagerBuilder,
};

pub use crate::fairing::{Answer, DefaultAnswer, SessionFairing};
pub use crate::guard::{Error, Session};
