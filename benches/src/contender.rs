//! Who is measured.

use crate::driver::{Contender, Driver, Kind};

/// A contender's name, and how to make it.
pub struct Entry {
    /// Framework, then whose sessions and of which kind.
    pub name: &'static str,
    pub make: fn() -> Box<dyn Contender>,
}

macro_rules! entry {
    ($name:literal, $kind:ident, $make:path) => {
        Entry { name: $name, make: || Box::new(Driver::new(Kind::$kind, async || $make())) }
    };
}

/// All of them. The bare framework comes first of its kind.
#[must_use]
pub fn all() -> Vec<Entry> {
    vec![
        entry!("axum/bare", Bare, crate::axum::bare::app),
        entry!("axum/floor", Sessions, crate::axum::floor::app),
        entry!("axum/ours", Sessions, crate::axum::ours::stored),
        #[cfg(feature = "peers")]
        entry!("axum/tower-sessions-signed", Sessions, crate::axum::tower_sessions::signed),
        #[cfg(feature = "peers")]
        entry!("axum/tower-sessions-unsigned", Sessions, crate::axum::tower_sessions::unsigned),
    ]
}

/// The framework of a contender.
#[must_use]
pub fn framework(name: &str) -> &str {
    name.split('/').next().unwrap_or_default()
}

/// The contender of this name.
#[must_use]
pub fn named(name: &str) -> Option<Entry> {
    all().into_iter().find(|entry| entry.name == name)
}
