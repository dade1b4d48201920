//! axum with tower-sessions and its store in memory: as it is fastest, and with signed cookies.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tower_sessions::cookie::Key;
use tower_sessions::session::Error;
use tower_sessions::{MemoryStore, Session, SessionManagerLayer};

use super::AxumApp;
use crate::work::{BEGIN, KEY, Size, subject, texts};

pub fn unsigned() -> AxumApp {
    AxumApp(routes().layer(SessionManagerLayer::new(MemoryStore::default())))
}

pub fn signed() -> AxumApp {
    AxumApp(routes().layer(SessionManagerLayer::new(MemoryStore::default()).with_signed(Key::generate())))
}

fn routes() -> Router {
    Router::new()
        .route("/untouched", get(async || "ok"))
        .route("/read", get(read))
        .route("/write", get(write))
        .route("/login", get(login))
        .route("/begin/small", get(async |session: Session| begin(session, Size::Small).await))
        .route("/begin/large", get(async |session: Session| begin(session, Size::Large).await))
}

async fn read(session: Session) -> Result<String, StatusCode> {
    let number: u64 = session.get(KEY).await.map_err(failed)?.unwrap_or_default();
    Ok(number.to_string())
}

async fn write(session: Session) -> Result<String, StatusCode> {
    let number = session.get::<u64>(KEY).await.map_err(failed)?.unwrap_or_default() + 1;
    session.insert(KEY, number).await.map_err(failed)?;
    Ok(number.to_string())
}

async fn login(session: Session) -> Result<&'static str, StatusCode> {
    session.cycle_id().await.map_err(failed)?;
    session.insert("subject", subject()).await.map_err(failed)?;
    Ok("ok")
}

async fn begin(session: Session, size: Size) -> Result<(), StatusCode> {
    session.insert(KEY, BEGIN).await.map_err(failed)?;
    for (key, value) in texts(size.texts()) {
        session.insert(&key, value).await.map_err(failed)?;
    }
    Ok(())
}

fn failed(_: Error) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}
