//! A MariaDB.

use std::ffi::OsString;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::process::{Failed, Process, on_a_free_port};
use super::program::find_all;

/// What both the installation and the server are told: no more disk and memory than tests need.
const SMALL: [&str; 4] =
    ["--no-defaults", "--innodb-log-file-size=16M", "--innodb-buffer-pool-size=32M", "--skip-name-resolve"];

/// A MariaDB of its own, on a free port of the loopback interface, that ends when it is dropped or the test process ends.
/// The user `root` needs no password.
///
/// Every transaction is on disk before it is acknowledged (`innodb_flush_log_at_trx_commit=1`).
#[derive(Debug)]
pub struct MariaDb {
    process: Process,
    port: u16,
    client: PathBuf,
    databases: AtomicU32,
}

impl MariaDb {
    /// Starts one and waits until it answers. `None` if the machine has no MariaDB; this is said on stderr.
    ///
    /// # Panics
    /// If it doesn't start within 30 seconds, and if a program is missing while the variable `CI` is set.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// As [`start`](Self::start), with more arguments, such as `["--max-connections=10"]`.
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
        let mariadb = Self { process, port, client: client.clone(), databases: AtomicU32::new(1) };
        mariadb.process.start(|_| mariadb.is_ready())?;
        mariadb.create("sessions")?;
        Ok(mariadb)
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The port it listens on, the same after a restart.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// `mysql://root@127.0.0.1:port/sessions`: a database that is there from the start.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("sessions")
    }

    /// Makes a new database with nothing in it, so that many tests share one server, and returns its URL.
    ///
    /// # Panics
    /// If the server doesn't do it.
    #[must_use]
    pub fn fresh_database(&self) -> String {
        let name = format!("sessions_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let made = self.create(&name);
        assert!(made.is_ok(), "{}", made.map_or_else(|failed| failed.to_string(), |()| String::new()));
        self.url_of(&name)
    }

    fn create(&self, database: &str) -> Result<(), Failed> {
        let (port, create) = (format!("--port={}", self.port), format!("CREATE DATABASE {database}"));
        let arguments = ["--no-defaults", "--protocol=tcp", "--host=127.0.0.1", &port, "--user=root", "-e", &create];
        self.process.run(&self.client, &arguments)
    }

    fn url_of(&self, database: &str) -> String {
        format!("mysql://root@{}/{database}", self.addr())
    }

    /// The process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// Ends the server at once, as a machine that loses power.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Stops the server where it is: connections stay open, new ones are accepted by the system, nothing is answered.
    pub fn stop(&self) {
        self.process.stop();
    }

    /// Lets a stopped server go on; it then answers what has piled up.
    pub fn resume(&self) {
        self.process.resume();
    }

    /// Starts it again on the same port with what it has on disk; kills it before, if it runs.
    ///
    /// # Panics
    /// If it doesn't start.
    pub fn restart(&self) {
        self.process.restart(|_| self.is_ready());
    }

    /// A MariaDB speaks first.
    fn is_ready(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(self.addr()) else { return false };
        let greeted =
            stream.set_read_timeout(Some(Duration::from_secs(5))).and_then(|()| stream.read_exact(&mut [0; 5]));
        greeted.is_ok()
    }
}

fn command(mariadbd: &Path, port: u16, folder: &Path, more: &[&str]) -> Vec<OsString> {
    let data = format!("--datadir={}", folder.join("data").display());
    let (port, socket) = (format!("--port={port}"), format!("--socket={}", folder.join("socket").display()));
    let where_ = ["--bind-address=127.0.0.1", &port, &socket, &data];
    let safe = ["--innodb-flush-log-at-trx-commit=1", "--performance-schema=OFF", "--max-connections=300"];
    let arguments = SMALL.iter().chain(&where_).chain(&safe).chain(more).map(OsString::from);
    [mariadbd.as_os_str().to_owned()].into_iter().chain(arguments).collect()
}
