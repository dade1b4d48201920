//! What routes see inside of `wrap`, and what it does to their responses.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use common::{TestStore, cookie, visitor, visits};
use futures_util::{StreamExt, stream};
use session_warp::{Error, Session, optional_session, reject, remote, session, wrap};
use tower_service::Service;
use warp::http::{HeaderMap, Method, Request, StatusCode};
use warp::test::request;
use warp::{Filter, Rejection, Reply};

#[tokio::test]
async fn a_visitor_is_counted() {
    let app = wrap(visits(), TestStore::default().manager());

    let first = request().path("/visit").reply(&app).await;
    assert_eq!((first.status(), &first.body()[..]), (StatusCode::OK, &b"visit 1"[..]));
    assert_eq!(first.headers()["cache-control"], "no-store");
    assert_eq!(first.headers()["vary"], "Cookie");

    let second = request().path("/visit").header("cookie", cookie(&first)).reply(&app).await;
    assert_eq!(second.body(), "visit 2");
    assert!(!second.headers().contains_key("set-cookie"));
    assert_eq!(second.headers()["vary"], "Cookie");
}

#[tokio::test]
async fn a_handler_may_reject_with_a_session_error() {
    async fn add(session: Session) -> Result<String, Rejection> {
        let sum = session.update("sum", |sum: &mut u64| *sum += 2).map_err(reject)?;
        Ok(sum.to_string())
    }
    let app = wrap(warp::any().and(session()).and_then(add), TestStore::default().manager());
    assert_eq!(request().reply(&app).await.body(), "2");
}

#[tokio::test]
async fn an_untouched_session_costs_no_header_and_no_call_of_the_store() {
    let store = TestStore::default();
    let plain = warp::path!("plain").map(|| "plain".to_owned());
    let app = wrap(visits().or(plain), store.manager());
    let cookie = visitor(&app).await;
    store.calls();

    let response = request().path("/plain").header("cookie", cookie).reply(&app).await;
    assert_eq!(response.body(), "plain");
    for name in ["set-cookie", "vary", "cache-control"] {
        assert!(!response.headers().contains_key(name), "{name}");
    }
    assert!(store.calls().is_empty());
}

#[tokio::test]
async fn a_path_that_is_not_there_is_a_404_without_vary() {
    let store = TestStore::default();
    let app = wrap(visits(), store.manager());
    let cookie = visitor(&app).await;
    store.calls();

    let response = request().path("/nowhere").header("cookie", cookie).reply(&app).await;
    assert_eq!((response.status(), response.body().len()), (StatusCode::NOT_FOUND, 0));
    assert!(!response.headers().contains_key("vary"));
    assert!(store.calls().is_empty());
}

#[tokio::test]
async fn a_session_behind_path_and_method_is_loaded_for_the_route_that_answers_only() {
    let store = TestStore::default();
    let post = warp::path!("visit").and(warp::post()).and(session()).map(|_| "posted".to_owned());
    let app = wrap(post.or(visits()), store.manager());
    let cookie = visitor(&app).await;
    store.calls();

    request().path("/visit").header("cookie", cookie).reply(&app).await;
    assert_eq!(store.calls(), ["load", "update"]);
}

#[tokio::test]
async fn what_a_rejected_route_wrote_is_stored_with_the_answer_of_another() {
    async fn write_and_reject(session: Session) -> Result<String, Rejection> {
        session.insert("n", 7).map_err(reject)?;
        Err(warp::reject())
    }
    let read = warp::any().and(session()).map(|session: Session| format!("{:?}", session.get::<u64>("n").unwrap()));
    let rejected = warp::path!("reject").and(session()).and_then(write_and_reject);
    let app = wrap(rejected.or(read), TestStore::default().manager());

    let response = request().path("/reject").reply(&app).await;
    assert_eq!(response.body(), "Some(7)");
    let response = request().path("/read").header("cookie", cookie(&response)).reply(&app).await;
    assert_eq!(response.body(), "Some(7)");
}

#[tokio::test]
async fn an_answer_of_500_drops_the_changes() {
    async fn fail(session: Session) -> Result<impl Reply, Error> {
        session.insert("visits", 100)?;
        Ok(StatusCode::INTERNAL_SERVER_ERROR)
    }
    let store = TestStore::default();
    let app = wrap(visits().or(warp::path!("fail").and(session()).then(fail)), store.manager());
    let cookie = visitor(&app).await;

    let response = request().path("/fail").header("cookie", &cookie).reply(&app).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(request().path("/fail").reply(&app).await.headers().get("set-cookie").is_none());
    assert_eq!(request().path("/visit").header("cookie", cookie).reply(&app).await.body(), "visit 2");
    assert_eq!(store.live(), 1);
}

#[tokio::test]
async fn other_cookies_of_a_response_stay() {
    let routes = warp::any().and(session()).map(|session: Session| {
        session.insert("n", 1).unwrap();
        warp::reply::with_header("two", "set-cookie", "theme=dark")
    });
    let app = wrap(routes, TestStore::default().manager());
    let response = request().reply(&app).await;
    let lines: Vec<_> = response.headers().get_all("set-cookie").iter().map(|line| line.to_str().unwrap()).collect();
    assert_eq!(lines[0], "theme=dark");
    assert!(lines.len() == 2 && lines[1].starts_with("__Host-id="), "{lines:?}");
}

#[tokio::test]
async fn an_optional_session_is_there_inside_of_wrap_and_none_outside() {
    let routes = optional_session().map(|session: Option<Session>| session.is_some().to_string());
    assert_eq!(request().reply(&routes).await.body(), "false");
    assert_eq!(request().reply(&wrap(routes, TestStore::default().manager())).await.body(), "true");
}

#[tokio::test]
async fn routes_see_the_request_as_it_came() {
    let shown = warp::method()
        .and(warp::path::full())
        .and(warp::query::raw().map(Some).or(warp::any().map(|| None)).unify())
        .and(warp::header::headers_cloned())
        .and(warp::body::bytes())
        .map(|method: Method, path: warp::path::FullPath, query: Option<String>, headers: HeaderMap, body| {
            let lines: Vec<_> = headers.get_all("x-line").iter().collect();
            format!("{method} {} {query:?} {lines:?} {body:?}", path.as_str())
        });
    let app = wrap(shown, TestStore::default().manager());
    for (path, method) in [
        ("/a%2Fb//c/?x=%20&y=1?2", "PUT"),
        ("/a?", "PATCH"),
        ("/", "DELETE"),
        ("*", "OPTIONS"),
        ("http://example.com", "GET"),
        ("http://example.com/~a?b", "GET"),
    ] {
        let ask = || request().method(method).path(path).header("x-line", &b"caf\xe9"[..]).body("body");
        let (plain, wrapped) = (ask().reply(&shown).await, ask().reply(&app).await);
        assert!(plain.status().is_success(), "{path}");
        assert_eq!(wrapped.body(), plain.body(), "{path}");
    }
}

#[tokio::test]
async fn routes_see_the_host_that_plain_warp_shows() {
    let host = warp::path!("host")
        .and(warp::host::optional())
        .map(|host: Option<warp::host::Authority>| format!("{:?}", host.map(|host| host.to_string())));
    let any = warp::path!("any").map(|| "any".to_owned());
    let routes = host.or(any);
    let app = wrap(routes, TestStore::default().manager());
    for (origin, header) in [
        ("", None),
        ("", Some("example.com:8080")),
        ("", Some("exa mple/")),
        ("http://example.com", None),
        ("http://example.com", Some("example.com")),
        ("http://example.com", Some("other.example")),
        ("http://example.com", Some("exa mple/")),
    ] {
        for path in ["/host", "/any"] {
            let ask = || {
                let request = request().path(&format!("{origin}{path}"));
                header.into_iter().fold(request, |request, host| request.header("host", host))
            };
            let (plain, wrapped) = (ask().reply(&routes).await, ask().reply(&app).await);
            assert_eq!(wrapped.status(), plain.status(), "{origin}{path} {header:?}");
            assert_eq!(wrapped.body(), plain.body(), "{origin}{path} {header:?}");
        }
    }
}

#[tokio::test]
async fn routes_see_the_address_of_the_client() {
    let routes = remote().map(|address: Option<SocketAddr>| format!("{address:?}"));
    let client = SocketAddr::from(([192, 0, 2, 7], 4567));
    let app = wrap(routes, TestStore::default().manager());
    assert_eq!(request().remote_addr(client).reply(&routes).await.body(), "Some(192.0.2.7:4567)");
    assert_eq!(request().remote_addr(client).reply(&app).await.body(), "Some(192.0.2.7:4567)");
    assert_eq!(request().reply(&app).await.body(), "None");
}

#[tokio::test]
async fn a_streamed_body_streams_and_can_no_longer_write_to_the_session() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let wrote = Arc::clone(&seen);
    let routes = warp::any().and(session()).map(move |session: Session| {
        session.insert("early", 1).unwrap();
        let wrote = Arc::clone(&wrote);
        warp::reply::stream(stream::iter(0..3).then(move |n| {
            let (session, wrote) = (session.clone(), Arc::clone(&wrote));
            async move {
                wrote.lock().unwrap().push(session.insert("late", n));
                session.save().await.unwrap_err();
                Ok::<_, Infallible>(format!("{n};"))
            }
        }))
    });
    let store = TestStore::default();
    let app = wrap(routes, store.manager());

    let response = request().reply(&app).await;
    assert_eq!(response.body(), "0;1;2;");
    cookie(&response);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|late| matches!(late, Err(session_core::Error::Closed))), "{seen:?}");
    assert_eq!(store.calls(), ["create"]);
}

#[tokio::test]
async fn a_wrap_inside_a_wrap_of_the_same_manager_sets_one_cookie() {
    let store = TestStore::default();
    let manager = store.manager();
    let app = wrap(wrap(visits(), manager.clone()), manager);
    let response = request().path("/visit").reply(&app).await;
    cookie(&response);
    assert_eq!(response.headers().get_all("vary").iter().count(), 1);
    assert_eq!(store.live(), 1);
}

#[tokio::test]
async fn a_wrap_behind_the_session_of_the_same_manager_shares_it() {
    let manager = TestStore::default().manager();
    let inner = wrap(visits(), manager.clone());
    let outer = session().and(inner).map(|session: Session, response: warp::reply::Response| {
        assert_eq!(session.get::<u64>("visits").unwrap(), Some(1));
        response
    });
    let response = request().path("/visit").reply(&wrap(outer, manager)).await;
    assert_eq!(response.body(), "visit 1");
    cookie(&response);
}

#[tokio::test]
async fn the_same_routes_are_a_tower_service() {
    let store = TestStore::default();
    let mut service = session_warp::service(visits(), store.manager());
    let ask = |path| Request::builder().uri(path).body(String::new()).unwrap();
    cookie(&service.call(ask("/visit")).await.unwrap());
    assert_eq!(service.call(ask("/nowhere")).await.unwrap().status(), StatusCode::NOT_FOUND);
    store.go_down();
    assert_eq!(service.call(ask("/visit")).await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn routes_that_recover_everything_can_be_wrapped() {
    async fn recover(_: Rejection) -> Result<String, Infallible> {
        Ok("recovered".to_owned())
    }
    let app = wrap(visits().recover(recover), TestStore::default().manager());
    assert_eq!(request().path("/nowhere").reply(&app).await.body(), "recovered");
    assert_eq!(request().path("/visit").reply(&app).await.body(), "visit 1");
}

#[tokio::test]
async fn filters_outside_keep_their_tracing_span_inside() {
    let span = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&span);
    let routes = warp::any().map(move || {
        *seen.lock().unwrap() = tracing::Span::current().metadata().map(|metadata| metadata.name());
        "traced".to_owned()
    });
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry());
    let app = wrap(routes, TestStore::default().manager()).with(warp::trace(|_| tracing::info_span!("outside")));
    request().reply(&app).await;
    assert_eq!(*span.lock().unwrap(), Some("outside"));
}
