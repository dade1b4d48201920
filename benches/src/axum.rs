//! Applications on axum: the bare framework, the floor and ours.

#[cfg(feature = "peers")]
pub mod axum_session;
pub mod bare;
pub mod floor;
pub mod ours;
#[cfg(feature = "peers")]
pub mod tower_sessions;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{Request, Response};
use tower_service::Service as _;

use crate::answer::Answer;
use crate::driver::App;

#[derive(Clone)]
pub struct AxumApp(pub Router);

impl App for AxumApp {
    type Request = Request<Body>;
    type Response = Response<Body>;

    fn request(&self, path: &str, cookies: &[&str]) -> Request<Body> {
        let request = cookies.iter().fold(Request::get(path), |request, line| request.header(COOKIE, *line));
        request.body(Body::empty()).expect("a path and cookies")
    }

    async fn call(&self, request: Request<Body>) -> Response<Body> {
        match self.0.clone().call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    async fn answer(&self, response: Response<Body>) -> Answer {
        let status = response.status().as_u16();
        let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let set_cookies = response.headers().get_all(SET_COOKIE).iter().map(text).collect();
        let body = to_bytes(response.into_body(), 10_000).await.expect("a body in memory");
        Answer { status, set_cookies, body: String::from_utf8_lossy(&body).into_owned() }
    }
}
