//! What the scripts answer: a list, whose first entry is a word. Errors never show what came instead: it could be a session's.

use redis::Value;
use session_core::{Loaded, Record, Times, Timestamp, Version};

use crate::failure::Failure;

pub(crate) struct Reply(Vec<Value>);

impl Reply {
    pub(crate) fn new(value: Value) -> Result<Self, Failure> {
        match value {
            Value::Array(entries) => Ok(Self(entries)),
            _ => Err(Failure::Answer),
        }
    }

    /// The word that the answer begins with.
    pub(crate) fn word(&self) -> Result<&str, Failure> {
        self.text(0)
    }

    pub(crate) fn text(&self, place: usize) -> Result<&str, Failure> {
        self.bytes(place).and_then(|bytes| std::str::from_utf8(bytes).ok()).ok_or(Failure::Answer)
    }

    pub(crate) fn number(&self, place: usize) -> Result<u64, Failure> {
        match self.0.get(place) {
            Some(Value::Int(number)) => u64::try_from(*number).map_err(|_| Failure::Answer),
            _ => Err(Failure::Answer),
        }
    }

    /// The list that the answer ends with.
    pub(crate) fn last(mut self) -> Result<Vec<Value>, Failure> {
        match self.0.pop() {
            Some(Value::Array(entries)) => Ok(entries),
            _ => Err(Failure::Answer),
        }
    }

    /// The session in the entries from `place` on: record, version, created, seen, expires, now.
    pub(crate) fn loaded(&self, place: usize) -> Result<Loaded, Failure> {
        let json = self.bytes(place).ok_or(Failure::Unreadable(None))?;
        let record = Record::from_json(json).map_err(|why| Failure::Unreadable(Some(why)))?;
        let version = self.text(place + 1)?.parse().map_err(|_| Failure::Unreadable(None))?;
        let time = |place| self.number(place).map(Timestamp::from_millis);
        Ok(Loaded {
            record,
            version: Version::from_u64(version),
            times: Times { created: time(place + 2)?, seen: time(place + 3)?, expires: time(place + 4)? },
            now: time(place + 5)?,
        })
    }

    /// The keys in a list. What is no text can't be a key of ours, whoever put it there.
    #[cfg(feature = "cluster")]
    pub(crate) fn keys(&self, place: usize) -> Result<Vec<String>, Failure> {
        let Some(Value::Array(entries)) = self.0.get(place) else { return Err(Failure::Answer) };
        let key = |entry: &Value| match entry {
            Value::BulkString(key) => Ok(String::from_utf8_lossy(key).into_owned()),
            _ => Err(Failure::Answer),
        };
        entries.iter().map(key).collect()
    }

    fn bytes(&self, place: usize) -> Option<&[u8]> {
        match self.0.get(place)? {
            Value::BulkString(bytes) => Some(bytes),
            _ => None,
        }
    }
}
