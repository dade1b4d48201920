//! What can go wrong between us and the server, and what it says about the command that was sent.

use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind};
use session_core::{StoreError, Verb};

#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// Nothing was sent.
    #[error("no connection to the server")]
    NotConnected(#[source] RedisError),
    #[error(transparent)]
    Driver(#[from] RedisError),
    #[error("the server belongs to a Redis Cluster; make the store with RedisStore::cluster")]
    InCluster,
    #[cfg(feature = "sentinel")]
    #[error("no sentinel knows a primary of this service")]
    NoPrimary,
    #[cfg(feature = "cluster")]
    #[error("no node of the cluster said which node has this key")]
    NoOwner,
    #[error("{0} of {1} replicas have it so far; it is written, and may be lost if the server is")]
    NotReplicated(u64, u64),
    #[error("call this from within a tokio runtime")]
    NoRuntime,
    #[error("the answer is none that the store's scripts give")]
    Answer,
    #[cfg(test)]
    #[error("the process is gone")]
    Gone,
    #[error("another session has the new key")]
    Taken,
    /// About one entry, not about the server.
    #[error("what is there is no session of this store")]
    Unreadable(#[source] Option<session_core::RecordError>),
}

/// What a failure says about the command.
pub(crate) enum Verdict {
    /// It has not run. Another moment or another server may do better.
    NotRun,
    /// Nobody knows whether it has run.
    Unknown,
    /// It was refused, and would be again.
    Refused,
}

impl Failure {
    pub(crate) fn verdict(&self) -> Verdict {
        match self {
            Self::NotConnected(_) => Verdict::NotRun,
            Self::Late(_) => Verdict::Unknown,
            Self::Driver(error) => match error.kind() {
                ErrorKind::Io | ErrorKind::Parse => Verdict::Unknown,
                ErrorKind::Server(
                    ServerErrorKind::ReadOnly
                    | ServerErrorKind::BusyLoading
                    | ServerErrorKind::MasterDown
                    | ServerErrorKind::ClusterDown
                    | ServerErrorKind::TryAgain,
                ) => Verdict::NotRun,
                _ => Verdict::Refused,
            },
            #[cfg(feature = "sentinel")]
            Self::NoPrimary => Verdict::NotRun,
            #[cfg(feature = "cluster")]
            Self::NoOwner => Verdict::NotRun,
            _ => Verdict::Refused,
        }
    }

    pub(crate) fn is(&self, kind: ServerErrorKind) -> bool {
        matches!(self, Self::Driver(error) if error.kind() == ErrorKind::Server(kind))
    }

    /// Whether the connection is of no use any more.
    pub(crate) fn is_about_the_connection(&self) -> bool {
        matches!(self.verdict(), Verdict::Unknown)
            || self.is(ServerErrorKind::ReadOnly)
            || self.is(ServerErrorKind::MasterDown)
    }

    pub(crate) fn told(self, verb: Verb) -> StoreError {
        match self {
            Self::Unreadable(Some(why)) => StoreError::unreadable(why),
            Self::Unreadable(None) => StoreError::unreadable(self),
            _ => verb.failed(self),
        }
    }
}
