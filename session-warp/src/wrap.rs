//! The door of warp: a filter around filters, and the tower service it stands on.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::panic::resume_unwind;

use bytes::Buf;
use futures_util::{Stream, TryStreamExt};
use http::uri::{Authority, Uri};
use http::{Extensions, Request, StatusCode};
use hyper::body::Body;
use hyper::upgrade::OnUpgrade;
use session_core::Slot;
use session_tower::{Answer, SessionLayer};
use tokio::task::JoinHandle;
use tower_layer::Layer;
use tower_service::Service;
use tracing::Instrument;
use warp::filters::path::FullPath;
use warp::reply::Response;
use warp::{Filter, Rejection, Reply};

use crate::error::Error;

/// Brings sessions to `routes`. Give it a [`SessionManager`](crate::SessionManager), or a [`SessionLayer`] with an
/// answer to errors of your own.
///
/// The filter it returns answers every request and never rejects, so `.recover(…)`, `.or(…)` and prefixes of the path
/// belong inside. See the [crate's page](crate) for what else differs in there.
///
/// ```
/// use session_warp::{KeyRing, MemoryStore, Secret, Session, SessionLayer, SessionManager, session};
/// use warp::{Filter, Reply, http::StatusCode};
///
/// let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
/// let layer = SessionLayer::new(manager).on_error(|error| {
///     let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
///     warp::reply::with_status("Please come back later.", status).into_response()
/// });
/// let routes = warp::path!("count").and(session()).map(|session: Session| session.len().to_string());
/// let app = session_warp::wrap(routes, layer);
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// assert_eq!(warp::test::request().path("/count").reply(&app).await.body(), "0");
/// # });
/// # Ok::<(), session_core::Error>(())
/// ```
pub fn wrap<F, A>(
    routes: F,
    layer: impl Into<SessionLayer<A>> + 'static,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync
where
    F: Filter + Send + Sync + 'static,
    F::Extract: Reply,
    F::Error: Into<Rejection>,
    A: Answer<Response> + Clone + Send + Sync + 'static,
{
    let service = service(routes, layer);
    request().then(move |request| {
        let service = service.clone();
        async move {
            match request {
                Ok(request) => run(service, request).await,
                Err(_) => StatusCode::BAD_REQUEST.into_response(),
            }
        }
    })
}

/// The same as a tower service, for servers other than warp's. In there [`remote`] is `None`.
///
/// It also costs less: under warp's own server [`wrap`] puts each request together anew and runs the routes in a task of
/// their own, which takes longer than the session does. With hyper's server there is neither:
///
/// ```no_run
/// use hyper_util::rt::{TokioExecutor, TokioIo};
/// use hyper_util::server::conn::auto::Builder;
/// use hyper_util::service::TowerToHyperService;
/// # use session_warp::{KeyRing, MemoryStore, Session, SessionManager, session};
/// # use warp::Filter;
///
/// # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
/// # let manager = SessionManager::stored(MemoryStore::new(), KeyRing::from_env("SESSION_SECRET")?).build()?;
/// # let routes = warp::any().and(session()).map(|session: Session| session.len().to_string());
/// let service = TowerToHyperService::new(session_warp::service(routes, manager));
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:3030").await?;
/// loop {
///     let (stream, _) = listener.accept().await?;
///     let service = service.clone();
///     tokio::spawn(async move { Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await });
/// }
/// # }
/// ```
///
/// Without a server, as in a test:
///
/// ```
/// use session_warp::{KeyRing, MemoryStore, Secret, Session, SessionManager, session};
/// use tower_service::Service;
/// use warp::Filter;
///
/// let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
/// let routes = warp::any().and(session()).map(|session: Session| session.len().to_string());
/// let mut service = session_warp::service(routes, manager);
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let response = service.call(warp::http::Request::new(String::new())).await.unwrap();
/// assert_eq!(response.status(), 200);
/// # });
/// # Ok::<(), session_core::Error>(())
/// ```
pub fn service<F, A, B>(
    routes: F,
    layer: impl Into<SessionLayer<A>>,
) -> impl Service<
    Request<B>,
    Response = Response,
    Error = Infallible,
    Future = impl Future<Output = Result<Response, Infallible>> + Send,
> + Clone
+ Send
+ Sync
where
    F: Filter + Send + Sync + 'static,
    F::Extract: Reply,
    F::Error: Into<Rejection>,
    A: Answer<Response> + Clone + Send + Sync + 'static,
    B: Body + Send + Sync + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    // Routes that can't be rejected have another error type than those that can; a boxed filter takes both.
    layer.into().layer(warp::service(routes.boxed().recover(answer)))
}

/// The answer to a session error that the routes didn't recover themselves.
async fn answer(rejection: Rejection) -> Result<Response, Rejection> {
    match rejection.find::<Error>() {
        Some(error) => Ok(error.clone().into_response()),
        None => Err(rejection),
    }
}

/// The request once more, from what warp shows of it.
fn request()
-> impl Filter<Extract = (Result<Request<impl Body<Error = warp::Error> + Send + Sync>, http::Error>,), Error = Infallible>
+ Clone
+ Send
+ Sync {
    warp::method().and(uri()).and(warp::header::headers_cloned()).and(extensions()).and(body()).map(
        |method, uri, headers, extensions, body| {
            let mut request = Request::new(body);
            *request.method_mut() = method;
            *request.uri_mut() = uri?;
            *request.headers_mut() = headers;
            *request.extensions_mut() = extensions;
            Ok(request)
        },
    )
}

fn uri() -> impl Filter<Extract = (Result<Uri, http::Error>,), Error = Infallible> + Copy + Send + Sync {
    let host = optional(warp::host::optional()).map(|host: Option<Option<Authority>>| {
        // A host that is malformed or contradicts itself: warp refuses it only where a route asks for the host. So the
        // routes get a contradiction too, a name that nobody has (RFC 6761, 6.4).
        host.unwrap_or_else(|| Some(Authority::from_static("contradiction.invalid")))
    });
    host.and(warp::path::full()).and(optional(warp::query::raw())).map(
        |host: Option<Authority>, path: FullPath, query: Option<String>| {
            let path = path.as_str();
            let uri =
                Uri::builder().path_and_query(query.map_or_else(|| path.into(), |query| format!("{path}?{query}")));
            match host {
                Some(host) => uri.scheme("http").authority(host).build(),
                None => uri.build(),
            }
        },
    )
}

fn extensions() -> impl Filter<Extract = (Extensions,), Error = Infallible> + Copy + Send + Sync {
    warp::ext::optional().and(warp::ext::optional()).and(remote()).map(
        |upgrade: Option<OnUpgrade>, slot: Option<Slot>, remote: Option<SocketAddr>| {
            let mut extensions = Extensions::new();
            upgrade.map(|upgrade| extensions.insert(upgrade));
            slot.map(|slot| extensions.insert(slot));
            remote.map(|address| extensions.insert(Remote(address)));
            extensions
        },
    )
}

/// What a filter in front of `wrap` has read is gone.
fn body()
-> impl Filter<Extract = (impl Body<Error = warp::Error> + Send + Sync,), Error = Infallible> + Copy + Send + Sync {
    optional(warp::body::stream().map(whole)).map(Option::unwrap_or_default)
}

fn whole(
    chunks: impl Stream<Item = Result<impl Buf, warp::Error>> + Send + Sync + 'static,
) -> impl Body<Error = warp::Error> + Default + Send + Sync {
    let chunks = chunks.map_ok(|mut chunk| chunk.copy_to_bytes(chunk.remaining()));
    warp::reply::stream(chunks).into_response().into_body()
}

fn optional<T: Send>(
    filter: impl Filter<Extract = (T,), Error = Rejection> + Copy + Send + Sync,
) -> impl Filter<Extract = (Option<T>,), Error = Infallible> + Copy + Send + Sync {
    filter.map(Some).or_else(|_| async { Ok((None,)) })
}

/// Runs the service in a task: warp doesn't let one service run inside another.
async fn run<R, S>(mut service: S, request: R) -> Response
where
    S: Service<R, Response = Response, Error = Infallible, Future: Send> + Send + 'static,
    R: Send + 'static,
{
    let routes = async move { service.call(request).await };
    let mut task = Task(tokio::spawn(routes.in_current_span()));
    match (&mut task.0).await {
        Ok(Ok(response)) => response,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        },
    }
}

/// Ends with the client, as the routes do in warp itself.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The client's address, inside of [`wrap`] and outside: there [`warp::addr::remote`] is `None`, because only warp's own
/// server can tell it. `None` if the transport has no addresses.
///
/// ```
/// use session_warp::{KeyRing, MemoryStore, Secret, SessionManager};
/// use std::net::SocketAddr;
/// use warp::Filter;
///
/// let manager = SessionManager::stored(MemoryStore::new(), KeyRing::new(Secret::random()?)).build().unwrap();
/// let routes = session_warp::remote().map(|client: Option<SocketAddr>| format!("{client:?}"));
/// let app = session_warp::wrap(routes, manager);
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let request = warp::test::request().remote_addr(([192, 0, 2, 1], 443).into());
/// assert_eq!(request.reply(&app).await.body(), "Some(192.0.2.1:443)");
/// # });
/// # Ok::<(), session_core::Error>(())
/// ```
#[must_use]
pub fn remote() -> impl Filter<Extract = (Option<SocketAddr>,), Error = Infallible> + Copy + Send + Sync {
    warp::ext::optional()
        .and(warp::addr::remote())
        .map(|inside: Option<Remote>, outside| inside.map(|Remote(address)| address).or(outside))
}

#[derive(Clone, Copy)]
struct Remote(SocketAddr);
