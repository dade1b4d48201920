//! What tests see of a connection.

#![allow(dead_code, reason = "not every test looks at everything")]

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Long enough for a byte that arrives at all.
const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(20);

pub(crate) fn read(from: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    from.set_read_timeout(Some(LONG)).unwrap();
    from.read_exact(&mut bytes).unwrap();
    bytes
}

/// Everything up to the end of the connection.
pub(crate) fn read_to_end(from: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    from.set_read_timeout(Some(LONG)).unwrap();
    from.read_to_end(&mut bytes).unwrap();
    bytes
}

pub(crate) fn is_silent(end: &mut TcpStream) -> bool {
    end.set_read_timeout(Some(SHORT)).unwrap();
    end.read(&mut [0]).is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
}

pub(crate) fn is_cut(end: &mut TcpStream) -> bool {
    end.set_read_timeout(Some(LONG)).unwrap();
    match end.read(&mut [0]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

pub(crate) fn eventually(what: &str, so: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        sleep(Duration::from_millis(5));
    }
}
