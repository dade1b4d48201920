//! The verbs in a cluster, where a script reaches the keys of one slot and no more: what takes several keys takes several steps,
//! and whoever meets a half-done one finishes it or takes no notice of it.

use std::collections::HashSet;

use futures_util::future::{join, try_join_all};
use session_core::{Create, Loaded, Record, StoreKey, SubjectLimit, Timestamp, Touch, Update, Version};

use crate::failure::Failure;
use crate::names;
use crate::operation::Operation;
use crate::scripts;
use crate::single::{found, revoked, touched, updated};
use crate::steps::{AT_ONCE, Admission, Entered, Found, Gone, HOPS};

/// So many members of an index one command lists.
const PAGE: usize = 1_000;
/// More pages than any subject has.
const PAGES: usize = 10_000;

impl Operation<'_> {
    pub(crate) async fn cluster_load(&self, key: &StoreKey) -> Result<session_core::Found, Failure> {
        found(&self.run_settled(|| self.session(&scripts::LOAD, key), &key.to_hex()).await?)
    }

    pub(crate) async fn cluster_touch(&self, key: &StoreKey) -> Result<Touch, Failure> {
        touched(&self.run_settled(|| self.session(&scripts::TOUCH, key), &key.to_hex()).await?)
    }

    /// One script, unless an index has to know of the change before it happens.
    pub(crate) async fn cluster_update(
        &self,
        key: &StoreKey,
        record: &Record,
        seen: Version,
    ) -> Result<Update, Failure> {
        let hex = key.to_hex();
        let answer = self.run_settled(|| self.updating(key, record, seen).arg("ask"), &hex).await?;
        if answer.word()? != "index" {
            return updated(&answer);
        }
        if let Some(subject) = &record.subject {
            // If it was another subject's it stays in that index too, as a stranger, until it ends: it may go back.
            self.admit(subject, record, (&hex, answer.number(1)?), "", SubjectLimit::None).await?;
        }
        updated(&self.run(self.updating(key, record, seen).arg("done")).await?)
    }

    /// Reserved, then in the index, then there. So what is in the index and absent will never be there.
    pub(crate) async fn cluster_create(
        &self,
        key: &StoreKey,
        record: &Record,
        limit: SubjectLimit,
    ) -> Result<Create, Failure> {
        let Some(subject) = record.subject.as_deref() else { return self.create(key, record, limit).await };
        let hex = key.to_hex();
        let reservation = self.session(&scripts::RESERVE, key).record(record).number(Version::FIRST.as_u64());
        let reserved = self.run(reservation.arg("").arg("").arg("")).await?;
        if reserved.word()? == "taken" {
            return Ok(Create::Taken);
        }
        let (token, created) = (reserved.text(1)?, reserved.number(2)?);
        let Admission::Entered(entered) = self.admit(subject, record, (&hex, created), "", limit).await? else {
            self.take_back(&hex, token, None).await;
            return Ok(Create::Full);
        };
        self.end_all(subject, &entered.condemned).await?;
        // If it was ended before it was there, it was there for no time.
        let committed = self.run(self.session(&scripts::COMMIT, key).arg(token));
        join(committed, self.prune(subject, &entered.some)).await.0?;
        Ok(Create::Created)
    }

    /// Reserved under its new key, then in the index; the moment is when the old key points to the new one. Then those are ended
    /// who are too many, and only then anybody finds it.
    pub(crate) async fn cluster_rename(
        &self,
        old: &StoreKey,
        new: &StoreKey,
        record: &Record,
        seen: Version,
        limit: SubjectLimit,
    ) -> Result<Update, Failure> {
        let (from, to, subject) = (old.to_hex(), new.to_hex(), record.subject.as_deref());
        let found = self.find(&from).await?;
        let Found::Live { created, version, subject: former, first } = found else { return Ok(Update::Gone) };
        if version != seen.as_u64().to_string() {
            return Ok(Update::Conflict);
        }
        let reservation = self.session(&scripts::RESERVE, new).record(record).number(seen.next().as_u64());
        if self.run(reservation.arg(&*from).number(created).arg(first)).await?.word()? == "taken" {
            return Err(Failure::Taken);
        }
        let admission = match subject {
            Some(subject) => {
                let place = if former.as_deref() == Some(subject) { &*from } else { "" };
                match self.admit(subject, record, (&to, created), place, limit).await? {
                    // Either it has ended, and left the index, or somebody has lost the index.
                    Admission::Unknown if matches!(self.look(&from).await?, Found::Live { .. }) => {
                        self.admit(subject, record, (&to, created), "", limit).await?
                    }
                    admission => admission,
                }
            }
            None => Admission::Entered(Entered::default()),
        };
        let entered = match admission {
            Admission::Entered(entered) => entered,
            refused => {
                self.take_back(&to, &from, None).await;
                return Ok(if matches!(refused, Admission::Full) { Update::Full } else { Update::Gone });
            }
        };
        let moment = match self.depart(&from, &to, record, seen).await? {
            Ok(moment) => moment,
            Err(outcome) => {
                self.take_back(&to, &from, subject.map(|subject| (subject, &entered))).await;
                return Ok(outcome);
            }
        };
        // It has happened. Should the rest fail, who asks for the new key first does it.
        let arrival = async {
            if let Some(subject) = subject {
                self.end_all(subject, &entered.condemned).await?;
                if former.as_deref() == Some(subject) {
                    self.succeed(subject, &from, &to).await?;
                }
            }
            self.arrive(&to, &from, moment).await
        };
        if let Err(error) = arrival.await {
            tracing::warn!(%error, "a renamed session is left to the next request for it");
            return Ok(Update::Updated);
        }
        let (left, pruned) = (
            async {
                if let Some(former) = former.filter(|former| Some(&**former) != subject) {
                    let _ = self.leave(&former, vec![from.clone()]).await;
                }
            },
            async {
                if let Some(subject) = subject {
                    self.prune(subject, &entered.some).await;
                }
            },
        );
        join(left, pruned).await;
        Ok(Update::Updated)
    }

    pub(crate) async fn cluster_delete(&self, key: &StoreKey, subject: Option<&str>) -> Result<bool, Failure> {
        let ended = self.end(&key.to_hex(), subject).await?.ended;
        let Some(Gone { hex, subject: whose, .. }) = ended else { return Ok(false) };
        if let Some(whose) = whose {
            let _ = self.leave(&whose, vec![hex]).await;
        }
        Ok(true)
    }

    /// Each of them was there at one and the same moment, that between two looks at all of them.
    pub(crate) async fn cluster_sessions_of(
        &self,
        subject: &str,
        most: usize,
    ) -> Result<Vec<(StoreKey, Loaded)>, Failure> {
        let (mut sessions, mut seen, mut first) = (Vec::new(), HashSet::new(), 0);
        'pages: for _ in 0..PAGES {
            let operation = self.again();
            let listed = operation.list(subject, first, PAGE).await?;
            first += listed.len();
            for members in listed.chunks(AT_ONCE) {
                if sessions.len() >= most {
                    break 'pages;
                }
                let found = try_join_all(members.iter().map(|hex| operation.follow(hex, subject))).await?;
                sessions.extend(found.into_iter().flatten().filter(|session| seen.insert(session.first.clone())));
            }
            if listed.len() < PAGE {
                break;
            }
        }
        sessions.truncate(most);
        let mut still = Vec::with_capacity(sessions.len());
        let operation = self.again();
        while !sessions.is_empty() {
            let rest = sessions.split_off(sessions.len().min(AT_ONCE));
            let again = sessions.into_iter().map(|session| operation.follow_again(session, subject));
            still.extend(try_join_all(again).await?.into_iter().flatten().filter_map(|session| {
                let key = names::key(&session.hex)?;
                Some((key, session.loaded))
            }));
            sessions = rest;
        }
        Ok(still)
    }

    /// The live session that is under a key, or that it was renamed to, if it is of `subject`.
    async fn follow(&self, hex: &str, subject: &str) -> Result<Option<Followed>, Failure> {
        let mut at = hex.to_owned();
        for _ in 0..HOPS {
            let answer = self.run_settled(|| self.at(&scripts::LOAD, &at), &at).await?;
            if answer.word()? == "moved" {
                at = answer.text(1)?.to_owned();
                continue;
            }
            return match found(&answer).map(session_core::Found::live) {
                Ok(Some(loaded)) if loaded.record.subject.as_deref() == Some(subject) => {
                    let first = answer.text(7)?;
                    let first = if first.is_empty() { &at } else { first }.to_owned();
                    Ok(Some(Followed { hex: at, first, loaded }))
                }
                Ok(_) | Err(Failure::Unreadable(_)) => Ok(None),
                Err(failure) => Err(failure),
            };
        }
        Ok(None)
    }

    async fn follow_again(&self, session: Followed, subject: &str) -> Result<Option<Followed>, Failure> {
        match self.find(&session.hex).await? {
            Found::Live { subject: Some(whose), .. } if whose == subject => Ok(Some(session)),
            Found::Moved { to } => self.follow(&to, subject).await,
            _ => Ok(None),
        }
    }

    pub(crate) async fn cluster_delete_all_of(
        &self,
        subject: &str,
        except: Option<&StoreKey>,
    ) -> Result<usize, Failure> {
        let (mut ended, mut first) = (0, 0);
        for _ in 0..PAGES {
            let operation = self.again();
            let listed = operation.list(subject, first, PAGE).await?;
            let spared = match except {
                Some(except) => operation.spared(&listed, except).await?,
                None => HashSet::new(),
            };
            let mut dead = Vec::new();
            let others: Vec<_> = listed.iter().filter(|hex| !spared.contains(*hex)).collect();
            for members in others.chunks(AT_ONCE) {
                let ends = try_join_all(members.iter().map(|hex| operation.end(hex, Some(subject)))).await?;
                for (hex, end) in members.iter().zip(ends) {
                    dead.extend((!end.stays).then(|| (*hex).clone()));
                    if let Some(Gone { hex: last, .. }) = end.ended {
                        ended += 1;
                        dead.push(last);
                    }
                }
            }
            let left = listed.iter().filter(|hex| !dead.contains(hex)).count();
            operation.leave(subject, dead).await?;
            if listed.len() < PAGE {
                break;
            }
            first += left;
        }
        Ok(ended)
    }

    /// Those of a list that are the excepted session, or on their way from there: it may be renamed at this very moment.
    pub(crate) async fn spared(&self, listed: &[String], except: &StoreKey) -> Result<HashSet<String>, Failure> {
        // In this order: what was there at the first look is in the chain at the second one.
        let found = self.look_at_all(listed).await?;
        let mut spared = self.chain(except.to_hex()).await?;
        for (hex, found) in listed.iter().cloned().zip(found) {
            if matches!(found, Found::Pending { from, .. } if spared.contains(&from)) {
                spared.insert(hex);
            }
        }
        Ok(spared)
    }

    pub(crate) async fn cluster_is_revoked(
        &self,
        keys: &[StoreKey],
        subject: Option<&str>,
        made: Timestamp,
    ) -> Result<bool, Failure> {
        let names = self.revocations(keys, subject);
        let answers = names.into_iter().enumerate().map(|(place, name)| {
            let made = if place < keys.len() { String::new() } else { made.as_millis().to_string() };
            self.run(self.call(&scripts::REVOKED, name).arg(made))
        });
        try_join_all(answers).await?.iter().map(revoked).try_fold(false, |any, one| Ok(any | one?))
    }
}

struct Followed {
    hex: String,
    /// The key that it had first.
    first: String,
    loaded: Loaded,
}
