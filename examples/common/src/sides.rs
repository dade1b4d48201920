//! Both sides of a session: the cookie a browser sent, taken apart, and the record its server keeps.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use minijinja::{Value, context};
use session_core::{Loaded, SameSite, Session, SessionStore, Settings, StoreError, StoreKey, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::setup::Place;
use crate::words::span;

/// How browsers keep the cookie: what its attributes say, and in words.
pub(crate) fn attributes(settings: &Settings) -> Value {
    let (same_site, same_site_means) = match settings.same_site.unwrap_or_default() {
        SameSite::Lax => ("Lax", "other sites’ forms and scripts don’t send it, their links do"),
        SameSite::None => ("None", "other sites’ pages send it too"),
        _ => ("Strict", "nothing that begins at another site sends it"),
    };
    context! {
        name => settings.cookie_name.as_deref(),
        path => settings.path.as_deref().unwrap_or("/"),
        domain => settings.domain.as_deref(),
        persistent => settings.persistent,
        secure => !settings.insecure_over_plain_http,
        same_site,
        same_site_means,
    }
}

/// What one request's cookies say of the session. Looking costs nothing and proves nothing: whether a cookie is
/// genuine, the library has already judged.
#[derive(Debug, PartialEq)]
pub(crate) enum Browser {
    Nothing,
    /// Several different cookies of our name. Somebody planted one; the library takes none of them on trust.
    Several,
    /// A cookie of our name that isn't in the form of ours.
    Foreign(String),
    Reference(Box<Reference>),
}

/// The cookie's text and the four parts in it.
#[derive(Debug, PartialEq)]
pub(crate) struct Reference {
    pub(crate) raw: String,
    pub(crate) format: u8,
    pub(crate) key_id: [u8; 4],
    pub(crate) id: [u8; 32],
    pub(crate) tag: [u8; 32],
}

impl Browser {
    /// Reads the `Cookie` lines of a request.
    pub(crate) fn new<'a>(lines: impl IntoIterator<Item = &'a [u8]>, name: &str) -> Self {
        let mut values: Vec<&[u8]> = lines
            .into_iter()
            .flat_map(|line| line.split(|&byte| byte == b';'))
            .filter_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="))
            .collect();
        values.sort_unstable();
        values.dedup();
        match values[..] {
            [] => Self::Nothing,
            [value] => Reference::read(value).map_or_else(
                || Self::Foreign(String::from_utf8_lossy(value).into_owned()),
                |it| Self::Reference(it.into()),
            ),
            _ => Self::Several,
        }
    }
}

impl Browser {
    /// For a template.
    pub(crate) fn shown(&self) -> Value {
        match self {
            Self::Nothing => context! { kind => "nothing" },
            Self::Several => context! { kind => "several" },
            Self::Foreign(raw) => context! { kind => "foreign", raw => raw.as_str() },
            Self::Reference(it) => context! {
                kind => "reference",
                raw => it.raw.as_str(),
                format => it.format,
                key_id => hex(&it.key_id),
                id => hex(&it.id),
                tag => hex(&it.tag),
            },
        }
    }
}

impl Reference {
    fn read(value: &[u8]) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(value).ok()?;
        let (&[format], rest) = bytes.split_first_chunk()?;
        let (&key_id, rest) = rest.split_first_chunk()?;
        let (&id, rest) = rest.split_first_chunk()?;
        let tag = rest.try_into().ok()?;
        let raw = String::from_utf8(value.to_vec()).ok()?;
        (format == 1).then_some(Self { raw, format, key_id, id, tag })
    }

    /// What the store knows this session by.
    pub(crate) fn store_key(&self) -> StoreKey {
        StoreKey::from_bytes(Sha256::digest(self.id).into())
    }
}

/// What the server holds of this visitor's session: its key in the store, and the record with its version and times.
pub(crate) struct Server {
    pub(crate) key: StoreKey,
    pub(crate) found: Loaded,
}

impl Server {
    /// Looks into the store. Only for a cookie by which the library has found this session: a cookie alone is a claim.
    pub(crate) async fn look(
        store: &dyn SessionStore,
        session: &Session,
        browser: &Browser,
    ) -> Result<Option<Self>, StoreError> {
        let Browser::Reference(reference) = browser else { return Ok(None) };
        if session.is_new() {
            return Ok(None);
        }
        let key = reference.store_key();
        Ok(store.load(&key).await?.map(|found| Self { key, found }))
    }

    /// For a template: what the store at that place has, by the names that it has there.
    pub(crate) fn shown(&self, place: &Place) -> Value {
        let hex = self.key.to_hex();
        let (what, title, key, look) = match place {
            Place::Memory(_) => ("One record in its memory".to_owned(), "The record", hex, None),
            Place::File(file) => (
                format!("One row of the table “sessions” in {file}"),
                "The row",
                hex.clone(),
                Some(format!("sqlite3 {file} \"SELECT * FROM sessions WHERE key = '{hex}'\"")),
            ),
            Place::Database(_) => (
                "One row of the table “sessions”".to_owned(),
                "The row",
                hex.clone(),
                Some(format!("SELECT * FROM sessions WHERE key = '{hex}'")),
            ),
            Place::Redis(_, prefix) => (
                "One hash".to_owned(),
                "The hash",
                format!("{prefix}:{hex}"),
                Some(format!("redis-cli HGETALL {prefix}:{hex}")),
            ),
        };
        context! { what, title, key, look, fields => self.fields(place), record => self.json() }
    }

    fn fields(&self, place: &Place) -> Vec<Value> {
        let Loaded { record, version, times, now } = &self.found;
        let field = |name: &str, value: u64, means: &str| context! { name, value, means };
        let at = |name, time: Timestamp| {
            let means = if time > *now {
                format!("in {}", span(time.since(*now)))
            } else {
                format!("{} ago", span(now.since(time)))
            };
            field(name, time.as_millis(), &means)
        };
        let length = |name, duration: Duration| field(name, millis(duration), &span(duration));
        let version = field("version", version.as_u64(), "the changes are counted");
        match place {
            Place::Redis(..) => vec![
                version,
                at("created", times.created),
                at("seen", times.seen),
                length("idle", record.expiry.idle),
                length("lifetime", record.expiry.lifetime),
            ],
            _ => vec![
                version,
                at("created_at", times.created),
                at("seen_at", times.seen),
                at("expires_at", times.expires),
                length("idle", record.expiry.idle),
                length("lifetime", record.expiry.lifetime),
            ],
        }
    }

    /// The record as the store's JSON, with line breaks for people.
    fn json(&self) -> String {
        let json = self.found.record.to_json();
        let value = serde_json::from_slice::<serde_json::Value>(&json);
        let pretty = value.and_then(|value| serde_json::to_string_pretty(&value));
        pretty.unwrap_or_else(|_| String::from_utf8_lossy(&json).into_owned())
    }
}

/// Lowercase hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> String {
        URL_SAFE_NO_PAD.encode([&[1][..], &[2; 4], &[3; 32], &[4; 32]].concat())
    }

    fn browser(lines: &[&str]) -> Browser {
        Browser::new(lines.iter().map(|line| line.as_bytes()), "id")
    }

    #[test]
    fn a_cookie_comes_apart_into_its_four_parts() {
        let raw = token();
        let parts = Reference { raw: raw.clone(), format: 1, key_id: [2; 4], id: [3; 32], tag: [4; 32] };
        assert_eq!(parts.store_key().to_hex(), hex(&Sha256::digest([3; 32])));
        assert_eq!(browser(&[&format!("theme=dark; id={raw}")]), Browser::Reference(parts.into()));
    }

    #[test]
    fn one_cookie_said_twice_is_one_and_two_different_ones_are_several() {
        let raw = token();
        assert!(matches!(browser(&[&format!("id={raw}; id={raw}")]), Browser::Reference(_)));
        assert_eq!(browser(&[&format!("id={raw}"), "id=x"]), Browser::Several);
    }

    #[test]
    fn what_is_not_ours_is_shown_as_what_it_is() {
        let longer = format!("{}AAAA", token());
        let of_another_version = token().replacen("AQ", "Ag", 1);
        for value in ["", "hello", &token()[4..], &longer, &of_another_version, &token().replace('A', "%")] {
            assert_eq!(browser(&[&format!("id={value}")]), Browser::Foreign(value.to_owned()));
        }
        assert_eq!(browser(&["ID=a; idx=b; xid=c"]), Browser::Nothing);
        assert_eq!(Browser::new([&b"id=\xff"[..]], "id"), Browser::Foreign("\u{fffd}".to_owned()));
    }
}
