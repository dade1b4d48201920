//! Sessions for [warp](https://docs.rs/warp): one wrap, and a [`session()`] filter that gives handlers their [`Session`].
//!
//! ```
//! use session_warp::{KeyRing, MemoryStore, Session, SessionManager, session};
//! use warp::Filter;
//!
//! async fn visit(session: Session) -> Result<String, session_warp::Error> {
//!     let visits = session.update("visits", |visits: &mut u64| *visits += 1)?;
//!     Ok(format!("visit {visits}"))
//! }
//!
//! # async fn serve() -> Result<(), session_warp::ConfigError> {
//! let manager = SessionManager::stored(MemoryStore::new(), KeyRing::from_env_or_random("SESSION_SECRET")?).build()?;
//! let routes = warp::path!("visit").and(warp::get()).and(session()).then(visit);
//! warp::serve(session_warp::wrap(routes, manager)).run(([127, 0, 0, 1], 3030)).await;
//! # Ok(()) }
//! ```
//!
//! # What goes where
//!
//! [`wrap`] takes all routes and answers every request; it never rejects. So `.recover(…)` and `.or(…)` go inside, and
//! prefixes of the path too: the routes inside see the whole path.
//!
//! Put [`session()`] behind path and method. In front of them it loads the session for every route that is tried.
//! A route that rejects leaves what it wrote in the session, for the route that answers.
//!
//! Inside of [`wrap`], [`warp::addr::remote`] is `None`, where [`remote`] tells the address; the HTTP version is always
//! 1.1; and of the request's extensions only those of a session and of an upgrade are there.
//!
//! # Errors
//!
//! A handler behind `.map(…)` or `.then(…)` returns [`Error`] in its result, as above. One behind `.and_then(…)` writes
//! `.map_err(reject)?`, and [`session()`] rejects as well. A rejection that your own `.recover(…)` leaves alone is
//! answered by [`wrap`]: with the error's status and an empty body, or what [`SessionLayer::on_error`] makes of it.
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
//! use serde::Deserialize;
//! use session_warp::{Session, reject, session};
//! use warp::{Filter, reply};
//!
//! #[derive(Deserialize)]
//! struct Order {
//!     item: String,
//!     csrf_token: String,
//! }
//!
//! async fn form(session: Session) -> Result<impl warp::Reply, warp::Rejection> {
//!     let field = format!(r#"<input type="hidden" name="csrf_token" value="{}">"#, session.csrf_token().map_err(reject)?);
//!     Ok(reply::html(format!(r#"<form method="post"><input name="item">{field}</form>"#)))
//! }
//!
//! async fn order(session: Session, form: Order) -> Result<String, warp::Rejection> {
//!     session.verify_csrf(&form.csrf_token).map_err(reject)?;
//!     Ok(format!("ordered {}", form.item))
//! }
//!
//! let show = warp::get().and(session()).and_then(form);
//! let routes = show.or(warp::post().and(session()).and(warp::body::form()).and_then(order));
//! ```
//!
//! # When the client leaves
//!
//! A handler whose client leaves is dropped by warp and its changes with it, its logout excepted; long work calls
//! [`Session::save`]. What a handler has answered is stored even if the client leaves while the store is at work.
//!
//! # Testing your application
//!
//! [`visitor::cookie`](https://docs.rs/session-testing/latest/session_testing/visitor/fn.cookie.html) of the crate
//! `session-testing` makes a visitor who is logged in:
//!
//! ```
//! use session_testing::visitor;
//! use session_warp::{KeyRing, MemoryStore, Secret, Session, SessionManager, session, wrap};
//! use warp::Filter;
//!
//! fn greet(session: Session) -> String {
//!     format!("welcome {}", session.subject().unwrap_or_else(|| "stranger".to_owned()))
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
//! let app = wrap(warp::path::end().and(session()).map(greet), manager.clone());
//!
//! let cookie = visitor::cookie(&manager, |session| session.login("ada")).await?;
//! let response = warp::test::request().path("/").header("cookie", cookie).reply(&app).await;
//! assert_eq!(response.body(), "welcome ada");
//! # Ok::<(), session_core::Error>(()) }).unwrap();
//! ```

mod error;
mod wrap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use session_core::Slot;
use warp::{Filter, Rejection};

pub use session_core::{
    CSRF_FIELD, CSRF_HEADER, ConfigError, Device, Event, Fingerprint, Flash, FlashLevel, Handle, Happening, KeyRing,
    Login, MemoryStore, Observer, Revocation, SameSite, Secret, Session, SessionKey, SessionManager,
    SessionManagerBuilder, Settings, SubjectLimit, Typed, UserAgentBinding,
};
pub use session_tower::SessionLayer;

pub use crate::error::{Error, reject};
pub use crate::wrap::{remote, service, wrap};

/// The visitor's session, loaded when the handler is called.
///
/// Without [`wrap`] the request fails with 500, and the log says which line to add. While the store is down it fails
/// with 503.
///
/// ```
/// use session_warp::{KeyRing, MemoryStore, Secret, Session, SessionManager, session};
/// use warp::Filter;
///
/// let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
/// let routes = warp::path!("new").and(warp::get()).and(session()).map(|session: Session| session.is_new().to_string());
/// let app = session_warp::wrap(routes, manager);
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// assert_eq!(warp::test::request().path("/new").reply(&app).await.body(), "true");
/// # });
/// # Ok::<(), session_core::Error>(())
/// ```
#[must_use]
pub fn session() -> impl Filter<Extract = (Session,), Error = Rejection> + Copy + Send + Sync {
    optional_session().and_then(|session: Option<Session>| async {
        session.ok_or_else(|| {
            let error = session_core::Error::NotInstalled(
                "no sessions on these routes: give them to session_warp::wrap(routes, manager)",
            );
            // Nobody else would: where there is no `wrap`, warp itself answers.
            let _ = error.answer();
            reject(error)
        })
    })
}

/// As [`session()`], but `None` where there is no [`wrap`]. It still fails with 503 while the store is down.
///
/// ```
/// use session_warp::{Session, optional_session};
/// use warp::Filter;
///
/// let routes = optional_session().map(|session: Option<Session>| session.is_some().to_string());
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// assert_eq!(warp::test::request().reply(&routes).await.body(), "false");
/// # });
/// ```
#[must_use]
pub fn optional_session() -> impl Filter<Extract = (Option<Session>,), Error = Rejection> + Copy + Send + Sync {
    warp::ext::optional().and_then(|slot: Option<Slot>| async {
        match slot {
            Some(slot) => slot.load().await.map(Some).map_err(reject),
            None => Ok(None),
        }
    })
}

/// The visitor's session read as a struct `T`, whose fields are the session's keys; written through [`Typed::update`].
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use session_warp::{Typed, reject, typed};
/// use warp::Filter;
///
/// #[derive(Default, Serialize, Deserialize)]
/// struct Visitor {
///     visits: u32,
/// }
///
/// async fn visit(mut visitor: Typed<Visitor>) -> Result<String, warp::Rejection> {
///     visitor.update(|visitor| visitor.visits += 1).map_err(reject)?;
///     Ok(format!("visit {}", visitor.visits))
/// }
///
/// # use session_warp::{KeyRing, MemoryStore, Secret, SessionManager};
/// # let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
/// let app = session_warp::wrap(warp::path::end().and(typed()).and_then(visit), manager);
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// assert_eq!(warp::test::request().path("/").reply(&app).await.body(), "visit 1");
/// # });
/// # Ok::<(), session_core::Error>(())
/// ```
#[must_use]
pub fn typed<T: Serialize + DeserializeOwned + Default + Send>()
-> impl Filter<Extract = (Typed<T>,), Error = Rejection> + Copy + Send + Sync {
    session().and_then(|session: Session| async move { session.typed().map_err(reject) })
}

/// The messages that earlier requests left with [`Session::flash`], taken out of the session to be shown now, once.
///
/// ```
/// use session_testing::visitor;
/// use session_warp::{Flash, FlashLevel, flashes};
/// use warp::Filter;
///
/// let page = warp::path::end().and(flashes()).map(|messages: Vec<Flash>| {
///     messages.into_iter().map(|message| format!("{}: {}\n", message.level.name(), message.text)).collect::<String>()
/// });
/// # use session_warp::{KeyRing, MemoryStore, Secret, SessionManager};
/// # let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
/// let app = session_warp::wrap(page, manager.clone());
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let cookie = visitor::cookie(&manager, |session| session.flash(FlashLevel::Warning, "Almost full.")).await?;
/// let response = warp::test::request().path("/").header("cookie", cookie).reply(&app).await;
/// assert_eq!(response.body(), "warning: Almost full.\n");
/// # Ok::<(), session_core::Error>(()) }).unwrap();
/// # Ok::<(), session_core::Error>(())
/// ```
#[must_use]
pub fn flashes() -> impl Filter<Extract = (Vec<Flash>,), Error = Rejection> + Copy + Send + Sync {
    session().and_then(|session: Session| async move { session.flashes().map_err(reject) })
}
