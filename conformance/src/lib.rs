//! The lab: one small application, the same on axum, actix-web, Rocket and warp, so that one black-box suite can drive all
//! four over a socket and find them alike.
//!
//! `src/bin` holds the four of them, each a shell of routes as a user of that framework would write it. What is common is
//! here: the configuration from `LAB_…` variables, the counts, an admin listener that shows the counts, the
//! parameters of the routes and the JSON they answer. `tests` drives the binaries.

mod config;
mod credentials;
mod lab;

pub mod params;
pub mod replies;

mod admin;
mod stats;

pub use crate::config::{Config, Refusal, Store, Url};
pub use crate::credentials::Credentials;
pub use crate::lab::{Lab, listening, run};
pub use crate::stats::Stats;

/// The programs of the README are true.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
