//! Applications on actix-web.

pub mod bare;
pub mod ours;
#[cfg(feature = "peers")]
pub mod session;

use actix_web::Error;
use actix_web::body::{MessageBody, to_bytes};
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::header::{COOKIE, HeaderValue, SET_COOKIE};
use actix_web::test::TestRequest;

use crate::answer::Answer;
use crate::driver::App;

pub struct ActixApp<S>(S);

impl<S, B> App for ActixApp<S>
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Request = actix_http::Request;
    type Response = ServiceResponse<B>;

    fn request(&self, path: &str, cookies: &[&str]) -> Self::Request {
        let request = TestRequest::get().uri(path);
        cookies.iter().fold(request, |request, line| request.append_header((COOKIE, *line))).to_request()
    }

    async fn call(&self, request: Self::Request) -> ServiceResponse<B> {
        self.0.call(request).await.unwrap_or_else(|error| unreachable!("no handler fails: {error}"))
    }

    async fn answer(&self, response: ServiceResponse<B>) -> Answer {
        let status = response.status().as_u16();
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let set_cookies = response.headers().get_all(SET_COOKIE).map(text).collect();
        let body = to_bytes(response.into_body()).await.unwrap_or_default();
        Answer { status, set_cookies, body: String::from_utf8_lossy(&body).into_owned() }
    }
}
