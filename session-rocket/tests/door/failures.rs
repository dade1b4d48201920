//! What the application and its visitors see of failures.

use std::time::Duration;

use rocket::http::Status;
use rocket::local::blocking::Client;
use rocket::shield::Shield;
use rocket::{Response, catch, catchers, get, routes};
use session_core::Error;
use session_rocket::SessionFairing;

use crate::support::{ALL, COOKIE, TestStore, app, app_with, lines, manager, page_of_status};

#[catch(503)]
fn our_page() -> &'static str {
    "back in a minute"
}

/// Where a visitor without a session might be sent.
#[get("/visit", rank = 2)]
fn stranger() -> &'static str {
    "hello, stranger"
}

fn retry_later(error: &Error) -> Response<'static> {
    Response::build().status(Status::new(error.status())).raw_header("retry-after", "5").finalize()
}

#[test]
fn an_outage_is_not_taken_for_an_anonymous_visitor() {
    let store = TestStore::default();
    let client = Client::tracked(app_with(&store)).unwrap();
    client.get("/visit").dispatch();
    store.failing(ALL);
    store.calls();
    let response = client.get("/optional").dispatch();
    assert_eq!(response.status(), Status::ServiceUnavailable);
    assert_eq!(lines(&response, "set-cookie"), [""; 0]);
    assert_eq!(lines(&response, "vary"), ["Cookie"]);
    assert_eq!(response.into_string().unwrap_or_default(), "");
    assert_eq!(store.calls(), ["load"]);

    store.failing(&[]);
    assert_eq!(client.get("/optional").dispatch().into_string().unwrap(), "a session");
    assert_eq!(client.get("/visits").dispatch().into_string().unwrap(), "visits 1");
}

#[test]
fn a_guard_that_fails_is_answered_by_the_applications_catcher() {
    let store = TestStore::default();
    let fairing = SessionFairing::new(manager(&store)).on_error(retry_later);
    let rocket = app().mount("/", routes![stranger]).register("/", catchers![our_page]).attach(fairing);
    let client = Client::tracked(rocket).unwrap();
    client.get("/visit").dispatch();
    store.failing(ALL);
    let response = client.get("/visit").dispatch();
    assert_eq!(response.status(), Status::ServiceUnavailable);
    assert_eq!(lines(&response, "retry-after"), [""; 0]);
    assert_eq!(response.into_string().unwrap(), "back in a minute");
}

#[test]
fn a_store_that_is_down_is_asked_once_even_if_the_catcher_asks_too() {
    let store = TestStore::default();
    let client = Client::tracked(app_with(&store).register("/", catchers![page_of_status])).unwrap();
    client.get("/visit").dispatch();
    store.failing(ALL);
    store.calls();
    assert_eq!(client.get("/visit").dispatch().into_string().unwrap(), "page of 503: no session");
    assert_eq!(store.calls(), ["load"]);
}

#[test]
fn an_error_that_a_handler_returns_goes_to_the_catchers_with_its_status() {
    let store = TestStore::default();
    let client = Client::tracked(app_with(&store).register("/", catchers![page_of_status])).unwrap();
    let response = client.get("/wrong-type").dispatch();
    assert_eq!(response.status(), Status::InternalServerError);
    assert_eq!(response.into_string().unwrap(), "page of 500: Oslo");
    assert_eq!(store.live(), 0);
}

#[test]
fn a_session_that_could_not_be_saved_is_an_empty_503_without_a_cookie() {
    let store = TestStore::default();
    store.failing(&["create"]);
    let client = Client::tracked(app_with(&store).register("/", catchers![our_page])).unwrap();
    let response = client.get("/visit").dispatch();
    assert_eq!(response.status(), Status::ServiceUnavailable);
    assert_eq!(lines(&response, "set-cookie"), [""; 0]);
    assert_eq!(response.into_string().unwrap_or_default(), "");
}

#[test]
fn on_error_answers_for_a_session_that_could_not_be_saved() {
    let store = TestStore::default();
    store.failing(&["create"]);
    let client = Client::tracked(app().attach(SessionFairing::new(manager(&store)).on_error(retry_later))).unwrap();
    for path in ["/visit", "/other-cookie"] {
        let response = client.get(path).dispatch();
        assert_eq!(response.status(), Status::ServiceUnavailable);
        assert_eq!(lines(&response, "retry-after"), ["5"]);
        assert_eq!(lines(&response, "set-cookie"), [""; 0]);
        assert_eq!(lines(&response, "vary"), ["Cookie"]);
    }
    store.failing(&[]);
    assert_eq!(client.get("/visit").dispatch().into_string().unwrap(), "visit 1");
}

#[test]
fn a_shield_attached_behind_protects_what_replaces_a_response() {
    let store = TestStore::default();
    store.failing(&["create"]);
    let before = app_with(&store);
    let behind = app_with(&store).attach(Shield::default());
    for (rocket, protected) in [(before, false), (behind, true)] {
        let response = Client::tracked(rocket).unwrap().get("/visit").dispatch().headers().contains("x-frame-options");
        assert_eq!(response, protected);
    }
}

#[test]
fn a_response_that_failed_already_is_kept() {
    let store = TestStore::default();
    let fairing = SessionFairing::new(manager(&store)).on_error(retry_later);
    let client = Client::tracked(app().register("/", catchers![page_of_status]).attach(fairing)).unwrap();
    client.get("/visit").dispatch();
    store.failing(&["delete"]);
    let response = client.post("/logout-then/500").dispatch();
    assert_eq!(response.status(), Status::InternalServerError);
    assert_eq!(lines(&response, "retry-after"), [""; 0]);
    assert_eq!(response.into_string().unwrap(), "page of 500: Oslo");
}

#[test]
fn a_5xx_drops_the_changes_and_a_4xx_does_not() {
    let store = TestStore::default();
    let client = Client::untracked(app_with(&store)).unwrap();
    for (status, live) in [(500, 0), (503, 0), (404, 1), (200, 2)] {
        let response = client.get(format!("/write-then/{status}")).dispatch();
        assert_eq!(response.status().code, status);
        assert_eq!(store.live(), live, "{status}");
    }
}

#[test]
fn a_5xx_carries_the_logout_out() {
    let store = TestStore::default();
    let client = Client::tracked(app_with(&store)).unwrap();
    client.get("/visit").dispatch();
    assert_eq!(client.post("/logout-then/500").dispatch().status(), Status::InternalServerError);
    assert_eq!((store.live(), client.cookies().get(COOKIE).is_some()), (0, false));
}

#[test]
fn the_cookie_of_a_handler_that_failed_outlives_the_catcher() {
    let store = TestStore::default();
    let client = Client::tracked(app_with(&store).register("/", catchers![page_of_status])).unwrap();
    let response = client.get("/write-then/404").dispatch();
    assert_eq!(lines(&response, "set-cookie").len(), 1);
    assert_eq!(response.into_string().unwrap(), "page of 404: Oslo");
    assert_eq!(client.get("/nowhere").dispatch().into_string().unwrap(), "page of 404: Oslo");
}

#[test]
fn a_store_that_takes_its_time_is_waited_for() {
    let store = TestStore::default();
    store.delayed(Duration::from_millis(10));
    let client = Client::tracked(app_with(&store)).unwrap();
    assert_eq!(client.get("/visit").dispatch().into_string().unwrap(), "visit 1");
    assert_eq!(client.get("/visit").dispatch().into_string().unwrap(), "visit 2");
}

#[test]
fn a_store_that_panics_is_an_answer() {
    let store = TestStore::default();
    store.delayed(Duration::from_millis(1));
    store.failing(&["create"]);
    store.panics();
    let client = Client::tracked(app_with(&store)).unwrap();
    let response = client.get("/visit").dispatch();
    assert_eq!(response.status(), Status::InternalServerError);
    assert_eq!(lines(&response, "set-cookie"), [""; 0]);
}
