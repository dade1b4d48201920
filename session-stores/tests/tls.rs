//! TLS to real servers: with a certificate that is trusted there is a store, with another one there is none.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]
#![cfg(all(feature = "tls", feature = "postgres", feature = "mysql", feature = "redis"))]

use std::error::Error;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::{env, fs, process};

use session_core::{Create, Expiry, Record, StoreKey, SubjectLimit};
use session_stores::connect;
use session_testing::servers::{MariaDb, Postgres, Redis};

const EXTENSIONS: &str = "subjectAltName=IP:127.0.0.1\n";
/// Whom servers run as if the tests run as root.
const NOBODY: u32 = 65_534;

/// A folder with the certificate of an authority, and one of a server on the loopback interface that it has signed.
struct Certificates(PathBuf);

impl Certificates {
    /// `None` if the machine has no `openssl`, which is said on stderr.
    fn new(name: &str) -> Option<Self> {
        let certificates = Self(env::temp_dir().join(format!("session-tls-{name}-{}", process::id())));
        fs::create_dir(&certificates.0).unwrap();
        fs::write(certificates.0.join("extensions"), EXTENSIONS).unwrap();
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        for command in [
            &format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority"),
            &format!("req {key} -keyout server.key -out server.csr -subj /CN=server"),
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile extensions",
        ] {
            let mut openssl = Command::new("openssl");
            openssl.args(command.split(' ')).current_dir(&certificates.0).stderr(Stdio::null());
            let Ok(status) = openssl.status() else {
                assert!(env::var_os("CI").is_none(), "openssl is missing");
                eprintln!("NOT TESTED: TLS, because openssl is missing on this machine");
                return None;
            };
            assert!(status.success(), "openssl {command}");
        }
        // Servers want a key that others can't read, and run as somebody else if this is root.
        let key = certificates.0.join("server.key");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        if fs::metadata(&key).unwrap().uid() == 0 {
            chown(&key, Some(NOBODY), None).unwrap();
        }
        Some(certificates)
    }

    fn path(&self, file: &str) -> String {
        self.0.join(file).display().to_string()
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn serves(url: &str) {
    let store = connect(url).await.unwrap_or_else(|error| panic!("{error}: {:?}", error.source()));
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

#[tokio::test]
async fn redis_by_tls() {
    if let Ok(url) = env::var(URL) {
        return serves(&url).await;
    }
    let Some(certificates) = Certificates::new("redis") else { return };
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let [certificate, key, authority] = ["server.pem", "server.key", "ca.pem"].map(|file| certificates.path(file));
    let arguments = [
        ["--tls-port", &port],
        ["--tls-cert-file", &certificate],
        ["--tls-key-file", &key],
        ["--tls-ca-cert-file", &authority],
        ["--tls-auth-clients", "no"],
    ];
    let Some(_redis) = Redis::start_with(arguments.as_flattened()) else { return };
    let url = format!("rediss://127.0.0.1:{port}");
    let there = Command::new(env::current_exe().unwrap())
        .args(["--exact", "redis_by_tls", "--nocapture"])
        .env(URL, &url)
        .env("SSL_CERT_FILE", &authority)
        .output()
        .unwrap();
    assert!(there.status.success(), "{}", String::from_utf8_lossy(&there.stderr));
    assert!(refusal(&url).await.contains("unknownissuer"));
    refusal(&url.replace("rediss:", "redis:")).await;
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
