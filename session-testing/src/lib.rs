//! The contracts of `session-core` as test suites that anybody can run: one for stores, one for adapters.
//!
//! Add this crate to your `[dev-dependencies]`. Who writes a store calls [`store::suite`]; who writes an adapter for
//! another framework calls [`adapter::suite`]. Both print every sentence of the contract with `ok` or `FAILED`, go on
//! after a failure, and panic at the end with the names of those that failed.
//!
//! Who tests an application that has sessions begins with [`visitor::cookie`], which logs a visitor in without a login page.
//!
//! [`stores`] has stores that count, fail, dawdle and wait, and [`http`] a client that sends exactly the bytes it is told:
//! what the suites stand on, and what tests of your own may want. With the feature `servers` there is also `servers`: a
//! Redis, a PostgreSQL and a MariaDB of the test's own, and a network between that fails when told.

pub mod http;
#[cfg(feature = "servers")]
pub mod servers;
pub mod stores;

pub mod visitor;

mod sentence;

pub mod adapter;
pub mod store;
