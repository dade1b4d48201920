//! What the near cache says in the log. Apart from the other tests, because whoever logs first decides whether a process
//! listens.

#![allow(clippy::unwrap_used)]

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use session_redis::{NearCache, RedisStore};
use session_testing::servers::{Fault, Proxy, Redis};
use tokio::time::sleep;

#[tokio::test(flavor = "multi_thread")]
async fn a_break_is_said_once_and_its_end_once() {
    let Some(redis) = Redis::start() else { return };
    redis.ask(&["ACL", "SETUSER", "near", "on", ">opensesame", "~*", "+@all"]).unwrap();
    let proxy = Proxy::to(redis.addr());
    let log = Log::default();
    tracing_subscriber::fmt()
        .with_writer({
            let log = log.clone();
            move || log.clone()
        })
        .init();
    let store = RedisStore::connect(&format!("redis://near:opensesame@{}", proxy.addr())).await.unwrap();
    let node = NearCache::new(store).unwrap();
    within(|| node.is_live()).await;
    assert_eq!(log.lines(), Vec::<String>::new());
    for _ in 0..2 {
        log.clear();
        proxy.set(Fault::Refuse);
        proxy.drop_all();
        within(|| !log.lines().is_empty()).await;
        // Time for several attempts.
        sleep(Duration::from_millis(500)).await;
        assert!(!node.is_live());
        let lines = log.lines();
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert!(lines[0].contains("WARN") && lines[0].contains("the near cache hears nothing from the server"));
        proxy.set(Fault::None);
        within(|| node.is_live() && log.lines().len() > 1).await;
        // It would be said again with the next sign of life.
        sleep(Duration::from_millis(300)).await;
        let lines = log.lines();
        assert_eq!(lines.len(), 2, "{lines:#?}");
        assert!(lines[1].contains("INFO") && lines[1].contains("the near cache serves sessions again"));
        assert!(!lines.concat().contains("sesame"));
    }
}

async fn within(done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(3));
        sleep(Duration::from_millis(1)).await;
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// What the near cache said.
    fn lines(&self) -> Vec<String> {
        let bytes = self.0.lock().unwrap();
        let lines = std::str::from_utf8(&bytes).unwrap().lines();
        lines.filter(|line| line.contains("near")).map(str::to_owned).collect()
    }

    fn clear(&self) {
        self.0.lock().unwrap().clear();
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
