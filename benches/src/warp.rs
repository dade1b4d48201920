//! Applications on warp.

pub mod bare;
pub mod ours;
#[cfg(feature = "peers")]
pub mod sessions;

use std::convert::Infallible;

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderValue, Request};
use http_body_util::BodyExt as _;
use tower_service::Service;
use warp::reply::Response;

use crate::answer::Answer;
use crate::driver::App;

pub struct WarpApp<S>(S);

impl<S> App for WarpApp<S>
where
    S: Service<Request<String>, Response = Response, Error = Infallible> + Clone + 'static,
{
    type Request = Request<String>;
    type Response = Response;

    fn request(&self, path: &str, cookies: &[&str]) -> Self::Request {
        let request = cookies.iter().fold(Request::get(path), |request, line| request.header(COOKIE, *line));
        request.body(String::new()).expect("a path and cookies")
    }

    async fn call(&self, request: Self::Request) -> Response {
        match self.0.clone().call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    async fn answer(&self, response: Response) -> Answer {
        let status = response.status().as_u16();
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let set_cookies = response.headers().get_all(SET_COOKIE).iter().map(text).collect();
        let body = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        Answer { status, set_cookies, body: String::from_utf8_lossy(&body).into_owned() }
    }
}
