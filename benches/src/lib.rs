//! What a session costs a request: the same six units of work on every contender, in one process and without a socket.
//!
//! Read `README.md` first. `work` says what is measured, `contender` who is, `driver` how.

pub mod answer;
pub mod work;

pub mod driver;

pub mod axum;
pub mod floor;

pub mod contender;

pub mod allocation;
pub mod callgrind;
pub mod measured;
