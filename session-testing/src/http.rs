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

mod jar;
mod response;
mod set_cookie;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

pub use self::jar::Jar;
pub use self::response::Response;
pub use self::set_cookie::SetCookie;

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
    ///
    /// ```
    /// # use session_testing::http::Client;
    /// # let client = Client::new(([127, 0, 0, 1], 3000).into());
    /// let client = client.limit(std::time::Duration::from_millis(20));
    /// assert_eq!(client.address().port(), 3000);
    /// ```
    #[must_use]
    pub const fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Whom it talks to.
    ///
    /// ```
    /// # use session_testing::http::Client;
    /// # let client = Client::new(([127, 0, 0, 1], 3000).into());
    /// assert!(client.address().ip().is_loopback());
    /// ```
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// A `GET` of `target`, path and query.
    ///
    /// ```
    /// # use session_testing::http::Client;
    /// # let client = Client::new(([127, 0, 0, 1], 3000).into());
    /// assert!(client.get("/a?b").bytes().starts_with(b"GET /a?b HTTP/1.1\r\n"));
    /// ```
    pub fn get(&self, target: &str) -> Request {
        self.request("GET", target)
    }

    /// A `POST`, with an empty body unless it gets one.
    ///
    /// ```
    /// # use session_testing::http::Client;
    /// # let client = Client::new(([127, 0, 0, 1], 3000).into());
    /// assert!(client.post("/").bytes().ends_with(b"content-length: 0\r\n\r\n"));
    /// ```
    pub fn post(&self, target: &str) -> Request {
        self.request("POST", target).body("")
    }

    /// A request with any method.
    ///
    /// ```
    /// # use session_testing::http::Client;
    /// # let client = Client::new(([127, 0, 0, 1], 3000).into());
    /// assert!(client.request("PUT", "/").bytes().starts_with(b"PUT / "));
    /// ```
    pub fn request(&self, method: &str, target: &str) -> Request {
        let head = format!("{method} {target} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.address);
        Request { client: *self, head: head.into_bytes(), body: None }
    }

    /// Sends these bytes, whatever they are, and reads a response.
    ///
    /// # Errors
    /// As [`Request::send`].
    ///
    /// ```
    /// # use session_testing::http::Client;
    /// # use tokio::io::{AsyncReadExt, AsyncWriteExt};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let client = Client::new(listener.local_addr()?);
    /// # tokio::spawn(async move {
    /// #     let (mut stream, _) = listener.accept().await.unwrap();
    /// #     let _ = stream.read(&mut [0; 1024]).await;
    /// #     stream.write_all(b"HTTP/1.1 200 OK\r\nVary: A\r\nvary: B\r\nSet-Cookie: id=6\r\nSet-Cookie: id=7\r\nContent-Length: 2\r\n\r\nhi").await
    /// # });
    /// let response = client.raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await?;
    /// assert_eq!(response.status, 200);
    /// # Ok::<(), std::io::Error>(()) }).unwrap();
    /// ```
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
    ///
    /// ```
    /// # use session_testing::http::Client;
    /// # let client = Client::new(([127, 0, 0, 1], 3000).into());
    /// let bytes = client.get("/").header("x-odd", b"\xff").bytes();
    /// assert!(bytes.ends_with(b"x-odd: \xff\r\n\r\n"));
    /// ```
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.head.extend_from_slice(name.as_bytes());
        self.head.extend_from_slice(b": ");
        self.head.extend_from_slice(value.as_ref());
        self.head.extend_from_slice(b"\r\n");
        self
    }

    /// One more `Cookie` line, with this cookie. The value may be any bytes.
    ///
    /// ```
    /// # use session_testing::http::Client;
    /// # let client = Client::new(([127, 0, 0, 1], 3000).into());
    /// assert!(client.get("/").cookie("id", "7").bytes().ends_with(b"cookie: id=7\r\n\r\n"));
    /// ```
    pub fn cookie(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.header("cookie", [name.as_bytes(), b"=", value.as_ref()].concat())
    }

    /// One `Cookie` line with all cookies of `jar`; none if it is empty.
    ///
    /// ```
    /// # use session_testing::http::Client;
    /// # let client = Client::new(([127, 0, 0, 1], 3000).into());
    /// let mut jar = session_testing::http::Jar::default();
    /// jar.put("id", "7");
    /// assert!(client.get("/").jar(&jar).bytes().ends_with(b"cookie: id=7\r\n\r\n"));
    /// ```
    pub fn jar(self, jar: &Jar) -> Self {
        match jar.line() {
            Some(line) => self.header("cookie", line),
            None => self,
        }
    }

    /// The body, with its length.
    ///
    /// ```
    /// # use session_testing::http::Client;
    /// # let client = Client::new(([127, 0, 0, 1], 3000).into());
    /// assert!(client.post("/").body("a=1").bytes().ends_with(b"content-length: 3\r\n\r\na=1"));
    /// ```
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sends it and reads the response.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] if the server closed the connection without a response, as several do when a
    /// handler panics; [`io::ErrorKind::InvalidData`] if what came is no HTTP/1.1; [`io::ErrorKind::TimedOut`].
    ///
    /// ```
    /// # use session_testing::http::Client;
    /// # use tokio::io::{AsyncReadExt, AsyncWriteExt};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let client = Client::new(listener.local_addr()?);
    /// # tokio::spawn(async move {
    /// #     let (mut stream, _) = listener.accept().await.unwrap();
    /// #     let _ = stream.read(&mut [0; 1024]).await;
    /// #     stream.write_all(b"HTTP/1.1 200 OK\r\nVary: A\r\nvary: B\r\nSet-Cookie: id=6\r\nSet-Cookie: id=7\r\nContent-Length: 2\r\n\r\nhi").await
    /// # });
    /// let response = client.get("/").send().await?;
    /// assert_eq!(response.body, b"hi");
    /// # Ok::<(), std::io::Error>(()) }).unwrap();
    /// ```
    pub async fn send(self) -> io::Result<Response> {
        self.client.raw(&self.bytes()).await
    }

    /// Sends it, but doesn't wait for the response. The connection stays open until somebody leaves.
    ///
    /// # Errors
    /// If the server can't be reached.
    ///
    /// ```
    /// # use session_testing::http::Client;
    /// # use tokio::io::{AsyncReadExt, AsyncWriteExt};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let client = Client::new(listener.local_addr()?);
    /// # tokio::spawn(async move {
    /// #     let (mut stream, _) = listener.accept().await.unwrap();
    /// #     let _ = stream.read(&mut [0; 1024]).await;
    /// #     stream.write_all(b"HTTP/1.1 200 OK\r\nVary: A\r\nvary: B\r\nSet-Cookie: id=6\r\nSet-Cookie: id=7\r\nContent-Length: 2\r\n\r\nhi").await
    /// # });
    /// let started = client.get("/").start().await?;
    /// // … meanwhile …
    /// assert_eq!(started.finish().await?.status, 200);
    /// # Ok::<(), std::io::Error>(()) }).unwrap();
    /// ```
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
    ///
    /// ```
    /// # use session_testing::http::Client;
    /// # let client = Client::new(([127, 0, 0, 1], 3000).into());
    /// assert!(client.get("/").bytes().ends_with(b"connection: close\r\n\r\n"));
    /// ```
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
    ///
    /// ```
    /// # use session_testing::http::Client;
    /// # use tokio::io::{AsyncReadExt, AsyncWriteExt};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let client = Client::new(listener.local_addr()?);
    /// # tokio::spawn(async move {
    /// #     let (mut stream, _) = listener.accept().await.unwrap();
    /// #     let _ = stream.read(&mut [0; 1024]).await;
    /// #     stream.write_all(b"HTTP/1.1 200 OK\r\nVary: A\r\nvary: B\r\nSet-Cookie: id=6\r\nSet-Cookie: id=7\r\nContent-Length: 2\r\n\r\nhi").await
    /// # });
    /// assert_eq!(client.get("/").start().await?.finish().await?.text(), "hi");
    /// # Ok::<(), std::io::Error>(()) }).unwrap();
    /// ```
    pub async fn finish(mut self) -> io::Result<Response> {
        self.client.within(Response::read(&mut self.stream, false)).await
    }

    /// Leaves with a TCP reset, as a process that was killed does.
    ///
    /// # Errors
    /// If the operating system refuses.
    ///
    /// ```
    /// # use session_testing::http::Client;
    /// # use tokio::io::{AsyncReadExt, AsyncWriteExt};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let client = Client::new(listener.local_addr()?);
    /// # tokio::spawn(async move {
    /// #     let (mut stream, _) = listener.accept().await.unwrap();
    /// #     let _ = stream.read(&mut [0; 1024]).await;
    /// #     stream.write_all(b"HTTP/1.1 200 OK\r\nVary: A\r\nvary: B\r\nSet-Cookie: id=6\r\nSet-Cookie: id=7\r\nContent-Length: 2\r\n\r\nhi").await
    /// # });
    /// let started = client.get("/").start().await?;
    /// assert!(started.reset().is_ok());
    /// # Ok::<(), std::io::Error>(()) }).unwrap();
    /// ```
    pub fn reset(self) -> io::Result<()> {
        self.stream.set_zero_linger()
    }

    /// Leaves with a FIN, as a browser does whose user pressed "stop".
    ///
    /// ```
    /// # use session_testing::http::Client;
    /// # use tokio::io::AsyncReadExt;
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let client = Client::new(listener.local_addr()?);
    /// client.get("/").start().await?.close();
    ///
    /// let (mut server, _) = listener.accept().await?;
    /// let mut request = Vec::new();
    /// server.read_to_end(&mut request).await?;
    /// assert!(request.starts_with(b"GET / "));
    /// # Ok::<(), std::io::Error>(()) }).unwrap();
    /// ```
    pub fn close(self) {
        drop(self);
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
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
