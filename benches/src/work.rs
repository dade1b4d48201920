//! The units of work and the sizes of a session.

use std::sync::atomic::{AtomicU64, Ordering};

/// What one request does with its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// W1: no cookie came, and nobody asks for the session.
    NoCookie,
    /// W2: a valid cookie came, and nobody asks for the session.
    Untouched,
    /// W3: one value is read.
    Read,
    /// W4: one value is read, and written back plus one.
    Write,
    /// W5: the visitor of an anonymous session logs in and gets a new id.
    Login,
    /// W6: a handler reads one value, but the cookie is forged.
    Forged,
}

impl Unit {
    pub const ALL: [Self; 6] = [Self::NoCookie, Self::Untouched, Self::Read, Self::Write, Self::Login, Self::Forged];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoCookie => "W1",
            Self::Untouched => "W2",
            Self::Read => "W3",
            Self::Write => "W4",
            Self::Login => "W5",
            Self::Forged => "W6",
        }
    }

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|unit| unit.name() == name)
    }

    /// The route whose handler does it.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::NoCookie | Self::Untouched => "/untouched",
            Self::Read | Self::Forged => "/read",
            Self::Write => "/write",
            Self::Login => "/login",
        }
    }

    /// What has to be in the body of the first answer, or the contender didn't do its work.
    #[must_use]
    pub const fn body(self) -> &'static str {
        match self {
            Self::NoCookie | Self::Untouched | Self::Login => "ok",
            Self::Read => "41",
            Self::Write => "42",
            Self::Forged => "0",
        }
    }
}

/// What is in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// One number.
    Small,
    /// The number and 19 texts: 20 keys, about 1 KB of JSON.
    Large,
}

/// The key of the number that is read and written.
pub const KEY: &str = "number";
/// The number a session begins with.
pub const BEGIN: u64 = 41;

impl Size {
    pub const ALL: [Self; 2] = [Self::Small, Self::Large];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Large => "large",
        }
    }

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.name() == name)
    }

    /// The route that begins a session of this size.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Small => "/begin/small",
            Self::Large => "/begin/large",
        }
    }

    /// The texts beside the number.
    #[must_use]
    pub const fn texts(self) -> usize {
        match self {
            Self::Small => 0,
            Self::Large => 19,
        }
    }
}

/// The texts of a session: their keys surround the number's in the order of the alphabet.
pub fn texts(count: usize) -> impl Iterator<Item = (String, String)> {
    (0..count).map(|i| {
        let side = if i % 2 == 0 { "left" } else { "right" };
        (format!("{side}-{i:03}"), format!("{i:03}-a text as long as an address or a title"))
    })
}

/// Whoever logs in next: every login is another subject, as in life.
#[must_use]
pub fn subject() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("subject-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
