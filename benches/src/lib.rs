//! What a session costs a request: the same six units of work on every contender, in one process and without a socket.
//!
//! Read `README.md` first. `work` says what is measured, `contender` who is, `driver` how.

// what is done
pub mod answer;
pub mod work;

// who does it
pub mod driver;

#[cfg(feature = "doors")]
pub mod actix;
pub mod axum;
pub mod floor;
#[cfg(feature = "doors")]
pub mod rocket;
#[cfg(feature = "doors")]
pub mod warp;

pub mod contender;

// how it is counted
pub mod allocation;
pub mod measured;

pub mod callgrind;
pub mod gate;
pub mod instructions;

pub mod growth;
pub mod memory;
#[cfg(feature = "redis")]
pub mod redis;
pub mod sweep;
pub mod threads;
pub mod time;
