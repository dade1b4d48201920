//! What the log says. Apart from the other tests, because whoever logs first decides whether a process listens.

mod common;

use std::cell::RefCell;
use std::io;
use std::sync::Once;

use actix_web::test::init_service;
use actix_web::{App, web};
use session_actix::{Error, Session, SessionMiddleware};
use session_testing::stores::Verb;

use crate::common::{TestStore, get, manager, send, with_cookie};

async fn visit(session: Session) -> Result<String, Error> {
    Ok(session.update("visits", |visits: &mut u64| *visits += 1)?.to_string())
}

async fn large(session: Session) -> Result<&'static str, Error> {
    session.insert("large", "x".repeat(1 << 20))?;
    Ok("too much")
}

async fn optional(session: Option<Session>) -> &'static str {
    if session.is_some() { "somebody" } else { "anonymous" }
}

fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/visit", web::get().to(visit))
        .route("/large", web::get().to(large))
        .route("/optional", web::get().to(optional));
}

#[actix_web::test]
async fn without_the_middleware_the_answer_is_500_and_the_log_names_the_line_to_add() {
    listen();
    let app = init_service(App::new().configure(routes)).await;
    let reply = send(&app, get("/visit").to_request()).await;
    assert_eq!((reply.status, reply.body.as_str()), (500, ""));
    assert_eq!(logged(".wrap(SessionMiddleware::new(manager.clone()))"), 1);
}

#[actix_web::test]
async fn a_failure_of_the_store_is_logged_once_with_its_source() {
    listen();
    for (verb, path) in [(Verb::Load, "/visit"), (Verb::Load, "/optional"), (Verb::Update, "/visit")] {
        let store = TestStore::new();
        let app = init_service(App::new().configure(routes).wrap(SessionMiddleware::new(manager(&store)))).await;
        let cookie = send(&app, get("/visit").to_request()).await.cookie().to_owned();
        store.break_verb(verb);
        let before = logged("the test said so");
        assert_eq!(send(&app, with_cookie(path, &cookie).to_request()).await.status, 503, "{verb:?} {path}");
        assert_eq!(logged("the test said so") - before, 1, "{verb:?} {path}");
    }
}

#[actix_web::test]
async fn a_session_that_is_too_large_is_500_and_logged_once() {
    listen();
    let app = App::new().configure(routes).wrap(SessionMiddleware::new(manager(&TestStore::new())));
    let reply = send(&init_service(app).await, get("/large").to_request()).await;
    assert_eq!((reply.status, reply.body.as_str()), (500, ""));
    assert_eq!(logged("bytes where"), 1);
}

thread_local! {
    /// What was logged by this thread, which is one test.
    static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing_subscriber::fmt().with_writer(|| Log).init());
}

/// The number of lines with these words.
fn logged(words: &str) -> usize {
    LOG.with_borrow(|log| String::from_utf8_lossy(log).lines().filter(|line| line.contains(words)).count())
}

struct Log;

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.with_borrow_mut(|log| log.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
