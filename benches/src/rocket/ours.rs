//! Rocket with session-rocket.

use rocket::{get, routes};
use session_rocket::{Error, KeyRing, MemoryStore, Secret, Session, SessionFairing, SessionManager};

use super::RocketApp;
use crate::work::{BEGIN, KEY, Size, subject, texts};

pub async fn stored() -> RocketApp {
    let keys = KeyRing::new(Secret::random().expect("randomness"));
    let manager = SessionManager::stored(MemoryStore::new(), keys).build().expect("the defaults are right");
    let routes = routes![untouched, read, write, login, small, large];
    RocketApp::new(rocket::build().mount("/", routes).attach(SessionFairing::new(manager))).await
}

#[get("/untouched")]
fn untouched() -> &'static str {
    "ok"
}

#[get("/read")]
fn read(session: Session) -> Result<String, Error> {
    let number: u64 = session.get(KEY)?.unwrap_or_default();
    Ok(number.to_string())
}

#[get("/write")]
fn write(session: Session) -> Result<String, Error> {
    let number = session.get::<u64>(KEY)?.unwrap_or_default() + 1;
    session.insert(KEY, number)?;
    Ok(number.to_string())
}

#[get("/login")]
fn login(session: Session) -> Result<&'static str, Error> {
    session.login(subject())?;
    Ok("ok")
}

#[get("/begin/small")]
fn small(session: Session) -> Result<&'static str, Error> {
    begin(&session, Size::Small)
}

#[get("/begin/large")]
fn large(session: Session) -> Result<&'static str, Error> {
    begin(&session, Size::Large)
}

fn begin(session: &Session, size: Size) -> Result<&'static str, Error> {
    session.insert(KEY, BEGIN)?;
    for (key, value) in texts(size.texts()) {
        session.insert(key, value)?;
    }
    Ok("ok")
}
