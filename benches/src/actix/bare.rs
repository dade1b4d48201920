//! actix-web without sessions.

use std::hint::black_box;

use actix_web::{App, test, web};

use super::ActixApp;
use crate::work::{BEGIN, subject};

pub async fn app() -> impl crate::driver::App {
    let app = App::new()
        .route("/untouched", web::get().to(async || "ok"))
        .route("/read", web::get().to(async || black_box(BEGIN).to_string()))
        .route("/write", web::get().to(async || (black_box(BEGIN) + 1).to_string()))
        .route("/login", web::get().to(login))
        .route("/begin/small", web::get().to(async || "ok"))
        .route("/begin/large", web::get().to(async || "ok"));
    ActixApp(test::init_service(app).await)
}

async fn login() -> &'static str {
    black_box(subject());
    "ok"
}
