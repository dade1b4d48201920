//! What a client and an application see of a session error.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::convert::Infallible;

use common::{TestStore, cookie, visitor, visits};
use session_warp::{Error, Session, SessionLayer, optional_session, reject, session, wrap};
use warp::http::StatusCode;
use warp::reply::{Response, with_status};
use warp::test::request;
use warp::{Filter, Rejection, Reply};

/// Rejects, since the value is no number.
fn wrong_type() -> impl Filter<Extract = (String,), Error = Rejection> + Clone {
    warp::path!("wrong").and(session()).and_then(|session: Session| async move {
        session.insert("private-key", "private-value").map_err(reject)?;
        session.get::<u64>("private-key").map_err(reject)?;
        Ok::<_, Rejection>("never".to_owned())
    })
}

#[tokio::test]
async fn without_wrap_a_session_is_a_500_that_says_nothing() {
    let response = request().path("/visit").reply(&visits()).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    // The first two words are warp's.
    assert_eq!(response.body(), "Unhandled rejection: session error");
}

#[tokio::test]
async fn without_wrap_the_application_can_tell() {
    async fn recover(rejection: Rejection) -> Result<String, Rejection> {
        match rejection.find::<Error>() {
            Some(error) => Ok(error.to_string()),
            None => Err(rejection),
        }
    }
    let response = request().path("/visit").reply(&visits().recover(recover)).await;
    assert_eq!(response.body(), "no sessions on these routes: give them to session_warp::wrap(routes, manager)");
}

#[tokio::test]
async fn a_rejection_while_the_store_is_down_is_an_empty_503() {
    let store = TestStore::default();
    let app = wrap(visits(), store.manager());
    let cookie = visitor(&app).await;
    store.go_down();

    let response = request().path("/visit").header("cookie", cookie).reply(&app).await;
    assert_eq!((response.status(), response.body().len()), (StatusCode::SERVICE_UNAVAILABLE, 0));
    assert!(!response.headers().contains_key("set-cookie"));
    assert!(!response.headers().contains_key("content-type"));
}

#[tokio::test]
async fn a_rejection_by_a_handler_is_an_empty_500() {
    let store = TestStore::default();
    let response = request().path("/wrong").reply(&wrap(wrong_type(), store.manager())).await;
    assert_eq!((response.status(), response.body().len()), (StatusCode::INTERNAL_SERVER_ERROR, 0));
    assert!(!response.headers().contains_key("set-cookie"));
    assert_eq!(store.live(), 0);
}

#[tokio::test]
async fn an_error_that_a_handler_returns_is_an_empty_500() {
    let routes = warp::any().and(session()).map(|session: Session| {
        session.insert("private-key", "private-value")?;
        Ok::<_, Error>(session.get::<u64>("private-key")?.unwrap_or_default().to_string())
    });
    let response = request().reply(&wrap(routes, TestStore::default().manager())).await;
    assert_eq!((response.status(), response.body().len()), (StatusCode::INTERNAL_SERVER_ERROR, 0));
}

#[tokio::test]
async fn a_write_that_fails_is_an_empty_503_in_place_of_the_answer() {
    let store = TestStore::default();
    let app = wrap(visits(), store.manager());
    store.go_down();

    let response = request().path("/visit").reply(&app).await;
    assert_eq!((response.status(), response.body().len()), (StatusCode::SERVICE_UNAVAILABLE, 0));
    assert!(!response.headers().contains_key("set-cookie"));
}

#[tokio::test]
async fn an_optional_session_is_a_503_while_the_store_is_down() {
    let store = TestStore::default();
    let optional =
        warp::path!("optional").and(optional_session()).map(|session: Option<Session>| session.is_some().to_string());
    let app = wrap(visits().or(optional), store.manager());
    let cookie = visitor(&app).await;
    store.go_down();

    let response = request().path("/optional").header("cookie", cookie).reply(&app).await;
    assert_eq!((response.status(), response.body().len()), (StatusCode::SERVICE_UNAVAILABLE, 0));
    assert_eq!(request().path("/optional").reply(&app).await.body(), "true");
}

#[tokio::test]
async fn a_dead_store_is_asked_once_and_no_other_route_hides_it() {
    let store = TestStore::default();
    let again = warp::path!("visit").and(session()).map(|_| "again".to_owned());
    let anybody = warp::path!("visit").map(|| "anybody".to_owned());
    let app = wrap(visits().or(again).or(anybody), store.manager());
    let cookie = visitor(&app).await;
    store.calls();
    store.go_down();

    let response = request().path("/visit").header("cookie", cookie).reply(&app).await;
    assert_eq!((response.status(), response.body().len()), (StatusCode::SERVICE_UNAVAILABLE, 0));
    assert_eq!(store.calls(), ["load"]);
}

#[tokio::test]
async fn the_application_recovers_a_session_error_itself() {
    async fn recover(rejection: Rejection) -> Result<impl Reply, Rejection> {
        let status = rejection.find::<Error>().map(|error| error.status());
        match status.and_then(|status| StatusCode::from_u16(status).ok()) {
            Some(status) => Ok(with_status("in our own words", status)),
            None => Err(rejection),
        }
    }
    let store = TestStore::default();
    let app = wrap(visits().or(wrong_type()).recover(recover), store.manager());
    let cookie = visitor(&app).await;

    let response = request().path("/wrong").reply(&app).await;
    assert_eq!(
        (response.status(), &response.body()[..]),
        (StatusCode::INTERNAL_SERVER_ERROR, &b"in our own words"[..])
    );
    store.go_down();
    let response = request().path("/visit").header("cookie", cookie).reply(&app).await;
    assert_eq!((response.status(), &response.body()[..]), (StatusCode::SERVICE_UNAVAILABLE, &b"in our own words"[..]));
    assert_eq!(request().path("/nowhere").reply(&app).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_layer_answers_every_session_error() {
    fn answer(error: &session_core::Error) -> Response {
        with_status(format!("sorry: {error}"), StatusCode::IM_A_TEAPOT).into_response()
    }
    let store = TestStore::default();
    let returned = warp::path!("returned").and(session()).map(|session: Session| {
        session.insert("n", "one")?;
        Ok::<_, Error>(session.get::<u64>("n")?.unwrap_or_default().to_string())
    });
    let routes = visits().or(wrong_type()).or(returned);
    let app = wrap(routes, SessionLayer::new(store.manager()).on_error(answer));
    let cookie = visitor(&app).await;

    for (path, body) in [
        ("/wrong", "sorry: the value for the session key \"private-key\" is a string, not a u64"),
        ("/returned", "sorry: the value for the session key \"n\" is a string, not a u64"),
    ] {
        let response = request().path(path).reply(&app).await;
        assert_eq!((response.status(), &response.body()[..]), (StatusCode::IM_A_TEAPOT, body.as_bytes()), "{path}");
    }
    store.go_down();
    for request in [request().path("/visit").header("cookie", cookie), request().path("/visit")] {
        let response = request.reply(&app).await;
        assert_eq!(response.status(), StatusCode::IM_A_TEAPOT);
        assert_eq!(response.body(), "sorry: the session store failed");
    }
}

#[tokio::test]
async fn a_rejection_that_is_not_ours_is_answered_as_by_plain_warp() {
    let routes = warp::path!("number" / u8).and(warp::query::<Vec<(String, u8)>>()).map(|_, _| "number".to_owned());
    let app = wrap(routes, TestStore::default().manager());
    for path in ["/number/1?a=b", "/number/300", "/number/1?a=2", "/number/1"] {
        let (plain, wrapped) = (request().path(path).reply(&routes).await, request().path(path).reply(&app).await);
        assert_eq!((wrapped.status(), wrapped.body()), (plain.status(), plain.body()), "{path}");
    }
}

#[tokio::test]
async fn a_recovered_rejection_still_sets_the_cookie() {
    async fn write_and_reject(session: Session) -> Result<String, Rejection> {
        session.insert("n", 1).map_err(reject)?;
        Err(warp::reject())
    }
    async fn recover(_: Rejection) -> Result<StatusCode, Infallible> {
        Ok(StatusCode::NOT_FOUND)
    }
    let store = TestStore::default();
    let app = wrap(warp::any().and(session()).and_then(write_and_reject).recover(recover), store.manager());
    let response = request().reply(&app).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    cookie(&response);
    assert_eq!(store.live(), 1);
}

#[tokio::test]
async fn an_error_shows_nothing_in_debug_and_keeps_its_cause() {
    let cause = session_core::Verb::Load.failed("secret-host refused the connection");
    let error = Error::from(session_core::Error::from(cause));
    assert_eq!(format!("{error:?} {:?}", reject(error.clone())), "session error Rejection(session error)");
    assert_eq!(error.to_string(), "the session store failed");
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "loading a session failed");
}
