//! A PostgreSQL.

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::process::{Failed, Process, on_a_free_port};
use super::program::find_all;

/// What a killed PostgreSQL leaves in the system: a piece of shared memory, whose number is in its file.
const CLEANUP: &str = r#"ipcrm -m "$(sed -n '7s/.* //p' data/postmaster.pid)""#;

/// A PostgreSQL of its own, on a free port of the loopback interface, that ends when it is dropped or the test process
/// ends. The user `postgres` needs no password.
#[derive(Debug)]
pub struct Postgres {
    process: Process,
    port: u16,
    createdb: PathBuf,
    databases: AtomicU32,
}

impl Postgres {
    /// Starts one and waits until it answers. `None` if the machine has no PostgreSQL; this is said on stderr.
    ///
    /// # Panics
    /// If it doesn't start within 30 seconds, and if a program is missing while the variable `CI` is set.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// As [`start`](Self::start), with more arguments, such as `["-c", "max_connections=10"]`.
    #[must_use]
    pub fn start_with(arguments: &[&str]) -> Option<Self> {
        let programs = find_all("PostgreSQL", "postgresql", ["postgres", "initdb", "createdb"])?;
        Some(on_a_free_port(|port| Self::start_on(port, &programs, arguments)))
    }

    fn start_on(port: u16, [postgres, initdb, createdb]: &[PathBuf; 3], more: &[&str]) -> Result<Self, Failed> {
        let process = Process::new("postgres", CLEANUP, |folder| command(postgres, port, folder, more));
        let quick = ["--no-sync", "--no-locale", "--encoding=UTF8"];
        process.run(initdb, &[&["--pgdata=data", "--auth=trust", "--username=postgres"], &quick[..]].concat())?;
        let postgres = Self { process, port, createdb: createdb.clone(), databases: AtomicU32::new(1) };
        postgres.process.start(|_| postgres.is_ready())?;
        Ok(postgres)
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

    /// `postgres://postgres@127.0.0.1:port/postgres`: the database that is there from the start.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Makes a new database with nothing in it, so that many tests share one server, and returns its URL.
    ///
    /// # Panics
    /// If the server doesn't do it.
    #[must_use]
    pub fn fresh_database(&self) -> String {
        let name = format!("sessions_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let port = self.port.to_string();
        let arguments = ["--host=127.0.0.1", "--port", &port, "--username=postgres", "--no-password", &name];
        let made = self.process.run(&self.createdb, &arguments);
        assert!(made.is_ok(), "{}", made.map_or_else(|failed| failed.to_string(), |()| String::new()));
        self.url_of(&name)
    }

    fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@{}/{database}", self.addr())
    }

    /// The process id of the server itself, while it runs; it has one child for each connection.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// Ends the server with all its children at once, as a machine that loses power.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Stops the server with all its children where they are: connections stay open, new ones are accepted by the system,
    /// nothing is answered.
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

    /// The file is in the server's own folder, so nobody else's PostgreSQL can be meant.
    fn is_ready(&self) -> bool {
        let status = fs::read_to_string(self.process.folder().join("data/postmaster.pid")).unwrap_or_default();
        status.lines().nth(7).is_some_and(|line| line.trim() == "ready") && TcpStream::connect(self.addr()).is_ok()
    }
}

fn command(postgres: &Path, port: u16, folder: &Path, more: &[&str]) -> Vec<OsString> {
    let (port, sockets) = (format!("port={port}"), format!("unix_socket_directories={}", folder.display()));
    let where_ = ["listen_addresses=127.0.0.1", &port, &sockets];
    // Shared memory that is a file goes with the folder.
    let small = ["shared_buffers=16MB", "max_connections=200", "dynamic_shared_memory_type=mmap"];
    let settings = where_.iter().chain(&small).flat_map(|setting| ["-c", setting]);
    let arguments = ["-D", "data"].into_iter().chain(settings).chain(more.iter().copied());
    [postgres.as_os_str().to_owned()].into_iter().chain(arguments.map(OsString::from)).collect()
}
