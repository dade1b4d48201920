//! A cluster whose nodes fail, and whose keys move.

use std::error::Error as _;

use session_core::{SessionStore, Update, Version};
use session_testing::servers::{Fault, Proxy, RedisCluster};

use super::*;

async fn nodes(cluster: &RedisCluster) -> RedisStore {
    RedisStore::cluster(&[cluster.nodes()[0].url()]).await.unwrap()
}

/// The name of a session whose primary is the `n`th, and its number.
fn session_on(cluster: &RedisCluster, n: usize) -> u8 {
    let port = cluster.primaries()[n].port();
    let name = |number: u8| format!("session:{}", key(number).to_hex());
    (0..=255).find(|number| cluster.primary_of(&name(*number)).port() == port).unwrap()
}

#[tokio::test]
async fn a_primary_that_was_killed_is_replaced_and_what_a_replica_had_is_there() {
    let Some(cluster) = RedisCluster::start() else { return };
    let store = nodes(&cluster).await;
    let safe = store.clone().timeout(PATIENCE).wait_for_replicas(1, Duration::from_secs(5));
    for number in 0..20 {
        create(&safe, number, Some("ada")).await;
    }
    let number = session_on(&cluster, 1);
    let former = cluster.kill_primary(1);
    fails_in_time(&store, number).await;
    cluster.failed_over(former);
    recovered(&store).await;
    for number in 0..20 {
        let updated = store.update(&key(number), &record(Some("ada")), Version::FIRST).await;
        assert_eq!(updated.unwrap(), Update::Updated, "{number}");
    }
    assert_eq!(store.sessions_of("ada", 100).await.unwrap().len(), 20);
    assert_eq!(store.delete_all_of("ada", None).await.unwrap(), 20);
}

#[tokio::test]
async fn a_primary_that_stands_still_is_left_for_its_replica() {
    let Some(cluster) = RedisCluster::start() else { return };
    let store = nodes(&cluster).await;
    let safe = store.clone().timeout(PATIENCE).wait_for_replicas(1, Duration::from_secs(5));
    let number = session_on(&cluster, 2);
    create(&safe, number, None).await;
    let former = cluster.primaries()[2];
    former.stop();
    fails_in_time(&store, number).await;
    cluster.failed_over(former);
    let start = Instant::now();
    while store.touch(&key(number)).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(5), "service did not resume");
    }
    former.resume();
    for _ in 0..20 {
        store.touch(&key(number)).await.unwrap();
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn keys_are_found_before_while_and_after_they_move() {
    let Some(cluster) = RedisCluster::start() else { return };
    let store = nodes(&cluster).await.timeout(PATIENCE);
    let number = session_on(&cluster, 0);
    create(&store, number, Some("ada")).await;
    let name = format!("session:{}", key(number).to_hex());
    let (from, to) = (cluster.primary_of(&name), cluster.primaries()[1]);
    let slot = from.ask(&["CLUSTER", "KEYSLOT", &name]).unwrap();
    let id = |node: &Redis| node.ask(&["CLUSTER", "MYID"]).unwrap();
    to.ask(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id(from)]).unwrap();
    from.ask(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id(to)]).unwrap();
    assert!(is_live(&store, number).await, "not yet moved");
    let port = to.port().to_string();
    from.ask(&["MIGRATE", "127.0.0.1", &port, &name, "0", "5000"]).unwrap();
    assert_eq!(store.update(&key(number), &record(Some("ada")), Version::FIRST).await.unwrap(), Update::Updated);
    assert!(store.delete(&key(number)).await.unwrap());
    // Nothing is there, so the new node is asked.
    create(&store, number, Some("ada")).await;
    for node in cluster.primaries() {
        node.ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &id(to)]).unwrap();
    }
    assert!(is_live(&store, number).await, "moved");
    assert_eq!(store.sessions_of("ada", 10).await.unwrap().len(), 1);
    assert_eq!(cluster.primary_of(&name).port(), to.port());
}

#[tokio::test]
async fn scripts_that_a_node_has_lost_are_told_again() {
    let Some(cluster) = cluster() else { return };
    let store = nodes(cluster).await.timeout(PATIENCE).prefix("scripts").unwrap();
    for round in 0..2 {
        for number in 0..10 {
            create(&store, 10 * round + number, Some("ada")).await;
        }
        for node in cluster.primaries() {
            node.ask(&["SCRIPT", "FLUSH"]).unwrap();
        }
    }
    assert_eq!(store.sessions_of("ada", 100).await.unwrap().len(), 20);
}

#[tokio::test]
async fn an_index_that_was_lost_comes_back_with_the_next_login() {
    let Some(cluster) = cluster() else { return };
    let store = nodes(cluster).await.timeout(PATIENCE).prefix("lost").unwrap();
    create(&store, 1, Some("ada")).await;
    let index = "lost:{of:ada}";
    for harm in [vec!["DEL", index], vec!["SET", index, "stolen tea"]] {
        let node = cluster.primary_of(index);
        node.ask(&["DEL", index]).unwrap();
        node.ask(&harm).unwrap();
        assert!(store.sessions_of("ada", 10).await.unwrap().is_empty());
        assert_eq!(store.delete_all_of("ada", None).await.unwrap(), 0);
        let renamed = store.rename(&key(1), &key(2), &record(Some("ada")), Version::FIRST, end_oldest(1)).await;
        assert_eq!(renamed.unwrap(), Update::Updated);
        assert_eq!(store.sessions_of("ada", 10).await.unwrap().len(), 1);
        assert_eq!(store.delete_all_of("ada", None).await.unwrap(), 1);
        store.create(&key(1), &record(Some("ada")), end_oldest(1)).await.unwrap();
    }
}

#[tokio::test]
async fn a_renewed_session_takes_the_place_of_its_former_key() {
    let Some(cluster) = cluster() else { return };
    let store = nodes(cluster).await.timeout(PATIENCE).prefix("renewed").unwrap();
    create(&store, 1, Some("ada")).await;
    let created = store.load(&key(1)).await.unwrap().unwrap().times.created.as_millis();
    let index = || {
        let index = "renewed:{of:ada}";
        cluster.primary_of(index).ask(&["ZRANGE", index, "0", "-1", "WITHSCORES"]).unwrap()
    };
    let renamed = store.rename(&key(1), &key(2), &record(Some("ada")), Version::FIRST, SubjectLimit::None).await;
    assert_eq!((renamed.unwrap(), index()), (Update::Updated, format!("{}\n{created}", key(2).to_hex())));
    let second = Version::FIRST.next();
    let renamed = store.rename(&key(2), &key(3), &record(Some("bob")), second, SubjectLimit::None).await;
    assert_eq!((renamed.unwrap(), index()), (Update::Updated, String::new()));
    assert!(store.delete(&key(3)).await.unwrap());
    assert_eq!(cluster.primary_of("renewed:{of:bob}").ask(&["EXISTS", "renewed:{of:bob}"]).unwrap(), "0");
}

#[tokio::test]
async fn what_is_no_session_is_in_nobodys_way() {
    let Some(cluster) = cluster() else { return };
    let store = nodes(cluster).await.timeout(PATIENCE).prefix("strange").unwrap();
    let name = format!("strange:{}", key(1).to_hex());
    let node = cluster.primary_of(&name);
    for harm in [vec!["SET", &name, "stolen tea"], vec!["HSET", &name, "a", "stolen tea"]] {
        create(&store, 1, Some("ada")).await;
        node.ask(&["DEL", &name]).unwrap();
        node.ask(&harm).unwrap();
        assert!(store.load(&key(1)).await.unwrap_err().is_unreadable());
        assert!(store.sessions_of("ada", 10).await.unwrap().is_empty());
        let gone = store.rename(&key(1), &key(2), &record(None), Version::FIRST, end_oldest(1)).await;
        assert_eq!(gone.unwrap(), Update::Gone);
        assert_eq!(store.create(&key(3), &record(Some("ada")), end_oldest(1)).await.unwrap(), Create::Created);
        assert_eq!(store.delete_all_of("ada", None).await.unwrap(), 1);
        assert!(!store.delete(&key(1)).await.unwrap());
        assert!(!is_live(&store, 1).await);
    }
}

#[tokio::test]
async fn a_node_that_is_slow_to_answer_is_waited_for() {
    let Some(cluster) = cluster() else { return };
    let proxy = Proxy::to(cluster.nodes()[0].addr());
    proxy.set(Fault::Delay(Duration::from_millis(90)));
    let store = RedisStore::cluster(&[format!("redis://{}", proxy.addr())]).await.unwrap();
    create(&store.timeout(PATIENCE).prefix("slow").unwrap(), 1, Some("ada")).await;
}

#[tokio::test]
async fn one_node_of_those_named_is_enough_and_none_is_an_error() {
    let Some(cluster) = cluster() else { return };
    let store = RedisStore::cluster(&["redis://127.0.0.1:1".to_owned(), cluster.nodes()[4].url()]).await.unwrap();
    create(&store.timeout(PATIENCE), 1, None).await;
    RedisStore::cluster(&["redis://127.0.0.1:1"]).await.expect_err("there is no node");
    RedisStore::cluster(&[""; 0]).await.expect_err("no node is named");
    let Some(redis) = redis() else { return };
    RedisStore::cluster(&[redis.url()]).await.expect_err("this is no cluster");
    // One node of a cluster is no store, and says so.
    let mut told = String::new();
    for node in cluster.primaries() {
        let store = RedisStore::connect(&node.url()).await.unwrap();
        if let Err(error) = store.load(&key(1)).await {
            told = error.source().unwrap().to_string();
        }
    }
    assert!(told.contains("RedisStore::cluster"), "{told}");
}
