//! actix-web with session-actix: in a store, and in the cookie, sealed and signed.

use actix_web::{App, test, web};
use session_actix::{
    Error, KeyRing, MemoryStore, Revocation, Secret, Session, SessionManager, SessionManagerBuilder, SessionMiddleware,
};

use super::ActixApp;
use crate::work::{BEGIN, KEY, Size, subject, texts};

fn keys() -> KeyRing {
    KeyRing::new(Secret::random().expect("randomness"))
}

pub async fn stored() -> impl crate::driver::App {
    app(SessionManager::stored(MemoryStore::new(), keys())).await
}

/// As the peer: nobody knows which cookies were ended.
pub async fn sealed() -> impl crate::driver::App {
    app(SessionManager::sealed(keys(), Revocation::NoneCopiedCookiesStayValid)).await
}

/// As [`sealed`].
pub async fn signed() -> impl crate::driver::App {
    app(SessionManager::signed(keys(), Revocation::NoneCopiedCookiesStayValid)).await
}

async fn app(builder: SessionManagerBuilder) -> impl crate::driver::App {
    let manager = builder.build().expect("the defaults are right");
    let app = App::new()
        .route("/untouched", web::get().to(async || "ok"))
        .route("/read", web::get().to(read))
        .route("/write", web::get().to(write))
        .route("/login", web::get().to(login))
        .route("/begin/small", web::get().to(async |session: Session| begin(&session, Size::Small)))
        .route("/begin/large", web::get().to(async |session: Session| begin(&session, Size::Large)))
        .wrap(SessionMiddleware::new(manager));
    ActixApp(test::init_service(app).await)
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

fn begin(session: &Session, size: Size) -> Result<&'static str, Error> {
    session.insert(KEY, BEGIN)?;
    for (key, value) in texts(size.texts()) {
        session.insert(key, value)?;
    }
    Ok("ok")
}
