//! The demo on actix. Run `cargo run -p example-actix` and open the URL it prints.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT, CACHE_CONTROL, COOKIE, ContentType, HeaderName, HeaderValue, LOCATION, USER_AGENT,
};
use actix_web::web::{self, Data, Form};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, get, post};
use example_common::{COUNTER, Demo, Failure, MOST_OF_ONE, SENT, Setup};
use serde::{Deserialize, Serialize};
use session_actix::{Error, FlashLevel, Handle, Login, Session, SessionManager, SessionMiddleware, Typed};

#[actix_web::main]
async fn main() -> Result<(), Failure> {
    let setup = Setup::by_environment().await?;
    let manager = SessionManager::stored(setup.store(), setup.keys())
        // No other site's page can send a form in a visitor's name.
        .refuse_cross_origin()
        .settings(setup.settings())
        .build()?;
    let demo = Demo::new("actix", setup, &manager);
    let state = demo.clone();
    let app = move || {
        let failing = state.clone();
        let sessions = SessionMiddleware::new(manager.clone()).on_error(move |error| failed(&failing, error.status()));
        App::new()
            .service(home)
            .service(increment)
            .service(clear)
            .service(set_value)
            .service(remove_value)
            .service(cart)
            .service(add_to_cart)
            .service(remove_from_cart)
            .service(transfer_page)
            .service(transfer)
            .service(login_page)
            .service(login)
            .service(logout)
            .service(private)
            .service(devices)
            .service(end_device)
            .service(end_others)
            .service(password_page)
            .service(change_password)
            .default_service(web::to(missing))
            .wrap(sessions)
            .app_data(Data::new(state.clone()))
    };

    let address = example_common::address()?;
    let server = HttpServer::new(app).bind(address).map_err(|error| example_common::unavailable(address, error))?;
    server.addrs().into_iter().for_each(|address| demo.welcome(address));
    Ok(server.run().await?)
}

#[get("/")]
async fn home(demo: Data<Demo>, request: HttpRequest, session: Session) -> Result<HttpResponse, Error> {
    let cookies = request.headers().get_all(COOKIE).map(HeaderValue::as_bytes);
    Ok(page(demo.home(&session, cookies).await?))
}

// The counter.

#[get("/increment")]
async fn increment(demo: Data<Demo>, request: HttpRequest, session: Session) -> Result<HttpResponse, Error> {
    let count = session.update(COUNTER, |count: &mut u64| *count += 1)?;
    Ok(if wants_html(&request) { page(demo.counted(&session, count)?) } else { text(count.to_string()) })
}

#[get("/clear")]
async fn clear(demo: Data<Demo>, request: HttpRequest, session: Session) -> Result<HttpResponse, Error> {
    session.destroy()?;
    Ok(if wants_html(&request) { page(demo.cleared()) } else { text("Session cleared") })
}

// Values by their keys.

#[derive(Deserialize)]
struct Pair {
    key: String,
    value: String,
}

#[post("/values")]
async fn set_value(demo: Data<Demo>, session: Session, form: FormOf<Pair>) -> Result<HttpResponse, Error> {
    let Ok(Form(Pair { key, value })) = form else { return Ok(bad_request(demo.bad_form())) };
    if let Some(reason) = example_common::refusal(&session, &key, &value) {
        return Ok(bad_request(demo.refused(&reason)));
    }
    session.insert(key, value)?;
    Ok(see("/#values"))
}

#[derive(Deserialize)]
struct Key {
    key: String,
}

#[post("/values/remove")]
async fn remove_value(demo: Data<Demo>, session: Session, form: FormOf<Key>) -> Result<HttpResponse, Error> {
    let Ok(Form(Key { key })) = form else { return Ok(bad_request(demo.bad_form())) };
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
async fn cart(demo: Data<Demo>, session: Session, shop: Typed<Shop>) -> Result<HttpResponse, Error> {
    Ok(page(demo.cart(&session, &shop.cart)?))
}

#[derive(Deserialize)]
struct Item {
    item: String,
}

#[post("/cart")]
async fn add_to_cart(demo: Data<Demo>, mut shop: Typed<Shop>, form: FormOf<Item>) -> Result<HttpResponse, Error> {
    let Ok(Form(Item { item })) = form else { return Ok(bad_request(demo.bad_form())) };
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

#[post("/cart/remove")]
async fn remove_from_cart(demo: Data<Demo>, mut shop: Typed<Shop>, form: FormOf<Item>) -> Result<HttpResponse, Error> {
    let Ok(Form(Item { item })) = form else { return Ok(bad_request(demo.bad_form())) };
    shop.update(move |shop| {
        shop.cart.remove(&item);
    })?;
    Ok(see("/cart"))
}

// A form with a token.

#[get("/transfer")]
async fn transfer_page(demo: Data<Demo>, session: Session) -> Result<HttpResponse, Error> {
    Ok(page(demo.transfer(&session)?))
}

#[derive(Deserialize)]
struct Transfer {
    amount: u64,
    csrf_token: String,
}

#[post("/transfer")]
async fn transfer(demo: Data<Demo>, session: Session, form: FormOf<Transfer>) -> Result<HttpResponse, Error> {
    let Ok(Form(Transfer { amount, csrf_token })) = form else { return Ok(bad_request(demo.bad_form())) };
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
async fn login_page(demo: Data<Demo>, session: Session) -> Result<HttpResponse, Error> {
    Ok(page(demo.login(&session).await?))
}

#[derive(Deserialize)]
struct Credentials {
    name: String,
    password: String,
}

#[post("/login")]
async fn login(
    demo: Data<Demo>,
    request: HttpRequest,
    session: Session,
    form: FormOf<Credentials>,
) -> Result<HttpResponse, Error> {
    let Ok(Form(Credentials { name, password })) = form else { return Ok(bad_request(demo.bad_form())) };
    let Some(hash) = demo.people().verify(&name, &password).await? else {
        return Ok(page_with(StatusCode::UNAUTHORIZED, demo.wrong_password(&session, &name).await?));
    };
    session.login(Login::new(name).stamp(hash))?;
    session.label(example_common::device_name(request.headers().get(USER_AGENT).map(HeaderValue::as_bytes)))?;
    session.flash(FlashLevel::Success, "You are logged in.")?;
    Ok(see("/private"))
}

/// The browser also drops the pages it has seen: some keep one for the way back, whatever its `Cache-Control` says.
#[post("/logout")]
async fn logout(session: Session) -> Result<HttpResponse, Error> {
    session.logout()?;
    let mut response = see("/");
    response.headers_mut().insert(HeaderName::from_static("clear-site-data"), HeaderValue::from_static("\"cache\""));
    Ok(response)
}

/// Who is logged in, if it was with the password that is in force now.
async fn member(demo: &Demo, session: &Session) -> Result<Option<String>, Error> {
    let Some(name) = session.subject() else { return Ok(None) };
    Ok(session.require_stamp(demo.people().hash(&name).await?)?.then_some(name))
}

#[get("/private")]
async fn private(demo: Data<Demo>, session: Session) -> Result<HttpResponse, Error> {
    let Some(_) = member(&demo, &session).await? else { return Ok(see("/login")) };
    Ok(page(demo.private(&session)?))
}

// My devices.

#[get("/devices")]
async fn devices(demo: Data<Demo>, session: Session) -> Result<HttpResponse, Error> {
    let Some(_) = member(&demo, &session).await? else { return Ok(see("/login")) };
    Ok(page(demo.devices(&session).await?))
}

#[derive(Deserialize)]
struct Device {
    handle: String,
    csrf_token: String,
}

#[post("/devices/end")]
async fn end_device(demo: Data<Demo>, session: Session, form: FormOf<Device>) -> Result<HttpResponse, Error> {
    let Ok(Form(Device { handle, csrf_token })) = form else { return Ok(bad_request(demo.bad_form())) };
    let Ok(handle) = handle.parse::<Handle>() else { return Ok(bad_request(demo.bad_form())) };
    session.verify_csrf(&csrf_token)?;
    let Some(_) = member(&demo, &session).await? else { return Ok(see("/login")) };
    if session.end_device(&handle).await? && session.subject().is_some() {
        session.flash(FlashLevel::Success, "That session has ended.")?;
    }
    Ok(see("/devices"))
}

#[derive(Deserialize)]
struct Token {
    csrf_token: String,
}

#[post("/devices/end-others")]
async fn end_others(demo: Data<Demo>, session: Session, form: FormOf<Token>) -> Result<HttpResponse, Error> {
    let Ok(Form(Token { csrf_token })) = form else { return Ok(bad_request(demo.bad_form())) };
    session.verify_csrf(&csrf_token)?;
    let Some(_) = member(&demo, &session).await? else { return Ok(see("/login")) };
    session.end_others().await?;
    session.flash(FlashLevel::Success, "Your other sessions have ended.")?;
    Ok(see("/devices"))
}

// Another password.

#[get("/password")]
async fn password_page(demo: Data<Demo>, session: Session) -> Result<HttpResponse, Error> {
    let Some(_) = member(&demo, &session).await? else { return Ok(see("/login")) };
    Ok(page(demo.password(&session, None)?))
}

#[derive(Deserialize)]
struct Passwords {
    current: String,
    new: String,
    csrf_token: String,
}

#[post("/password")]
async fn change_password(demo: Data<Demo>, session: Session, form: FormOf<Passwords>) -> Result<HttpResponse, Error> {
    let Ok(Form(Passwords { current, new, csrf_token })) = form else { return Ok(bad_request(demo.bad_form())) };
    session.verify_csrf(&csrf_token)?;
    let Some(name) = member(&demo, &session).await? else { return Ok(see("/login")) };
    if demo.people().verify(&name, &current).await?.is_none() {
        let again = demo.password(&session, Some("That is not your password now."))?;
        return Ok(page_with(StatusCode::UNAUTHORIZED, again));
    }
    if let Some(reason) = example_common::unfit(&new) {
        return Ok(bad_request(demo.password(&session, Some(&reason))?));
    }
    let hash = demo.people().change(&name, &new).await?;
    session.change_stamp(hash).await?;
    session.flash(FlashLevel::Success, "Your password is another one now, and your other sessions have ended.")?;
    Ok(see("/devices"))
}

async fn missing(demo: Data<Demo>) -> HttpResponse {
    page_with(StatusCode::NOT_FOUND, demo.missing())
}

/// A form, or why there is none.
type FormOf<T> = Result<Form<T>, actix_web::Error>;

fn page(html: String) -> HttpResponse {
    page_with(StatusCode::OK, html)
}

fn bad_request(html: String) -> HttpResponse {
    page_with(StatusCode::BAD_REQUEST, html)
}

fn failed(demo: &Demo, status: u16) -> HttpResponse {
    page_with(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), demo.failed(status))
}

/// What is made for one visitor nobody may keep: after a logout, the way back leads to no copy of a private page.
fn page_with(status: StatusCode, html: String) -> HttpResponse {
    HttpResponse::build(status).insert_header((CACHE_CONTROL, "no-store")).content_type(ContentType::html()).body(html)
}

fn text(words: impl Into<String>) -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::plaintext()).body(words.into())
}

fn see(location: &'static str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, location)).finish()
}

/// Browsers ask for HTML; curl and scripts take anything, and get the bare words.
fn wants_html(request: &HttpRequest) -> bool {
    let accept = request.headers().get(ACCEPT);
    accept.is_some_and(|accept| String::from_utf8_lossy(accept.as_bytes()).contains("text/html"))
}
