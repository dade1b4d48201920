//! How much memory or disk a store takes up.

use std::path::Path;

use crate::trial::Failure;

/// What is measured, and how many bytes it is.
pub(crate) async fn taken(url: &str) -> Result<(&'static str, u64), Failure> {
    let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
    match scheme {
        "memory" => Ok(("resident memory of this process", resident()?)),
        "sqlite" => Ok(("the file and its write-ahead log", files(rest)?)),
        _ => Err("what does it take up?".into()),
    }
}

fn resident() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("this system doesn't say it")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1_024)
}

fn files(rest: &str) -> Result<u64, Failure> {
    let path = rest.split('?').next().unwrap_or(rest);
    let path = path.strip_prefix("//").unwrap_or(path);
    let length = |path: String| Path::new(&path).metadata().map_or(0, |metadata| metadata.len());
    Ok(length(path.to_owned()) + length(format!("{path}-wal")))
}
