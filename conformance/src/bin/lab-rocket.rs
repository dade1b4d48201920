//! The lab on Rocket.
#![expect(clippy::needless_pass_by_value, reason = "Rocket gives its guards away")]

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;

use futures_util::Stream;
use rocket::config::{LogLevel, Shutdown};
use rocket::error::ErrorKind;
use rocket::fairing::AdHoc;
use rocket::http::{CookieJar, Status};
use rocket::request::{FromRequest, Outcome, Request};
use rocket::response::status::Custom;
use rocket::response::stream::TextStream;
use rocket::response::{self, Redirect, Responder, Response};
use rocket::serde::json::Json;
use rocket::{State, catch, catchers, get, post, routes};
use serde::de::DeserializeOwned;
use serde_json::Value;
use session_conformance::params::{
    self, ByHandle, Key, KeyValue, Message, Name, OptionalKey, Size, SlowKey, SlowRead, SlowWrite, TwoUsers, User,
    Username,
};
use session_conformance::replies::{
    AS_WISHED, DONE, DeviceLine, Done, Ended, Failure, NOT_FOUND, Peek, Token, UNREADABLE, Val, Visitor, Whether, Who,
    chunks, random_base64, sleep,
};
use session_conformance::{Lab, listening, run};
use session_rocket::{CSRF_HEADER, Error, Flash, FlashLevel, Flashes, Session, SessionFairing, Typed};

fn main() -> ExitCode {
    run(|lab| rocket::execute(serve(lab)))
}

async fn serve(lab: Lab) -> io::Result<()> {
    let config = rocket::Config {
        address: lab.bind.ip(),
        port: lab.bind.port(),
        // Its own log goes to standard output, where only one line belongs.
        log_level: LogLevel::Off,
        // A signal ends the process at once, as it does those of the other labs.
        shutdown: Shutdown { ctrlc: false, signals: [].into(), ..Shutdown::default() },
        ..rocket::Config::default()
    };
    let app = rocket::custom(config)
        .mount("/", routes![none, peek, has, len, keys, is_empty, set, del, incr])
        .mount("/", routes![login, login_twice, me, renew, logout, logout_then_set])
        .mount("/", routes![slow_read, slow_set, slow_incr, save_then_sleep])
        .mount("/", routes![fail500, fail400, panics, err, big])
        .mount("/", routes![public, public_write, redirect, not_modified, stream, echo_cookie])
        .mount("/", routes![logout_all, devices, end_device, password, typed, set_typed, flashes, flash, csrf, csrf_do])
        .register("/", catchers![unreadable, not_found, other])
        .attach(SessionFairing::new(lab.manager.clone()))
        .manage(lab)
        .attach(AdHoc::on_liftoff("listening", move |rocket| {
            Box::pin(async move {
                let config = rocket.config();
                if let Err(error) = listening(SocketAddr::new(config.address, config.port)) {
                    tracing::error!(%error, "nobody reads where the lab listens");
                }
            })
        }));
    match app.launch().await {
        Ok(_) => Ok(()),
        Err(error) => Err(match error.kind() {
            ErrorKind::Bind(error) | ErrorKind::Io(error) => io::Error::new(error.kind(), error.to_string()),
            other => io::Error::other(other.to_string()),
        }),
    }
}

/// The parameters of a route; without them 400.
struct Params<T>(T);

#[rocket::async_trait]
impl<'r, T: DeserializeOwned> FromRequest<'r> for Params<T> {
    type Error = params::Unreadable;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Self::Error> {
        match params::read(request.uri().query().map(|query| query.as_str())) {
            Ok(params) => Outcome::Success(Self(params)),
            Err(error) => Outcome::Error((Status::BadRequest, error)),
        }
    }
}

#[catch(400)]
fn unreadable() -> Json<Failure> {
    Json(UNREADABLE)
}

#[catch(404)]
fn not_found() -> Json<Failure> {
    Json(NOT_FOUND)
}

#[catch(default)]
fn other(status: Status, _: &Request<'_>) -> (Status, ()) {
    (status, ())
}

#[get("/none")]
fn none() -> Json<Done> {
    Json(DONE)
}

#[get("/peek")]
fn peek(lab: &State<Lab>, params: Params<OptionalKey>, session: Session) -> Result<Json<Peek>, Error> {
    let Params(OptionalKey { k }) = params;
    Ok(Json(look(lab, &session, k.as_deref())?))
}

#[get("/has")]
fn has(params: Params<Key>, session: Session) -> Json<Val<bool>> {
    let Params(Key { k }) = params;
    Json(Val { v: session.contains(&k) })
}

#[get("/len")]
fn len(session: Session) -> Json<Val<usize>> {
    Json(Val { v: session.len() })
}

#[get("/keys")]
fn keys(session: Session) -> Json<Val<Vec<String>>> {
    Json(Val { v: session.keys() })
}

#[get("/is-empty")]
fn is_empty(session: Session) -> Json<Val<bool>> {
    Json(Val { v: session.is_empty() })
}

#[post("/set")]
fn set(params: Params<KeyValue>, session: Session) -> Result<Json<Done>, Error> {
    let Params(KeyValue { k, v }) = params;
    session.insert(k, v)?;
    Ok(Json(DONE))
}

#[post("/del")]
fn del(params: Params<Key>, session: Session) -> Result<Json<Done>, Error> {
    let Params(Key { k }) = params;
    session.remove(&k)?;
    Ok(Json(DONE))
}

#[post("/incr")]
fn incr(params: Params<Key>, session: Session) -> Result<Json<Val<u64>>, Error> {
    let Params(Key { k }) = params;
    let v = session.update(k, |n: &mut u64| *n += 1)?;
    Ok(Json(Val { v }))
}

#[post("/login")]
fn login(lab: &State<Lab>, params: Params<User>, session: Session) -> Result<Json<Who>, Error> {
    let Params(User { u }) = params;
    session.login(lab.credentials.login(u))?;
    Ok(Json(Who { user: session.subject() }))
}

#[post("/login-twice")]
fn login_twice(lab: &State<Lab>, params: Params<TwoUsers>, session: Session) -> Result<Json<Who>, Error> {
    let Params(TwoUsers { u, w }) = params;
    session.login(lab.credentials.login(u))?;
    session.login(lab.credentials.login(w))?;
    Ok(Json(Who { user: session.subject() }))
}

#[get("/me")]
fn me(lab: &State<Lab>, session: Session) -> Result<(Status, Json<Who>), Error> {
    lab.credentials.check(&session)?;
    let user = session.subject();
    let status = if user.is_some() { Status::Ok } else { Status::Unauthorized };
    Ok((status, Json(Who { user })))
}

#[post("/renew")]
fn renew(session: Session) -> Result<Json<Done>, Error> {
    session.renew()?;
    Ok(Json(DONE))
}

#[post("/logout")]
fn logout(session: Session) -> Result<Json<Done>, Error> {
    session.logout()?;
    Ok(Json(DONE))
}

#[post("/logout-then-set")]
fn logout_then_set(params: Params<KeyValue>, session: Session) -> Result<Json<Done>, Error> {
    let Params(KeyValue { k, v }) = params;
    session.logout()?;
    session.insert(k, v)?;
    Ok(Json(DONE))
}

#[get("/slow-read")]
async fn slow_read(lab: &State<Lab>, params: Params<SlowRead>, session: Session) -> Result<Json<Peek>, Error> {
    let Params(SlowRead { k, ms }) = params;
    sleep(ms).await;
    Ok(Json(look(lab, &session, k.as_deref())?))
}

#[post("/slow-set")]
async fn slow_set(params: Params<SlowWrite>, session: Session) -> Result<Json<Done>, Error> {
    let Params(SlowWrite { k, v, ms }) = params;
    sleep(ms).await;
    session.insert(k, v)?;
    Ok(Json(DONE))
}

#[post("/slow-incr")]
async fn slow_incr(params: Params<SlowKey>, session: Session) -> Result<Json<Val<u64>>, Error> {
    let Params(SlowKey { k, ms }) = params;
    sleep(ms).await;
    let v = session.update(k, |n: &mut u64| *n += 1)?;
    Ok(Json(Val { v }))
}

#[post("/save-then-sleep")]
async fn save_then_sleep(params: Params<SlowWrite>, session: Session) -> Result<Json<Done>, Error> {
    let Params(SlowWrite { k, v, ms }) = params;
    session.insert(k, v)?;
    session.save().await?;
    sleep(ms).await;
    Ok(Json(DONE))
}

#[post("/fail500")]
fn fail500(params: Params<KeyValue>, session: Session) -> Result<(Status, Json<Failure>), Error> {
    let Params(KeyValue { k, v }) = params;
    session.insert(k, v)?;
    Ok((Status::InternalServerError, Json(AS_WISHED)))
}

#[post("/fail400")]
fn fail400(params: Params<KeyValue>, session: Session) -> Result<(Status, Json<Failure>), Error> {
    let Params(KeyValue { k, v }) = params;
    session.insert(k, v)?;
    Ok((Status::BadRequest, Json(AS_WISHED)))
}

#[expect(clippy::panic, reason = "this is what the route is for")]
#[post("/panic")]
fn panics(params: Params<KeyValue>, session: Session) -> Result<Json<Done>, Error> {
    let Params(KeyValue { k, v }) = params;
    session.insert(k, v)?;
    panic!("as you wished")
}

#[post("/err")]
fn err(params: Params<KeyValue>, session: Session) -> Result<Result<Json<Done>, Custom<Json<Failure>>>, Error> {
    let Params(KeyValue { k, v }) = params;
    session.insert(k, v)?;
    Ok(Err(Custom(Status::InternalServerError, Json(AS_WISHED))))
}

#[post("/big")]
fn big(params: Params<Size>, session: Session) -> Result<Json<Done>, Error> {
    let Params(Size { n }) = params;
    session.insert("big", random_base64(n)?)?;
    Ok(Json(DONE))
}

#[get("/public")]
fn public(lab: &State<Lab>, params: Params<OptionalKey>, session: Session) -> Result<Public<Json<Peek>>, Error> {
    let Params(OptionalKey { k }) = params;
    Ok(Public(Json(look(lab, &session, k.as_deref())?)))
}

#[post("/public-write")]
fn public_write(params: Params<KeyValue>, session: Session) -> Result<Public<Json<Done>>, Error> {
    let Params(KeyValue { k, v }) = params;
    session.insert(k, v)?;
    Ok(Public(Json(DONE)))
}

struct Public<R>(R);

impl<'r, 'o: 'r, R: Responder<'r, 'o>> Responder<'r, 'o> for Public<R> {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'o> {
        Response::build_from(self.0.respond_to(request)?)
            .raw_header("Cache-Control", "public, max-age=60")
            .raw_header("Vary", "Accept-Encoding")
            .raw_header_adjoin("Set-Cookie", "a=1")
            .raw_header_adjoin("Set-Cookie", "b=2")
            .ok()
    }
}

#[get("/redirect")]
fn redirect(params: Params<KeyValue>, session: Session) -> Result<Redirect, Error> {
    let Params(KeyValue { k, v }) = params;
    session.insert(k, v)?;
    Ok(Redirect::to("/peek"))
}

#[get("/not-modified")]
fn not_modified(_session: Session) -> (Status, ()) {
    (Status::NotModified, ())
}

#[get("/stream")]
fn stream(_session: Session) -> TextStream<impl Stream<Item = &'static str>> {
    TextStream::from(chunks())
}

#[get("/echo-cookie")]
fn echo_cookie(params: Params<Name>, cookies: &CookieJar<'_>) -> Json<Val<Option<String>>> {
    let Params(Name { name }) = params;
    Json(Val { v: cookies.get(&name).map(|cookie| cookie.value().to_owned()) })
}

#[post("/logout-all")]
async fn logout_all(lab: &State<Lab>, params: Params<User>) -> Result<Json<Ended>, Error> {
    let Params(User { u }) = params;
    Ok(Json(Ended { ended: lab.manager.end_all(&u).await? }))
}

#[get("/devices")]
async fn devices(session: Session) -> Result<Json<Val<Vec<DeviceLine>>>, Error> {
    let devices = session.devices().await?;
    Ok(Json(Val { v: devices.into_iter().map(DeviceLine::from).collect() }))
}

#[post("/devices/end")]
async fn end_device(params: Params<ByHandle>, session: Session) -> Result<Json<Whether>, Error> {
    let Params(ByHandle { handle }) = params;
    let ok = match handle.parse() {
        Ok(handle) => session.end_device(&handle).await?,
        Err(_) => false,
    };
    Ok(Json(Whether { ok }))
}

#[post("/password")]
async fn password(lab: &State<Lab>, params: Params<User>, session: Session) -> Result<Json<Done>, Error> {
    let Params(User { u }) = params;
    lab.credentials.change(&lab.manager, &session, u).await?;
    Ok(Json(DONE))
}

#[get("/typed")]
fn typed(visitor: Typed<Visitor>) -> Json<Visitor> {
    Json(Visitor::clone(&visitor))
}

#[post("/typed")]
fn set_typed(params: Params<Username>, mut visitor: Typed<Visitor>) -> Result<Json<Visitor>, Error> {
    let Params(Username { username }) = params;
    visitor.update(move |visitor| visitor.came_as(&username))?;
    Ok(Json(Visitor::clone(&visitor)))
}

#[post("/flash")]
fn flash(params: Params<Message>, session: Session) -> Result<Json<Done>, Error> {
    let Params(Message { m }) = params;
    session.flash(FlashLevel::Info, m)?;
    Ok(Json(DONE))
}

#[get("/flash")]
fn flashes(messages: Flashes) -> Json<Val<Vec<Flash>>> {
    let Flashes(v) = messages;
    Json(Val { v })
}

#[get("/csrf")]
fn csrf(session: Session) -> Result<Json<Token>, Error> {
    Ok(Json(Token { token: session.csrf_token()? }))
}

#[post("/csrf-do", data = "<form>")]
fn csrf_do(session: Session, header: TokenHeader<'_>, form: &[u8]) -> Result<Json<Done>, Error> {
    session.verify_csrf_of(header.0.map(str::as_bytes), form)?;
    Ok(Json(DONE))
}

struct TokenHeader<'r>(Option<&'r str>);

#[rocket::async_trait]
impl<'r> FromRequest<'r> for TokenHeader<'r> {
    type Error = Infallible;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Infallible> {
        Outcome::Success(Self(request.headers().get_one(CSRF_HEADER)))
    }
}

fn look(lab: &Lab, session: &Session, k: Option<&str>) -> Result<Peek, Error> {
    lab.credentials.check(session)?;
    let k = k.map(|k| session.get::<Value>(k)).transpose()?.flatten();
    Ok(Peek { user: session.subject(), k })
}
