//! The lab on actix-web.

use std::future::{Ready, ready};
use std::io;
use std::process::ExitCode;

use actix_web::dev::Payload;
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{self, Bytes, Data, Json, get, post};
use actix_web::{App, FromRequest, HttpRequest, HttpResponse, HttpResponseBuilder, HttpServer};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use serde_json::Value;
use session_actix::{CSRF_HEADER, Error, Flash, FlashLevel, Flashes, Session, SessionMiddleware, Typed};
use session_conformance::params::{
    self, ByHandle, Key, KeyValue, Message, Name, OptionalKey, Size, SlowKey, SlowRead, SlowWrite, TwoUsers, User,
    Username,
};
use session_conformance::replies::{
    AS_WISHED, DONE, DeviceLine, Done, Ended, NOT_FOUND, Peek, Token, UNREADABLE, Val, Visitor, Whether, Who, chunks,
    random_base64, sleep,
};
use session_conformance::{Lab, listening, run};

fn main() -> ExitCode {
    run(serve)
}

#[actix_web::main]
async fn serve(lab: Lab) -> io::Result<()> {
    let bind = lab.bind;
    let app = move || {
        App::new()
            .route("/none", get().to(none))
            .route("/peek", get().to(peek))
            .route("/has", get().to(has))
            .route("/len", get().to(len))
            .route("/keys", get().to(keys))
            .route("/is-empty", get().to(is_empty))
            .route("/set", post().to(set))
            .route("/del", post().to(del))
            .route("/incr", post().to(incr))
            .route("/login", post().to(login))
            .route("/login-twice", post().to(login_twice))
            .route("/me", get().to(me))
            .route("/renew", post().to(renew))
            .route("/logout", post().to(logout))
            .route("/logout-then-set", post().to(logout_then_set))
            .route("/slow-read", get().to(slow_read))
            .route("/slow-set", post().to(slow_set))
            .route("/slow-incr", post().to(slow_incr))
            .route("/save-then-sleep", post().to(save_then_sleep))
            .route("/fail500", post().to(fail500))
            .route("/fail400", post().to(fail400))
            .route("/panic", post().to(panics))
            .route("/err", post().to(err))
            .route("/big", post().to(big))
            .route("/public", get().to(public))
            .route("/public-write", post().to(public_write))
            .route("/redirect", get().to(redirect))
            .route("/not-modified", get().to(not_modified))
            .route("/stream", get().to(stream))
            .route("/echo-cookie", get().to(echo_cookie))
            .route("/logout-all", post().to(logout_all))
            .route("/devices", get().to(devices))
            .route("/devices/end", post().to(end_device))
            .route("/password", post().to(password))
            .service(web::resource("/typed").route(get().to(typed)).route(post().to(set_typed)))
            .service(web::resource("/flash").route(get().to(flashes)).route(post().to(flash)))
            .route("/csrf", get().to(csrf))
            .route("/csrf-do", post().to(csrf_do))
            .default_service(web::to(|| async { HttpResponse::NotFound().json(NOT_FOUND) }))
            .app_data(Data::new(lab.clone()))
            .wrap(SessionMiddleware::new(lab.manager.clone()))
    };
    // A signal ends the process at once, as it does those of the other labs.
    let server = HttpServer::new(app).disable_signals().bind(bind)?;
    for address in server.addrs() {
        listening(address)?;
    }
    server.run().await
}

/// The parameters of a route; without them 400.
struct Params<T>(T);

impl<T: DeserializeOwned> FromRequest for Params<T> {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(params::read(request.uri().query()).map(Self).map_err(|_| {
            InternalError::from_response("unreadable parameters", HttpResponse::BadRequest().json(UNREADABLE)).into()
        }))
    }
}

async fn none() -> Json<Done> {
    Json(DONE)
}

async fn peek(
    lab: Data<Lab>,
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

async fn login(lab: Data<Lab>, Params(User { u }): Params<User>, session: Session) -> Result<Json<Who>, Error> {
    session.login(lab.credentials.login(u))?;
    Ok(Json(Who { user: session.subject() }))
}

async fn login_twice(
    lab: Data<Lab>,
    Params(TwoUsers { u, w }): Params<TwoUsers>,
    session: Session,
) -> Result<Json<Who>, Error> {
    session.login(lab.credentials.login(u))?;
    session.login(lab.credentials.login(w))?;
    Ok(Json(Who { user: session.subject() }))
}

async fn me(lab: Data<Lab>, session: Session) -> Result<HttpResponse, Error> {
    lab.credentials.check(&session)?;
    let user = session.subject();
    let status = if user.is_some() { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
    Ok(HttpResponse::build(status).json(Who { user }))
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
    lab: Data<Lab>,
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

async fn fail500(Params(KeyValue { k, v }): Params<KeyValue>, session: Session) -> Result<HttpResponse, Error> {
    session.insert(k, v)?;
    Ok(HttpResponse::InternalServerError().json(AS_WISHED))
}

async fn fail400(Params(KeyValue { k, v }): Params<KeyValue>, session: Session) -> Result<HttpResponse, Error> {
    session.insert(k, v)?;
    Ok(HttpResponse::BadRequest().json(AS_WISHED))
}

#[expect(clippy::panic, reason = "this is what the route is for")]
async fn panics(Params(KeyValue { k, v }): Params<KeyValue>, session: Session) -> Result<Json<Done>, Error> {
    session.insert(k, v)?;
    panic!("as you wished")
}

async fn err(Params(KeyValue { k, v }): Params<KeyValue>, session: Session) -> actix_web::Result<Json<Done>> {
    session.insert(k, v).map_err(Error::from)?;
    let response = HttpResponse::InternalServerError().json(AS_WISHED);
    Err(InternalError::from_response(AS_WISHED.error, response).into())
}

async fn big(Params(Size { n }): Params<Size>, session: Session) -> Result<Json<Done>, Error> {
    session.insert("big", random_base64(n)?)?;
    Ok(Json(DONE))
}

async fn public(
    lab: Data<Lab>,
    Params(OptionalKey { k }): Params<OptionalKey>,
    session: Session,
) -> Result<HttpResponse, Error> {
    Ok(shared().json(look(&lab, &session, k.as_deref())?))
}

async fn public_write(Params(KeyValue { k, v }): Params<KeyValue>, session: Session) -> Result<HttpResponse, Error> {
    session.insert(k, v)?;
    Ok(shared().json(DONE))
}

fn shared() -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .append_header((header::CACHE_CONTROL, "public, max-age=60"))
        .append_header((header::VARY, "Accept-Encoding"))
        .append_header((header::SET_COOKIE, "a=1"))
        .append_header((header::SET_COOKIE, "b=2"));
    response
}

async fn redirect(Params(KeyValue { k, v }): Params<KeyValue>, session: Session) -> Result<HttpResponse, Error> {
    session.insert(k, v)?;
    Ok(HttpResponse::SeeOther().insert_header((header::LOCATION, "/peek")).finish())
}

async fn not_modified(_: Session) -> HttpResponse {
    HttpResponse::NotModified().finish()
}

async fn stream(_: Session) -> HttpResponse {
    let body = chunks().map(|chunk| Ok::<_, io::Error>(Bytes::from_static(chunk.as_bytes())));
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").streaming(body)
}

async fn echo_cookie(Params(Name { name }): Params<Name>, request: HttpRequest) -> Json<Val<Option<String>>> {
    Json(Val { v: request.cookie(&name).map(|cookie| cookie.value().to_owned()) })
}

async fn logout_all(lab: Data<Lab>, Params(User { u }): Params<User>) -> Result<Json<Ended>, Error> {
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

async fn password(lab: Data<Lab>, Params(User { u }): Params<User>, session: Session) -> Result<Json<Done>, Error> {
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

async fn csrf_do(session: Session, request: HttpRequest, form: Bytes) -> Result<Json<Done>, Error> {
    session.verify_csrf_of(request.headers().get(CSRF_HEADER).map(HeaderValue::as_bytes), &form)?;
    Ok(Json(DONE))
}

fn look(lab: &Lab, session: &Session, k: Option<&str>) -> Result<Peek, Error> {
    lab.credentials.check(session)?;
    let k = k.map(|k| session.get::<Value>(k)).transpose()?.flatten();
    Ok(Peek { user: session.subject(), k })
}
