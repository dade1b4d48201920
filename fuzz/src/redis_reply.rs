//! What a Redis server may answer to the store's scripts, in its own notation (RESP).

use std::num::NonZeroU32;
use std::time::Duration;

use redis::{Parser, Value};
use session_core::{Expiry, Record, SessionStore as _, StoreKey, SubjectLimit, Version};
use session_redis::fuzzing;

use crate::play::{NOW, at_once};
use crate::record::serves;

/// No verb asks more often.
const MOST: usize = 64;
const FEW: usize = 3;

/// After a digit: `0` for a single server, `1` for a cluster. Then a letter, which verb; then the answers to its scripts, one after the
/// other.
pub fn redis_reply(bytes: &[u8]) {
    let [place @ (b'0' | b'1'), verb, answers @ ..] = bytes else { return };
    let answers = values(answers);
    let key = StoreKey::from_bytes([0xab; 32]);
    for answer in &answers {
        reads_as_it_says(answer);
    }
    let store = fuzzing::store(*place == b'1').expect("its address is one");
    fuzzing::answers(answers.clone());
    let mut record = Record::new(Expiry::default());
    record.subject = Some("ada".into());
    let limit = SubjectLimit::EndOldest(NonZeroU32::MIN);
    let seen = Version::FIRST;
    at_once(async {
        match verb {
            b'l' => {
                let loaded = store.load(&key).await;
                if *place == b'0' {
                    assert_eq!(loaded.as_ref().ok().and_then(Option::as_ref).is_some(), is_live(answers.first()));
                }
                if let Ok(Some(loaded)) = loaded {
                    serves(loaded);
                }
            }
            b'c' => drop(store.create(&key, &record, limit).await),
            b'u' => drop(store.update(&key, &record, seen).await),
            b't' => drop(store.touch(&key).await),
            b'r' => drop(store.rename(&key, &StoreKey::from_bytes([1; 32]), &record, seen, limit).await),
            b'd' => drop(store.delete(&key).await),
            b's' => {
                if let Ok(sessions) = store.sessions_of("ada", FEW).await {
                    assert!(sessions.len() <= FEW, "{} instead of {FEW}", sessions.len());
                    let differ = |at: usize| sessions[..at].iter().all(|(key, _)| *key != sessions[at].0);
                    assert!((0..sessions.len()).all(differ), "one session twice");
                }
            }
            b'o' => drop(store.delete_one_of("ada", &key).await),
            b'a' => drop(store.delete_all_of("ada", Some(&key)).await),
            b'v' => drop(store.revoke(&key, Duration::MAX).await),
            b'w' => drop(store.revoke_all_of("ada", NOW, Duration::MAX).await),
            b'i' => drop(store.is_revoked(&[key], Some("ada"), NOW).await),
            _ => {}
        }
    });
}

fn values(mut text: &[u8]) -> Vec<Value> {
    let mut values = Vec::new();
    let mut parser = Parser::new();
    while values.len() < MOST {
        match parser.parse_value(&mut text) {
            Ok(value) => values.push(value),
            Err(_) => break,
        }
    }
    values
}

/// Whether a script's answer is a live session: a word, the record, the version, and four times.
fn is_live(answer: Option<&Value>) -> bool {
    let Some(Value::Array(parts)) = answer else { return false };
    let [Value::BulkString(word), Value::BulkString(json), Value::BulkString(version), times @ ..] = &parts[..] else {
        return false;
    };
    let is_time = |time: &Value| matches!(time, Value::Int(0..));
    let version = std::str::from_utf8(version).ok().and_then(|version| version.parse::<u64>().ok());
    word == b"live"
        && Record::from_json(json).is_ok()
        && version.is_some()
        && times.len() >= 4
        && times[..4].iter().all(is_time)
}

fn reads_as_it_says(answer: &Value) {
    if let Value::BulkString(name) = answer {
        let is_key = |hex: &[u8]| hex.len() == 64 && hex.iter().all(|digit| b"0123456789abcdef".contains(digit));
        let hex = name.strip_prefix(b"session:").filter(|hex| is_key(hex));
        let expected = hex.map(|hex| String::from_utf8_lossy(hex).into_owned());
        assert_eq!(fuzzing::key_of(name).map(|key| key.to_hex()), expected);
    }
    for (first, last, (host, _)) in fuzzing::slots(answer, "asked").unwrap_or_default() {
        assert!(first < 16_384 && last < 16_384 && !host.is_empty());
    }
}
