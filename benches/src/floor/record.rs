//! A record is a row of entries: the lengths of key and value, the key, and the value as JSON. So one value is found without
//! a look at the others, and nothing is decoded but what is asked for.

use serde::Serialize;

const LENGTH: usize = size_of::<u32>();

struct Entry<'a> {
    key: &'a [u8],
    value: &'a [u8],
    /// Where the entry begins and what follows it.
    before: usize,
    after: usize,
}

fn entries(record: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    let mut before = 0;
    std::iter::from_fn(move || {
        let (lengths, rest) = record.get(before..)?.split_first_chunk::<{ 2 * LENGTH }>()?;
        let [k0, k1, k2, k3, v0, v1, v2, v3] = *lengths;
        let key = rest.get(..u32::from_le_bytes([k0, k1, k2, k3]) as usize)?;
        let value = rest.get(key.len()..)?.get(..u32::from_le_bytes([v0, v1, v2, v3]) as usize)?;
        let after = before + 2 * LENGTH + key.len() + value.len();
        let entry = Entry { key, value, before, after };
        before = after;
        Some(entry)
    })
}

/// The JSON of one value.
pub(super) fn find<'a>(record: &'a [u8], key: &str) -> Option<&'a [u8]> {
    entries(record).find(|entry| entry.key == key.as_bytes()).map(|entry| entry.value)
}

/// The record with one value in the place of the former one, or at the end.
pub(super) fn replaced(record: &[u8], key: &str, value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let former = entries(record).find(|entry| entry.key == key.as_bytes());
    let (before, after) = former.map_or((record.len(), record.len()), |entry| (entry.before, entry.after));
    let mut written = Vec::with_capacity(record.len() + 2 * LENGTH + key.len() + 24);
    written.extend_from_slice(&record[..before]);
    written.extend_from_slice(&length(key.len()));
    let place = written.len();
    written.extend_from_slice(&[0; LENGTH]);
    written.extend_from_slice(key.as_bytes());
    let start = written.len();
    serde_json::to_writer(&mut written, value)?;
    let value = length(written.len() - start);
    written[place..place + LENGTH].copy_from_slice(&value);
    written.extend_from_slice(&record[after..]);
    Ok(written)
}

fn length(bytes: usize) -> [u8; LENGTH] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_and_replaced_among_others() {
        let one = replaced(&[], "a", &1).unwrap();
        let two = replaced(&one, "b", &"text").unwrap();
        let three = replaced(&two, "a", &1_000_000).unwrap();
        assert_eq!(find(&three, "a"), Some(&b"1000000"[..]));
        assert_eq!(find(&three, "b"), Some(&b"\"text\""[..]));
        assert_eq!(find(&three, "c"), None);
    }

    #[test]
    fn what_is_cut_off_is_no_entry() {
        let record = replaced(&[], "a", &1).unwrap();
        assert_eq!(find(&record[..record.len() - 1], "a"), None);
    }
}
