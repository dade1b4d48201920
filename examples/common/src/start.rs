//! How an example starts: where it listens, what it prints, and how it says why it can't.

use std::env;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tracing_subscriber::EnvFilter;

/// Sends the log to stderr: warnings, or what `RUST_LOG` asks for. `RUST_LOG=session_core=debug` tells what happens to
/// each session.
pub(crate) fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).without_time();
    // A program that has a log already, as a test may, keeps it.
    let _ = log.with_target(false).try_init();
}

/// Where to listen: the first argument or `ADDRESS`, as `127.0.0.1:3000`; or `PORT` alone. Port 0 takes a free one.
///
/// # Errors
/// If what was given is no address, with what one looks like.
///
/// ```
/// match example_common::address() {
///     Ok(address) => println!("to listen on {address}"),
///     Err(failure) => assert!(format!("{failure:?}").contains("write")),
/// }
/// ```
pub fn address() -> Result<SocketAddr, Failure> {
    read_address(env::args().nth(1).or_else(|| env::var("ADDRESS").ok()), env::var("PORT").ok())
}

fn read_address(address: Option<String>, port: Option<String>) -> Result<SocketAddr, Failure> {
    if let Some(address) = address {
        let refused = |_| Failure(format!("{address:?} is no address: write one like 127.0.0.1:3000"));
        return address.parse().map_err(refused);
    }
    let port = port.unwrap_or_else(|| "3000".to_owned());
    let refused = |_| Failure(format!("PORT={port:?} is no port: write a number up to 65535"));
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().map_err(refused)?)))
}

/// What to say when nobody can listen on `address`.
///
/// ```
/// let address = "127.0.0.1:3000".parse().expect("an address");
/// let failure = example_common::unavailable(address, "address in use");
/// assert!(format!("{failure:?}").contains("PORT=3001"));
/// ```
pub fn unavailable(address: SocketAddr, reason: impl fmt::Display) -> Failure {
    Failure(format!("can't listen on {address}: {reason}; choose another port, as in PORT=3001"))
}

/// Why an example couldn't run. `main` shows its error by `Debug`, so this one is a sentence there.
pub struct Failure(String);

impl Failure {
    pub(crate) const fn new(sentence: String) -> Self {
        Self(sentence)
    }
}

/// With what caused it.
impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            let cause = error.to_string();
            // Some errors say their cause themselves.
            if !text.ends_with(&cause) {
                text = format!("{text}: {cause}");
            }
            source = error.source();
        }
        Self(text)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(address: Option<&str>, port: Option<&str>) -> Result<String, String> {
        let address = read_address(address.map(str::to_owned), port.map(str::to_owned));
        address.map(|address| address.to_string()).map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn it_listens_on_this_machine_only_unless_told_otherwise() {
        assert_eq!(read(None, None).unwrap(), "127.0.0.1:3000");
        assert_eq!(read(None, Some("8080")).unwrap(), "127.0.0.1:8080");
        assert_eq!(read(Some("[::1]:0"), Some("8080")).unwrap(), "[::1]:0");
    }

    #[test]
    fn what_is_no_address_is_refused_with_an_example() {
        assert!(read(Some("localhost"), None).unwrap_err().contains("127.0.0.1:3000"));
        assert!(read(None, Some("65536")).unwrap_err().contains("up to 65535"));
    }
}
