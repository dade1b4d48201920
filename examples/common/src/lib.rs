//! What the four example applications share, so that each `main.rs` shows its framework and nothing else:
//! the pages, the people and their passwords, the look at both sides of a session, and how the program starts.
//!
//! ```
//! use example_common::Demo;
//!
//! let demo = Demo::in_memory("axum").expect("a demo");
//! assert!(demo.missing().contains("Sessions on axum"));
//! ```

mod start;

mod people;
mod values;

mod html;
mod sides;

mod kept;

mod pages;

pub mod acceptance;
pub mod browser;

pub use crate::pages::Demo;
pub use crate::people::is_right;
pub use crate::start::{Failure, address, unavailable};
pub use crate::values::{COUNTER, refusal};
