//! Whether two threads on different sessions get through more than one.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;

use crate::axum::AxumApp;
use crate::driver::App as _;
use crate::work::{Size, Unit};

const TURNS: usize = 25;
const TURN: Duration = Duration::from_millis(60);

/// Prints for each application on axum how many times as much two threads do as one: the median of the turns, and the best.
pub fn print() {
    println!("\nRequests of two threads on different sessions, in times those of one: median (best) of {TURNS} turns");
    println!("{:34}{:>16}{:>16}", "", "W3", "W4");
    let bare: fn() -> AxumApp = crate::axum::bare::app;
    #[cfg_attr(not(feature = "peers"), expect(unused_mut, reason = "nobody is added"))]
    let mut applications =
        vec![("axum/bare", bare), ("axum/floor", crate::axum::floor::app), ("axum/ours", crate::axum::ours::stored)];
    #[cfg(feature = "peers")]
    applications.push(("axum/tower-sessions-unsigned", crate::axum::tower_sessions::unsigned));
    for (name, make) in applications {
        let cells = [Unit::Read, Unit::Write].map(|unit| {
            let app = make();
            let mut ratios: Vec<_> = (0..TURNS).map(|_| requests(&app, unit, 2) / requests(&app, unit, 1)).collect();
            ratios.sort_by(f64::total_cmp);
            format!("{:>8.2} {:>7}", ratios[TURNS / 2], format!("({:.2})", ratios[TURNS - 1]))
        });
        println!("{name:34}{}", cells.concat());
    }
}

/// How many requests so many threads get through in one turn.
fn requests(app: &AxumApp, unit: Unit, threads: usize) -> f64 {
    let start = Barrier::new(threads);
    let done = thread::scope(|scope| {
        let running: Vec<_> =
            (0..threads).map(|_| scope.spawn(|| requests_of_one(app.clone(), unit, &start))).collect();
        running.into_iter().map(|thread| thread.join().expect("no request panics")).sum::<usize>()
    });
    done as f64
}

fn requests_of_one(app: AxumApp, unit: Unit, start: &Barrier) -> usize {
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let response = app.call(app.request(Size::Small.path(), &[])).await;
        let cookie = app.answer(response).await.cookie();
        start.wait();
        let (begin, mut done) = (Instant::now(), 0);
        while begin.elapsed() < TURN {
            for _ in 0..50 {
                black_box(app.call(app.request(unit.path(), &[&cookie])).await);
                done += 1;
            }
        }
        done
    })
}
