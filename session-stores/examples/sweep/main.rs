//! A store with a million sessions of which half expire: how long do live requests take while these are swept, and does the
//! room that they took up come back?
//!
//! ```sh
//! cargo run --release -p session-stores --example sweep -- memory:
//! cargo run --release -p session-stores --example sweep -- sqlite:sweep.db 200000
//! cargo run --release -p session-stores --features postgres --example sweep -- postgres://postgres@localhost/empty
//! cargo run --release -p session-stores --features redis --example sweep -- 'redis://localhost?keep_expired_s=3600' 1000000 told
//! ```
//!
//! With `told` somebody watches, so that a sweep has to say of each session how it was. The store has to be empty and is full of
//! rubbish afterwards. The exit code is 0 if all is well, 1 if live requests waited too long, failed or lost their sessions, if not
//! each end was told once, or if the room doesn't come back, and 2 if the arguments make no sense.

mod space;
mod trial;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, error};

use session_core::{Ended, Witness};
use tokio::runtime::Runtime;

use space::Room;
use trial::{BATCH, Failure, Round, Times, Trial};

/// The p99 of live requests may be so many times the usual one while expired sessions are swept.
const MOST_RATIO: f64 = 2.0;

/// How much more room the same number of sessions may take up when what was swept is filled for the second time.
const MOST_GROWTH: f64 = 1.1;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let number = |text: &String| text.parse().ok().filter(|sessions| *sessions >= 1_000);
    let (url, sessions, told) = match &arguments[..] {
        [url] => (url, Some(1_000_000), false),
        [url, sessions] => (url, number(sessions), false),
        [url, sessions, told] if told == "told" => (url, number(sessions), true),
        _ => return usage("one URL, and one number and one word at most"),
    };
    let Some(sessions) = sessions else { return usage("at least 1000 sessions") };
    match measure(url.clone(), Trial::of(url, sessions), told) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let reasons = std::iter::successors(Some(&*error as &dyn error::Error), |error| error.source());
            eprintln!("{}", reasons.map(ToString::to_string).collect::<Vec<_>>().join(": "));
            ExitCode::FAILURE
        }
    }
}

fn usage(wanted: &str) -> ExitCode {
    eprintln!("usage: sweep STORE_URL [SESSIONS [told]]; it takes {wanted}");
    ExitCode::from(2)
}

/// Counts whom a sweep tells of.
#[derive(Default)]
struct Heard(AtomicUsize);

impl Witness for Heard {
    fn ended(&self, _: &Ended) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn measure(url: String, trial: Trial, told: bool) -> Result<bool, Failure> {
    let runtime = Runtime::new()?;
    // In a task, as the job of an application is: what is blocked on has a thread of its own.
    runtime.block_on(runtime.spawn(async move { measured(&url, &trial, told).await }))?
}

async fn measured(url: &str, trial: &Trial, told: bool) -> Result<bool, Failure> {
    let store = session_stores::connect(url).await?;
    let heard = Arc::new(Heard::default());
    let witness: Arc<dyn Witness> = heard.clone();
    if told && !store.watch(&witness) {
        return Err("this store tells nobody".into());
    }
    let mut rooms = vec![("empty", space::taken(url).await?)];
    let start = Instant::now();
    let expiry = trial.fill(&store).await?;
    let filling = start.elapsed();
    rooms.push(("full", space::taken(url).await?));
    let watched = trial.watch(&store, expiry).await?;
    let [live, expired] = trial.count(&store).await?;
    let mut swept: usize = watched.rounds.iter().map(|round| round.swept).sum();
    space::settle(url).await?;
    rooms.push(("swept", space::taken(url).await?));
    for (filled, and_swept) in [("filled again", "swept again"), ("filled once more", "")] {
        let expiry = trial.refill(&store, filling / 2).await?;
        rooms.push((filled, space::taken(url).await?));
        if !and_swept.is_empty() {
            swept += trial.sweep_all(&store, expiry).await?;
            space::settle(url).await?;
            rooms.push((and_swept, space::taken(url).await?));
        }
    }

    println!("{} sessions, half of them swept by sweep({BATCH}) until it says 0", trial.sessions);
    let ratio = show_times(&watched.rounds);
    println!("{} live requests failed", watched.failed);
    if let Some(error) = &watched.error {
        println!("the first one: {error}");
    }
    println!("of the sessions looked up afterwards, {live} of those that live are there, and {expired} others");
    let growth = show_rooms(&rooms);
    let heard = heard.0.load(Ordering::Relaxed);
    println!("{swept} sessions were swept, and {heard} told of");
    let told_once = heard == if told { swept } else { 0 };
    let whole = told_once && watched.failed == 0 && live == trial.looked_up() && expired == 0;
    Ok(whole && ratio <= MOST_RATIO && growth <= MOST_GROWTH)
}

/// The table of times, and the median of what is compared.
fn show_times(rounds: &[Round]) -> f64 {
    println!("\nms     usual p50     p99 longest | swept p50     p99 longest | ratio of p99   swept a second");
    let mut ratios: Vec<_> = rounds.iter().map(Round::ratio).collect();
    for (round, ratio) in rounds.iter().zip(&ratios) {
        let [usual, during] = [&round.usual, &round.during].map(columns);
        let speed = round.swept as f64 / round.took.as_secs_f64();
        println!("       {usual} | {during} | {ratio:12.2} {speed:16.0}");
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios.get(ratios.len() / 2).copied().unwrap_or(f64::INFINITY);
    println!("median of the ratios: {median:.2}, which may be {MOST_RATIO}\n");
    median
}

fn columns(times: &Times) -> String {
    let [half, most, longest] =
        [times.within(0.5), times.within(0.99), times.longest()].map(|time: Duration| time.as_secs_f64() * 1_000.0);
    format!("{half:9.3} {most:7.3} {longest:7.1}")
}

/// The table of room, and how much the same number of sessions takes up more when it is filled in for the second time.
fn show_rooms(rooms: &[(&str, Room)]) -> f64 {
    if let Some((_, room)) = rooms.first() {
        println!("{}:", room.what);
    }
    for (when, room) in rooms {
        println!("  {when:16} {:8.1} MB", room.bytes as f64 / 1_000_000.0);
    }
    let of = |filled| rooms.iter().find(|(when, _)| *when == filled).map_or(f64::NAN, |(_, room)| room.bytes as f64);
    let growth = of("filled once more") / of("filled again");
    println!("once more / again: {growth:.2}, which may be {MOST_GROWTH}");
    growth
}
