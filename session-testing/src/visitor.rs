//! Visitors for tests of an application: their sessions are made by the application's own manager, without a request.

use session_core::{Close, Error, RequestHead, ResponseHead, Session, SessionManager};
use std::borrow::Cow;

/// Makes a session as a handler would, keeps it where the manager keeps sessions, and returns the `Cookie` header with which a
/// test of your application's routes is this visitor: logged in, with a full cart, without going through your login page.
/// The manager is the one that the application under test has, or one with the same store and secret.
///
/// The documentation of `session-axum`, `session-actix`, `session-rocket` and `session-warp` shows it with each framework's own
/// test client.
///
/// # Errors
/// What `prepare` returned, or [`Error::Store`] and the like if the session can't be kept.
///
/// ```
/// use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
/// use session_testing::visitor;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
/// let cookie = visitor::cookie(&manager, |session| session.login("ada")).await?;
/// assert!(cookie.starts_with("__Host-id="));
/// assert_eq!(manager.sessions_of("ada").await?.len(), 1);
/// # Ok::<(), session_core::Error>(()) }).unwrap();
/// ```
pub async fn cookie(
    manager: &SessionManager,
    prepare: impl FnOnce(&Session) -> Result<(), Error>,
) -> Result<String, Error> {
    let slot = manager.open(&Nothing);
    prepare(&slot.load().await?)?;
    let effects = match slot.close(200) {
        Close::Untouched => return Ok(String::new()),
        Close::Ready(effects) => effects,
        Close::Io(close) => close.await,
    };
    if let Some(error) = effects.failure() {
        return Err(error.clone());
    }
    let mut response = Answered::default();
    effects.apply(&mut response);
    Ok(response.0.join("; "))
}

/// A request without a header.
struct Nothing;

impl RequestHead for Nothing {
    fn method(&self) -> &str {
        "GET"
    }

    fn each(&self, _: &str, _: &mut dyn FnMut(&[u8])) {}
}

/// A browser that keeps the cookies of a response.
#[derive(Default)]
struct Answered(Vec<String>);

impl ResponseHead for Answered {
    fn each(&self, _: &str, _: &mut dyn FnMut(&[u8])) {}

    fn append(&mut self, name: &'static str, value: Cow<'static, str>) {
        if name == "set-cookie" {
            self.0.extend(value.split(';').next().map(str::to_owned));
        }
    }

    fn retain(&mut self, _: &'static str, _: &mut dyn FnMut(&[u8]) -> bool) {}
}
