//! The program as an operator runs it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

mod operator;

mod inspect;
mod keys;
mod refusals;
mod stores;
