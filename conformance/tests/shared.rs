//! One store, four labs: a session is the same session wherever its cookie goes.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

#[path = "../../session-stores/tests/certificates/mod.rs"]
mod certificates;
mod common;
mod faults;

use std::sync::Arc;

use certificates::{Certificates, free_port};
use common::{Browser, LABS, Lab, PATIENT, SECRET, at_once, peek};
use faults::folder::Folder;
use serde_json::Value;
use session_testing::servers::{MariaDb, Postgres, Redis, RedisCluster, RedisSentinel};

const OK: &str = r#"200 {"ok":true}"#;
const NOBODY: &str = r#"{"user":null,"k":null}"#;

/// Which labs read what others made: each one the next one's, or everybody everybody's.
enum Pairs {
    Ring,
    All,
}

async fn on(store: &str, pairs: Pairs) {
    on_with(&[("LAB_STORE", store)], pairs).await;
}

async fn on_with(variables: &[(&str, &str)], pairs: Pairs) {
    let variables = [variables, &[("LAB_SECRETS", SECRET), PATIENT]].concat();
    let labs = LABS.map(|(name, _)| Arc::new(Lab::start(name, &variables)));
    let each = (0..labs.len()).flat_map(|here| (1..labs.len()).map(move |by| (here, (here + by) % 4, by)));
    let wanted = each.filter(|(_, _, by)| matches!(pairs, Pairs::All) || *by == 1);
    at_once(wanted.map(|(here, there, _)| handed_over(Arc::clone(&labs[here]), Arc::clone(&labs[there])))).await;
}

/// A session that begins here is read, changed, renewed and ended there.
async fn handed_over(here: Arc<Lab>, there: Arc<Lab>) {
    let user = format!("{}-{}", here.name, there.name);
    let is = |value: &str| format!(r#"{{"user":"{user}","k":{value}}}"#);
    let mut a = Browser::new(&here);
    a.expect("POST /set?k=k&v=anonymous", OK).await;
    a.expect(&format!("POST /login?u={user}"), &format!(r#"200 {{"user":"{user}"}}"#)).await;
    assert_eq!(peek(&there, &a.cookie()).await, is("\"anonymous\""), "{user}");
    a.expect("POST /set?k=k&v=%C3%A4%E2%82%AC", OK).await;

    let mut b = Browser { lab: Arc::clone(&there), jar: a.jar.clone() };
    b.expect("GET /peek?k=k", &format!("200 {}", is("\"ä€\""))).await;
    b.expect("POST /set?k=k&v=there", OK).await;
    assert_eq!(peek(&here, &a.cookie()).await, is("\"there\""), "{user}");
    for n in [1, 3] {
        a.expect("POST /incr?k=n", &format!(r#"200 {{"v":{n}}}"#)).await;
        b.expect("POST /incr?k=n", &format!(r#"200 {{"v":{}}}"#, n + 1)).await;
    }

    b.expect("POST /renew", OK).await;
    assert_ne!(a.cookie(), b.cookie(), "{user}");
    assert_eq!(peek(&here, &a.cookie()).await, NOBODY, "{user}: the former cookie is alive");
    assert_eq!(peek(&here, &b.cookie()).await, is("\"there\""), "{user}");

    what_is_built_on_it(&here, &mut b, &user).await;

    let renewed = b.cookie();
    b.expect("POST /logout", OK).await;
    for lab in [&here, &there] {
        for cookie in [&renewed, &a.cookie()] {
            assert_eq!(peek(lab, cookie).await, NOBODY, "{user}: alive after the logout");
        }
    }
}

/// Devices, a password, a message and a form's token of one lab at the other one.
async fn what_is_built_on_it(here: &Arc<Lab>, there: &mut Browser, user: &str) {
    let who = format!(r#"200 {{"user":"{user}"}}"#);
    let mut back = Browser { lab: Arc::clone(here), jar: there.jar.clone() };
    back.expect("POST /flash?m=hello", OK).await;
    there.expect("GET /flash", r#"200 {"v":[{"level":"info","text":"hello"}]}"#).await;
    back.expect("GET /flash", r#"200 {"v":[]}"#).await;
    let token: Value = serde_json::from_slice(&back.send("GET /csrf").await.body).unwrap();
    let form = format!("csrf_token={}", token["token"].as_str().unwrap());
    let submitted = there.request("POST /csrf-do").body(form).send().await.unwrap();
    assert_eq!(submitted.status, 200, "{user}: {}", submitted.text());

    let mut other = Browser::new(here);
    other.expect(&format!("POST /login?u={user}"), &who).await;
    let devices: Value = serde_json::from_slice(&there.send("GET /devices").await.body).unwrap();
    let devices = devices["v"].as_array().unwrap();
    assert_eq!(devices.len(), 2, "{user}: {devices:?}");
    let handle = devices.iter().find(|device| device["current"] == false).unwrap()["handle"].as_str().unwrap();
    there.expect(&format!("POST /devices/end?handle={handle}"), OK).await;
    other.expect("GET /me", r#"401 {"user":null}"#).await;

    other.expect(&format!("POST /login?u={user}"), &who).await;
    there.expect(&format!("POST /password?u={user}"), OK).await;
    other.expect("GET /me", r#"401 {"user":null}"#).await;
    there.expect("GET /me", &who).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sqlite_file() {
    let folder = Folder::new();
    on(&format!("sqlite:{}", folder.path().join("sessions.db").display()), Pairs::Ring).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    on(&postgres.url(), Pairs::All).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_mariadb() {
    let Some(mariadb) = MariaDb::start() else { return };
    on(&mariadb.url(), Pairs::Ring).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_redis() {
    let Some(redis) = Redis::start() else { return };
    on(&redis.url(), Pairs::All).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_redis_by_tls() {
    let Some(certificates) = Certificates::new("labs") else { return };
    let port = free_port();
    let arguments = certificates::redis(&certificates, port);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let Some(_redis) = Redis::start_with(&arguments) else { return };
    let (url, authority) = (format!("rediss://127.0.0.1:{port}"), certificates.path("ca.pem"));
    on_with(&[("LAB_STORE", &url), ("SSL_CERT_FILE", &authority)], Pairs::Ring).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_redis_with_sentinels() {
    let Some(redis) = RedisSentinel::start() else { return };
    on(&redis.url(), Pairs::Ring).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_redis_cluster() {
    let Some(cluster) = RedisCluster::start() else { return };
    on(&cluster.url(), Pairs::Ring).await;
}
