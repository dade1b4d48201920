//! The demo on Rocket. Run `cargo run -p example-rocket` and open the URL it prints.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Cursor;
use std::net::SocketAddr;

use example_common::{COUNTER, Demo, Failure, MOST_OF_ONE, SENT, Setup};
use rocket::config::{Config, LogLevel};
use rocket::fairing::AdHoc;
use rocket::form::Form;
use rocket::http::{ContentType, Header, HeaderMap, Status};
use rocket::request::{FromRequest, Outcome};
use rocket::response::content::RawHtml;
use rocket::response::{Redirect, Response};
use rocket::{FromForm, Request, Responder, State, catch, catchers, get, post, routes};
use serde::{Deserialize, Serialize};
use session_rocket::{Error, FlashLevel, Handle, Login, Session, SessionFairing, SessionManager, Typed};

#[rocket::main]
async fn main() -> Result<(), Failure> {
    let setup = Setup::by_environment().await?;
    let manager = SessionManager::stored(setup.store(), setup.keys())
        // No other site's page can send a form in a visitor's name.
        .refuse_cross_origin()
        .settings(setup.settings())
        .build()?;
    let demo = Demo::new("Rocket", setup, &manager);
    let failing = demo.clone();
    let sessions = SessionFairing::new(manager).on_error(move |error| failed(&failing, error.status()));

    let address = example_common::address()?;
    let config = Config {
        address: address.ip(),
        port: address.port(),
        log_level: LogLevel::Critical,
        ..Config::debug_default()
    };
    let welcome = demo.clone();
    let app = rocket::custom(config)
        .mount(
            "/",
            routes![
                home,
                increment,
                clear,
                set_value,
                remove_value,
                cart,
                add_to_cart,
                remove_from_cart,
                transfer_page,
                transfer,
                login_page,
                login,
                logout,
                private,
                devices,
                end_device,
                end_others,
                password_page,
                change_password
            ],
        )
        .register("/", catchers![missing, refused])
        .attach(sessions)
        .attach(AdHoc::on_liftoff("welcome", |rocket| {
            Box::pin(async move { welcome.welcome(SocketAddr::new(rocket.config().address, rocket.config().port)) })
        }))
        .manage(demo);

    app.launch().await.map_err(|error| example_common::unavailable(address, error))?;
    Ok(())
}

#[get("/")]
async fn home(demo: &State<Demo>, head: Head<'_>, session: Session) -> Result<Answer, Error> {
    let cookies = head.0.get("cookie").map(str::as_bytes);
    Ok(page(demo.home(&session, cookies).await?))
}

// The counter.

#[get("/increment")]
async fn increment(demo: &State<Demo>, head: Head<'_>, session: Session) -> Result<Answer, Error> {
    let count = session.update(COUNTER, |count: &mut u64| *count += 1)?;
    Ok(if wants_html(&head) { page(demo.counted(&session, count)?) } else { text(count.to_string()) })
}

#[get("/clear")]
async fn clear(demo: &State<Demo>, head: Head<'_>, session: Session) -> Result<Answer, Error> {
    session.destroy()?;
    Ok(if wants_html(&head) { page(demo.cleared()) } else { text("Session cleared") })
}

// Values by their keys.

#[derive(FromForm)]
struct Pair {
    key: String,
    value: String,
}

#[post("/values", data = "<form>")]
async fn set_value(demo: &State<Demo>, session: Session, form: Form<Pair>) -> Result<Answer, Error> {
    let Pair { key, value } = form.into_inner();
    if let Some(reason) = example_common::refusal(&session, &key, &value) {
        return Ok(bad_request(demo.refused(&reason)));
    }
    session.insert(key, value)?;
    Ok(see("/#values"))
}

#[derive(FromForm)]
struct Key {
    key: String,
}

#[post("/values/remove", data = "<form>")]
async fn remove_value(session: Session, form: Form<Key>) -> Result<Answer, Error> {
    let Key { key } = form.into_inner();
    session.remove(&key)?;
    Ok(see("/#values"))
}

// The cart: the session as a struct.

/// What the shop reads and writes of the session: a field is a key.
#[derive(Default, Deserialize, Serialize)]
struct Shop {
    cart: BTreeMap<String, u32>,
}

#[get("/cart")]
async fn cart(demo: &State<Demo>, session: Session, shop: Typed<Shop>) -> Result<Answer, Error> {
    Ok(page(demo.cart(&session, &shop.cart)?))
}

#[derive(FromForm)]
struct Item {
    item: String,
}

#[post("/cart", data = "<form>")]
async fn add_to_cart(demo: &State<Demo>, mut shop: Typed<Shop>, form: Form<Item>) -> Result<Answer, Error> {
    let Item { item } = form.into_inner();
    if !example_common::is_sold(&item) {
        return Ok(bad_request(demo.refused("The shop doesn’t have that.")));
    }
    let added = format!("{} is in your cart.", example_common::name_of(&item));
    shop.update(move |shop| {
        let count = shop.cart.entry(item.clone()).or_default();
        *count = MOST_OF_ONE.min(*count + 1);
    })?;
    shop.session().flash(FlashLevel::Success, added)?;
    Ok(see("/cart"))
}

#[post("/cart/remove", data = "<form>")]
async fn remove_from_cart(mut shop: Typed<Shop>, form: Form<Item>) -> Result<Answer, Error> {
    let Item { item } = form.into_inner();
    shop.update(move |shop| {
        shop.cart.remove(&item);
    })?;
    Ok(see("/cart"))
}

// A form with a token.

#[get("/transfer")]
async fn transfer_page(demo: &State<Demo>, session: Session) -> Result<Answer, Error> {
    Ok(page(demo.transfer(&session)?))
}

#[derive(FromForm)]
struct Transfer {
    amount: u64,
    csrf_token: String,
}

#[post("/transfer", data = "<form>")]
async fn transfer(demo: &State<Demo>, session: Session, form: Form<Transfer>) -> Result<Answer, Error> {
    let Transfer { amount, csrf_token } = form.into_inner();
    session.verify_csrf(&csrf_token)?;
    if let Some(reason) = example_common::too_many(amount) {
        return Ok(bad_request(demo.refused(&reason)));
    }
    session.update(SENT, move |sent: &mut u64| *sent = sent.saturating_add(amount))?;
    session.flash(FlashLevel::Success, format!("Sent: {amount}."))?;
    Ok(see("/transfer"))
}

// Login and logout.

#[get("/login")]
async fn login_page(demo: &State<Demo>, session: Session) -> Result<Answer, Error> {
    Ok(page(demo.login(&session).await?))
}

#[derive(FromForm)]
struct Credentials {
    name: String,
    password: String,
}

#[post("/login", data = "<form>")]
async fn login(demo: &State<Demo>, head: Head<'_>, session: Session, form: Form<Credentials>) -> Result<Answer, Error> {
    let Credentials { name, password } = form.into_inner();
    let Some(hash) = demo.people().verify(&name, &password).await? else {
        return Ok(page_with(Status::Unauthorized, demo.wrong_password(&session, &name).await?));
    };
    session.login(Login::new(name).stamp(hash))?;
    session.label(example_common::device_name(head.0.get_one("user-agent").map(str::as_bytes)))?;
    session.flash(FlashLevel::Success, "You are logged in.")?;
    Ok(see("/private"))
}

/// The browser also drops the pages it has seen: some keep one for the way back, whatever its `Cache-Control` says.
#[post("/logout")]
async fn logout(session: Session) -> Result<Answer, Error> {
    session.logout()?;
    let home = Box::new(Redirect::to("/"));
    Ok(Answer::LoggedOut { home, clear_site_data: Header::new("clear-site-data", "\"cache\"") })
}

/// Who is logged in, if it was with the password that is in force now.
async fn member(demo: &Demo, session: &Session) -> Result<Option<String>, Error> {
    let Some(name) = session.subject() else { return Ok(None) };
    Ok(session.require_stamp(demo.people().hash(&name).await?)?.then_some(name))
}

#[get("/private")]
async fn private(demo: &State<Demo>, session: Session) -> Result<Answer, Error> {
    let Some(_) = member(demo, &session).await? else { return Ok(see("/login")) };
    Ok(page(demo.private(&session)?))
}

// My devices.

#[get("/devices")]
async fn devices(demo: &State<Demo>, session: Session) -> Result<Answer, Error> {
    let Some(_) = member(demo, &session).await? else { return Ok(see("/login")) };
    Ok(page(demo.devices(&session).await?))
}

#[derive(FromForm)]
struct Device {
    handle: String,
    csrf_token: String,
}

#[post("/devices/end", data = "<form>")]
async fn end_device(demo: &State<Demo>, session: Session, form: Form<Device>) -> Result<Answer, Error> {
    let Device { handle, csrf_token } = form.into_inner();
    let Ok(handle) = handle.parse::<Handle>() else { return Ok(bad_request(demo.bad_form())) };
    session.verify_csrf(&csrf_token)?;
    let Some(_) = member(demo, &session).await? else { return Ok(see("/login")) };
    if session.end_device(&handle).await? && session.subject().is_some() {
        session.flash(FlashLevel::Success, "That session has ended.")?;
    }
    Ok(see("/devices"))
}

#[derive(FromForm)]
struct Token {
    csrf_token: String,
}

#[post("/devices/end-others", data = "<form>")]
async fn end_others(demo: &State<Demo>, session: Session, form: Form<Token>) -> Result<Answer, Error> {
    let Token { csrf_token } = form.into_inner();
    session.verify_csrf(&csrf_token)?;
    let Some(_) = member(demo, &session).await? else { return Ok(see("/login")) };
    session.end_others().await?;
    session.flash(FlashLevel::Success, "Your other sessions have ended.")?;
    Ok(see("/devices"))
}

// Another password.

#[get("/password")]
async fn password_page(demo: &State<Demo>, session: Session) -> Result<Answer, Error> {
    let Some(_) = member(demo, &session).await? else { return Ok(see("/login")) };
    Ok(page(demo.password(&session, None)?))
}

#[derive(FromForm)]
struct Passwords {
    current: String,
    new: String,
    csrf_token: String,
}

#[post("/password", data = "<form>")]
async fn change_password(demo: &State<Demo>, session: Session, form: Form<Passwords>) -> Result<Answer, Error> {
    let Passwords { current, new, csrf_token } = form.into_inner();
    session.verify_csrf(&csrf_token)?;
    let Some(name) = member(demo, &session).await? else { return Ok(see("/login")) };
    if demo.people().verify(&name, &current).await?.is_none() {
        let again = demo.password(&session, Some("That is not your password now."))?;
        return Ok(page_with(Status::Unauthorized, again));
    }
    if let Some(reason) = example_common::unfit(&new) {
        return Ok(bad_request(demo.password(&session, Some(&reason))?));
    }
    let hash = demo.people().change(&name, &new).await?;
    session.change_stamp(hash).await?;
    session.flash(FlashLevel::Success, "Your password is another one now, and your other sessions have ended.")?;
    Ok(see("/devices"))
}

#[catch(404)]
fn missing(request: &Request<'_>) -> Answer {
    page_with(Status::NotFound, demo(request).missing())
}

#[catch(default)]
fn refused(status: Status, request: &Request<'_>) -> Answer {
    match status.code {
        // What the session says, or its fairing.
        403 | 409 | 500.. => page_with(status, demo(request).failed(status.code)),
        // Rocket refuses a form before its handler is called, with one of several statuses.
        _ => bad_request(demo(request).bad_form()),
    }
}

/// What fails after the handler has answered reaches no catcher.
fn failed(demo: &Demo, status: u16) -> Response<'static> {
    let html = demo.failed(status);
    Response::build()
        .status(Status::new(status))
        .header(ContentType::HTML)
        .raw_header("cache-control", "no-store")
        .sized_body(html.len(), Cursor::new(html))
        .finalize()
}

fn demo<'r>(request: &'r Request<'_>) -> &'r Demo {
    request.rocket().state().expect("main manages it")
}

fn page(html: String) -> Answer {
    page_with(Status::Ok, html)
}

fn bad_request(html: String) -> Answer {
    page_with(Status::BadRequest, html)
}

/// What is made for one visitor nobody may keep: after a logout, the way back leads to no copy of a private page.
fn page_with(status: Status, html: String) -> Answer {
    let page = Page { page: (status, RawHtml(html)), cache_control: Header::new("cache-control", "no-store") };
    Answer::Page(Box::new(page))
}

fn text(words: impl Into<String>) -> Answer {
    Answer::Text(words.into())
}

fn see(location: &'static str) -> Answer {
    Answer::See(Box::new(Redirect::to(location)))
}

#[derive(Responder)]
enum Answer {
    Page(Box<Page>),
    Text(String),
    See(Box<Redirect>),
    LoggedOut { home: Box<Redirect>, clear_site_data: Header<'static> },
}

#[derive(Responder)]
struct Page {
    page: (Status, RawHtml<String>),
    cache_control: Header<'static>,
}

/// Browsers ask for HTML; curl and scripts take anything, and get the bare words.
fn wants_html(head: &Head<'_>) -> bool {
    head.0.get("accept").any(|accept| accept.contains("text/html"))
}

/// The header lines of the request, as they came.
struct Head<'r>(&'r HeaderMap<'r>);

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Head<'r> {
    type Error = Infallible;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Infallible> {
        Outcome::Success(Self(request.headers()))
    }
}
