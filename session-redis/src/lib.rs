//! Sessions for many machines.

#[cfg(feature = "cluster")]
mod cluster;
mod failure;
#[cfg(test)]
mod halfway;
mod link;
mod names;
mod near;
#[cfg(feature = "cluster")]
mod nodes;
mod operation;
mod reply;
mod scripts;
#[cfg(feature = "sentinel")]
mod sentinel;
mod single;
#[cfg(feature = "cluster")]
mod steps;
mod store;
mod topology;

pub use crate::near::{NearCache, NearStats};
pub use crate::store::RedisStore;
