//! What all servers have in common.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

use super::process::{Failed, Process};

/// Whether the server with this process id answers.
type Ready = Box<dyn Fn(u32) -> bool + Send + Sync>;

/// A server program that runs, or has been killed and can be started again: what [`Redis`](super::Redis),
/// [`Postgres`](super::Postgres) and [`MariaDb`](super::MariaDb) have in common.
pub struct Server {
    process: Process,
    port: u16,
    ready: Ready,
}

impl Server {
    pub(super) fn start(process: Process, port: u16, ready: Ready) -> Result<Self, Failed> {
        process.start(&ready)?;
        Ok(Self { process, port, ready })
    }

    pub(super) const fn process(&self) -> &Process {
        &self.process
    }

    /// Where it listens.
    ///
    /// ```
    /// # use session_testing::servers::Redis;
    /// # let Some(redis) = Redis::start() else { return };
    /// assert!(redis.addr().ip().is_loopback());
    /// ```
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The port it listens on, the same after a restart.
    ///
    /// ```
    /// # use session_testing::servers::Redis;
    /// # let Some(redis) = Redis::start() else { return };
    /// assert_eq!(redis.port(), redis.addr().port());
    /// ```
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the server itself, unless it was killed.
    ///
    /// ```
    /// # use session_testing::servers::Redis;
    /// # let Some(redis) = Redis::start() else { return };
    /// assert!(redis.pid().is_some());
    /// redis.kill();
    /// assert_eq!(redis.pid(), None);
    /// ```
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// Ends the server with all its children at once, without any warning, as a process that crashes (`SIGKILL`). They are
    /// gone when this returns.
    ///
    /// ```
    /// # use session_testing::servers::Redis;
    /// # let Some(redis) = Redis::start() else { return };
    /// redis.kill();
    /// assert!(std::net::TcpStream::connect(redis.addr()).is_err());
    /// ```
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Starts it again on the same port with what it has on disk, and waits until it answers; kills it before, if it runs.
    ///
    /// ```
    /// # use session_testing::servers::Redis;
    /// # let Some(redis) = Redis::start() else { return };
    /// let before = redis.pid();
    /// redis.restart();
    /// assert_ne!(redis.pid(), before);
    /// ```
    ///
    /// # Panics
    /// If it doesn't start.
    pub fn restart(&self) {
        self.process.restart(&self.ready);
    }

    /// Stops the server with all its children where they are (`SIGSTOP`), as a machine that hangs: connections stay open, the
    /// system goes on to accept new ones, and nothing is answered.
    ///
    /// ```
    /// # use session_testing::servers::Redis;
    /// # let Some(redis) = Redis::start() else { return };
    /// redis.stop();
    /// assert!(std::net::TcpStream::connect(redis.addr()).is_ok());
    /// ```
    pub fn stop(&self) {
        self.process.stop();
    }

    /// Lets a stopped server go on; it then answers what has piled up.
    ///
    /// ```
    /// # use session_testing::servers::Redis;
    /// # let Some(redis) = Redis::start() else { return };
    /// redis.stop();
    /// redis.resume();
    /// assert_eq!(redis.ask(&["PING"]).unwrap(), "PONG");
    /// ```
    pub fn resume(&self) {
        self.process.resume();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("addr", &self.addr()).field("pid", &self.pid()).finish_non_exhaustive()
    }
}
