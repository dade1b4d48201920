//! What the log says. In a process of its own: where others log meanwhile, a test's subscriber may miss a line.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use common::visits;
use warp::test::request;

#[tokio::test]
async fn without_wrap_the_log_says_which_line_to_add() {
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let log = Log::default();
    let writer = log.clone();
    let _guard =
        tracing::subscriber::set_default(tracing_subscriber::fmt().with_writer(move || writer.clone()).finish());
    request().path("/visit").reply(&visits()).await;
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("give them to session_warp::wrap(routes, manager)"), "{text}");
}
