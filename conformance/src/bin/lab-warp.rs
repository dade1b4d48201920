//! The lab on warp.

use std::convert::Infallible;
use std::io;
use std::process::ExitCode;

use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use serde_json::Value;
use session_conformance::params::{
    self, ByHandle, Key, KeyValue, Message, Name, OptionalKey, Size, SlowKey, SlowRead, SlowWrite, TwoUsers, User,
    Username,
};
use session_conformance::replies::{
    AS_WISHED, DONE, DeviceLine, Ended, NOT_FOUND, Peek, Token, UNREADABLE, Val, Visitor, Whether, Who, chunks, cookie,
    random_base64, sleep,
};
use session_conformance::{Lab, listening, run};
use session_warp::{CSRF_HEADER, Error, Flash, FlashLevel, Session, Typed, flashes, reject, session, typed, wrap};
use tokio::net::TcpListener;
use warp::filters::BoxedFilter;
use warp::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use warp::http::{StatusCode, Uri};
use warp::hyper::body::Bytes;
use warp::reject::{MethodNotAllowed, Reject};
use warp::reply::{Json, Response, WithStatus, json, with_header, with_status};
use warp::{Filter, Rejection, Reply};

fn main() -> ExitCode {
    run(serve)
}

#[tokio::main]
async fn serve(lab: Lab) -> io::Result<()> {
    let routes = reading(&lab).or(writing()).or(living(&lab)).or(slow(&lab)).or(failing()).or(heading(&lab));
    let routes = routes.or(identity(&lab)).or(building());
    let app = wrap(routes.recover(recover), lab.manager);
    let listener = TcpListener::bind(lab.bind).await?;
    listening(listener.local_addr()?)?;
    warp::serve(app).incoming(listener).run().await;
    Ok(())
}

fn reading(lab: &Lab) -> BoxedFilter<(impl Reply + use<>,)> {
    (get("none").then(none))
        .or(get("peek").and(with(lab)).and(params()).and(session()).then(peek))
        .or(get("has").and(params()).and(session()).then(has))
        .or(get("len").and(session()).then(len))
        .or(get("keys").and(session()).then(keys))
        .or(get("is-empty").and(session()).then(is_empty))
        .or(get("me").and(with(lab)).and(session()).then(me))
        .boxed()
}

fn writing() -> BoxedFilter<(impl Reply,)> {
    (post("set").and(params()).and(session()).then(set))
        .or(post("del").and(params()).and(session()).then(del))
        .or(post("incr").and(params()).and(session()).then(incr))
        .or(post("big").and(params()).and(session()).then(big))
        .boxed()
}

fn living(lab: &Lab) -> BoxedFilter<(impl Reply + use<>,)> {
    (post("login").and(with(lab)).and(params()).and(session()).then(login))
        .or(post("login-twice").and(with(lab)).and(params()).and(session()).then(login_twice))
        .or(post("renew").and(session()).then(renew))
        .or(post("logout").and(session()).then(logout))
        .or(post("logout-then-set").and(params()).and(session()).then(logout_then_set))
        .boxed()
}

fn slow(lab: &Lab) -> BoxedFilter<(impl Reply + use<>,)> {
    (get("slow-read").and(with(lab)).and(params()).and(session()).then(slow_read))
        .or(post("slow-set").and(params()).and(session()).then(slow_set))
        .or(post("slow-incr").and(params()).and(session()).then(slow_incr))
        .or(post("save-then-sleep").and(params()).and(session()).then(save_then_sleep))
        .boxed()
}

fn failing() -> BoxedFilter<(impl Reply,)> {
    (post("fail500").and(params()).and(session()).then(fail500))
        .or(post("fail400").and(params()).and(session()).then(fail400))
        .or(post("panic").and(params()).and(session()).then(panics))
        .or(post("err").and(params()).and(session()).and_then(err))
        .boxed()
}

fn heading(lab: &Lab) -> BoxedFilter<(impl Reply + use<>,)> {
    (get("public").and(with(lab)).and(params()).and(session()).then(public))
        .or(post("public-write").and(params()).and(session()).then(public_write))
        .or(get("redirect").and(params()).and(session()).then(redirect))
        .or(get("not-modified").and(session()).then(not_modified))
        .or(get("stream").and(session()).then(stream))
        .or(get("echo-cookie").and(params()).and(warp::header::headers_cloned()).then(echo_cookie))
        .boxed()
}

fn identity(lab: &Lab) -> BoxedFilter<(impl Reply + use<>,)> {
    (post("logout-all").and(with(lab)).and(params()).then(logout_all))
        .or(get("devices").and(session()).then(devices))
        .or(warp::path("devices").and(post("end")).and(params()).and(session()).then(end_device))
        .or(post("password").and(with(lab)).and(params()).and(session()).then(password))
        .boxed()
}

fn building() -> BoxedFilter<(impl Reply,)> {
    (get("typed").and(typed()).then(show_typed))
        .or(post("typed").and(params()).and(typed()).then(set_typed))
        .or(post("flash").and(params()).and(session()).then(flash))
        .or(get("flash").and(flashes()).then(show_flashes))
        .or(get("csrf").and(session()).then(csrf))
        .or(post("csrf-do").and(session()).and(warp::header::headers_cloned()).and(warp::body::bytes()).then(csrf_do))
        .boxed()
}

fn with(lab: &Lab) -> impl Filter<Extract = (Lab,), Error = Infallible> + Clone + Send + Sync + use<> {
    let lab = lab.clone();
    warp::any().map(move || lab.clone())
}

fn get(path: &'static str) -> impl Filter<Extract = (), Error = Rejection> + Clone + Send + Sync {
    warp::path(path).and(warp::path::end()).and(warp::get())
}

fn post(path: &'static str) -> impl Filter<Extract = (), Error = Rejection> + Clone + Send + Sync {
    warp::path(path).and(warp::path::end()).and(warp::post())
}

/// The parameters of a route; without them 400.
fn params<T: DeserializeOwned + Send>() -> impl Filter<Extract = (T,), Error = Rejection> + Clone + Send + Sync {
    let query = warp::query::raw().map(Some).or_else(|_| async { Ok::<_, Rejection>((None,)) });
    query.and_then(|query: Option<String>| async move {
        params::read(query.as_deref()).map_err(|_| warp::reject::custom(Unreadable))
    })
}

#[derive(Debug)]
struct Unreadable;

impl Reject for Unreadable {}

#[derive(Debug)]
struct AsWished;

impl Reject for AsWished {}

async fn recover(rejection: Rejection) -> Result<Response, Rejection> {
    // Session errors are for the adapter.
    if rejection.find::<Error>().is_some() {
        return Err(rejection);
    }
    if rejection.find::<Unreadable>().is_some() {
        return Ok(with_status(json(&UNREADABLE), StatusCode::BAD_REQUEST).into_response());
    }
    if rejection.find::<AsWished>().is_some() {
        return Ok(with_status(json(&AS_WISHED), StatusCode::INTERNAL_SERVER_ERROR).into_response());
    }
    if rejection.find::<MethodNotAllowed>().is_some() {
        return Ok(StatusCode::METHOD_NOT_ALLOWED.into_response());
    }
    if rejection.is_not_found() {
        return Ok(with_status(json(&NOT_FOUND), StatusCode::NOT_FOUND).into_response());
    }
    Err(rejection)
}

async fn none() -> Json {
    json(&DONE)
}

async fn peek(lab: Lab, OptionalKey { k }: OptionalKey, session: Session) -> Result<Json, Error> {
    Ok(json(&look(&lab, &session, k.as_deref())?))
}

async fn has(Key { k }: Key, session: Session) -> Json {
    json(&Val { v: session.contains(&k) })
}

async fn len(session: Session) -> Json {
    json(&Val { v: session.len() })
}

async fn keys(session: Session) -> Json {
    json(&Val { v: session.keys() })
}

async fn is_empty(session: Session) -> Json {
    json(&Val { v: session.is_empty() })
}

async fn set(KeyValue { k, v }: KeyValue, session: Session) -> Result<Json, Error> {
    session.insert(k, v)?;
    Ok(json(&DONE))
}

async fn del(Key { k }: Key, session: Session) -> Result<Json, Error> {
    session.remove(&k)?;
    Ok(json(&DONE))
}

async fn incr(Key { k }: Key, session: Session) -> Result<Json, Error> {
    let v = session.update(k, |n: &mut u64| *n += 1)?;
    Ok(json(&Val { v }))
}

async fn login(lab: Lab, User { u }: User, session: Session) -> Result<Json, Error> {
    session.login(lab.credentials.login(u))?;
    Ok(json(&Who { user: session.subject() }))
}

async fn login_twice(lab: Lab, TwoUsers { u, w }: TwoUsers, session: Session) -> Result<Json, Error> {
    session.login(lab.credentials.login(u))?;
    session.login(lab.credentials.login(w))?;
    Ok(json(&Who { user: session.subject() }))
}

async fn me(lab: Lab, session: Session) -> Result<WithStatus<Json>, Error> {
    lab.credentials.check(&session)?;
    let user = session.subject();
    let status = if user.is_some() { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
    Ok(with_status(json(&Who { user }), status))
}

async fn renew(session: Session) -> Result<Json, Error> {
    session.renew()?;
    Ok(json(&DONE))
}

async fn logout(session: Session) -> Result<Json, Error> {
    session.logout()?;
    Ok(json(&DONE))
}

async fn logout_then_set(KeyValue { k, v }: KeyValue, session: Session) -> Result<Json, Error> {
    session.logout()?;
    session.insert(k, v)?;
    Ok(json(&DONE))
}

async fn slow_read(lab: Lab, SlowRead { k, ms }: SlowRead, session: Session) -> Result<Json, Error> {
    sleep(ms).await;
    Ok(json(&look(&lab, &session, k.as_deref())?))
}

async fn slow_set(SlowWrite { k, v, ms }: SlowWrite, session: Session) -> Result<Json, Error> {
    sleep(ms).await;
    session.insert(k, v)?;
    Ok(json(&DONE))
}

async fn slow_incr(SlowKey { k, ms }: SlowKey, session: Session) -> Result<Json, Error> {
    sleep(ms).await;
    let v = session.update(k, |n: &mut u64| *n += 1)?;
    Ok(json(&Val { v }))
}

async fn save_then_sleep(SlowWrite { k, v, ms }: SlowWrite, session: Session) -> Result<Json, Error> {
    session.insert(k, v)?;
    session.save().await?;
    sleep(ms).await;
    Ok(json(&DONE))
}

async fn fail500(KeyValue { k, v }: KeyValue, session: Session) -> Result<WithStatus<Json>, Error> {
    session.insert(k, v)?;
    Ok(with_status(json(&AS_WISHED), StatusCode::INTERNAL_SERVER_ERROR))
}

async fn fail400(KeyValue { k, v }: KeyValue, session: Session) -> Result<WithStatus<Json>, Error> {
    session.insert(k, v)?;
    Ok(with_status(json(&AS_WISHED), StatusCode::BAD_REQUEST))
}

#[expect(clippy::panic, reason = "this is what the route is for")]
async fn panics(KeyValue { k, v }: KeyValue, session: Session) -> Result<Json, Error> {
    session.insert(k, v)?;
    panic!("as you wished")
}

async fn err(KeyValue { k, v }: KeyValue, session: Session) -> Result<Json, Rejection> {
    session.insert(k, v).map_err(reject)?;
    Err(warp::reject::custom(AsWished))
}

async fn big(Size { n }: Size, session: Session) -> Result<Json, Error> {
    session.insert("big", random_base64(n)?)?;
    Ok(json(&DONE))
}

async fn public(lab: Lab, OptionalKey { k }: OptionalKey, session: Session) -> Result<Response, Error> {
    Ok(shared(json(&look(&lab, &session, k.as_deref())?)))
}

async fn public_write(KeyValue { k, v }: KeyValue, session: Session) -> Result<Response, Error> {
    session.insert(k, v)?;
    Ok(shared(json(&DONE)))
}

fn shared(reply: impl Reply) -> Response {
    let mut response = reply.into_response();
    response.headers_mut().extend(PUBLIC);
    response
}

const PUBLIC: [(HeaderName, HeaderValue); 4] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=60")),
    (header::VARY, HeaderValue::from_static("Accept-Encoding")),
    (header::SET_COOKIE, HeaderValue::from_static("a=1")),
    (header::SET_COOKIE, HeaderValue::from_static("b=2")),
];

async fn redirect(KeyValue { k, v }: KeyValue, session: Session) -> Result<impl Reply, Error> {
    session.insert(k, v)?;
    Ok(warp::redirect::see_other(Uri::from_static("/peek")))
}

async fn not_modified(_: Session) -> StatusCode {
    StatusCode::NOT_MODIFIED
}

async fn stream(_: Session) -> impl Reply {
    let body = warp::reply::stream(chunks().map(Ok::<_, io::Error>));
    with_header(body, header::CONTENT_TYPE, "text/plain; charset=utf-8")
}

async fn echo_cookie(Name { name }: Name, headers: HeaderMap) -> Json {
    let v = headers.get_all(header::COOKIE).iter().find_map(|line| cookie(line.to_str().ok()?, &name));
    json(&Val { v })
}

async fn logout_all(lab: Lab, User { u }: User) -> Result<Json, Error> {
    Ok(json(&Ended { ended: lab.manager.end_all(&u).await? }))
}

async fn devices(session: Session) -> Result<Json, Error> {
    let devices = session.devices().await?;
    Ok(json(&Val { v: devices.into_iter().map(DeviceLine::from).collect::<Vec<_>>() }))
}

async fn end_device(ByHandle { handle }: ByHandle, session: Session) -> Result<Json, Error> {
    let ok = match handle.parse() {
        Ok(handle) => session.end_device(&handle).await?,
        Err(_) => false,
    };
    Ok(json(&Whether { ok }))
}

async fn password(lab: Lab, User { u }: User, session: Session) -> Result<Json, Error> {
    lab.credentials.change(&lab.manager, &session, u).await?;
    Ok(json(&DONE))
}

async fn show_typed(visitor: Typed<Visitor>) -> Json {
    json(&*visitor)
}

async fn set_typed(Username { username }: Username, mut visitor: Typed<Visitor>) -> Result<Json, Error> {
    visitor.update(move |visitor| visitor.came_as(&username))?;
    Ok(json(&*visitor))
}

async fn flash(Message { m }: Message, session: Session) -> Result<Json, Error> {
    session.flash(FlashLevel::Info, m)?;
    Ok(json(&DONE))
}

async fn show_flashes(v: Vec<Flash>) -> Json {
    json(&Val { v })
}

async fn csrf(session: Session) -> Result<Json, Error> {
    Ok(json(&Token { token: session.csrf_token()? }))
}

async fn csrf_do(session: Session, headers: HeaderMap, form: Bytes) -> Result<Json, Error> {
    session.verify_csrf_of(headers.get(CSRF_HEADER).map(HeaderValue::as_bytes), &form)?;
    Ok(json(&DONE))
}

fn look(lab: &Lab, session: &Session, k: Option<&str>) -> Result<Peek, Error> {
    lab.credentials.check(session)?;
    let k = k.map(|k| session.get::<Value>(k)).transpose()?.flatten();
    Ok(Peek { user: session.subject(), k })
}
