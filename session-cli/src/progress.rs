//! How far it has come, for somebody who watches.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::time::{Duration, Instant};

const OFTEN: Duration = Duration::from_millis(100);

/// One line on stderr that is written anew and goes at the end; nothing where stderr is no terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    shown: bool,
    next: Option<Instant>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { shown: false, next: stderr().is_terminal().then(Instant::now) }
    }

    pub(crate) fn tell(&mut self, text: impl FnOnce() -> String) {
        let now = Instant::now();
        if self.next.is_some_and(|next| next <= now) {
            eprint!("\r\x1b[K{}", text());
            let _ = stderr().flush();
            (self.shown, self.next) = (true, Some(now + OFTEN));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}
