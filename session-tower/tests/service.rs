//! What the layer does around services of every kind.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, pending, poll_fn, ready};
use std::marker::PhantomPinned;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use common::{TestStore, cookie, eventually};
use http::{Request, Response, StatusCode};
use session_core::{Error, Session};
use session_tower::{SessionLayer, session};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

type Outcome = Result<Response<String>, Error>;

fn request(cookie: Option<&str>) -> Request<String> {
    let builder = cookie.into_iter().fold(Request::builder(), |builder, cookie| builder.header("cookie", cookie));
    builder.body(String::new()).unwrap()
}

/// Counts visits.
async fn visit(request: Request<String>) -> Outcome {
    let visits = session(request.extensions()).await?.update("visits", |visits: &mut u64| *visits += 1)?;
    Ok(Response::new(visits.to_string()))
}

/// The cookie of a session in `store` under `layer`.
async fn visitor(layer: &SessionLayer) -> String {
    cookie(&layer.layer(service_fn(visit)).oneshot(request(None)).await.unwrap())
}

/// Ends at once, whatever it is.
fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it had to wait"),
    }
}

#[tokio::test]
async fn a_visitor_is_counted() {
    let layer = SessionLayer::new(TestStore::default().manager());
    let cookie = visitor(&layer).await;
    let second = layer.layer(service_fn(visit)).oneshot(request(Some(&cookie))).await.unwrap();
    assert_eq!(second.body(), "2");
    assert!(!second.headers().contains_key("set-cookie"));
    assert_eq!(second.headers()["vary"], "Cookie");
}

#[tokio::test]
async fn an_untouched_session_costs_no_header_and_no_call_of_the_store() {
    let store = TestStore::default();
    let layer = SessionLayer::new(store.manager());
    let cookie = visitor(&layer).await;
    store.calls();
    let plain = service_fn(|_: Request<String>| ready(Ok::<_, Infallible>(Response::new(String::new()))));
    let response = layer.layer(plain).oneshot(request(Some(&cookie))).await.unwrap();
    assert!(response.headers().is_empty());
    assert!(store.calls().is_empty());
}

#[tokio::test]
async fn layers_of_one_manager_inside_each_other_share_one_session_and_set_one_cookie() {
    let store = TestStore::default();
    let layer = SessionLayer::new(store.manager());
    let inner = layer.layer(service_fn(visit));
    let between = service_fn(move |request: Request<String>| {
        let inner = inner.clone();
        async move {
            let session = session(request.extensions()).await?;
            session.insert("visits", 41)?;
            let response = inner.oneshot(request).await?;
            session.insert("after", true)?;
            Ok::<_, Error>(response)
        }
    });
    let response = layer.layer(between).oneshot(request(None)).await.unwrap();
    cookie(&response);
    assert_eq!(response.body(), "42");
    assert_eq!(response.headers().get_all("vary").iter().count(), 1);
    assert_eq!(store.calls(), ["create"]);
}

#[tokio::test]
async fn of_layers_of_two_managers_the_inner_one_is_used() {
    let (outer, inner) = (TestStore::default(), TestStore::default());
    let layers =
        ServiceBuilder::new().layer(SessionLayer::new(outer.manager())).layer(SessionLayer::from(inner.manager()));
    cookie(&layers.service_fn(visit).oneshot(request(None)).await.unwrap());
    assert!(outer.calls().is_empty());
    assert_eq!(inner.calls(), ["create"]);
}

#[tokio::test]
async fn without_a_layer_the_error_names_the_line_to_add() {
    let error = session(request(None).extensions()).await.unwrap_err();
    assert!(matches!(error, Error::NotInstalled(_)));
    assert!(error.to_string().contains(".layer(SessionLayer::new(manager))"), "{error}");
}

#[tokio::test]
async fn a_service_that_fails_saves_nothing() {
    async fn fail(request: Request<String>) -> Result<Response<String>, &'static str> {
        session(request.extensions()).await.unwrap().insert("n", 1).unwrap();
        Err("the service failed")
    }
    let store = TestStore::default();
    let service = SessionLayer::new(store.manager()).layer(service_fn(fail));
    assert_eq!(service.oneshot(request(None)).await.unwrap_err(), "the service failed");
    assert!(store.calls().is_empty());
}

#[tokio::test]
async fn a_logout_is_carried_out_though_the_service_fails() {
    async fn fail(request: Request<String>) -> Result<Response<String>, &'static str> {
        session(request.extensions()).await.unwrap().logout().unwrap();
        Err("the service failed")
    }
    for slow in [false, true] {
        let store = TestStore::default();
        let layer = SessionLayer::new(store.manager());
        let cookie = visitor(&layer).await;
        if slow {
            store.pause();
        }
        at_once(layer.layer(service_fn(fail)).oneshot(request(Some(&cookie)))).unwrap_err();
        store.resume();
        eventually("the session is deleted", || store.live() == 0).await;
    }
}

/// Writes, or ends the session, and then waits for ever.
async fn act_and_wait(request: Request<String>, act: fn(&Session) -> Result<(), Error>) -> Outcome {
    act(&session(request.extensions()).await?)?;
    pending().await
}

#[tokio::test]
async fn a_future_that_is_dropped_loses_its_changes_and_carries_its_logout_out() {
    for slow in [false, true] {
        let store = TestStore::default();
        let layer = SessionLayer::new(store.manager());
        let cookie = visitor(&layer).await;
        store.calls();
        if slow {
            store.pause();
        }
        for (act, live) in [((|session| session.insert("visits", 9)) as fn(&Session) -> _, 1), (Session::logout, 0)] {
            let service = layer.layer(service_fn(move |request| act_and_wait(request, act)));
            let mut future = Box::pin(service.oneshot(request(Some(&cookie))));
            assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            drop(future);
            if live == 0 {
                store.resume();
            }
            eventually("the store knows", || store.live() == live).await;
        }
        assert_eq!(store.calls(), ["load", "load", "delete"]);
    }
}

#[tokio::test]
async fn a_future_that_was_never_polled_is_dropped_in_peace() {
    let store = TestStore::default();
    drop(SessionLayer::new(store.manager()).layer(service_fn(visit)).call(request(None)));
    assert!(store.calls().is_empty());
}

#[tokio::test]
async fn a_write_goes_on_when_the_future_is_dropped_while_the_store_is_at_work() {
    let store = TestStore::default();
    store.pause();
    let mut future = Box::pin(SessionLayer::new(store.manager()).layer(service_fn(visit)).oneshot(request(None)));
    assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(store.calls(), ["create"]);
    drop(future);
    store.resume();
    eventually("the session is stored", || store.live() == 1).await;
}

#[tokio::test]
async fn a_slow_store_is_waited_for() {
    let store = TestStore::default();
    store.pause();
    let service = SessionLayer::new(store.manager()).layer(service_fn(visit));
    let response = tokio::spawn(service.oneshot(request(None)));
    eventually("the store is at work", || store.calls() == ["create"]).await;
    store.resume();
    cookie(&response.await.unwrap().unwrap());
    assert_eq!(store.live(), 1);
}

#[tokio::test]
async fn what_the_handler_holds_is_free_before_the_store_is_written() {
    let store = TestStore::default();
    store.pause();
    let held = Arc::new(());
    let handler = {
        let held = Arc::clone(&held);
        move |request| {
            let (held, mut visit) = (Arc::clone(&held), Box::pin(visit(request)));
            // Keeps what it holds until it is dropped, not only until it is ready.
            poll_fn(move |cx| {
                let _held = &held;
                visit.as_mut().poll(cx)
            })
        }
    };
    let mut future = Box::pin(SessionLayer::new(store.manager()).layer(service_fn(handler)).call(request(None)));
    assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn a_store_that_answers_at_once_needs_no_runtime() {
    let store = TestStore::default();
    let layer = SessionLayer::new(store.manager());
    let cookie = at_once(visitor(&layer));
    let response = at_once(layer.layer(service_fn(visit)).oneshot(request(Some(&cookie)))).unwrap();
    assert_eq!(response.body(), "2");
    assert_eq!(store.live(), 1);
}

#[tokio::test]
async fn a_store_that_answers_at_once_costs_no_task() {
    let before = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let layer = SessionLayer::new(TestStore::default().manager());
    at_once(visitor(&layer));
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), before);
}

#[test]
fn outside_of_a_runtime_a_slow_store_is_waited_for_in_place() {
    let store = TestStore::default();
    store.pause();
    let mut future = Box::pin(SessionLayer::new(store.manager()).layer(service_fn(visit)).oneshot(request(None)));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut cx).is_pending());
    store.resume();
    let Poll::Ready(response) = future.as_mut().poll(&mut cx) else { panic!("the store goes on") };
    cookie(&response.unwrap());
    assert_eq!(store.live(), 1);
}

#[test]
fn a_logout_outside_of_a_runtime_is_dropped_without_a_panic() {
    let store = TestStore::default();
    let layer = SessionLayer::new(store.manager());
    let cookie = at_once(visitor(&layer));
    store.pause();
    let service = layer.layer(service_fn(|request| act_and_wait(request, Session::logout)));
    let mut future = Box::pin(service.oneshot(request(Some(&cookie))));
    assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(future);
    assert_eq!(store.live(), 1);
}

#[test]
fn a_runtime_that_ends_during_a_write_is_a_500() {
    let store = TestStore::default();
    store.pause();
    let mut future = Box::pin(SessionLayer::new(store.manager()).layer(service_fn(visit)).oneshot(request(None)));
    let mut cx = Context::from_waker(Waker::noop());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(poll_fn(|_| {
        assert!(future.as_mut().poll(&mut cx).is_pending());
        Poll::Ready(())
    }));
    drop(runtime);
    let Poll::Ready(response) = future.as_mut().poll(&mut cx) else { panic!("nothing is left to wait for") };
    let response = response.unwrap();
    assert_eq!((response.status(), &response.body()[..]), (StatusCode::INTERNAL_SERVER_ERROR, ""));
    assert!(!response.headers().contains_key("set-cookie"));
}

/// Neither `Clone` nor `Send` nor `'static`, and its future isn't either.
struct Local<'a> {
    calls: &'a Cell<u32>,
    here: Rc<()>,
}

impl<'a> Service<Request<String>> for Local<'a> {
    type Response = Response<String>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Outcome> + 'a>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        self.calls.set(self.calls.get() + 1);
        let here = (Rc::clone(&self.here), PhantomPinned);
        Box::pin(async move {
            let response = visit(request).await;
            drop(here);
            response
        })
    }
}

#[tokio::test]
async fn a_service_needs_neither_clone_nor_send_nor_a_static_life() {
    let calls = Cell::new(0);
    let layer = SessionLayer::new(TestStore::default().manager());
    let mut service = layer.layer(Local { calls: &calls, here: Rc::new(()) });
    cookie(&service.ready().await.unwrap().call(request(None)).await.unwrap());
    cookie(&service.ready().await.unwrap().call(request(None)).await.unwrap());
    assert_eq!(calls.get(), 2);
}

#[tokio::test]
async fn the_service_that_was_ready_is_the_one_that_is_called() {
    /// Ready once for each call, as a service with a limit is.
    #[derive(Clone, Default)]
    struct Limited {
        ready: bool,
    }
    impl Service<Request<String>> for Limited {
        type Response = Response<String>;
        type Error = Error;
        type Future = Pin<Box<dyn Future<Output = Outcome>>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
            self.ready = true;
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<String>) -> Self::Future {
            assert!(std::mem::take(&mut self.ready), "called without being ready");
            Box::pin(visit(request))
        }
    }
    let mut service = SessionLayer::new(TestStore::default().manager()).layer(Limited::default());
    cookie(&service.ready().await.unwrap().call(request(None)).await.unwrap());
    cookie(&service.ready().await.unwrap().call(request(None)).await.unwrap());
}

#[tokio::test]
async fn a_write_that_fails_is_an_empty_503_in_place_of_the_answer() {
    let store = TestStore::default();
    store.go_down();
    let response = SessionLayer::new(store.manager()).layer(service_fn(visit)).oneshot(request(None)).await.unwrap();
    assert_eq!((response.status(), &response.body()[..]), (StatusCode::SERVICE_UNAVAILABLE, ""));
    assert!(!response.headers().contains_key("set-cookie"));
    assert_eq!(response.headers()["vary"], "Cookie");
}

/// Takes an outage for "no session".
async fn ignore(request: Request<String>, status: StatusCode) -> Outcome {
    let known = session(request.extensions()).await.is_ok();
    let mut response = Response::new(format!("known: {known}"));
    *response.status_mut() = status;
    Ok(response)
}

#[tokio::test]
async fn an_outage_that_the_service_ignores_is_a_503_unless_it_failed_by_itself() {
    let store = TestStore::default();
    let layer = SessionLayer::new(store.manager());
    let cookie = visitor(&layer).await;
    store.go_down();
    for (says, status, body) in [
        (StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE, ""),
        (StatusCode::NOT_FOUND, StatusCode::SERVICE_UNAVAILABLE, ""),
        (StatusCode::BAD_GATEWAY, StatusCode::BAD_GATEWAY, "known: false"),
    ] {
        let service = layer.layer(service_fn(move |request| ignore(request, says)));
        let response = service.oneshot(request(Some(&cookie))).await.unwrap();
        assert_eq!((response.status(), &response.body()[..]), (status, body));
        assert!(!response.headers().contains_key("set-cookie"));
    }
}

#[tokio::test]
async fn an_answer_of_500_drops_the_changes_and_carries_the_logout_out() {
    async fn fail(request: Request<String>, act: fn(&Session) -> Result<(), Error>) -> Outcome {
        act(&session(request.extensions()).await?)?;
        Ok(Response::builder().status(500).body("failed".to_owned()).unwrap())
    }
    let store = TestStore::default();
    let layer = SessionLayer::new(store.manager());
    let cookie = visitor(&layer).await;
    store.calls();

    let write = layer.layer(service_fn(|request| fail(request, |session| session.insert("visits", 9))));
    let response = write.oneshot(request(Some(&cookie))).await.unwrap();
    assert_eq!(response.body(), "failed");
    assert_eq!(store.calls(), ["load"]);

    let logout = layer.layer(service_fn(|request| fail(request, Session::logout)));
    let response = logout.oneshot(request(Some(&cookie))).await.unwrap();
    assert_eq!(response.body(), "failed");
    assert!(response.headers()["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(store.live(), 0);
}

#[tokio::test]
async fn a_layer_answers_in_the_words_of_the_application() {
    /// As an adapter turns a handler's error into a response.
    async fn adapted(request: Request<String>) -> Outcome {
        let session = session(request.extensions()).await?;
        session.insert("n", "one")?;
        let mut response = Response::builder().status(500).body(String::new()).unwrap();
        if let Err(error) = session.get::<u64>("n") {
            response.extensions_mut().insert(error);
        }
        Ok(response)
    }
    let store = TestStore::default();
    let errors = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&errors);
    let layer = SessionLayer::new(store.manager()).on_error(move |error| {
        seen.lock().unwrap().push(error.status());
        Response::builder().status(418).header("x-words", "ours").body("in our own words".to_owned()).unwrap()
    });
    for down in [false, true] {
        let response = if down {
            store.go_down();
            layer.layer(service_fn(visit)).oneshot(request(None)).await
        } else {
            layer.layer(service_fn(adapted)).oneshot(request(None)).await
        };
        let response = response.unwrap();
        assert_eq!((response.status().as_u16(), &response.body()[..]), (418, "in our own words"));
        assert_eq!(response.headers()["x-words"], "ours");
        assert_eq!(response.headers()["vary"], "Cookie");
        assert!(!response.headers().contains_key("set-cookie"));
    }
    assert_eq!(*errors.lock().unwrap(), [500, 503]);
}

#[tokio::test]
async fn cookies_and_cache_control_of_the_service_are_kept_or_overruled_as_they_must() {
    async fn respond(request: Request<String>) -> Outcome {
        session(request.extensions()).await?.insert("n", 1)?;
        let response = Response::builder()
            .header("set-cookie", "a=1")
            .header("set-cookie", "__Host-id=fixed")
            .header("set-cookie", "b=2")
            .header("cache-control", "public, max-age=60")
            .header("vary", "Accept");
        Ok(response.body(String::new()).unwrap())
    }
    let service = SessionLayer::new(TestStore::default().manager()).layer(service_fn(respond));
    let response = service.oneshot(request(None)).await.unwrap();
    let all = |name| response.headers().get_all(name).iter().map(|line| line.to_str().unwrap()).collect::<Vec<_>>();
    let cookies = all("set-cookie");
    assert_eq!(&cookies[..2], ["a=1", "b=2"]);
    assert!(cookies.len() == 3 && cookies[2].starts_with("__Host-id=") && cookies[2] != "__Host-id=fixed");
    assert_eq!(all("cache-control"), ["no-store"]);
    assert_eq!(all("vary"), ["Accept", "Cookie"]);
}

#[test]
fn nothing_of_a_layer_shows_a_secret() {
    let layer = SessionLayer::new(TestStore::default().manager());
    let shown = format!("{layer:?} {:?}", layer.layer(()));
    assert!(shown.starts_with("SessionLayer { manager: SessionManager {"), "{shown}");
    assert!(!shown.to_lowercase().contains("secret"), "{shown}");
}
