//! What is on the server, and what becomes of it if somebody else has changed it.

use std::error::Error as _;

use session_core::{SessionStore, Timestamp, Update, Version};

use super::*;

/// Everything under a prefix, by name.
fn names(redis: &Redis, prefix: &str) -> Vec<String> {
    let answer = redis.ask(&["KEYS", &format!("{prefix}:*")]).unwrap();
    let mut names: Vec<_> = answer.lines().map(str::to_owned).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_person_can_read_a_session_with_any_client() {
    let Some(redis) = redis() else { return };
    let store = store(redis).await.prefix("reader").unwrap();
    create(&store, 0x0a, Some("ada")).await;
    let hex = "0a".repeat(32);
    let answer = redis.ask(&["HGETALL", &format!("reader:{hex}")]).unwrap();
    let lines: Vec<_> = answer.lines().collect();
    let field = |name: &str| lines.chunks(2).find(|pair| pair[0] == name).unwrap()[1];
    let times = store.load(&key(0x0a)).await.unwrap().unwrap().times;
    assert_eq!((field("version"), field("subject")), ("1", "ada"));
    assert_eq!((field("idle"), field("lifetime")), ("1800000", "43200000"));
    assert_eq!(field("created"), times.created.as_millis().to_string());
    assert_eq!(field("seen"), times.seen.as_millis().to_string());
    assert_eq!(
        field("record"),
        r#"{"format":1,"subject":"ada","idle":1800000,"lifetime":43200000,"values":{"note":"tea & co"}}"#
    );
    let expires = redis.ask(&["PEXPIRETIME", &format!("reader:{hex}")]).unwrap();
    assert_eq!(expires, times.expires.as_millis().to_string());
    let index = redis.ask(&["ZRANGE", "reader:{of:ada}", "0", "-1", "WITHSCORES"]).unwrap();
    assert_eq!(index, format!("{hex}\n{}", times.created.as_millis()));
}

#[tokio::test]
async fn nothing_is_on_the_server_but_what_is_named_here_and_all_of_it_ends() {
    let Some(redis) = redis() else { return };
    let store = store(redis).await.prefix("names").unwrap();
    create(&store, 1, None).await;
    let renamed = store.rename(&key(1), &key(2), &record(Some("ada")), Version::FIRST, SubjectLimit::None).await;
    assert_eq!(renamed.unwrap(), Update::Updated);
    store.update(&key(2), &record(Some("bob")), Version::FIRST.next()).await.unwrap();
    store.revoke(&key(3), Duration::from_secs(60)).await.unwrap();
    store.revoke_all_of("ada", Timestamp::from_millis(7), Duration::from_secs(60)).await.unwrap();
    let hex = |number| key(number).to_hex();
    let mut expected = vec![
        format!("names:{}", hex(1)),
        format!("names:{}", hex(2)),
        format!("names:{{{}}}:revoked", hex(3)),
        "names:{of:ada}:revoked".to_owned(),
        "names:{of:bob}".to_owned(),
    ];
    expected.sort();
    assert_eq!(names(redis, "names"), expected);
    assert_eq!(redis.ask(&["HGET", &format!("names:{}", hex(1)), "moved"]).unwrap(), hex(2));
    assert_eq!(redis.ask(&["GET", "names:{of:ada}:revoked"]).unwrap(), "7");
    for name in expected {
        let left: i64 = redis.ask(&["PTTL", &name]).unwrap().parse().unwrap();
        assert!(left > 0, "{name} stays for ever");
    }
    let session: i64 = redis.ask(&["PTTL", &format!("names:{}", hex(2))]).unwrap().parse().unwrap();
    let index: i64 = redis.ask(&["PTTL", "names:{of:bob}"]).unwrap().parse().unwrap();
    assert!(index > session && index >= 43_200_000 - 1_000, "an index lives as long as its sessions may");
}

#[tokio::test]
async fn an_index_grows_with_the_lifetime_of_its_sessions() {
    let Some(redis) = redis() else { return };
    let store = store(redis).await.prefix("lifetime").unwrap();
    let left = || redis.ask(&["PTTL", "lifetime:{of:ada}"]).unwrap().parse::<i64>().unwrap();
    create(&store, 1, Some("ada")).await;
    let mut long = record(Some("ada"));
    long.expiry.lifetime = Duration::from_secs(90 * 24 * 3_600);
    store.update(&key(1), &long, Version::FIRST).await.unwrap();
    assert!(left() > 89 * 24 * 3_600_000);
    create(&store, 2, Some("ada")).await;
    assert!(left() > 89 * 24 * 3_600_000, "a shorter session must not shorten it");
}

#[tokio::test]
async fn the_dead_leave_an_index_with_the_next_logins() {
    let Some(redis) = redis() else { return };
    let store = store(redis).await.prefix("dead").unwrap();
    create(&store, 255, Some("ada")).await;
    let mut short = record(Some("ada"));
    short.expiry.idle = Duration::from_millis(30);
    for number in 0..200 {
        store.create(&key(number), &short, SubjectLimit::None).await.unwrap();
    }
    sleep(Duration::from_millis(60)).await;
    for number in 200..250 {
        create(&store, number, Some("ada")).await;
    }
    let members: usize = redis.ask(&["ZCARD", "dead:{of:ada}"]).unwrap().parse().unwrap();
    assert!((51..150).contains(&members), "51 are alive and {members} are in the index");
    assert_eq!(store.sessions_of("ada", 1_000).await.unwrap().len(), 51);
    // With a limit all of them go, because all are looked at.
    store.create(&key(250), &record(Some("ada")), end_oldest(60)).await.unwrap();
    let members: usize = redis.ask(&["ZCARD", "dead:{of:ada}"]).unwrap().parse().unwrap();
    assert_eq!(members, 52);
}

#[tokio::test]
async fn what_is_past_its_deadline_is_absent_though_the_server_keeps_it() {
    let Some(redis) = redis() else { return };
    let store = store(redis).await.prefix("late").unwrap();
    let mut short = record(Some("ada"));
    short.expiry.idle = Duration::from_millis(40);
    store.create(&key(1), &short, SubjectLimit::None).await.unwrap();
    let name = format!("late:{}", key(1).to_hex());
    assert_eq!(redis.ask(&["PERSIST", &name]).unwrap(), "1");
    sleep(Duration::from_millis(60)).await;
    assert_eq!(redis.ask(&["EXISTS", &name]).unwrap(), "1");
    assert_eq!(store.load(&key(1)).await.unwrap(), None);
    assert_eq!(store.update(&key(1), &short, Version::FIRST).await.unwrap(), Update::Gone);
    assert!(store.sessions_of("ada", 10).await.unwrap().is_empty());
    assert!(!store.delete(&key(1)).await.unwrap());
    assert_eq!(redis.ask(&["EXISTS", &name]).unwrap(), "0");
}

/// What somebody else could do to the session under this name.
fn harm(name: &str) -> Vec<Vec<&str>> {
    vec![
        vec!["DEL", name],
        vec!["SET", name, "stolen tea"],
        vec!["DEL", name],
        vec!["RPUSH", name, "stolen tea"],
        vec!["DEL", name],
        vec!["HSET", name, "something", "stolen tea"],
    ]
}

#[tokio::test]
async fn what_is_no_session_is_unreadable_and_is_neither_shown_nor_in_the_way() {
    let Some(redis) = redis() else { return };
    let store = store(redis).await.prefix("harm").unwrap();
    let name = format!("harm:{}", key(1).to_hex());
    let of_another_type: Vec<_> = harm(&name).chunks(2).map(<[_]>::to_vec).collect();
    let changed = [
        vec!["HSET", &name, "record", "stolen tea"],
        vec!["HSET", &name, "record", r#"{"format":1,"subject":"ada","idle":1"#],
        vec!["HSET", &name, "record", r#"{"format":9}"#],
        vec!["HSET", &name, "record", ""],
        vec!["HDEL", &name, "record"],
        vec!["HDEL", &name, "version"],
        vec!["HSET", &name, "version", "stolen tea"],
        vec!["HSET", &name, "version", "99999999999999999999999"],
        vec!["HSET", &name, "created", "-1"],
        vec!["HSET", &name, "created", "0x10"],
        vec!["HSET", &name, "idle", "99999999999999999999999"],
        vec!["HSET", &name, "lifetime", "nan"],
        vec!["HDEL", &name, "seen"],
    ];
    for commands in changed.into_iter().map(|command| vec![command]).chain(of_another_type) {
        create(&store, 1, Some("ada")).await;
        for command in &commands {
            redis.ask(command).unwrap();
        }
        let error = store.load(&key(1)).await.expect_err("what is no session is not loaded");
        assert!(error.is_unreadable(), "{commands:?}: {error:?}");
        let told = format!("{error:?} {error} {:?}", error.source().map(ToString::to_string));
        assert!(!told.contains("stolen"), "{told}");
        assert!(store.sessions_of("ada", 10).await.unwrap().is_empty(), "{commands:?}");
        assert_eq!(store.create(&key(1), &record(None), SubjectLimit::None).await.unwrap(), Create::Taken);
        store.touch(&key(1)).await.unwrap();
        store.update(&key(1), &record(Some("ada")), Version::from_u64(8)).await.unwrap();
        store.rename(&key(1), &key(2), &record(None), Version::from_u64(8), SubjectLimit::None).await.unwrap();
        store.create(&key(3), &record(Some("ada")), end_oldest(1)).await.unwrap();
        store.delete_all_of("ada", None).await.unwrap();
        store.delete(&key(1)).await.unwrap();
        assert!(!is_live(&store, 1).await, "{commands:?}");
    }
    create(&store, 1, None).await;
}

#[tokio::test]
async fn what_is_no_index_and_no_revocation_gives_way() {
    let Some(redis) = redis() else { return };
    let store = store(redis).await.prefix("index").unwrap();
    for commands in harm("index:{of:ada}").chunks(2) {
        create(&store, 1, Some("ada")).await;
        commands.iter().for_each(|command| drop(redis.ask(command).unwrap()));
        assert!(store.sessions_of("ada", 10).await.unwrap().is_empty());
        assert_eq!(store.delete_all_of("ada", None).await.unwrap(), 0);
        store.rename(&key(1), &key(2), &record(Some("bob")), Version::FIRST, end_oldest(1)).await.unwrap();
        store.delete(&key(2)).await.unwrap();
        store.create(&key(3), &record(Some("ada")), end_oldest(1)).await.unwrap();
        assert_eq!(store.sessions_of("ada", 10).await.unwrap().len(), 1);
        assert_eq!(store.delete_all_of("ada", None).await.unwrap(), 1);
    }
    let minute = Duration::from_secs(60);
    for commands in harm("index:{of:ada}:revoked").chunks(2) {
        commands.iter().for_each(|command| drop(redis.ask(command).unwrap()));
        // It was a revocation of something; nobody knows of what.
        assert!(store.is_revoked(&[], Some("ada"), Timestamp::from_millis(9)).await.unwrap());
        store.revoke_all_of("ada", Timestamp::from_millis(7), minute).await.unwrap();
        assert!(!store.is_revoked(&[], Some("ada"), Timestamp::from_millis(9)).await.unwrap());
    }
    let name = format!("index:{{{}}}:revoked", key(1).to_hex());
    for commands in harm(&name).chunks(2) {
        commands.iter().for_each(|command| drop(redis.ask(command).unwrap()));
        assert!(store.is_revoked(&[key(1)], None, Timestamp::from_millis(9)).await.unwrap());
        store.revoke(&key(1), minute).await.unwrap();
    }
}

#[tokio::test]
async fn applications_with_different_prefixes_know_nothing_of_each_other() {
    let Some(redis) = redis() else { return };
    let (shop, blog) = (store(redis).await.prefix("a").unwrap(), store(redis).await.prefix("a:a").unwrap());
    for store in [&shop, &blog] {
        create(store, 1, Some("ada")).await;
        store.revoke(&key(9), Duration::from_secs(60)).await.unwrap();
    }
    assert_eq!(shop.delete_all_of("ada", None).await.unwrap(), 1);
    shop.revoke_all_of("ada", Timestamp::from_millis(9), Duration::from_secs(60)).await.unwrap();
    assert!(!is_live(&shop, 1).await && is_live(&blog, 1).await);
    assert!(!blog.is_revoked(&[key(1)], Some("ada"), Timestamp::from_millis(9)).await.unwrap());
}

#[tokio::test]
async fn sessions_of_a_server_that_was_emptied_are_gone_and_no_error() {
    let Some(redis) = Redis::start() else { return };
    let store = store(&redis).await;
    create(&store, 1, Some("ada")).await;
    store.revoke(&key(9), Duration::from_secs(60)).await.unwrap();
    redis.ask(&["FLUSHALL"]).unwrap();
    assert_eq!(store.load(&key(1)).await.unwrap(), None);
    assert_eq!(store.update(&key(1), &record(Some("ada")), Version::FIRST).await.unwrap(), Update::Gone);
    let renamed = store.rename(&key(1), &key(2), &record(None), Version::FIRST, SubjectLimit::None).await;
    assert_eq!(renamed.unwrap(), Update::Gone);
    assert!(!store.delete(&key(1)).await.unwrap());
    assert!(store.sessions_of("ada", 10).await.unwrap().is_empty());
    assert!(!store.is_revoked(&[key(9)], None, Timestamp::from_millis(9)).await.unwrap());
    create(&store, 1, Some("ada")).await;
}

/// What the documentation says a user of an access list needs.
const COMMANDS: &str = "EVALSHA EVAL TIME TYPE EXISTS DEL PTTL PEXPIREAT GET SET HGET HMGET HSET HDEL ZADD ZREM ZRANGE ZREVRANGE \
    ZRANDMEMBER";
#[cfg(feature = "cluster")]
const COMMANDS_IN_A_CLUSTER: &str = "CLUSTER|SLOTS ASKING ZSCORE ZRANGEBYSCORE";

fn add_user(redis: &Redis, commands: &str) {
    let commands: Vec<_> = commands.split_whitespace().map(|command| format!("+{}", command.to_lowercase())).collect();
    let rule = ["ACL", "SETUSER", "shop", "on", ">secret", "~shop:*"];
    redis.ask(&rule.into_iter().chain(commands.iter().map(String::as_str)).collect::<Vec<_>>()).unwrap();
}

/// Every verb once.
async fn use_all(store: &RedisStore) {
    let none = SubjectLimit::None;
    create(store, 1, None).await;
    create(store, 2, Some("ada")).await;
    store.touch(&key(1)).await.unwrap();
    store.update(&key(1), &record(None), Version::FIRST).await.unwrap();
    store.rename(&key(1), &key(3), &record(Some("ada")), Version::FIRST.next(), end_oldest(1)).await.unwrap();
    store.rename(&key(3), &key(4), &record(Some("ada")), Version::from_u64(3), none).await.unwrap();
    store.update(&key(4), &record(Some("bob")), Version::from_u64(4)).await.unwrap();
    assert_eq!(store.sessions_of("bob", 10).await.unwrap().len(), 1);
    assert!(store.delete_one_of("bob", &key(1)).await.unwrap());
    create(store, 5, Some("ada")).await;
    assert_eq!(store.delete_all_of("ada", Some(&key(9))).await.unwrap(), 1);
    assert!(store.revoke(&key(1), Duration::from_secs(60)).await.unwrap());
    store.revoke_all_of("ada", Timestamp::from_millis(7), Duration::from_secs(60)).await.unwrap();
    assert!(store.is_revoked(&[key(2)], Some("ada"), Timestamp::from_millis(7)).await.unwrap());
}

#[tokio::test]
async fn a_user_who_may_do_what_is_named_and_nothing_else_is_enough() {
    let Some(redis) = Redis::start() else { return };
    add_user(&redis, COMMANDS);
    let store = RedisStore::connect(&redis.url().replace("//", "//shop:secret@")).await.unwrap().timeout(PATIENCE);
    let error = store.load(&key(1)).await.expect_err("these are not the shop's names");
    assert_eq!(error.to_string(), "loading a session failed");
    use_all(&store.prefix("shop").unwrap()).await;
}

#[cfg(feature = "cluster")]
#[tokio::test]
async fn in_a_cluster_too() {
    let Some(cluster) = cluster() else { return };
    for node in cluster.nodes() {
        add_user(node, &format!("{COMMANDS} {COMMANDS_IN_A_CLUSTER}"));
    }
    let url = cluster.nodes()[0].url().replace("//", "//shop:secret@");
    let store = RedisStore::cluster(&[url]).await.unwrap().timeout(PATIENCE);
    use_all(&store.prefix("shop").unwrap()).await;
}

#[tokio::test]
async fn a_full_server_refuses_writers_and_still_lets_people_in_and_out() {
    let Some(redis) = Redis::start() else { return };
    let store = store(&redis).await;
    create(&store, 1, Some("ada")).await;
    create(&store, 2, Some("ada")).await;
    redis.ask(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
    let refused = store.create(&key(3), &record(Some("ada")), end_oldest(1)).await.unwrap_err();
    assert_eq!(refused.to_string(), "creating a session failed");
    store.update(&key(1), &record(Some("ada")), Version::FIRST).await.unwrap_err();
    store.rename(&key(1), &key(3), &record(None), Version::FIRST, SubjectLimit::None).await.unwrap_err();
    assert!(is_live(&store, 1).await && is_live(&store, 2).await, "a write that was refused has done nothing");
    store.touch(&key(1)).await.unwrap();
    assert!(store.delete(&key(1)).await.unwrap());
    assert_eq!(store.delete_all_of("ada", None).await.unwrap(), 1);
    redis.ask(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
    create(&store, 3, Some("ada")).await;
}
