//! A Redis.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::process::{Failed, Process, on_a_free_port};
use super::program::find_all;

/// How many databases a Redis of a test has; their numbers begin at zero.
const DATABASES: u32 = 4_096;

/// A Redis of its own, on a free port of the loopback interface, that ends when it is dropped or the test process ends.
///
/// Every write is on disk before it is acknowledged (`appendfsync always`), so that what it has acknowledged survives
/// [`kill`](Self::kill) and [`restart`](Self::restart).
#[derive(Debug)]
pub struct Redis {
    process: Process,
    port: u16,
    databases: AtomicU32,
}

impl Redis {
    /// Starts one and waits until it answers. `None` if the machine has no `redis-server`; this is said on stderr.
    ///
    /// # Panics
    /// If it doesn't start within 30 seconds, and if `redis-server` is missing while the variable `CI` is set.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// As [`start`](Self::start), with more arguments, such as `["--maxmemory", "2mb"]`.
    #[must_use]
    pub fn start_with(arguments: &[&str]) -> Option<Self> {
        let [program] = find_all("Redis", "redis-server", ["redis-server"])?;
        Some(on_a_free_port(|port| Self::start_on(port, &program, arguments)))
    }

    fn start_on(port: u16, program: &Path, arguments: &[&str]) -> Result<Self, Failed> {
        let process = Process::new("redis", "", |_| {
            let port = port.to_string();
            let databases = DATABASES.to_string();
            let fixed = ["--bind", "127.0.0.1", "--port", &port, "--databases", &databases, "--save", ""];
            let safe = ["--appendonly", "yes", "--appendfsync", "always"];
            let arguments = fixed.iter().chain(&safe).chain(arguments).map(OsString::from);
            [program.as_os_str().to_owned()].into_iter().chain(arguments).collect()
        });
        let redis = Self { process, port, databases: AtomicU32::new(1) };
        redis.process.start(|pid| redis.is_ready(pid))?;
        Ok(redis)
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

    /// `redis://127.0.0.1:port`: the database with the number 0.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.addr())
    }

    /// The URL of a database that no call has given before, so that many tests share one server. There are 4,095.
    ///
    /// # Panics
    /// When all are taken.
    #[must_use]
    pub fn fresh_database(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        assert!(number < DATABASES, "all {DATABASES} databases are taken");
        format!("{}/{number}", self.url())
    }

    /// Sends one command to database 0 and returns the answer: a list has one line for each of its entries.
    ///
    /// # Errors
    /// If the server doesn't answer within five seconds, or answers with an error.
    pub fn ask(&self, command: &[&str]) -> io::Result<String> {
        ask(self.addr(), command)
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
        self.process.restart(|pid| self.is_ready(pid));
    }

    /// Asks for the process id, because somebody else's Redis could be there; one that still loads its file answers no.
    fn is_ready(&self, pid: u32) -> bool {
        let answers = self.ask(&["INFO", "server"]).is_ok_and(|info| info.contains(&format!("process_id:{pid}\r")));
        answers && self.ask(&["PING"]).is_ok()
    }
}

/// Sends one command to a Redis or a sentinel.
pub(super) fn ask(to: SocketAddr, command: &[&str]) -> io::Result<String> {
    let limit = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&to, limit)?;
    stream.set_read_timeout(Some(limit))?;
    let mut request = format!("*{}\r\n", command.len());
    for word in command {
        request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    stream.write_all(request.as_bytes())?;
    answer(&mut BufReader::new(stream))
}

fn answer(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    let line = line.trim_end();
    let (kind, rest) = line.split_at_checked(1).ok_or(io::ErrorKind::UnexpectedEof)?;
    let length = rest.parse::<usize>().unwrap_or(0);
    match kind {
        "$" if rest == "-1" => Ok(String::new()),
        "$" => {
            let mut text = vec![0; length + 2];
            from.read_exact(&mut text)?;
            Ok(String::from_utf8_lossy(&text[..length]).into_owned())
        }
        "*" => Ok((0..length).map(|_| answer(from)).collect::<io::Result<Vec<_>>>()?.join("\n")),
        "-" => Err(io::Error::other(rest.to_owned())),
        _ => Ok(rest.to_owned()),
    }
}
