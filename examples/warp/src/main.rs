//! The demo on warp. Run `cargo run -p example-warp` and open the URL it prints.

use std::collections::BTreeMap;

use example_common::{COUNTER, Demo, Failure, MOST_OF_ONE, SENT, Setup};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use session_warp::{Error, FlashLevel, Handle, Login, Session, SessionLayer, SessionManager, Typed, session, typed};
use tokio::net::TcpListener;
use warp::body::BodyDeserializeError;
use warp::http::header::{ACCEPT, CACHE_CONTROL, COOKIE, LOCATION, USER_AGENT};
use warp::http::{HeaderMap, HeaderValue, StatusCode};
use warp::reject::{LengthRequired, PayloadTooLarge, Rejection, UnsupportedMediaType};
use warp::reply::{Reply, Response, html, with_header, with_status};
use warp::{Filter, body, get, path, post};

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let setup = Setup::by_environment().await?;
    let manager = SessionManager::stored(setup.store(), setup.keys())
        // No other site's page can send a form in a visitor's name.
        .refuse_cross_origin()
        .settings(setup.settings())
        .build()?;
    let demo = Demo::new("warp", setup, &manager);
    let failing = demo.clone();
    let sessions = SessionLayer::new(manager).on_error(move |error| failed(&failing, error.status()));

    let demo_of_each = demo.clone();
    let state = warp::any().map(move || demo_of_each.clone());
    let headers = warp::header::headers_cloned;

    let home = path::end().and(get()).and(state.clone()).and(headers()).and(session()).then(home);
    let increment = path!("increment").and(get()).and(state.clone()).and(headers()).and(session()).then(increment);
    let clear = path!("clear").and(get()).and(state.clone()).and(headers()).and(session()).then(clear);
    let set_value = path!("values").and(post()).and(state.clone()).and(session()).and(form()).then(set_value);
    let remove_value = path!("values" / "remove").and(post()).and(session()).and(form()).then(remove_value);
    let cart = path!("cart").and(get()).and(state.clone()).and(session()).and(typed()).then(cart);
    let add_to_cart = path!("cart").and(post()).and(state.clone()).and(typed()).and(form()).then(add_to_cart);
    let remove_from_cart = path!("cart" / "remove").and(post()).and(typed()).and(form()).then(remove_from_cart);
    let transfer_page = path!("transfer").and(get()).and(state.clone()).and(session()).then(transfer_page);
    let transfer = path!("transfer").and(post()).and(state.clone()).and(session()).and(form()).then(transfer);
    let login_page = path!("login").and(get()).and(state.clone()).and(session()).then(login_page);
    let login = path!("login").and(post()).and(state.clone()).and(headers()).and(session()).and(form()).then(login);
    let logout = path!("logout").and(post()).and(session()).then(logout);
    let private = path!("private").and(get()).and(state.clone()).and(session()).then(private);
    let devices = path!("devices").and(get()).and(state.clone()).and(session()).then(devices);
    let end_device =
        path!("devices" / "end").and(post()).and(state.clone()).and(session()).and(form()).then(end_device);
    let end_others =
        path!("devices" / "end-others").and(post()).and(state.clone()).and(session()).and(form()).then(end_others);
    let password_page = path!("password").and(get()).and(state.clone()).and(session()).then(password_page);
    let change_password =
        path!("password").and(post()).and(state.clone()).and(session()).and(form()).then(change_password);

    let visitors = home.or(increment).or(clear).or(set_value).or(remove_value);
    let shop = cart.or(add_to_cart).or(remove_from_cart).or(transfer_page).or(transfer);
    let members = login_page.or(login).or(logout).or(private).or(devices).or(end_device).or(end_others);
    let routes = visitors.or(shop).or(members).or(password_page).or(change_password);
    let unknown = demo.clone();
    let routes = routes.recover(move |rejection| refused(unknown.clone(), rejection));

    let address = example_common::address()?;
    let listener = TcpListener::bind(address).await.map_err(|error| example_common::unavailable(address, error))?;
    demo.welcome(listener.local_addr()?);
    warp::serve(session_warp::wrap(routes, sessions)).incoming(listener).run().await;
    Ok(())
}

async fn home(demo: Demo, headers: HeaderMap, session: Session) -> Result<Response, Error> {
    let cookies = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    Ok(page(demo.home(&session, cookies).await?))
}

// The counter.

async fn increment(demo: Demo, headers: HeaderMap, session: Session) -> Result<Response, Error> {
    let count = session.update(COUNTER, |count: &mut u64| *count += 1)?;
    Ok(if wants_html(&headers) { page(demo.counted(&session, count)?) } else { text(count.to_string()) })
}

async fn clear(demo: Demo, headers: HeaderMap, session: Session) -> Result<Response, Error> {
    session.destroy()?;
    Ok(if wants_html(&headers) { page(demo.cleared()) } else { text("Session cleared") })
}

// Values by their keys.

#[derive(Deserialize)]
struct Pair {
    key: String,
    value: String,
}

async fn set_value(demo: Demo, session: Session, Pair { key, value }: Pair) -> Result<Response, Error> {
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

async fn remove_value(session: Session, Key { key }: Key) -> Result<Response, Error> {
    session.remove(&key)?;
    Ok(see("/#values"))
}

// The cart: the session as a struct.

/// What the shop reads and writes of the session: a field is a key.
#[derive(Default, Deserialize, Serialize)]
struct Shop {
    cart: BTreeMap<String, u32>,
}

async fn cart(demo: Demo, session: Session, shop: Typed<Shop>) -> Result<Response, Error> {
    Ok(page(demo.cart(&session, &shop.cart)?))
}

#[derive(Deserialize)]
struct Item {
    item: String,
}

async fn add_to_cart(demo: Demo, mut shop: Typed<Shop>, Item { item }: Item) -> Result<Response, Error> {
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

async fn remove_from_cart(mut shop: Typed<Shop>, Item { item }: Item) -> Result<Response, Error> {
    shop.update(move |shop| {
        shop.cart.remove(&item);
    })?;
    Ok(see("/cart"))
}

// A form with a token.

async fn transfer_page(demo: Demo, session: Session) -> Result<Response, Error> {
    Ok(page(demo.transfer(&session)?))
}

#[derive(Deserialize)]
struct Transfer {
    amount: u64,
    csrf_token: String,
}

async fn transfer(demo: Demo, session: Session, Transfer { amount, csrf_token }: Transfer) -> Result<Response, Error> {
    session.verify_csrf(&csrf_token)?;
    if let Some(reason) = example_common::too_many(amount) {
        return Ok(bad_request(demo.refused(&reason)));
    }
    session.update(SENT, move |sent: &mut u64| *sent = sent.saturating_add(amount))?;
    session.flash(FlashLevel::Success, format!("Sent: {amount}."))?;
    Ok(see("/transfer"))
}

// Login and logout.

async fn login_page(demo: Demo, session: Session) -> Result<Response, Error> {
    Ok(page(demo.login(&session).await?))
}

#[derive(Deserialize)]
struct Credentials {
    name: String,
    password: String,
}

async fn login(
    demo: Demo,
    headers: HeaderMap,
    session: Session,
    Credentials { name, password }: Credentials,
) -> Result<Response, Error> {
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
    Ok(with_header(see("/"), "clear-site-data", "\"cache\"").into_response())
}

/// Who is logged in, if it was with the password that is in force now.
async fn member(demo: &Demo, session: &Session) -> Result<Option<String>, Error> {
    let Some(name) = session.subject() else { return Ok(None) };
    Ok(session.require_stamp(demo.people().hash(&name).await?)?.then_some(name))
}

async fn private(demo: Demo, session: Session) -> Result<Response, Error> {
    let Some(_) = member(&demo, &session).await? else { return Ok(see("/login")) };
    Ok(page(demo.private(&session)?))
}

// My devices.

async fn devices(demo: Demo, session: Session) -> Result<Response, Error> {
    let Some(_) = member(&demo, &session).await? else { return Ok(see("/login")) };
    Ok(page(demo.devices(&session).await?))
}

#[derive(Deserialize)]
struct Device {
    handle: String,
    csrf_token: String,
}

async fn end_device(demo: Demo, session: Session, Device { handle, csrf_token }: Device) -> Result<Response, Error> {
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

async fn end_others(demo: Demo, session: Session, Token { csrf_token }: Token) -> Result<Response, Error> {
    session.verify_csrf(&csrf_token)?;
    let Some(_) = member(&demo, &session).await? else { return Ok(see("/login")) };
    session.end_others().await?;
    session.flash(FlashLevel::Success, "Your other sessions have ended.")?;
    Ok(see("/devices"))
}

// Another password.

async fn password_page(demo: Demo, session: Session) -> Result<Response, Error> {
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
    demo: Demo,
    session: Session,
    Passwords { current, new, csrf_token }: Passwords,
) -> Result<Response, Error> {
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

/// The page for a form that can't be used, and for what no route answers. Errors of the session are left to `wrap`.
async fn refused(demo: Demo, rejection: Rejection) -> Result<impl Reply, Rejection> {
    if rejection.find::<Error>().is_some() {
        return Err(rejection);
    }
    let bad_form = rejection.find::<BodyDeserializeError>().is_some()
        || rejection.find::<LengthRequired>().is_some()
        || rejection.find::<PayloadTooLarge>().is_some()
        || rejection.find::<UnsupportedMediaType>().is_some();
    Ok(if bad_form { bad_request(demo.bad_form()) } else { page_with(StatusCode::NOT_FOUND, demo.missing()) })
}

/// warp reads a body of any length unless told otherwise.
fn form<T: DeserializeOwned + Send>() -> impl Filter<Extract = (T,), Error = Rejection> + Copy {
    body::content_length_limit(32 * 1024).and(body::form())
}

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
fn page_with(status: StatusCode, page: String) -> Response {
    with_status(with_header(html(page), CACHE_CONTROL, "no-store"), status).into_response()
}

fn text(words: impl Into<String>) -> Response {
    words.into().into_response()
}

/// By hand, since a `Uri` has no fragment.
fn see(location: &'static str) -> Response {
    with_status(with_header(warp::reply(), LOCATION, location), StatusCode::SEE_OTHER).into_response()
}

/// Browsers ask for HTML; curl and scripts take anything, and get the bare words.
fn wants_html(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).is_some_and(|accept| String::from_utf8_lossy(accept.as_bytes()).contains("text/html"))
}
