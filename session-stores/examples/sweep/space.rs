//! How much memory or disk a store takes up.

use std::fs;
use std::process::Command;

use crate::trial::Failure;

/// What is measured, and how much it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) what: &'static str,
    pub(crate) bytes: u64,
}

pub(crate) async fn taken(url: &str) -> Result<Room, Failure> {
    let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
    let (what, bytes) = match scheme {
        "memory" => ("resident memory of this process", resident()?),
        #[cfg(feature = "sqlite")]
        "sqlite" => ("the file and its write-ahead log", sqlite::taken(rest).await?),
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => ("the tables and their indexes", postgres::taken(url).await?),
        #[cfg(feature = "mysql")]
        "mysql" | "mariadb" => ("the files of the tables", mysql::taken(url).await?),
        "redis" | "rediss" => ("memory that the server uses", redis(url)?),
        _ => return Err(format!("nobody knows how much room {scheme}: takes up").into()),
    };
    Ok(Room { what, bytes })
}

/// Does what the database does by itself in the minutes after a sweep.
pub(crate) async fn settle(url: &str) -> Result<(), Failure> {
    match url.split_once(':') {
        #[cfg(feature = "postgres")]
        Some(("postgres" | "postgresql", _)) => postgres::settle(url).await,
        _ => Ok(()),
    }
}

fn resident() -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    number(&status, "VmRSS:", "kB").map(|kilobytes| kilobytes * 1_024)
}

fn redis(url: &str) -> Result<u64, Failure> {
    let answer = Command::new("redis-cli").args(["-u", without_options(url), "INFO", "memory"]).output()?;
    number(&String::from_utf8_lossy(&answer.stdout), "used_memory:", "")
}

/// The number on the line that begins like this.
fn number(text: &str, name: &str, unit: &str) -> Result<u64, Failure> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or("there is no such number")?;
    Ok(line.trim().trim_end_matches(unit).trim().parse()?)
}

/// The options are those of `session_stores::connect`.
fn without_options(url: &str) -> &str {
    url.split_once('?').map_or(url, |(url, _)| url)
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::path::Path;
    use std::{fs, io};

    use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
    use sqlx::{Connection as _, query};

    use super::{Failure, without_options};

    pub(super) async fn taken(rest: &str) -> Result<u64, Failure> {
        let path = without_options(rest.strip_prefix("//").unwrap_or(rest));
        if Path::new(path).exists() {
            let mut on = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await?;
            // What is in the log is to be in the file; how long the log is by chance says nothing.
            query("PRAGMA wal_checkpoint (TRUNCATE)").execute(&mut on).await?;
        }
        Ok(length(path)? + length(&format!("{path}-wal"))?)
    }

    fn length(path: &str) -> io::Result<u64> {
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            found => Ok(found?.len()),
        }
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use sqlx::{Connection as _, PgConnection, query, query_scalar};

    use super::{Failure, without_options};

    pub(super) async fn taken(url: &str) -> Result<u64, Failure> {
        let mut on = PgConnection::connect(without_options(url)).await?;
        let sum = "SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class WHERE relkind = 'r' AND relname LIKE 'session%'";
        let bytes: i64 = query_scalar(sum).fetch_one(&mut on).await?;
        Ok(bytes.try_into()?)
    }

    pub(super) async fn settle(url: &str) -> Result<(), Failure> {
        let mut on = PgConnection::connect(without_options(url)).await?;
        query("VACUUM sessions").execute(&mut on).await?;
        Ok(())
    }
}

#[cfg(feature = "mysql")]
mod mysql {
    use sqlx::{Connection as _, MySqlConnection, query_scalar};

    use super::{Failure, without_options};

    /// As MariaDB calls it, and as MySQL does.
    const SUMS: [&str; 2] = [
        "SELECT CAST(SUM(file_size) AS SIGNED) FROM information_schema.innodb_sys_tablespaces
         WHERE name LIKE CONCAT(DATABASE(), '/session%')",
        "SELECT CAST(SUM(file_size) AS SIGNED) FROM information_schema.innodb_tablespaces
         WHERE name LIKE CONCAT(DATABASE(), '/session%')",
    ];

    pub(super) async fn taken(url: &str) -> Result<u64, Failure> {
        let mut on = MySqlConnection::connect(without_options(url)).await?;
        let bytes: i64 = match query_scalar(SUMS[0]).fetch_one(&mut on).await {
            Err(_) => query_scalar(SUMS[1]).fetch_one(&mut on).await?,
            found => found?,
        };
        Ok(bytes.try_into()?)
    }
}
