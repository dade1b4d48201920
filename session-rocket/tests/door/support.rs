//! An application, a store that fails and dawdles as it is told, and a server on a free port.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rocket::config::{LogLevel, Shutdown};
use rocket::fairing::AdHoc;
use rocket::http::{Cookie, CookieJar, Status};
use rocket::local::blocking::LocalResponse;
use rocket::{Build, Config, Request, Rocket, State, catch, get, post, routes};
use session_core::{Decorator, MemoryStore, StoreError, Verb};
use session_rocket::{Error, KeyRing, Secret, Session, SessionFairing, SessionManager};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub(crate) const COOKIE: &str = "__Host-id";

#[get("/untouched")]
fn untouched() -> &'static str {
    "untouched"
}

#[get("/visit")]
fn visit(session: Session) -> Result<String, Error> {
    Ok(format!("visit {}", session.update("visits", |visits: &mut u64| *visits += 1)?))
}

#[get("/visits")]
fn visits(session: Session) -> Result<String, Error> {
    Ok(format!("visits {}", session.get::<u64>("visits")?.unwrap_or_default()))
}

#[get("/optional")]
fn optional(session: Option<Session>) -> &'static str {
    if session.is_some() { "a session" } else { "no session" }
}

#[get("/other-cookie")]
fn other_cookie(session: Session, jar: &CookieJar<'_>) -> Result<&'static str, Error> {
    jar.add(Cookie::new("theme", "dark"));
    session.insert("visits", 1)?;
    Ok("two cookies")
}

#[get("/wrong-type")]
fn wrong_type(session: Session) -> Result<String, Error> {
    session.insert("town", "Oslo")?;
    Ok(session.get::<u64>("town")?.unwrap_or_default().to_string())
}

#[get("/write-then/<status>")]
fn write_then(session: Session, status: u16) -> Result<Status, Error> {
    session.insert("town", "Oslo")?;
    Ok(Status::new(status))
}

#[get("/write-then-panic")]
fn write_then_panic(session: Session) -> &'static str {
    session.insert("town", "Oslo").unwrap();
    std::panic::resume_unwind(Box::new("a panic that a test asked for"));
}

#[post("/logout")]
fn logout(session: Session) -> Result<&'static str, Error> {
    session.logout()?;
    Ok("bye")
}

#[post("/logout-then/<status>")]
fn logout_then(session: Session, status: u16) -> Result<Status, Error> {
    session.logout()?;
    session.insert("town", "Oslo")?;
    Ok(Status::new(status))
}

#[post("/logout-then-panic")]
fn logout_then_panic(session: Session) -> &'static str {
    session.logout().unwrap();
    std::panic::resume_unwind(Box::new("a panic that a test asked for"));
}

#[post("/logout-then-wait")]
async fn logout_then_wait(session: Session, gate: &State<Gate>) -> Result<&'static str, Error> {
    session.logout()?;
    gate.wait().await;
    Ok("bye")
}

#[post("/write-then-wait")]
async fn write_then_wait(session: Session, gate: &State<Gate>) -> Result<&'static str, Error> {
    session.insert("town", "Oslo")?;
    gate.wait().await;
    Ok("written")
}

/// The page for a status that has no page of its own: what the handler that failed left in the session.
#[catch(default)]
pub(crate) async fn page_of_status(status: Status, request: &Request<'_>) -> String {
    let town = match request.guard::<Session>().await.succeeded() {
        Some(session) => session.get::<String>("town").unwrap().unwrap_or_default(),
        None => "no session".to_owned(),
    };
    format!("page of {}: {town}", status.code)
}

/// Where a handler waits until the test lets it go on.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Notify, Notify)>);

impl Gate {
    async fn wait(&self) {
        let (reached, open) = &*self.0;
        reached.notify_one();
        open.notified().await;
    }

    /// Until a handler waits.
    pub(crate) async fn reached(&self) {
        timeout(Duration::from_secs(5), self.0.0.notified()).await.expect("a handler waits");
    }

    pub(crate) fn open(&self) {
        self.0.1.notify_one();
    }
}

/// The application, without a fairing.
pub(crate) fn app() -> Rocket<Build> {
    app_at(&Gate::default())
}

/// The same, with the gate where its handlers wait.
pub(crate) fn app_at(gate: &Gate) -> Rocket<Build> {
    let config = Config {
        address: Ipv4Addr::LOCALHOST.into(),
        port: 0,
        shutdown: unattended(),
        workers: 1,
        log_level: LogLevel::Off,
        ..Config::debug_default()
    };
    let routes = routes![
        untouched,
        visit,
        visits,
        optional,
        other_cookie,
        wrong_type,
        write_then,
        write_then_panic,
        logout,
        logout_then,
        logout_then_panic,
        logout_then_wait,
        write_then_wait
    ];
    rocket::custom(config).manage(gate.clone()).mount("/", routes)
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

pub(crate) fn manager(store: &TestStore) -> SessionManager {
    SessionManager::stored(store.clone(), KeyRing::new(Secret::random().unwrap())).build().unwrap()
}

/// The application with its fairing.
pub(crate) fn app_with(store: &TestStore) -> Rocket<Build> {
    app().attach(SessionFairing::new(manager(store)))
}

pub(crate) fn lines(response: &LocalResponse<'_>, name: &str) -> Vec<String> {
    response.headers().get(name).map(str::to_owned).collect()
}

/// A memory store that notes its calls, and fails, dawdles or panics as it is told.
#[derive(Clone, Default)]
pub(crate) struct TestStore {
    memory: MemoryStore,
    mood: Arc<Mutex<Mood>>,
}

#[derive(Clone, Default)]
struct Mood {
    calls: Vec<&'static str>,
    failing: &'static [&'static str],
    panics: bool,
    delay: Option<Duration>,
}

impl TestStore {
    pub(crate) fn failing(&self, verbs: &'static [&'static str]) {
        self.mood.lock().unwrap().failing = verbs;
    }

    pub(crate) fn delayed(&self, delay: Duration) {
        self.mood.lock().unwrap().delay = Some(delay);
    }

    /// What fails panics instead.
    pub(crate) fn panics(&self) {
        self.mood.lock().unwrap().panics = true;
    }

    /// The verbs since the last time this was asked.
    pub(crate) fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.mood.lock().unwrap().calls)
    }

    pub(crate) fn live(&self) -> usize {
        self.memory.live()
    }

    /// Until so many sessions are alive.
    pub(crate) async fn has(&self, live: usize) {
        for _ in 0..500 {
            if self.live() == live {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(self.live(), live, "live sessions after five seconds");
    }

    /// Until it is asked for this.
    pub(crate) async fn asked(&self, verb: &str) {
        for _ in 0..2_000 {
            if self.mood.lock().unwrap().calls.contains(&verb) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("the store was not asked for {verb}");
    }
}

pub(crate) const ALL: &[&str] = &["load", "create", "update", "touch", "rename", "delete"];

impl Decorator for TestStore {
    type Inner = MemoryStore;

    fn inner(&self) -> &MemoryStore {
        &self.memory
    }

    async fn around<T: Send>(
        &self,
        verb: Verb,
        operation: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let mood = {
            let mut mood = self.mood.lock().unwrap();
            mood.calls.push(verb.name());
            mood.clone()
        };
        if let Some(delay) = mood.delay {
            tokio::time::sleep(delay).await;
        }
        if !mood.failing.contains(&verb.name()) {
            return operation.await;
        }
        if mood.panics {
            std::panic::resume_unwind(Box::new("a panic that a test asked for"));
        }
        Err(verb.failed("told to fail"))
    }
}

/// A server on a free port, ended when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    launch: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(rocket: Rocket<Build>) -> Self {
        let (tell, port) = oneshot::channel();
        let rocket = rocket.attach(AdHoc::on_liftoff("port", |rocket| {
            tell.send(rocket.config().port).unwrap();
            Box::pin(async {})
        }));
        let launch = tokio::spawn(async { drop(rocket.launch().await) });
        Self { address: (Ipv4Addr::LOCALHOST, port.await.unwrap()).into(), launch }
    }

    /// Sends these bytes on a connection of its own.
    pub(crate) async fn send(&self, request: &[u8]) -> TcpStream {
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        connection.write_all(request).await.unwrap();
        connection
    }

    /// The whole response to a request with these header lines, `Host` and `Connection` aside.
    pub(crate) async fn ask(&self, line: &str, headers: &[&[u8]]) -> String {
        let mut connection = self.send(&request(line, headers)).await;
        let mut response = Vec::new();
        timeout(Duration::from_secs(5), connection.read_to_end(&mut response)).await.unwrap().unwrap();
        String::from_utf8(response).unwrap()
    }

    /// The cookie pair of a session that is new in the store.
    pub(crate) async fn visitor(&self) -> String {
        let response = self.ask("GET /visit", &[]).await;
        let (_, cookie) = response.split_once("set-cookie: ").unwrap();
        cookie.split_once(';').unwrap().0.to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.launch.abort();
    }
}

pub(crate) fn request(line: &str, headers: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n").into_bytes();
    for header in headers {
        bytes.extend_from_slice(header);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}
