//! Labs as child processes, and what all black-box tests need to talk to them.
#![allow(dead_code, reason = "each test file uses its part of this")]

use std::fmt::Write as _;
use std::future::Future;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use session_testing::http::{Client, Jar, Request, Response};
use tokio::task::JoinSet;

pub(crate) const LABS: [(&str, &str); 4] = [
    ("axum", env!("CARGO_BIN_EXE_lab-axum")),
    ("actix", env!("CARGO_BIN_EXE_lab-actix")),
    ("rocket", env!("CARGO_BIN_EXE_lab-rocket")),
    ("warp", env!("CARGO_BIN_EXE_lab-warp")),
];
pub(crate) const MODES: [&str; 3] = ["memory:", "sealed:", "signed:"];
pub(crate) const COOKIE: &str = "__Host-id";
pub(crate) const SECRET: &str = "8f1c5a09b7e34d62a0c9f8371be245d6013a7c4f9e82b56d70e1d3c4a5968b2f";
pub(crate) const NEWER_SECRET: &str = "2d94e0b17ac35f8862b1d7094ec3fa58a6170d9b3ce8f25441790acbde638f10";
/// For tests that have no fault in mind: a disk that others keep busy is none.
pub(crate) const PATIENT: (&str, &str) = ("LAB_STORE_TIMEOUT_MS", "10000");
pub(crate) const NOBODY: &str = r#"{"user":null,"k":null}"#;

const PATIENCE: Duration = Duration::from_secs(20);

/// A running lab. It ends with this value.
pub(crate) struct Lab {
    pub(crate) name: &'static str,
    pub(crate) client: Client,
    admin: Client,
    child: Child,
    stdout: Printed,
    stderr: Printed,
}

type Printed = Arc<Mutex<String>>;

impl Lab {
    pub(crate) fn start(name: &'static str, variables: &[(&str, &str)]) -> Self {
        let mut child = command(name, variables)
            .env("LAB_BIND", "127.0.0.1:0")
            .env("LAB_ADMIN", "127.0.0.1:0")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdout, stderr) = (Printed::default(), Printed::default());
        let listening = follow(child.stdout.take().unwrap(), "listening on http://", &stdout);
        let admin = follow(child.stderr.take().unwrap(), "admin on http://", &stderr);
        let [client, admin] = [listening, admin].map(|address| {
            let Ok(address) = address.recv_timeout(PATIENCE) else {
                let _ = child.kill();
                panic!("lab-{name} did not start: {}", stderr.lock().unwrap());
            };
            Client::new(address).limit(PATIENCE)
        });
        Self { name, client, admin, child, stdout, stderr }
    }

    pub(crate) async fn stats(&self) -> Value {
        let response = self.admin.get("/stats").send().await.unwrap();
        assert_eq!(response.status, 200);
        serde_json::from_slice(&response.body).unwrap()
    }

    pub(crate) async fn sweep(&self) -> String {
        self.admin.post("/sweep").send().await.unwrap().text()
    }

    /// What it printed on standard error so far.
    pub(crate) fn log(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal such as `STOP`.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(self.pid().to_string()).status();
        assert!(sent.unwrap().success());
    }

    /// Ends the lab and gives everything it printed: standard output, standard error.
    pub(crate) fn end(mut self) -> (String, String) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        (whole(&self.stdout), whole(&self.stderr))
    }
}

/// What was printed, once its follower has let go because the pipe is empty.
fn whole(printed: &Printed) -> String {
    let until = Instant::now() + PATIENCE;
    while Arc::strong_count(printed) > 1 {
        assert!(Instant::now() < until, "the output has no end");
        thread::sleep(Duration::from_millis(2));
    }
    std::mem::take(&mut *printed.lock().unwrap())
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A lab that is expected to refuse: runs it to its end.
pub(crate) fn refused(name: &'static str, variables: &[(&str, &str)]) -> Output {
    let mut child = command(name, &[("LAB_BIND", "127.0.0.1:0")])
        .envs(variables.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let until = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > until {
            let _ = child.kill();
            panic!("lab-{name} starts with {variables:?}");
        }
        thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().unwrap()
}

fn command(name: &str, variables: &[(&str, &str)]) -> Command {
    let (_, program) = LABS.into_iter().find(|(lab, _)| *lab == name).unwrap();
    let mut command = Command::new(program);
    command.env_clear().envs(variables.iter().copied()).stdin(Stdio::null());
    command
}

/// Keeps what comes, and tells the address behind `mark`.
fn follow(stream: impl Read + Send + 'static, mark: &'static str, printed: &Printed) -> Receiver<SocketAddr> {
    let (sender, address): (Sender<SocketAddr>, _) = channel();
    let printed = Arc::clone(printed);
    thread::spawn(move || {
        let mut lines = BufReader::new(stream);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            let text = String::from_utf8_lossy(&line);
            if let Some((_, address)) = text.split_once(mark) {
                let _ = sender.send(address.trim().parse().unwrap());
            }
            printed.lock().unwrap().push_str(&text);
            line.clear();
        }
    });
    address
}

/// Starts the four labs and runs `test` on all of them at once.
pub(crate) async fn on_all<F>(variables: &[(&str, &str)], test: impl Fn(Arc<Lab>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let labs = LABS.map(|(name, _)| Lab::start(name, variables));
    at_once(labs.into_iter().map(|lab| test(Arc::new(lab)))).await;
}

/// As `on_all`, with every kind of session: twelve labs.
pub(crate) async fn on_all_in_every_mode<F>(variables: &[(&str, &str)], test: impl Fn(Arc<Lab>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut labs = Vec::new();
    for mode in MODES {
        let variables = [&[("LAB_STORE", mode), ("LAB_SECRETS", SECRET)], variables].concat();
        labs.extend(LABS.map(|(name, _)| Lab::start(name, &variables)));
    }
    at_once(labs.into_iter().map(|lab| test(Arc::new(lab)))).await;
}

/// Runs all of them at the same time, and fails with the first that fails.
pub(crate) async fn at_once(tests: impl IntoIterator<Item = impl Future<Output = ()> + Send + 'static>) {
    let mut tests: JoinSet<()> = tests.into_iter().collect();
    while let Some(outcome) = tests.join_next().await {
        if let Err(error) = outcome {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

/// One browser at one lab: what comes as a cookie is sent with the next request.
pub(crate) struct Browser {
    pub(crate) lab: Arc<Lab>,
    pub(crate) jar: Jar,
}

impl Browser {
    pub(crate) fn new(lab: &Arc<Lab>) -> Self {
        Self { lab: Arc::clone(lab), jar: Jar::default() }
    }

    /// `line` is a method and a target, such as `GET /peek`.
    pub(crate) fn request(&self, line: &str) -> Request {
        ask(&self.lab.client, line).jar(&self.jar)
    }

    pub(crate) async fn send(&mut self, line: &str) -> Response {
        let response = self.request(line).send().await;
        let response = response.unwrap_or_else(|error| panic!("{}: {line}: {error}", self.lab.name));
        self.jar.keep(&response);
        response
    }

    /// Sends and expects this status and body.
    pub(crate) async fn expect(&mut self, line: &str, answer: &str) -> Response {
        let response = self.send(line).await;
        assert_eq!(format!("{} {}", response.status, response.text()), answer, "{}: {line}", self.lab.name);
        response
    }

    pub(crate) fn cookie(&self) -> String {
        self.jar.get(COOKIE).unwrap_or_else(|| panic!("{}: no session cookie", self.lab.name)).to_owned()
    }
}

pub(crate) fn ask(client: &Client, line: &str) -> Request {
    match line.split_once(' ').unwrap() {
        ("POST", target) => client.post(target),
        (method, target) => client.request(method, target),
    }
}

/// What the session with this cookie is at `lab`.
pub(crate) async fn peek(lab: &Lab, cookie: &str) -> String {
    let response = lab.client.get("/peek?k=k").cookie(COOKIE, cookie).send().await.unwrap();
    assert_eq!(response.status, 200, "{}", lab.name);
    response.text()
}

/// Everything that an adapter decides about a response, as one line; values of session cookies masked.
pub(crate) fn summary(response: &Response) -> String {
    let mut line = format!("{} {}", response.status, response.text());
    for cookie in response.cookies() {
        let value = if cookie.name == COOKIE && !cookie.value.is_empty() { "…" } else { &cookie.value };
        let _ = write!(line, " | set-cookie: {}={value}", cookie.name);
        for (name, value) in &cookie.attributes {
            let _ = write!(line, "; {name}={}", value.as_deref().unwrap_or_default());
        }
    }
    for name in ["vary", "cache-control", "location", "content-type"] {
        if let Some(value) = response.header(name) {
            let _ = write!(line, " | {name}: {value}");
        }
    }
    line
}

/// Numbers that look random and are the same in each run (xorshift64*).
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        println!("seed {seed}");
        Self(seed)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % bound
    }

    pub(crate) fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}
