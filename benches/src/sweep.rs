//! How long a request waits at most while a million sessions are swept.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use session_core::{KeyRing, ManualClock, MemoryStore, Secret, SessionManager, Timestamp};
use session_testing::visitor;
use tokio::runtime::Builder;

use crate::axum::ours;
use crate::driver::App as _;
use crate::work::{BEGIN, KEY, Unit};

const SESSIONS: usize = 1_000_000;
const LIVE: usize = 2_000;
const SLICES: usize = 7;

/// Prints the slowest requests, without and with a sweep beside them. A request during which the system took the processor
/// away from this thread doesn't count, for that is no pause of the sweep's; what a virtual machine's host takes away can't be
/// seen, so it is to be read beside what there is without a sweep.
pub fn print() {
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_000_000_000_000)));
    let store = MemoryStore::new().capacity(SESSIONS + LIVE).clock(Arc::clone(&clock));
    let keys = KeyRing::new(Secret::random().expect("randomness"));
    let manager =
        SessionManager::stored(store, keys).clock(Arc::clone(&clock)).build().expect("the defaults are right");
    let cookies = runtime.block_on(async {
        for _ in 0..SESSIONS {
            let session = manager.begin();
            session.insert(KEY, BEGIN).expect("a number is a value");
            session.save().await.expect("there is room");
        }
        clock.advance(Duration::from_secs(31 * 60));
        let mut cookies = Vec::new();
        for _ in 0..LIVE {
            let fill = |session: &session_core::Session| session.insert(KEY, BEGIN);
            cookies.push(visitor::cookie(&manager, fill).await.expect("a session"));
        }
        cookies
    });
    println!("\nW3 and W4 beside a sweep of {SESSIONS} expired sessions: microseconds, of {SLICES} slices of a second");
    println!("{:34}{:>10}{:>10}{:>22}{:>10}", "", "median", "p99.9", "longest: usual slice", "worst");
    let app = ours::app(manager.clone());
    let look = |name: &str| {
        let mut slices = Vec::new();
        for _ in 0..SLICES {
            // Room for all: a list that grows takes the allocator's lock for milliseconds.
            let mut took = Vec::with_capacity(2_000_000);
            runtime.block_on(async {
                let begin = Instant::now();
                for (i, cookie) in cookies.iter().enumerate().cycle() {
                    if begin.elapsed() > Duration::from_secs(1) {
                        break;
                    }
                    let unit = if i % 2 == 0 { Unit::Read } else { Unit::Write };
                    let request = app.request(unit.path(), &[cookie]);
                    let (switches, start) = (switches(), Instant::now());
                    black_box(app.call(request).await);
                    let nanos = start.elapsed().as_nanos() as f64;
                    if switches == self::switches() {
                        took.push(nanos / 1_000.0);
                    }
                }
            });
            took.sort_unstable_by(f64::total_cmp);
            let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
            slices.push([at(0.5), at(0.999), at(1.0)]);
        }
        let of_slices = |column: usize| {
            let mut values: Vec<_> = slices.iter().map(|slice| slice[column]).collect();
            values.sort_unstable_by(f64::total_cmp);
            (values[SLICES / 2], values[SLICES - 1])
        };
        let (usual, worst) = of_slices(2);
        println!("{name:34}{:>10.1}{:>10.1}{usual:>22.1}{worst:>10.1}", of_slices(0).0, of_slices(1).0);
    };
    look("without");
    let done = Arc::new(AtomicBool::new(false));
    let sweeping = {
        let (manager, done) = (manager, Arc::clone(&done));
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().build().expect("a runtime");
            let mut swept = 0;
            while !done.load(Ordering::Relaxed) {
                swept += runtime.block_on(manager.sweep(10_000)).expect("the memory store doesn't fail");
            }
            swept
        })
    };
    look("beside the sweep");
    done.store(true, Ordering::Relaxed);
    let swept = sweeping.join().expect("the sweep doesn't panic");
    println!("{swept} sessions were swept meanwhile");
}

/// How often the system took the processor away from this thread.
fn switches() -> i64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to a zeroed structure of the right kind.
    unsafe {
        libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr());
        usage.assume_init().ru_nivcsw
    }
}
