//! warp without sessions.

use std::hint::black_box;

use warp::Filter;

use super::WarpApp;
use crate::work::{BEGIN, subject};

pub async fn app() -> impl crate::driver::App {
    let routes = warp::path!("untouched")
        .then(async || "ok")
        .or(warp::path!("read").then(async || black_box(BEGIN).to_string()))
        .or(warp::path!("write").then(async || (black_box(BEGIN) + 1).to_string()))
        .or(warp::path!("login").then(login))
        .or(warp::path!("begin" / "small").then(async || "ok"))
        .or(warp::path!("begin" / "large").then(async || "ok"));
    WarpApp(warp::service(routes))
}

async fn login() -> &'static str {
    black_box(subject());
    "ok"
}
