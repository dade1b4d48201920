//! Two labs on one Redis, each with a near cache, through faults under load: neither is further behind the other than is
//! said.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

mod common;
mod faults;

use std::thread::sleep;
use std::time::Duration;

use faults::checker::Promise;
use faults::network::Weather;
use faults::play::{Play, TURN, nodes, settles};
use faults::redis::connections;
use session_testing::servers::{Proxy, Redis};

/// For each lab one for commands and one on which the server says what has changed.
const CONNECTIONS: usize = 4;

/// What the near cache promises, and a little for the way of the answers.
const BEHIND: Duration = Duration::from_millis(1_100);

fn near(url: &str) -> String {
    format!("{url}?near_cache_mb=8")
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_fault() {
    let _turn = TURN.lock().await;
    let Some(redis) = Redis::start() else { return };
    let nodes = nodes(0, &near(&redis.url()));
    // As long as a message takes on a busy machine.
    let play = Play::new(&nodes).behind(Duration::from_millis(500));
    let (summary, ()) = play.run(|| sleep(Duration::from_millis(300))).await;
    summary.hardly_failed();
    settles(CONNECTIONS, || async { connections(&redis) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_and_started_again() {
    let _turn = TURN.lock().await;
    let Some(redis) = Redis::start() else { return };
    let nodes = nodes(1, &near(&redis.url()));
    let kill = move || {
        redis.kill();
        sleep(Duration::from_millis(500));
        redis.restart();
        redis
    };
    let (summary, redis) = Play::new(&nodes).behind(BEHIND).run(kill).await;
    summary.failed_in_time();
    settles(CONNECTIONS, || async { connections(&redis) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_for_two_seconds() {
    let _turn = TURN.lock().await;
    let Some(redis) = Redis::start() else { return };
    let nodes = nodes(2, &near(&redis.url()));
    let stop = move || {
        redis.stop();
        sleep(Duration::from_secs(2));
        redis.resume();
        redis
    };
    let (summary, redis) = Play::new(&nodes).behind(BEHIND).run(stop).await;
    summary.failed_in_time();
    settles(CONNECTIONS, || async { connections(&redis) }).await;
}

/// One lab's network fails and the other's doesn't.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_in_bad_weather() {
    let _turn = TURN.lock().await;
    let Some(redis) = Redis::start() else { return };
    for (turn, weather) in [Weather::Silent, Weather::Cut].into_iter().enumerate() {
        let database = near(&redis.fresh_database());
        let proxy = Proxy::to(redis.addr());
        let [behind_it, _] = nodes(turn, &database.replace(&redis.addr().to_string(), &proxy.addr().to_string()));
        let [_, beside_it] = nodes(turn, &database);
        let nodes = [behind_it, beside_it];
        let comes = move || {
            weather.comes_over(&proxy);
            proxy
        };
        let (summary, proxy) = Play::new(&nodes).behind(BEHIND).run(comes).await;
        summary.failed_in_time();
        assert!(summary.during_fault().any(|event| event.node == 1 && !event.failed()), "the other lab serves");
        settles(CONNECTIONS / 2, || async { proxy.connections() }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn emptied() {
    let _turn = TURN.lock().await;
    let Some(redis) = Redis::start() else { return };
    let nodes = nodes(3, &near(&redis.url()));
    let flush = move || {
        for _ in 0..3 {
            redis.ask(&["FLUSHALL"]).unwrap();
            sleep(Duration::from_millis(300));
        }
        redis
    };
    let (summary, redis) = Play::new(&nodes).promise(Promise::MayVanish).behind(BEHIND).run(flush).await;
    summary.hardly_failed();
    assert!(summary.vanished() > 10, "{} sessions vanished", summary.vanished());
    settles(CONNECTIONS, || async { connections(&redis) }).await;
}
