//! The verbs where one script reaches every key: on a single server, and with Sentinel.

use std::collections::HashSet;
use std::time::Duration;

use redis::Value;
use session_core::{
    Create, Ended, EndedBy, Found, Loaded, Record, StoreKey, SubjectLimit, Timestamp, Touch, Update, Version,
};

use crate::failure::Failure;
use crate::names;
use crate::operation::Operation;
use crate::reply::Reply;
use crate::scripts::{self, Call};

/// So many sessions of a subject one command may look at: some milliseconds of the server's time.
const PAGE: usize = 1_000;
/// More pages than any subject has.
const PAGES: usize = 10_000;

impl Operation<'_> {
    pub(crate) async fn load(&self, key: &StoreKey) -> Result<Found, Failure> {
        found(&self.run(self.session(&scripts::LOAD, key)).await?)
    }

    pub(crate) async fn create(&self, key: &StoreKey, record: &Record, limit: SubjectLimit) -> Result<Create, Failure> {
        let call = self.session(&scripts::CREATE, key).record(record).arg(key.to_hex()).limit(limit);
        let answer = self.run(call).await?;
        match answer.word()? {
            "created" => {
                self.tell_of_limit(answer);
                Ok(Create::Created)
            }
            "full" => Ok(Create::Full),
            "taken" => Ok(Create::Taken),
            _ => Err(Failure::Answer),
        }
    }

    pub(crate) async fn update(&self, key: &StoreKey, record: &Record, seen: Version) -> Result<Update, Failure> {
        updated(&self.run(self.updating(key, record, seen).arg("enter")).await?)
    }

    /// The script without its last argument.
    pub(crate) fn updating(&self, key: &StoreKey, record: &Record, seen: Version) -> Call {
        let call = self.session(&scripts::UPDATE, key).record(record);
        call.number(seen.as_u64()).number(seen.next().as_u64()).arg(key.to_hex())
    }

    pub(crate) async fn touch(&self, key: &StoreKey) -> Result<Touch, Failure> {
        touched(&self.run(self.session(&scripts::TOUCH, key)).await?)
    }

    pub(crate) async fn rename(
        &self,
        old: &StoreKey,
        new: &StoreKey,
        record: &Record,
        seen: Version,
        limit: SubjectLimit,
    ) -> Result<Update, Failure> {
        let call = self.session(&scripts::RENAME, old).key(self.names().session(&new.to_hex())).record(record);
        let call = call.number(seen.as_u64()).number(seen.next().as_u64()).arg(old.to_hex()).arg(new.to_hex());
        let answer = self.run(call.limit(limit)).await?;
        let outcome = updated(&answer)?;
        if outcome == Update::Updated {
            self.tell_of_limit(answer);
        }
        Ok(outcome)
    }

    pub(crate) async fn delete(&self, key: &StoreKey, subject: Option<&str>) -> Result<bool, Failure> {
        let call = self.session(&scripts::DELETE, key).arg(key.to_hex()).subject(subject);
        match self.run(call).await?.word()? {
            "ended" => Ok(true),
            "absent" => Ok(false),
            _ => Err(Failure::Answer),
        }
    }

    pub(crate) async fn sessions_of(&self, subject: &str, most: usize) -> Result<Vec<(StoreKey, Loaded)>, Failure> {
        let (mut sessions, mut seen) = (Vec::new(), HashSet::new());
        for page in 0..PAGES {
            let wanted = most.saturating_sub(sessions.len());
            if wanted == 0 {
                break;
            }
            let call = self.of(&scripts::SESSIONS, subject).arg(subject).number((page * PAGE) as u64);
            let answer = self.again().run(call.number(PAGE as u64).number(wanted.min(PAGE) as u64)).await?;
            let looked_at = answer.number(1)?;
            for entry in answer.last()?.into_iter().take(wanted) {
                if let Some((key, loaded)) = listed(entry)?
                    && seen.insert(key)
                {
                    sessions.push((key, loaded));
                }
            }
            if looked_at < PAGE as u64 {
                break;
            }
        }
        Ok(sessions)
    }

    pub(crate) async fn delete_all_of(&self, subject: &str, except: Option<&StoreKey>) -> Result<usize, Failure> {
        let spared = except.map(StoreKey::to_hex).unwrap_or_default();
        let (mut stay, mut ended) = (0, 0);
        for _ in 0..PAGES {
            let call = self.of(&scripts::DELETE_ALL, subject).arg(subject).arg(spared.clone()).number(stay);
            let answer = self.again().run(call.number(PAGE as u64)).await?;
            stay = answer.number(2)?.saturating_add(stay);
            ended = answer.number(3)?.saturating_add(ended);
            if answer.number(1)? < PAGE as u64 {
                break;
            }
        }
        usize::try_from(ended).map_err(|_| Failure::Answer)
    }

    pub(crate) async fn revoke(&self, key: &StoreKey, keep: Duration) -> Result<bool, Failure> {
        let name = self.names().revocation(&key.to_hex());
        match self.run(self.call(&scripts::REVOKE, name).millis(keep)).await?.word()? {
            "news" => Ok(true),
            "known" => Ok(false),
            _ => Err(Failure::Answer),
        }
    }

    pub(crate) async fn revoke_all_of(&self, subject: &str, until: Timestamp, keep: Duration) -> Result<(), Failure> {
        let name = self.names().revocation_of(subject);
        self.run(self.call(&scripts::REVOKE_ALL, name).number(until.as_millis()).millis(keep)).await?;
        Ok(())
    }

    pub(crate) async fn is_revoked(
        &self,
        keys: &[StoreKey],
        subject: Option<&str>,
        made: Timestamp,
    ) -> Result<bool, Failure> {
        let mut names = self.revocations(keys, subject).into_iter();
        let Some(first) = names.next() else { return Ok(false) };
        let call = names.fold(self.call(&scripts::REVOKED, first), Call::key);
        let made = subject.map_or_else(String::new, |_| made.as_millis().to_string());
        revoked(&self.run(call.arg(made)).await?)
    }

    /// Whom a limit has ended: the list that an answer ends with. It has happened, so an answer without one is none.
    fn tell_of_limit(&self, answer: Reply) {
        self.tell(ended(answer.last().unwrap_or_default(), EndedBy::Limit));
    }

    /// Where each of them would be, the subject's last.
    pub(crate) fn revocations(&self, keys: &[StoreKey], subject: Option<&str>) -> Vec<String> {
        let keys = keys.iter().map(|key| self.names().revocation(&key.to_hex()));
        keys.chain(subject.map(|subject| self.names().revocation_of(subject))).collect()
    }
}

/// One of a list. What can't be read is left out.
fn listed(entry: Value) -> Result<Option<(StoreKey, Loaded)>, Failure> {
    let entry = Reply::new(entry)?;
    match (names::key(entry.text(0)?), entry.loaded(1)) {
        (Some(key), Ok(loaded)) => Ok(Some((key, loaded))),
        (None, _) | (_, Err(Failure::Unreadable(_))) => Ok(None),
        (_, Err(failure)) => Err(failure),
    }
}

/// Who has ended, by what a script says of each. It has happened, so what can't be read is left out.
pub(crate) fn ended(entries: Vec<Value>, by: EndedBy) -> impl Iterator<Item = Ended> {
    entries.into_iter().filter_map(move |entry| {
        let entry = Reply::new(entry).ok()?;
        let key = names::key(entry.text(0).ok()?)?;
        Some(Ended { key, session: entry.loaded(1).ok(), by })
    })
}

pub(crate) fn revoked(answer: &Reply) -> Result<bool, Failure> {
    match answer.word()? {
        "revoked" => Ok(true),
        "unknown" => Ok(false),
        _ => Err(Failure::Answer),
    }
}

pub(crate) fn found(answer: &Reply) -> Result<Found, Failure> {
    match answer.word()? {
        "live" => answer.loaded(1).map(Found::Live),
        "expired" => Ok(Found::Expired),
        "foreign" => Err(Failure::Unreadable(None)),
        _ => Ok(Found::Absent),
    }
}

pub(crate) fn touched(answer: &Reply) -> Result<Touch, Failure> {
    match answer.word()? {
        "touched" => Ok(Touch::Touched),
        "gone" | "pending" => Ok(Touch::Gone),
        _ => Err(Failure::Answer),
    }
}

pub(crate) fn updated(answer: &Reply) -> Result<Update, Failure> {
    match answer.word()? {
        "updated" => Ok(Update::Updated),
        "conflict" => Ok(Update::Conflict),
        "full" => Ok(Update::Full),
        "gone" | "pending" => Ok(Update::Gone),
        "taken" => Err(Failure::Taken),
        _ => Err(Failure::Answer),
    }
}
