//! warp with session-warp: with the wrap of its documentation's first page, and as a service for another server than warp's.

use session_warp::{Error, KeyRing, MemoryStore, Secret, Session, SessionManager, session, wrap};
use warp::{Filter, Rejection, Reply};

use super::WarpApp;
use crate::work::{BEGIN, KEY, Size, subject, texts};

pub async fn stored() -> impl crate::driver::App {
    WarpApp(warp::service(wrap(routes(), manager())))
}

pub async fn service() -> impl crate::driver::App {
    WarpApp(session_warp::service(routes(), manager()))
}

fn manager() -> SessionManager {
    let keys = KeyRing::new(Secret::random().expect("randomness"));
    SessionManager::stored(MemoryStore::new(), keys).build().expect("the defaults are right")
}

fn routes() -> impl Filter<Extract = (impl Reply,), Error = Rejection> + Clone + Send + Sync + 'static {
    warp::path!("untouched")
        .then(async || "ok")
        .or(warp::path!("read").and(session()).then(read))
        .or(warp::path!("write").and(session()).then(write))
        .or(warp::path!("login").and(session()).then(login))
        .or(warp::path!("begin" / "small").and(session()).then(async |session| begin(&session, Size::Small)))
        .or(warp::path!("begin" / "large").and(session()).then(async |session| begin(&session, Size::Large)))
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
