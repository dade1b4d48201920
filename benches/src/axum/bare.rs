//! axum without sessions: the handlers answer what those of the others do.

use std::hint::black_box;

use axum::Router;
use axum::routing::get;

use super::AxumApp;
use crate::work::{BEGIN, subject};

pub fn app() -> AxumApp {
    let read = async || black_box(BEGIN).to_string();
    let login = async || {
        black_box(subject());
        "ok"
    };
    AxumApp(
        Router::new()
            .route("/untouched", get(async || "ok"))
            .route("/read", get(read))
            .route("/write", get(async || (black_box(BEGIN) + 1).to_string()))
            .route("/login", get(login))
            .route("/begin/small", get(async || "ok"))
            .route("/begin/large", get(async || "ok")),
    )
}
