//! Who is measured.

use crate::driver::{Contender, Driver, Kind};
use crate::work::Unit;

/// A contender's name, and how to make it.
pub struct Entry {
    /// The framework, then whose sessions and of which kind.
    pub name: &'static str,
    pub make: fn() -> Box<dyn Contender>,
    /// What it can't do.
    without: &'static [Unit],
}

impl Entry {
    #[must_use]
    pub fn does(&self, unit: Unit) -> bool {
        !self.without.contains(&unit)
    }

    #[must_use]
    pub fn framework(&self) -> &'static str {
        self.name.split('/').next().unwrap_or_default()
    }

    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.name.ends_with("/bare")
    }

    /// Whether one of these words is in the name, or there are no words.
    #[must_use]
    pub fn is_among(&self, words: &[String]) -> bool {
        words.is_empty() || words.iter().any(|word| self.name.contains(word.as_str()))
    }
}

macro_rules! entry {
    ($name:literal, $kind:ident, $app:expr) => {
        entry!($name, $kind, $app, &[])
    };
    ($name:literal, $kind:ident, $app:expr, $without:expr) => {
        Entry { name: $name, make: || Box::new(Driver::new(Kind::$kind, async || $app)), without: $without }
    };
}

/// All of them. The bare framework comes first of its kind.
#[must_use]
pub fn all() -> Vec<Entry> {
    #[cfg_attr(not(feature = "doors"), expect(unused_mut, reason = "nobody is added"))]
    let mut all = vec![
        entry!("axum/bare", Bare, crate::axum::bare::app()),
        entry!("axum/floor", Sessions, crate::axum::floor::app()),
        entry!("axum/ours", Sessions, crate::axum::ours::stored()),
    ];
    #[cfg(feature = "peers")]
    all.extend([
        entry!("axum/tower-sessions-signed", Sessions, crate::axum::tower_sessions::signed()),
        entry!("axum/tower-sessions-unsigned", Sessions, crate::axum::tower_sessions::unsigned()),
        entry!("axum/axum_session-signed", Sessions, crate::axum::axum_session::signed().await),
        entry!("axum/axum_session-unsigned", Sessions, crate::axum::axum_session::unsigned().await),
    ]);
    #[cfg(feature = "doors")]
    all.extend([
        entry!("actix/bare", Bare, crate::actix::bare::app().await),
        entry!("actix/ours", Sessions, crate::actix::ours::stored().await),
        entry!("actix/ours-sealed", Sessions, crate::actix::ours::sealed().await),
        entry!("actix/ours-signed", Sessions, crate::actix::ours::signed().await),
        #[cfg(feature = "peers")]
        entry!("actix/actix-session-stored-signed", Sessions, crate::actix::session::stored_signed().await),
        #[cfg(feature = "peers")]
        entry!("actix/actix-session-private", Sessions, crate::actix::session::private().await),
        #[cfg(feature = "peers")]
        entry!("actix/actix-session-signed", Sessions, crate::actix::session::signed().await),
        entry!("rocket/bare", Bare, crate::rocket::bare::app().await),
        entry!("rocket/ours", Sessions, crate::rocket::ours::stored().await),
        #[cfg(feature = "peers")]
        entry!("rocket/rocket_flex_session", Sessions, crate::rocket::flex::stored().await, &[Unit::Login]),
        entry!("warp/bare", Bare, crate::warp::bare::app().await),
        entry!("warp/ours", Sessions, crate::warp::ours::stored().await),
        entry!("warp/ours-service", Sessions, crate::warp::ours::service().await),
        #[cfg(feature = "peers")]
        entry!("warp/warp-sessions", Sessions, crate::warp::sessions::stored().await),
    ]);
    all
}

/// The contender of this name.
#[must_use]
pub fn named(name: &str) -> Option<Entry> {
    all().into_iter().find(|entry| entry.name == name)
}
