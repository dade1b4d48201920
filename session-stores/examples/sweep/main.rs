//! A million sessions, half of which expire: how long do live requests wait while these are swept, and does the room they
//! took up come back?

mod space;
mod trial;

use std::process::ExitCode;
use std::time::Duration;

use trial::{BATCH, Failure, Round, Times, Trial};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let Some(url) = arguments.first() else { return ExitCode::from(2) };
    let sessions = arguments.get(1).map_or(1_000_000, |n| n.parse().unwrap());
    let pause: u64 = arguments.get(2).map_or(10, |n| n.parse().unwrap());
    let workers: usize = arguments.get(3).map_or(2, |n| n.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build().unwrap();
    let url = url.clone();
    let own = url.starts_with("redis");
    let trial = Trial {
        sessions,
        cohorts: 5,
        clients: 8,
        rest: Duration::from_millis(3),
        watch: Duration::from_secs(5),
        pause: Duration::from_millis(pause),
        writers: match url.split(':').next().unwrap() { "memory" => 1, "sqlite" => 1, _ => 32 },
        spread: if own { Duration::from_secs(10) } else { Duration::ZERO },
    };
    match runtime.block_on(runtime.spawn(async move { run(url, trial).await })).unwrap() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => { eprintln!("{e}"); ExitCode::FAILURE }
    }
}

async fn run(url: String, trial: Trial) -> Result<(), Failure> {
    let store = session_stores::connect(&url).await?;
    println!("empty {:?}", space::taken(&url).await?);
    let start = std::time::Instant::now();
    let first = trial.fill(&store).await?;
    println!("filled in {:?}, {:?} left", start.elapsed(), first.saturating_duration_since(std::time::Instant::now()));
    println!("full {:?}", space::taken(&url).await?);
    let (rounds, failed) = trial.run(&store, first).await?;
    println!("failed {failed}; batch {BATCH}");
    for r in &rounds { show(r); }
    println!("swept {:?}", space::taken(&url).await?);
    println!("{:?}", trial.count(&store).await?);
    trial.refill(&store).await?;
    println!("refilled {:?}", space::taken(&url).await?);
    Ok(())
}

fn show(r: &Round) {
    let t = |t: &Times| format!("{} p50 {:?} p99 {:?} p999 {:?} max {:?}", t.count(), t.within(0.5), t.within(0.99), t.within(0.999), t.longest());
    println!("usual  {}\n during {}\n met    {}\n swept {} in {:?}  ratio {:.2} met {:.2}", t(&r.usual), t(&r.during), t(&r.met), r.swept, r.took,
      r.during.within(0.99).as_secs_f64()/r.usual.within(0.99).as_secs_f64(), r.met.within(0.99).as_secs_f64()/r.usual.within(0.99).as_secs_f64());
}
