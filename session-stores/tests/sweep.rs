//! The trial of `examples/sweep` in small: what has expired is swept while live requests go on, and its room is used again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

use std::time::{Duration, Instant};

use session_stores::connect;

#[cfg(feature = "sqlite")]
use folder::Folder;
use space::Room;
use trial::{BATCH, Trial};

#[cfg(feature = "sqlite")]
mod folder;
#[allow(dead_code, reason = "the example asks for more")]
#[path = "../examples/sweep/space.rs"]
mod space;
#[allow(dead_code, reason = "the example asks for more")]
#[path = "../examples/sweep/trial.rs"]
mod trial;

/// A trial that takes seconds.
fn small(url: &str, sessions: u64) -> Trial {
    Trial { cohorts: 2, clients: 4, usual: Duration::from_millis(500), ..Trial::of(url, sessions) }
}

/// Returns the room when it was filled again, and when it was filled once more.
async fn sweeps(url: &str, trial: &Trial) -> [Room; 2] {
    let store = connect(url).await.unwrap();
    let start = Instant::now();
    let expiry = trial.fill(&store).await.unwrap();
    let filling = start.elapsed();
    let watched = trial.watch(&store, expiry).await.unwrap();
    assert_eq!((watched.failed, watched.error), (0, None));
    for round in &watched.rounds {
        // How much longer is for the example to say, on a machine that does nothing else.
        assert!(round.during.within(0.5) < Duration::from_secs(1), "{:?}", round.during);
    }
    assert_eq!(store.sweep(BATCH).await.unwrap(), 0);
    assert_eq!(trial.count(&store).await.unwrap(), [trial.looked_up(), 0]);

    let expiry = trial.refill(&store, filling / 2).await.unwrap();
    let again = space::taken(url).await.unwrap();
    trial.sweep_all(&store, expiry).await.unwrap();
    trial.refill(&store, filling / 2).await.unwrap();
    assert_eq!(trial.count(&store).await.unwrap(), [trial.looked_up(), 0]);
    [again, space::taken(url).await.unwrap()]
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_swept_while_live_requests_go_on_and_filled_again() {
    let trial = small("memory:", 60_000);
    let [again, once_more] = sweeps("memory:", &trial).await;
    // If it were not used again, that would be 40 MB.
    assert!(once_more.bytes < again.bytes + 20_000_000, "{again:?} {once_more:?}");
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_swept_while_live_requests_go_on_and_filled_again() {
    let folder = Folder::new();
    // Patient, because a busy machine may be busier than half a second.
    let url = format!("sqlite:{}?timeout_ms=30000", folder.file("sessions.db").display());
    let trial = small(&url, 6_000);
    let [again, once_more] = sweeps(&url, &trial).await;
    // If it were not used again, that would be half as much again.
    assert!(once_more.bytes < again.bytes * 5 / 4, "{again:?} {once_more:?}");
}
