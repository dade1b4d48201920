//! What sessions should be: one map, and every commit as if its verbs ran alone on what is there at that moment.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use session_core::{Record, StoreKey};

use crate::store::Kept;

/// Milliseconds: so long that in a store by a clock of its own nothing expires during a case.
pub(crate) const IDLE: u64 = 1_000_000;
pub(crate) const LIFETIME: u64 = 1_500_000;

/// What a handler does to the values and to who is logged in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verb {
    Insert(&'static str, u64),
    /// Through `update`: pushes a number that nobody else pushes.
    Push(&'static str, u64),
    Remove(&'static str),
    Clear,
    Login(&'static str),
    Renew,
}

impl Verb {
    pub(crate) fn renames(&self) -> bool {
        matches!(self, Self::Login(_) | Self::Renew)
    }
}

pub(crate) fn logs_in(verbs: &[Verb]) -> bool {
    verbs.iter().any(|verb| matches!(verb, Verb::Login(_)))
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Content {
    pub(crate) subject: Option<String>,
    pub(crate) values: BTreeMap<String, Value>,
}

impl Content {
    pub(crate) fn of(record: &Record) -> Self {
        let values = record.values();
        let pair = |key: &str| (key.to_owned(), values.get(key).unwrap());
        Self { subject: record.subject.as_deref().map(str::to_owned), values: values.keys().map(pair).collect() }
    }

    pub(crate) fn is_blank(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn after(mut self, verbs: &[Verb]) -> Self {
        for verb in verbs {
            match verb {
                Verb::Insert(key, value) => {
                    self.values.insert((*key).to_owned(), (*value).into());
                }
                Verb::Push(key, number) => {
                    let list = self.values.entry((*key).to_owned()).or_insert_with(|| Value::Array(Vec::new()));
                    list.as_array_mut().unwrap().push((*number).into());
                }
                Verb::Remove(key) => {
                    self.values.remove(*key);
                }
                Verb::Clear => self.values.clear(),
                Verb::Login(subject) => {
                    if self.subject.as_deref().is_some_and(|earlier| earlier != *subject) {
                        self.values.clear();
                    }
                    self.subject = Some((*subject).to_owned());
                }
                Verb::Renew => {}
            }
        }
        self
    }

    /// The numbers that were pushed.
    pub(crate) fn pushed(&self) -> Vec<u64> {
        self.values.values().filter_map(Value::as_array).flatten().filter_map(Value::as_u64).collect()
    }
}

#[derive(Clone, Debug)]
struct Entry {
    content: Content,
    created: u64,
    lifetime: u64,
    expires: u64,
    /// How long its creation was on the way: by so much its maker may take it for older.
    delay: u64,
}

impl Entry {
    fn touch(&mut self, now: u64) {
        self.expires = (now + IDLE).min(self.created + self.lifetime);
    }
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    entries: HashMap<StoreKey, Entry>,
    /// Where renamed sessions went, and until when it is known.
    renamed: HashMap<StoreKey, (StoreKey, u64)>,
    /// Every key there ever was, with the first key of its session: none comes a second time.
    roots: HashMap<StoreKey, StoreKey>,
    /// By how many milliseconds a login may take a session for older than it is by our clock.
    tolerance: u64,
}

impl Model {
    /// A store by a clock of its own goes on while ours stands still.
    pub(crate) fn by(kept: &Kept) -> Self {
        Self { tolerance: if kept.has_own_clock { 60_000 } else { 0 }, ..Self::default() }
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &StoreKey> {
        self.roots.keys()
    }

    fn entry(&self, key: &StoreKey, now: u64) -> Option<&Entry> {
        self.entries.get(key).filter(|entry| now < entry.expires)
    }

    pub(crate) fn content(&self, key: &StoreKey, now: u64) -> Option<&Content> {
        self.entry(key, now).map(|entry| &entry.content)
    }

    pub(crate) fn root(&self, key: &StoreKey) -> StoreKey {
        self.roots[key]
    }

    pub(crate) fn live(&self, now: u64) -> Vec<StoreKey> {
        self.entries.iter().filter(|(_, entry)| now < entry.expires).map(|(key, _)| *key).collect()
    }

    pub(crate) fn create(&mut self, key: &StoreKey, record: &Record, asked: u64, now: u64, verbs: &[Verb]) {
        assert!(self.roots.insert(*key, *key).is_none(), "an id came a second time");
        assert_eq!(Content::of(record), Content::default().after(verbs), "created with other content");
        let content = Content::of(record);
        let mut entry = Entry { content, created: now, lifetime: LIFETIME, expires: now, delay: now - asked };
        assert_eq!(limits(record), (IDLE, LIFETIME));
        entry.touch(now);
        self.entries.insert(*key, entry);
    }

    /// The lost-update check: what is written has to be what these verbs make of what is there now.
    pub(crate) fn update(&mut self, key: &StoreKey, record: &Record, now: u64, verbs: &[Verb]) {
        assert!(self.entry(key, now).is_some(), "wrote to a session that has ended");
        let entry = self.entries.get_mut(key).unwrap();
        assert_eq!(Content::of(record), entry.content.clone().after(verbs), "another request's changes were lost");
        let (idle, lifetime) = limits(record);
        let extended = LIFETIME..=now - entry.created + entry.delay + LIFETIME + self.tolerance;
        assert!(if logs_in(verbs) { extended.contains(&lifetime) } else { lifetime == entry.lifetime });
        assert_eq!(idle, IDLE);
        entry.content = Content::of(record);
        entry.lifetime = lifetime;
        entry.touch(now);
    }

    pub(crate) fn rename(&mut self, old: &StoreKey, new: &StoreKey, record: &Record, now: u64, verbs: &[Verb]) {
        assert!(self.roots.insert(*new, self.roots[old]).is_none(), "an id came a second time");
        self.update(old, record, now, verbs);
        let entry = self.entries.remove(old).unwrap();
        self.renamed.insert(*old, (*new, entry.expires));
        self.entries.insert(*new, entry);
    }

    pub(crate) fn touch(&mut self, key: &StoreKey, now: u64) {
        self.entries.get_mut(key).unwrap().touch(now);
    }

    /// Ends the session that was loaded under this key, whatever its key is by now.
    pub(crate) fn delete(&mut self, key: &StoreKey, now: u64) {
        let mut key = *key;
        while let Some((to, _)) = self.renamed.get(&key).filter(|(_, until)| now < *until) {
            key = *to;
        }
        self.entries.remove(&key);
    }
}

fn limits(record: &Record) -> (u64, u64) {
    let millis = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap();
    (millis(record.expiry.idle), millis(record.expiry.lifetime))
}
