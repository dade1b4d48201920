//! The door of Rocket, from its cookies to its headers.

mod cookies;
mod endings;
mod failures;
mod launch;
mod support;
