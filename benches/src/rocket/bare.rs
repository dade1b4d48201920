//! Rocket without sessions.

use std::hint::black_box;

use rocket::{get, routes};

use super::RocketApp;
use crate::work::{BEGIN, subject};

pub async fn app() -> RocketApp {
    RocketApp::new(rocket::build().mount("/", routes![untouched, read, write, login])).await
}

#[get("/untouched")]
fn untouched() -> &'static str {
    "ok"
}

#[get("/read")]
fn read() -> String {
    black_box(BEGIN).to_string()
}

#[get("/write")]
fn write() -> String {
    (black_box(BEGIN) + 1).to_string()
}

#[get("/login")]
fn login() -> &'static str {
    black_box(subject());
    "ok"
}
