//! Runs one unit of one contender under `valgrind --tool=callgrind` and reads how many instructions that took.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::{env, fs, io, process};

use crate::work::{Size, Unit};

/// Requests that are counted. The count is exact; more of them only even out where a map happens to grow.
pub const COUNT: usize = 300;

/// Instructions of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Instructions {
    pub all: f64,
    /// Those inside of the hash function and the cipher. valgrind knows no SHA instructions, so the hash runs in software.
    pub cryptography: f64,
}

impl Instructions {
    /// Everything but hash and cipher.
    #[must_use]
    pub fn rest(self) -> f64 {
        self.all - self.cryptography
    }

    #[must_use]
    pub fn over(self, bare: Self) -> Self {
        Self { all: self.all - bare.all, cryptography: self.cryptography - bare.cryptography }
    }
}

/// Whether there is a valgrind on this machine.
#[must_use]
pub fn is_installed() -> bool {
    Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Counts one unit of one contender.
///
/// # Errors
/// If valgrind can't be run, or the contender doesn't do its work.
pub fn count(contender: &str, unit: Unit, size: Size) -> io::Result<Instructions> {
    let file = env::temp_dir().join(format!("callgrind.{}", process::id()));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=session_benches_measured"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(env::current_exe()?)
        .args(["unit", contender, unit.name(), size.name()])
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let counted = read(&file);
    fs::remove_file(&file)?;
    counted
}

fn read(file: &Path) -> io::Result<Instructions> {
    let profile = fs::read_to_string(file)?;
    let (all, cryptography) = sums(&profile).ok_or_else(|| io::Error::other("not a profile of callgrind"))?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let each = |sum: u64| sum as f64 / COUNT as f64;
    Ok(Instructions { all: each(all), cryptography: each(cryptography) })
}

/// The sum of all, and that of the functions of the hash and the cipher: <https://valgrind.org/docs/manual/cl-format.html>.
fn sums(profile: &str) -> Option<(u64, u64)> {
    let mut names = HashMap::new();
    let (mut all, mut cryptography, mut is_inside) = (None, 0, false);
    let mut lines = profile.lines();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("fn=") {
            // The first time "(number) name", later "(number)".
            let (number, name) = name.split_once(' ').map_or((name, None), |(number, name)| (number, Some(name)));
            if let Some(name) = name {
                names.insert(number, is_cryptography(name));
            }
            is_inside = names.get(number).copied().unwrap_or_default();
        } else if let Some(name) = line.strip_prefix("cfn=") {
            if let Some((number, name)) = name.split_once(' ') {
                names.insert(number, is_cryptography(name));
            }
        } else if line.starts_with("calls=") {
            // What the called function took is told there, and here again.
            lines.next();
        } else if let Some(sum) = line.strip_prefix("totals: ") {
            all = sum.trim().parse().ok();
        } else if is_inside && line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            cryptography +=
                line.split_whitespace().nth(1).and_then(|cost| cost.parse::<u64>().ok()).unwrap_or_default();
        }
    }
    Some((all?, cryptography))
}

fn is_cryptography(function: &str) -> bool {
    ["sha2::", "aes::", "polyval::", "ghash::"].iter().any(|name| function.trim_start_matches('<').starts_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_costs_of_hashes_are_told_apart() {
        let profile = "events: Ir\nfn=(1) a::b\n1 10\n+2 20\ncfn=(2) sha2::sha256::compress256\ncalls=3 0\n* 99\n-1 5\n\
                       fn=(2)\nfi=(7) x.rs\n5 40\n+1 59\n\ntotals: 134\n";
        assert_eq!(sums(profile), Some((134, 99)));
    }
}
