//! The session model behind `session-axum`, `session-actix`, `session-rocket` and `session-warp`.
//!
//! Applications depend on the adapter of their framework, which re-exports what they need. Depend on this crate to write
//! a store ([`SessionStore`]) or an adapter ([`Slot`], [`Passage`]); `session-testing` has a suite of tests for both.
//!
//! The modules read top-down, from the smallest noun to the manager:
//! time and randomness, the id, the record, keys and tokens, the cookie, the store, then what a request does with them.

// time, chance and what may go wrong
mod clock;
mod random;

mod error;
mod verb;

// what there is
mod id;

mod csrf;
mod flash;
mod login;

mod expiry;
mod record;
mod values;

// how it travels
mod crypto;
mod key;
mod token;

mod fingerprint;

mod event;

mod cookie;

// where it is kept
mod store;

mod ended;

mod decorator;

mod counting;
mod encrypted;
mod memory;

// what becomes of it
mod changes;
mod plan;

mod head;

mod binding;
mod protect;

mod quota;

mod commit;

mod close;

// what a request sees of it
mod state;

mod session;
mod session_key;
mod slot;
mod typed;

mod passage;

mod summary;

mod manager;
mod settings;

mod identity;

// what operators ask
mod count;
mod inspect;

#[cfg(fuzzing)]
pub mod fuzzing;

pub use async_trait::async_trait;

pub use crate::binding::UserAgentBinding;
pub use crate::clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use crate::close::{Close, CloseFuture};
pub use crate::cookie::SameSite;
pub use crate::count::{Count, Countable, Place};
pub use crate::counting::Counting;
pub use crate::csrf::{CSRF_FIELD, CSRF_HEADER};
pub use crate::decorator::Decorator;
pub use crate::encrypted::Encrypted;
pub use crate::ended::{Ended, EndedBy, Witness, Witnesses};
pub use crate::error::{ConfigError, Error, StoreError};
pub use crate::event::{Event, Happening, Observer};
pub use crate::expiry::{Expiry, Times};
pub use crate::fingerprint::Fingerprint;
pub use crate::flash::{Flash, FlashLevel};
pub use crate::head::{Effects, RequestHead, ResponseHead};
pub use crate::id::StoreKey;
pub use crate::identity::{Device, Handle, NoHandle};
pub use crate::inspect::{Inspected, Inspector, KeyId, Refused, Validity};
pub use crate::key::{KeyRing, Secret};
pub use crate::login::Login;
pub use crate::manager::{Revocation, SessionManager, SessionManagerBuilder};
pub use crate::memory::MemoryStore;
pub use crate::passage::{Door, Passage};
pub use crate::random::{OsRandom, Random};
pub use crate::record::{Record, RecordError};
pub use crate::session::Session;
pub use crate::session_key::SessionKey;
pub use crate::settings::Settings;
pub use crate::slot::Slot;
pub use crate::store::{Create, Found, Loaded, SessionStore, SubjectLimit, Touch, Update, Version};
pub use crate::token::Purpose;
pub use crate::typed::Typed;
pub use crate::values::Values;
pub use crate::verb::Verb;
