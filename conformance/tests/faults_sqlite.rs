//! Faults of a SQLite file that two labs share, under load.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

mod common;
mod faults;

use std::thread::sleep;
use std::time::Duration;

use faults::play::{Play, nodes};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_fault_nothing_fails() {
    let file = std::env::temp_dir().join("x-faults.db");
    let nodes = nodes(0, &format!("sqlite:{}", file.display()));
    let summary = Play::new(&nodes).run(|| sleep(Duration::from_secs(1))).await;
    assert_eq!(summary.failed(), 0);
}
