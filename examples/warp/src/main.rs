//! The demo on warp. Run `cargo run -p example-warp` and open the URL it prints.

use example_common::{COUNTER, Demo, Failure, is_right, refusal};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use session_warp::{Error, Session, session};
use tokio::net::TcpListener;
use warp::body::BodyDeserializeError;
use warp::http::header::{ACCEPT, COOKIE, LOCATION};
use warp::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use warp::redirect::see_other;
use warp::reject::{LengthRequired, PayloadTooLarge, Rejection, UnsupportedMediaType};
use warp::reply::{Reply, Response, html, with_header, with_status};
use warp::{Filter, body, get, path, post};

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let demo = Demo::new("warp").await?;
    let manager = demo.manager();
    let state = warp::any().map({
        let demo = demo.clone();
        move || demo.clone()
    });
    let headers = warp::header::headers_cloned;

    let home = path::end().and(get()).and(state.clone()).and(headers()).and(session()).then(home);
    let increment = path!("increment").and(get()).and(state.clone()).and(headers()).and(session()).then(increment);
    let clear = path!("clear").and(get()).and(state.clone()).and(headers()).and(session()).then(clear);
    let login_page = path!("login").and(get()).and(state.clone()).and(session()).then(login_page);
    let login = path!("login").and(post()).and(state.clone()).and(session()).and(form()).then(login);
    let logout = path!("logout").and(post()).and(session()).then(logout);
    let private = path!("private").and(get()).and(state.clone()).and(session()).then(private);
    let set_value = path!("values").and(post()).and(state).and(session()).and(form()).then(set_value);
    let remove_value = path!("values" / "remove").and(post()).and(session()).and(form()).then(remove_value);

    let routes = home.or(increment).or(clear).or(login_page).or(login).or(logout).or(private);
    let routes = routes.or(set_value).or(remove_value);
    let unknown = demo.clone();
    let routes = routes.recover(move |rejection| refused(unknown.clone(), rejection));

    let address = example_common::address()?;
    let listener = TcpListener::bind(address).await.map_err(|error| example_common::unavailable(address, error))?;
    demo.welcome(listener.local_addr()?);
    warp::serve(session_warp::wrap(routes, manager)).incoming(listener).run().await;
    Ok(())
}

async fn home(demo: Demo, headers: HeaderMap, session: Session) -> Result<impl Reply, Error> {
    let cookies = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    Ok(html(demo.home(&session, cookies).await?))
}

async fn increment(demo: Demo, headers: HeaderMap, session: Session) -> Result<Response, Error> {
    let count = session.update(COUNTER, |count: &mut u64| *count += 1)?;
    Ok(if wants_html(&headers) { html(demo.counted(count)).into_response() } else { count.to_string().into_response() })
}

async fn clear(demo: Demo, headers: HeaderMap, session: Session) -> Result<Response, Error> {
    session.destroy()?;
    Ok(if wants_html(&headers) { html(demo.cleared()).into_response() } else { "Session cleared".into_response() })
}

async fn login_page(demo: Demo, session: Session) -> impl Reply {
    html(demo.login_page(&session))
}

#[derive(Deserialize)]
struct Login {
    name: String,
    password: String,
}

async fn login(demo: Demo, session: Session, Login { name, password }: Login) -> Result<Response, Error> {
    if !is_right(&name, &password) {
        let page = html(demo.wrong_password(&session, &name));
        return Ok(with_status(page, StatusCode::UNAUTHORIZED).into_response());
    }
    session.login(name)?;
    Ok(see_other(Uri::from_static("/private")).into_response())
}

async fn logout(session: Session) -> Result<impl Reply, Error> {
    session.logout()?;
    Ok(see_other(Uri::from_static("/")))
}

async fn private(demo: Demo, session: Session) -> Response {
    match session.subject() {
        Some(subject) => html(demo.private(&subject)).into_response(),
        None => see_other(Uri::from_static("/login")).into_response(),
    }
}

#[derive(Deserialize)]
struct Pair {
    key: String,
    value: String,
}

async fn set_value(demo: Demo, session: Session, Pair { key, value }: Pair) -> Result<Response, Error> {
    if let Some(reason) = refusal(&session, &key, &value) {
        return Ok(with_status(html(demo.refused(&reason)), StatusCode::BAD_REQUEST).into_response());
    }
    session.insert(key, value)?;
    Ok(to_values().into_response())
}

#[derive(Deserialize)]
struct Key {
    key: String,
}

async fn remove_value(session: Session, Key { key }: Key) -> Result<impl Reply, Error> {
    session.remove(&key)?;
    Ok(to_values())
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
    Ok(if bad_form {
        with_status(html(demo.bad_form()), StatusCode::BAD_REQUEST)
    } else {
        with_status(html(demo.missing()), StatusCode::NOT_FOUND)
    })
}

/// warp reads a body of any length unless told otherwise.
fn form<T: DeserializeOwned + Send>() -> impl Filter<Extract = (T,), Error = Rejection> + Copy {
    body::content_length_limit(32 * 1024).and(body::form())
}

/// By hand, since a `Uri` has no fragment.
fn to_values() -> impl Reply {
    with_status(with_header(warp::reply(), LOCATION, "/#values"), StatusCode::SEE_OTHER)
}

/// Browsers ask for HTML; curl and scripts take anything, and get the bare words.
fn wants_html(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).is_some_and(|accept| String::from_utf8_lossy(accept.as_bytes()).contains("text/html"))
}
