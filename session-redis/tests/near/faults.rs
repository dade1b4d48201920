//! The server's messages don't come, or come late.

use super::*;

/// A node that doesn't get an answer whether it has heard everything forgets all.
#[tokio::test(flavor = "multi_thread")]
async fn a_logout_is_known_at_once_also_when_the_network_is_silent() {
    let Some(redis) = redis() else { return };
    let proxy = Proxy::to(redis.addr());
    let (node, _) = node_behind(&proxy, &redis).await;
    let node = node.staleness(Duration::from_secs(10));
    within(BACK, || node.is_live()).await;
    let node = node.staleness(Duration::from_secs(1));
    within(BACK, || node.is_live()).await;
    create(&node, &key(1)).await;
    warm(&node, &key(1)).await;
    proxy.set(Fault::Silent);
    assert_eq!(node.delete_all_of("ada", None).await.unwrap(), 1);
    assert!(!is_live(&node, &key(1)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_connection_empties_the_memory_until_there_is_another() {
    let Some(redis) = redis() else { return };
    let proxy = Proxy::to(redis.addr());
    let other = store(&redis.url()).await;
    let (node, inner) = node_behind(&proxy, &redis).await;
    // It is the end of the connection that counts here, and not the time that passes.
    let node = node.staleness(Duration::from_secs(10));
    for round in 0..5 {
        let key = key(round);
        create(&other, &key).await;
        warm(&node, &key).await;
        if round % 2 == 0 {
            proxy.set(Fault::Refuse);
            proxy.drop_all();
        } else {
            proxy.set(Fault::CutMidReply(3));
            other.touch(&key).await.unwrap();
        }
        within(BACK, || !node.is_live()).await;
        within(BACK, || node.stats().entries == 0).await;
        let loads = inner.count(Verb::Load);
        assert!(is_live(&node, &key).await && is_live(&node, &key).await);
        assert_eq!((inner.count(Verb::Load) - loads, node.stats().entries), (2, 0));
        other.update(&key, &record(round + 1), Version::FIRST).await.unwrap();
        assert_eq!(number(&node.load(&key).await.unwrap().unwrap()), round + 1);

        proxy.set(Fault::None);
        let back = within(BACK, || node.is_live()).await;
        println!("back after {back:?}");
        warm(&node, &key).await;
        assert_eq!(number(&node.load(&key).await.unwrap().unwrap()), round + 1);
    }
}

/// The connections to the server: those that hear of changes, and the others, except for the one that asks.
fn clients(redis: &Redis) -> (Vec<String>, Vec<String>) {
    let clients = redis.ask(&["CLIENT", "LIST"]).unwrap();
    let word = |line: &str, name: &str| line.split(' ').find_map(|word| word.strip_prefix(name)).unwrap().to_owned();
    let ids = |hears: bool| {
        let of = |line: &&str| !line.contains(" cmd=client|list") && word(line, "flags=").contains('B') == hears;
        clients.lines().filter(of).map(|line| word(line, "id=")).collect()
    };
    (ids(true), ids(false))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_the_server_ends_is_made_again() {
    let Some(redis) = redis() else { return };
    let node = node(&redis).await;
    create(&node, &key(1)).await;
    for _ in 0..3 {
        warm(&node, &key(1)).await;
        let (before, _) = clients(&redis);
        assert_eq!(before.len(), 1);
        redis.ask(&["CLIENT", "KILL", "ID", &before[0]]).unwrap();
        let another = || clients(&redis).0.first().is_some_and(|id| *id != before[0]);
        within(BACK, || another() && node.is_live()).await;
    }
    // Nobody listens for a cache that is gone.
    drop(node);
    within(BACK, || clients(&redis).0.is_empty()).await;
}

/// The store's new connection may lead to another server: the one that was promoted, or that has the name now.
#[tokio::test(flavor = "multi_thread")]
async fn where_the_store_goes_there_goes_the_cache() {
    let Some(redis) = redis() else { return };
    let node = node(&redis).await;
    create(&node, &key(1)).await;
    warm(&node, &key(1)).await;
    let (hearing, others) = clients(&redis);
    for id in &others {
        redis.ask(&["CLIENT", "KILL", "ID", id]).unwrap();
    }
    assert!(is_live(&node, &key(1)).await);
    assert_eq!(clients(&redis).0, hearing);
    // What is in memory needs no connection; this does.
    assert_eq!(node.touch(&key(1)).await.unwrap(), Touch::Touched);
    within(BACK, || clients(&redis).0.first().is_some_and(|id| *id != hearing[0])).await;
    within(BACK, || node.is_live()).await;
    warm(&node, &key(1)).await;
}

/// The server is alive and the network keeps everything back: what is served is never older than the bound.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_network_is_believed_no_longer_than_the_bound() {
    let Some(redis) = redis() else { return };
    let proxy = Proxy::to(redis.addr());
    let other = store(&redis.url()).await;
    let (node, _) = node_behind(&proxy, &redis).await;
    let mut took = Vec::new();
    for (round, staleness) in [1_000, 2_000].into_iter().enumerate() {
        let (staleness, key) = (Duration::from_millis(staleness), key(round as u64));
        let node = node.clone().staleness(staleness);
        within(BACK, || node.is_live()).await;
        create(&other, &key).await;
        warm(&node, &key).await;
        proxy.set(Fault::Silent);
        // The proxy notices within 10 ms; what it passed on until then is not silence.
        sleep(Duration::from_millis(30)).await;
        assert!(other.delete(&key).await.unwrap());
        assert!(is_live(&node, &key).await, "not silent, or not served from memory: the test proves nothing");
        let after = seen(&node, &key, |loaded| loaded.is_none()).await;
        assert!(after <= staleness, "{after:?} is more than {staleness:?}");
        took.push(after);
        proxy.set(Fault::None);
        within(BACK, || node.is_live()).await;
        assert!(!is_live(&node, &key).await);
    }
    println!("bypassed {took:?} after the logout that nobody told of, bounds 1 s, 2 s");
}

/// Signs of life come so late that the cache is bypassed for a moment again and again. What was loaded in such a moment is
/// newer than what is in memory.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_network_never_leads_back_in_time() {
    let Some(redis) = redis() else { return };
    let proxy = Proxy::to(redis.addr());
    let other = store(&redis.url()).await;
    let (node, _) = node_behind(&proxy, &redis).await;
    proxy.set(Fault::Delay(Duration::from_millis(220)));
    let key = key(1);
    create(&other, &key).await;
    let mut proofs = 0;
    for round in 0..50 {
        warm(&node, &key).await;
        let version = node.load(&key).await.unwrap().unwrap().version;
        within(BACK, || !node.is_live()).await;
        other.update(&key, &record(round), version).await.unwrap();
        assert_eq!(node.load(&key).await.unwrap().unwrap().version, version.next());
        let message = Instant::now() + Duration::from_millis(200);
        within(BACK, || node.is_live()).await;
        assert_eq!(node.load(&key).await.unwrap().unwrap().version, version.next());
        // If the message was there first, or the connection was given up, it shows nothing.
        proofs += usize::from(Instant::now() < message);
        if proofs == 3 {
            return;
        }
        sleep(SOON).await;
    }
    panic!("this machine is too busy: {proofs} proofs");
}

/// The runtime that should hear the messages does something else.
#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_stands_still_is_believed_no_longer_than_the_bound() {
    let Some(redis) = redis() else { return };
    let other = store(&redis.url()).await;
    let (give, take) = std::sync::mpsc::channel();
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let standing = std::thread::spawn({
        let other = other.clone();
        move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
                let node = NearCache::new(other.clone()).unwrap();
                create(&other, &key(1)).await;
                within(BACK, || node.is_live()).await;
                warm(&node, &key(1)).await;
                give.send(node.clone()).unwrap();
                wait.recv().unwrap();
                within(BACK, || node.is_live()).await;
                assert!(!is_live(&node, &key(1)).await);
            });
        }
    });
    let node = take.recv().unwrap();
    assert!(other.delete(&key(1)).await.unwrap());
    assert!(is_live(&node, &key(1)).await, "it does not stand still: the test proves nothing");
    // When the last look began that still found it: who looks later may be kept from looking.
    let (start, mut after) = (Instant::now(), Duration::ZERO);
    loop {
        let began = start.elapsed();
        if !is_live(&node, &key(1)).await {
            break;
        }
        after = began;
        assert!(began < BACK, "it is believed for ever");
        tokio::task::yield_now().await;
    }
    println!("believed for {after:?} more");
    assert!(after <= Duration::from_secs(1), "{after:?}");
    go_on.send(()).unwrap();
    standing.join().unwrap();
}

/// A server that became a replica says nothing of what happens on the primary.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_became_a_replica_is_not_believed() {
    let (Some(redis), Some(other)) = (redis(), redis()) else { return };
    let node = node(&redis).await;
    create(&node, &key(1)).await;
    warm(&node, &key(1)).await;
    redis.ask(&["REPLICAOF", "127.0.0.1", &other.port().to_string()]).unwrap();
    within(BACK, || !node.is_live()).await;
    sleep(SOON).await;
    assert!(!node.is_live() && node.stats().entries == 0);
    redis.ask(&["REPLICAOF", "NO", "ONE"]).unwrap();
    within(BACK, || node.is_live()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_is_an_error_and_then_served_again() {
    let Some(redis) = redis() else { return };
    let node = node(&redis).await;
    create(&node, &key(1)).await;
    warm(&node, &key(1)).await;
    redis.kill();
    within(BACK, || !node.is_live()).await;
    assert!(node.load(&key(1)).await.is_err());
    redis.restart();
    within(2 * BACK, || node.is_live()).await;
    warm(&node, &key(1)).await;
}
