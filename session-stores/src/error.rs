//! Why there is no store at a URL.

use std::error::Error as StdError;

/// Why [`connect`](crate::connect) gave no store. None of them quotes the URL, which may hold a password.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let refused = session_stores::connect("memory:sessions").await.err();
/// let text = refused.map(|error| error.to_string());
/// assert_eq!(text.as_deref(), Some("memory: nothing may follow it; write memory:"));
/// # });
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The database or the server can't be used now. Why is in the source.
    #[error("{scheme}: connecting failed")]
    Failed {
        /// What the URL begins with.
        scheme: &'static str,
        /// The driver's own error.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// This kind of store is not in this build.
    #[error("{scheme}: this build has no {name}; add the feature `{feature}` to session-stores")]
    NotBuiltIn {
        /// What the URL begins with.
        scheme: &'static str,
        /// What it stands for.
        name: &'static str,
        /// The feature of this crate that brings it.
        feature: &'static str,
    },
    /// The URL can't be meant like this; the text says what to write.
    #[error("{scheme}: {rule}")]
    Refused {
        /// What the URL begins with.
        scheme: &'static str,
        /// The rule it breaks, and what to write.
        rule: String,
    },
    /// There is no such kind of store.
    #[error("no kind of store has such a URL; write one that begins with {0}")]
    UnknownScheme(&'static str),
}
