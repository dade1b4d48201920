//! Another site on this machine, not always a friendly one. It notes what browsers send it.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// What it answers to the path: further header lines, and a page.
pub(crate) type Answer = (&'static str, String, String);

#[derive(Clone)]
pub(crate) struct Neighbour {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Neighbour {
    /// Listens until the tests end. What has no answer gets an empty page.
    pub(crate) fn start(answers: Vec<Answer>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let neighbour = Self { address: listener.local_addr()?, requests: Arc::default() };
        let serving = neighbour.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (serving, answers) = (serving.clone(), answers.clone());
                // A browser opens connections that it may not use.
                thread::spawn(move || serving.answer(stream, &answers));
            }
        });
        Ok(neighbour)
    }

    fn answer(&self, mut stream: std::net::TcpStream, answers: &[Answer]) -> io::Result<()> {
        let mut head = Vec::new();
        let mut piece = [0; 4096];
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            match stream.read(&mut piece)? {
                0 => return Ok(()),
                length => head.extend_from_slice(&piece[..length]),
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let path = head.split(' ').nth(1).unwrap_or_default();
        let nothing = ("", String::new(), "<!doctype html><title>Neighbour</title>".to_owned());
        let (_, headers, page) = answers.iter().find(|(answered, ..)| *answered == path).unwrap_or(&nothing);
        let length = page.len();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{page}"
        )?;
        if path != "/favicon.ico" {
            self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(head);
        }
        Ok(())
    }

    /// The address of a page of it, by a name of this machine.
    pub(crate) fn at_host(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.address.port())
    }

    /// The cookies that came with the last request for this path; `None` if it has never been asked for.
    pub(crate) fn cookies_at(&self, path: &str) -> Option<String> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let head = requests.iter().rev().find(|head| head.split(' ').nth(1) == Some(path))?;
        let line = head.lines().find_map(|line| line.to_lowercase().starts_with("cookie:").then(|| line[7..].trim()));
        Some(line.unwrap_or_default().to_owned())
    }
}
