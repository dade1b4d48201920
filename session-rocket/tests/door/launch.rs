//! What is found when the application starts.

use std::process::Command;

use rocket::error::ErrorKind;
use rocket::http::Status;
use rocket::local::blocking::Client;
use rocket::{Build, Config, Rocket, catchers, get, routes};
use session_core::Error;
use session_rocket::{Session, SessionFairing};

use crate::support::{ALL, TestStore, app, lines, manager, page_of_status};

#[get("/")]
fn needs(session: Session) -> String {
    session.len().to_string()
}

#[get("/")]
fn may_need(session: Option<Session>) -> &'static str {
    if session.is_some() { "a session" } else { "no session" }
}

#[get("/")]
fn may_fail(session: Result<Session, session_rocket::Error>) -> &'static str {
    if session.is_ok() { "a session" } else { "no session" }
}

fn quiet() -> Rocket<Build> {
    rocket::custom(Config { log_level: rocket::config::LogLevel::Off, ..Config::debug_default() })
}

#[test]
fn a_missing_fairing_is_a_launch_error() {
    for routes in [routes![needs], routes![may_need], routes![may_fail]] {
        let error = Client::tracked(quiet().mount("/", routes.clone())).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::SentinelAborts(_)), "{error}");
        let fairing = SessionFairing::new(manager(&TestStore::default()));
        assert!(Client::tracked(quiet().mount("/", routes).attach(fairing)).is_ok());
    }
}

#[test]
fn rockets_own_log_names_the_line_to_add() {
    const CHILD: &str = "SESSION_ROCKET_TEST_LAUNCHES";
    if std::env::var_os(CHILD).is_some() {
        let error = Client::tracked(rocket::custom(Config::debug_default()).mount("/", routes![needs])).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::SentinelAborts(_)), "{error}");
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "launch::rockets_own_log_names_the_line_to_add", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{log}");
    assert!(log.contains("no SessionFairing on this Rocket: add .attach(SessionFairing::new(manager)) to it"), "{log}");
}

#[test]
fn a_catcher_that_asks_without_a_fairing_gets_no_session() {
    let client = Client::tracked(quiet().register("/", catchers![page_of_status])).unwrap();
    assert_eq!(client.get("/nowhere").dispatch().into_string().unwrap(), "page of 404: no session");
}

#[test]
fn a_fairing_attached_twice_sets_one_cookie() {
    let store = TestStore::default();
    let manager = manager(&store);
    let client =
        Client::tracked(app().attach(SessionFairing::new(manager.clone())).attach(SessionFairing::from(manager)))
            .unwrap();
    let response = client.get("/visit").dispatch();
    assert_eq!((lines(&response, "set-cookie").len(), lines(&response, "vary").len()), (1, 1));
    assert_eq!(client.get("/visit").dispatch().into_string().unwrap(), "visit 2");
    assert_eq!(store.calls(), ["create", "load", "update"]);
}

#[test]
fn of_two_fairings_the_last_counts() {
    let (first, last) = (TestStore::default(), TestStore::default());
    let teapot = |_: &Error| rocket::Response::build().status(Status::ImATeapot).finalize();
    let rocket =
        app().attach(SessionFairing::new(manager(&first))).attach(SessionFairing::new(manager(&last)).on_error(teapot));
    let client = Client::untracked(rocket).unwrap();
    client.get("/visit").dispatch();
    assert_eq!((first.live(), last.live()), (0, 1));
    last.failing(ALL);
    assert_eq!(client.get("/visit").dispatch().status(), Status::ImATeapot);
}

#[test]
fn a_fairing_shows_no_secret() {
    let fairing = SessionFairing::new(manager(&TestStore::default())).on_error(|_| rocket::Response::new());
    let shown = format!("{fairing:?}");
    assert!(shown.starts_with("SessionFairing { manager: SessionManager {"), "{shown}");
}
