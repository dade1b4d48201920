//! What the cookie carries: a signed id, or the whole session sealed or signed.
//!
//! | token | bytes before base64url |
//! | --- | --- |
//! | reference | 1, key id (4), id (32), HMAC-SHA-256 (32) |
//! | sealed | 2, key id (4), nonce (24), XAES-256-GCM of the JSON, padded to 64 bytes |
//! | signed | the JSON; after a dot: 3, key id (4), HMAC-SHA-256 (32) |
//!
//! The first byte is format and purpose in one. Authenticated with each: the crate, that byte, the purpose, the
//! application, the cookie name and the key id, each behind its length, so that no token can be moved anywhere else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::clock::Timestamp;
use crate::crypto::{Mac, TAG_LENGTH, Xaes};
use crate::error::Error;
use crate::expiry::Times;
use crate::id::SessionId;
use crate::key::{KEY_ID_LENGTH, KeyRing, Secret};
use crate::random::Random;
use crate::record::Record;

/// No token in one cookie is longer: a browser drops cookies beyond 4,096 bytes.
const LONGEST_IN_ONE: usize = 4096;
/// No token is longer: it is in at most four cookies. Where one has to do, none from several gets here.
pub(crate) const LONGEST: usize = 4 * LONGEST_IN_ONE;
pub(crate) const REFERENCE_LENGTH: usize = 92;
/// Sealed text is padded to multiples of this, so that its length tells little about its content.
const BLOCK: usize = 64;
/// So many characters of base64 are format and key id, but for the last four bits.
const START_LENGTH: usize = 6;

/// What a cookie carries, which is what its key is for: a token for one purpose is worth nothing for another.
///
/// ```
/// assert_eq!(session_core::Purpose::Reference.name(), "reference");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A signed id; the session is in a store.
    Reference,
    /// The session itself, encrypted.
    Sealed,
    /// The session itself, readable and signed.
    Signed,
}

impl Purpose {
    pub(crate) const ALL: [Self; 3] = [Self::Reference, Self::Sealed, Self::Signed];

    pub(crate) const fn format(self) -> u8 {
        match self {
            Self::Reference => 1,
            Self::Sealed => 2,
            Self::Signed => 3,
        }
    }

    /// The name, which is also part of what is authenticated.
    ///
    /// ```
    /// assert_eq!(session_core::Purpose::Sealed.name(), "sealed");
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Sealed => "sealed",
            Self::Signed => "signed",
        }
    }
}

/// A whole session on its way through a cookie.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    pub(crate) id: SessionId,
    pub(crate) record: Record,
    pub(crate) times: Times,
    /// The id it began with.
    pub(crate) first: Option<Box<SessionId>>,
}

/// An authentic token.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) content: Content,
    /// Made under a retired secret: to be re-issued.
    pub(crate) retired: bool,
}

#[derive(Debug)]
pub(crate) enum Content {
    Reference(SessionId),
    Whole(Box<Envelope>),
}

/// Makes and opens the tokens of one application under one cookie name.
#[derive(Debug)]
pub(crate) struct Tokens {
    purpose: Purpose,
    /// The current key first.
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    id: [u8; KEY_ID_LENGTH],
    /// How a token begins that names this key.
    start: [u8; START_LENGTH],
    context: Vec<u8>,
    /// Has hashed the context already.
    mac: Mac,
    cipher: Xaes,
}

impl Tokens {
    pub(crate) fn new(ring: &KeyRing, purpose: Purpose, application: &str, cookie_name: &str) -> Self {
        let key = |secret: &Secret| {
            let (id, key) = (secret.id(), secret.derive(purpose.name()));
            let context = context(&[
                b"session-core",
                &[purpose.format()],
                purpose.name().as_bytes(),
                application.as_bytes(),
                cookie_name.as_bytes(),
                &id,
            ]);
            let mut start = [0; START_LENGTH];
            let head = URL_SAFE_NO_PAD.encode([&[purpose.format()], &id[..]].concat());
            start.copy_from_slice(&head.as_bytes()[..START_LENGTH]);
            Key { id, start, mac: Mac::new(&key).with(&context), cipher: Xaes::new(&key), context }
        };
        Self { purpose, keys: ring.secrets().map(key).collect() }
    }

    pub(crate) const fn purpose(&self) -> Purpose {
        self.purpose
    }

    pub(crate) fn reference(&self, id: &SessionId) -> String {
        let key = self.current();
        let mut bytes = key.head(Purpose::Reference);
        bytes.extend_from_slice(id.as_bytes());
        bytes.extend_from_slice(&key.mac.clone().with(id.as_bytes()).tag());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The token of a cookie session. Its length is for the caller to judge.
    pub(crate) fn whole(&self, envelope: &Envelope, random: &dyn Random) -> Result<String, Error> {
        self.carrying(envelope.to_json(), random)
    }

    pub(crate) fn carrying(&self, mut json: Vec<u8>, random: &dyn Random) -> Result<String, Error> {
        let key = self.current();
        if self.purpose == Purpose::Signed {
            let mut trailer = key.head(Purpose::Signed);
            trailer.extend_from_slice(&key.mac.clone().with(&json).tag());
            return Ok(format!("{}.{}", URL_SAFE_NO_PAD.encode(json), URL_SAFE_NO_PAD.encode(trailer)));
        }
        // JSON may end in blanks, so they are the padding.
        json.resize(json.len().next_multiple_of(BLOCK), b' ');
        let mut nonce = [0; Xaes::NONCE_LENGTH];
        random.fill(&mut nonce).map_err(Error::random)?;
        let mut bytes = key.head(Purpose::Sealed);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&key.cipher.seal(nonce, &json, &key.context));
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Whether this could be a token of ours: its form is right and it names a key we have. No cryptography yet.
    pub(crate) fn is_well_formed(&self, token: &[u8]) -> bool {
        let text = match self.purpose {
            _ if token.len() > LONGEST_IN_ONE => None,
            Purpose::Reference => (token.len() == REFERENCE_LENGTH).then_some(token),
            Purpose::Sealed => Some(token),
            Purpose::Signed => token.iter().position(|&byte| byte == b'.').map(|dot| &token[dot + 1..]),
        };
        text.is_some_and(|text| self.keys.iter().any(|key| text.starts_with(&key.start)))
    }

    /// The token's content, or nothing if it isn't ours, whatever is wrong with it.
    pub(crate) fn open(&self, token: &[u8]) -> Option<Opened> {
        if token.len() > LONGEST {
            return None;
        }
        let (key, content) = match self.purpose {
            Purpose::Reference => self.open_reference(token)?,
            Purpose::Sealed => self.open_sealed(token)?,
            Purpose::Signed => self.open_signed(token)?,
        };
        Some(Opened { content, retired: key != 0 })
    }

    fn open_reference(&self, token: &[u8]) -> Option<(usize, Content)> {
        if token.len() != REFERENCE_LENGTH {
            return None;
        }
        let mut bytes = [0; REFERENCE_LENGTH / 4 * 3];
        URL_SAFE_NO_PAD.decode_slice(token, &mut bytes).ok()?;
        let (place, key, rest) = self.key_of(&bytes)?;
        let (id, tag) = rest.split_first_chunk::<{ SessionId::LENGTH }>()?;
        key.mac.clone().with(id).verifies(tag).then(|| (place, Content::Reference(SessionId::from_verified(*id))))
    }

    fn open_sealed(&self, token: &[u8]) -> Option<(usize, Content)> {
        let (place, json) = self.unseal(token)?;
        Some((place, Content::Whole(Envelope::from_json(&json)?.into())))
    }

    fn open_signed(&self, token: &[u8]) -> Option<(usize, Content)> {
        let (place, json) = self.verify(token)?;
        Some((place, Content::Whole(Envelope::from_json(&json)?.into())))
    }

    /// Whether one of our secrets made it, whatever is in it.
    pub(crate) fn is_authentic(&self, token: &[u8]) -> bool {
        match self.purpose {
            Purpose::Reference => self.open_reference(token).is_some(),
            Purpose::Sealed => self.unseal(token).is_some(),
            Purpose::Signed => self.verify(token).is_some(),
        }
    }

    fn unseal(&self, token: &[u8]) -> Option<(usize, Vec<u8>)> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (place, key, rest) = self.key_of(&bytes)?;
        let (nonce, sealed) = rest.split_first_chunk::<{ Xaes::NONCE_LENGTH }>()?;
        Some((place, key.cipher.open(*nonce, sealed, &key.context)?))
    }

    fn verify(&self, token: &[u8]) -> Option<(usize, Vec<u8>)> {
        let dot = token.iter().position(|&byte| byte == b'.')?;
        let trailer = URL_SAFE_NO_PAD.decode(&token[dot + 1..]).ok()?;
        let (place, key, tag) = self.key_of(&trailer)?;
        if tag.len() != TAG_LENGTH {
            return None;
        }
        let json = URL_SAFE_NO_PAD.decode(&token[..dot]).ok()?;
        key.mac.clone().with(&json).verifies(tag).then_some((place, json))
    }

    /// Splits off the head: the key it names, its place in the ring, and the rest.
    fn key_of<'a>(&self, bytes: &'a [u8]) -> Option<(usize, &Key, &'a [u8])> {
        let (&[format], rest) = bytes.split_first_chunk()?;
        let (id, rest) = rest.split_first_chunk::<KEY_ID_LENGTH>()?;
        if format != self.purpose.format() {
            return None;
        }
        let place = self.keys.iter().position(|key| key.id == *id)?;
        Some((place, self.keys.get(place)?, rest))
    }

    fn current(&self) -> &Key {
        self.keys.first().expect("a ring has a current secret")
    }
}

impl Key {
    fn head(&self, purpose: Purpose) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(REFERENCE_LENGTH);
        bytes.push(purpose.format());
        bytes.extend_from_slice(&self.id);
        bytes
    }
}

/// Fields behind their lengths: no two lists of fields give the same bytes.
pub(crate) fn context(fields: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in fields {
        bytes.extend_from_slice(&(field.len() as u64).to_be_bytes());
        bytes.extend_from_slice(field);
    }
    bytes
}

/// What stands beside a record's own members.
#[derive(Deserialize)]
struct Beside {
    id: String,
    /// Left out as long as it is the id.
    first: Option<String>,
    created: Timestamp,
    seen: Timestamp,
    expires: Timestamp,
}

impl Envelope {
    /// The id it began with.
    pub(crate) fn first(&self) -> &SessionId {
        self.first.as_deref().unwrap_or(&self.id)
    }

    fn to_json(&self) -> Vec<u8> {
        let mut json = format!(r#"{{"id":"{}","#, written_id(&self.id));
        if let Some(first) = &self.first {
            json.push_str(&format!(r#""first":"{}","#, written_id(first)));
        }
        let [created, seen, expires] =
            [self.times.created, self.times.seen, self.times.expires].map(Timestamp::as_millis);
        json.push_str(&format!(r#""created":{created},"seen":{seen},"expires":{expires},"#));
        self.record.write(&mut json);
        json.push('}');
        json.into_bytes()
    }

    fn from_json(json: &[u8]) -> Option<Self> {
        let record = Record::from_json(json).ok()?;
        let Beside { id, first, created, seen, expires } = serde_json::from_slice(json).ok()?;
        let id = read_id(&id)?;
        let first = match first {
            Some(first) => Some(Box::new(read_id(&first)?)),
            None => None,
        };
        Some(Self { id, times: Times { created, seen, expires }, record, first })
    }
}

fn written_id(id: &SessionId) -> String {
    URL_SAFE_NO_PAD.encode(id.as_bytes())
}

fn read_id(written: &str) -> Option<SessionId> {
    Some(SessionId::from_verified(URL_SAFE_NO_PAD.decode(written).ok()?.try_into().ok()?))
}

#[cfg(test)]
mod tests;
