//! What a user of axum expects of a layer and an extractor.

use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use session_axum::{
    Error, Event, Happening, KeyRing, MemoryStore, Observer, Secret, Session, SessionLayer, SessionManager,
};
use session_testing::http::SetCookie;
use session_testing::stores::{Counting, Failing, Verb};
use tokio::sync::oneshot;
use tower::ServiceExt;

fn keys() -> KeyRing {
    KeyRing::new(Secret::random().expect("the system has randomness"))
}

fn manager() -> SessionManager {
    SessionManager::stored(MemoryStore::new(), keys()).build().expect("the defaults are fine")
}

/// A manager whose store can be told to fail.
fn failing() -> (Failing<MemoryStore>, SessionManager) {
    let store = Failing::new(MemoryStore::new());
    (store.clone(), SessionManager::stored(store, keys()).build().expect("the defaults are fine"))
}

/// Status, headers and body of a `GET`, with this cookie if there is one.
async fn ask(app: &Router, path: &str, cookie: Option<&SetCookie>) -> (StatusCode, HeaderMap, String) {
    let mut request = Request::builder().uri(path);
    if let Some(cookie) = cookie {
        request = request.header("cookie", format!("{}={}", cookie.name, cookie.value));
    }
    let request = request.body(Body::empty()).expect("a request");
    let (head, body) = app.clone().oneshot(request).await.expect("a router doesn't fail").into_parts();
    let body = to_bytes(body, 1_000_000).await.expect("a body");
    (head.status, head.headers, String::from_utf8(body.to_vec()).expect("text"))
}

fn cookies(headers: &HeaderMap) -> Vec<SetCookie> {
    let lines = headers.get_all("set-cookie").iter();
    lines.map(|line| SetCookie::parse(line.to_str().expect("our cookies are ASCII"))).collect()
}

async fn visit(session: Session) -> Result<String, Error> {
    Ok(session.update("n", |n: &mut u64| *n += 1)?.to_string())
}

/// A middleware that writes too.
async fn mark(session: Session, request: Request, next: Next) -> Result<Response, Error> {
    let response = next.run(request).await;
    session.insert("marked", session.get::<u64>("n")?)?;
    Ok(response)
}

#[tokio::test]
async fn a_missing_layer_is_500_with_an_empty_body() {
    let app = Router::new().route("/", get(visit));
    let (status, headers, body) = ask(&app, "/", None).await;
    assert_eq!((status, body.as_str()), (StatusCode::INTERNAL_SERVER_ERROR, ""));
    assert!(!headers.contains_key("vary") && !headers.contains_key("set-cookie"));
}

#[tokio::test]
async fn a_missing_layer_names_the_line_to_add() {
    async fn handler(session: Result<Session, Error>) -> String {
        session.map(|_| String::new()).unwrap_or_else(|error| error.to_string())
    }
    let (status, _, body) = ask(&Router::new().route("/", get(handler)), "/", None).await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.contains(".layer(SessionLayer::new(manager))"), "{body}");
}

#[tokio::test]
async fn an_optional_session_is_none_only_without_the_layer() {
    async fn handler(session: Option<Session>) -> &'static str {
        if session.is_some() { "some" } else { "none" }
    }
    let routes = || Router::new().route("/", get(handler));
    assert_eq!(ask(&routes(), "/", None).await.2, "none");
    assert_eq!(ask(&routes().layer(SessionLayer::new(manager())), "/", None).await.2, "some");

    let (store, manager) = failing();
    let app = routes().route("/visit", get(visit)).layer(SessionLayer::new(manager));
    let (_, headers, _) = ask(&app, "/visit", None).await;
    store.fail(Verb::Load);
    assert_eq!(ask(&app, "/", cookies(&headers).first()).await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_handler_may_look_at_the_failure_but_the_request_fails_all_the_same() {
    async fn handler(session: Result<Session, Error>) -> &'static str {
        if session.is_err() { "I know" } else { "a session" }
    }
    let (store, manager) = failing();
    let app = Router::new().route("/", get(handler)).route("/visit", get(visit)).layer(SessionLayer::new(manager));
    let (_, headers, _) = ask(&app, "/visit", None).await;
    store.fail(Verb::Load);
    let (status, _, body) = ask(&app, "/", cookies(&headers).first()).await;
    assert_eq!((status, body.as_str()), (StatusCode::SERVICE_UNAVAILABLE, ""));
}

#[tokio::test]
async fn on_error_answers_for_loading_saving_and_handlers() {
    async fn wrong(session: Session) -> Result<String, Error> {
        session.insert("n", "one")?;
        Ok(session.get::<u64>("n")?.unwrap_or_default().to_string())
    }
    let answer = |error: &session_core::Error| -> Response {
        (StatusCode::IM_A_TEAPOT, [("x-status", error.status().to_string())], "sorry").into_response()
    };
    let (store, manager) = failing();
    store.fail(Verb::Create);
    let app = Router::new()
        .route("/", get(visit))
        .route("/wrong", get(wrong))
        .layer(SessionLayer::new(manager).on_error(answer));
    let sorry = |(status, headers, body): (StatusCode, HeaderMap, String), inner: &str| {
        assert_eq!((status, body.as_str()), (StatusCode::IM_A_TEAPOT, "sorry"));
        assert_eq!(headers["x-status"], inner);
        assert!(cookies(&headers).is_empty());
        assert_eq!(headers["vary"], "Cookie");
    };
    sorry(ask(&app, "/", None).await, "503");
    sorry(ask(&app, "/wrong", None).await, "500");
    store.recover();
    let (_, headers, _) = ask(&app, "/", None).await;
    store.fail(Verb::Load);
    sorry(ask(&app, "/", cookies(&headers).first()).await, "503");
}

#[tokio::test]
async fn a_handler_that_fails_by_itself_keeps_its_answer() {
    async fn broken(session: Result<Session, Error>) -> Result<(StatusCode, &'static str), Error> {
        if let Ok(session) = session {
            session.insert("broken", true)?;
        }
        Ok((StatusCode::BAD_GATEWAY, "upstream"))
    }
    let (store, manager) = failing();
    let app = Router::new().route("/", get(broken)).route("/visit", get(visit)).layer(SessionLayer::new(manager));
    let (_, headers, _) = ask(&app, "/visit", None).await;
    for fail in [false, true] {
        if fail {
            store.fail(Verb::Load);
        }
        let (status, headers, body) = ask(&app, "/", cookies(&headers).first()).await;
        assert_eq!((status, body.as_str()), (StatusCode::BAD_GATEWAY, "upstream"));
        assert!(cookies(&headers).is_empty());
    }
}

#[tokio::test]
async fn the_error_of_the_application_takes_ours_in() {
    struct Failure(StatusCode);
    impl From<Error> for Failure {
        fn from(error: Error) -> Self {
            Self(StatusCode::from_u16(error.status() + 10).expect("a status"))
        }
    }
    impl From<session_core::Error> for Failure {
        fn from(error: session_core::Error) -> Self {
            Error::from(error).into()
        }
    }
    impl IntoResponse for Failure {
        fn into_response(self) -> Response {
            (self.0, "of the application").into_response()
        }
    }
    async fn handler(session: Session) -> Result<String, Failure> {
        session.insert("n", "one")?;
        Ok(session.get::<u64>("n")?.unwrap_or_default().to_string())
    }
    let app = Router::new().route("/", get(handler)).layer(SessionLayer::new(manager()));
    let (status, _, body) = ask(&app, "/", None).await;
    assert_eq!((status.as_u16(), body.as_str()), (510, "of the application"));
}

#[tokio::test]
async fn nested_routers_with_one_manager_have_one_session_and_one_cookie() {
    let store = Counting::new(MemoryStore::new());
    let manager = SessionManager::stored(store.clone(), keys()).build().expect("the defaults are fine");
    let inner = Router::new().route("/visit", get(visit)).layer(SessionLayer::new(manager.clone()));
    let app = Router::new().nest("/in", inner).layer(from_fn(mark)).layer(SessionLayer::new(manager));
    let (_, headers, body) = ask(&app, "/in/visit", None).await;
    assert_eq!((body.as_str(), cookies(&headers).len(), store.total()), ("1", 1, 1));
    assert_eq!(headers.get_all("vary").iter().count(), 1);
    let (_, _, body) = ask(&app, "/in/visit", cookies(&headers).first()).await;
    assert_eq!((body.as_str(), store.total()), ("2", 3));
}

#[tokio::test]
async fn two_extractors_and_a_middleware_have_the_same_session() {
    async fn both(one: Session, other: Session) -> Result<String, Error> {
        one.insert("n", 5)?;
        Ok(other.get::<u64>("n")?.unwrap_or_default().to_string())
    }
    async fn marked(session: Session) -> Result<String, Error> {
        Ok(session.get::<u64>("marked")?.unwrap_or_default().to_string())
    }
    let store = Counting::new(MemoryStore::new());
    let manager = SessionManager::stored(store.clone(), keys()).build().expect("the defaults are fine");
    let app = Router::new()
        .route("/", get(both))
        .route("/marked", get(marked))
        .layer(from_fn(mark))
        .layer(SessionLayer::new(manager));
    let (_, headers, body) = ask(&app, "/", None).await;
    assert_eq!((body.as_str(), store.total()), ("5", 1));
    assert_eq!(ask(&app, "/marked", cookies(&headers).first()).await.2, "5");
}

#[tokio::test]
async fn a_fallback_that_does_not_look_is_left_alone() {
    let app = Router::new()
        .route("/visit", get(visit))
        .fallback(|| async { (StatusCode::NOT_FOUND, "nothing here") })
        .layer(SessionLayer::new(manager()));
    let (_, headers, _) = ask(&app, "/visit", None).await;
    let (status, headers, body) = ask(&app, "/missing", cookies(&headers).first()).await;
    assert_eq!((status, body.as_str()), (StatusCode::NOT_FOUND, "nothing here"));
    assert!(!headers.contains_key("vary") && !headers.contains_key("set-cookie"));
}

#[tokio::test]
async fn routes_after_the_layer_have_no_session() {
    let app = Router::new().route("/in", get(visit)).layer(SessionLayer::new(manager())).route("/out", get(visit));
    assert_eq!(ask(&app, "/in", None).await.0, StatusCode::OK);
    assert_eq!(ask(&app, "/out", None).await.0, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn another_extractor_may_fail_beside_it() {
    async fn handler(session: Session, Json(n): Json<u64>) -> Result<(), Error> {
        Ok(session.insert("n", n)?)
    }
    let app = Router::new().route("/", post(handler)).layer(SessionLayer::new(manager()));
    let request = Request::builder()
        .method("POST")
        .uri("/")
        .header("content-type", "application/json")
        .body(Body::from("x"))
        .expect("a request");
    let response = app.oneshot(request).await.expect("a router doesn't fail");
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert!(cookies(response.headers()).is_empty());
}

#[tokio::test]
async fn a_task_that_outlives_the_response_is_told_that_it_is_too_late() {
    let (answered, wait) = oneshot::channel::<()>();
    let (report, late) = oneshot::channel();
    let ends = Arc::new(Mutex::new(Some((wait, report))));
    let handler = async move |session: Session| -> Result<(), Error> {
        session.insert("n", 1)?;
        if let Some((wait, report)) = ends.lock().ok().and_then(|mut ends| ends.take()) {
            tokio::spawn(async move {
                let _ = wait.await;
                let _ = report.send(session.insert("n", 2));
            });
        }
        Ok(())
    };
    let app = Router::new().route("/", get(handler)).layer(SessionLayer::new(manager()));
    let (_, headers, _) = ask(&app, "/", None).await;
    assert_eq!(cookies(&headers).len(), 1);
    answered.send(()).expect("the task waits");
    let late = late.await.expect("the task reports");
    assert!(matches!(late, Err(session_core::Error::Closed)), "{late:?}");
}

/// Who came, and who left with what, as an application would note it down.
#[derive(Default)]
struct Guests(Mutex<Vec<String>>);

impl Observer for Guests {
    fn observe(&self, happening: &Happening<'_>) {
        let verb = match happening.event() {
            Event::Created => "came",
            Event::Destroyed => "left",
            _ => return,
        };
        let who = happening.fingerprint().expect("it is known");
        let record = happening.record().expect("it has something");
        let n = record.values().get("n").unwrap_or_default();
        self.0.lock().expect("whole").push(format!("{who} {verb} with {n}"));
    }
}

async fn leave(session: Session) -> Result<(), Error> {
    Ok(session.logout()?)
}

#[tokio::test]
async fn d23_a_session_is_told_once_when_it_begins_and_once_when_it_ends_with_its_own_data() {
    let guests = Arc::new(Guests::default());
    let builder = SessionManager::stored(MemoryStore::new(), keys()).observer(Arc::clone(&guests));
    let manager = builder.build().expect("the defaults are fine");
    let app = Router::new().route("/", get(visit)).route("/leave", get(leave)).layer(SessionLayer::new(manager));
    let (_, headers, _) = ask(&app, "/", None).await;
    let cookie = cookies(&headers).remove(0);
    ask(&app, "/", Some(&cookie)).await;
    for _ in 0..2 {
        ask(&app, "/leave", Some(&cookie)).await;
    }
    let told = std::mem::take(&mut *guests.0.lock().expect("whole"));
    let who = told[0].split(' ').next().expect("a fingerprint").to_owned();
    assert_eq!(told, [format!("{who} came with 1"), format!("{who} left with 2")]);
    assert_eq!(who.len(), 16);
}
