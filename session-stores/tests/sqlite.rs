//! `sqlite:PATH`, and a file that tells nothing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]
