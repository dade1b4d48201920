//! axum with the hand-written sessions.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;

use super::AxumApp;
use crate::floor::{Floor, FloorLayer, Session};
use crate::work::{BEGIN, KEY, Size, subject, texts};

pub fn app() -> AxumApp {
    AxumApp(
        Router::new()
            .route("/untouched", get(async || "ok"))
            .route("/read", get(read))
            .route("/write", get(write))
            .route("/login", get(login))
            .route("/begin/small", get(async |session: Session| begin(&session, Size::Small)))
            .route("/begin/large", get(async |session: Session| begin(&session, Size::Large)))
            .layer(FloorLayer(Floor::new())),
    )
}

async fn read(session: Session) -> Result<String, StatusCode> {
    let number: u64 = session.get(KEY).map_err(failed)?.unwrap_or_default();
    Ok(number.to_string())
}

async fn write(session: Session) -> Result<String, StatusCode> {
    let number = session.get::<u64>(KEY).map_err(failed)?.unwrap_or_default() + 1;
    session.insert(KEY, &number).map_err(failed)?;
    Ok(number.to_string())
}

async fn login(session: Session) -> Result<&'static str, StatusCode> {
    session.renew();
    session.insert("subject", &subject()).map_err(failed)?;
    Ok("ok")
}

fn begin(session: &Session, size: Size) -> Result<(), StatusCode> {
    let (before, after): (Vec<_>, Vec<_>) = texts(size.texts()).partition(|(key, _)| key.as_str() < KEY);
    for (key, value) in before {
        session.insert(&key, &value).map_err(failed)?;
    }
    session.insert(KEY, &BEGIN).map_err(failed)?;
    for (key, value) in after {
        session.insert(&key, &value).map_err(failed)?;
    }
    Ok(())
}

fn failed(_: serde_json::Error) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}
