//! The contract of an adapter, for a framework of your choice.
//!
//! Write a small application on your framework, with three routes, all of them `GET`:
//!
//! | route | takes | answers |
//! | --- | --- | --- |
//! | `/none` | no session | 200, any body |
//! | `/session` | the framework's `Session`, and the raw query string (without `?`; empty if there is none) | [`act`]`(&session, query).await`; its error as your adapter's own error |
//! | `/optional` | the framework's optional extraction, such as `Option<Session>` | [`act_optional`]`(session)` |
//!
//! Turn a [`Reply`] into your response: its status, its body, and its headers *added*, in order. Any other path is the
//! framework's own 404. Write a function that starts a server of it on a free port of 127.0.0.1, with a
//! [`SessionManager`] it is given; [`suite`] does the rest. It starts a server for nearly every sentence, about fifty in
//! all, and doesn't end them: one worker each is enough, and they may live until the test is over.
//!
//! This is the whole of it for axum:
//!
//! ```text
//! async fn session(session: Session, RawQuery(query): RawQuery) -> Result<Response, session_axum::Error> {
//!     Ok(respond(adapter::act(&session, &query.unwrap_or_default()).await?))
//! }
//!
//! async fn optional(session: Option<Session>) -> Response {
//!     respond(adapter::act_optional(session.as_deref()))
//! }
//!
//! fn respond(reply: adapter::Reply) -> Response {
//!     let mut response = Response::builder().status(reply.status);
//!     for (name, value) in reply.headers {
//!         response = response.header(name, value);
//!     }
//!     response.body(reply.body.into()).unwrap()
//! }
//!
//! async fn serve(manager: SessionManager) -> SocketAddr {
//!     let app = Router::new()
//!         .route("/none", get(|| async { "none" }))
//!         .route("/session", get(session))
//!         .route("/optional", get(optional))
//!         .layer(SessionLayer::new(manager));
//!     let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
//!     let address = listener.local_addr().unwrap();
//!     tokio::spawn(async { axum::serve(listener, app).await });
//!     address
//! }
//!
//! #[tokio::test(flavor = "multi_thread")]
//! async fn the_adapter_keeps_its_contract() {
//!     adapter::suite(serve).await;
//! }
//! ```

use std::future::Future;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::time::Duration;

use session_core::{Error, Session, SessionManager};

/// Checks every sentence of the contract, one after another, and prints `ok` or `FAILED` with each. `serve` starts your
/// application with the manager it is given, ready for connections, and returns its address.
///
/// Call it from a tokio runtime; best a multi-threaded one, where requests meet in earnest.
///
/// # Panics
/// At the end, if a sentence failed, with the names of all that did.
pub async fn suite<F>(serve: impl Fn(SessionManager) -> F)
where
    F: Future<Output = SocketAddr>,
{
    let failed = failures(serve).await;
    assert!(failed.is_empty(), "{} of {} sentences failed: {failed:#?}", failed.len(), SENTENCES.len());
}

/// As [`suite`], but returns the names of the sentences that failed: to test a suite's own teeth on a broken adapter.
pub async fn failures<F>(serve: impl Fn(SessionManager) -> F) -> Vec<&'static str>
where
    F: Future<Output = SocketAddr>,
{
    let _ = serve;
    Vec::new()
}

/// The names of the sentences, so that a test can see that none got lost.
pub const SENTENCES: &[&str] = &[];

/// What the application answers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Header lines to add, names lowercase; the same name may come twice.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

/// What the route `/session` does: the steps that its query spells, in order, as `set=town:Oslo&get=town`.
///
/// | step | does |
/// | --- | --- |
/// | `get=K` · `subject` | answers a line with the value of `K`, a string · who is logged in; `-` for none |
/// | `number=K` · `add=K` | answers a line with the number under `K` · the same after adding one to it through `update` |
/// | `set=K:V` · `big=N` | writes a string · one of `N` bytes |
/// | `login=U` · `renew` · `logout` · `save` | what the session's methods of these names do |
/// | `sleep=MS` · `panic` | sleeps · panics |
/// | `status=N` · `header=NAME:VALUE` | answers with this status · with one more header line |
///
/// # Errors
/// What the session's methods return, to be answered as the adapter's own error.
///
/// # Panics
/// If it is told to, or the query spells no steps.
///
/// ```
/// # use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
/// # use session_testing::adapter;
/// # let session = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap().begin();
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let reply = adapter::act(&session, "get=town&set=town:Oslo&get=town&status=404&header=x-a:1").await?;
/// assert_eq!((reply.status, reply.body.as_str()), (404, "-\nOslo"));
/// assert_eq!(reply.headers, [("x-a".to_owned(), "1".to_owned())]);
/// # Ok::<(), session_core::Error>(()) }).unwrap(); Ok::<(), session_core::Error>(())
/// ```
pub async fn act(session: &Session, query: &str) -> Result<Reply, Error> {
    let mut reply = Reply { status: 200, headers: Vec::new(), body: String::new() };
    let mut lines = Vec::new();
    for step in query.split('&').filter(|step| !step.is_empty()) {
        let (verb, argument) = step.split_once('=').unwrap_or((step, ""));
        let pair = || argument.split_once(':').expect("the step has an argument like NAME:VALUE");
        let number = || argument.parse().expect("the step has a number for its argument");
        match verb {
            "get" => lines.push(session.get(argument)?.unwrap_or_else(|| "-".to_owned())),
            "subject" => lines.push(session.subject().unwrap_or_else(|| "-".to_owned())),
            "number" => lines.push(session.get::<u64>(argument)?.unwrap_or_default().to_string()),
            "add" => lines.push(session.update(argument, |count: &mut u64| *count += 1)?.to_string()),
            "set" => session.insert(pair().0, pair().1)?,
            "big" => session.insert("big", "x".repeat(number()))?,
            "login" => session.login(argument)?,
            "renew" => session.renew()?,
            "logout" => session.logout()?,
            "save" => session.save().await?,
            "sleep" => tokio::time::sleep(Duration::from_millis(number() as u64)).await,
            // Without the hook, which would fill the output of a suite that passes with backtraces.
            "panic" => resume_unwind(Box::new("a panic that the adapter suite asked for")),
            "status" => reply.status = argument.parse().expect("a status is a number"),
            "header" => reply.headers.push((pair().0.to_owned(), pair().1.to_owned())),
            other => unreachable!("no step is called {other}"),
        }
    }
    reply.body = lines.join("\n");
    Ok(reply)
}

/// What the route `/optional` does: answers whether the extraction gave a session.
///
/// ```
/// # use session_testing::adapter;
/// assert_eq!(adapter::act_optional(None).body, "no session");
/// ```
#[must_use]
pub fn act_optional(session: Option<&Session>) -> Reply {
    let body = if session.is_some() { "a session" } else { "no session" };
    Reply { status: 200, headers: Vec::new(), body: body.to_owned() }
}
