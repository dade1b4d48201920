//! Users of two labs on one store, what is done to the store meanwhile, and a judge of what the users were told.
#![allow(dead_code, reason = "each test file uses its part of this")]

pub(crate) mod checker;
mod connection;
pub(crate) mod entries;
pub(crate) mod folder;
pub(crate) mod history;
mod load;
pub(crate) mod network;
pub(crate) mod play;
pub(crate) mod redis;
pub(crate) mod server;
