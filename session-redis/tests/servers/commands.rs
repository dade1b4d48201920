//! How many commands a verb costs, as the servers count them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use session_core::{SessionStore, StoreKey, SubjectLimit, Timestamp, Version};

use super::*;

/// What servers say they were asked for; not what their scripts do.
struct Monitor(Vec<(BufReader<TcpStream>, String)>);

impl Monitor {
    fn of(servers: &[&Redis]) -> Self {
        let streams = servers.iter().map(|redis| {
            let mut stream = TcpStream::connect(redis.addr()).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            stream.write_all(b"MONITOR\r\n").unwrap();
            let mut lines = BufReader::new(stream);
            lines.read_line(&mut String::new()).unwrap();
            (lines, redis.addr().to_string())
        });
        Self(streams.collect())
    }

    /// The commands since the last time.
    fn commands(&mut self) -> Vec<String> {
        let mut commands = Vec::new();
        for (lines, addr) in &mut self.0 {
            let mut marker = TcpStream::connect(&*addr).unwrap();
            marker.write_all(b"ECHO enough\r\n").unwrap();
            loop {
                let mut line = String::new();
                lines.read_line(&mut line).unwrap();
                let (origin, command) = line.split_once("] ").unwrap();
                if command.trim_end() == r#""ECHO" "enough""# {
                    break;
                }
                // Nodes of a cluster talk to each other, and replicas to their primary.
                let name = command.split(' ').next().unwrap().trim_matches('"').to_uppercase();
                if !origin.ends_with(" lua") && !["PING", "REPLCONF", "INFO", "PUBLISH"].contains(&&*name) {
                    commands.push(name);
                }
            }
        }
        commands
    }
}

/// Each verb once, on sessions whose numbers begin with `first`, and the commands that each of them cost. Everybody but the visitor
/// is alone.
async fn costs(store: &RedisStore, monitor: &mut Monitor, first: u8) -> Vec<(&'static str, usize)> {
    let key = |number: u8| key(first + number);
    let (nobody, subject) = (record(None), format!("ada{first}"));
    let ada = record(Some(&subject));
    let (one, two) = (Version::FIRST, Version::FIRST.next());
    let none = SubjectLimit::None;
    let mut costs = Vec::new();
    monitor.commands();
    macro_rules! cost {
        ($name:literal, $verb:expr) => {
            $verb.await.unwrap();
            costs.push(($name, monitor.commands().len()));
        };
    }
    cost!("create nobody's", store.create(&key(1), &nobody, none));
    cost!("load", store.load(&key(1)));
    cost!("load nothing", store.load(&key(9)));
    cost!("update", store.update(&key(1), &nobody, one));
    cost!("touch", store.touch(&key(1)));
    cost!("renew nobody's", store.rename(&key(1), &key(2), &nobody, two, none));
    cost!("delete nobody's", store.delete(&key(2)));
    cost!("create", store.create(&key(3), &ada, none));
    cost!("renew", store.rename(&key(3), &key(4), &ada, one, none));
    cost!("delete by a former key", store.delete(&key(3)));
    store.create(&key(5), &nobody, none).await.unwrap();
    monitor.commands();
    cost!("login", store.rename(&key(5), &key(6), &ada, one, none));
    cost!("login at the limit of one", store.create(&key(7), &ada, end_oldest(1)));
    cost!("sessions_of", store.sessions_of(&subject, 10));
    cost!("delete_one_of", store.delete_one_of(&subject, &key(7)));
    store.create(&key(8), &ada, none).await.unwrap();
    store.create(&key(9), &ada, none).await.unwrap();
    monitor.commands();
    cost!("delete_all_of but one", store.delete_all_of(&subject, Some(&key(8))));
    cost!("delete_all_of", store.delete_all_of(&subject, None));
    cost!("revoke", store.revoke(&key(1), Duration::from_secs(9)));
    cost!("revoke_all_of", store.revoke_all_of(&subject, Timestamp::from_millis(1), Duration::from_secs(9)));
    cost!("is_revoked", store.is_revoked(&[key(1), key(2)], Some(&subject), Timestamp::from_millis(2)));
    cost!("sweep", store.sweep(10));
    costs
}

#[tokio::test]
async fn every_verb_is_one_command_on_a_single_server() {
    let Some(redis) = Redis::start() else { return };
    let (store, mut monitor) = (store(&redis).await, Monitor::of(&[&redis]));
    costs(&store, &mut monitor, 0).await;
    for (verb, commands) in costs(&store, &mut monitor, 20).await {
        assert_eq!(commands, usize::from(verb != "sweep"), "{verb}");
    }
}

#[cfg(feature = "cluster")]
#[tokio::test]
async fn in_a_cluster_what_reaches_several_slots_takes_several_commands() {
    let Some(cluster) = session_testing::servers::RedisCluster::start() else { return };
    let store = RedisStore::cluster(&[cluster.nodes()[0].url()]).await.unwrap().timeout(PATIENCE);
    let mut monitor = Monitor::of(&cluster.nodes()[..3].iter().collect::<Vec<_>>());
    // Each node has to have seen each script.
    for first in 0..5 {
        costs(&store, &mut monitor, 20 * first).await;
    }
    let costs = costs(&store, &mut monitor, 200).await;
    let expected = [
        ("create nobody's", 1),
        ("load", 1),
        ("load nothing", 1),
        ("update", 1),
        ("touch", 1),
        ("renew nobody's", 4),
        ("delete nobody's", 1),
        ("create", 3),
        ("renew", 6),
        ("delete by a former key", 3),
        ("login", 5),
        ("login at the limit of one", 7),
        ("sessions_of", 3),
        ("delete_one_of", 2),
        ("delete_all_of but one", 6),
        ("delete_all_of", 3),
        ("revoke", 1),
        ("revoke_all_of", 1),
        ("is_revoked", 3),
        ("sweep", 0),
    ];
    assert_eq!(costs, expected);
}

#[tokio::test]
async fn scripts_that_the_server_has_lost_are_told_again() {
    let Some(redis) = Redis::start() else { return };
    let (store, mut monitor) = (store(&redis).await, Monitor::of(&[&redis]));
    create(&store, 1, Some("ada")).await;
    redis.ask(&["SCRIPT", "FLUSH"]).unwrap();
    monitor.commands();
    assert!(is_live(&store, 1).await);
    assert_eq!(monitor.commands(), ["EVALSHA", "EVAL"]);
    assert!(is_live(&store, 1).await);
    assert_eq!(monitor.commands(), ["EVALSHA"]);
}

#[tokio::test]
async fn a_touch_rewrites_no_payload() {
    let Some(redis) = redis() else { return };
    let store = store(redis).await.prefix("touch").unwrap();
    create(&store, 1, None).await;
    let name = format!("touch:{}", key(1).to_hex());
    redis.ask(&["HSET", &name, "record", "as it was"]).unwrap();
    store.touch(&key(1)).await.unwrap();
    assert_eq!(redis.ask(&["HGET", &name, "record"]).unwrap(), "as it was");
}

#[tokio::test]
async fn a_longer_index_costs_a_login_no_more() {
    let Some(redis) = Redis::start() else { return };
    let (store, mut monitor) = (store(&redis).await, Monitor::of(&[&redis]));
    for number in 0..200 {
        create(&store, number, Some("ada")).await;
    }
    monitor.commands();
    store.create(&key(200), &record(Some("ada")), SubjectLimit::None).await.unwrap();
    assert_eq!(monitor.commands().len(), 1);
    let listed: Vec<StoreKey> = store.sessions_of("ada", 10).await.unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!((listed.len(), listed[0]), (10, key(200)));
}
