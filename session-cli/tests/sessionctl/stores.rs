//! A night's work on each store.

use std::time::Duration;

use session_core::{Encrypted, Event, Happening, Inspector, Observer, SessionManager};
use session_testing::servers::{MariaDb, Postgres, Redis, RedisCluster, RedisSentinel};
use std::sync::{Arc, Mutex};

use crate::operator::{Folder, OTHER, Operator, SECRET, ring};

/// What an application has left at this URL, and what an operator sees and does of it.
async fn works(url: &str) {
    let mut operator = Operator::new().env("STORE", url);
    let store = session_stores::connect(url).await.unwrap();
    let manager = SessionManager::stored(Arc::clone(&store), ring(SECRET)).build().unwrap();
    let mut cookies = Vec::new();
    for subject in ["ada", "ada", "bob"] {
        cookies.push(operator.visit_with(&manager, subject).await);
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    let handles = |subject| {
        let (code, list) = operator.json(["list", subject]);
        let sessions = list["sessions"].as_array().unwrap().clone();
        let handles = sessions.iter().map(|session| session["handle"].as_str().unwrap().to_owned());
        (code, handles.collect::<Vec<_>>())
    };

    // Those created last come first, as the application itself has them.
    let (code, ada) = handles("ada");
    let devices = manager.sessions_of("ada").await.unwrap();
    let expected: Vec<_> = devices.iter().map(|device| device.handle.to_string()).collect();
    assert_eq!((code, &ada), (0, &expected), "{url}");
    let list = operator.run(["list", "ada"]);
    assert!(ada.iter().all(|handle| list.stdout.contains(handle)) && list.code == 0, "{}", list.stdout);
    assert!(list.stdout.contains("Firefox \\u{1b}[2J\\u{202e}on Linux"), "{}", list.stdout);
    let (_, one) = operator.json(["list", "ada", "--most", "1"]);
    assert_eq!(one["sessions"][0]["values"]["cart"]["kind"], "array", "a list shows no values");
    assert_eq!(one["sessions"].as_array().unwrap().len(), 1);

    let (code, shown) = operator.json(["show", &ada[0]]);
    assert_eq!((code, &shown["subject"], &shown["values"]["cart"][1]), (0, &"ada".into(), &"\u{9b}cake".into()));
    assert_eq!(shown["handle"], ada[0].as_str());
    let people = operator.run(["show", &ada[0]]).stdout;
    assert!(people.contains(r#"["tea","\u{9b}cake"]"#) && people.contains("unless it is used"), "{people}");
    for secret in ["csrf", "stamp", "agent"] {
        assert!(!people.contains(secret) && shown.get(secret).is_none(), "{people}");
    }
    let hidden = operator.run(["show", &ada[0], "--hide-values"]).stdout;
    assert!(!hidden.contains("tea") && hidden.contains("array, 16 bytes"), "{hidden}");

    let (code, stats) = operator.json(["stats"]);
    assert_eq!((code, &stats["live"], &stats["logged_in"], &stats["anonymous"]), (0, &3.into(), &3.into(), &0.into()));
    assert!(stats["bytes"].as_u64().unwrap() > 300 && operator.run(["stats"]).stdout.contains("live sessions"));

    // The cookie, with the store beside it.
    let (code, inspected) = operator.json_with(["inspect"], &cookies[1]);
    let cookie = &inspected["cookies"][0];
    assert_eq!((code, &cookie["state"], &cookie["handle"]), (0, &"live".into(), &ada[0].as_str().into()));
    assert_eq!(cookie["session"]["subject"], "ada");

    let (code, ended) = operator.json(["end", &ada[0]]);
    assert_eq!((code, &ended["ended"]), (0, &1.into()));
    assert_eq!(manager.sessions_of("ada").await.unwrap().len(), 1);
    let (code, inspected) = operator.json_with(["inspect"], &cookies[1]);
    assert_eq!((code, &inspected["cookies"][0]["state"]), (5, &"absent".into()));

    let (code, ended) = operator.json(["end-all", "ada"]);
    assert_eq!((code, &ended["ended"]), (0, &1.into()));
    assert!(manager.sessions_of("ada").await.unwrap().is_empty());
    assert_eq!(manager.sessions_of("bob").await.unwrap().len(), 1, "nobody else's");

    refuses_what_is_not_there(&operator, &ada[0]);
    sweeps(&operator, url).await;
    encrypted(url).await;
    in_cookies(url).await;
}

fn refuses_what_is_not_there(operator: &Operator, handle: &str) {
    let list = operator.run(["list", "ada"]);
    assert_eq!(list.code, 3);
    assert!(list.stdout.contains("No live session of this subject"), "{}", list.stdout);
    let show = operator.run(["show", handle]);
    assert_eq!((show.code, show.stdout.as_str()), (3, ""));
    assert!(show.stderr.contains("no live session with this handle"), "{}", show.stderr);
    let end = operator.run(["end", handle]);
    assert_eq!(end.code, 3);
    assert!(end.stdout.contains("not there"), "{}", end.stdout);
    assert_eq!(operator.run(["end-all", "ada"]).code, 3);
    assert_eq!(operator.json(["end-all", "nobody"]), (3, serde_json::json!({ "subject": "nobody", "ended": 0 })));
}

async fn sweeps(operator: &Operator, url: &str) {
    let store = session_stores::connect(url).await.unwrap();
    let short = SessionManager::stored(store, ring(SECRET)).idle(Duration::from_millis(1)).build().unwrap();
    for number in 0..5 {
        let prepare = |session: &session_core::Session| match number % 2 {
            0 => session.login("carl"),
            _ => session.insert("n", number),
        };
        session_testing::visitor::cookie(&short, prepare).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    let is_redis = url.starts_with("redis");
    let (_, stats) = operator.json(["stats"]);
    assert_eq!((&stats["live"], stats["expired"].as_u64()), (&1.into(), (!is_redis).then_some(5)), "{url}");
    assert_eq!(stats["logged_in"], 1, "{url}");
    let swept = if is_redis { 0 } else { 5 };
    assert_eq!(operator.json(["sweep", "--batch", "2"]), (0, serde_json::json!({ "swept": swept })), "{url}");
    assert_eq!(operator.run(["sweep"]).stdout, "No expired session was left to sweep.\n");
    let (_, stats) = operator.json(["stats"]);
    assert_eq!(stats["live"], 1);
}

/// Sessions that lie encrypted in the store are the operator's with the secret for that, and nobody's without.
async fn encrypted(url: &str) {
    let mut operator = Operator::new().env("STORE", url).secret("SESSION_STORE_SECRET", OTHER);
    let store = Encrypted::new(session_stores::connect(url).await.unwrap(), ring(OTHER));
    operator.visit(SessionManager::stored(store, ring(SECRET)), "eve").await;
    let without = operator.run(["list", "eve"]);
    assert_eq!(without.code, 3);
    assert!(without.stdout.contains("--store-secret-env"), "{}", without.stdout);
    let with = ["--store-secret-env", "SESSION_STORE_SECRET"];
    let (code, list) = operator.json([&["list", "eve"][..], &with].concat());
    let handle = list["sessions"][0]["handle"].as_str().unwrap().to_owned();
    assert_eq!(code, 0);
    let sealed = operator.run(["show", &handle]);
    assert!(sealed.stderr.contains("Its content is encrypted") && !sealed.stdout.contains("tea"), "{}", sealed.stderr);
    let (_, shown) = operator.json([&["show", &handle][..], &with].concat());
    assert_eq!((&shown["subject"], &shown["values"]["cart"][0]), (&"eve".into(), &"tea".into()));
    let (code, ended) = operator.json([&["end-all", "eve"][..], &with].concat());
    assert_eq!((code, &ended["ended"]), (0, &1.into()));
}

/// Of sessions in cookies the store has revocations, and nothing else.
async fn in_cookies(url: &str) {
    let mut operator = Operator::new().env("STORE", url);
    let store = session_stores::connect(url).await.unwrap();
    let revocation = session_core::Revocation::kept_in(store);
    let cookie = operator.visit(SessionManager::sealed(ring(SECRET), revocation), "grace").await;
    let (code, inspected) = operator.json_with(["inspect"], &cookie);
    assert_eq!((code, &inspected["cookies"][0]["state"]), (0, &"live".into()));
    assert_eq!(operator.json(["end-all", "grace", "--in-cookies"]).0, 0);
    let (code, inspected) = operator.json_with(["inspect"], &cookie);
    assert_eq!((code, &inspected["cookies"][0]["state"]), (5, &"revoked".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite() {
    let folder = Folder::new();
    works(&format!("sqlite:{}", folder.file("sessions.db"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgres() {
    let Some(postgres) = Postgres::start() else { return };
    works(&postgres.fresh_database()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_mariadb() {
    let Some(mariadb) = MariaDb::start() else { return };
    works(&mariadb.fresh_database()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_redis() {
    let Some(redis) = Redis::start() else { return };
    works(&redis.fresh_database()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_redis_with_sentinels() {
    let Some(redis) = RedisSentinel::start() else { return };
    works(&redis.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_redis_cluster() {
    let Some(cluster) = RedisCluster::start() else { return };
    works(&cluster.url()).await;
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Observer for Log {
    fn observe(&self, happening: &Happening<'_>) {
        if let (Event::Created, Some(fingerprint)) = (happening.event(), happening.fingerprint()) {
            self.0.lock().unwrap().push(fingerprint.to_string());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_the_log_leads_to_its_session_and_back() {
    let folder = Folder::new();
    let url = format!("sqlite:{}", folder.file("sessions.db"));
    let (log, mut operator) = (Log::default(), Operator::new().env("STORE", &url));
    let store = session_stores::connect(&url).await.unwrap();
    let cookie = operator.visit(SessionManager::stored(store, ring(SECRET)).observer(log.clone()), "ada").await;
    let logged = log.0.lock().unwrap()[0].clone();

    let (_, list) = operator.json(["list", "ada"]);
    assert_eq!(list["sessions"][0]["fingerprint"], logged.as_str());
    assert!(operator.run(["list", "ada"]).stdout.contains(&logged));
    let (_, inspected) = operator.json_with(["inspect"], &cookie);
    assert_eq!(inspected["cookies"][0]["fingerprint"], logged.as_str());
    // Without the secret it can't be told, and the list is as good for all else.
    let (code, list) = Operator::default().env("STORE", &url).json(["list", "ada"]);
    assert_eq!((code, &list["sessions"][0]["fingerprint"]), (0, &serde_json::Value::Null));
    let handle = list["sessions"][0]["handle"].as_str().unwrap().parse().unwrap();
    assert_eq!(Inspector::new(&ring(SECRET), "", "").fingerprint(&handle).to_string(), logged);
}
