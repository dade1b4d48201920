//! What a URL has to look like, and what is said of one that doesn't.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

use session_stores::connect;

/// The error as an operator sees it: with its sources, and also by `Debug`, where nothing secret may be either.
async fn refusal(url: &str) -> String {
    let Err(error) = connect(url).await else { unreachable!("{url} gave a store") };
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    for secret in ["hunter2", "hunter", "secret-host"] {
        assert!(!text.contains(secret) && !format!("{error:?}").contains(secret), "{text} {error:?}");
    }
    text
}

#[tokio::test]
async fn what_no_store_has_is_refused_with_what_there_is() {
    let there_is = "no kind of store has such a URL; write one that begins with memory:, sqlite:, postgres:, mysql:, \
                    redis:, rediss:, redis-cluster: or redis-sentinel:";
    for url in ["", "sessions.db", "file:x", "Redis://localhost", "mongodb://ada:hunter2@secret-host", ":", "//x"] {
        assert_eq!(refusal(url).await, there_is);
    }
}

fn takes(scheme: &str, options: &str) -> String {
    format!(
        "{scheme}: there is an option that it doesn't have; it takes {options}, each once (a ? in a password is written \
         %3F)"
    )
}

async fn are_refused(cases: &[(&str, &str)]) {
    for (url, text) in cases {
        assert_eq!(refusal(url).await, *text, "{url}");
    }
}

#[tokio::test]
async fn memory_takes_nothing() {
    let nothing = "memory: nothing may follow it; write memory:";
    are_refused(&[
        ("memory:x", nothing),
        ("memory://", nothing),
        ("memory:?timeout_ms=5", &takes("memory", "no options")),
    ])
    .await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn sqlite_takes_a_file_and_a_timeout() {
    let not_a_number = "sqlite: timeout_ms has to be a whole number, and not zero";
    let no_file = "sqlite: it names no file; write sqlite:sessions.db";
    are_refused(&[
        ("sqlite:", no_file),
        ("sqlite://", no_file),
        ("sqlite:?timeout_ms=5", no_file),
        ("sqlite::memory:", "sqlite: it names no file; write memory: for sessions that end with the process"),
        ("sqlite:no/such/x.db?prefix=shop", &takes("sqlite", "timeout_ms")),
        ("sqlite:no/such/x.db?timeout_ms=5&timeout_ms=6", &takes("sqlite", "timeout_ms")),
        ("sqlite:no/such/x.db?timeout_ms=0", not_a_number),
        ("sqlite:no/such/x.db?timeout_ms=+5", not_a_number),
        ("sqlite:no/such/x.db?timeout_ms", not_a_number),
    ])
    .await;
}

#[cfg(not(feature = "sqlite"))]
#[tokio::test]
async fn sqlite_is_not_in_this_build() {
    let text = "sqlite: this build has no SQLite; add the feature `sqlite` to session-stores";
    are_refused(&[("sqlite:no/such/x.db", text)]).await;
}
