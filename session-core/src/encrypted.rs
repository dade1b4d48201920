//! Encryption at rest: a store whose rows tell nothing.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::{Timestamp, millis};
use crate::crypto::{Mac, Xaes};
use crate::ended::{Ended, EndedBy, Witness, Witnesses};
use crate::error::StoreError;
use crate::id::StoreKey;
use crate::key::{KEY_ID_LENGTH, KeyRing, Secret};
use crate::random::{OsRandom, Random};
use crate::record::Record;
use crate::store::{Create, Found, Loaded, SessionStore, SubjectLimit, Touch, Update, Version};
use crate::token::context;
use crate::verb::Verb;

/// Format and purpose in one, as the first byte of a token is; tokens have 1, 2 and 3.
const FORMAT: u8 = 4;
/// Sealed text is padded to multiples of this, so that its length tells little about its content.
const BLOCK: usize = 64;
/// The only value of a row.
const VALUE: &str = "sealed";
/// Of a subject's sessions beyond its limit at most so many are ended by one login, if they are under retired secrets.
const MOST_ENDED: u32 = 1_000;

/// Keeps sessions encrypted in another store, so that who reads that store, its backups or its disk finds no value and no
/// subject.
///
/// ```
/// use session_core::{Encrypted, KeyRing, MemoryStore, Secret, SessionManager};
///
/// let keys = KeyRing::new(Secret::random()?); // in a program: KeyRing::from_env("STORE_SECRET")?
/// let store = Encrypted::new(MemoryStore::new(), keys);
/// assert_eq!(format!("{store:?}"), "Encrypted { keys: 1, .. }");
/// let manager = SessionManager::stored(store, KeyRing::new(Secret::random()?)).build();
/// assert!(manager.is_ok());
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # What a row is
/// The record's JSON, padded to 64 bytes and sealed with XAES-256-GCM, is the only value of the row. In its subject's place
/// stands a pseudonym, the HMAC-SHA-256 of the subject, so that the store can still list, limit and end a subject's
/// sessions. In clear are the limits and the times, which a store needs, and the version. So a reader of the store learns
/// how many sessions there are and when they were used, their length, and which belong to the same somebody.
///
/// The row's key, its version, its pseudonym and its limits are authenticated with it: a row that was moved to another key,
/// mixed from two versions, given to another subject, or changed in any other way doesn't open. Not even a whole one that
/// the application never made opens: a row that was stored before encryption was turned on, or that somebody planted, is
/// [`StoreError::unreadable`]. Its visitor is anonymous and begins anew: **turning encryption on ends all sessions of
/// before**.
///
/// Who can *write* to the store can still delete rows, put a whole row back as it was at an earlier time, with its version,
/// and change the times, which the store keeps by itself. Against that, keep others from writing to it.
///
/// # Secrets
/// Its keys have purposes of their own, so the ring may be the one that the manager has. A separate one is better: the two
/// are then retired each at its time.
///
/// Rows under a retired secret are read, and every write uses the current one. Rotate in three steps: put the new secret in
/// the ring of every process as a retired one; make it the current one; drop the old one when the longest lifetime has
/// passed. Dropping it ends the sessions that are still under it, and forgets the revocations of subjects that were made
/// under it.
///
/// # What an index under several secrets promises
/// A subject has one pseudonym a secret, so a list, an end of all sessions, and a question for a revocation ask the store
/// once for each secret of the ring, or twice, and are no single instant:
///
/// - A list may miss a session that is renewed meanwhile.
/// - An end of all sessions finds each one that was there before, also if it is written meanwhile, so that it changes its
///   pseudonym. Only one that two processes with different current secrets write in turn, both within that very moment, can
///   be missed.
/// - [`SubjectLimit::Refuse`] holds exactly, as long as all processes have the same current secret. Until then a subject may have
///   as many sessions again under the other.
/// - [`SubjectLimit::EndOldest`] holds when the login is done; while it runs, one more may be alive for each login at once. A
///   process that is killed in between leaves them to the next login.
///
/// With one secret in the ring all of them are what the store itself promises.
#[derive(Clone)]
pub struct Encrypted<S> {
    inner: S,
    rows: Arc<Rows>,
    random: Arc<dyn Random>,
}

/// Opens rows, and tells what is in those that the inner store has ended.
struct Rows {
    /// The current secret first.
    keys: Box<[RowKey]>,
    witnesses: Witnesses,
}

/// What one secret gives.
struct RowKey {
    id: [u8; KEY_ID_LENGTH],
    cipher: Xaes,
    pseudonyms: Mac,
}

impl<S> Encrypted<S> {
    /// Keeps sessions in `inner`, sealed under the current secret of `keys`.
    ///
    /// ```
    /// # use session_core::{Encrypted, KeyRing, MemoryStore, Secret};
    /// let keys = KeyRing::new(Secret::random()?).retired(Secret::random()?);
    /// let store = Encrypted::new(MemoryStore::new(), keys);
    /// assert_eq!(format!("{store:?}"), "Encrypted { keys: 2, .. }");
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "as everywhere, a ring is given to what uses it")]
    pub fn new(inner: S, keys: KeyRing) -> Self {
        let rows = Rows { keys: keys.secrets().map(RowKey::new).collect(), witnesses: Witnesses::default() };
        Self { inner, rows: Arc::new(rows), random: Arc::new(OsRandom) }
    }

    /// Another source of randomness, in tests.
    ///
    /// ```
    /// # use session_core::{Encrypted, Expiry, KeyRing, MemoryStore, Random, Record, Secret, SessionStore, StoreKey, SubjectLimit};
    /// struct Exhausted;
    ///
    /// impl Random for Exhausted {
    ///     fn fill(&self, _: &mut [u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    ///         Err("there is no randomness".into())
    ///     }
    /// }
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let store = Encrypted::new(MemoryStore::new(), KeyRing::new(Secret::random()?)).random(Exhausted);
    /// let (key, record) = (StoreKey::from_bytes([1; 32]), Record::new(Expiry::default()));
    /// assert!(store.create(&key, &record, SubjectLimit::None).await.is_err(), "nothing is sealed without it");
    /// # Ok::<(), session_core::Error>(()) })?;
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn random(mut self, random: impl Random) -> Self {
        self.random = Arc::new(random);
        self
    }

    fn current(&self) -> &RowKey {
        self.rows.keys.first().expect("a ring has a current secret")
    }

    /// The subject's pseudonyms, the current one last. A write moves a session from a retired one to the current one, so
    /// who asks in this order meets it.
    fn pseudonyms(&self, subject: &str) -> impl Iterator<Item = String> {
        self.rows.keys.iter().rev().map(move |key| key.pseudonym(subject))
    }

    /// The pseudonyms there and back: during a rotation some processes move sessions the other way.
    fn pseudonyms_there_and_back(&self, subject: &str) -> impl Iterator<Item = String> {
        self.pseudonyms(subject).chain(self.rows.keys.iter().skip(1).map(move |key| key.pseudonym(subject)))
    }

    /// The row to store at `version` under `key`.
    fn seal(&self, verb: Verb, key: &StoreKey, version: Version, record: &Record) -> Result<Record, StoreError> {
        let mut nonce = [0; Xaes::NONCE_LENGTH];
        self.random.fill(&mut nonce).map_err(|error| verb.failed(error))?;
        Ok(self.current().seal(nonce, key, version, record))
    }
}

impl Rows {
    fn open(&self, key: &StoreKey, mut row: Loaded) -> Result<Loaded, Unopened> {
        let sealed: Option<String> = row.record.values().decode(VALUE).and_then(Result::ok);
        let bytes = URL_SAFE_NO_PAD.decode(sealed.ok_or(Unopened::Unencrypted)?).map_err(|_| Unopened::Unencrypted)?;
        let Some((&[FORMAT], rest)) = bytes.split_first_chunk() else { return Err(Unopened::Unencrypted) };
        let (id, rest) = rest.split_first_chunk::<KEY_ID_LENGTH>().ok_or(Unopened::Changed)?;
        let (nonce, sealed) = rest.split_first_chunk().ok_or(Unopened::Changed)?;
        let by = self.keys.iter().find(|by| by.id == *id).ok_or(Unopened::OtherSecret)?;
        let context = by.context(key, row.version, &row.record);
        let json = by.cipher.open(*nonce, sealed, &context).ok_or(Unopened::Changed)?;
        row.record = Record::from_json(&json).map_err(|_| Unopened::Newer)?;
        Ok(row)
    }
}

impl Witness for Rows {
    fn ended(&self, Ended { key, session, by }: &Ended) {
        let session = session.clone().and_then(|row| self.open(key, row).ok());
        self.witnesses.tell([Ended { key: *key, session, by: *by }]);
    }
}

impl RowKey {
    fn new(secret: &Secret) -> Self {
        Self {
            id: secret.id(),
            cipher: Xaes::new(&secret.derive("stored record")),
            pseudonyms: Mac::new(&secret.derive("stored subject")),
        }
    }

    fn pseudonym(&self, subject: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.pseudonyms.clone().with(subject.as_bytes()).tag())
    }

    fn seal(&self, nonce: [u8; Xaes::NONCE_LENGTH], key: &StoreKey, version: Version, record: &Record) -> Record {
        let mut row = Record::new(record.expiry);
        row.subject = record.subject.as_deref().map(|subject| self.pseudonym(subject).into());
        // JSON may end in blanks, so they are the padding.
        let mut json = record.to_json();
        json.resize(json.len().next_multiple_of(BLOCK), b' ');
        let sealed = self.cipher.seal(nonce, &json, &self.context(key, version, &row));
        let bytes = [&[FORMAT][..], &self.id, &nonce, &sealed].concat();
        row.values_mut().insert(VALUE, URL_SAFE_NO_PAD.encode(bytes));
        row
    }

    /// Where the row belongs, and what of it is in clear. The version is among it because every verb knows the one it
    /// writes: a sealed value of before can't be passed off as the one of now.
    fn context(&self, key: &StoreKey, version: Version, row: &Record) -> Vec<u8> {
        context(&[
            b"session-core",
            &[FORMAT],
            b"stored record",
            &self.id,
            key.as_bytes(),
            &version.as_u64().to_be_bytes(),
            row.subject.as_deref().unwrap_or_default().as_bytes(),
            &millis(row.expiry.idle).to_be_bytes(),
            &millis(row.expiry.lifetime).to_be_bytes(),
        ])
    }
}

/// Why a row doesn't open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Unopened {
    #[error("it was changed, moved or cut outside of this application")]
    Changed,
    #[error("what is sealed in it was written by a newer version")]
    Newer,
    #[error("it is sealed under a secret that is not in the ring")]
    OtherSecret,
    #[error("it is not encrypted, or not in a way this version knows")]
    Unencrypted,
}

#[async_trait]
impl<S: SessionStore> SessionStore for Encrypted<S> {
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>, StoreError> {
        Ok(self.find(key).await?.live())
    }

    async fn find(&self, key: &StoreKey) -> Result<Found, StoreError> {
        Ok(match self.inner.find(key).await? {
            Found::Live(row) => Found::Live(self.rows.open(key, row).map_err(StoreError::unreadable)?),
            absent => absent,
        })
    }

    async fn create(&self, key: &StoreKey, record: &Record, limit: SubjectLimit) -> Result<Create, StoreError> {
        let row = self.seal(Verb::Create, key, Version::FIRST, record)?;
        let Some(limit) = self.limit(limit, record, None).await? else { return Ok(Create::Full) };
        let created = self.inner.create(key, &row, limit).await?;
        if created == Create::Created {
            self.end_oldest(limit, record, key).await?;
        }
        Ok(created)
    }

    async fn update(&self, key: &StoreKey, record: &Record, seen: Version) -> Result<Update, StoreError> {
        self.inner.update(key, &self.seal(Verb::Update, key, seen.next(), record)?, seen).await
    }

    async fn touch(&self, key: &StoreKey) -> Result<Touch, StoreError> {
        self.inner.touch(key).await
    }

    async fn rename(
        &self,
        old: &StoreKey,
        new: &StoreKey,
        record: &Record,
        seen: Version,
        limit: SubjectLimit,
    ) -> Result<Update, StoreError> {
        let row = self.seal(Verb::Rename, new, seen.next(), record)?;
        let Some(limit) = self.limit(limit, record, Some(old)).await? else {
            return Ok(match self.inner.load(old).await? {
                None => Update::Gone,
                Some(row) if row.version != seen => Update::Conflict,
                Some(_) => Update::Full,
            });
        };
        let renamed = self.inner.rename(old, new, &row, seen, limit).await?;
        if renamed == Update::Updated {
            self.end_oldest(limit, record, new).await?;
        }
        Ok(renamed)
    }

    async fn delete(&self, key: &StoreKey) -> Result<bool, StoreError> {
        self.inner.delete(key).await
    }

    async fn sessions_of(&self, subject: &str, most: usize) -> Result<Vec<(StoreKey, Loaded)>, StoreError> {
        let mut sessions: Vec<_> = self
            .rows_of(self.pseudonyms(subject), most)
            .await?
            .into_iter()
            .filter_map(|(key, row)| Some((key, self.rows.open(&key, row).ok()?)))
            .filter(|(_, session)| session.record.subject.as_deref() == Some(subject))
            .collect();
        sessions.truncate(most);
        Ok(sessions)
    }

    async fn delete_one_of(&self, subject: &str, key: &StoreKey) -> Result<bool, StoreError> {
        for pseudonym in self.pseudonyms_there_and_back(subject) {
            if self.inner.delete_one_of(&pseudonym, key).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn delete_all_of(&self, subject: &str, except: Option<&StoreKey>) -> Result<usize, StoreError> {
        let mut ended = 0;
        for pseudonym in self.pseudonyms_there_and_back(subject) {
            ended += self.inner.delete_all_of(&pseudonym, except).await?;
        }
        Ok(ended)
    }

    async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
        self.inner.sweep(limit).await
    }

    async fn revoke(&self, key: &StoreKey, keep: Duration) -> Result<bool, StoreError> {
        self.inner.revoke(key, keep).await
    }

    async fn revoke_all_of(&self, subject: &str, until: Timestamp, keep: Duration) -> Result<(), StoreError> {
        self.inner.revoke_all_of(&self.current().pseudonym(subject), until, keep).await
    }

    async fn is_revoked(&self, keys: &[StoreKey], subject: Option<&str>, made: Timestamp) -> Result<bool, StoreError> {
        let Some(subject) = subject else { return self.inner.is_revoked(keys, None, made).await };
        let mut keys = keys;
        for pseudonym in self.pseudonyms(subject) {
            if self.inner.is_revoked(keys, Some(&pseudonym), made).await? {
                return Ok(true);
            }
            keys = &[];
        }
        Ok(false)
    }

    fn watch(&self, witness: &Arc<dyn Witness>) -> bool {
        self.rows.witnesses.add(witness);
        let rows: Arc<dyn Witness> = self.rows.clone();
        self.inner.watch(&rows)
    }
}

/// The limit, while some of a subject's sessions are under retired pseudonyms, where the store doesn't count them.
impl<S: SessionStore> Encrypted<S> {
    /// What of `limit` is left for the current pseudonym; `None` if nothing is. `renamed` is not counted.
    async fn limit(
        &self,
        limit: SubjectLimit,
        record: &Record,
        renamed: Option<&StoreKey>,
    ) -> Result<Option<SubjectLimit>, StoreError> {
        let (SubjectLimit::Refuse(most), Some(subject)) = (limit, &record.subject) else { return Ok(Some(limit)) };
        let retired = self.rows.keys.iter().skip(1).map(|key| key.pseudonym(subject));
        let rows = self.rows_of(retired, number(most).saturating_add(1)).await?;
        let taken = rows.iter().filter(|(key, _)| Some(key) != renamed).count();
        let left = most.get().saturating_sub(u32::try_from(taken).unwrap_or(u32::MAX));
        Ok(NonZeroU32::new(left).map(SubjectLimit::Refuse))
    }

    /// The store has ended the oldest under the current pseudonym. Now the oldest under all of them.
    async fn end_oldest(&self, limit: SubjectLimit, record: &Record, new: &StoreKey) -> Result<(), StoreError> {
        let (SubjectLimit::EndOldest(most), Some(subject)) = (limit, &record.subject) else { return Ok(()) };
        if self.rows.keys.len() == 1 {
            return Ok(());
        }
        let rows = self.rows_of(self.pseudonyms(subject), number(most.saturating_add(MOST_ENDED))).await?;
        if rows.iter().all(|(key, _)| key != new) {
            // Later ones have ended it already, and see to the limit.
            return Ok(());
        }
        for (key, row) in rows.into_iter().filter(|(key, _)| key != new).skip(number(most) - 1) {
            if self.delete_one_of(subject, &key).await? {
                let session = self.rows.open(&key, row).ok();
                self.rows.witnesses.tell([Ended { key, session, by: EndedBy::Limit }]);
            }
        }
        Ok(())
    }

    /// The rows under `pseudonyms`, at most `most` of each, those created last first.
    async fn rows_of(
        &self,
        pseudonyms: impl Iterator<Item = String> + Send,
        most: usize,
    ) -> Result<Vec<(StoreKey, Loaded)>, StoreError> {
        let mut rows = Vec::new();
        for pseudonym in pseudonyms {
            rows.extend(self.inner.sessions_of(&pseudonym, most).await?);
        }
        rows.sort_by_key(|(_, row)| Reverse(row.times.created));
        // A row that changed its pseudonym meanwhile was met twice.
        let mut met = HashSet::new();
        rows.retain(|(key, _)| met.insert(*key));
        Ok(rows)
    }
}

fn number(limit: NonZeroU32) -> usize {
    usize::try_from(limit.get()).unwrap_or(usize::MAX)
}

impl<S> fmt::Debug for Encrypted<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encrypted").field("keys", &self.rows.keys.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
