//! Sends requests to an application in this process: first makes them, then sends them in one go.

use std::hint::black_box;

use tokio::runtime::{Builder, Runtime};
use tokio::task::{LocalSet, unconstrained};

use crate::answer::{Answer, forged};
use crate::measured::measured;
use crate::work::{Size, Unit};

/// One application: a framework with some session layer, and the six routes of [`Unit`] and [`Size`].
#[expect(async_fn_in_trait, reason = "everything runs on one thread")]
pub trait App: 'static {
    type Request;
    type Response;

    /// A `GET` of `path` with these `Cookie` lines.
    fn request(&self, path: &str, cookies: &[&str]) -> Self::Request;

    /// The measured part.
    async fn call(&self, request: Self::Request) -> Self::Response;

    /// Reads the response; not measured.
    async fn answer(&self, response: Self::Response) -> Answer;
}

/// What can be measured, whatever the framework's types are.
pub trait Contender {
    /// Makes `count` requests of a unit ready, after it has seen that the application does what the unit says.
    fn prepare(&mut self, unit: Unit, size: Size, count: usize);

    /// Sends those requests. Nothing else happens here.
    fn run(&mut self);

    /// From the next `prepare` on the session's cookie comes behind these, on one line.
    fn surround(&mut self, others: &str);
}

/// Drives one application on a runtime of its own.
pub struct Driver<A: App> {
    app: A,
    local: LocalSet,
    runtime: Runtime,
    ready: Vec<A::Request>,
    kind: Kind,
    /// More `Cookie` pairs, of others, that come before the session's on the same line.
    others: String,
}

/// Whether there are sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The framework alone: it gets cookies as long as the others', and looks at none.
    Bare,
    /// A session layer on it.
    Sessions,
}

impl<A: App> Driver<A> {
    /// Makes the application inside the runtime, because some frameworks need it there.
    ///
    /// # Panics
    /// If the system gives no runtime.
    pub fn new(kind: Kind, make: impl AsyncFnOnce() -> A) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let local = LocalSet::new();
        let app = local.block_on(&runtime, make());
        Self { app, local, runtime, ready: Vec::new(), kind, others: String::new() }
    }

    fn ask(&self, path: &str, cookies: &[&str]) -> Answer {
        self.local.block_on(&self.runtime, async {
            let response = self.app.call(self.app.request(path, cookies)).await;
            self.app.answer(response).await
        })
    }

    /// The `Cookie` line of a session that has just begun.
    fn begin(&self, size: Size) -> String {
        if self.kind == Kind::Bare {
            return format!("id={}", "A".repeat(86));
        }
        let answer = self.ask(size.path(), &[]);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.cookie()
    }

    fn line(&self, unit: Unit, size: Size) -> Option<String> {
        let cookie = match unit {
            Unit::NoCookie => return None,
            Unit::Untouched | Unit::Read | Unit::Write | Unit::Login => self.begin(size),
            Unit::Forged => forged(&self.begin(size)),
        };
        Some(format!("{}{cookie}", self.others))
    }

    /// A contender that doesn't do its work must not be measured.
    fn check(&self, unit: Unit, size: Size) {
        let line = self.line(unit, size);
        let answer = self.ask(unit.path(), &lines(&line));
        assert_eq!(answer.status, 200, "{unit:?} {size:?}");
        if self.kind == Kind::Bare {
            return;
        }
        assert_eq!(answer.body, unit.body(), "{unit:?} {size:?}");
        let now = match answer.cookie() {
            cookie if cookie.is_empty() => line.clone().unwrap_or_default(),
            cookie => cookie,
        };
        match unit {
            Unit::Write => assert_eq!(self.ask(Unit::Read.path(), &[&now]).body, "42", "what was written is read"),
            Unit::Login => {
                assert_ne!(Some(&now), line.as_ref(), "a login gives a new cookie");
                assert_eq!(self.ask(Unit::Read.path(), &[&now]).body, "41", "and keeps the data");
            }
            _ => {}
        }
    }
}

impl<A: App> Contender for Driver<A> {
    fn prepare(&mut self, unit: Unit, size: Size, count: usize) {
        self.check(unit, size);
        let one = self.line(unit, size);
        self.ready.clear();
        self.ready.reserve_exact(count);
        for _ in 0..count {
            // A login ends its session's id, so each needs a session of its own.
            let line = if unit == Unit::Login { self.line(unit, size) } else { one.clone() };
            let request = self.app.request(unit.path(), &lines(&line));
            self.ready.push(request);
        }
    }

    fn surround(&mut self, others: &str) {
        others.clone_into(&mut self.others);
    }

    fn run(&mut self) {
        let Self { app, local, runtime, ready, .. } = self;
        measured(|| {
            local.block_on(
                runtime,
                unconstrained(async {
                    for request in ready.drain(..) {
                        black_box(app.call(request).await);
                    }
                }),
            );
        });
    }
}

fn lines(line: &Option<String>) -> Vec<&str> {
    line.iter().map(String::as_str).collect()
}
