//! The hand-written minimum: what a careful expert would write for one application on axum, and nothing that a library has
//! to do for others. It signs the id with HMAC-SHA-256, stores under the SHA-256 of the id, decodes only the value that is
//! asked for, enforces an idle time, and writes with a check of the version.
//!
//! It has no key rotation, no merge of concurrent writes, no limits, no events, no `Vary`, and one kind of store.

mod layer;
mod record;
mod store;

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::FromRequestParts;
use axum::http::header::COOKIE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac as _};
use rand::TryRng as _;
use rand::rngs::SysRng;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

pub use self::layer::FloorLayer;
use self::store::{Found, Key, Store};

const ID: usize = 32;
const TAG: usize = 32;

/// The sessions of one application.
pub struct Floor {
    /// Has taken in the key: two of the four blocks of an HMAC are computed once.
    mac: Hmac<Sha256>,
    store: Store,
}

impl Floor {
    /// # Panics
    /// If the system has no randomness to give.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let mut secret = [0; 32];
        SysRng.try_fill_bytes(&mut secret).expect("randomness");
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&secret).expect("HMAC takes keys of any length");
        Arc::new(Self { mac, store: Store::new() })
    }

    fn find(&self, headers: &HeaderMap) -> Option<(Key, Found)> {
        let token = headers.get_all(COOKIE).iter().find_map(|line| {
            line.as_bytes().split(|&byte| byte == b';').find_map(|pair| pair.trim_ascii().strip_prefix(b"id="))
        })?;
        let mut bytes = [0; ID + TAG];
        let length = URL_SAFE_NO_PAD.decode_slice(token, &mut bytes).ok()?;
        if length != bytes.len() {
            return None;
        }
        let (id, tag) = bytes.split_at(ID);
        self.mac.clone().chain_update(id).verify_slice(tag).ok()?;
        let key = Key::of(id);
        Some((key, self.store.load(&key)?))
    }

    fn new_id(&self) -> Result<(Key, String), StatusCode> {
        let mut bytes = [0; ID + TAG];
        let (id, tag) = bytes.split_at_mut(ID);
        SysRng.try_fill_bytes(id).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        tag.copy_from_slice(&self.mac.clone().chain_update(&*id).finalize().into_bytes());
        let key = Key::of(id);
        let mut cookie = String::with_capacity(140);
        cookie.push_str("id=");
        URL_SAFE_NO_PAD.encode_string(bytes, &mut cookie);
        cookie.push_str("; HttpOnly; SameSite=Lax; Secure; Path=/");
        Ok((key, cookie))
    }
}

impl Key {
    fn of(id: &[u8]) -> Self {
        Self(Sha256::digest(id).into())
    }
}

/// One request's session: put into the request's extensions by the layer, filled by the extractor, saved by the layer.
pub struct Slot {
    floor: Arc<Floor>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    found: Option<(Key, Found)>,
    /// The whole record after a write.
    written: Option<Vec<u8>>,
    renew: bool,
}

/// The visitor's session.
pub struct Session(Arc<Slot>);

impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        let slot = parts.extensions.get::<Arc<Slot>>().ok_or(StatusCode::INTERNAL_SERVER_ERROR)?;
        slot.lock().found = slot.floor.find(&parts.headers);
        Ok(Self(Arc::clone(slot)))
    }
}

impl Session {
    /// # Errors
    /// If the value is of another type.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, serde_json::Error> {
        let state = self.0.lock();
        record::find(state.record(), key).map(serde_json::from_slice).transpose()
    }

    /// # Errors
    /// If the value can't be JSON.
    pub fn insert(&self, key: &str, value: &impl Serialize) -> Result<(), serde_json::Error> {
        let mut state = self.0.lock();
        let written = record::replaced(state.record(), key, value)?;
        state.written = Some(written);
        Ok(())
    }

    /// Another id for the same data.
    pub fn renew(&self) {
        self.0.lock().renew = true;
    }
}

impl Slot {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Saves what the handler did; the cookie if there is a new one.
    fn close(&self) -> Result<Option<String>, StatusCode> {
        let state = std::mem::take(&mut *self.lock());
        let store = &self.floor.store;
        match state {
            State { written: None, renew: false, found: None } => Ok(None),
            State { written: None, renew: false, found: Some((key, found)) } => {
                if found.is_to_be_touched() {
                    store.touch(&key);
                }
                Ok(None)
            }
            State { written: Some(record), renew: false, found: Some((key, found)) } => {
                let saved = store.update(&key, record.into(), found.version);
                if saved { Ok(None) } else { Err(StatusCode::CONFLICT) }
            }
            State { written, renew: true, found: Some((old, found)) } => {
                let (new, cookie) = self.floor.new_id()?;
                let record = written.map_or(found.record, Arc::from);
                let renamed = store.rename(&old, new, record, found.version);
                if renamed { Ok(Some(cookie)) } else { Err(StatusCode::CONFLICT) }
            }
            State { written, found: None, .. } => {
                let (key, cookie) = self.floor.new_id()?;
                store.create(key, written.unwrap_or_default().into());
                Ok(Some(cookie))
            }
        }
    }
}

impl State {
    fn record(&self) -> &[u8] {
        let found = || self.found.as_ref().map_or(&[][..], |(_, found)| &found.record);
        self.written.as_deref().unwrap_or_else(found)
    }
}
