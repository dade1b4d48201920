//! The demo on actix. Run `cargo run -p example-actix` and open the URL it prints.

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, ContentType, LOCATION};
use actix_web::web::{self, Data, Form};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, get, post};
use example_common::{COUNTER, Demo, Failure, is_right, refusal};
use serde::Deserialize;
use session_actix::{Error, Session, SessionMiddleware};

#[actix_web::main]
async fn main() -> Result<(), Failure> {
    let demo = Demo::new("actix").await?;
    let state = demo.clone();
    let app = move || {
        App::new()
            .service(home)
            .service(increment)
            .service(clear)
            .service(login_page)
            .service(login)
            .service(logout)
            .service(private)
            .service(set_value)
            .service(remove_value)
            .default_service(web::to(missing))
            .wrap(SessionMiddleware::new(state.manager()))
            .app_data(Data::new(state.clone()))
    };

    let address = example_common::address()?;
    let server = HttpServer::new(app).bind(address).map_err(|error| example_common::unavailable(address, error))?;
    server.addrs().into_iter().for_each(|address| demo.welcome(address));
    Ok(server.run().await?)
}

#[get("/")]
async fn home(demo: Data<Demo>, request: HttpRequest, session: Session) -> Result<HttpResponse, Error> {
    let cookies = request.headers().get_all("cookie").map(|line| line.as_bytes());
    Ok(html(StatusCode::OK, demo.home(&session, cookies).await?))
}

#[get("/increment")]
async fn increment(demo: Data<Demo>, request: HttpRequest, session: Session) -> Result<HttpResponse, Error> {
    let count = session.update(COUNTER, |count: &mut u64| *count += 1)?;
    Ok(if wants_html(&request) { html(StatusCode::OK, demo.counted(count)) } else { text(count.to_string()) })
}

#[get("/clear")]
async fn clear(demo: Data<Demo>, request: HttpRequest, session: Session) -> Result<HttpResponse, Error> {
    session.destroy()?;
    Ok(if wants_html(&request) { html(StatusCode::OK, demo.cleared()) } else { text("Session cleared") })
}

#[get("/login")]
async fn login_page(demo: Data<Demo>, session: Session) -> HttpResponse {
    html(StatusCode::OK, demo.login_page(&session))
}

#[derive(Deserialize)]
struct Login {
    name: String,
    password: String,
}

#[post("/login")]
async fn login(demo: Data<Demo>, session: Session, form: FormOf<Login>) -> Result<HttpResponse, Error> {
    let Ok(Form(Login { name, password })) = form else { return Ok(bad_request(demo.bad_form())) };
    if !is_right(&name, &password) {
        return Ok(html(StatusCode::UNAUTHORIZED, demo.wrong_password(&session, &name)));
    }
    session.login(name)?;
    Ok(redirect("/private"))
}

#[post("/logout")]
async fn logout(session: Session) -> Result<HttpResponse, Error> {
    session.logout()?;
    Ok(redirect("/"))
}

#[get("/private")]
async fn private(demo: Data<Demo>, session: Session) -> HttpResponse {
    match session.subject() {
        Some(subject) => html(StatusCode::OK, demo.private(&subject)),
        None => redirect("/login"),
    }
}

#[derive(Deserialize)]
struct Pair {
    key: String,
    value: String,
}

#[post("/values")]
async fn set_value(demo: Data<Demo>, session: Session, form: FormOf<Pair>) -> Result<HttpResponse, Error> {
    let Ok(Form(Pair { key, value })) = form else { return Ok(bad_request(demo.bad_form())) };
    if let Some(reason) = refusal(&session, &key, &value) {
        return Ok(bad_request(demo.refused(&reason)));
    }
    session.insert(key, value)?;
    Ok(redirect("/#values"))
}

#[derive(Deserialize)]
struct Key {
    key: String,
}

#[post("/values/remove")]
async fn remove_value(demo: Data<Demo>, session: Session, form: FormOf<Key>) -> Result<HttpResponse, Error> {
    let Ok(Form(Key { key })) = form else { return Ok(bad_request(demo.bad_form())) };
    session.remove(&key)?;
    Ok(redirect("/#values"))
}

async fn missing(demo: Data<Demo>) -> HttpResponse {
    html(StatusCode::NOT_FOUND, demo.missing())
}

/// A form, or why there is none.
type FormOf<T> = Result<Form<T>, actix_web::Error>;

fn html(status: StatusCode, page: String) -> HttpResponse {
    HttpResponse::build(status).content_type(ContentType::html()).body(page)
}

fn text(words: impl Into<String>) -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::plaintext()).body(words.into())
}

fn bad_request(page: String) -> HttpResponse {
    html(StatusCode::BAD_REQUEST, page)
}

fn redirect(location: &'static str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, location)).finish()
}

/// Browsers ask for HTML; curl and scripts take anything, and get the bare words.
fn wants_html(request: &HttpRequest) -> bool {
    let accept = request.headers().get(ACCEPT);
    accept.is_some_and(|accept| String::from_utf8_lossy(accept.as_bytes()).contains("text/html"))
}
