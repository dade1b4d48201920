//! Requests that end in another way than by their response.

use std::time::Duration;

use rocket::http::Status;
use rocket::local::asynchronous::Client;
use rocket::{Request, catch, catchers};
use session_rocket::{Session, SessionFairing};

use crate::support::{Gate, Server, TestStore, app_at, app_with, manager, request};

#[tokio::test]
async fn a_panic_after_a_logout_carries_it_out() {
    let store = TestStore::default();
    let client = Client::tracked(app_with(&store)).await.unwrap();
    client.get("/visit").dispatch().await;
    assert_eq!(client.post("/logout-then-panic").dispatch().await.status(), Status::InternalServerError);
    assert_eq!((store.live(), client.cookies().iter().count()), (0, 0));
}

#[tokio::test]
async fn a_panic_after_a_write_saves_nothing() {
    let store = TestStore::default();
    let client = Client::tracked(app_with(&store)).await.unwrap();
    let response = client.get("/write-then-panic").dispatch().await;
    assert_eq!(response.status(), Status::InternalServerError);
    assert_eq!((store.live(), response.cookies().iter().count()), (0, 0));
}

#[tokio::test]
async fn a_client_that_resets_cannot_stop_its_logout() {
    let (store, gate) = (TestStore::default(), Gate::default());
    let server = Server::start(app_at(&gate).attach(SessionFairing::new(manager(&store)))).await;
    let cookie = format!("cookie: {}", server.visitor().await);
    let connection = server.send(&request("POST /logout-then-wait", &[cookie.as_bytes()])).await;
    gate.reached().await;
    connection.set_zero_linger().unwrap();
    drop(connection);
    // The server sees the reset before the handler goes on.
    tokio::time::sleep(Duration::from_millis(50)).await;
    gate.open();
    store.has(0).await;
}

#[tokio::test]
async fn a_handler_whose_client_left_is_saved() {
    let (store, gate) = (TestStore::default(), Gate::default());
    let server = Server::start(app_at(&gate).attach(SessionFairing::new(manager(&store)))).await;
    let connection = server.send(&request("POST /write-then-wait", &[])).await;
    gate.reached().await;
    drop(connection);
    tokio::time::sleep(Duration::from_millis(50)).await;
    gate.open();
    store.has(1).await;
}

#[tokio::test]
async fn a_request_that_is_dropped_is_logged_out_and_not_saved() {
    let (store, gate) = (TestStore::default(), Gate::default());
    let client = Client::tracked(app_at(&gate).attach(SessionFairing::new(manager(&store)))).await.unwrap();
    client.get("/visit").dispatch().await;
    store.delayed(Duration::from_millis(5));
    for (path, live) in [("/write-then-wait", 1), ("/logout-then-wait", 0)] {
        store.calls();
        tokio::select! {
            _ = client.post(path).dispatch() => panic!("the handler waits"),
            () = gate.reached() => {}
        }
        store.has(live).await;
        assert!(!store.calls().contains(&"update"));
    }
}

#[tokio::test]
async fn a_logout_that_the_store_has_begun_outlives_its_request() {
    let store = TestStore::default();
    let client = Client::tracked(app_with(&store)).await.unwrap();
    client.get("/visit").dispatch().await;
    store.delayed(Duration::from_millis(50));
    tokio::select! {
        _ = client.post("/logout").dispatch() => panic!("the store takes its time"),
        () = store.asked("delete") => {}
    }
    store.has(0).await;
}

#[catch(400)]
async fn log_out(request: &Request<'_>) -> &'static str {
    request.guard::<Session>().await.succeeded().unwrap().logout().unwrap();
    "logged out"
}

#[tokio::test]
async fn a_page_that_passes_no_fairing_still_logs_out() {
    let store = TestStore::default();
    let server = Server::start(app_with(&store).register("/", catchers![log_out])).await;
    let cookie = format!("cookie: {}", server.visitor().await);
    store.delayed(Duration::from_millis(5));
    let response = server.ask("BREW /", &[cookie.as_bytes()]).await;
    assert!(response.ends_with("logged out") && !response.contains("vary"), "{response}");
    store.has(0).await;
}
