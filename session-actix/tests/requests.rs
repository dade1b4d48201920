//! What a client that stays can see.

mod common;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::{ErrorBadGateway, ErrorForbidden};
use actix_web::http::StatusCode;
use actix_web::middleware::{Next, from_fn};
use actix_web::test::{init_service, try_call_service};
use actix_web::web::{self, Bytes};
use actix_web::{App, HttpResponse};
use session_actix::{Error, Session, SessionExt, SessionMiddleware};
use session_testing::stores::Verb;

use crate::common::{TestStore, get, manager, send, with_cookie};

async fn visit(session: Session) -> Result<String, Error> {
    Ok(session.update("visits", |visits: &mut u64| *visits += 1)?.to_string())
}

async fn quiet() -> &'static str {
    "quiet"
}

/// Writes, and fails by a session error: the name is no number.
async fn mistaken(session: Session) -> Result<String, Error> {
    session.insert("name", "Ada")?;
    Ok(session.get::<u64>("name")?.unwrap_or_default().to_string())
}

async fn failing(session: Session) -> Result<HttpResponse, Error> {
    session.insert("half", "done")?;
    Ok(HttpResponse::BadGateway().body("the other side failed"))
}

async fn logout_and_fail(session: Session) -> Result<HttpResponse, Error> {
    session.logout()?;
    Ok(HttpResponse::InternalServerError().finish())
}

async fn optional(session: Option<Session>) -> &'static str {
    if session.is_some() { "somebody" } else { "anonymous" }
}

async fn frank(session: Result<Session, Error>) -> String {
    session.map_or_else(|error| error.to_string(), |session| session.len().to_string())
}

async fn user(path: web::Path<u32>, session: Session) -> Result<String, Error> {
    session.insert("user", *path)?;
    Ok(path.to_string())
}

fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/visit", web::get().to(visit))
        .route("/quiet", web::get().to(quiet))
        .route("/mistaken", web::get().to(mistaken))
        .route("/failing", web::get().to(failing))
        .route("/logout-and-fail", web::get().to(logout_and_fail))
        .route("/optional", web::get().to(optional))
        .route("/frank", web::get().to(frank))
        .route("/users/{id}", web::get().to(user));
}

/// An application with sessions.
macro_rules! app {
    ($manager:expr) => {
        init_service(App::new().configure(routes).wrap(SessionMiddleware::new($manager))).await
    };
}

/// An application whose session errors say what they are.
macro_rules! outspoken_app {
    ($manager:expr) => {
        init_service(App::new().configure(routes).wrap(SessionMiddleware::new($manager).on_error(|error| {
            let status = StatusCode::from_u16(error.status() + 1).unwrap_or_default();
            HttpResponse::build(status).insert_header(("x-hook", "1")).body(error.to_string())
        })))
        .await
    };
}

#[actix_web::test]
async fn a_counter_counts_over_two_requests() {
    let store = TestStore::new();
    let app = app!(manager(&store));
    let first = send(&app, get("/visit").to_request()).await;
    assert_eq!((first.status, first.body.as_str()), (200, "1"));
    assert_eq!(first.all("vary"), ["Cookie"]);
    assert_eq!(first.all("cache-control"), ["no-store"]);
    let second = send(&app, with_cookie("/visit", first.cookie()).to_request()).await;
    assert_eq!((second.status, second.body.as_str()), (200, "2"));
    assert!(second.all("set-cookie").is_empty());
    assert_eq!(store.done(), [Verb::Create, Verb::Load, Verb::Update]);
}

#[actix_web::test]
async fn the_cookie_is_found_in_any_of_several_lines() {
    let app = app!(manager(&TestStore::new()));
    let first = send(&app, get("/visit").to_request()).await;
    let request = get("/visit")
        .append_header(("cookie", &b"strange=\xff"[..]))
        .append_header(("cookie", format!("a=1; {}; b=2", first.cookie())));
    assert_eq!(send(&app, request.to_request()).await.body, "2");
}

#[actix_web::test]
async fn a_request_that_leaves_the_session_alone_costs_no_header_and_no_store_call() {
    let store = TestStore::new();
    let app = app!(manager(&store));
    let cookie = send(&app, get("/visit").to_request()).await.cookie().to_owned();
    let calls = store.begun().len();
    let reply = send(&app, with_cookie("/quiet", &cookie).to_request()).await;
    assert_eq!((reply.status, reply.body.as_str()), (200, "quiet"));
    for name in ["set-cookie", "vary", "cache-control"] {
        assert!(reply.all(name).is_empty(), "{name}");
    }
    assert_eq!(store.begun().len(), calls);
}

#[actix_web::test]
async fn a_route_with_a_parameter_works_behind_the_middleware() {
    let app = app!(manager(&TestStore::new()));
    let reply = send(&app, get("/users/7").to_request()).await;
    assert_eq!((reply.status, reply.body.as_str()), (200, "7"));
    assert!(!reply.cookie().is_empty());
}

#[actix_web::test]
async fn installed_twice_it_is_one_session_and_one_cookie() {
    async fn between(
        request: ServiceRequest,
        next: Next<BoxBody>,
    ) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
        request.session().await?.insert("visits", 41).map_err(Error::from)?;
        next.call(request).await
    }
    let store = TestStore::new();
    let manager = manager(&store);
    let scope = web::scope("/in").configure(routes).wrap(SessionMiddleware::new(manager.clone()));
    let app = App::new().service(scope).wrap(from_fn(between)).wrap(SessionMiddleware::new(manager));
    let app = init_service(app).await;
    let reply = send(&app, get("/in/visit").to_request()).await;
    assert_eq!(reply.body, "42");
    assert!(!reply.cookie().is_empty());
    assert_eq!(store.done(), [Verb::Create]);
    assert_eq!(send(&app, with_cookie("/in/visit", reply.cookie()).to_request()).await.body, "42");
    assert_eq!(store.done(), [Verb::Create, Verb::Load]);
}

#[actix_web::test]
async fn without_the_middleware_an_optional_session_is_none() {
    let app = init_service(App::new().configure(routes)).await;
    let reply = send(&app, get("/optional").to_request()).await;
    assert_eq!((reply.status, reply.body.as_str()), (200, "anonymous"));
}

#[actix_web::test]
async fn a_store_that_is_down_is_503_and_never_anonymous() {
    let store = TestStore::new();
    let app = app!(manager(&store));
    let cookie = send(&app, get("/visit").to_request()).await.cookie().to_owned();
    store.break_verb(Verb::Load);
    for path in ["/visit", "/optional", "/frank"] {
        let reply = send(&app, with_cookie(path, &cookie).to_request()).await;
        assert_eq!((reply.status, reply.body.as_str()), (503, ""), "{path}");
        assert!(reply.all("set-cookie").is_empty(), "{path}");
    }
}

#[actix_web::test]
async fn a_result_is_the_session_or_its_error() {
    let store = TestStore::new();
    let app = app!(manager(&store));
    let cookie = send(&app, get("/visit").to_request()).await.cookie().to_owned();
    assert_eq!(send(&app, with_cookie("/frank", &cookie).to_request()).await.body, "1");
    let bare = init_service(App::new().configure(routes)).await;
    assert!(send(&bare, get("/frank").to_request()).await.body.starts_with("no SessionMiddleware on this route"));
}

#[actix_web::test]
async fn a_write_that_fails_replaces_the_response() {
    let store = TestStore::new();
    store.break_verb(Verb::Create);
    let app = app!(manager(&store));
    let reply = send(&app, get("/visit").to_request()).await;
    assert_eq!((reply.status, reply.body.as_str()), (503, ""));
    assert!(reply.all("set-cookie").is_empty());
    assert_eq!(reply.all("vary"), ["Cookie"]);
}

#[actix_web::test]
async fn a_handler_returns_session_errors_with_a_question_mark() {
    let store = TestStore::new();
    let app = app!(manager(&store));
    let reply = send(&app, get("/mistaken").to_request()).await;
    assert_eq!((reply.status, reply.body.as_str()), (500, ""));
    assert!(reply.all("set-cookie").is_empty());
    assert!(store.begun().is_empty());
}

#[actix_web::test]
async fn on_error_answers_where_the_session_could_not_be_loaded() {
    let store = TestStore::new();
    let app = outspoken_app!(manager(&store));
    let cookie = send(&app, get("/visit").to_request()).await.cookie().to_owned();
    store.break_verb(Verb::Load);
    for path in ["/visit", "/optional", "/frank"] {
        let reply = send(&app, with_cookie(path, &cookie).to_request()).await;
        assert_eq!((reply.status, reply.body.as_str()), (504, "the session store failed"), "{path}");
        assert_eq!(reply.all("x-hook"), ["1"], "{path}");
    }
}

#[actix_web::test]
async fn on_error_answers_where_the_session_could_not_be_saved() {
    let store = TestStore::new();
    store.break_verb(Verb::Create);
    let app = outspoken_app!(manager(&store));
    let reply = send(&app, get("/visit").to_request()).await;
    assert_eq!((reply.status, reply.body.as_str()), (504, "the session store failed"));
    assert!(reply.all("set-cookie").is_empty());
}

#[actix_web::test]
async fn on_error_answers_where_a_handler_returned_a_session_error() {
    let app = outspoken_app!(manager(&TestStore::new()));
    let reply = send(&app, get("/mistaken").to_request()).await;
    assert_eq!(reply.status, 501);
    assert!(reply.body.contains("\"name\""), "{}", reply.body);
}

#[actix_web::test]
async fn on_error_leaves_what_a_handler_answered_by_itself() {
    let store = TestStore::new();
    let app = outspoken_app!(manager(&store));
    let cookie = send(&app, get("/visit").to_request()).await.cookie().to_owned();
    let reply = send(&app, with_cookie("/failing", &cookie).to_request()).await;
    assert_eq!((reply.status, reply.body.as_str()), (502, "the other side failed"));
    // Also where the store fails on top of it.
    store.break_verb(Verb::Delete);
    let reply = send(&app, with_cookie("/logout-and-fail", &cookie).to_request()).await;
    assert_eq!((reply.status, reply.body.as_str()), (500, ""));
    assert!(reply.all("x-hook").is_empty());
}

#[actix_web::test]
async fn a_5xx_drops_the_changes_and_carries_out_the_logout() {
    let store = TestStore::new();
    let app = app!(manager(&store));
    let cookie = send(&app, get("/visit").to_request()).await.cookie().to_owned();
    let reply = send(&app, with_cookie("/failing", &cookie).to_request()).await;
    assert_eq!((reply.status, reply.body.as_str()), (502, "the other side failed"));
    assert_eq!(store.done(), [Verb::Create, Verb::Load]);
    let reply = send(&app, with_cookie("/logout-and-fail", &cookie).to_request()).await;
    assert_eq!(reply.status, 500);
    assert!(reply.cookie().ends_with('='), "{}", reply.cookie());
    assert_eq!(store.done(), [Verb::Create, Verb::Load, Verb::Load, Verb::Delete]);
}

/// Lets the handler write, then refuses all the same.
async fn forbid(request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    next.call(request).await?;
    Err(ErrorForbidden("not today"))
}

#[actix_web::test]
async fn an_error_of_an_inner_middleware_keeps_the_cookie_and_the_cause() {
    let store = TestStore::new();
    let inner = from_fn(forbid);
    let app = App::new().configure(routes).wrap(inner).wrap(SessionMiddleware::new(manager(&store)));
    let app = init_service(app).await;
    let reply = send(&app, get("/visit").to_request()).await;
    assert_eq!((reply.status, reply.body.as_str()), (403, "not today"));
    assert_eq!(reply.all("vary"), ["Cookie"]);
    let error = try_call_service(&app, with_cookie("/visit", reply.cookie()).to_request()).await.unwrap_err();
    assert_eq!((error.to_string().as_str(), error.as_response_error().status_code().as_u16()), ("not today", 403));
    assert_eq!(store.done(), [Verb::Create, Verb::Load, Verb::Update]);
}

#[actix_web::test]
async fn an_error_of_an_inner_middleware_is_replaced_where_the_session_fails() {
    let store = TestStore::new();
    store.break_verb(Verb::Create);
    let inner = from_fn(forbid);
    let app = App::new().configure(routes).wrap(inner).wrap(SessionMiddleware::new(manager(&store)));
    let reply = send(&init_service(app).await, get("/visit").to_request()).await;
    assert_eq!((reply.status, reply.body.as_str()), (503, ""));
}

#[actix_web::test]
async fn a_5xx_of_an_inner_middleware_drops_the_changes_and_stays_what_it_is() {
    async fn fail(request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
        next.call(request).await?;
        Err(ErrorBadGateway("the other side failed"))
    }
    let store = TestStore::new();
    let app = App::new().configure(routes).wrap(from_fn(fail)).wrap(SessionMiddleware::new(manager(&store)));
    let reply = send(&init_service(app).await, get("/visit").to_request()).await;
    assert_eq!((reply.status, reply.body.as_str()), (502, "the other side failed"));
    assert!(reply.all("set-cookie").is_empty());
    assert!(store.begun().is_empty());
}

#[actix_web::test]
async fn another_middleware_shares_the_session_of_the_handler() {
    async fn greet(
        request: ServiceRequest,
        next: Next<impl MessageBody>,
    ) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
        let session = request.session().await?;
        session.insert("visits", 41).map_err(Error::from)?;
        let response = next.call(request).await?;
        session.insert("last", response.status().as_u16()).map_err(Error::from)?;
        Ok(response)
    }
    let store = TestStore::new();
    let app = App::new().configure(routes).wrap(from_fn(greet)).wrap(SessionMiddleware::new(manager(&store)));
    let app = init_service(app).await;
    let reply = send(&app, get("/visit").to_request()).await;
    assert_eq!(reply.body, "42");
    assert_eq!(send(&app, with_cookie("/frank", reply.cookie()).to_request()).await.body, "2");
    assert_eq!(store.begun().iter().filter(|verb| **verb == Verb::Load).count(), 1);
}

#[actix_web::test]
async fn the_cookies_of_the_application_stay_as_they_are() {
    async fn handler(session: Session) -> Result<HttpResponse, Error> {
        session.insert("n", 1)?;
        Ok(HttpResponse::Ok()
            .append_header(("set-cookie", "theme=dark; Path=/"))
            .append_header(("set-cookie", "__Host-id=planted"))
            .append_header(("set-cookie", "language=eo"))
            .finish())
    }
    let manager = manager(&TestStore::new());
    let app = App::new().route("/", web::get().to(handler)).wrap(SessionMiddleware::new(manager));
    let reply = send(&init_service(app).await, get("/").to_request()).await;
    let lines = reply.all("set-cookie");
    assert_eq!(lines[..2], ["theme=dark; Path=/", "language=eo"]);
    assert!(lines[2].starts_with("__Host-id=") && !lines[2].contains("planted"), "{}", lines[2]);
    assert_eq!(lines.len(), 3);
}

/// A body that writes to the session when it is asked for its bytes.
struct Late(Option<Session>);

impl MessageBody for Late {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, io::Error>>> {
        Poll::Ready(self.0.take().map(|session| Ok(Bytes::from(format!("{:?}", session.insert("late", true))))))
    }
}

#[actix_web::test]
async fn a_write_in_the_body_after_the_head_is_refused() {
    async fn handler(session: Session) -> Result<HttpResponse, Error> {
        session.insert("early", true)?;
        Ok(HttpResponse::Ok().body(Late(Some(session))))
    }
    let manager = manager(&TestStore::new());
    let app = App::new().route("/", web::get().to(handler)).wrap(SessionMiddleware::new(manager));
    let reply = send(&init_service(app).await, get("/").to_request()).await;
    assert_eq!((reply.status, reply.body.as_str()), (200, "Err(Closed)"));
    assert!(!reply.cookie().is_empty());
}

#[actix_web::test]
async fn no_value_is_in_a_debug_output() {
    async fn handler(session: Session) -> Result<String, Error> {
        session.insert("number", 4_929_123)?;
        Ok(format!("{session:?} {:?}", session.get::<String>("number").map_err(Error::from)))
    }
    let manager = manager(&TestStore::new());
    let app = App::new().route("/", web::get().to(handler)).wrap(SessionMiddleware::from(manager));
    let reply = send(&init_service(app).await, get("/").to_request()).await;
    assert!(reply.body.starts_with("Session(Session {") && reply.body.contains("WrongType"), "{}", reply.body);
    assert!(!reply.body.contains("4929123"), "{}", reply.body);
}
