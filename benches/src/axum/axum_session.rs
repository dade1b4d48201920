//! axum with axum_session and no database: as it is fastest, and with signed cookies. The visitor's address and browser
//! aren't looked at, which makes it faster.

use axum::Router;
use axum::routing::get;
use axum_session::{Key, Session, SessionConfig, SessionLayer, SessionNullPool, SessionStore};

use super::AxumApp;
use crate::work::{BEGIN, KEY, Size, subject, texts};

type Own = Session<SessionNullPool>;

pub async fn unsigned() -> AxumApp {
    app(SessionConfig::default()).await
}

pub async fn signed() -> AxumApp {
    app(SessionConfig::default().with_key(Key::generate())).await
}

async fn app(config: SessionConfig) -> AxumApp {
    let config = config.with_ip_and_user_agent(false);
    let store = SessionStore::<SessionNullPool>::new(None, config).await.expect("a store without a database");
    AxumApp(
        Router::new()
            .route("/untouched", get(async || "ok"))
            .route("/read", get(read))
            .route("/write", get(write))
            .route("/login", get(login))
            .route("/begin/small", get(async |session: Own| begin(&session, Size::Small)))
            .route("/begin/large", get(async |session: Own| begin(&session, Size::Large)))
            .layer(SessionLayer::new(store)),
    )
}

async fn read(session: Own) -> String {
    session.get::<u64>(KEY).unwrap_or_default().to_string()
}

async fn write(session: Own) -> String {
    let number = session.get::<u64>(KEY).unwrap_or_default() + 1;
    session.set(KEY, number);
    number.to_string()
}

async fn login(session: Own) -> &'static str {
    session.renew();
    session.set("subject", subject());
    "ok"
}

fn begin(session: &Own, size: Size) {
    session.set(KEY, BEGIN);
    for (key, value) in texts(size.texts()) {
        session.set(&key, value);
    }
}
