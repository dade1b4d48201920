//! What happens to a session when its client leaves, or its handler panics: over real connections.

mod common;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServerHandle, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, Data};
use actix_web::{App, HttpServer, rt};
use session_actix::{Error, Session, SessionMiddleware};
use session_testing::stores::Verb;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::common::{TestStore, manager, until};

/// How far the request under test has come.
#[derive(Default)]
struct Progress {
    /// The handler has done its work on the session.
    worked: AtomicBool,
    /// The future of the request is gone.
    dropped: AtomicBool,
}

/// What the handlers wait for after their work.
struct Patience(Semaphore);

struct Dropped(Data<Progress>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.dropped.store(true, Ordering::SeqCst);
    }
}

struct Server {
    address: SocketAddr,
    handle: ServerHandle,
    store: TestStore,
    progress: Data<Progress>,
    patience: Data<Patience>,
}

impl Server {
    fn start() -> io::Result<Self> {
        let store = TestStore::new();
        let manager = manager(&store);
        let progress = Data::new(Progress::default());
        let patience = Data::new(Patience(Semaphore::new(0)));
        let (shared, semaphore) = (progress.clone(), patience.clone());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .app_data(semaphore.clone())
                .route("/visit", web::get().to(visit))
                .route("/slow-visit", web::get().to(slow_visit))
                .route("/slow-logout", web::get().to(slow_logout))
                .route("/logout", web::get().to(logout))
                .route("/logout-and-panic", web::get().to(logout_and_panic))
                .route("/visit-and-panic", web::get().to(visit_and_panic))
                .wrap(SessionMiddleware::new(manager.clone()))
                .wrap(from_fn(watch))
        })
        .workers(1)
        .disable_signals()
        .bind(("127.0.0.1", 0))?;
        let address = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        rt::spawn(server);
        Ok(Self { address, handle, store, progress, patience })
    }

    async fn connect(&self, path: &str, cookie: &str) -> io::Result<TcpStream> {
        self.progress.worked.store(false, Ordering::SeqCst);
        self.progress.dropped.store(false, Ordering::SeqCst);
        let mut connection = TcpStream::connect(self.address).await?;
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncookie: {cookie}\r\n\r\n");
        connection.write_all(head.as_bytes()).await?;
        Ok(connection)
    }

    /// The whole answer, which ends with the connection.
    async fn fetch(&self, path: &str, cookie: &str) -> io::Result<String> {
        read(self.connect(path, cookie).await?).await
    }

    /// A cookie of a session that has seen one visit.
    async fn cookie(&self) -> io::Result<String> {
        let answer = self.fetch("/visit", "").await?;
        let line = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap_or_default();
        assert!(!line.is_empty(), "{answer}");
        Ok(line.split(';').next().unwrap_or_default().to_owned())
    }

    async fn worked(&self) {
        until("the handler's work", || self.progress.worked.load(Ordering::SeqCst)).await;
    }

    async fn dropped(&self) {
        until("the end of the request", || self.progress.dropped.load(Ordering::SeqCst)).await;
    }

    async fn did(&self, verb: Verb) {
        until(verb.name(), || self.store.done().contains(&verb)).await;
    }
}

async fn read(mut connection: TcpStream) -> io::Result<String> {
    let mut answer = String::new();
    timeout(Duration::from_secs(5), connection.read_to_string(&mut answer)).await??;
    Ok(answer)
}

/// Ends the connection with a reset instead of a farewell.
fn reset(connection: &TcpStream) -> io::Result<()> {
    connection.set_zero_linger()
}

async fn watch(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let _dropped = request.app_data::<Data<Progress>>().cloned().map(Dropped);
    next.call(request).await
}

async fn wait(progress: &Progress, patience: &Patience) {
    progress.worked.store(true, Ordering::SeqCst);
    let _permit = patience.0.acquire().await;
}

async fn visit(session: Session) -> Result<String, Error> {
    Ok(session.update("visits", |visits: &mut u64| *visits += 1)?.to_string())
}

async fn slow_visit(
    session: Session,
    progress: Data<Progress>,
    patience: Data<Patience>,
) -> Result<&'static str, Error> {
    session.update("visits", |visits: &mut u64| *visits += 1)?;
    wait(&progress, &patience).await;
    Ok("at last")
}

async fn slow_logout(
    session: Session,
    progress: Data<Progress>,
    patience: Data<Patience>,
) -> Result<&'static str, Error> {
    session.destroy()?;
    wait(&progress, &patience).await;
    Ok("at last")
}

async fn logout(session: Session) -> Result<&'static str, Error> {
    session.destroy()?;
    Ok("goodbye")
}

#[expect(clippy::panic, reason = "it is what is tested")]
async fn logout_and_panic(session: Session) -> Result<&'static str, Error> {
    session.destroy()?;
    panic!("on purpose")
}

#[expect(clippy::panic, reason = "it is what is tested")]
async fn visit_and_panic(session: Session) -> Result<&'static str, Error> {
    session.update("visits", |visits: &mut u64| *visits += 1)?;
    panic!("on purpose")
}

#[actix_web::test]
async fn a_logout_is_carried_out_though_the_handler_panics() {
    let server = Server::start().unwrap();
    let cookie = server.cookie().await.unwrap();
    assert_eq!(server.fetch("/logout-and-panic", &cookie).await.unwrap(), "");
    server.did(Verb::Delete).await;
    assert!(server.fetch("/visit", &cookie).await.unwrap().ends_with("\r\n\r\n1"));
    server.handle.stop(false).await;
}

#[actix_web::test]
async fn a_panic_loses_the_changes_and_nothing_else() {
    let server = Server::start().unwrap();
    let cookie = server.cookie().await.unwrap();
    assert_eq!(server.fetch("/visit-and-panic", &cookie).await.unwrap(), "");
    assert!(server.fetch("/visit", &cookie).await.unwrap().ends_with("\r\n\r\n2"));
    assert_eq!(server.store.done(), [Verb::Create, Verb::Load, Verb::Load, Verb::Update]);
    server.handle.stop(false).await;
}

#[actix_web::test]
async fn a_logout_is_carried_out_though_the_client_resets() {
    let server = Server::start().unwrap();
    let cookie = server.cookie().await.unwrap();
    let connection = server.connect("/slow-logout", &cookie).await.unwrap();
    server.worked().await;
    reset(&connection).unwrap();
    drop(connection);
    server.did(Verb::Delete).await;
    assert!(server.fetch("/visit", &cookie).await.unwrap().ends_with("\r\n\r\n1"));
    server.handle.stop(false).await;
}

#[actix_web::test]
async fn a_logout_is_carried_out_though_the_client_resets_and_the_store_is_slow() {
    let server = Server::start().unwrap();
    let cookie = server.cookie().await.unwrap();
    let connection = server.connect("/slow-logout", &cookie).await.unwrap();
    server.worked().await;
    server.store.hold();
    reset(&connection).unwrap();
    drop(connection);
    server.dropped().await;
    until("the delete", || server.store.begun().contains(&Verb::Delete)).await;
    assert!(!server.store.done().contains(&Verb::Delete));
    server.store.release();
    server.did(Verb::Delete).await;
    server.handle.stop(false).await;
}

#[actix_web::test]
async fn a_logout_into_a_slow_store_survives_a_client_that_leaves_while_it_is_written() {
    let server = Server::start().unwrap();
    let cookie = server.cookie().await.unwrap();
    let load = server.store.clone();
    let connection = server.connect("/slow-logout", &cookie).await.unwrap();
    server.worked().await;
    server.store.hold();
    server.patience.0.add_permits(1);
    until("the delete", || load.begun().contains(&Verb::Delete)).await;
    reset(&connection).unwrap();
    drop(connection);
    server.dropped().await;
    server.store.release();
    server.did(Verb::Delete).await;
    server.handle.stop(false).await;
}

#[actix_web::test]
async fn a_save_into_a_slow_store_survives_a_client_that_leaves() {
    let server = Server::start().unwrap();
    let cookie = server.cookie().await.unwrap();
    let connection = server.connect("/slow-visit", &cookie).await.unwrap();
    server.worked().await;
    server.store.hold();
    server.patience.0.add_permits(1);
    until("the update", || server.store.begun().contains(&Verb::Update)).await;
    reset(&connection).unwrap();
    drop(connection);
    server.dropped().await;
    assert!(!server.store.done().contains(&Verb::Update));
    server.store.release();
    server.did(Verb::Update).await;
    assert!(server.fetch("/visit", &cookie).await.unwrap().ends_with("\r\n\r\n3"));
    server.handle.stop(false).await;
}

#[actix_web::test]
async fn a_client_that_resets_takes_the_changes_with_it() {
    let server = Server::start().unwrap();
    let cookie = server.cookie().await.unwrap();
    let connection = server.connect("/slow-visit", &cookie).await.unwrap();
    server.worked().await;
    reset(&connection).unwrap();
    drop(connection);
    server.dropped().await;
    assert!(server.fetch("/visit", &cookie).await.unwrap().ends_with("\r\n\r\n2"));
    assert_eq!(server.store.done(), [Verb::Create, Verb::Load, Verb::Load, Verb::Update]);
    server.handle.stop(false).await;
}

#[actix_web::test]
async fn a_client_that_closes_leaves_the_handler_to_finish() {
    let server = Server::start().unwrap();
    let cookie = server.cookie().await.unwrap();
    drop(server.connect("/slow-visit", &cookie).await.unwrap());
    server.worked().await;
    server.patience.0.add_permits(1);
    server.did(Verb::Update).await;
    assert!(server.fetch("/visit", &cookie).await.unwrap().ends_with("\r\n\r\n3"));
    server.handle.stop(false).await;
}

#[actix_web::test]
async fn a_client_that_half_closes_gets_its_answer() {
    let server = Server::start().unwrap();
    let cookie = server.cookie().await.unwrap();
    let mut connection = server.connect("/slow-visit", &cookie).await.unwrap();
    connection.shutdown().await.unwrap();
    server.worked().await;
    server.patience.0.add_permits(1);
    assert!(read(connection).await.unwrap().ends_with("\r\n\r\nat last"));
    assert_eq!(server.store.done(), [Verb::Create, Verb::Load, Verb::Update]);
    server.handle.stop(false).await;
}

#[actix_web::test]
async fn a_logout_that_is_answered_is_over() {
    let server = Server::start().unwrap();
    let cookie = server.cookie().await.unwrap();
    assert!(server.fetch("/logout", &cookie).await.unwrap().contains("set-cookie: __Host-id=;"));
    assert_eq!(server.store.done(), [Verb::Create, Verb::Load, Verb::Delete]);
    server.handle.stop(false).await;
}
