//! Why a cookie is a session or isn't: for people who look into it, not for requests.
//!
//! A request learns of a cookie only that it is ours, or that it isn't. Who has the secrets may know more.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::Timestamp;
use crate::commit::{CLOCK_TOLERANCE_MILLIS, is_revoked_in};
use crate::cookie::{Attributes, CookieLines, is_first_chunk};
use crate::error::StoreError;
use crate::expiry::Times;
use crate::fingerprint::{Fingerprint, Fingerprints};
use crate::identity::Handle;
use crate::key::{KEY_ID_LENGTH, KeyRing};
use crate::record::Record;
use crate::store::SessionStore;
use crate::token::{Content, Envelope, LONGEST, Purpose, REFERENCE_LENGTH, Tokens};

/// The public name of a secret, which each token bears: 32 bits derived from it, shown as 8 hexadecimal digits. It leads nobody
/// to the secret.
///
/// ```
/// use session_core::{KeyRing, Secret};
///
/// let ring = KeyRing::new(Secret::random()?).retired(Secret::random()?);
/// let ids = ring.key_ids();
/// assert!(ids.len() == 2 && ids[0].to_string().len() == 8);
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; KEY_ID_LENGTH]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl KeyRing {
    /// The names of its secrets, the current one first.
    ///
    /// ```
    /// # use session_core::{KeyRing, Secret};
    /// let (old, new) = (Secret::random()?, Secret::random()?);
    /// let before = KeyRing::new(old.clone()).key_ids();
    /// let after = KeyRing::new(new).retired(old).key_ids();
    /// assert_eq!(before[0], after[1]);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn key_ids(&self) -> Vec<KeyId> {
        self.secrets().map(|secret| KeyId(secret.id())).collect()
    }
}

/// Explains the cookies of one application, with its secrets: what one carries, or why it is no session. It changes nothing.
///
/// ```
/// use session_core::{Inspector, KeyRing, Purpose, Refused, Secret};
///
/// let secret = "8f1c5a09b7e34d62a0c9f8371be245d6013a7c4f9e82b56d70e1d3c4a5968b2f";
/// let inspector = Inspector::new(&KeyRing::parse(secret)?, "shop", "__Host-id");
/// let refused = inspector.inspect("Zm9vYmFy").unwrap_err();
/// assert_eq!(refused, Refused::NotOurs);
/// # Ok::<(), session_core::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct Inspector {
    key_ids: Vec<KeyId>,
    tokens: [Tokens; 3],
    attributes: Attributes,
    fingerprints: Fingerprints,
}

impl Inspector {
    /// For the application that has these secrets, this name and this cookie; the name is empty where
    /// [`SessionManagerBuilder::application`](crate::SessionManagerBuilder::application) was not called.
    ///
    /// ```
    /// # use session_core::{Inspector, KeyRing, Refused, Secret};
    /// let inspector = Inspector::new(&KeyRing::new(Secret::random()?), "", "__Host-id");
    /// assert_eq!(inspector.inspect("").unwrap_err(), Refused::Empty);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn new(keys: &KeyRing, application: &str, cookie_name: &str) -> Self {
        Self {
            key_ids: keys.key_ids(),
            tokens: Purpose::ALL.map(|purpose| Tokens::new(keys, purpose, application, cookie_name)),
            attributes: Attributes { name: cookie_name.to_owned(), chunked: true, ..Attributes::default() },
            fingerprints: Fingerprints::new(keys),
        }
    }

    /// What the value of one cookie carries.
    ///
    /// # Errors
    /// [`Refused`], if no session is in it.
    ///
    /// ```
    /// # use session_core::{Inspector, KeyRing, Refused, Secret};
    /// let inspector = Inspector::new(&KeyRing::new(Secret::random()?), "", "__Host-id");
    /// assert_eq!(inspector.inspect("~02AbCdEfGhpart").unwrap_err(), Refused::Incomplete);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn inspect(&self, value: &str) -> Result<Inspected, Refused> {
        if value.starts_with('~') {
            return Err(Refused::Incomplete);
        }
        self.open(value.as_bytes())
    }

    /// What the cookies of a whole `Cookie` header carry that have the session's name, in order; one that is spread over several
    /// cookies is put together. After five different ones it stops: a request with so many is anonymous.
    ///
    /// ```
    /// # use session_core::{Inspector, KeyRing, Refused, Secret};
    /// let inspector = Inspector::new(&KeyRing::new(Secret::random()?), "", "__Host-id");
    /// let found = inspector.inspect_header("theme=dark; __Host-id=; other=1");
    /// assert_eq!(found.len(), 1);
    /// assert_eq!(found[0].as_ref().unwrap_err(), &Refused::Empty);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn inspect_header(&self, header: &str) -> Vec<Result<Inspected, Refused>> {
        let mut lines = CookieLines::default();
        lines.push(header.as_bytes());
        let inspect = |value: &&[u8]| match lines.join(value, &self.attributes) {
            Some(token) if is_first_chunk(value) || !value.starts_with(b"~") => self.open(&token),
            _ => Err(Refused::Incomplete),
        };
        lines.candidates(&self.attributes.name, |_| true).values.iter().map(inspect).collect()
    }

    /// What logs call the session that a handle names, as long as it is in a store.
    ///
    /// ```
    /// # use session_core::{Inspector, KeyRing, Secret};
    /// let inspector = Inspector::new(&KeyRing::new(Secret::random()?), "", "__Host-id");
    /// let handle = "ab".repeat(32).parse().unwrap();
    /// assert_eq!(inspector.fingerprint(&handle).to_string().len(), 16);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn fingerprint(&self, handle: &Handle) -> Fingerprint {
        self.fingerprints.of(&handle.0)
    }

    fn open(&self, token: &[u8]) -> Result<Inspected, Refused> {
        let (purpose, key, place) = self.head(token)?;
        let tokens = self.tokens.iter().find(|tokens| tokens.purpose() == purpose).ok_or(Refused::NotOurs)?;
        if !tokens.is_authentic(token) {
            return Err(Refused::NotAuthentic { purpose, key });
        }
        let (handle, first, session) = match tokens.open(token).ok_or(Refused::Unreadable { purpose, key })?.content {
            Content::Reference(id) => (id.store_key(), id.store_key(), None),
            Content::Whole(envelope) => (envelope.id.store_key(), envelope.first().store_key(), Some(envelope)),
        };
        let fingerprint = self.fingerprints.of(&first);
        Ok(Inspected { purpose, key, place, fingerprint, handle: Handle(handle), session })
    }

    /// What a token says of itself: for which purpose it is, and which secret made it. Nobody has checked it yet.
    fn head(&self, token: &[u8]) -> Result<(Purpose, KeyId, usize), Refused> {
        if token.is_empty() {
            return Err(Refused::Empty);
        }
        if token.len() > LONGEST {
            return Err(Refused::TooLong);
        }
        let dot = token.iter().position(|&byte| byte == b'.');
        let head = dot.map_or(token, |dot| &token[dot + 1..]);
        let bytes = URL_SAFE_NO_PAD.decode(head).map_err(|_| Refused::NotOurs)?;
        let (&[format], rest) = bytes.split_first_chunk().ok_or(Refused::NotOurs)?;
        let purpose = Purpose::ALL.into_iter().find(|purpose| purpose.format() == format).ok_or(Refused::NotOurs)?;
        let (id, _) = rest.split_first_chunk().ok_or(Refused::NotOurs)?;
        let fits = match purpose {
            Purpose::Reference => token.len() == REFERENCE_LENGTH && dot.is_none(),
            Purpose::Sealed => dot.is_none(),
            Purpose::Signed => dot.is_some(),
        };
        let key = KeyId(*id);
        let place = self.key_ids.iter().position(|id| *id == key);
        match (fits, place) {
            (false, _) => Err(Refused::Malformed { purpose }),
            (true, None) => Err(Refused::UnknownKey { purpose, key }),
            (true, Some(place)) => Ok((purpose, key, place)),
        }
    }
}

/// An authentic cookie. Whether its session is alive is another question: [`Inspected::validity`], and the store's.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Inspected {
    /// What it carries.
    pub purpose: Purpose,
    /// The secret that made it.
    pub key: KeyId,
    /// That secret's place in the ring: 0 is the current one, all others are retired.
    pub place: usize,
    /// What logs call the session.
    pub fingerprint: Fingerprint,
    /// What a store knows the session by, and how it is ended there.
    pub handle: Handle,
    session: Option<Box<Envelope>>,
}

/// Whether a cookie that carries its session is within its time, by the clock of who asks.
///
/// ```
/// assert_ne!(session_core::Validity::Expired, session_core::Validity::InTime);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Validity {
    /// Its deadline has passed.
    Expired,
    /// It was last used later than now, by more than the minute that nodes' clocks may differ: no node takes it.
    InFuture,
    /// Its session is in a store, which alone knows its times.
    InStore,
    /// A request with it has this session, unless it was revoked.
    InTime,
}

impl Inspected {
    /// The session that is in the cookie; `None` for a reference.
    ///
    /// ```
    /// # use session_core::{Inspector, KeyRing};
    /// # let secret = "8f1c5a09b7e34d62a0c9f8371be245d6013a7c4f9e82b56d70e1d3c4a5968b2f";
    /// # let cookie = "eyJpZCI6IkJ3Y0hCd2NIQndjSEJ3Y0hCd2NIQndjSEJ3Y0hCd2NIQndjSEJ3Y0hCd2MiLCJjcmVhdGVkIjoxNzkzMDAwMDAwMDAwLCJzZWVuIjoxNzkzMDAwMDAwMDAwLCJleHBpcmVzIjoxNzkzMDAwMDYwMDAwLCJmb3JtYXQiOjEsInN1YmplY3QiOiJhZGEiLCJpZGxlIjo2MDAwMCwibGlmZXRpbWUiOjYwMDAwMCwidmFsdWVzIjp7ImNhcnQiOlsidGVhIix7InByaWNlIjo0LjV9LG51bGxdfX0.A4R6W56AksIo3fqew0GUxh1bQwyl2Wsrd53OPu8U6GJQy9UIPA";
    /// let inspected = Inspector::new(&KeyRing::parse(secret)?, "shop", "__Host-id").inspect(cookie).unwrap();
    /// let (record, times) = inspected.session().unwrap();
    /// assert_eq!(record.subject.as_deref(), Some("ada"));
    /// assert!(times.created < times.expires);
    /// # Ok::<(), session_core::ConfigError>(())
    /// ```
    #[must_use]
    pub fn session(&self) -> Option<(&Record, Times)> {
        self.session.as_ref().map(|envelope| (&envelope.record, envelope.times))
    }

    /// Whether it is within its time at `now`.
    ///
    /// ```
    /// # use session_core::{Inspector, KeyRing, Timestamp, Validity};
    /// # let secret = "8f1c5a09b7e34d62a0c9f8371be245d6013a7c4f9e82b56d70e1d3c4a5968b2f";
    /// # let cookie = "eyJpZCI6IkJ3Y0hCd2NIQndjSEJ3Y0hCd2NIQndjSEJ3Y0hCd2NIQndjSEJ3Y0hCd2MiLCJjcmVhdGVkIjoxNzkzMDAwMDAwMDAwLCJzZWVuIjoxNzkzMDAwMDAwMDAwLCJleHBpcmVzIjoxNzkzMDAwMDYwMDAwLCJmb3JtYXQiOjEsInN1YmplY3QiOiJhZGEiLCJpZGxlIjo2MDAwMCwibGlmZXRpbWUiOjYwMDAwMCwidmFsdWVzIjp7ImNhcnQiOlsidGVhIix7InByaWNlIjo0LjV9LG51bGxdfX0.A4R6W56AksIo3fqew0GUxh1bQwyl2Wsrd53OPu8U6GJQy9UIPA";
    /// let inspected = Inspector::new(&KeyRing::parse(secret)?, "shop", "__Host-id").inspect(cookie).unwrap();
    /// let (_, times) = inspected.session().unwrap();
    /// assert_eq!(inspected.validity(times.created), Validity::InTime);
    /// assert_eq!(inspected.validity(times.expires), Validity::Expired);
    /// assert_eq!(inspected.validity(Timestamp::from_millis(0)), Validity::InFuture);
    /// # Ok::<(), session_core::ConfigError>(())
    /// ```
    #[must_use]
    pub fn validity(&self, now: Timestamp) -> Validity {
        let Some(envelope) = &self.session else { return Validity::InStore };
        let times = envelope.times;
        if times.is_over(now) {
            Validity::Expired
        } else if times.seen.as_millis() > now.as_millis().saturating_add(CLOCK_TOLERANCE_MILLIS) {
            Validity::InFuture
        } else {
            Validity::InTime
        }
    }

    /// Whether `store`, where the application keeps its revocations, knows that the session has ended; never for a reference,
    /// whose session would no longer be there.
    ///
    /// # Errors
    /// If the store fails.
    ///
    /// ```
    /// # use session_core::{Inspector, KeyRing, MemoryStore};
    /// # let secret = "8f1c5a09b7e34d62a0c9f8371be245d6013a7c4f9e82b56d70e1d3c4a5968b2f";
    /// # let cookie = "eyJpZCI6IkJ3Y0hCd2NIQndjSEJ3Y0hCd2NIQndjSEJ3Y0hCd2NIQndjSEJ3Y0hCd2MiLCJjcmVhdGVkIjoxNzkzMDAwMDAwMDAwLCJzZWVuIjoxNzkzMDAwMDAwMDAwLCJleHBpcmVzIjoxNzkzMDAwMDYwMDAwLCJmb3JtYXQiOjEsInN1YmplY3QiOiJhZGEiLCJpZGxlIjo2MDAwMCwibGlmZXRpbWUiOjYwMDAwMCwidmFsdWVzIjp7ImNhcnQiOlsidGVhIix7InByaWNlIjo0LjV9LG51bGxdfX0.A4R6W56AksIo3fqew0GUxh1bQwyl2Wsrd53OPu8U6GJQy9UIPA";
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let inspected = Inspector::new(&KeyRing::parse(secret)?, "shop", "__Host-id").inspect(cookie)?;
    /// assert!(!inspected.is_revoked(&MemoryStore::new()).await?);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub async fn is_revoked(&self, store: &dyn SessionStore) -> Result<bool, StoreError> {
        match &self.session {
            Some(envelope) => is_revoked_in(store, envelope).await,
            None => Ok(false),
        }
    }
}

/// Why a cookie is no session of this application. None of them shows what the cookie holds.
///
/// ```
/// assert_eq!(session_core::Refused::Empty.to_string(), "it is empty: a browser has no session under this name, or was told to forget it");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// There is nothing in it.
    #[error("it is empty: a browser has no session under this name, or was told to forget it")]
    Empty,
    /// A part of a session that is spread over several cookies, without the others.
    #[error(
        "it is one part of a session that is spread over several cookies, and the others are missing; give the whole Cookie header"
    )]
    Incomplete,
    /// It says what it is, and has not the form of that: cut off, or with something added.
    #[error("it says that it is {}, and has not the form of one: it was cut, or something was added", shown(*purpose))]
    Malformed {
        /// What it says that it carries.
        purpose: Purpose,
    },
    /// The secret that it names did not make it like this: it is of another application or of a cookie with another name, or
    /// somebody changed it.
    #[error(
        "it names the key {key}, which is in the ring, but is not authentic: it is of another application or cookie name, or was changed or cut"
    )]
    NotAuthentic {
        /// What it says that it carries.
        purpose: Purpose,
        /// The secret that it names.
        key: KeyId,
    },
    /// Nothing that this crate makes.
    #[error(
        "it has not the form of a session's cookie: it is of something else, or was cut or encoded anew on its way"
    )]
    NotOurs,
    /// Longer than any cookie session.
    #[error("it is longer than a session's cookie can be")]
    TooLong,
    /// It names a secret that is not in the ring.
    #[error(
        "it was made under the key {key}, which is not in the ring: its secret was dropped, or is another application's or node's"
    )]
    UnknownKey {
        /// What it says that it carries.
        purpose: Purpose,
        /// The secret that it names.
        key: KeyId,
    },
    /// Authentic, and yet no session that this version can read.
    #[error("it is authentic, but what is in it was written by another version")]
    Unreadable {
        /// What it carries.
        purpose: Purpose,
        /// The secret that made it.
        key: KeyId,
    },
}

const fn shown(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Reference => "the id of a session in a store",
        Purpose::Sealed => "a sealed session",
        Purpose::Signed => "a signed session",
    }
}

#[cfg(test)]
mod tests;
