//! From a URL to a session store, for applications that choose their store at deployment, and what an application puts
//! around a store.
//!
//! ```
//! use session_core::{KeyRing, Secret, SessionManager};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let url = std::env::var("STORE").unwrap_or_else(|_| "memory:".to_owned());
//! let store = session_stores::connect(&url).await?;
//! let manager = SessionManager::stored(store, KeyRing::new(Secret::random()?)).build()?;
//! assert_eq!(manager.sweep(100).await?, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```
//!
//! [`connect`] says which URLs there are, and which feature of this crate each of them needs. With the feature `metrics` there
//! is also `Measured`, which tells the recorder of the `metrics` crate about each operation.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod error;
mod url;

mod time_limited;

mod connect;

#[cfg(feature = "metrics")]
mod measured;

pub use crate::connect::{connect, connect_countable};
pub use crate::error::ConnectError;
#[cfg(feature = "metrics")]
pub use crate::measured::Measured;
pub use crate::time_limited::TimeLimited;
