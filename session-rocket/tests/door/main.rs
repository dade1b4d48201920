//! The door of Rocket, from its cookies to its headers.

#![allow(clippy::needless_pass_by_value, reason = "handlers own their guards")]
#![allow(clippy::panic, clippy::unwrap_used)]

mod cookies;
mod endings;
mod failures;
mod launch;
mod protection;
mod support;
