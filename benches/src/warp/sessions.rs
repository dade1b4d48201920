//! warp with warp-sessions and its store in memory. Its cookie is not signed.

use warp::{Filter, Rejection, reject};
use warp_sessions::{CookieOptions, MemoryStore, SessionWithStore, reply, request};

use super::WarpApp;
use crate::work::{BEGIN, KEY, Size, subject, texts};

type Session = SessionWithStore<MemoryStore>;
type Answer = Result<(String, Session), Rejection>;

pub async fn stored() -> impl crate::driver::App {
    let store = MemoryStore::new();
    let session = move || {
        let options = CookieOptions { cookie_name: "sid", secure: true, http_only: true, ..CookieOptions::default() };
        request::with_session(store.clone(), Some(options))
    };
    let with_session = reply::with_session::<String, MemoryStore>;
    // Every route passes through its filters: it loads the session always, and has no lazy way.
    let routes = warp::path!("untouched")
        .and(session())
        .and_then(async |session: Session| -> Answer { Ok(("ok".to_owned(), session)) })
        .untuple_one()
        .and_then(with_session)
        .or(warp::path!("read").and(session()).and_then(read).untuple_one().and_then(with_session))
        .or(warp::path!("write").and(session()).and_then(write).untuple_one().and_then(with_session))
        .or(warp::path!("login").and(session()).and_then(login).untuple_one().and_then(with_session))
        .or(warp::path!("begin" / "small").and(session()).and_then(small).untuple_one().and_then(with_session))
        .or(warp::path!("begin" / "large").and(session()).and_then(large).untuple_one().and_then(with_session));
    WarpApp(warp::service(routes))
}

async fn read(session: Session) -> Answer {
    let number: u64 = session.session.get(KEY).unwrap_or_default();
    Ok((number.to_string(), session))
}

async fn write(mut session: Session) -> Answer {
    let number = session.session.get::<u64>(KEY).unwrap_or_default() + 1;
    session.session.insert(KEY, number).map_err(|_| reject())?;
    Ok((number.to_string(), session))
}

async fn login(mut session: Session) -> Answer {
    session.session.regenerate();
    session.session.insert("subject", subject()).map_err(|_| reject())?;
    Ok(("ok".to_owned(), session))
}

async fn small(session: Session) -> Answer {
    begin(session, Size::Small)
}

async fn large(session: Session) -> Answer {
    begin(session, Size::Large)
}

fn begin(mut session: Session, size: Size) -> Answer {
    session.session.insert(KEY, BEGIN).map_err(|_| reject())?;
    for (key, value) in texts(size.texts()) {
        session.session.insert(&key, value).map_err(|_| reject())?;
    }
    Ok(("ok".to_owned(), session))
}
