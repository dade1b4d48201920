//! A very small browser, and what people do with the examples in it: each example's test starts its own program and
//! plays this.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Longer than a slow machine needs to start a program or to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running example, on a free port of this machine. It ends when this is dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    address: SocketAddr,
}

impl Program {
    /// Starts the program at `path` in `folder`, with these variables, such as `STORE`, in its environment, and waits until it
    /// has printed the URL it listens at.
    ///
    /// # Errors
    /// If it can't be started, or prints no URL within half a minute.
    ///
    /// ```
    /// use example_common::browser::Program;
    /// assert!(Program::start("/no/such/program", ".".as_ref(), &[]).is_err());
    /// ```
    pub fn start(path: &str, folder: &Path, variables: &[(&str, &str)]) -> io::Result<Self> {
        let mut command = Command::new(path);
        command.current_dir(folder).env_remove("STORE").env_remove("SESSION_SECRET");
        command.envs(variables.iter().copied()).arg("127.0.0.1:0").stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let stdout = child.stdout.take();
        // From here on, whatever happens ends the child.
        let mut program = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let (send, receive) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines()).map_while(Result::ok) {
                let url = line.split(' ').find_map(|word| word.strip_prefix("http://")?.strip_suffix('/'));
                if let Some(address) = url.and_then(|address| address.parse().ok()) {
                    // Nobody waits any more if this fails; reading on keeps the program's stdout open.
                    let _ = send.send(address);
                }
            }
        });
        program.address = receive.recv_timeout(PATIENCE).map_err(|_| io::Error::other("the program printed no URL"))?;
        Ok(program)
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// A new browser that knows no cookies yet.
    #[must_use]
    pub const fn browser(&self) -> Browser {
        Browser { address: self.address, cookies: BTreeMap::new() }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps cookies, follows nothing by itself, and asks for pages as a person's browser does.
#[derive(Clone, Debug)]
pub struct Browser {
    address: SocketAddr,
    cookies: BTreeMap<String, String>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The header lines, names in lowercase, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Browser {
    /// Asks for a page.
    ///
    /// # Errors
    /// If no whole answer comes within half a minute.
    pub fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.request(&format!("GET {path} HTTP/1.0\r\naccept: text/html\r\n"), "")
    }

    /// Asks for a page as curl does, which takes anything.
    ///
    /// # Errors
    /// As [`Browser::get`].
    pub fn get_plain(&mut self, path: &str) -> io::Result<Answer> {
        self.request(&format!("GET {path} HTTP/1.0\r\naccept: */*\r\n"), "")
    }

    /// Sends a form, written as `name=value&name=value`.
    ///
    /// # Errors
    /// As [`Browser::get`].
    pub fn post(&mut self, path: &str, form: &str) -> io::Result<Answer> {
        let length = form.len();
        let head = format!(
            "POST {path} HTTP/1.0\r\naccept: text/html\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n"
        );
        self.request(&head, form)
    }

    /// The value of the cookie `id`.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.cookies.get("id").map(String::as_str)
    }

    /// Goes on at another program with the cookies it has, as a browser does when a server was restarted.
    pub const fn moves_to(&mut self, program: &Program) {
        self.address = program.address;
    }

    /// Takes this for its cookie `id`, as somebody would who made it up.
    pub fn claim(&mut self, id: &str) {
        self.cookies.insert("id".to_owned(), id.to_owned());
    }

    /// HTTP 1.0, so that the answer ends with the connection and comes in one piece.
    fn request(&mut self, head: &str, body: &str) -> io::Result<Answer> {
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = if cookies.is_empty() { String::new() } else { format!("cookie: {}\r\n", cookies.join("; ")) };
        stream.write_all(format!("{head}host: {}\r\n{cookies}\r\n{body}", self.address).as_bytes())?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let answer = Answer::read(&text).ok_or_else(|| io::Error::other("the answer is no HTTP"))?;
        for line in answer.all("set-cookie") {
            self.keep(line);
        }
        Ok(answer)
    }

    fn keep(&mut self, line: &str) {
        let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
        if let Some((name, value)) = pair.split_once('=') {
            self.cookies.insert(name.to_owned(), value.to_owned());
            if attributes.split(';').any(|attribute| attribute.trim().eq_ignore_ascii_case("max-age=0")) {
                self.cookies.remove(name);
            }
        }
    }
}

impl Answer {
    fn read(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let header =
            |line: &str| line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
        Some(Self { status, headers: lines.filter_map(header).collect(), body: body.to_owned() })
    }

    /// The values of all header lines of that name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Where a redirect leads to, with its status.
    #[must_use]
    pub fn redirect(&self) -> (u16, &str) {
        (self.status, self.all("location").next().unwrap_or_default())
    }

    /// Whether the page has this text in it.
    #[must_use]
    pub fn says(&self, text: &str) -> bool {
        self.body.contains(text)
    }
}
