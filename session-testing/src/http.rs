//! An HTTP/1.1 client for tests: it sends exactly the bytes it is told, shows exactly those that come back, and can leave
//! in the middle. One connection a request, a time limit on everything.
//!
//! ```
//! use session_testing::http::{Client, Jar};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let address = listener.local_addr()?;
//! # tokio::spawn(async move {
//! #     let (mut stream, _) = listener.accept().await.unwrap();
//! #     let mut bytes = [0; 1024];
//! #     let _ = stream.read(&mut bytes).await;
//! #     stream.write_all(b"HTTP/1.1 200 OK\r\nSet-Cookie: id=7; Path=/\r\nContent-Length: 5\r\n\r\nhello").await
//! # });
//! let mut jar = Jar::default();
//! let response = Client::new(address).get("/").jar(&jar).header("accept", "text/plain").send().await?;
//! jar.keep(&response);
//! assert_eq!((response.status, response.text().as_str()), (200, "hello"));
//! assert_eq!(jar.get("id"), Some("7"));
//! # Ok::<(), std::io::Error>(()) }).unwrap();
//! ```

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Talks to one server.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    address: SocketAddr,
    limit: Duration,
}

impl Client {
    /// A client for the server at `address`. A request fails after ten seconds without an answer.
    ///
    /// ```
    /// # use session_testing::http::Client;
    /// let client = Client::new(([127, 0, 0, 1], 3000).into());
    /// assert_eq!(client.address().port(), 3000);
    /// ```
    #[must_use]
    pub const fn new(address: SocketAddr) -> Self {
        Self { address, limit: Duration::from_secs(10) }
    }

    /// Another limit for connecting, sending and receiving, all together.
    #[must_use]
    pub const fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Whom it talks to.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// A `GET` of `target`, path and query.
    pub fn get(&self, target: &str) -> Request {
        self.request("GET", target)
    }

    /// A `POST`, with an empty body unless it gets one.
    pub fn post(&self, target: &str) -> Request {
        self.request("POST", target).body("")
    }

    /// A request with any method.
    pub fn request(&self, method: &str, target: &str) -> Request {
        let head = format!("{method} {target} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.address);
        Request { client: *self, head: head.into_bytes(), body: None }
    }

    /// Sends these bytes, whatever they are, and reads a response.
    ///
    /// # Errors
    /// As [`Request::send`].
    pub async fn raw(&self, bytes: &[u8]) -> io::Result<Response> {
        self.within(async {
            let mut stream = TcpStream::connect(self.address).await?;
            // A server may answer, and close, before it has read everything: the answer counts.
            let sent = stream.write_all(bytes).await;
            match Response::read(&mut stream, bytes.starts_with(b"HEAD ")).await {
                Err(error) => Err(sent.err().unwrap_or(error)),
                response => response,
            }
        })
        .await
    }

    async fn within<T>(&self, act: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        timeout(self.limit, act).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// A request in the making.
#[derive(Clone, Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    client: Client,
    head: Vec<u8>,
    body: Option<Vec<u8>>,
}

impl Request {
    /// One more header line. The value may be any bytes.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.head.extend_from_slice(name.as_bytes());
        self.head.extend_from_slice(b": ");
        self.head.extend_from_slice(value.as_ref());
        self.head.extend_from_slice(b"\r\n");
        self
    }

    /// One more `Cookie` line, with this cookie. The value may be any bytes.
    pub fn cookie(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.header("cookie", [name.as_bytes(), b"=", value.as_ref()].concat())
    }

    /// One `Cookie` line with all cookies of `jar`; none if it is empty.
    pub fn jar(self, jar: &Jar) -> Self {
        match jar.line() {
            Some(line) => self.header("cookie", line),
            None => self,
        }
    }

    /// The body, with its length.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sends it and reads the response.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] if the server closed the connection without a response, as several do when a
    /// handler panics; [`io::ErrorKind::InvalidData`] if what came is no HTTP/1.1; [`io::ErrorKind::TimedOut`].
    pub async fn send(self) -> io::Result<Response> {
        self.client.raw(&self.bytes()).await
    }

    /// Sends it, but doesn't wait for the response. The connection stays open until somebody leaves.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub async fn start(self) -> io::Result<Started> {
        self.client
            .within(async {
                let mut stream = TcpStream::connect(self.client.address).await?;
                stream.write_all(&self.bytes()).await?;
                Ok(Started { client: self.client, stream })
            })
            .await
    }

    /// The bytes that go over the wire.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head.clone();
        if let Some(body) = &self.body {
            bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
            bytes.extend_from_slice(body);
        } else {
            bytes.extend_from_slice(b"\r\n");
        }
        bytes
    }
}

/// A request that is on its way.
#[derive(Debug)]
pub struct Started {
    client: Client,
    stream: TcpStream,
}

impl Started {
    /// Reads the response after all.
    ///
    /// # Errors
    /// As [`Request::send`].
    pub async fn finish(mut self) -> io::Result<Response> {
        self.client.within(Response::read(&mut self.stream, false)).await
    }

    /// Leaves with a TCP reset, as a process that was killed does.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn reset(self) -> io::Result<()> {
        self.stream.set_zero_linger()
    }

    /// Leaves with a FIN, as a browser does whose user pressed "stop".
    pub fn close(self) {
        drop(self);
    }
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The header lines in their order: name as it came, value in bytes.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, chunks put together.
    pub body: Vec<u8>,
}

impl Response {
    /// The values of all header lines of that name, in order. Case doesn't matter; bytes that are no UTF-8 are replaced.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<String> {
        let lines = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        lines.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    /// The lines of that name as one list, as a recipient may read them (RFC 9110, 5.3); not for `Set-Cookie`.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        Some(self.all(name)).filter(|lines| !lines.is_empty()).map(|lines| lines.join(", "))
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What all `Set-Cookie` lines say, in order.
    #[must_use]
    pub fn cookies(&self) -> Vec<SetCookie> {
        self.all("set-cookie").iter().map(|line| SetCookie::parse(line)).collect()
    }

    /// What the last `Set-Cookie` line for that name says: the one that counts.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<SetCookie> {
        self.cookies().into_iter().rfind(|cookie| cookie.name == name)
    }

    async fn read(stream: &mut TcpStream, no_body: bool) -> io::Result<Self> {
        let mut bytes = Bytes { stream, buffer: Vec::new() };
        let (status, headers) = loop {
            let head = bytes.until(b"\r\n\r\n").await?;
            let (status, headers) = parse_head(&head).ok_or(io::ErrorKind::InvalidData)?;
            // 100 Continue and its like come before the answer.
            if status >= 200 || status == 101 {
                break (status, headers);
            }
        };
        let mut response = Self { status, headers, body: Vec::new() };
        if no_body || status < 200 || status == 204 || status == 304 {
            return Ok(response);
        }
        let is_chunked = |coding: String| coding.to_ascii_lowercase().contains("chunked");
        response.body = if response.header("transfer-encoding").is_some_and(is_chunked) {
            bytes.chunks().await?
        } else if let Some(length) = response.header("content-length") {
            bytes.exactly(length.parse().map_err(|_| io::ErrorKind::InvalidData)?).await?
        } else {
            bytes.rest().await?
        };
        Ok(response)
    }
}

/// A header line: name as it came, value in bytes.
type Line = (String, Vec<u8>);

fn parse_head(head: &[u8]) -> Option<(u16, Vec<Line>)> {
    let mut lines = head.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let status = str::from_utf8(lines.next()?).ok()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let header = |line: &[u8]| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        Some((String::from_utf8(line[..colon].to_vec()).ok()?, line[colon + 1..].trim_ascii().to_vec()))
    };
    Some((status, lines.filter(|line| !line.is_empty()).map(header).collect::<Option<_>>()?))
}

/// What has been received and not been used yet.
struct Bytes<'a> {
    stream: &'a mut TcpStream,
    buffer: Vec<u8>,
}

impl Bytes<'_> {
    async fn more(&mut self) -> io::Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    async fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.more().await?;
        }
        let rest = self.buffer.split_off(length);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    /// Up to and including `end`.
    async fn until(&mut self, end: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|window| window == end) {
                return self.exactly(at + end.len()).await;
            }
            self.more().await?;
        }
    }

    async fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.until(b"\r\n").await?;
            let digits = line.split(|byte| b";\r".contains(byte)).next().and_then(|digits| str::from_utf8(digits).ok());
            let length = digits.and_then(|digits| usize::from_str_radix(digits.trim(), 16).ok());
            let length = length.ok_or(io::ErrorKind::InvalidData)?;
            if length == 0 {
                return Ok(body);
            }
            body.extend(self.exactly(length).await?);
            self.exactly(2).await?;
        }
    }

    async fn rest(&mut self) -> io::Result<Vec<u8>> {
        self.stream.read_to_end(&mut self.buffer).await?;
        Ok(std::mem::take(&mut self.buffer))
    }
}

/// A `Set-Cookie` line, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetCookie {
    /// The cookie's name.
    pub name: String,
    /// Its value, as it came.
    pub value: String,
    /// The attributes in their order: name in lowercase, value if it has one.
    pub attributes: Vec<(String, Option<String>)>,
}

impl SetCookie {
    /// Takes a line apart, as a browser does.
    ///
    /// ```
    /// # use session_testing::http::SetCookie;
    /// let cookie = SetCookie::parse("id=7; Path=/; Max-Age=0; Secure");
    /// assert_eq!((cookie.name.as_str(), cookie.value.as_str()), ("id", "7"));
    /// assert_eq!(cookie.attribute("Path"), Some("/"));
    /// assert!(cookie.has("secure") && cookie.removes());
    /// ```
    #[must_use]
    pub fn parse(line: &str) -> Self {
        let mut parts = line.split(';').map(str::trim);
        let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).unwrap_or_default();
        let attribute = |part: &str| match part.split_once('=') {
            Some((name, value)) => (name.to_ascii_lowercase(), Some(value.to_owned())),
            None => (part.to_ascii_lowercase(), None),
        };
        Self { name: name.to_owned(), value: value.to_owned(), attributes: parts.map(attribute).collect() }
    }

    /// The value of an attribute.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let name = name.to_ascii_lowercase();
        self.attributes.iter().find(|(other, _)| *other == name)?.1.as_deref()
    }

    /// Whether there is such an attribute, with or without a value.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.attributes.iter().any(|(other, _)| other.eq_ignore_ascii_case(name))
    }

    /// Whether the browser is to forget the cookie. `Max-Age` counts before `Expires` (RFC 6265bis, 5.7).
    #[must_use]
    pub fn removes(&self) -> bool {
        match self.attribute("max-age") {
            Some(seconds) => seconds.parse::<i64>().is_ok_and(|seconds| seconds <= 0),
            None => self.attribute("expires").is_some_and(|date| date.contains("1970")),
        }
    }
}

/// The cookies of one browser, by their names; one host, no paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jar(BTreeMap<String, String>);

impl Jar {
    /// Does what the response's `Set-Cookie` lines say.
    pub fn keep(&mut self, response: &Response) {
        for cookie in response.cookies() {
            if cookie.removes() {
                self.0.remove(&cookie.name);
            } else {
                self.0.insert(cookie.name, cookie.value);
            }
        }
    }

    /// Puts a cookie in.
    ///
    /// ```
    /// # use session_testing::http::Jar;
    /// let mut jar = Jar::default();
    /// jar.put("a", "1");
    /// jar.put("b", "2");
    /// assert_eq!(jar.line().as_deref(), Some("a=1; b=2"));
    /// ```
    pub fn put(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// The value of a cookie.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Takes a cookie out.
    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// What stands in the `Cookie` line.
    #[must_use]
    pub fn line(&self) -> Option<String> {
        let pairs: Vec<_> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Some(pairs.join("; ")).filter(|line| !line.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// A server that answers one connection with these bytes and closes.
    async fn saying(bytes: &'static [u8]) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut request).await.unwrap();
            }
            for byte in bytes {
                stream.write_all(&[*byte]).await.unwrap();
            }
        });
        Client::new(address).limit(Duration::from_secs(2))
    }

    #[tokio::test]
    async fn bodies_come_whole_in_every_framing() {
        for bytes in [
            &b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello and more"[..],
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\nhello",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        ] {
            let response = saying(bytes).await.get("/").send().await.unwrap();
            assert_eq!((response.status, response.text().as_str()), (200, "hello"));
        }
    }

    #[tokio::test]
    async fn headers_come_in_order_with_every_byte() {
        let client = saying(b"HTTP/1.1 304 Not Modified\r\nB: 1\r\na:  \xff\x80 \r\nb: 2\r\n\r\n").await;
        let response = client.get("/").send().await.unwrap();
        assert_eq!(response.headers[1], ("a".to_owned(), b"\xff\x80".to_vec()));
        assert_eq!(response.all("b"), ["1", "2"]);
        assert_eq!(response.header("B").as_deref(), Some("1, 2"));
    }

    #[tokio::test]
    async fn what_is_no_response_is_an_error() {
        for (bytes, kind) in [
            (&b""[..], io::ErrorKind::UnexpectedEof),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello", io::ErrorKind::UnexpectedEof),
            (b"HTTP/1.1 what\r\n\r\n", io::ErrorKind::InvalidData),
            (b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", io::ErrorKind::InvalidData),
        ] {
            assert_eq!(saying(bytes).await.get("/").send().await.unwrap_err().kind(), kind);
        }
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_is_left_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::new(listener.local_addr().unwrap()).limit(Duration::from_millis(20));
        assert_eq!(client.get("/").send().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn requests_are_the_bytes_one_asked_for() {
        let client = Client::new(([127, 0, 0, 1], 80).into());
        let bytes = client.post("/x?y").header("a", b"\xff").cookie("id", "7").body("hi").bytes();
        assert_eq!(
            bytes,
            b"POST /x?y HTTP/1.1\r\nhost: 127.0.0.1:80\r\nconnection: close\r\na: \xff\r\ncookie: id=7\r\ncontent-length: 2\r\n\r\nhi"
        );
    }

    #[tokio::test]
    async fn a_jar_keeps_the_last_value_and_forgets_what_is_removed() {
        let mut jar = Jar::default();
        let client =
            saying(b"HTTP/1.1 204 No\r\nSet-Cookie: a=1\r\nset-cookie: a=2; Path=/\r\nset-cookie: b=3\r\n\r\n").await;
        jar.keep(&client.get("/").send().await.unwrap());
        assert_eq!(jar.line().as_deref(), Some("a=2; b=3"));
        let client = saying(b"HTTP/1.1 204 No\r\nSet-Cookie: a=; Max-Age=0\r\nset-cookie: b=; expires=Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n").await;
        jar.keep(&client.get("/").send().await.unwrap());
        assert_eq!(jar, Jar::default());
    }
}
