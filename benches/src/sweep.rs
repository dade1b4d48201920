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
const BUFFER: usize = 8_192;

/// Prints the slowest requests, without and with a sweep beside them. A request during which the system took the processor
/// away from this thread doesn't count, for that is no pause of the sweep's. What a virtual machine's host takes away can't be
/// seen, so the longest is to be read beside what there is without a sweep, and beside the longest one that slept, which is how
/// a thread waits for a lock: nothing that doesn't sleep has waited for the sweep for longer than it spins, which is microseconds.
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
    println!(
        "{:34}{:>10}{:>10}{:>22}{:>10}{:>10}{:>10}",
        "", "median", "p99.9", "longest: usual slice", "worst", "slept", "longest"
    );
    let app = ours::app(manager.clone());
    let look = |name: &str| {
        let (mut slices, mut slept) = (Vec::new(), Vec::new());
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
                    let (before, start) = (Switches::now(), Instant::now());
                    // As a server does for a connection: so the allocator's locks are part of it.
                    black_box(Vec::<u8>::with_capacity(BUFFER));
                    black_box(app.call(request).await);
                    let micros = start.elapsed().as_nanos() as f64 / 1_000.0;
                    let after = Switches::now();
                    if after.taken_away == before.taken_away {
                        took.push(micros);
                    }
                    if after.slept != before.slept {
                        slept.push(micros);
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
        let longest = slept.iter().copied().fold(0.0, f64::max);
        println!(
            "{name:34}{:>10.1}{:>10.1}{usual:>22.1}{worst:>10.1}{:>10}{longest:>10.1}",
            of_slices(0).0,
            of_slices(1).0,
            slept.len()
        );
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

/// How often this thread no longer had the processor.
struct Switches {
    taken_away: i64,
    slept: i64,
}

impl Switches {
    fn now() -> Self {
        let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: the pointer is to a zeroed structure of the right kind.
        let usage = unsafe {
            libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr());
            usage.assume_init()
        };
        Self { taken_away: usage.ru_nivcsw, slept: usage.ru_nvcsw }
    }
}
