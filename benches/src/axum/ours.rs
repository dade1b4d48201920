//! axum with session-axum.

use axum::Router;
use axum::routing::get;
use session_axum::{Error, KeyRing, MemoryStore, Secret, Session, SessionLayer, SessionManager};

use super::AxumApp;
use crate::work::{BEGIN, KEY, Size, subject, texts};

/// Signed ids and a store in memory: what the documentation begins with.
pub fn stored() -> AxumApp {
    let keys = KeyRing::new(Secret::random().expect("randomness"));
    app(SessionManager::stored(MemoryStore::new(), keys).build().expect("the defaults are right"))
}

pub fn app(manager: SessionManager) -> AxumApp {
    AxumApp(
        Router::new()
            .route("/untouched", get(async || "ok"))
            .route("/read", get(read))
            .route("/write", get(write))
            .route("/login", get(login))
            .route("/begin/small", get(async |session: Session| begin(&session, Size::Small.texts())))
            .route("/begin/large", get(async |session: Session| begin(&session, Size::Large.texts())))
            .layer(SessionLayer::new(manager)),
    )
}

async fn read(session: Session) -> Result<String, Error> {
    let number: u64 = session.get(KEY)?.unwrap_or_default();
    Ok(number.to_string())
}

async fn write(session: Session) -> Result<String, Error> {
    let number = session.get::<u64>(KEY)?.unwrap_or_default() + 1;
    session.insert(KEY, number)?;
    Ok(number.to_string())
}

async fn login(session: Session) -> Result<&'static str, Error> {
    session.login(subject())?;
    Ok("ok")
}

fn begin(session: &Session, count: usize) -> Result<(), Error> {
    session.insert(KEY, BEGIN)?;
    for (key, value) in texts(count) {
        session.insert(key, value)?;
    }
    Ok(())
}
