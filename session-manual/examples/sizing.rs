//! Measures how many bytes a session takes in each store, and in its cookie: what the manual's chapter on sizing calculates
//! with. It starts the servers that the machine has, and says which it hasn't.
//!
//! ```sh
//! cargo run -p session-manual --example sizing -- 20000
//! ```

use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use session_core::{
    Error as SessionError, Event, Happening, KeyRing, Login, MemoryStore, Observer, Revocation, Secret, Session,
    SessionManager, SessionStore,
};
use session_testing::servers::{MariaDb, Postgres, Redis};
use session_testing::visitor;
use sqlx::Connection as _;

type Failure = Box<dyn Error + Send + Sync>;

/// So many sessions are made at the same time.
const WRITERS: usize = 16;

const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// What a visitor has in the session.
#[derive(Clone, Copy)]
enum Kind {
    Visitor,
    Member,
    MemberWithCart,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Visitor, Self::Member, Self::MemberWithCart];

    const fn name(self) -> &'static str {
        match self {
            Self::Visitor => "a visitor: one number",
            Self::Member => "a member: login, stamp, label, form token, three values",
            Self::MemberWithCart => "the same with a cart of ten items",
        }
    }

    fn fill(self, session: &Session, n: usize) -> Result<(), SessionError> {
        session.insert("visits", n % 1_000)?;
        if matches!(self, Self::Visitor) {
            return Ok(());
        }
        session.login(Login::new(format!("user-{n:010}")).stamp("the hash of a password"))?;
        session.label(USER_AGENT)?;
        session.csrf_token()?;
        session.insert("name", "Ada Lovelace")?;
        session.insert("language", "en-GB")?;
        if matches!(self, Self::MemberWithCart) {
            let item = |place: usize| (format!("article-{:08}", n + place), "blue, size M", place + 1);
            session.insert("cart", (0..10).map(item).collect::<Vec<_>>())?;
        }
        Ok(())
    }
}

/// What is measured: a place where `fill` puts sessions, and how full it is.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
enum Room {
    Memory,
    Sqlite(String),
    Postgres(String),
    MySql(String),
    Redis(redis::Client),
}

impl Room {
    async fn taken(&self) -> Result<u64, Failure> {
        Ok(match self {
            Self::Memory => resident()?,
            Self::Sqlite(file) => {
                let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
                let mut on = sqlx::SqliteConnection::connect_with(&options).await?;
                // What is in the log is to be in the file.
                sqlx::query("PRAGMA wal_checkpoint (TRUNCATE)").execute(&mut on).await?;
                fs::metadata(file)?.len()
            }
            Self::Postgres(url) => {
                let mut on = sqlx::PgConnection::connect(url).await?;
                let sum = "SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class WHERE relkind = 'r' AND relname LIKE 'session%'";
                sqlx::query_scalar::<_, i64>(sum).fetch_one(&mut on).await?.try_into()?
            }
            Self::MySql(url) => {
                let mut on = sqlx::MySqlConnection::connect(url).await?;
                sqlx::query("ANALYZE TABLE sessions, session_renames").execute(&mut on).await?;
                let sum = "SELECT CAST(SUM(data_length + index_length) AS SIGNED) FROM information_schema.tables
                           WHERE table_schema = DATABASE() AND table_name LIKE 'session%'";
                sqlx::query_scalar::<_, i64>(sum).fetch_one(&mut on).await?.try_into()?
            }
            Self::Redis(client) => {
                let info: String = redis::cmd("INFO").arg("memory").query(&mut client.get_connection()?)?;
                let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
                line.ok_or("INFO has no used_memory")?.trim().parse()?
            }
        })
    }
}

fn resident() -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("the system doesn't say")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? * 1_024)
}

/// Makes `count` sessions, each of somebody else.
async fn fill(store: Arc<dyn SessionStore>, kind: Kind, count: usize) -> Result<(), Failure> {
    let manager = SessionManager::stored(store, KeyRing::new(Secret::random()?)).build()?;
    let next = Arc::new(AtomicUsize::new(0));
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        let (manager, next) = (manager.clone(), Arc::clone(&next));
        writers.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    return Ok::<_, SessionError>(());
                }
                let session = manager.begin();
                kind.fill(&session, n)?;
                session.save().await?;
            }
        });
    }
    while let Some(writer) = writers.join_next().await {
        writer??;
    }
    Ok(())
}

/// The length of a record as JSON.
#[derive(Default)]
struct Length(Mutex<usize>);

impl Observer for Length {
    fn observe(&self, happening: &Happening<'_>) {
        if let (Event::Created, Some(record), Ok(mut length)) = (happening.event(), happening.record(), self.0.lock()) {
            *length = record.size();
        }
    }
}

async fn record_length(kind: Kind) -> Result<usize, Failure> {
    let length = Arc::new(Length::default());
    let keys = KeyRing::new(Secret::random()?);
    let manager = SessionManager::stored(MemoryStore::new(), keys).observer(Arc::clone(&length)).build()?;
    let session = manager.begin();
    kind.fill(&session, 1_234_567)?;
    session.save().await?;
    Ok(length.0.lock().map_or(0, |length| *length))
}

/// How long the line is that browsers send back.
async fn cookie_lengths(kind: Kind) -> Result<[usize; 3], Failure> {
    let keys = KeyRing::new(Secret::random()?);
    let managers = [
        SessionManager::stored(MemoryStore::new(), keys.clone()),
        SessionManager::sealed(keys.clone(), Revocation::NoneCopiedCookiesStayValid),
        SessionManager::signed(keys, Revocation::NoneCopiedCookiesStayValid),
    ];
    let mut lengths = [0; 3];
    for (length, manager) in lengths.iter_mut().zip(managers) {
        let cookie = visitor::cookie(&manager.build()?, |session| kind.fill(session, 1_234_567)).await?;
        *length = cookie.len();
    }
    Ok(lengths)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let count = env::args().nth(1).map_or(Ok(20_000), |text| text.parse())?;
    let folder = env::temp_dir().join(format!("session-sizing-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let measured = measure(count, &folder).await;
    fs::remove_dir_all(&folder)?;
    measured
}

async fn measure(count: usize, folder: &Path) -> Result<(), Failure> {
    let (postgres, mariadb) = (Postgres::start(), MariaDb::start());
    let redis = Redis::start_with(&["--appendfsync", "no"]);
    // Hashes whose fields are longer than 64 bytes are otherwise kept in a form that is made for much larger ones.
    let compact = Redis::start_with(&["--appendfsync", "no", "--hash-max-listpack-value", "4096"]);
    println!("bytes a session, of {count} sessions that were just written");
    println!("| session | record as JSON | memory | SQLite | PostgreSQL | MariaDB | Redis | Redis, compact |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    // Kept until the end, so that nothing is given back that the next one would use.
    let mut filled: Vec<Arc<dyn SessionStore>> = Vec::new();
    for (place, kind) in Kind::ALL.into_iter().enumerate() {
        let file = folder.join(format!("{place}.db")).to_string_lossy().into_owned();
        let mut rooms = vec![("memory:".to_owned(), Some(Room::Memory))];
        rooms.push((format!("sqlite:{file}"), Some(Room::Sqlite(file))));
        let url = postgres.as_ref().map(Postgres::fresh_database).unwrap_or_default();
        rooms.push((url.clone(), (!url.is_empty()).then_some(Room::Postgres(url))));
        let url = mariadb.as_ref().map(MariaDb::fresh_database).unwrap_or_default();
        rooms.push((url.clone(), (!url.is_empty()).then_some(Room::MySql(url))));
        for server in [&redis, &compact] {
            let url = server.as_ref().map(Redis::fresh_database).unwrap_or_default();
            let client = (!url.is_empty()).then(|| redis::Client::open(url.as_str())).transpose()?;
            rooms.push((url, client.map(Room::Redis)));
        }
        let mut line = format!("| {} | {} |", kind.name(), record_length(kind).await?);
        for (url, room) in rooms {
            let Some(room) = room else {
                line.push_str(" - |");
                continue;
            };
            let options = if url == "memory:" { "" } else { "?timeout_ms=30000" };
            let store = session_stores::connect(&format!("{url}{options}")).await?;
            let before = room.taken().await?;
            fill(Arc::clone(&store), kind, count).await?;
            filled.push(store);
            line.push_str(&format!(" {} |", room.taken().await?.saturating_sub(before) / count as u64));
        }
        println!("{line}");
    }
    println!("\nbytes of the line that a browser sends back, name included");
    println!("| session | stored | sealed | signed |");
    println!("| --- | --- | --- | --- |");
    for kind in Kind::ALL {
        let [stored, sealed, signed] = cookie_lengths(kind).await?;
        println!("| {} | {stored} | {sealed} | {signed} |", kind.name());
    }
    Ok(())
}
