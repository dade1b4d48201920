//! The demo on axum. Run `cargo run -p example-axum` and open the URL it prints.

use std::collections::BTreeMap;

use axum::extract::rejection::FormRejection;
use axum::extract::{DefaultBodyLimit, Form, State};
use axum::http::header::{ACCEPT, CACHE_CONTROL, COOKIE, USER_AGENT};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Router, serve};
use example_common::{COUNTER, Demo, Failure, MOST_OF_ONE, SENT, Setup};
use serde::{Deserialize, Serialize};
use session_axum::{Error, FlashLevel, Handle, Login, Session, SessionLayer, SessionManager, Typed};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let setup = Setup::by_environment().await?;
    let manager = SessionManager::stored(setup.store(), setup.keys())
        // No other site's page can send a form in a visitor's name.
        .refuse_cross_origin()
        .settings(setup.settings())
        .build()?;
    let demo = Demo::new("axum", setup, &manager);
    let failing = demo.clone();
    let sessions = SessionLayer::new(manager).on_error(move |error| failed(&failing, error.status()));

    let app = Router::new()
        .route("/", get(home))
        .route("/increment", get(increment))
        .route("/clear", get(clear))
        .route("/values", post(set_value))
        .route("/values/remove", post(remove_value))
        .route("/cart", get(cart).post(add_to_cart))
        .route("/cart/remove", post(remove_from_cart))
        .route("/transfer", get(transfer_page).post(transfer))
        .route("/login", get(login_page).post(login))
        .route("/logout", post(logout))
        .route("/private", get(private))
        .route("/devices", get(devices))
        .route("/devices/end", post(end_device))
        .route("/devices/end-others", post(end_others))
        .route("/password", get(password_page).post(change_password))
        .fallback(missing)
        .method_not_allowed_fallback(missing)
        .layer(DefaultBodyLimit::max(32 * 1024))
        .layer(sessions)
        .with_state(demo.clone());

    let address = example_common::address()?;
    let listener = TcpListener::bind(address).await.map_err(|error| example_common::unavailable(address, error))?;
    demo.welcome(listener.local_addr()?);
    Ok(serve(listener, app).await?)
}

async fn home(State(demo): State<Demo>, headers: HeaderMap, session: Session) -> Result<Response, Error> {
    let cookies = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    Ok(page(demo.home(&session, cookies).await?))
}

// The counter.

async fn increment(State(demo): State<Demo>, headers: HeaderMap, session: Session) -> Result<Response, Error> {
    let count = session.update(COUNTER, |count: &mut u64| *count += 1)?;
    Ok(if wants_html(&headers) { page(demo.counted(&session, count)?) } else { text(count.to_string()) })
}

async fn clear(State(demo): State<Demo>, headers: HeaderMap, session: Session) -> Result<Response, Error> {
    session.destroy()?;
    Ok(if wants_html(&headers) { page(demo.cleared()) } else { text("Session cleared") })
}

// Values by their keys.

#[derive(Deserialize)]
struct Pair {
    key: String,
    value: String,
}

async fn set_value(State(demo): State<Demo>, session: Session, form: FormOf<Pair>) -> Result<Response, Error> {
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

async fn remove_value(State(demo): State<Demo>, session: Session, form: FormOf<Key>) -> Result<Response, Error> {
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

async fn cart(State(demo): State<Demo>, session: Session, shop: Typed<Shop>) -> Result<Response, Error> {
    Ok(page(demo.cart(&session, &shop.cart)?))
}

#[derive(Deserialize)]
struct Item {
    item: String,
}

async fn add_to_cart(State(demo): State<Demo>, mut shop: Typed<Shop>, form: FormOf<Item>) -> Result<Response, Error> {
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

async fn remove_from_cart(
    State(demo): State<Demo>,
    mut shop: Typed<Shop>,
    form: FormOf<Item>,
) -> Result<Response, Error> {
    let Ok(Form(Item { item })) = form else { return Ok(bad_request(demo.bad_form())) };
    shop.update(move |shop| {
        shop.cart.remove(&item);
    })?;
    Ok(see("/cart"))
}

// A form with a token.

async fn transfer_page(State(demo): State<Demo>, session: Session) -> Result<Response, Error> {
    Ok(page(demo.transfer(&session)?))
}

#[derive(Deserialize)]
struct Transfer {
    amount: u64,
    csrf_token: String,
}

async fn transfer(State(demo): State<Demo>, session: Session, form: FormOf<Transfer>) -> Result<Response, Error> {
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

async fn login_page(State(demo): State<Demo>, session: Session) -> Result<Response, Error> {
    Ok(page(demo.login(&session).await?))
}

#[derive(Deserialize)]
struct Credentials {
    name: String,
    password: String,
}

async fn login(
    State(demo): State<Demo>,
    headers: HeaderMap,
    session: Session,
    form: FormOf<Credentials>,
) -> Result<Response, Error> {
    let Ok(Form(Credentials { name, password })) = form else { return Ok(bad_request(demo.bad_form())) };
    let Some(hash) = demo.people().verify(&name, &password).await? else {
        return Ok(page_with(StatusCode::UNAUTHORIZED, demo.wrong_password(&session, &name).await?));
    };
    session.login(Login::new(name).stamp(hash))?;
    session.label(example_common::device_name(headers.get(USER_AGENT).map(HeaderValue::as_bytes)))?;
    session.flash(FlashLevel::Success, "You are logged in.")?;
    Ok(see("/private"))
}

/// The browser also drops the pages it has seen: some keep one for the way back, whatever its `Cache-Control` says.
async fn logout(session: Session) -> Result<Response, Error> {
    session.logout()?;
    Ok(([("clear-site-data", "\"cache\"")], see("/")).into_response())
}

/// Who is logged in, if it was with the password that is in force now.
async fn member(demo: &Demo, session: &Session) -> Result<Option<String>, Error> {
    let Some(name) = session.subject() else { return Ok(None) };
    Ok(session.require_stamp(demo.people().hash(&name).await?)?.then_some(name))
}

async fn private(State(demo): State<Demo>, session: Session) -> Result<Response, Error> {
    let Some(_) = member(&demo, &session).await? else { return Ok(see("/login")) };
    Ok(page(demo.private(&session)?))
}

// My devices.

async fn devices(State(demo): State<Demo>, session: Session) -> Result<Response, Error> {
    let Some(_) = member(&demo, &session).await? else { return Ok(see("/login")) };
    Ok(page(demo.devices(&session).await?))
}

#[derive(Deserialize)]
struct Device {
    handle: String,
    csrf_token: String,
}

async fn end_device(State(demo): State<Demo>, session: Session, form: FormOf<Device>) -> Result<Response, Error> {
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

async fn end_others(State(demo): State<Demo>, session: Session, form: FormOf<Token>) -> Result<Response, Error> {
    let Ok(Form(Token { csrf_token })) = form else { return Ok(bad_request(demo.bad_form())) };
    session.verify_csrf(&csrf_token)?;
    let Some(_) = member(&demo, &session).await? else { return Ok(see("/login")) };
    session.end_others().await?;
    session.flash(FlashLevel::Success, "Your other sessions have ended.")?;
    Ok(see("/devices"))
}

// Another password.

async fn password_page(State(demo): State<Demo>, session: Session) -> Result<Response, Error> {
    let Some(_) = member(&demo, &session).await? else { return Ok(see("/login")) };
    Ok(page(demo.password(&session, None)?))
}

#[derive(Deserialize)]
struct Passwords {
    current: String,
    new: String,
    csrf_token: String,
}

async fn change_password(
    State(demo): State<Demo>,
    session: Session,
    form: FormOf<Passwords>,
) -> Result<Response, Error> {
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

async fn missing(State(demo): State<Demo>) -> Response {
    page_with(StatusCode::NOT_FOUND, demo.missing())
}

/// A form, or why there is none.
type FormOf<T> = Result<Form<T>, FormRejection>;

fn page(html: String) -> Response {
    page_with(StatusCode::OK, html)
}

fn bad_request(html: String) -> Response {
    page_with(StatusCode::BAD_REQUEST, html)
}

fn failed(demo: &Demo, status: u16) -> Response {
    page_with(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), demo.failed(status))
}

/// What is made for one visitor nobody may keep: after a logout, the way back leads to no copy of a private page.
fn page_with(status: StatusCode, html: String) -> Response {
    (status, [(CACHE_CONTROL, "no-store")], Html(html)).into_response()
}

fn text(words: impl Into<String>) -> Response {
    words.into().into_response()
}

fn see(location: &str) -> Response {
    Redirect::to(location).into_response()
}

/// Browsers ask for HTML; curl and scripts take anything, and get the bare words.
fn wants_html(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).is_some_and(|accept| String::from_utf8_lossy(accept.as_bytes()).contains("text/html"))
}
