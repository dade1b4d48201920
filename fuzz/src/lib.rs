//! The fuzz targets, as functions: each takes any bytes and panics if something is wrong. `fuzz_targets/` gives them to libFuzzer;
//! the test below replays the committed corpora on any toolchain.
//!
//! Where it can be said independently what has to come out, it is: by the slow readers in [`reading`], and in the targets.

mod cookie;
mod csrf;
mod play;
mod reading;
mod record;
mod redis_reply;
mod sql_row;
mod token;

pub use crate::cookie::cookie;
pub use crate::csrf::csrf;
pub use crate::record::record;
pub use crate::redis_reply::redis_reply;
pub use crate::sql_row::sql_row;
pub use crate::token::token;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn replay(name: &str, target: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(files.len() >= 10, "where is the corpus of {name}?");
        for file in files {
            // Shown when the target panics.
            println!("{}", file.display());
            target(&fs::read(file).unwrap());
        }
    }

    #[test]
    fn the_corpus_of_cookie() {
        replay("cookie", cookie);
    }

    #[test]
    fn the_corpus_of_csrf() {
        replay("csrf", csrf);
    }

    #[test]
    fn the_corpus_of_record() {
        replay("record", record);
    }

    #[test]
    fn the_corpus_of_redis_reply() {
        replay("redis_reply", redis_reply);
    }

    #[test]
    fn the_corpus_of_sql_row() {
        replay("sql_row", sql_row);
    }

    #[test]
    fn the_corpus_of_token() {
        replay("token", token);
    }
}
