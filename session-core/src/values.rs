//! The values of a session: JSON texts by their keys, in one piece of memory.

use std::fmt;
use std::iter::repeat_n;
use std::sync::Arc;

use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;
use smallvec::SmallVec;

/// The values of a session by their keys.
///
/// Each is kept as the JSON text it is stored as: reading one decodes that one and no other, and what nobody changes is
/// never written anew. A clone shares all of them until one side changes some.
///
/// ```
/// use session_core::Values;
///
/// let mut values = Values::default();
/// values.insert("cart", serde_json::json!(["tea", "rum"]));
/// values.insert("n", 1);
/// assert_eq!(values.get("n"), Some(1.into()));
/// assert_eq!(values.json("cart"), Some(r#"["tea","rum"]"#));
/// assert_eq!(values.keys().collect::<Vec<_>>(), ["cart", "n"]);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Values {
    /// One entry after the other, in the order of their keys: the lengths of key and value, the key, the value.
    entries: Arc<[u8]>,
    count: u32,
    /// What `write` writes for all of them, with a comma behind each.
    size: u32,
}

/// One of them, and where it is.
struct Entry<'a> {
    start: usize,
    end: usize,
    key: &'a [u8],
    json: &'a [u8],
}

impl Values {
    /// The value under `key`. None if there is none, and if something else wrote what is there and it can't be decoded.
    ///
    /// ```
    /// # use session_core::Values;
    /// let mut values = Values::default();
    /// values.insert("town", "Ulm");
    /// assert_eq!(values.get("town").unwrap().as_str(), Some("Ulm"));
    /// assert_eq!(values.get("country"), None);
    /// ```
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Value> {
        self.decode(key)?.ok()
    }

    /// The value under `key` as a `T`, if there is one.
    ///
    /// # Errors
    /// Those of `serde_json` if it is no `T`. They may quote the value, so don't log them.
    ///
    /// ```
    /// # use session_core::Values;
    /// let mut values = Values::default();
    /// values.insert("n", 1);
    /// assert_eq!(values.decode::<u64>("n").unwrap().unwrap(), 1);
    /// assert!(values.decode::<String>("n").unwrap().is_err());
    /// assert!(values.decode::<u64>("m").is_none());
    /// ```
    #[must_use]
    pub fn decode<T: DeserializeOwned>(&self, key: &str) -> Option<Result<T, serde_json::Error>> {
        self.find(key).map(|entry| serde_json::from_slice(entry.json))
    }

    /// The JSON text of the value under `key`.
    ///
    /// ```
    /// # use session_core::Values;
    /// let mut values = Values::default();
    /// values.insert("open", true);
    /// assert_eq!(values.json("open"), Some("true"));
    /// assert_eq!(values.json("closed"), None);
    /// ```
    #[must_use]
    pub fn json(&self, key: &str) -> Option<&str> {
        self.find(key).and_then(|entry| text(entry.json))
    }

    /// Writes a value, in the place of one that is there.
    ///
    /// ```
    /// # use session_core::Values;
    /// let mut values = Values::default();
    /// values.insert("n", 1);
    /// values.insert("n", 2);
    /// assert_eq!((values.len(), values.get("n")), (1, Some(2.into())));
    /// ```
    pub fn insert(&mut self, key: impl AsRef<str>, value: impl Into<Value>) {
        self.insert_json(key.as_ref(), &value.into().to_string());
    }

    /// As `insert`. `json` is one value, and nothing else. Says whether that is another value than before.
    pub(crate) fn insert_json(&mut self, key: &str, json: &str) -> bool {
        let former = self.find(key);
        if former.as_ref().is_some_and(|entry| is_same(entry.json, json.as_bytes())) {
            return false;
        }
        let (key, json) = (key.as_bytes(), json.as_bytes());
        let (start, end, count, size) = match former {
            Some(Entry { start, end, json: former, .. }) => {
                (start, end, self.count, self.size - short(former.len()) + short(json.len()))
            }
            None => {
                let place = self.place(key);
                (place, place, self.count + 1, self.size + size(key, json))
            }
        };
        let entries =
            joined([&self.entries[..start], &lengths(key.len(), json.len()), key, json, &self.entries[end..]]);
        *self = Self { entries, count, size };
        true
    }

    /// Removes the value under `key`, and says whether there was one.
    ///
    /// ```
    /// # use session_core::Values;
    /// let mut values = Values::default();
    /// values.insert("n", 1);
    /// assert!(values.remove("n"));
    /// assert!(!values.remove("n"));
    /// ```
    pub fn remove(&mut self, key: &str) -> bool {
        let Some(entry) = self.find(key) else { return false };
        let entries = joined([&self.entries[..entry.start], &self.entries[entry.end..]]);
        *self = Self { entries, count: self.count - 1, size: self.size - size(entry.key, entry.json) };
        true
    }

    /// Removes all of them.
    ///
    /// ```
    /// # use session_core::Values;
    /// let mut values = Values::default();
    /// values.insert("n", 1);
    /// values.clear();
    /// assert!(values.is_empty());
    /// ```
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether there is a value under `key`.
    ///
    /// ```
    /// # use session_core::Values;
    /// let mut values = Values::default();
    /// values.insert("n", 1);
    /// assert!(values.contains_key("n") && !values.contains_key("m"));
    /// ```
    #[must_use]
    pub fn contains_key(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// How many there are.
    ///
    /// ```
    /// # use session_core::Values;
    /// let mut values = Values::default();
    /// values.insert("n", 1);
    /// assert_eq!(values.len(), 1);
    /// ```
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    ///
    /// ```
    /// # use session_core::Values;
    /// assert!(Values::default().is_empty());
    /// ```
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The keys, in their order.
    ///
    /// ```
    /// # use session_core::Values;
    /// let mut values = Values::default();
    /// values.insert("b", 1);
    /// values.insert("a", 2);
    /// assert_eq!(values.keys().collect::<Vec<_>>(), ["a", "b"]);
    /// ```
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries().filter_map(|entry| text(entry.key))
    }

    /// Keys and JSON texts, in the order of the keys.
    ///
    /// ```
    /// # use session_core::Values;
    /// let mut values = Values::default();
    /// values.insert("b", "x");
    /// values.insert("a", 2);
    /// assert_eq!(values.iter().collect::<Vec<_>>(), [("a", "2"), ("b", "\"x\"")]);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries().filter_map(|entry| Some((text(entry.key)?, text(entry.json)?)))
    }

    /// All of them as one JSON object.
    pub(crate) fn write(&self, to: &mut String) {
        to.push('{');
        for (place, (key, json)) in self.iter().enumerate() {
            if place > 0 {
                to.push(',');
            }
            if is_plain(key.as_bytes()) {
                to.push('"');
                to.push_str(key);
                to.push('"');
            } else {
                to.push_str(&Value::from(key).to_string());
            }
            to.push(':');
            to.push_str(json);
        }
        to.push('}');
    }

    /// How many bytes `write` writes.
    pub(crate) const fn size(&self) -> usize {
        "{}".len() + (self.size as usize).saturating_sub(",".len())
    }

    fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut start = 0;
        std::iter::from_fn(move || {
            let rest = self.entries.get(start..)?;
            let (key_length, rest) = length(rest)?;
            let (json_length, rest) = length(rest)?;
            let (key, rest) = rest.split_at_checked(key_length)?;
            let (json, rest) = rest.split_at_checked(json_length)?;
            let entry = Entry { start, end: self.entries.len() - rest.len(), key, json };
            start = entry.end;
            Some(entry)
        })
    }

    fn find(&self, key: &str) -> Option<Entry<'_>> {
        self.entries().find(|entry| entry.key == key.as_bytes())
    }

    /// Where an entry that is not there would be.
    fn place(&self, key: &[u8]) -> usize {
        self.entries().find(|entry| entry.key > key).map_or(self.entries.len(), |entry| entry.start)
    }
}

/// What a key and its value take in a JSON object, a comma included.
fn size(key: &[u8], json: &[u8]) -> u32 {
    let key = if is_plain(key) { key.len() + 2 } else { text(key).map_or(0, json_size) };
    short(key + ":".len() + json.len() + ",".len())
}

/// A length among values, which have less than 4 GiB.
fn short(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// It was text when it was put there.
fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// The parts one after the other, in one allocation.
fn joined<const N: usize>(parts: [&[u8]; N]) -> Arc<[u8]> {
    let length = parts.iter().map(|part| part.len()).sum();
    let mut whole: Arc<[u8]> = repeat_n(0, length).collect();
    // Nobody else has it yet.
    let mut rest = Arc::get_mut(&mut whole).unwrap_or_default();
    for part in parts {
        let (place, behind) = rest.split_at_mut(part.len());
        place.copy_from_slice(part);
        rest = behind;
    }
    whole
}

/// The lengths of a key and of its value: seven bits a byte, the lowest first; all but the last have the eighth bit.
fn lengths(key: usize, json: usize) -> SmallVec<[u8; 8]> {
    let mut bytes = SmallVec::new();
    for mut length in [key, json] {
        while length >= 0x80 {
            bytes.push(0x80 | (length & 0x7f) as u8);
            length >>= 7;
        }
        bytes.push(length as u8);
    }
    bytes
}

fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, mut rest) = bytes.split_first()?;
    let (mut length, mut last, mut shift) = (usize::from(first & 0x7f), first, 7);
    while last >= 0x80 {
        (last, rest) = rest.split_first().map(|(byte, rest)| (*byte, rest))?;
        length |= usize::from(last & 0x7f).checked_shl(shift)?;
        shift += 7;
    }
    Some((length, rest))
}

/// Whether JSON writes it as it is.
fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|&byte| byte >= 0x20 && byte != b'"' && byte != b'\\')
}

/// How many bytes a text takes in JSON.
pub(crate) fn json_size(text: &str) -> usize {
    if is_plain(text.as_bytes()) { text.len() + 2 } else { Value::from(text).to_string().len() }
}

/// Whether two JSON texts are the same value. An object's members may be written in any order, so those are compared as values.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let has_parts = |json: &[u8]| matches!(json.first(), Some(b'{' | b'['));
    let value = |json: &[u8]| serde_json::from_slice::<Value>(json).ok();
    one == other || (has_parts(one) && has_parts(other) && value(one).is_some_and(|one| Some(one) == value(other)))
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Values;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Values, A::Error> {
                let (mut values, mut entries, mut late) = (Values::default(), Vec::new(), Vec::new());
                let mut last = None::<String>;
                while let Some(key) = map.next_key::<String>()? {
                    let json = map.next_value::<&RawValue>()?.get();
                    if last.as_ref().is_some_and(|last| *last >= key) {
                        late.push((key, json));
                        continue;
                    }
                    for part in [&lengths(key.len(), json.len()), key.as_bytes(), json.as_bytes()] {
                        entries.extend_from_slice(part);
                    }
                    values.count += 1;
                    values.size += size(key.as_bytes(), json.as_bytes());
                    last = Some(key);
                }
                values.entries = entries.into();
                // Written by something that has no order, or twice: then the last one counts.
                for (key, json) in late {
                    values.insert_json(&key, json);
                }
                Ok(values)
            }
        }
        deserializer.deserialize_map(Object).map_err(|_| D::Error::custom("no values"))
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Values({})", self.len())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn written(values: &Values) -> String {
        let mut text = String::new();
        values.write(&mut text);
        assert_eq!(text.len(), values.size());
        text
    }

    fn read(json: &str) -> Values {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_is_written_is_one_object_in_the_order_of_the_keys() {
        let mut values = Values::default();
        assert_eq!(written(&values), "{}");
        values.insert("b", "tea & co");
        values.insert("a\"\n", Value::Null);
        values.insert("ž", serde_json::json!({ "x": [1, 2.5] }));
        assert_eq!(written(&values), r#"{"a\"\n":null,"b":"tea & co","ž":{"x":[1,2.5]}}"#);
        assert_eq!(read(&written(&values)), values);
    }

    #[test]
    fn any_order_is_read_and_of_two_the_last_counts() {
        let values = read(r#"{ "b" : 1, "a": [ 1 ], "b": 2, "a\u0062": 3 }"#);
        assert_eq!(values.iter().collect::<Vec<_>>(), [("a", "[ 1 ]"), ("ab", "3"), ("b", "2")]);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for bad in ["[]", "1", "{\"a\"}", "{\"a\":}", "{\"a\":1", "{\"a\":1}}", "{1:1}", "null", ""] {
            assert!(serde_json::from_str::<Values>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_decoded_is_there_and_is_no_value() {
        let values = read(r#"{"a":"\ud800","b":1e999}"#);
        assert!(
            values.contains_key("a") && values.get("a").is_none() && values.decode::<String>("a").unwrap().is_err()
        );
        assert!(values.get("b").is_none());
        assert_eq!(read(&written(&values)), values);
    }

    #[test]
    fn numbers_come_back_as_they_were() {
        let mut values = Values::default();
        for number in [0.1 + 0.2, f64::MIN_POSITIVE, 1.797_693_134_862_315_7e308, -0.0, 5e-324] {
            values.insert("n", number);
            assert_eq!(values.decode::<f64>("n").unwrap().unwrap().to_bits(), number.to_bits());
        }
    }

    #[test]
    fn the_order_of_members_makes_no_other_value() {
        assert!(is_same(br#"{"a":1,"b":[2]}"#, br#"{"b":[2],"a":1}"#));
        assert!(is_same(b"1", b"1") && !is_same(b"1", b"2") && !is_same(b"[1,2]", b"[2,1]") && !is_same(b"[", b"[ "));
    }

    #[test]
    fn long_keys_and_values_have_long_lengths() {
        let mut values = Values::default();
        for length in [0, 1, 125, 126, 127, 128, 129, 16_383, 16_384, 3_000_000] {
            let text = "x".repeat(length);
            values.insert(&text, text.clone());
            assert_eq!(values.get(&text), Some(text.into()), "{length}");
        }
        assert_eq!(values.len(), 10);
    }

    #[test]
    fn debug_shows_no_value_and_no_key() {
        let mut values = Values::default();
        values.insert("town", "Ulm");
        assert_eq!(format!("{values:?}"), "Values(1)");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn they_are_a_map(steps in prop::collection::vec((any::<bool>(), "[a-c\"é]{0,2}", any::<u64>()), 0..40)) {
            let (mut values, mut model) = (Values::default(), BTreeMap::new());
            for (inserts, key, number) in steps {
                if inserts {
                    values.insert(&key, number);
                    model.insert(key, Value::from(number));
                } else {
                    prop_assert_eq!(values.remove(&key), model.remove(&key).is_some());
                }
                let all: Vec<_> = values.keys().map(|key| (key.to_owned(), values.get(key).unwrap())).collect();
                prop_assert_eq!(&all, &model.clone().into_iter().collect::<Vec<_>>());
                prop_assert_eq!(values.len(), model.len());
                prop_assert_eq!(values.is_empty(), model.is_empty());
                prop_assert_eq!(written(&values), serde_json::to_string(&model).unwrap());
                prop_assert_eq!(read(&written(&values)), values.clone());
            }
        }
    }
}
