//! Fills a store, and measures how long live requests take while expired sessions are swept.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use session_core::{Create, Expiry, Record, SessionStore, StoreError, StoreKey, SubjectLimit, Touch, Update};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// How many sessions one call sweeps at most.
pub(crate) const BATCH: usize = 1_000;

/// How long live sessions live: longer than the trial.
const LONG: Duration = Duration::from_secs(12 * 60 * 60);

/// What is tried. Sessions have numbers: the even ones live, the odd ones expire, one cohort after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trial {
    pub(crate) sessions: u64,
    /// So often is the usual compared with a sweep.
    pub(crate) cohorts: u64,
    /// Threads that make requests, and how long each rests between two.
    pub(crate) clients: usize,
    pub(crate) rest: Duration,
    /// How long the usual is watched.
    pub(crate) watch: Duration,
    /// Between two batches.
    pub(crate) pause: Duration,
    /// Tasks that fill the store.
    pub(crate) writers: u64,
    /// The sessions of one cohort expire within this time rather than at once, because the store frees them by itself.
    pub(crate) spread: Duration,
}

/// What live requests waited for in one round.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) usual: Times,
    /// From the first batch to the last, pauses included.
    pub(crate) during: Times,
    /// Only those that met a batch at work.
    pub(crate) met: Times,
    pub(crate) swept: usize,
    pub(crate) took: Duration,
}

/// How long requests took, sorted.
#[derive(Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

/// What the clients and the sweep tell each other.
#[derive(Default)]
struct Watch {
    /// 2n is the usual of round n, 2n + 1 its sweep, and [`NOTHING`] what isn't measured.
    phase: AtomicUsize,
    /// Odd while a batch is at work.
    batches: AtomicUsize,
    over: AtomicBool,
    failed: AtomicUsize,
}

const NOTHING: usize = usize::MAX;

struct Sample {
    phase: usize,
    met: bool,
    time: Duration,
}

impl Trial {
    /// Creates all sessions, live and expiring ones in turns as they come in life, and says when the first cohort expires.
    pub(crate) async fn fill(&self, store: &Arc<dyn SessionStore>) -> Result<Instant, Failure> {
        let start = Instant::now();
        let pilot = (self.sessions / 50).max(2) & !1;
        self.create(store, 0..pilot, 2, |_| LONG).await?;
        // A generous guess, for the sessions have to be there when they expire.
        let guess = start.elapsed() * 100 * 2 + Duration::from_secs(2);
        let first = Instant::now() + guess;
        let trial = *self;
        let idle = move |number: u64| {
            if number.is_multiple_of(2) {
                return LONG;
            }
            trial.deadline(first, number).saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
        };
        self.create(store, 1..pilot, 2, idle).await?;
        self.create(store, pilot..self.sessions, 1, idle).await?;
        Ok(first)
    }

    /// Creates as many new sessions as have expired.
    pub(crate) async fn refill(&self, store: &Arc<dyn SessionStore>) -> Result<(), Failure> {
        self.create(store, self.sessions..self.sessions + self.sessions / 2, 1, |_| LONG).await
    }

    async fn create(
        &self,
        store: &Arc<dyn SessionStore>,
        numbers: std::ops::Range<u64>,
        step: u64,
        idle: impl Fn(u64) -> Duration + Copy + Send + 'static,
    ) -> Result<(), Failure> {
        let next = Arc::new(AtomicU64::new(numbers.start));
        let mut writers = JoinSet::new();
        for _ in 0..self.writers {
            let (store, next, end, sessions) = (Arc::clone(store), Arc::clone(&next), numbers.end, self.sessions);
            writers.spawn(async move {
                loop {
                    let number = next.fetch_add(step, Ordering::Relaxed);
                    if number >= end {
                        return Ok::<_, StoreError>(());
                    }
                    let record = record(number, idle(number));
                    if store.create(&key(number), &record, SubjectLimit::None).await? == Create::Taken {
                        eprintln!("session {number} was there already");
                    }
                    if sessions >= 10 && number.is_multiple_of(sessions / 10) {
                        eprint!("{number} ");
                    }
                }
            });
        }
        while let Some(outcome) = writers.join_next().await {
            outcome??;
        }
        Ok(())
    }

    /// When the session with this odd number expires.
    fn deadline(&self, first: Instant, number: u64) -> Instant {
        let share = self.sessions.max(1) as f64;
        self.expires(first, number / 2 % self.cohorts) + self.spread.mul_f64(number as f64 / share)
    }

    /// When a cohort begins to expire.
    fn expires(&self, first: Instant, cohort: u64) -> Instant {
        let round = self.watch + self.spread.max(Duration::from_secs(1)) + Duration::from_secs(1);
        first + round * u32::try_from(cohort).unwrap_or(u32::MAX)
    }

    /// Watches the usual and the sweep of a cohort in turns. Also says how many requests failed.
    pub(crate) async fn run(
        &self,
        store: &Arc<dyn SessionStore>,
        first: Instant,
    ) -> Result<(Vec<Round>, usize), Failure> {
        let watch = Arc::new(Watch::default());
        watch.phase.store(NOTHING, Ordering::SeqCst);
        let clients: Vec<_> = (0..self.clients).map(|number| self.client(number as u64, store, &watch)).collect();
        let mut sweeps = Vec::new();
        for cohort in 0..self.cohorts {
            let expires = self.expires(first, cohort);
            // What is watched first has to be warm.
            sleep_until((expires.checked_sub(self.watch).unwrap_or(expires)).into()).await;
            sleep(Duration::from_millis(200)).await;
            watch.measures(2 * cohort as usize);
            sleep(self.watch).await;
            watch.measures(NOTHING);
            sleep_until(expires.into()).await;
            watch.measures(2 * cohort as usize + 1);
            sweeps.push(self.sweep(store, &watch, cohort + 1 == self.cohorts).await?);
            watch.measures(NOTHING);
        }
        watch.over.store(true, Ordering::SeqCst);
        let mut samples = Vec::new();
        for client in clients {
            // They end at once, and nothing else is to be done meanwhile.
            samples.extend(client.join().map_err(|_| "a client panicked")?);
        }
        let of = |phase, met: bool| {
            let taken = samples.iter().filter(|sample: &&Sample| sample.phase == phase && sample.met >= met);
            Times::of(taken.map(|sample| sample.time))
        };
        let round = |(number, (swept, took))| Round {
            usual: of(2 * number, false),
            during: of(2 * number + 1, false),
            met: of(2 * number + 1, true),
            swept,
            took,
        };
        Ok((sweeps.into_iter().enumerate().map(round).collect(), watch.failed.load(Ordering::SeqCst)))
    }

    /// Sweeps one cohort, or whatever there is left.
    async fn sweep(
        &self,
        store: &Arc<dyn SessionStore>,
        watch: &Watch,
        all: bool,
    ) -> Result<(usize, Duration), StoreError> {
        let (start, mut swept) = (Instant::now(), 0);
        let cohort = (self.sessions / 2 / self.cohorts) as usize;
        while all || swept < cohort {
            watch.batches.fetch_add(1, Ordering::SeqCst);
            let batch = store.sweep(BATCH).await;
            watch.batches.fetch_add(1, Ordering::SeqCst);
            swept += batch?;
            if batch? == 0 {
                break;
            }
            sleep(self.pause).await;
        }
        let took = start.elapsed();
        sleep(self.spread).await;
        Ok((swept, took))
    }

    /// A thread outside the runtime, as visitors are: waiting until the runtime has time is a part of its request's time.
    fn client(&self, number: u64, store: &Arc<dyn SessionStore>, watch: &Arc<Watch>) -> JoinHandle<Vec<Sample>> {
        let (store, watch, runtime, trial) = (Arc::clone(store), Arc::clone(watch), Handle::current(), *self);
        thread::spawn(move || {
            let mut samples = Vec::new();
            for turn in 0.. {
                if watch.over.load(Ordering::SeqCst) {
                    break;
                }
                let chance = scatter(number << 40 | turn);
                // Never in step with the others.
                thread::sleep(trial.rest.mul_f64(0.5 + (chance % 1_024) as f64 / 1_024.0));
                let live = (chance >> 10) % (trial.sessions / 2) * 2;
                let (phase, batches) = (watch.phase.load(Ordering::SeqCst), watch.batches.load(Ordering::SeqCst));
                let (start, request) = (Instant::now(), request(Arc::clone(&store), live, turn));
                let outcome = runtime.block_on(runtime.spawn(request));
                let time = start.elapsed();
                if !matches!(outcome, Ok(Ok(true))) {
                    watch.failed.fetch_add(1, Ordering::SeqCst);
                    eprintln!("a live request failed: {outcome:?}");
                }
                let met = batches % 2 == 1 || watch.batches.load(Ordering::SeqCst) != batches;
                if phase != NOTHING && watch.phase.load(Ordering::SeqCst) == phase {
                    samples.push(Sample { phase, met, time });
                }
            }
            samples
        })
    }

    /// How many of the live sessions are there, and how many of the expired ones.
    pub(crate) async fn count(&self, store: &Arc<dyn SessionStore>) -> Result<[u64; 2], StoreError> {
        let mut counts = [0, 0];
        for number in 0..self.sessions {
            counts[(number % 2) as usize] += u64::from(store.load(&key(number)).await?.is_some());
        }
        Ok(counts)
    }
}

/// Reads a live session, changes every tenth and touches every tenth. False if it was lost.
async fn request(store: Arc<dyn SessionStore>, number: u64, turn: u64) -> Result<bool, StoreError> {
    let key = key(number);
    let Some(loaded) = store.load(&key).await? else { return Ok(false) };
    match turn % 10 {
        0 => {
            let mut record = loaded.record;
            record.values_mut().insert("turn".to_owned(), turn.into());
            // Another client may have been faster, which is as good.
            Ok(store.update(&key, &record, loaded.version).await? != Update::Gone)
        }
        5 => Ok(store.touch(&key).await? == Touch::Touched),
        _ => Ok(true),
    }
}

/// A session such as a shop has it: about 200 bytes of values. Two follow each other that are the same person's.
fn record(number: u64, idle: Duration) -> Record {
    let mut record = Record::new(Expiry { idle, lifetime: LONG });
    record.subject = Some(format!("user-{}@example.com", number / 2));
    let values = record.values_mut();
    values.insert("cart".to_owned(), format!("{number} × pretzel, 2 × mustard, 1 × sauerkraut").into());
    values.insert("token".to_owned(), key(!number).to_hex().into());
    values.insert("language".to_owned(), "de".into());
    record
}

impl Watch {
    fn measures(&self, phase: usize) {
        self.phase.store(phase, Ordering::SeqCst);
    }
}

impl Times {
    pub(crate) fn of(times: impl Iterator<Item = Duration>) -> Self {
        let mut times: Vec<_> = times.collect();
        times.sort_unstable();
        Self(times)
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The time that this share of the requests is within.
    pub(crate) fn within(&self, share: f64) -> Duration {
        let place = (self.0.len() as f64 * share).ceil() as usize;
        self.0.get(place.saturating_sub(1)).copied().unwrap_or_default()
    }

    pub(crate) fn longest(&self) -> Duration {
        self.within(1.0)
    }
}

/// The keys of sessions are hashes.
fn key(number: u64) -> StoreKey {
    let mut bytes = [0; 32];
    for (place, eight) in (0..).zip(bytes.chunks_exact_mut(8)) {
        eight.copy_from_slice(&scatter(number.wrapping_mul(4).wrapping_add(place)).to_be_bytes());
    }
    StoreKey::from_bytes(bytes)
}

/// A number that looks random, the same one each time (SplitMix64).
fn scatter(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
