//! Somebody at a terminal, and what they must never get to see.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, process};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;
use session_core::{KeyRing, SessionManager, SessionManagerBuilder};
use session_testing::visitor;

pub(crate) const SECRET: &str = "8f1c5a09b7e34d62a0c9f8371be245d6013a7c4f9e82b56d70e1d3c4a5968b2f";
pub(crate) const OTHER: &str = "c0ffee11223344556677889900aabbccddeeff0123456789abcdef9876543210";

pub(crate) fn ring(text: &str) -> KeyRing {
    KeyRing::parse(text).unwrap()
}

/// Runs the program with nothing of this process's environment that it knows.
#[derive(Default)]
pub(crate) struct Operator {
    environment: Vec<(String, String)>,
    forbidden: Vec<String>,
}

pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Operator {
    /// Who has the application's secret in the environment.
    pub(crate) fn new() -> Self {
        Self::default().secret("SESSION_SECRET", SECRET)
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A variable whose value never shows.
    pub(crate) fn secret(self, name: &str, value: &str) -> Self {
        let forbidden = value.split(',').map(str::to_owned).collect::<Vec<_>>();
        let mut operator = self.env(name, value);
        operator.forbidden.extend(forbidden);
        operator
    }

    /// A cookie never shows, nor the id in it, in any spelling.
    pub(crate) fn forbid(&mut self, cookie: &str) {
        let value = cookie.split_once('=').unwrap().1;
        self.forbidden.push(value.to_owned());
        if let Ok(bytes) = URL_SAFE_NO_PAD.decode(value)
            && bytes.len() == 69
        {
            let id = &bytes[5..37];
            let hex = id.iter().map(|byte| format!("{byte:02x}")).collect();
            self.forbidden.extend([hex, URL_SAFE_NO_PAD.encode(id), STANDARD.encode(id), value[8..40].to_owned()]);
        }
    }

    pub(crate) fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Ran {
        self.run_with(arguments, "")
    }

    pub(crate) fn run_with<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>, stdin: &str) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sessionctl"));
        for name in ["STORE", "SESSION_SECRET", "SESSION_COOKIE_NAME", "SESSION_APPLICATION"] {
            command.env_remove(name);
        }
        let pairs = self.environment.iter().map(|(name, value)| (name, value));
        command.args(arguments).envs(pairs).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A program that refuses doesn't read.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let ran = Ran { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) };
        for forbidden in &self.forbidden {
            assert!(!ran.stdout.contains(forbidden) && !ran.stderr.contains(forbidden), "it shows {forbidden}");
        }
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
        ran
    }

    /// The answer to a program.
    pub(crate) fn json<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> (i32, Value) {
        self.json_with(arguments, "")
    }

    pub(crate) fn json_with<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
        stdin: &str,
    ) -> (i32, Value) {
        let arguments = arguments.into_iter().map(|argument| argument.as_ref().to_owned()).chain(["--json".into()]);
        let Ran { code, stdout, stderr } = self.run_with(arguments, stdin);
        let text = if stdout.is_empty() { &stderr } else { &stdout };
        (code, serde_json::from_str(text).unwrap_or_else(|error| unreachable!("{error}: {text}")))
    }

    /// A session of `subject` as an application makes it, and its cookie.
    pub(crate) async fn visit(&mut self, builder: SessionManagerBuilder, subject: &str) -> String {
        self.visit_with(&builder.build().unwrap(), subject).await
    }

    pub(crate) async fn visit_with(&mut self, manager: &SessionManager, subject: &str) -> String {
        let cookie = visitor::cookie(manager, |session| {
            session.login(subject)?;
            session.label("Firefox \u{1b}[2J\u{202e}on Linux")?;
            session.insert("cart", ["tea", "\u{9b}cake"])?;
            session.csrf_token().map(drop)
        });
        let cookie = cookie.await.unwrap();
        self.forbid(&cookie);
        cookie
    }
}

/// A folder of this test's own that goes with it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("sessionctl-{}-{number}", process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
