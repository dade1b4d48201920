//! One session, as it is shown.

use serde_json::{Map, Value, json};
use session_core::{Fingerprint, Handle, Record, Times, Timestamp};

use crate::output::{how_far, moment, number, when};

/// For people a longer value is cut.
const LONGEST_VALUE: usize = 200;
/// Under this name alone lies an encrypted session.
const SEALED: &str = "sealed";

/// Which of a session's values are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    Hidden,
    Shown,
}

impl Values {
    pub(crate) const fn hidden(hide: bool) -> Self {
        if hide { Self::Hidden } else { Self::Shown }
    }
}

#[derive(Debug)]
pub(crate) struct Session<'a> {
    pub(crate) handle: Handle,
    pub(crate) fingerprint: Option<Fingerprint>,
    pub(crate) record: &'a Record,
    pub(crate) times: Times,
    pub(crate) now: Timestamp,
}

/// What the session's own part of a record says to an operator. Tokens of forms and hashes of credentials aren't among it.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Own {
    authenticated: Option<u64>,
    label: Option<String>,
    remembered: bool,
    flashes: Vec<serde::de::IgnoredAny>,
}

impl Session<'_> {
    /// A line of a list.
    pub(crate) fn line(&self) -> Vec<String> {
        let Times { created, seen, expires } = self.times;
        let mut line = vec![self.handle.to_string()];
        line.extend([created, seen, expires].map(|at| how_far(at, self.now)));
        line.push(self.own().label.unwrap_or_default());
        line.push(self.fingerprint.map(|fingerprint| fingerprint.to_string()).unwrap_or_default());
        line
    }

    /// All of it, for people.
    pub(crate) fn fields(&self, values: Values) -> Vec<(String, String)> {
        let (own, Times { created, seen, expires }) = (self.own(), self.times);
        let at = |at| when(at, self.now);
        let mut fields = vec![("handle", self.handle.to_string())];
        fields.extend(self.fingerprint.map(|fingerprint| ("in logs", fingerprint.to_string())));
        fields.push(("subject", self.record.subject.as_deref().unwrap_or("nobody is logged in").to_owned()));
        fields.extend(own.label.map(|label| ("label", label)));
        fields.push(("issued", at(created)));
        fields.extend(own.authenticated.map(|after| ("logged in", at(later(created, after)))));
        fields.push(("last used", at(seen)));
        fields.push(("expires", format!("{}, unless it is used", at(expires))));
        fields.push(("ends", format!("{}, used or not", at(self.times.ends(self.record.expiry)))));
        if own.remembered {
            fields.push(("remembered", "yes: it outlives the browser's windows".to_owned()));
        }
        if !own.flashes.is_empty() {
            fields.push(("messages", format!("{} for the next page", own.flashes.len())));
        }
        fields.push(("size", format!("{} bytes", number(self.record.size() as u64))));
        let mut fields: Vec<_> = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        for (key, json) in self.record.values().iter() {
            let hidden = || format!("{}, {} bytes", kind(json), number(json.len() as u64));
            let shown = if values == Values::Hidden { hidden() } else { short(json) };
            fields.push((format!("value {key}"), shown));
        }
        fields
    }

    /// All of it, for programs.
    pub(crate) fn json(&self, values: Values) -> Map<String, Value> {
        let (own, Times { created, seen, expires }) = (self.own(), self.times);
        let fields = json!({
            "handle": self.handle.to_string(),
            "fingerprint": self.fingerprint.map(|fingerprint| fingerprint.to_string()),
            "subject": self.record.subject.as_deref(),
            "label": own.label,
            "issued": moment(created),
            "logged_in": own.authenticated.map(|after| moment(later(created, after))),
            "last_used": moment(seen),
            "expires": moment(expires),
            "ends": moment(self.times.ends(self.record.expiry)),
            "remembered": own.remembered,
            "messages": own.flashes.len(),
            "bytes": self.record.size(),
        });
        let Value::Object(mut fields) = fields else { return Map::new() };
        let hidden = |json: &str| json!({ "kind": kind(json), "bytes": json.len() });
        let value = |key: &str| self.record.values().get(key).unwrap_or_default();
        let show = |key: &str, json: &str| if values == Values::Hidden { hidden(json) } else { value(key) };
        let shown = self.record.values().iter().map(|(key, json)| (key.to_owned(), show(key, json)));
        fields.insert("values".to_owned(), Value::Object(shown.collect()));
        fields
    }

    /// Whether it lies in the store encrypted, and was read without the secret for that.
    pub(crate) fn is_sealed(&self) -> bool {
        self.record.values().len() == 1 && self.record.values().contains_key(SEALED)
    }

    fn own(&self) -> Own {
        serde_json::from_slice(&self.record.to_json()).unwrap_or_default()
    }
}

fn later(created: Timestamp, millis: u64) -> Timestamp {
    created.plus(std::time::Duration::from_millis(millis))
}

fn short(json: &str) -> String {
    if json.chars().count() <= LONGEST_VALUE {
        return json.to_owned();
    }
    let start: String = json.chars().take(LONGEST_VALUE).collect();
    format!("{start}… ({} bytes; --json shows all)", number(json.len() as u64))
}

fn kind(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'n') => "null",
        Some(b't' | b'f') => "boolean",
        Some(b'"') => "string",
        Some(b'[') => "array",
        Some(b'{') => "object",
        _ => "number",
    }
}
