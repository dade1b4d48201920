//! Over real sockets: what passes through `wrap`, and what happens when the client leaves.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Buf;
use common::{TestStore, connect, cookie, eventually, exchange, serve, visits};
use futures_util::{Stream, StreamExt, stream};
use hyper::upgrade::OnUpgrade;
use session_warp::{Error, Session, session, wrap};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use warp::Filter;
use warp::http::StatusCode;

fn get(path: &str, cookie: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\ncookie: {cookie}\r\nconnection: close\r\n\r\n")
}

#[tokio::test]
async fn a_visitor_is_counted_over_a_socket() {
    let app = wrap(visits(), TestStore::default().manager());
    let address = serve(app.clone()).await;
    let cookie = cookie(&warp::test::request().path("/visit").reply(&app).await);
    let response = exchange(address, get("/visit", &cookie)).await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n") && response.ends_with("visit 2"), "{response}");
}

#[tokio::test]
async fn remote_is_the_address_of_the_client() {
    let routes = session_warp::remote().map(|address| format!("{address:?}"));
    let address = serve(wrap(routes, TestStore::default().manager())).await;
    let mut stream = connect(address, get("/", "")).await;
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    let expected = format!("Some({})", stream.local_addr().unwrap());
    assert!(response.ends_with(&expected), "{response} {expected}");
}

#[tokio::test]
async fn a_malformed_host_is_answered_as_by_plain_warp() {
    let address = serve(wrap(visits(), TestStore::default().manager())).await;
    let request = "GET /visit HTTP/1.1\r\nhost: exa mple/\r\nconnection: close\r\n\r\n";
    let response = exchange(address, request).await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
}

#[tokio::test]
async fn a_connection_is_upgraded_and_carries_the_cookie() {
    async fn echo(upgrade: OnUpgrade, session: Session) -> Result<impl warp::Reply, Error> {
        session.insert("upgraded", true)?;
        tokio::spawn(async move {
            let mut io = Upgraded(upgrade.await.unwrap());
            let mut line = [0; 5];
            io.read_exact(&mut line).await;
            line.reverse();
            io.write_all(&line).await;
        });
        let reply = warp::reply::with_header(StatusCode::SWITCHING_PROTOCOLS, "upgrade", "echo");
        Ok(warp::reply::with_header(reply, "connection", "upgrade"))
    }
    let address = serve(wrap(warp::ext::get().and(session()).then(echo), TestStore::default().manager())).await;
    let request = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    let mut stream = connect(address, request).await;

    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        assert!(head.len() < 2_000);
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("set-cookie: __Host-id="), "{head}");
    stream.write_all(b"hello").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "olleh");
}

/// Reads and writes through hyper's own traits, which an upgraded connection has.
struct Upgraded(hyper::upgrade::Upgraded);

impl Upgraded {
    async fn read_exact(&mut self, bytes: &mut [u8]) {
        let mut read = 0;
        while read < bytes.len() {
            let mut buffer = hyper::rt::ReadBuf::new(&mut bytes[read..]);
            std::future::poll_fn(|cx| hyper::rt::Read::poll_read(Pin::new(&mut self.0), cx, buffer.unfilled()))
                .await
                .unwrap();
            assert!(!buffer.filled().is_empty(), "the client is still there");
            read += buffer.filled().len();
        }
    }

    async fn write_all(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let wrote = std::future::poll_fn(|cx| hyper::rt::Write::poll_write(Pin::new(&mut self.0), cx, bytes));
            bytes = &bytes[wrote.await.unwrap()..];
        }
        std::future::poll_fn(|cx| hyper::rt::Write::poll_flush(Pin::new(&mut self.0), cx)).await.unwrap();
    }
}

#[tokio::test]
async fn a_large_request_body_is_streamed_before_it_is_whole() {
    const CHUNK: usize = 64 * 1024;
    const CHUNKS: usize = 128;

    async fn count<S, B>(arrived: Arc<AtomicU64>, body: S) -> String
    where
        S: Stream<Item = Result<B, warp::Error>> + Send,
        B: Buf,
    {
        let mut body = std::pin::pin!(body);
        while let Some(chunk) = body.next().await {
            arrived.fetch_add(chunk.unwrap().remaining() as u64, Ordering::SeqCst);
        }
        format!("{} bytes", arrived.load(Ordering::SeqCst))
    }
    let arrived = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&arrived);
    let routes = warp::post().map(move || Arc::clone(&counter)).and(warp::body::stream()).then(count);
    let address = serve(wrap(routes, TestStore::default().manager())).await;

    let length = CHUNK * CHUNKS;
    let head = format!("POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    let mut stream = connect(address, head).await;
    let chunk = vec![b'x'; CHUNK];
    stream.write_all(&chunk).await.unwrap();
    eventually("the first chunk arrives before the last is sent", || arrived.load(Ordering::SeqCst) > 0).await;
    for _ in 1..CHUNKS {
        stream.write_all(&chunk).await.unwrap();
    }
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    assert!(response.ends_with(&format!("{length} bytes")), "{response}");
}

#[tokio::test]
async fn a_response_body_is_streamed_before_it_is_whole() {
    let first_was_read = Arc::new(Notify::new());
    let notified = Arc::clone(&first_was_read);
    let routes = warp::any().and(session()).map(move |session: Session| {
        session.insert("n", 1).unwrap();
        let notified = Arc::clone(&notified);
        warp::reply::stream(stream::iter(["first", "second"]).then(move |part| {
            let notified = Arc::clone(&notified);
            async move {
                if part == "second" {
                    notified.notified().await;
                }
                Ok::<_, Infallible>(part)
            }
        }))
    });
    let address = serve(wrap(routes, TestStore::default().manager())).await;
    let mut stream = connect(address, get("/", "")).await;
    let mut response = String::new();
    while !response.contains("first") {
        assert!(response.len() < 2_000 && !response.contains("second"), "{response}");
        response.push(char::from(stream.read_u8().await.unwrap()));
    }
    first_was_read.notify_one();
    stream.read_to_string(&mut response).await.unwrap();
    assert!(response.contains("second") && response.contains("set-cookie: "), "{response}");
}

/// `/wait` writes, and `/logout` ends the session; then both wait for ever. `/leave` ends it and answers, `/panic` ends
/// it and panics.
struct Waiting {
    store: TestStore,
    address: std::net::SocketAddr,
    cookie: String,
    began: Arc<AtomicBool>,
    dropped: Arc<AtomicBool>,
}

impl Waiting {
    async fn start() -> Self {
        struct OnDrop(Arc<AtomicBool>);
        impl Drop for OnDrop {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        type Act = fn(&Session) -> Result<(), session_core::Error>;

        let (began, dropped) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let waiting = |path: &'static str, act: Act| {
            let (began, dropped) = (Arc::clone(&began), Arc::clone(&dropped));
            warp::path(path).and(session()).then(move |session: Session| {
                let (began, dropped) = (Arc::clone(&began), OnDrop(Arc::clone(&dropped)));
                async move {
                    let _dropped = dropped;
                    act(&session)?;
                    began.store(true, Ordering::SeqCst);
                    std::future::pending::<Result<String, Error>>().await
                }
            })
        };
        let store = TestStore::default();
        let panic = warp::path!("panic").and(session()).map(|session: Session| -> String {
            session.insert("visits", 100).unwrap();
            session.logout().unwrap();
            std::panic::resume_unwind(Box::new("as told"))
        });
        let leave = warp::path!("leave").and(session()).map(|session: Session| {
            session.logout()?;
            Ok::<_, Error>("left".to_owned())
        });
        let wait = waiting("wait", |session| session.insert("visits", 100));
        let logout = waiting("logout", Session::logout);
        let app = wrap(visits().or(wait).or(logout).or(panic).or(leave), store.manager());
        let cookie = common::visitor(&app).await;
        store.calls();
        Self { address: serve(app).await, store, cookie, began, dropped }
    }

    /// Asks, and resets the connection when the handler waits.
    async fn ask_and_reset(&self, path: &str) {
        let stream = connect(self.address, get(path, &self.cookie)).await;
        eventually("the handler runs", || self.began.load(Ordering::SeqCst)).await;
        stream.set_zero_linger().unwrap();
        drop(stream);
        eventually("the handler is dropped", || self.dropped.load(Ordering::SeqCst)).await;
    }
}

#[tokio::test]
async fn a_client_that_resets_ends_the_handler_and_its_changes() {
    let waiting = Waiting::start().await;
    waiting.ask_and_reset("/wait").await;
    assert_eq!(waiting.store.calls(), ["load"]);
    assert!(exchange(waiting.address, get("/visit", &waiting.cookie)).await.ends_with("visit 2"));
}

#[tokio::test]
async fn a_logout_is_carried_out_when_the_client_resets() {
    let waiting = Waiting::start().await;
    waiting.ask_and_reset("/logout").await;
    eventually("the session is deleted", || waiting.store.live() == 0).await;
    assert_eq!(waiting.store.calls(), ["load", "delete"]);
}

#[tokio::test]
async fn a_logout_is_carried_out_by_a_slow_store_when_the_client_resets() {
    let waiting = Waiting::start().await;
    waiting.store.pause();
    waiting.ask_and_reset("/logout").await;
    assert_eq!(waiting.store.live(), 1);
    waiting.store.resume();
    eventually("the session is deleted", || waiting.store.live() == 0).await;
}

#[tokio::test]
async fn a_logout_is_carried_out_by_a_slow_store_when_the_client_resets_after_the_handler() {
    let waiting = Waiting::start().await;
    waiting.store.pause();
    let stream = connect(waiting.address, get("/leave", &waiting.cookie)).await;
    let calls = Mutex::new(Vec::new());
    eventually("the store is at work", || {
        let mut calls = calls.lock().unwrap();
        calls.extend(waiting.store.calls());
        *calls == ["load", "delete"]
    })
    .await;
    stream.set_zero_linger().unwrap();
    drop(stream);
    // Nothing tells when the server has noticed; by far most of the time it has by now.
    tokio::time::sleep(Duration::from_millis(50)).await;
    waiting.store.resume();
    eventually("the session is deleted", || waiting.store.live() == 0).await;
}

#[tokio::test]
async fn a_logout_is_carried_out_when_the_handler_panics() {
    for slow in [false, true] {
        let waiting = Waiting::start().await;
        if slow {
            waiting.store.pause();
        }
        let response = exchange(waiting.address, get("/panic", &waiting.cookie)).await;
        assert_eq!(response, "", "the connection is closed without a response");
        waiting.store.resume();
        eventually("the session is deleted", || waiting.store.live() == 0).await;
        assert_eq!(waiting.store.calls(), ["load", "delete"]);
    }
}

#[tokio::test]
async fn a_panic_reaches_whoever_runs_the_filter() {
    let routes = warp::any().map(|| -> String { std::panic::resume_unwind(Box::new("as told")) });
    let app = wrap(routes, TestStore::default().manager());
    let ended = tokio::spawn(async move { warp::test::request().reply(&app).await }).await.unwrap_err();
    assert_eq!(ended.into_panic().downcast_ref::<&str>(), Some(&"as told"));
}

#[test]
fn a_filter_that_outlives_its_runtime_does_no_harm() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let app = wrap(warp::any().then(std::future::pending::<String>), TestStore::default().manager());
    let other = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let reply = async move { warp::test::request().reply(&app).await };
    let mut reply: Pin<Box<dyn Future<Output = _>>> = Box::pin(reply);
    {
        // The task goes to the runtime that is entered first, which then ends.
        let _entered = runtime.enter();
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(reply.as_mut().poll(&mut cx).is_pending());
    }
    runtime.shutdown_background();
    let response = other.block_on(reply);
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
}
