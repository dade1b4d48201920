//! Slow readers of what the library reads fast, written from the rules and not from its code.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// The pairs of one `Cookie` line, as RFC 6265bis writes them (4.2.1) and this project reads them: `;` ends a pair, the first `=`
/// ends the name, blanks and tabs around a pair are no part of it, and nothing else is done to a byte. What has no `=`
/// has no name, and is nobody's cookie.
pub fn pairs(line: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut pairs = Vec::new();
    let mut pair = Vec::new();
    for byte in line.iter().copied().chain([b';']) {
        if byte != b';' {
            pair.push(byte);
            continue;
        }
        while pair.first().is_some_and(|byte| *byte == b' ' || *byte == b'\t') {
            pair.remove(0);
        }
        while pair.last().is_some_and(|byte| *byte == b' ' || *byte == b'\t') {
            pair.pop();
        }
        if let Some(end) = pair.iter().position(|byte| *byte == b'=') {
            pairs.push((pair[..end].to_vec(), pair[end + 1..].to_vec()));
        }
        pair.clear();
    }
    pairs
}

/// The different values of one name in all lines, in order.
pub fn values(lines: &[&[u8]], name: &str) -> Vec<Vec<u8>> {
    let mut values = Vec::new();
    for line in lines {
        for (key, value) in pairs(line) {
            if key == name.as_bytes() && !values.contains(&value) {
                values.push(value);
            }
        }
    }
    values
}

/// Base64url without padding (RFC 4648, 5), of which only the one canonical spelling counts (3.5): bit by bit.
pub fn base64url(text: &[u8]) -> Option<Vec<u8>> {
    let mut bits = Vec::new();
    for character in text {
        let number = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits.extend((0..6).rev().map(|bit| number >> bit & 1));
    }
    let whole = bits.len() / 8 * 8;
    // A character too many, or bits that belong to no byte.
    if bits.len() - whole >= 6 || bits[whole..].contains(&1) {
        return None;
    }
    Some(bits[..whole].chunks(8).map(|byte| byte.iter().fold(0, |number, bit| number << 1 | bit)).collect())
}

/// A JSON object with its keys in order, each as often as it is there. What they have is JSON by its grammar; a number that is too
/// large, half a surrogate pair, or what is nested too deeply can't be decoded all the same.
struct Object(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Object;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Object, M::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Object(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// What a text says, if it can be decoded.
pub fn decoded<T: DeserializeOwned>(json: &RawValue) -> Option<T> {
    serde_json::from_str(json.get()).ok()
}

/// What a text has to be, as far as it can be said.
#[derive(Debug)]
pub enum Verdict<T> {
    /// It is none.
    No,
    /// If it is one, then this one. Messages and tokens of forms are left to the library.
    Perhaps(T),
    /// It is this one.
    Yes(T),
}

/// What a record says.
#[derive(Debug)]
pub struct Reading {
    pub subject: Option<String>,
    pub idle: u64,
    pub lifetime: u64,
    pub values: BTreeMap<String, Box<RawValue>>,
}

/// What a session in a cookie says besides.
#[derive(Debug)]
pub struct Times {
    pub created: u64,
    pub seen: u64,
    pub expires: u64,
}

const RECORD: [&str; 14] = [
    "format",
    "subject",
    "idle",
    "lifetime",
    "values",
    "authenticated",
    "spared",
    "renewed",
    "stamp",
    "agent",
    "label",
    "remembered",
    "flashes",
    "csrf",
];
const ENVELOPE: [&str; 5] = ["id", "first", "created", "seen", "expires"];

/// The format of a text that is an object and has one, once.
pub fn format(json: &[u8]) -> Option<u64> {
    let Object(pairs) = serde_json::from_slice(json).ok()?;
    let mut formats = pairs.iter().filter(|(key, _)| key == "format");
    let (_, format) = formats.next()?;
    formats.next().is_none().then(|| decoded(format))?
}

/// A record, as `ARCHITECTURE.md` describes it.
pub fn record(json: &[u8]) -> Verdict<Reading> {
    let Ok(Object(pairs)) = serde_json::from_slice(json) else { return Verdict::No };
    match known(&pairs, &RECORD).and_then(|find| read_record(&find)) {
        None => Verdict::No,
        Some((reading, true)) => Verdict::Yes(reading),
        Some((reading, false)) => Verdict::Perhaps(reading),
    }
}

/// A session in a cookie: a record with its id and its times.
pub fn envelope(json: &[u8]) -> Verdict<(Reading, Times)> {
    let Ok(Object(pairs)) = serde_json::from_slice(json) else { return Verdict::No };
    let names: Vec<_> = RECORD.into_iter().chain(ENVELOPE).collect();
    match known(&pairs, &names).and_then(|find| read_envelope(&find)) {
        None => Verdict::No,
        Some((reading, times, true)) => Verdict::Yes((reading, times)),
        Some((reading, times, false)) => Verdict::Perhaps((reading, times)),
    }
}

fn read_envelope<'a>(find: &dyn Fn(&str) -> Option<&'a RawValue>) -> Option<(Reading, Times, bool)> {
    let is_id = |id: String| base64url(id.as_bytes()).is_some_and(|id| id.len() == 32);
    let first: Option<String> = find("first").map_or(Some(None), decoded)?;
    if !is_id(decoded(find("id")?)?) || first.is_some_and(|first| !is_id(first)) {
        return None;
    }
    let time = |name| decoded(find(name)?);
    let times = Times { created: time("created")?, seen: time("seen")?, expires: time("expires")? };
    let (reading, certain) = read_record(find)?;
    Some((reading, times, certain))
}

/// Finds fields by their names, if each is there once at most. What nobody knows is skipped, but has to say something.
fn known<'a>(
    pairs: &'a [(String, Box<RawValue>)],
    names: &[&str],
) -> Option<impl Fn(&str) -> Option<&'a RawValue> + use<'a>> {
    let count = |name: &str| pairs.iter().filter(|(key, _)| key == name).count();
    let strange = |(key, json): &(String, Box<RawValue>)| key != "values" && decoded::<Value>(json).is_none();
    let sound = names.iter().all(|name| count(name) <= 1) && !pairs.iter().any(strange);
    sound.then_some(|name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, json)| &**json))
}

fn read_record<'a>(find: &dyn Fn(&str) -> Option<&'a RawValue>) -> Option<(Reading, bool)> {
    if decoded::<u64>(find("format")?)? != 1 {
        return None;
    }
    let subject = find("subject").map_or(Some(None), decoded)?;
    let (idle, lifetime) = (decoded(find("idle")?)?, decoded(find("lifetime")?)?);
    let values = decoded(find("values")?)?;
    for name in ["authenticated", "spared", "renewed"] {
        find(name).map_or(Some(None), decoded::<Option<u64>>)?;
    }
    for name in ["stamp", "agent", "label"] {
        find(name).map_or(Some(None), decoded::<Option<String>>)?;
    }
    find("remembered").map_or(Some(false), decoded)?;
    let mut certain = true;
    for name in ["flashes", "csrf"] {
        if let Some(entries) = find(name) {
            certain &= decoded::<Vec<Box<RawValue>>>(entries)?.is_empty();
        }
    }
    Some((Reading { subject, idle, lifetime, values }, certain))
}
