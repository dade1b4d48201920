//! What can go wrong, what to do about it, and what the shell learns of it.

use std::error::Error;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use session_core::{ConfigError, NoHandle, StoreError};
use session_stores::ConnectError;

use crate::output::plain;

/// The exit codes, as `--help` has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    Machine = 1,
    Usage = 2,
    NothingThere = 3,
    Store = 4,
    NoSession = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("can't connect to the store")]
    Connect(#[source] ConnectError),
    #[error("this machine failed")]
    Machine(#[source] io::Error),
    #[error("{0}")]
    NotThere(&'static str),
    #[error("{what} can't be read from {source_name}")]
    Source { what: &'static str, source_name: String, source: io::Error },
    #[error(
        "there is an argument too many, or no such command; see sessionctl --help (cookies and secrets go through stdin)"
    )]
    Stray,
    #[error("the store failed")]
    Store(#[source] Arc<StoreError>),
    #[error("{0}")]
    Usage(String),
    #[error("the store's URL can't be used")]
    Url(#[source] ConnectError),
}

impl Failure {
    pub(crate) const fn code(&self) -> Exit {
        match self {
            Self::Machine(_) => Exit::Machine,
            Self::NotThere(_) => Exit::NothingThere,
            Self::Connect(_) | Self::Store(_) => Exit::Store,
            Self::Source { .. } | Self::Stray | Self::Usage(_) | Self::Url(_) => Exit::Usage,
        }
    }

    /// All that is known, in one line, fit for a terminal.
    pub(crate) fn told(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            let cause = error.to_string();
            // Some drivers say their cause themselves.
            if !text.ends_with(&cause) {
                text = format!("{text}: {cause}");
            }
            source = error.source();
        }
        if let Some(hint) = self.hint() {
            text = format!("{text}; {hint}");
        }
        plain(&text)
    }

    /// What to do, where the cause doesn't say it.
    const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Connect(_) => Some("is it running, may this machine reach it, and is the password right?"),
            Self::Store(_) => Some(
                "try again, and look at its own log if that doesn't help; ?timeout_ms=5000 in its URL gives it more time",
            ),
            _ => None,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Failed { .. } => Self::Connect(error),
            _ => Self::Url(error),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<NoHandle> for Failure {
    fn from(_: NoHandle) -> Self {
        Self::Usage(
            "this is no handle of a session: it has 64 hexadecimal digits; sessionctl list and inspect show handles"
                .to_owned(),
        )
    }
}

/// The manager's errors: what a store can do to it, and what a setting can.
impl From<session_core::Error> for Failure {
    fn from(error: session_core::Error) -> Self {
        match error {
            session_core::Error::Random(_) => Self::Machine(io::Error::other(error)),
            session_core::Error::Store(error) => Self::Store(error),
            error => Self::Usage(error.to_string()),
        }
    }
}
