//! Applications on Rocket.

pub mod bare;
#[cfg(feature = "peers")]
pub mod flex;
pub mod ours;

use rocket::config::{Config, LogLevel, SecretKey};
use rocket::http::{Cookie, Header};
use rocket::local::asynchronous::{Client, LocalRequest, LocalResponse};
use rocket::{Build, Rocket};

use crate::answer::Answer;
use crate::driver::App;

/// One application to the end of the program: its requests borrow it.
pub struct RocketApp(&'static Client);

impl RocketApp {
    async fn new(rocket: Rocket<Build>) -> Self {
        let config = Config {
            log_level: LogLevel::Off,
            secret_key: SecretKey::generate().expect("randomness"),
            ..Config::default()
        };
        let client = Client::untracked(rocket.configure(config)).await.expect("the application starts");
        Self(Box::leak(Box::new(client)))
    }
}

impl App for RocketApp {
    type Request = LocalRequest<'static>;
    type Response = LocalResponse<'static>;

    fn request(&self, path: &str, cookies: &[&str]) -> Self::Request {
        let mut request = self.0.get(path.to_owned());
        for line in cookies {
            request.add_header(Header::new("cookie", (*line).to_owned()));
            // A server would have parsed them already, for everybody.
            for pair in Cookie::split_parse_encoded((*line).to_owned()).flatten() {
                request = request.cookie(pair.into_owned());
            }
        }
        request
    }

    async fn call(&self, request: Self::Request) -> Self::Response {
        request.dispatch().await
    }

    async fn answer(&self, response: Self::Response) -> Answer {
        let status = response.status().code;
        let set_cookies = response.headers().get("set-cookie").map(ToOwned::to_owned).collect();
        Answer { status, set_cookies, body: response.into_string().await.unwrap_or_default() }
    }
}
