//! What a database may have in a session's row. On SQLite, whose columns can be made to hold anything; the others' rows are read by
//! the same function.

use std::cell::LazyCell;

use session_core::{Record, SessionStore as _, StoreKey};
use session_sqlx::SqliteStore;
use sha2::{Digest as _, Sha256};
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, query, raw_sql};
use tokio::runtime::{Builder, Runtime};

use crate::record::serves;

/// As in the schema, but without types.
const TABLE: &str = "CREATE TABLE sessions (number INTEGER PRIMARY KEY, key, version, subject_hash, created_at, seen_at, \
    expires_at, idle, lifetime, record)";
const FEW: usize = 3;

struct World {
    runtime: Runtime,
    pool: SqlitePool,
    store: SqliteStore,
}

thread_local! {
    static WORLD: LazyCell<World> = LazyCell::new(|| {
        let runtime = Builder::new_current_thread().enable_time().build().expect("the system gives a runtime");
        let (pool, store) = runtime.block_on(async {
            let one = SqlitePoolOptions::new().max_connections(1).test_before_acquire(false);
            let pool = one.connect("sqlite::memory:").await.expect("memory is there");
            raw_sql(TABLE).execute(&pool).await.expect("this is SQL");
            let store = SqliteStore::new(pool.clone());
            store.migrate().await.expect("the other tables fit");
            (pool, store)
        });
        World { runtime, pool, store }
    });
}

/// One column of a row.
#[derive(Clone, Debug)]
enum Column<'a> {
    Blob(&'a [u8]),
    Integer(i64),
    Null,
    Real(f64),
    /// Whatever bytes it has.
    Text(&'a [u8]),
}

impl<'a> Column<'a> {
    fn read(field: &'a [u8]) -> Self {
        let text = |rest: &'a [u8]| std::str::from_utf8(rest).unwrap_or_default();
        match field.split_first() {
            Some((b'i', rest)) => text(rest).parse().map_or(Self::Null, Self::Integer),
            Some((b'r', rest)) => text(rest).parse().map_or(Self::Null, Self::Real),
            Some((b't', rest)) => Self::Text(rest),
            Some((b'b', rest)) => Self::Blob(rest),
            _ => Self::Null,
        }
    }

    /// The driver takes what is null for zero. The schema has no such columns.
    const fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Null => Some(0),
            _ => None,
        }
    }

    const fn sql(&self) -> &'static str {
        // SQLite makes a text of a blob as it is, valid or not.
        if let Self::Text(_) = self { "CAST(? AS TEXT)" } else { "?" }
    }
}

/// Five lines, one a column: key, version, created, seen, expires; what is left is the record. Each begins with its type:
/// `i`nteger, `r`eal, `t`ext, `b`lob, and anything else is null.
pub fn sql_row(bytes: &[u8]) {
    let mut fields = bytes.splitn(6, |byte| *byte == b'\n').map(Column::read);
    let [Some(key), Some(version), Some(created), Some(seen), Some(expires), Some(record)] =
        [(); 6].map(|()| fields.next())
    else {
        return;
    };
    let columns = [key, version, created, seen, expires, record];
    WORLD.with(|world| world.runtime.block_on(read(world, &columns)));
}

async fn read(World { pool, store, .. }: &World, columns: &[Column<'_>; 6]) {
    query("DELETE FROM sessions").execute(pool).await.expect("it is a table");
    let places = columns.each_ref().map(Column::sql).join(", ");
    let insert = format!(
        "INSERT INTO sessions (subject_hash, key, version, created_at, seen_at, expires_at, record) VALUES (?, {places})"
    );
    let subject: String = Sha256::digest("ada").iter().map(|byte| format!("{byte:02x}")).collect();
    let mut insert = query(AssertSqlSafe(insert)).bind(subject);
    for column in columns {
        insert = match *column {
            Column::Blob(bytes) | Column::Text(bytes) => insert.bind(bytes),
            Column::Integer(number) => insert.bind(number),
            Column::Null => insert.bind(None::<i64>),
            Column::Real(number) => insert.bind(number),
        };
    }
    if insert.execute(pool).await.is_err() {
        return;
    }
    let [key, numbers @ .., record] = columns;
    let record = match record {
        Column::Text(json) if std::str::from_utf8(json).is_ok() => Record::from_json(json).ok(),
        _ => None,
    };
    let key = match key {
        Column::Text(hex) => hex_key(hex),
        _ => None,
    };
    let numbers = numbers.each_ref().map(Column::integer);
    if let Some(key) = key {
        let loaded = store.load(&key).await;
        if let Ok(Some(loaded)) = &loaded {
            assert_eq!(Some(&loaded.record), record.as_ref());
            let read = [loaded.version.as_u64()];
            let times = [loaded.times.created, loaded.times.seen, loaded.times.expires].map(|time| time.as_millis());
            for (number, read) in numbers.iter().zip(read.iter().chain(&times)) {
                assert_eq!(number.map(|number| u64::try_from(number).unwrap_or(0)), Some(*read));
            }
            serves(loaded.clone());
        }
    }
    let listed = store.sessions_of("ada", FEW).await;
    if let Ok(sessions) = listed {
        assert!(sessions.len() <= 1);
        for (found, loaded) in sessions {
            assert_eq!(Some(found), key, "the list has a key that is not in the table");
            assert_eq!(Some(&loaded.record), record.as_ref());
        }
    }
}

/// The key in 64 lowercase hexadecimal digits.
fn hex_key(hex: &[u8]) -> Option<StoreKey> {
    let digit =
        |digit: &u8| b"0123456789abcdef".iter().position(|other| other == digit).and_then(|it| u8::try_from(it).ok());
    let digits: Vec<_> = hex.iter().map(digit).collect::<Option<_>>()?;
    let bytes: Vec<_> = digits.chunks(2).map(|pair| pair.iter().fold(0, |number, digit| number << 4 | digit)).collect();
    (hex.len() == 64).then(|| bytes.try_into().ok().map(StoreKey::from_bytes))?
}
