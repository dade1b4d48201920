//! A store that counts its calls, and fails or waits when told to, and a client that says exactly what it is given.
#![allow(dead_code, unreachable_pub, reason = "each file of tests uses its part of it")]

use std::net::SocketAddr;
use std::time::Duration;

use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
use session_testing::stores::{Failing, Held, Verb};
use session_warp::{Error, Session, session};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use warp::http::Response;
use warp::{Filter, Rejection, Reply};

/// Clones are the same store.
#[derive(Clone)]
pub struct TestStore {
    memory: MemoryStore,
    failing: Failing<MemoryStore>,
    held: Held<Failing<MemoryStore>>,
}

impl Default for TestStore {
    fn default() -> Self {
        let memory = MemoryStore::new();
        let failing = Failing::new(memory.clone());
        Self { held: Held::new(failing.clone()), memory, failing }
    }
}

impl TestStore {
    pub fn manager(&self) -> SessionManager {
        SessionManager::stored(self.held.clone(), KeyRing::new(Secret::random().unwrap())).build().unwrap()
    }

    /// The calls since this was asked last.
    pub fn calls(&self) -> Vec<&'static str> {
        self.held.forget().into_iter().map(Verb::name).collect()
    }

    pub fn live(&self) -> usize {
        self.memory.live()
    }

    /// From now on every call fails.
    pub fn go_down(&self) {
        self.failing.fail_all();
    }

    /// From now on whoever writes has to wait.
    pub fn pause(&self) {
        Verb::ALL.into_iter().filter(|verb| *verb != Verb::Load).for_each(|verb| self.held.before_it(verb));
    }

    pub fn resume(&self) {
        self.held.release();
    }
}

/// `GET /visit` counts visits.
pub fn visits() -> impl Filter<Extract = (impl Reply,), Error = Rejection> + Clone {
    async fn visit(session: Session) -> Result<String, Error> {
        let visits = session.update("visits", |visits: &mut u64| *visits += 1)?;
        Ok(format!("visit {visits}"))
    }
    warp::path!("visit").and(warp::get()).and(session()).then(visit)
}

/// The `name=value` of the one cookie that a response sets.
pub fn cookie<B>(response: &Response<B>) -> String {
    let mut lines = response.headers().get_all("set-cookie").iter();
    let line = lines.next().expect("the response sets a cookie").to_str().unwrap();
    assert!(lines.next().is_none(), "one cookie only");
    line.split(';').next().unwrap().to_owned()
}

/// The cookie of a session that `app` made at `/visit`.
pub async fn visitor<F>(app: &F) -> String
where
    F: Filter<Extract = (warp::reply::Response,), Error = std::convert::Infallible> + 'static,
{
    cookie(&warp::test::request().path("/visit").reply(app).await)
}

/// Serves on a free port for as long as the test runs.
pub async fn serve<F>(app: F) -> SocketAddr
where
    F: Filter<Extract = (warp::reply::Response,), Error = std::convert::Infallible> + Clone + Send + Sync + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(warp::serve(app).incoming(listener).run());
    address
}

pub async fn connect(address: SocketAddr, request: impl AsRef<[u8]>) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_ref()).await.unwrap();
    stream
}

/// Sends a whole request, with `Connection: close` in it, and returns the whole response.
pub async fn exchange(address: SocketAddr, request: impl AsRef<[u8]>) -> String {
    let mut stream = connect(address, request).await;
    let mut response = Vec::new();
    let read = stream.read_to_end(&mut response);
    tokio::time::timeout(Duration::from_secs(10), read).await.expect("the server answers and closes").unwrap();
    String::from_utf8(response).unwrap()
}

/// Waits, for ten seconds at most, until something is so.
pub async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: not within ten seconds");
}
