//! The demo on Rocket. Run `cargo run -p example-rocket` and open the URL it prints.

use std::convert::Infallible;
use std::net::SocketAddr;

use example_common::{COUNTER, Demo, Failure, is_right, refusal};
use rocket::config::{Config, LogLevel};
use rocket::fairing::AdHoc;
use rocket::form::Form;
use rocket::http::{Accept, MediaType, Status};
use rocket::request::{FromRequest, Outcome};
use rocket::response::{Redirect, content::RawHtml};
use rocket::{FromForm, Request, Responder, State, catch, catchers, get, post, routes};
use session_rocket::{Error, Session, SessionFairing};

#[rocket::main]
async fn main() -> Result<(), Failure> {
    let demo = Demo::new("Rocket").await?;
    let address = example_common::address()?;
    let config = Config {
        address: address.ip(),
        port: address.port(),
        log_level: LogLevel::Critical,
        ..Config::debug_default()
    };
    let app = rocket::custom(config)
        .mount("/", routes![home, increment, clear, login_page, login, logout, private, set_value, remove_value])
        .register("/", catchers![missing, refused])
        .attach(SessionFairing::new(demo.manager()))
        .attach(AdHoc::on_liftoff("welcome", |rocket| {
            Box::pin(async {
                let address = SocketAddr::new(rocket.config().address, rocket.config().port);
                rocket.state::<Demo>().into_iter().for_each(|demo| demo.welcome(address));
            })
        }))
        .manage(demo);

    app.launch().await.map_err(|error| example_common::unavailable(address, error))?;
    Ok(())
}

#[get("/")]
async fn home(demo: &State<Demo>, cookies: CookieLines<'_>, session: Session) -> Result<RawHtml<String>, Error> {
    let cookies = cookies.0.into_iter().map(str::as_bytes);
    Ok(RawHtml(demo.home(&session, cookies).await?))
}

#[get("/increment")]
async fn increment(demo: &State<Demo>, accept: Option<&Accept>, session: Session) -> Result<Answer, Error> {
    let count = session.update(COUNTER, |count: &mut u64| *count += 1)?;
    Ok(if wants_html(accept) { Answer::Page(RawHtml(demo.counted(count))) } else { Answer::Text(count.to_string()) })
}

#[get("/clear")]
async fn clear(demo: &State<Demo>, accept: Option<&Accept>, session: Session) -> Result<Answer, Error> {
    session.destroy()?;
    Ok(if wants_html(accept) { Answer::Page(RawHtml(demo.cleared())) } else { Answer::Text("Session cleared".into()) })
}

#[get("/login")]
async fn login_page(demo: &State<Demo>, session: Session) -> RawHtml<String> {
    RawHtml(demo.login_page(&session))
}

#[derive(FromForm)]
struct Login {
    name: String,
    password: String,
}

#[post("/login", data = "<form>")]
async fn login(demo: &State<Demo>, session: Session, form: Form<Login>) -> Result<Answer, Error> {
    let Login { name, password } = form.into_inner();
    if !is_right(&name, &password) {
        return Ok(Answer::Refused((Status::Unauthorized, RawHtml(demo.wrong_password(&session, &name)))));
    }
    session.login(name)?;
    Ok(see("/private"))
}

#[post("/logout")]
async fn logout(session: Session) -> Result<Redirect, Error> {
    session.logout()?;
    Ok(Redirect::to("/"))
}

#[get("/private")]
async fn private(demo: &State<Demo>, session: Session) -> Answer {
    match session.subject() {
        Some(subject) => Answer::Page(RawHtml(demo.private(&subject))),
        None => see("/login"),
    }
}

#[derive(FromForm)]
struct Pair {
    key: String,
    value: String,
}

#[post("/values", data = "<form>")]
async fn set_value(demo: &State<Demo>, session: Session, form: Form<Pair>) -> Result<Answer, Error> {
    let Pair { key, value } = form.into_inner();
    if let Some(reason) = refusal(&session, &key, &value) {
        return Ok(Answer::Refused((Status::BadRequest, RawHtml(demo.refused(&reason)))));
    }
    session.insert(key, value)?;
    Ok(see("/#values"))
}

#[derive(FromForm)]
struct Key {
    key: String,
}

#[post("/values/remove", data = "<form>")]
async fn remove_value(session: Session, form: Form<Key>) -> Result<Redirect, Error> {
    session.remove(&form.key)?;
    Ok(Redirect::to("/#values"))
}

#[catch(404)]
fn missing(request: &Request<'_>) -> RawHtml<String> {
    RawHtml(demo(request).missing())
}

/// Rocket refuses a form before its handler is called, with one of several statuses.
#[catch(default)]
fn refused(status: Status, request: &Request<'_>) -> (Status, RawHtml<String>) {
    if status.class().is_client_error() {
        (Status::BadRequest, RawHtml(demo(request).bad_form()))
    } else {
        (status, RawHtml(String::new()))
    }
}

fn demo<'r>(request: &'r Request<'_>) -> &'r Demo {
    request.rocket().state().expect("main manages it")
}

#[derive(Responder)]
enum Answer {
    Page(RawHtml<String>),
    Text(String),
    See(Box<Redirect>),
    Refused((Status, RawHtml<String>)),
}

fn see(location: &'static str) -> Answer {
    Answer::See(Box::new(Redirect::to(location)))
}

/// Browsers ask for HTML; curl and scripts take anything, and get the bare words.
fn wants_html(accept: Option<&Accept>) -> bool {
    accept.is_some_and(|accept| accept.media_types().any(MediaType::is_html))
}

/// The `Cookie` lines of the request, as they came.
struct CookieLines<'r>(Vec<&'r str>);

#[rocket::async_trait]
impl<'r> FromRequest<'r> for CookieLines<'r> {
    type Error = Infallible;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Infallible> {
        Outcome::Success(Self(request.headers().get("cookie").collect()))
    }
}
