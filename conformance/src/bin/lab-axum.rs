//! The lab on axum.

use std::io;
use std::process::ExitCode;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use serde_json::Value;
use session_axum::{CSRF_HEADER, Error, Flash, FlashLevel, Flashes, Session, SessionLayer, Typed};
use session_conformance::params::{
    self, ByHandle, Key, KeyValue, Message, Name, OptionalKey, Size, SlowKey, SlowRead, SlowWrite, TwoUsers, User,
    Username,
};
use session_conformance::replies::{
    AS_WISHED, DONE, DeviceLine, Done, Ended, Failure, NOT_FOUND, Peek, Token, UNREADABLE, Val, Visitor, Whether, Who,
    chunks, cookie, random_base64, sleep,
};
use session_conformance::{Lab, listening, run};
use tokio::net::TcpListener;

fn main() -> ExitCode {
    run(serve)
}

#[tokio::main]
async fn serve(lab: Lab) -> io::Result<()> {
    let bind = lab.bind;
    let app = Router::new()
        .route("/none", get(none))
        .route("/peek", get(peek))
        .route("/has", get(has))
        .route("/len", get(len))
        .route("/keys", get(keys))
        .route("/is-empty", get(is_empty))
        .route("/set", post(set))
        .route("/del", post(del))
        .route("/incr", post(incr))
        .route("/login", post(login))
        .route("/login-twice", post(login_twice))
        .route("/me", get(me))
        .route("/renew", post(renew))
        .route("/logout", post(logout))
        .route("/logout-then-set", post(logout_then_set))
        .route("/slow-read", get(slow_read))
        .route("/slow-set", post(slow_set))
        .route("/slow-incr", post(slow_incr))
        .route("/save-then-sleep", post(save_then_sleep))
        .route("/fail500", post(fail500))
        .route("/fail400", post(fail400))
        .route("/panic", post(panics))
        .route("/err", post(err))
        .route("/big", post(big))
        .route("/public", get(public))
        .route("/public-write", post(public_write))
        .route("/redirect", get(redirect))
        .route("/not-modified", get(not_modified))
        .route("/stream", get(stream))
        .route("/echo-cookie", get(echo_cookie))
        .route("/logout-all", post(logout_all))
        .route("/devices", get(devices))
        .route("/devices/end", post(end_device))
        .route("/password", post(password))
        .route("/typed", get(typed).post(set_typed))
        .route("/flash", get(flashes).post(flash))
        .route("/csrf", get(csrf))
        .route("/csrf-do", post(csrf_do))
        .fallback(|| async { (StatusCode::NOT_FOUND, Json(NOT_FOUND)) })
        .layer(SessionLayer::new(lab.manager.clone()))
        .with_state(lab);
    let listener = TcpListener::bind(bind).await?;
    listening(listener.local_addr()?)?;
    axum::serve(listener, app).await
}

/// The parameters of a route; without them 400.
struct Params<T>(T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Params<T> {
    type Rejection = (StatusCode, Json<Failure>);

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        params::read(parts.uri.query()).map(Self).map_err(|_| (StatusCode::BAD_REQUEST, Json(UNREADABLE)))
    }
}

async fn none() -> Json<Done> {
    Json(DONE)
}

async fn peek(
    State(lab): State<Lab>,
    Params(OptionalKey { k }): Params<OptionalKey>,
    session: Session,
) -> Result<Json<Peek>, Error> {
    Ok(Json(look(&lab, &session, k.as_deref())?))
}

async fn has(Params(Key { k }): Params<Key>, session: Session) -> Json<Val<bool>> {
    Json(Val { v: session.contains(&k) })
}

async fn len(session: Session) -> Json<Val<usize>> {
    Json(Val { v: session.len() })
}

async fn keys(session: Session) -> Json<Val<Vec<String>>> {
    Json(Val { v: session.keys() })
}

async fn is_empty(session: Session) -> Json<Val<bool>> {
    Json(Val { v: session.is_empty() })
}

async fn set(Params(KeyValue { k, v }): Params<KeyValue>, session: Session) -> Result<Json<Done>, Error> {
    session.insert(k, v)?;
    Ok(Json(DONE))
}

async fn del(Params(Key { k }): Params<Key>, session: Session) -> Result<Json<Done>, Error> {
    session.remove(&k)?;
    Ok(Json(DONE))
}

async fn incr(Params(Key { k }): Params<Key>, session: Session) -> Result<Json<Val<u64>>, Error> {
    let v = session.update(k, |n: &mut u64| *n += 1)?;
    Ok(Json(Val { v }))
}

async fn login(State(lab): State<Lab>, Params(User { u }): Params<User>, session: Session) -> Result<Json<Who>, Error> {
    session.login(lab.credentials.login(u))?;
    Ok(Json(Who { user: session.subject() }))
}

async fn login_twice(
    State(lab): State<Lab>,
    Params(TwoUsers { u, w }): Params<TwoUsers>,
    session: Session,
) -> Result<Json<Who>, Error> {
    session.login(lab.credentials.login(u))?;
    session.login(lab.credentials.login(w))?;
    Ok(Json(Who { user: session.subject() }))
}

async fn me(State(lab): State<Lab>, session: Session) -> Result<(StatusCode, Json<Who>), Error> {
    lab.credentials.check(&session)?;
    let user = session.subject();
    let status = if user.is_some() { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
    Ok((status, Json(Who { user })))
}

async fn renew(session: Session) -> Result<Json<Done>, Error> {
    session.renew()?;
    Ok(Json(DONE))
}

async fn logout(session: Session) -> Result<Json<Done>, Error> {
    session.logout()?;
    Ok(Json(DONE))
}

async fn logout_then_set(Params(KeyValue { k, v }): Params<KeyValue>, session: Session) -> Result<Json<Done>, Error> {
    session.logout()?;
    session.insert(k, v)?;
    Ok(Json(DONE))
}

async fn slow_read(
    State(lab): State<Lab>,
    Params(SlowRead { k, ms }): Params<SlowRead>,
    session: Session,
) -> Result<Json<Peek>, Error> {
    sleep(ms).await;
    Ok(Json(look(&lab, &session, k.as_deref())?))
}

async fn slow_set(Params(SlowWrite { k, v, ms }): Params<SlowWrite>, session: Session) -> Result<Json<Done>, Error> {
    sleep(ms).await;
    session.insert(k, v)?;
    Ok(Json(DONE))
}

async fn slow_incr(Params(SlowKey { k, ms }): Params<SlowKey>, session: Session) -> Result<Json<Val<u64>>, Error> {
    sleep(ms).await;
    let v = session.update(k, |n: &mut u64| *n += 1)?;
    Ok(Json(Val { v }))
}

async fn save_then_sleep(
    Params(SlowWrite { k, v, ms }): Params<SlowWrite>,
    session: Session,
) -> Result<Json<Done>, Error> {
    session.insert(k, v)?;
    session.save().await?;
    sleep(ms).await;
    Ok(Json(DONE))
}

async fn fail500(Params(KeyValue { k, v }): Params<KeyValue>, session: Session) -> Result<impl IntoResponse, Error> {
    session.insert(k, v)?;
    Ok((StatusCode::INTERNAL_SERVER_ERROR, Json(AS_WISHED)))
}

async fn fail400(Params(KeyValue { k, v }): Params<KeyValue>, session: Session) -> Result<impl IntoResponse, Error> {
    session.insert(k, v)?;
    Ok((StatusCode::BAD_REQUEST, Json(AS_WISHED)))
}

#[expect(clippy::panic, reason = "this is what the route is for")]
async fn panics(Params(KeyValue { k, v }): Params<KeyValue>, session: Session) -> Result<Json<Done>, Error> {
    session.insert(k, v)?;
    panic!("as you wished")
}

async fn err(Params(KeyValue { k, v }): Params<KeyValue>, session: Session) -> axum::response::Result<Json<Done>> {
    session.insert(k, v).map_err(Error::from)?;
    Err((StatusCode::INTERNAL_SERVER_ERROR, Json(AS_WISHED)).into())
}

async fn big(Params(Size { n }): Params<Size>, session: Session) -> Result<Json<Done>, Error> {
    session.insert("big", random_base64(n)?)?;
    Ok(Json(DONE))
}

async fn public(
    State(lab): State<Lab>,
    Params(OptionalKey { k }): Params<OptionalKey>,
    session: Session,
) -> Result<impl IntoResponse, Error> {
    Ok((PUBLIC, Json(look(&lab, &session, k.as_deref())?)))
}

async fn public_write(
    Params(KeyValue { k, v }): Params<KeyValue>,
    session: Session,
) -> Result<impl IntoResponse, Error> {
    session.insert(k, v)?;
    Ok((PUBLIC, Json(DONE)))
}

const PUBLIC: AppendHeaders<[(header::HeaderName, &str); 4]> = AppendHeaders([
    (header::CACHE_CONTROL, "public, max-age=60"),
    (header::VARY, "Accept-Encoding"),
    (header::SET_COOKIE, "a=1"),
    (header::SET_COOKIE, "b=2"),
]);

async fn redirect(Params(KeyValue { k, v }): Params<KeyValue>, session: Session) -> Result<Redirect, Error> {
    session.insert(k, v)?;
    Ok(Redirect::to("/peek"))
}

async fn not_modified(_: Session) -> StatusCode {
    StatusCode::NOT_MODIFIED
}

async fn stream(_: Session) -> Response {
    let body = Body::from_stream(chunks().map(|chunk| Ok::<_, io::Error>(Bytes::from_static(chunk.as_bytes()))));
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response()
}

async fn echo_cookie(Params(Name { name }): Params<Name>, headers: HeaderMap) -> Json<Val<Option<String>>> {
    let v = headers.get_all(header::COOKIE).iter().find_map(|line| cookie(line.to_str().ok()?, &name));
    Json(Val { v })
}

async fn logout_all(State(lab): State<Lab>, Params(User { u }): Params<User>) -> Result<Json<Ended>, Error> {
    Ok(Json(Ended { ended: lab.manager.end_all(&u).await? }))
}

async fn devices(session: Session) -> Result<Json<Val<Vec<DeviceLine>>>, Error> {
    let devices = session.devices().await?;
    Ok(Json(Val { v: devices.into_iter().map(DeviceLine::from).collect() }))
}

async fn end_device(Params(ByHandle { handle }): Params<ByHandle>, session: Session) -> Result<Json<Whether>, Error> {
    let ok = match handle.parse() {
        Ok(handle) => session.end_device(&handle).await?,
        Err(_) => false,
    };
    Ok(Json(Whether { ok }))
}

async fn password(
    State(lab): State<Lab>,
    Params(User { u }): Params<User>,
    session: Session,
) -> Result<Json<Done>, Error> {
    lab.credentials.change(&lab.manager, &session, u).await?;
    Ok(Json(DONE))
}

async fn typed(visitor: Typed<Visitor>) -> Json<Visitor> {
    Json(Visitor::clone(&visitor))
}

async fn set_typed(
    Params(Username { username }): Params<Username>,
    mut visitor: Typed<Visitor>,
) -> Result<Json<Visitor>, Error> {
    visitor.update(move |visitor| visitor.came_as(&username))?;
    Ok(Json(Visitor::clone(&visitor)))
}

async fn flash(Params(Message { m }): Params<Message>, session: Session) -> Result<Json<Done>, Error> {
    session.flash(FlashLevel::Info, m)?;
    Ok(Json(DONE))
}

async fn flashes(Flashes(v): Flashes) -> Json<Val<Vec<Flash>>> {
    Json(Val { v })
}

async fn csrf(session: Session) -> Result<Json<Token>, Error> {
    Ok(Json(Token { token: session.csrf_token()? }))
}

async fn csrf_do(session: Session, headers: HeaderMap, form: Bytes) -> Result<Json<Done>, Error> {
    session.verify_csrf_of(headers.get(CSRF_HEADER).map(HeaderValue::as_bytes), &form)?;
    Ok(Json(DONE))
}

fn look(lab: &Lab, session: &Session, k: Option<&str>) -> Result<Peek, Error> {
    lab.credentials.check(session)?;
    let k = k.map(|k| session.get::<Value>(k)).transpose()?.flatten();
    Ok(Peek { user: session.subject(), k })
}
