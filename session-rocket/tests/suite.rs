//! The contract that every adapter keeps, over real connections.

use std::collections::HashSet;
use std::io::Cursor;
use std::net::{Ipv4Addr, SocketAddr};

use rocket::config::{LogLevel, Shutdown};
use rocket::fairing::AdHoc;
use rocket::http::Status;
use rocket::{Config, Request, Response, get, post, routes};
use session_rocket::{Error, Session, SessionFairing, SessionManager};
use session_testing::adapter;
use tokio::sync::oneshot;

/// A reply of the suite's as a response of Rocket's.
struct Reply(adapter::Reply);

impl<'r> rocket::response::Responder<'r, 'static> for Reply {
    fn respond_to(self, _: &'r Request<'_>) -> rocket::response::Result<'static> {
        let adapter::Reply { status, headers, body, .. } = self.0;
        let mut response = Response::build();
        response.status(Status::new(status)).sized_body(body.len(), Cursor::new(body));
        for (name, value) in headers {
            response.raw_header_adjoin(name, value);
        }
        response.ok()
    }
}

#[get("/none")]
fn none() -> &'static str {
    "none"
}

#[get("/session")]
async fn session(session: Session, query: Query<'_>) -> Result<Reply, Error> {
    Ok(Reply(adapter::act(&session, query.0).await?))
}

#[post("/session")]
async fn posted(session: Session, query: Query<'_>) -> Result<Reply, Error> {
    Ok(Reply(adapter::act(&session, query.0).await?))
}

#[get("/optional")]
async fn optional(session: Option<Session>) -> Reply {
    Reply(adapter::act_optional(session.as_deref()))
}

/// The raw query string.
struct Query<'r>(&'r str);

#[rocket::async_trait]
impl<'r> rocket::request::FromRequest<'r> for Query<'r> {
    type Error = std::convert::Infallible;

    async fn from_request(request: &'r Request<'_>) -> rocket::request::Outcome<Self, Self::Error> {
        rocket::request::Outcome::Success(Self(request.uri().query().map_or("", |query| query.as_str())))
    }
}

/// Signals are for the test, which they end.
fn unattended() -> Shutdown {
    Shutdown {
        ctrlc: false,
        #[cfg(unix)]
        signals: HashSet::new(),
        ..Shutdown::default()
    }
}

async fn serve(manager: SessionManager) -> SocketAddr {
    let (tell, port) = oneshot::channel();
    let config = Config {
        address: Ipv4Addr::LOCALHOST.into(),
        port: 0,
        shutdown: unattended(),
        log_level: LogLevel::Off,
        ..Config::debug_default()
    };
    let rocket = rocket::custom(config)
        .mount("/", routes![none, session, posted, optional])
        .attach(SessionFairing::new(manager))
        .attach(AdHoc::on_liftoff("port", |rocket| {
            tell.send(rocket.config().port).expect("somebody waits for it");
            Box::pin(async {})
        }));
    // It lives until the test is over.
    tokio::spawn(async { drop(rocket.launch().await) });
    (Ipv4Addr::LOCALHOST, port.await.expect("the server starts")).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_adapter_keeps_its_contract_as_far_as_rocket_shows_it_the_cookies() {
    // Rocket drops a header line that is not UTF-8, a session's cookie in it too, before anybody sees it.
    assert_eq!(adapter::failures(serve).await, ["odd_bytes_in_other_cookies_lose_nothing"]);
}
