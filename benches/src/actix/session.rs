//! actix-web with actix-session: in the cookie, encrypted and signed, and in a store of this file, because it has none in
//! memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use actix_session::config::CookieContentSecurity;
use actix_session::storage::{
    CookieSessionStore, LoadError, SaveError, SessionKey, SessionStore, UpdateError, generate_session_key,
};
use actix_session::{Session, SessionMiddleware};
use actix_web::cookie::Key;
use actix_web::cookie::time::Duration;
use actix_web::{App, Error, test, web};

use super::ActixApp;
use crate::work::{BEGIN, KEY, Size, subject, texts};

pub async fn private() -> impl crate::driver::App {
    app(CookieSessionStore::default(), CookieContentSecurity::Private).await
}

pub async fn signed() -> impl crate::driver::App {
    app(CookieSessionStore::default(), CookieContentSecurity::Signed).await
}

/// It has no unsigned cookies.
pub async fn stored_signed() -> impl crate::driver::App {
    app(InMemory::default(), CookieContentSecurity::Signed).await
}

async fn app(store: impl SessionStore + 'static, security: CookieContentSecurity) -> impl crate::driver::App {
    let sessions = SessionMiddleware::builder(store, Key::generate()).cookie_content_security(security).build();
    let app = App::new()
        .route("/untouched", web::get().to(async || "ok"))
        .route("/read", web::get().to(read))
        .route("/write", web::get().to(write))
        .route("/login", web::get().to(login))
        .route("/begin/small", web::get().to(async |session: Session| begin(&session, Size::Small)))
        .route("/begin/large", web::get().to(async |session: Session| begin(&session, Size::Large)))
        .wrap(sessions);
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
    session.renew();
    session.insert("subject", subject())?;
    Ok("ok")
}

fn begin(session: &Session, size: Size) -> Result<&'static str, Error> {
    session.insert(KEY, BEGIN)?;
    for (key, value) in texts(size.texts()) {
        session.insert(key, value)?;
    }
    Ok("ok")
}

type State = HashMap<String, String>;

/// The least that a store of actix-session has to do: what it is given is kept as it is.
#[derive(Clone, Default)]
struct InMemory(Arc<Mutex<HashMap<String, State>>>);

impl InMemory {
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<String, State>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl SessionStore for InMemory {
    async fn load(&self, key: &SessionKey) -> Result<Option<State>, LoadError> {
        Ok(self.with(|all| all.get(key.as_ref()).cloned()))
    }

    async fn save(&self, state: State, _: &Duration) -> Result<SessionKey, SaveError> {
        let key = generate_session_key();
        self.with(|all| all.insert(key.as_ref().to_owned(), state));
        Ok(key)
    }

    async fn update(&self, key: SessionKey, state: State, _: &Duration) -> Result<SessionKey, UpdateError> {
        self.with(|all| all.insert(key.as_ref().to_owned(), state));
        Ok(key)
    }

    async fn update_ttl(&self, _: &SessionKey, _: &Duration) -> Result<(), anyhow::Error> {
        Ok(())
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), anyhow::Error> {
        self.with(|all| all.remove(key.as_ref()));
        Ok(())
    }
}
