//! What a request costs on Redis: commands, and requests per second over the loopback interface.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use session_core::{KeyRing, Secret, SessionManager, SessionStore};
use session_redis::{NearCache, RedisStore};
use session_testing::servers::Redis;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::axum::{AxumApp, ours};
use crate::driver::App as _;
use crate::work::{Size, Unit};

const REQUESTS: usize = 200;
const VISITORS: usize = 32;
const TURN: Duration = Duration::from_millis(700);

/// Prints the table.
///
/// # Errors
/// If there is no Redis, or it fails.
pub fn print() -> io::Result<()> {
    let Some(redis) = Redis::start_with(&["--appendonly", "no", "--appendfsync", "no"]) else {
        return Err(io::Error::other("there is no redis-server: nothing was measured"));
    };
    println!("\nOn a Redis beside it: commands per request, and requests per second of {VISITORS} visitors at once");
    println!("{:26}{:>10}{:>10}{:>10}{:>12}{:>12}", "", "W2", "W3", "W4", "W3 / s", "W4 / s");
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let store = async || RedisStore::connect(&redis.fresh_database()).await;
        line("RedisStore", &redis, store().await.map_err(io::Error::other)?).await?;
        let near = NearCache::new(store().await.map_err(io::Error::other)?).map_err(io::Error::other)?;
        while !near.is_live() {
            sleep(Duration::from_millis(1)).await;
        }
        line("NearCache, warm", &redis, near).await
    })
}

async fn line(name: &str, redis: &Redis, store: impl SessionStore) -> io::Result<()> {
    let keys = KeyRing::new(Secret::random().map_err(io::Error::other)?);
    let app = ours::app(SessionManager::stored(store, keys).build().map_err(io::Error::other)?);
    let mut cells = String::new();
    for unit in [Unit::Untouched, Unit::Read, Unit::Write] {
        let cookie = begin(&app).await;
        // The server's scripts are known, and the cache is warm.
        for _ in 0..3 {
            app.call(app.request(Unit::Read.path(), &[&cookie])).await;
        }
        let before = commands(redis)?;
        for _ in 0..REQUESTS {
            app.call(app.request(unit.path(), &[&cookie])).await;
        }
        cells += &format!("{:>10.2}", (commands(redis)? - before) as f64 / REQUESTS as f64);
    }
    for unit in [Unit::Read, Unit::Write] {
        cells += &format!("{:>12.0}", per_second(&app, unit).await);
    }
    println!("{name:26}{cells}");
    Ok(())
}

async fn begin(app: &AxumApp) -> String {
    let response = app.call(app.request(Size::Small.path(), &[])).await;
    app.answer(response).await.cookie()
}

/// Commands that clients sent so far: each of ours is one script. What a script does inside isn't counted, and neither are
/// the cache's signs of life, which come by the second and not by the request.
fn commands(redis: &Redis) -> io::Result<u64> {
    let stats = redis.ask(&["INFO", "commandstats"])?;
    let calls: BTreeMap<&str, u64> = stats
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((name, rest.split(',').next()?.parse().ok()?))
        })
        .collect();
    Ok(["eval", "evalsha", "eval_ro", "evalsha_ro", "fcall"].iter().filter_map(|name| calls.get(name)).sum())
}

async fn per_second(app: &AxumApp, unit: Unit) -> f64 {
    let mut visitors = JoinSet::new();
    for _ in 0..VISITORS {
        let (app, cookie) = (app.clone(), begin(app).await);
        visitors.spawn(async move {
            let (begin, mut done) = (Instant::now(), 0_u64);
            while begin.elapsed() < TURN {
                app.call(app.request(unit.path(), &[&cookie])).await;
                done += 1;
            }
            done
        });
    }
    visitors.join_all().await.into_iter().sum::<u64>() as f64 / TURN.as_secs_f64()
}
