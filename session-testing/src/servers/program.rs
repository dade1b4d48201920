//! Where the machine has the programs of a server.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::PathBuf;
use std::{env, fs, thread};

/// The path of a program: in `PATH`, or in the folders that some systems keep out of it.
fn find(program: &str) -> Option<PathBuf> {
    // Debian keeps the programs of each version of PostgreSQL in a folder; the newest wins.
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> = versions.map(|version| version.path()).collect();
    versions.sort_by_key(|path| path.file_name().and_then(OsStr::to_str).and_then(|name| name.parse::<u32>().ok()));
    let versions = versions.into_iter().rev().map(|version| version.join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/bin", "/usr/bin", "/usr/local/sbin", "/usr/sbin"].map(PathBuf::from);
    versions.chain(env::split_paths(&path)).chain(system).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// The paths of all programs that a server needs, or a loud complaint.
///
/// # Panics
/// If one is missing and the variable `CI` is set.
pub(super) fn find_all<const N: usize>(server: &str, package: &str, programs: [&str; N]) -> Option<[PathBuf; N]> {
    let sentence = match all(programs) {
        Ok(found) => return Some(found),
        Err(missing) => {
            let test = thread::current().name().unwrap_or("main").to_owned();
            format!("NOT TESTED: {test}, because {server} needs {missing} (package {package})")
        }
    };
    assert!(env::var_os("CI").is_none(), "{sentence}");
    // Not by a macro: the test harness would keep it to itself as long as the test passes.
    let _ = writeln!(io::stderr(), "\n{sentence}\n");
    None
}

/// All paths, or the names of those that are missing.
fn all<const N: usize>(programs: [&str; N]) -> Result<[PathBuf; N], String> {
    let found = programs.map(find);
    let missing: Vec<_> = programs.into_iter().zip(&found).filter(|(_, path)| path.is_none()).collect();
    if missing.is_empty() {
        return Ok(found.map(Option::unwrap_or_default));
    }
    Err(missing.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(" and "))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Whether there is a variable `CI` is a matter of the process, so this is played in others.
    #[test]
    fn what_is_missing_is_said_and_where_nobody_reads_that_it_is_a_failure() {
        const ASK: &str = "SESSION_TESTING_ASKS_FOR_WHAT_IS_MISSING";
        const SELF: &str =
            "servers::program::tests::what_is_missing_is_said_and_where_nobody_reads_that_it_is_a_failure";
        const SAID: &str = "because A server needs no-such-program (package a-package)";
        if env::var_os(ASK).is_some() {
            assert!(find_all("A server", "a-package", ["no-such-program"]).is_none());
            return;
        }
        for (ci, passes) in [(None, true), (Some("true"), false)] {
            let mut test = Command::new(env::current_exe().unwrap());
            test.args(["--exact", SELF]).env(ASK, "1").env_remove("CI").envs(ci.map(|ci| ("CI", ci)));
            let output = test.output().unwrap();
            let words = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert!(words.contains("NOT TESTED: ") && words.contains(SAID), "CI {ci:?}: {words}");
            assert_eq!(output.status.success(), passes, "CI {ci:?}: {words}");
        }
    }

    #[test]
    fn programs_are_found_or_named() {
        assert!(all(["sh", "cat"]).unwrap().iter().all(|path| path.is_file()));
        assert_eq!(all(["no-such-program", "sh", "nor-this"]).unwrap_err(), "no-such-program and nor-this");
    }
}
