//! The demo on axum. Run `cargo run -p example-axum` and open the URL it prints.

use axum::extract::rejection::FormRejection;
use axum::extract::{DefaultBodyLimit, Form, State};
use axum::http::header::{ACCEPT, COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Router, serve};
use example_common::{COUNTER, Demo, Failure, is_right, refusal};
use serde::Deserialize;
use session_axum::{Error, Session, SessionLayer};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let demo = Demo::new("axum").await?;
    let app = Router::new()
        .route("/", get(home))
        .route("/increment", get(increment))
        .route("/clear", get(clear))
        .route("/login", get(login_page).post(login))
        .route("/logout", post(logout))
        .route("/private", get(private))
        .route("/values", post(set_value))
        .route("/values/remove", post(remove_value))
        .fallback(missing)
        .method_not_allowed_fallback(missing)
        .layer(DefaultBodyLimit::max(32 * 1024))
        .layer(SessionLayer::new(demo.manager()))
        .with_state(demo.clone());

    let address = example_common::address()?;
    let listener = TcpListener::bind(address).await.map_err(|error| example_common::unavailable(address, error))?;
    demo.welcome(listener.local_addr()?);
    Ok(serve(listener, app).await?)
}

async fn home(State(demo): State<Demo>, headers: HeaderMap, session: Session) -> Result<Html<String>, Error> {
    let cookies = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    Ok(Html(demo.home(&session, cookies).await?))
}

async fn increment(State(demo): State<Demo>, headers: HeaderMap, session: Session) -> Result<Response, Error> {
    let count = session.update(COUNTER, |count: &mut u64| *count += 1)?;
    Ok(if wants_html(&headers) { Html(demo.counted(count)).into_response() } else { count.to_string().into_response() })
}

async fn clear(State(demo): State<Demo>, headers: HeaderMap, session: Session) -> Result<Response, Error> {
    session.destroy()?;
    Ok(if wants_html(&headers) { Html(demo.cleared()).into_response() } else { "Session cleared".into_response() })
}

async fn login_page(State(demo): State<Demo>, session: Session) -> Html<String> {
    Html(demo.login_page(&session))
}

#[derive(Deserialize)]
struct Login {
    name: String,
    password: String,
}

async fn login(State(demo): State<Demo>, session: Session, form: FormOf<Login>) -> Result<Response, Error> {
    let Ok(Form(Login { name, password })) = form else { return Ok(bad_request(demo.bad_form())) };
    if !is_right(&name, &password) {
        return Ok((StatusCode::UNAUTHORIZED, Html(demo.wrong_password(&session, &name))).into_response());
    }
    session.login(name)?;
    Ok(Redirect::to("/private").into_response())
}

async fn logout(session: Session) -> Result<Redirect, Error> {
    session.logout()?;
    Ok(Redirect::to("/"))
}

async fn private(State(demo): State<Demo>, session: Session) -> Response {
    match session.subject() {
        Some(subject) => Html(demo.private(&subject)).into_response(),
        None => Redirect::to("/login").into_response(),
    }
}

#[derive(Deserialize)]
struct Pair {
    key: String,
    value: String,
}

async fn set_value(State(demo): State<Demo>, session: Session, form: FormOf<Pair>) -> Result<Response, Error> {
    let Ok(Form(Pair { key, value })) = form else { return Ok(bad_request(demo.bad_form())) };
    if let Some(reason) = refusal(&session, &key, &value) {
        return Ok(bad_request(demo.refused(&reason)));
    }
    session.insert(key, value)?;
    Ok(Redirect::to("/#values").into_response())
}

#[derive(Deserialize)]
struct Key {
    key: String,
}

async fn remove_value(State(demo): State<Demo>, session: Session, form: FormOf<Key>) -> Result<Response, Error> {
    let Ok(Form(Key { key })) = form else { return Ok(bad_request(demo.bad_form())) };
    session.remove(&key)?;
    Ok(Redirect::to("/#values").into_response())
}

async fn missing(State(demo): State<Demo>) -> (StatusCode, Html<String>) {
    (StatusCode::NOT_FOUND, Html(demo.missing()))
}

/// A form, or why there is none.
type FormOf<T> = Result<Form<T>, FormRejection>;

fn bad_request(page: String) -> Response {
    (StatusCode::BAD_REQUEST, Html(page)).into_response()
}

/// Browsers ask for HTML; curl and scripts take anything, and get the bare words.
fn wants_html(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).is_some_and(|accept| String::from_utf8_lossy(accept.as_bytes()).contains("text/html"))
}
