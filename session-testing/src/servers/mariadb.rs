//! A MariaDB.

use std::ffi::OsString;
use std::io::Read;
use std::net::{Ipv4Addr, TcpStream};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::process::{Failed, Process, on_a_free_port};
use super::program::find_all;
use super::server::Server;

/// What both the installation and the server are told: no more disk and memory than tests need.
const SMALL: [&str; 4] =
    ["--no-defaults", "--innodb-log-file-size=16M", "--innodb-buffer-pool-size=32M", "--skip-name-resolve"];

/// A MariaDB of its own, on a free port of the loopback interface, that ends when it is dropped or the test process ends.
/// The user `root` needs no password.
///
/// Every transaction is on disk before it is acknowledged (`innodb_flush_log_at_trx_commit=1`).
#[derive(Debug)]
pub struct MariaDb {
    server: Server,
    client: PathBuf,
    databases: AtomicU32,
}

impl MariaDb {
    /// Starts one and waits until it answers. `None` if the machine has no MariaDB; this is said on stderr.
    ///
    /// ```
    /// # use session_testing::servers::MariaDb;
    /// let Some(mariadb) = MariaDb::start() else { return };
    /// assert!(std::net::TcpStream::connect(mariadb.addr()).is_ok());
    /// ```
    ///
    /// # Panics
    /// If it doesn't start within 30 seconds, and if a program is missing while the variable `CI` is set.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// As [`start`](Self::start), with more arguments.
    ///
    /// ```
    /// # use session_testing::servers::MariaDb;
    /// let Some(mariadb) = MariaDb::start_with(&["--max-connections=10"]) else { return };
    /// assert!(mariadb.pid().is_some());
    /// ```
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_with(arguments: &[&str]) -> Option<Self> {
        let programs = find_all("MariaDB", "mariadb-server", ["mariadbd", "mariadb-install-db", "mariadb"])?;
        Some(on_a_free_port(|port| Self::start_on(port, &programs, arguments)))
    }

    fn start_on(port: u16, [mariadbd, install, client]: &[PathBuf; 3], more: &[&str]) -> Result<Self, Failed> {
        let process = Process::new("mariadb", "", |folder| command(mariadbd, port, folder, more));
        let data = format!("--datadir={}", process.folder().join("data").display());
        let no_password = "--auth-root-authentication-method=normal";
        process.run(install, &[&SMALL[..], &["--skip-test-db", no_password, &data]].concat())?;
        let server = Server::start(process, port, Box::new(move |_| greets(port)))?;
        let mariadb = Self { server, client: client.clone(), databases: AtomicU32::new(1) };
        mariadb.create("sessions")?;
        Ok(mariadb)
    }

    /// `mysql://root@127.0.0.1:port/sessions`: a database that is there from the start.
    ///
    /// ```
    /// # use session_testing::servers::MariaDb;
    /// # let Some(mariadb) = MariaDb::start() else { return };
    /// assert_eq!(mariadb.url(), format!("mysql://root@127.0.0.1:{}/sessions", mariadb.port()));
    /// ```
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("sessions")
    }

    /// Makes a new database with nothing in it, so that many tests share one server, and returns its URL.
    ///
    /// ```
    /// # use session_testing::servers::MariaDb;
    /// # let Some(mariadb) = MariaDb::start() else { return };
    /// assert_ne!(mariadb.fresh_database(), mariadb.fresh_database());
    /// ```
    ///
    /// # Panics
    /// If the server doesn't do it.
    #[must_use]
    pub fn fresh_database(&self) -> String {
        let name = format!("sessions_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.create(&name).expect("the server makes a database");
        self.url_of(&name)
    }

    fn create(&self, database: &str) -> Result<(), Failed> {
        let (port, create) = (format!("--port={}", self.port()), format!("CREATE DATABASE {database}"));
        let arguments = ["--no-defaults", "--protocol=tcp", "--host=127.0.0.1", &port, "--user=root", "-e", &create];
        self.process().run(&self.client, &arguments)
    }

    fn url_of(&self, database: &str) -> String {
        format!("mysql://root@{}/{database}", self.addr())
    }
}

impl Deref for MariaDb {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

/// A MariaDB speaks first.
fn greets(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return false };
    stream.set_read_timeout(Some(Duration::from_secs(5))).and_then(|()| stream.read_exact(&mut [0; 5])).is_ok()
}

fn command(mariadbd: &Path, port: u16, folder: &Path, more: &[&str]) -> Vec<OsString> {
    let data = format!("--datadir={}", folder.join("data").display());
    let (port, socket) = (format!("--port={port}"), format!("--socket={}", folder.join("socket").display()));
    let place = ["--bind-address=127.0.0.1", &port, &socket, &data];
    let safe = ["--innodb-flush-log-at-trx-commit=1", "--performance-schema=OFF", "--max-connections=300"];
    let arguments = SMALL.iter().chain(&place).chain(&safe).chain(more).map(OsString::from);
    [mariadbd.as_os_str().to_owned()].into_iter().chain(arguments).collect()
}
