//! A Redis.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::process::{Failed, Process, on_a_free_port};
use super::program::find_all;
use super::server::Server;

/// How many databases a Redis of a test has; their numbers begin at zero.
const DATABASES: u32 = 4_096;

/// How long one command may take.
const LIMIT: Duration = Duration::from_secs(5);

/// A Redis of its own, on a free port of the loopback interface, that ends when it is dropped or the test process ends.
///
/// Every write is on disk before it is acknowledged (`appendfsync always`), so what it has acknowledged survives
/// [`kill`](Server::kill) and [`restart`](Server::restart). The first `redis-server` in `PATH` is taken, so a Valkey under this
/// name is tested as well.
#[derive(Debug)]
pub struct Redis {
    server: Server,
    databases: AtomicU32,
}

impl Redis {
    /// Starts one and waits until it answers. `None` if the machine has no `redis-server`; this is said on stderr.
    ///
    /// ```
    /// # use session_testing::servers::Redis;
    /// let Some(redis) = Redis::start() else { return };
    /// assert_eq!(redis.ask(&["PING"]).unwrap(), "PONG");
    /// ```
    ///
    /// # Panics
    /// If it doesn't start within 30 seconds, and if `redis-server` is missing while the variable `CI` is set.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// As [`start`](Self::start), with more arguments.
    ///
    /// ```
    /// # use session_testing::servers::Redis;
    /// let Some(redis) = Redis::start_with(&["--maxmemory", "5mb"]) else { return };
    /// assert_eq!(redis.ask(&["CONFIG", "GET", "maxmemory"]).unwrap(), "maxmemory\n5242880");
    /// ```
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_with(arguments: &[&str]) -> Option<Self> {
        let program = program("Redis")?;
        let arguments = [&["--appendfsync", "always"], arguments].concat();
        Some(on_a_free_port(|port| Self::serving(port, &program, &arguments)))
    }

    /// One that serves data together with others. It has written down what it acknowledges, and that outlives its process,
    /// but it doesn't wait for the disk: to the others a node that waits long looks dead.
    pub(super) fn node(port: u16, program: &Path, more: &[&str]) -> Result<Self, Failed> {
        let together = ["--appendfsync", "no", "--repl-diskless-sync-delay", "0"];
        Self::serving(port, program, &[&together[..], more].concat())
    }

    fn serving(port: u16, program: &Path, more: &[&str]) -> Result<Self, Failed> {
        let databases = DATABASES.to_string();
        let always = ["--databases", &databases, "--save", "", "--appendonly", "yes"];
        Self::start_on(port, program, [&always[..], more].concat())
    }

    /// One that watches others.
    pub(super) fn sentinel(port: u16, program: &Path) -> Result<Self, Failed> {
        Self::start_on(port, program, vec!["--sentinel"])
    }

    fn start_on(port: u16, program: &Path, arguments: Vec<&str>) -> Result<Self, Failed> {
        let port_text = port.to_string();
        let command = ["server.conf", "--bind", "127.0.0.1", "--port", &port_text].into_iter().chain(arguments);
        let command = [program.as_os_str().to_owned()].into_iter().chain(command.map(OsString::from)).collect();
        let process = Process::new("redis", "", |_| command);
        // A file that the server may write: what a sentinel was told and what replication has changed outlives a restart.
        process.run(Path::new("/bin/sh"), &["-c", ": >server.conf"])?;
        let server =
            Server::start(process, port, Box::new(move |pid| is_ready((Ipv4Addr::LOCALHOST, port).into(), pid)))?;
        Ok(Self { server, databases: AtomicU32::new(1) })
    }

    /// `redis://127.0.0.1:port`: the database with the number 0.
    ///
    /// ```
    /// # use session_testing::servers::Redis;
    /// # let Some(redis) = Redis::start() else { return };
    /// assert_eq!(redis.url(), format!("redis://127.0.0.1:{}", redis.port()));
    /// ```
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.addr())
    }

    /// The URL of a database that no call has given before, so that many tests share one server. There are 4,095.
    ///
    /// ```
    /// # use session_testing::servers::Redis;
    /// # let Some(redis) = Redis::start() else { return };
    /// assert_eq!(redis.fresh_database(), format!("{}/1", redis.url()));
    /// assert_eq!(redis.fresh_database(), format!("{}/2", redis.url()));
    /// ```
    ///
    /// # Panics
    /// When all are taken.
    #[must_use]
    pub fn fresh_database(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        assert!(number < DATABASES, "all {DATABASES} databases are taken");
        format!("{}/{number}", self.url())
    }

    /// Sends one command to database 0 and returns the answer: a list has one line for each of its entries, and nothing is
    /// the empty text.
    ///
    /// ```
    /// # use session_testing::servers::Redis;
    /// # let Some(redis) = Redis::start() else { return };
    /// assert_eq!(redis.ask(&["RPUSH", "list", "a", "b"]).unwrap(), "2");
    /// assert_eq!(redis.ask(&["LRANGE", "list", "0", "-1"]).unwrap(), "a\nb");
    /// assert!(redis.ask(&["GET", "list"]).is_err());
    /// ```
    ///
    /// # Errors
    /// If the server doesn't answer within five seconds, or answers with an error.
    pub fn ask(&self, command: &[&str]) -> io::Result<String> {
        ask(self.addr(), command)
    }

    /// Whether the answer has this text in it.
    pub(super) fn says(&self, command: &[&str], what: &str) -> bool {
        self.ask(command).is_ok_and(|answer| answer.contains(what))
    }
}

impl Deref for Redis {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

/// The program of all of them, or a loud complaint that `what` was not tested.
pub(super) fn program(what: &str) -> Option<PathBuf> {
    find_all(what, "redis-server", ["redis-server"]).map(|[program]| program)
}

/// Asks for the process id, because somebody else's Redis could be there; one that still loads its file doesn't answer the
/// second question.
fn is_ready(addr: SocketAddr, pid: u32) -> bool {
    let mine = ask(addr, &["INFO", "server"]).is_ok_and(|info| info.contains(&format!("process_id:{pid}\r")));
    mine && ask(addr, &["PING"]).is_ok()
}

fn ask(addr: SocketAddr, command: &[&str]) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&addr, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let words = command.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
    stream.write_all(format!("*{}\r\n{}", command.len(), words.collect::<String>()).as_bytes())?;
    answer(&mut BufReader::new(stream))
}

fn answer(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    let (kind, rest) = line.trim_end().split_at_checked(1).ok_or(io::ErrorKind::UnexpectedEof)?;
    let length = rest.parse().unwrap_or(0);
    match kind {
        "$" if rest == "-1" => Ok(String::new()),
        "$" => {
            let mut text = vec![0; length + 2];
            from.read_exact(&mut text)?;
            text.truncate(length);
            Ok(String::from_utf8_lossy(&text).into_owned())
        }
        "*" => Ok((0..length).map(|_| answer(from)).collect::<io::Result<Vec<_>>>()?.join("\n")),
        "-" => Err(io::Error::other(rest.to_owned())),
        _ => Ok(rest.to_owned()),
    }
}
