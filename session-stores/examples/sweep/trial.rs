//! Fills a store, and measures how long live requests take while expired sessions are swept.

use std::error::Error;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use session_core::{Create, Expiry, Record, SessionStore, StoreError, StoreKey, SubjectLimit, Touch, Update};
use tokio::runtime::Handle;
use tokio::task::{JoinSet, spawn_blocking};
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
    /// So often is a sweep compared with the usual.
    pub(crate) cohorts: u64,
    /// Threads that make requests, and how long each rests after one.
    pub(crate) clients: u64,
    pub(crate) rest: Duration,
    /// How long the usual is watched.
    pub(crate) usual: Duration,
    /// Tasks that fill the store.
    pub(crate) writers: u64,
    /// The sessions of one cohort expire one by one within this time, because the store frees them by itself.
    pub(crate) spread: Duration,
}

/// What was seen.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) rounds: Vec<Round>,
    /// Live requests that failed, and why the first of them did.
    pub(crate) failed: usize,
    pub(crate) error: Option<String>,
}

/// What live requests took in one round, first as usual and then while a cohort was swept.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) usual: Times,
    pub(crate) during: Times,
    pub(crate) swept: usize,
    pub(crate) took: Duration,
}

/// How long requests took, sorted.
#[derive(Debug)]
pub(crate) struct Times(Vec<Duration>);

/// What the clients and the sweep tell each other.
struct Watch {
    phase: AtomicUsize,
    over: AtomicBool,
    failed: AtomicUsize,
    error: OnceLock<String>,
}

/// The phases: of round n, and what isn't measured.
const fn usual_of(round: usize) -> usize {
    2 * round
}
const fn sweep_of(round: usize) -> usize {
    2 * round + 1
}
const NOTHING: usize = usize::MAX;

impl Trial {
    /// What suits the store at this URL.
    pub(crate) fn of(url: &str, sessions: u64) -> Self {
        let kind = url.split(':').next().unwrap_or_default();
        let drops_by_itself = kind.starts_with("redis") && !url.contains("keep_expired_s");
        Self {
            sessions,
            cohorts: 5,
            clients: 8,
            rest: Duration::from_millis(3),
            usual: Duration::from_secs(5),
            // There is one writer at a time in a file; others only wait.
            writers: if kind == "sqlite" { 1 } else { 16 },
            spread: Duration::from_secs(if drops_by_itself { 20 } else { 0 }),
        }
    }

    /// Creates all sessions, live and expiring ones in turns as they come in life, and says when the first cohort expires.
    pub(crate) async fn fill(&self, store: &Arc<dyn SessionStore>) -> Result<Instant, Failure> {
        let start = Instant::now();
        let pilot = self.sessions / 100 * 2;
        self.create(store, 0..pilot, 2, |_| LONG).await?;
        let first = Instant::now() + generous(start.elapsed() * 100);
        let trial = *self;
        let idle =
            move |number: u64| if number.is_multiple_of(2) { LONG } else { until(trial.deadline(first, number)) };
        self.create(store, 1..pilot, 2, idle).await?;
        self.create(store, pilot..self.sessions, 1, idle).await?;
        Ok(first)
    }

    /// Creates as many sessions as have expired, and says when these will have expired too. `guess` is how long that takes.
    pub(crate) async fn refill(&self, store: &Arc<dyn SessionStore>, guess: Duration) -> Result<Instant, Failure> {
        static TIMES: AtomicU64 = AtomicU64::new(1);
        let first = TIMES.fetch_add(1, Ordering::Relaxed) * self.sessions;
        let expiry = Instant::now() + generous(guess);
        self.create(store, first..first + self.sessions / 2, 1, move |_| until(expiry)).await?;
        Ok(expiry)
    }

    async fn create(
        &self,
        store: &Arc<dyn SessionStore>,
        numbers: Range<u64>,
        step: u64,
        idle: impl Fn(u64) -> Duration + Copy + Send + 'static,
    ) -> Result<(), Failure> {
        let next = Arc::new(AtomicU64::new(numbers.start));
        let (end, tenth) = (numbers.end, self.sessions / 10);
        let mut writers = JoinSet::new();
        for _ in 0..self.writers {
            let (store, next) = (Arc::clone(store), Arc::clone(&next));
            writers.spawn(async move {
                loop {
                    let number = next.fetch_add(step, Ordering::Relaxed);
                    if number >= end {
                        return Ok(());
                    }
                    let created = store.create(&key(number), &record(number, idle(number)), SubjectLimit::None).await;
                    if created? == Create::Taken {
                        return Err(Failure::from("this store is not empty"));
                    }
                    if number.is_multiple_of(tenth) {
                        eprintln!("filling: {number}");
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
        let place = number as f64 / self.sessions as f64;
        self.expiry(first, number / 2 % self.cohorts) + self.spread.mul_f64(place)
    }

    /// When a cohort begins to expire.
    fn expiry(&self, first: Instant, cohort: u64) -> Instant {
        let round = self.usual + self.spread + Duration::from_secs(1);
        first + round * u32::try_from(cohort).unwrap_or(u32::MAX)
    }

    /// Watches live requests, as usual and while a cohort is swept in turns.
    pub(crate) async fn watch(&self, store: &Arc<dyn SessionStore>, first: Instant) -> Result<Watched, Failure> {
        let watch = Arc::new(Watch {
            phase: AtomicUsize::new(NOTHING),
            over: AtomicBool::new(false),
            failed: AtomicUsize::new(0),
            error: OnceLock::new(),
        });
        let clients: Vec<_> = (0..self.clients).map(|number| self.client(number, store, &watch)).collect();
        let rounds = self.play(store, first, &watch).await;
        watch.over.store(true, Ordering::SeqCst);
        let mut samples = Vec::new();
        for client in clients {
            // Its last request has to be answered by this runtime.
            let own = spawn_blocking(|| client.join()).await?;
            samples.extend(own.map_err(|_| "a client panicked")?);
        }
        let times = |phase| {
            let taken = samples.iter().filter(|(of, _)| *of == phase).map(|(_, time)| *time);
            Times::of(taken)
        };
        let round = |(number, (swept, took))| Round {
            usual: times(usual_of(number)),
            during: times(sweep_of(number)),
            swept,
            took,
        };
        Ok(Watched {
            rounds: rounds?.into_iter().enumerate().map(round).collect(),
            failed: watch.failed.load(Ordering::SeqCst),
            error: watch.error.get().cloned(),
        })
    }

    /// How many sessions were swept in each round, and how long it took.
    async fn play(
        &self,
        store: &Arc<dyn SessionStore>,
        first: Instant,
        watch: &Watch,
    ) -> Result<Vec<(usize, Duration)>, StoreError> {
        let mut rounds = Vec::new();
        for (round, cohort) in (0..self.cohorts).enumerate() {
            let expiry = self.expiry(first, cohort);
            sleep_until((expiry.checked_sub(self.usual).unwrap_or(expiry)).into()).await;
            watch.phase.store(usual_of(round), Ordering::SeqCst);
            sleep(self.usual).await;
            watch.phase.store(NOTHING, Ordering::SeqCst);
            sleep_until(expiry.into()).await;
            watch.phase.store(sweep_of(round), Ordering::SeqCst);
            let all = cohort + 1 == self.cohorts;
            rounds.push(self.sweep(store, if all { usize::MAX } else { self.cohort() }).await?);
            sleep(self.spread).await;
            watch.phase.store(NOTHING, Ordering::SeqCst);
        }
        Ok(rounds)
    }

    /// The job of an application: sweeps as long as there is something. It stops at so many, so that there are several rounds.
    async fn sweep(&self, store: &Arc<dyn SessionStore>, most: usize) -> Result<(usize, Duration), StoreError> {
        let (start, mut swept) = (Instant::now(), 0);
        while swept < most {
            match store.sweep(BATCH).await? {
                0 => break,
                batch => swept += batch,
            }
        }
        Ok((swept, start.elapsed()))
    }

    /// Sweeps all that will have expired at a moment.
    pub(crate) async fn sweep_all(&self, store: &Arc<dyn SessionStore>, expiry: Instant) -> Result<usize, StoreError> {
        // A server's clock may be a little behind.
        sleep_until((expiry + Duration::from_secs(1)).into()).await;
        Ok(self.sweep(store, usize::MAX).await?.0)
    }

    const fn cohort(&self) -> usize {
        (self.sessions / 2 / self.cohorts) as usize
    }

    /// A thread outside the runtime, as visitors are: waiting until the runtime has time is a part of its request's time.
    /// It returns the phase and the time of each request.
    fn client(
        &self,
        number: u64,
        store: &Arc<dyn SessionStore>,
        watch: &Arc<Watch>,
    ) -> JoinHandle<Vec<(usize, Duration)>> {
        let (store, watch, runtime, trial) = (Arc::clone(store), Arc::clone(watch), Handle::current(), *self);
        thread::spawn(move || {
            let mut samples = Vec::new();
            let mut turn = 0;
            while !watch.over.load(Ordering::SeqCst) {
                turn += 1;
                let chance = scatter(number << 40 | turn);
                // Never in step with the others.
                thread::sleep(trial.rest.mul_f64(0.5 + (chance % 1_024) as f64 / 1_024.0));
                let live = (chance >> 10) % (trial.sessions / 2) * 2;
                let phase = watch.phase.load(Ordering::SeqCst);
                let start = Instant::now();
                let outcome = runtime.block_on(runtime.spawn(request(Arc::clone(&store), live, turn)));
                let time = start.elapsed();
                if phase != NOTHING && watch.phase.load(Ordering::SeqCst) == phase {
                    samples.push((phase, time));
                }
                if let Err(error) = outcome.map_err(Failure::from).and_then(|outcome| outcome) {
                    watch.failed.fetch_add(1, Ordering::SeqCst);
                    watch.error.get_or_init(|| format!("{error}, {:?}", error.source()));
                }
            }
            samples
        })
    }

    /// How many of the live sessions are there, and how many of the expired ones, of as many of each as [`Self::looked_up`].
    pub(crate) async fn count(&self, store: &Arc<dyn SessionStore>) -> Result<[u64; 2], StoreError> {
        let mut counts = [0, 0];
        for number in 0..self.looked_up() {
            for (odd, count) in (0..).zip(&mut counts) {
                let number = number * (self.sessions / 2 / self.looked_up()) * 2 + odd;
                *count += u64::from(store.load(&key(number)).await?.is_some());
            }
        }
        Ok(counts)
    }

    pub(crate) fn looked_up(&self) -> u64 {
        (self.sessions / 2).min(10_000)
    }
}

/// Reads a live session, changes every tenth and touches every tenth.
async fn request(store: Arc<dyn SessionStore>, number: u64, turn: u64) -> Result<(), Failure> {
    let key = key(number);
    let Some(loaded) = store.load(&key).await? else { return Err("a live session is lost".into()) };
    let gone = match turn % 10 {
        0 => {
            let mut record = loaded.record;
            record.values_mut().insert("turn", turn);
            // Another client may have been faster, which is as good.
            store.update(&key, &record, loaded.version).await? == Update::Gone
        }
        5 => store.touch(&key).await? == Touch::Gone,
        _ => false,
    };
    if gone { Err("a live session is lost".into()) } else { Ok(()) }
}

/// A session such as a shop has it, of about 300 bytes. Two that follow each other are the same person's.
fn record(number: u64, idle: Duration) -> Record {
    let mut record = Record::new(Expiry { idle, lifetime: LONG });
    record.subject = Some(format!("user-{}@example.com", number / 2).into());
    let values = record.values_mut();
    values.insert("cart", format!("{number} × pretzel, 2 × mustard, 1 × sauerkraut"));
    values.insert("language", "de");
    values.insert("token", key(!number).to_hex());
    record
}

/// More than it will take, for the sessions have to be there when they expire.
fn generous(guess: Duration) -> Duration {
    guess * 2 + Duration::from_secs(2)
}

fn until(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
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
const fn scatter(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl Round {
    /// How many times as long as usual the slowest hundredth took at least.
    pub(crate) fn ratio(&self) -> f64 {
        self.during.within(0.99).as_secs_f64() / self.usual.within(0.99).as_secs_f64()
    }
}

impl Times {
    fn of(times: impl Iterator<Item = Duration>) -> Self {
        let mut times: Vec<_> = times.collect();
        times.sort_unstable();
        Self(times)
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
