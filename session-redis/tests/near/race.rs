//! Replies and messages that overtake each other.

use session_testing::stores::{Held, Slow};

use super::*;

/// A load's reply that comes after the message that it is outdated is not kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_reply_is_not_kept() {
    let Some(redis) = redis() else { return };
    let other = store(&redis.url()).await;
    let held = Held::new(other.clone());
    let node = NearCache::around(other.clone(), |_| held.clone()).unwrap();
    within(BACK, || node.is_live()).await;
    let (key, sign) = (key(1), key(2));
    for round in 0..3 {
        create(&other, &key).await;
        create(&other, &sign).await;
        warm(&node, &sign).await;
        held.after_it(Verb::Load);
        let loading = tokio::spawn({
            let node = node.clone();
            async move { node.load(&key).await.unwrap().unwrap() }
        });
        held.reached(Verb::Load).await;
        match round {
            0 => assert_eq!(other.update(&key, &record(1), Version::FIRST).await.unwrap(), Update::Updated),
            1 => assert!(other.delete(&key).await.unwrap()),
            _ => drop(redis.ask(&["FLUSHALL"]).unwrap()),
        }
        other.delete(&sign).await.unwrap();
        within(BACK, || node.stats().entries == 0).await;
        assert!(!loading.is_finished());
        held.release();
        assert_eq!(number(&loading.await.unwrap()), 0);
        let loaded = node.load(&key).await.unwrap();
        assert_eq!(loaded.as_ref().map(number), (round == 0).then_some(1));
        node.delete(&key).await.unwrap();
    }
}

/// The messages come late. While a write is on its way its session is not served from memory, and after it what was loaded
/// before is gone, also if nobody waited for it to end.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_is_changing_it_does_not_serve_from_memory() {
    let Some(redis) = redis() else { return };
    let proxy = Proxy::to(redis.addr());
    let other = store(&redis.url()).await;
    let slow = Slow::new(other.clone());
    let node = NearCache::around(store(&format!("redis://{}", proxy.addr())).await, |_| slow.clone()).unwrap();
    let node = node.staleness(Duration::from_secs(5));
    within(BACK, || node.is_live()).await;
    proxy.set(Fault::Delay(Duration::from_millis(300)));
    create(&node, &key(1)).await;
    for (round, waited_for) in [(1, true), (2, false)] {
        warm(&node, &key(1)).await;
        let seen = Version::from_u64(round);
        slow.before_it(Verb::Update, Duration::from_millis(250));
        slow.after_it(Verb::Update, Duration::from_millis(if waited_for { 100 } else { 5_000 }));
        let writing = tokio::spawn({
            let node = node.clone();
            async move { node.update(&key(1), &record(round), seen).await.unwrap() }
        });
        let mut before = 0;
        while other.load(&key(1)).await.unwrap().unwrap().version == seen {
            before += u32::from(node.load(&key(1)).await.unwrap().unwrap().version == seen);
        }
        assert!(before > 10, "loaded {before} times before the write: it shows nothing");
        // The write is done, nobody has acknowledged it, and no message has said so.
        assert_eq!(node.load(&key(1)).await.unwrap().unwrap().version, seen.next());
        if waited_for {
            assert_eq!(writing.await.unwrap(), Update::Updated);
        } else {
            writing.abort();
            assert!(writing.await.unwrap_err().is_cancelled());
        }
        assert_eq!(node.load(&key(1)).await.unwrap().unwrap().version, seen.next());
    }
}

/// Ten thousand rounds: writers and readers on two nodes. What a node has seen a moment ago it doesn't lose again, and in the
/// end both agree with the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_loads_and_writes_never_lead_back_in_time() {
    let Some(redis) = redis() else { return };
    let nodes = [node(&redis).await, node(&redis).await];
    for number in 0..KEYS {
        create(&nodes[0], &key(number)).await;
    }
    let (done, views) = (Arc::new(AtomicBool::new(false)), [(); 2].map(|()| Arc::new(View::default())));
    let (mut readers, mut writers) = (JoinSet::new(), JoinSet::new());
    for (node, view) in nodes.iter().zip(&views) {
        for first in 0..4 {
            readers.spawn(read(node.clone(), Arc::clone(view), Arc::clone(&done), first));
        }
        writers.spawn(write(node.clone(), Arc::clone(view)));
    }
    let settling = tokio::spawn({
        let views = views.clone();
        async move {
            loop {
                sleep(SOON / 2).await;
                views.iter().for_each(|view| view.settle());
            }
        }
    });
    let conflicts: u64 = writers.join_all().await.into_iter().sum();
    sleep(SOON).await;
    done.store(true, Ordering::Relaxed);
    let loads: u64 = readers.join_all().await.into_iter().sum();
    settling.abort();
    println!("{ROUNDS} writes, {conflicts} conflicts, {loads} loads: {:?}", nodes.each_ref().map(NearCache::stats));
    let truth = store(&redis.url()).await;
    for number in 0..KEYS {
        let version = truth.load(&key(number)).await.unwrap().unwrap().version;
        assert_eq!(version.as_u64(), 1 + ROUNDS / KEYS);
        for node in &nodes {
            assert_eq!(node.load(&key(number)).await.unwrap().unwrap().version, version);
        }
    }
}

const KEYS: u64 = 8;
const ROUNDS: u64 = 10_000;

/// The newest versions that one node's requests have seen: by now, a moment ago, and a while ago.
#[derive(Default)]
struct View([[AtomicU64; KEYS as usize]; 3]);

impl View {
    fn saw(&self, number: u64, version: Version) {
        self.0[0][number as usize].fetch_max(version.as_u64(), Ordering::SeqCst);
    }

    /// What every message has had the time for to arrive.
    fn settled(&self, number: u64) -> u64 {
        self.0[2][number as usize].load(Ordering::SeqCst)
    }

    fn settle(&self) {
        for age in [2, 1] {
            for (to, from) in self.0[age].iter().zip(&self.0[age - 1]) {
                to.store(from.load(Ordering::SeqCst), Ordering::SeqCst);
            }
        }
    }
}

async fn read(node: impl SessionStore, view: Arc<View>, done: Arc<AtomicBool>, first: u64) -> u64 {
    let mut loads = first;
    while !done.load(Ordering::Relaxed) {
        let number = loads % KEYS;
        let settled = view.settled(number);
        let version = node.load(&key(number)).await.unwrap().unwrap().version;
        assert!(version.as_u64() >= settled, "{version:?} after {settled} had been seen on this node");
        view.saw(number, version);
        loads += 1;
        tokio::task::yield_now().await;
    }
    loads - first
}

/// Half of the rounds; and how many conflicts there were.
async fn write(node: impl SessionStore, view: Arc<View>) -> u64 {
    let mut conflicts = 0;
    for round in 0..ROUNDS / 2 {
        let number = round % KEYS;
        loop {
            let loaded = node.load(&key(number)).await.unwrap().unwrap();
            if node.update(&key(number), &record(round), loaded.version).await.unwrap() == Update::Updated {
                view.saw(number, loaded.version.next());
                break;
            }
            conflicts += 1;
        }
    }
    conflicts
}
