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
    let not_a_number = &format!("sqlite: {NOT_A_NUMBER}");
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

#[cfg(any(feature = "mysql", feature = "postgres", feature = "redis", feature = "sqlite"))]
const NOT_A_NUMBER: &str = "timeout_ms has to be a whole number, and not zero";

#[cfg(feature = "postgres")]
#[tokio::test]
async fn postgres_takes_an_address_and_what_its_driver_knows() {
    databases_take_an_address_and_what_their_drivers_know("postgres", "postgresql").await;
}

#[cfg(feature = "mysql")]
#[tokio::test]
async fn mysql_takes_an_address_and_what_its_driver_knows() {
    databases_take_an_address_and_what_their_drivers_know("mysql", "mariadb").await;
}

#[cfg(any(feature = "mysql", feature = "postgres"))]
async fn databases_take_an_address_and_what_their_drivers_know(scheme: &str, alias: &str) {
    let options = "timeout_ms, max_connections and some of the driver's own";
    for scheme in [scheme, alias] {
        let write = format!("{scheme}: this is no address; write {scheme}://user:password@host/database");
        let url = |rest: &str| format!("{scheme}:{rest}");
        are_refused(&[
            (&url(""), &write),
            (&url("secret-host/shop"), &write),
            (&url("//h/db?prefix=hunter2"), &takes(scheme, options)),
            (&url("//ada:hun?ter2@secret-host/db"), &takes(scheme, options)),
            (&url("//h/db?timeout_ms=soon"), &format!("{scheme}: {NOT_A_NUMBER}")),
            (
                &url("//h/db?max_connections=0"),
                &format!("{scheme}: max_connections has to be a whole number, and not zero"),
            ),
        ])
        .await;
    }
}

#[cfg(all(feature = "redis", feature = "redis-cluster", feature = "redis-sentinel"))]
#[tokio::test]
async fn redis_takes_an_address_and_a_prefix() {
    for (scheme, form) in [
        ("redis", "host:6379"),
        ("redis-cluster", "host:6379,host:6379"),
        ("redis-sentinel", "host:26379,host:26379/service"),
    ] {
        let write = format!("{scheme}: this is no address; write {scheme}://user:password@{form}");
        let cluster = scheme == "redis-cluster";
        let options = "timeout_ms, prefix and keep_expired_s";
        let options = if cluster { options } else { "timeout_ms, prefix, keep_expired_s and near_cache_mb" };
        let not_in_a_cluster = if cluster { takes(scheme, options) } else { write.clone() };
        let url = |rest: &str| format!("{scheme}:{rest}");
        are_refused(&[
            (&url(""), &write),
            (&url("?near_cache_mb=8"), &not_in_a_cluster),
            (&url("secret-host"), &write),
            (&url("//:hunter2@"), &write),
            (&url("//secret-host,?prefix=shop"), &write),
            (&url("//h?max_connections=5"), &takes(scheme, options)),
            (&url("//:hun?ter2@secret-host"), &takes(scheme, options)),
            (&url("//h?timeout_ms=0"), &format!("{scheme}: {NOT_A_NUMBER}")),
            (
                &url("//h?keep_expired_s=1h"),
                &format!("{scheme}: keep_expired_s has to be a whole number, and not zero"),
            ),
        ])
        .await;
    }
}

/// In a build that has it, the URL leads nowhere, and that takes its time.
#[tokio::test]
async fn what_is_not_in_this_build_is_named_with_its_feature() {
    let is_built_in = [
        ("sqlite:x.db", cfg!(feature = "sqlite"), "SQLite", "sqlite"),
        ("postgres://:hunter2@secret-host", cfg!(feature = "postgres"), "PostgreSQL", "postgres"),
        ("postgresql://:hunter2@secret-host", cfg!(feature = "postgres"), "PostgreSQL", "postgres"),
        ("mysql://:hunter2@secret-host", cfg!(feature = "mysql"), "MySQL", "mysql"),
        ("mariadb://:hunter2@secret-host", cfg!(feature = "mysql"), "MySQL", "mysql"),
        ("redis://:hunter2@secret-host", cfg!(feature = "redis"), "Redis", "redis"),
        ("redis-cluster://secret-host", cfg!(feature = "redis-cluster"), "Redis Cluster", "redis-cluster"),
        ("redis-sentinel://secret-host/s", cfg!(feature = "redis-sentinel"), "Redis Sentinel", "redis-sentinel"),
    ];
    for (url, _, name, feature) in is_built_in.into_iter().filter(|(_, is_built_in, ..)| !is_built_in) {
        let (scheme, _) = url.split_once(':').unwrap();
        let text = format!("{scheme}: this build has no {name}; add the feature `{feature}` to session-stores");
        are_refused(&[(url, &text)]).await;
    }
}

#[cfg(not(feature = "tls"))]
#[tokio::test]
async fn without_tls_nothing_that_asks_for_it_goes_unprotected() {
    for (url, is_built_in) in [
        ("rediss://:hunter2@secret-host", cfg!(feature = "redis")),
        ("rediss-cluster://:hunter2@secret-host", cfg!(feature = "redis-cluster")),
        ("rediss-sentinel://:hunter2@secret-host/s", cfg!(feature = "redis-sentinel")),
        ("postgres://:hunter2@secret-host/db?sslmode=require", cfg!(feature = "postgres")),
        ("postgres://:hunter2@secret-host/db?sslmode=verify-full", cfg!(feature = "postgres")),
        ("mysql://:hunter2@secret-host/db?ssl-mode=REQUIRED", cfg!(feature = "mysql")),
        ("mysql://:hunter2@secret-host/db?sslmode=VERIFY_CA", cfg!(feature = "mysql")),
    ] {
        let (scheme, _) = url.split_once(':').unwrap();
        let text = format!("{scheme}: this build has no TLS; add the feature `tls` to session-stores");
        if is_built_in {
            are_refused(&[(url, &text)]).await;
        }
    }
}
