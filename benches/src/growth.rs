//! How the cost of a request grows: with the sessions in the store, the keys in a session, and the other cookies in the
//! header. Times, compared within one run; the fastest turn counts, because whatever disturbs only adds.

use std::hint::black_box;
use std::time::Instant;

use session_core::{KeyRing, MemoryStore, Secret, SessionManager};
use session_testing::visitor;
use tokio::runtime::{Builder, Runtime};

use crate::axum::{AxumApp, ours};
use crate::driver::App as _;
use crate::work::{BEGIN, KEY, Unit, texts};

/// Sessions that are asked for, in turns, so that the processor's caches don't hold the one that is next.
const SAMPLE: usize = 5_000;
const TURNS: usize = 15;

/// Prints the three tables.
pub fn print(most_sessions: usize) {
    println!("\nTime per request on axum, in times that of the first line: W3, W4");
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let mut first = None;
    for sessions in [1_000, 100_000, 1_000_000, 10_000_000].into_iter().filter(|count| *count <= most_sessions) {
        line(&format!("{sessions} sessions in the store"), &runtime, sessions, 1, 0, &mut first);
    }
    let mut first = None;
    for keys in [1, 5, 20, 50, 100, 200] {
        line(&format!("{keys} keys in the session"), &runtime, 1_000, keys, 0, &mut first);
    }
    let mut first = None;
    for others in [0, 1, 4, 16, 64] {
        line(&format!("{others} other cookies"), &runtime, 1_000, 1, others, &mut first);
    }
}

fn line(name: &str, runtime: &Runtime, sessions: usize, keys: usize, others: usize, first: &mut Option<[f64; 2]>) {
    let times = runtime.block_on(times(sessions, keys, others));
    let first = first.get_or_insert(times);
    let cells: String = (0..2).map(|i| format!("{:>9.0} ns ({:.2})", times[i], times[i] / first[i])).collect();
    println!("{name:34}{cells}");
}

async fn times(sessions: usize, keys: usize, others: usize) -> [f64; 2] {
    let store = MemoryStore::new().capacity(sessions + 1);
    let secret = KeyRing::new(Secret::random().expect("randomness"));
    let manager = SessionManager::stored(store, secret).build().expect("the defaults are right");
    let fill = |session: &session_core::Session| {
        session.insert(KEY, BEGIN)?;
        texts(keys - 1).try_for_each(|(key, value)| session.insert(key, value))
    };
    let sample = sessions.min(SAMPLE);
    for _ in sample..sessions {
        let session = manager.begin();
        fill(&session).expect("values");
        session.save().await.expect("there is room");
    }
    let before: String = (0..others).map(|i| format!("cookie-{i}=some-value-of-{i}; ")).collect();
    let mut cookies = Vec::with_capacity(sample);
    for _ in 0..sample {
        let cookie = visitor::cookie(&manager, fill).await.expect("a session");
        cookies.push(format!("{before}{cookie}"));
    }
    let app = ours::app(manager);
    [fastest(&app, Unit::Read, &cookies).await, fastest(&app, Unit::Write, &cookies).await]
}

async fn fastest(app: &AxumApp, unit: Unit, cookies: &[String]) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..TURNS {
        let requests: Vec<_> = cookies.iter().map(|cookie| app.request(unit.path(), &[cookie])).collect();
        let start = Instant::now();
        for request in requests {
            black_box(app.call(request).await);
        }
        best = best.min(start.elapsed().as_nanos() as f64 / cookies.len() as f64);
    }
    best
}
