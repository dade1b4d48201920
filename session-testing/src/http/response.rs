//! What a server says, to the byte.

use std::io;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::set_cookie::SetCookie;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    ///
    /// ```
    /// # use session_testing::http::Response;
    /// # let line = |name: &str, value: &[u8]| (name.to_owned(), value.to_vec());
    /// # let headers = vec![line("Vary", b"A"), line("vary", b"B"), line("Set-Cookie", b"id=6"), line("Set-Cookie", b"id=7")];
    /// let response = Response { status: 200, headers, body: b"hi".to_vec() };
    /// assert_eq!(response.all("vary"), ["A", "B"]);
    /// ```
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<String> {
        let lines = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        lines.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    /// The lines of that name as one list, as a recipient may read them (RFC 9110, 5.3); not for `Set-Cookie`.
    ///
    /// ```
    /// # use session_testing::http::Response;
    /// # let line = |name: &str, value: &[u8]| (name.to_owned(), value.to_vec());
    /// # let headers = vec![line("Vary", b"A"), line("vary", b"B"), line("Set-Cookie", b"id=6"), line("Set-Cookie", b"id=7")];
    /// let response = Response { status: 200, headers, body: b"hi".to_vec() };
    /// assert_eq!(response.header("vary").as_deref(), Some("A, B"));
    /// assert_eq!(response.header("cache-control"), None);
    /// ```
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        Some(self.all(name)).filter(|lines| !lines.is_empty()).map(|lines| lines.join(", "))
    }

    /// The body as text.
    ///
    /// ```
    /// # use session_testing::http::Response;
    /// # let line = |name: &str, value: &[u8]| (name.to_owned(), value.to_vec());
    /// # let headers = vec![line("Vary", b"A"), line("vary", b"B"), line("Set-Cookie", b"id=6"), line("Set-Cookie", b"id=7")];
    /// let response = Response { status: 200, headers, body: b"hi".to_vec() };
    /// assert_eq!(response.text(), "hi");
    /// ```
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What all `Set-Cookie` lines say, in order.
    ///
    /// ```
    /// # use session_testing::http::Response;
    /// # let line = |name: &str, value: &[u8]| (name.to_owned(), value.to_vec());
    /// # let headers = vec![line("Vary", b"A"), line("vary", b"B"), line("Set-Cookie", b"id=6"), line("Set-Cookie", b"id=7")];
    /// let response = Response { status: 200, headers, body: b"hi".to_vec() };
    /// assert_eq!(response.cookies().len(), 2);
    /// ```
    #[must_use]
    pub fn cookies(&self) -> Vec<SetCookie> {
        self.all("set-cookie").iter().map(|line| SetCookie::parse(line)).collect()
    }

    /// What the last `Set-Cookie` line for that name says: the one that counts.
    ///
    /// ```
    /// # use session_testing::http::Response;
    /// # let line = |name: &str, value: &[u8]| (name.to_owned(), value.to_vec());
    /// # let headers = vec![line("Vary", b"A"), line("vary", b"B"), line("Set-Cookie", b"id=6"), line("Set-Cookie", b"id=7")];
    /// let response = Response { status: 200, headers, body: b"hi".to_vec() };
    /// assert_eq!(response.cookie("id").unwrap().value, "7");
    /// ```
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<SetCookie> {
        self.cookies().into_iter().rfind(|cookie| cookie.name == name)
    }

    pub(super) async fn read(stream: &mut TcpStream, no_body: bool) -> io::Result<Self> {
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
