//! Certificates for servers that speak TLS, and where these listen.

use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::{env, fs, process};

const EXTENSIONS: &str = "subjectAltName=IP:127.0.0.1\n";
/// Whom servers run as if the tests run as root.
const NOBODY: u32 = 65_534;

/// A folder with the certificate of an authority, and one of a server on the loopback interface that it has signed.
pub(crate) struct Certificates(PathBuf);

impl Certificates {
    /// `None` if the machine has no `openssl`, which is said on stderr.
    pub(crate) fn new(name: &str) -> Option<Self> {
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

    pub(crate) fn path(&self, file: &str) -> String {
        self.0.join(file).display().to_string()
    }
}

/// What makes a Redis listen for TLS on a port too.
pub(crate) fn redis(certificates: &Certificates, port: u16) -> Vec<String> {
    let [certificate, key, authority] = ["server.pem", "server.key", "ca.pem"].map(|file| certificates.path(file));
    let settings = [
        ("--tls-port", port.to_string()),
        ("--tls-cert-file", certificate),
        ("--tls-key-file", key),
        ("--tls-ca-cert-file", authority),
        ("--tls-auth-clients", "no".to_owned()),
    ];
    settings.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
}

/// A port that nobody has. A node of a cluster needs the one 10,000 above as well.
pub(crate) fn free_port() -> u16 {
    let free = |_| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    (0..1_000).map(free).find(|port| *port < 55_000).unwrap()
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
