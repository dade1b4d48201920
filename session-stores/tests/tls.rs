//! TLS to real servers: with a certificate that is trusted there is a store, with another one there is none.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]
#![cfg(all(feature = "tls", feature = "postgres", feature = "mysql", feature = "redis"))]

use std::env;
use std::error::Error;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use session_core::{Create, Expiry, Record, StoreKey, SubjectLimit};
use session_stores::connect;
use session_testing::servers::{MariaDb, Postgres, Redis};

use certificates::{Certificates, free_port, redis};

mod certificates;

async fn serves(url: &str) {
    // A disk that is busy with something else is no server that is away.
    let url = format!("{url}{}timeout_ms=20000", if url.contains('?') { '&' } else { '?' });
    let store = connect(&url).await.unwrap_or_else(|error| panic!("{error}: {:?}", error.source()));
    let key = StoreKey::from_bytes([1; 32]);
    let created = store.create(&key, &Record::new(Expiry::default()), SubjectLimit::None).await.unwrap();
    assert_eq!(created, Create::Created);
    assert!(store.delete(&key).await.unwrap());
}

/// Why there is no store.
async fn refusal(url: &str) -> String {
    let Err(error) = connect(url).await else { panic!("{url} gave a store") };
    format!("{error:?}").to_lowercase()
}

/// Which authorities a system trusts is a variable of the process, so this is played in another one.
const URL: &str = "SESSION_STORES_TLS_URL";

/// Plays the test of this name again where the authority is trusted, which uses the store at `url`; and here, where it isn't.
async fn is_trusted_with_its_authority_alone(test: &str, url: &str, certificates: &Certificates) {
    let there = Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(URL, url)
        .env("SSL_CERT_FILE", certificates.path("ca.pem"))
        .output()
        .unwrap();
    assert!(there.status.success(), "{}", String::from_utf8_lossy(&there.stderr));
    let refused = refusal(url).await;
    assert!(refused.contains("unknownissuer"), "{refused}");
    refusal(&url.replace("rediss", "redis")).await;
}

fn started(arguments: &[String], more: &[&str]) -> Option<Redis> {
    let arguments: Vec<_> = arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
    Redis::start_with(&arguments)
}

#[tokio::test]
async fn redis_by_tls() {
    if let Ok(url) = env::var(URL) {
        return serves(&url).await;
    }
    let Some(certificates) = Certificates::new("redis") else { return };
    let port = free_port();
    let Some(_redis) = started(&redis(&certificates, port), &[]) else { return };
    let url = format!("rediss://127.0.0.1:{port}");
    is_trusted_with_its_authority_alone("redis_by_tls", &url, &certificates).await;
}

/// Of one node, which says where keys are as those of many do.
#[cfg(feature = "redis-cluster")]
#[tokio::test]
async fn a_cluster_by_tls() {
    if let Ok(url) = env::var(URL) {
        return serves(&url).await;
    }
    let Some(certificates) = Certificates::new("cluster") else { return };
    let port = free_port();
    let cluster = ["--cluster-enabled", "yes", "--tls-cluster", "yes"];
    let Some(node) = started(&redis(&certificates, port), &cluster) else { return };
    node.ask(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]).unwrap();
    let start = Instant::now();
    while !node.ask(&["CLUSTER", "INFO"]).unwrap().contains("cluster_state:ok") {
        assert!(start.elapsed() < Duration::from_secs(30), "the cluster is not complete");
        sleep(Duration::from_millis(10));
    }
    let url = format!("rediss-cluster://127.0.0.1:{port}");
    is_trusted_with_its_authority_alone("a_cluster_by_tls", &url, &certificates).await;
}

/// Client to sentinel, sentinel to server, client to server: all by TLS.
#[cfg(feature = "redis-sentinel")]
#[tokio::test]
async fn a_redis_with_sentinels_by_tls() {
    if let Ok(url) = env::var(URL) {
        return serves(&url).await;
    }
    let Some(certificates) = Certificates::new("sentinel") else { return };
    let (port, sentinels) = (free_port(), free_port());
    let Some(_primary) = started(&redis(&certificates, port), &[]) else { return };
    let watches = ["--tls-replication", "yes", "--sentinel"];
    let Some(sentinel) = started(&redis(&certificates, sentinels), &watches) else { return };
    sentinel.ask(&["SENTINEL", "MONITOR", "shop", "127.0.0.1", &port.to_string(), "1"]).unwrap();
    let url = format!("rediss-sentinel://127.0.0.1:{sentinels}/shop");
    is_trusted_with_its_authority_alone("a_redis_with_sentinels_by_tls", &url, &certificates).await;
}

#[tokio::test]
async fn postgres_by_tls() {
    let Some(certificates) = Certificates::new("postgres") else { return };
    let file = |setting, file| format!("{setting}={}", certificates.path(file));
    let (certificate, key) = (file("ssl_cert_file", "server.pem"), file("ssl_key_file", "server.key"));
    let Some(postgres) = Postgres::start_with(&["-c", "ssl=on", "-c", &certificate, "-c", &key]) else { return };
    let url = format!("{}?sslmode=verify-full", postgres.url());
    serves(&format!("{url}&sslrootcert={}", certificates.path("ca.pem"))).await;
    assert!(refusal(&url).await.contains("unknownissuer"));
}

#[tokio::test]
async fn mariadb_by_tls() {
    let Some(certificates) = Certificates::new("mariadb") else { return };
    let [certificate, key] = ["cert", "key"].map(|kind| {
        format!("--ssl-{kind}={}", certificates.path(if kind == "cert" { "server.pem" } else { "server.key" }))
    });
    let Some(mariadb) = MariaDb::start_with(&[&certificate, &key]) else { return };
    let url = format!("{}?ssl-mode=VERIFY_IDENTITY", mariadb.url());
    serves(&format!("{url}&ssl-ca={}", certificates.path("ca.pem"))).await;
    assert!(refusal(&url).await.contains("unknownissuer"));
}
