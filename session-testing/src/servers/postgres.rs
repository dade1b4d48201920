//! A PostgreSQL.

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::process::{Failed, Process, on_a_free_port};
use super::program::find_all;
use super::server::Server;

/// What a killed PostgreSQL leaves in the system: a piece of shared memory, whose number is in its file.
const CLEANUP: &str = r#"ipcrm -m "$(sed -n '7s/.* //p' data/postmaster.pid)""#;

/// A PostgreSQL of its own, on a free port of the loopback interface, that ends when it is dropped or the test process
/// ends. The user `postgres` needs no password.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    createdb: PathBuf,
    databases: AtomicU32,
}

impl Postgres {
    /// Starts one and waits until it answers. `None` if the machine has no PostgreSQL; this is said on stderr.
    ///
    /// ```
    /// # use session_testing::servers::Postgres;
    /// let Some(postgres) = Postgres::start() else { return };
    /// assert!(std::net::TcpStream::connect(postgres.addr()).is_ok());
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
    /// # use session_testing::servers::Postgres;
    /// let Some(postgres) = Postgres::start_with(&["-c", "max_connections=10"]) else { return };
    /// assert!(postgres.pid().is_some());
    /// ```
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_with(arguments: &[&str]) -> Option<Self> {
        let programs = find_all("PostgreSQL", "postgresql", ["postgres", "initdb", "createdb"])?;
        Some(on_a_free_port(|port| Self::start_on(port, &programs, arguments)))
    }

    fn start_on(port: u16, [postgres, initdb, createdb]: &[PathBuf; 3], more: &[&str]) -> Result<Self, Failed> {
        let process = Process::new("postgres", CLEANUP, |folder| command(postgres, port, folder, more));
        let quick = ["--no-sync", "--no-locale", "--encoding=UTF8"];
        process.run(initdb, &[&["--pgdata=data", "--auth=trust", "--username=postgres"], &quick[..]].concat())?;
        // The file is in the server's own folder, so nobody else's PostgreSQL can be meant.
        let status = process.folder().join("data/postmaster.pid");
        let server = Server::start(process, port, Box::new(move |_| is_ready(&status, port)))?;
        Ok(Self { server, createdb: createdb.clone(), databases: AtomicU32::new(1) })
    }

    /// `postgres://postgres@127.0.0.1:port/postgres`: the database that is there from the start.
    ///
    /// ```
    /// # use session_testing::servers::Postgres;
    /// # let Some(postgres) = Postgres::start() else { return };
    /// assert_eq!(postgres.url(), format!("postgres://postgres@127.0.0.1:{}/postgres", postgres.port()));
    /// ```
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Makes a new database with nothing in it, so that many tests share one server, and returns its URL.
    ///
    /// ```
    /// # use session_testing::servers::Postgres;
    /// # let Some(postgres) = Postgres::start() else { return };
    /// assert_ne!(postgres.fresh_database(), postgres.fresh_database());
    /// ```
    ///
    /// # Panics
    /// If the server doesn't do it.
    #[must_use]
    pub fn fresh_database(&self) -> String {
        let name = format!("sessions_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let port = self.port().to_string();
        let arguments = ["--host=127.0.0.1", "--port", &port, "--username=postgres", "--no-password", &name];
        self.process().run(&self.createdb, &arguments).expect("the server makes a database");
        self.url_of(&name)
    }

    fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@{}/{database}", self.addr())
    }
}

impl Deref for Postgres {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

fn is_ready(status: &Path, port: u16) -> bool {
    let status = fs::read_to_string(status).unwrap_or_default();
    let ready = status.lines().nth(7).is_some_and(|line| line.trim() == "ready");
    ready && TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn command(postgres: &Path, port: u16, folder: &Path, more: &[&str]) -> Vec<OsString> {
    let (port, sockets) = (format!("port={port}"), format!("unix_socket_directories={}", folder.display()));
    let place = ["listen_addresses=127.0.0.1", &port, &sockets];
    // Shared memory that is a file goes with the folder.
    let small = ["shared_buffers=16MB", "max_connections=200", "dynamic_shared_memory_type=mmap"];
    let settings = place.iter().chain(&small).flat_map(|setting| ["-c", setting]);
    let arguments = ["-D", "data"].into_iter().chain(settings).chain(more.iter().copied());
    [postgres.as_os_str().to_owned()].into_iter().chain(arguments.map(OsString::from)).collect()
}
