//! A connection that stays open from one request to the next, as a browser's does.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use session_testing::http::{Request, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than any answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// To one lab at a time; connects when it has to.
#[derive(Default)]
pub(crate) struct Connection(Option<(SocketAddr, TcpStream)>);

impl Connection {
    /// Sends a request made for one connection a request, and keeps the connection all the same.
    pub(crate) async fn send(&mut self, address: SocketAddr, request: &Request) -> io::Result<Response> {
        let bytes =
            String::from_utf8_lossy(&request.bytes()).replacen("connection: close", "connection: keep-alive", 1);
        let asked = timeout(PATIENCE, self.ask(address, bytes.as_bytes())).await;
        let outcome = asked.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        if !matches!(&outcome, Ok(response) if !closes(response)) {
            self.0 = None;
        }
        outcome
    }

    async fn ask(&mut self, address: SocketAddr, bytes: &[u8]) -> io::Result<Response> {
        let mut stream = match self.0.take() {
            Some((to, stream)) if to == address => stream,
            _ => TcpStream::connect(address).await?,
        };
        stream.set_nodelay(true)?;
        stream.write_all(bytes).await?;
        let response = read(&mut stream).await?;
        self.0 = Some((address, stream));
        Ok(response)
    }
}

fn closes(response: &Response) -> bool {
    response.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
}

/// A response that says how long it is, as all of a lab's do that users ask for here.
async fn read(stream: &mut TcpStream) -> io::Result<Response> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        more(stream, &mut bytes).await?;
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let mut lines = text.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let status = status.ok_or(io::ErrorKind::InvalidData)?;
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.trim().as_bytes().to_vec())).collect();
    let mut response = Response { status, headers, body: Vec::new() };
    let length: usize = response.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while bytes.len() < head + length {
        more(stream, &mut bytes).await?;
    }
    response.body = bytes.split_off(head);
    Ok(response)
}

async fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    match stream.read_buf(bytes).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}
