//! The steps that the verbs are made of in a cluster.

use std::collections::HashSet;

use futures_util::future::try_join_all;
use redis::Value;
use session_core::{Ended, EndedBy, Loaded, Record, SubjectLimit, Update, Version};

use crate::failure::Failure;
use crate::names;
use crate::operation::Operation;
use crate::reply::Reply;
use crate::scripts::{self, Call, Script};

/// How often a session may have been renamed while others knew its first key. Each time costs a command.
pub(crate) const HOPS: usize = 1_000;
/// So many commands of one call are on their way at once.
pub(crate) const AT_ONCE: usize = 64;
/// A rename that has not come to its moment after so many milliseconds is given up.
const FLIGHT: u64 = 60_000;

/// What is under a key.
pub(crate) enum Found {
    Live {
        version: String,
        created: u64,
        subject: Option<String>,
        /// The key that it had first.
        first: String,
    },
    /// Written, and not there yet: a login in flight, or a rename from another key.
    Pending {
        from: String,
        subject: Option<String>,
        age: u64,
    },
    Moved {
        to: String,
    },
    Absent,
    /// Nothing of ours.
    Foreign,
}

/// What came of entering a session into an index.
pub(crate) enum Admission {
    Entered(Entered),
    Full,
    /// The session that was to be renamed has been condemned.
    Condemned,
    /// It is not in the index.
    Unknown,
}

#[derive(Default)]
pub(crate) struct Entered {
    /// Whom this condemned.
    pub(crate) victims: Vec<String>,
    /// Who has to be dead before the session is there: these, and whom others condemned and may not have ended.
    pub(crate) condemned: Vec<String>,
    /// Some other members, of which nothing is known.
    pub(crate) some: Vec<String>,
}

/// What became of an attempt to end a session.
pub(crate) struct End {
    pub(crate) ended: Option<Gone>,
    /// The key that was asked for may be somebody's, now or in a moment.
    pub(crate) stays: bool,
}

/// A session that has ended.
pub(crate) struct Gone {
    /// The key it had at last.
    pub(crate) hex: String,
    pub(crate) subject: Option<String>,
    /// How it was, if a limit has ended it.
    session: Option<Loaded>,
}

impl Operation<'_> {
    pub(crate) fn at(&self, script: &'static Script, hex: &str) -> Call {
        self.call(script, self.names().session(hex))
    }

    /// Runs a script on a session, and again if it had to be settled first.
    pub(crate) async fn run_settled(&self, call: impl Fn() -> Call, hex: &str) -> Result<Reply, Failure> {
        let answer = self.run(call()).await?;
        if answer.word()? == "pending" && self.settle(hex, answer.text(1)?).await? {
            return self.run(call()).await;
        }
        Ok(answer)
    }

    /// Whether the session that is pending here has moved here; then it is there now, and what has to be done before is done.
    pub(crate) async fn settle(&self, hex: &str, from: &str) -> Result<bool, Failure> {
        if names::key(from).is_none() {
            return Ok(false);
        }
        let outcome = self.run(self.at(&scripts::OUTCOME, from).arg(hex)).await?;
        if outcome.word()? != "moved" {
            return Ok(false);
        }
        let seen = outcome.number(1)?;
        if let Found::Pending { subject: Some(subject), .. } = self.look(hex).await? {
            let condemned = self.succeed(&subject, from, hex).await?;
            self.end_all(&subject, &condemned).await?;
        }
        self.arrive(hex, from, seen).await?;
        Ok(true)
    }

    /// The moment of a rename. When that was, or why it did not happen.
    pub(crate) async fn depart(
        &self,
        from: &str,
        to: &str,
        record: &Record,
        seen: Version,
    ) -> Result<Result<u64, Update>, Failure> {
        let call = || {
            let call = self.at(&scripts::MOVE, from).number(seen.as_u64()).arg(to);
            call.millis(record.expiry.idle).millis(record.expiry.lifetime)
        };
        let answer = self.run_settled(call, from).await?;
        Ok(match answer.word()? {
            "moved" => Ok(answer.number(1)?),
            "conflict" => Err(Update::Conflict),
            "gone" | "pending" => Err(Update::Gone),
            _ => return Err(Failure::Answer),
        })
    }

    /// Gives a key the place in the index that it has come from. Who is condemned there.
    pub(crate) async fn succeed(&self, subject: &str, from: &str, hex: &str) -> Result<Vec<String>, Failure> {
        self.run(self.of(&scripts::SUCCEED, subject).arg(from).arg(hex)).await?.keys(1)
    }

    pub(crate) async fn arrive(&self, hex: &str, from: &str, seen: u64) -> Result<(), Failure> {
        self.run(self.at(&scripts::SETTLE, hex).arg(from).number(seen)).await?;
        Ok(())
    }

    /// Ends a session wherever it went, if it is of `subject` or nobody minds whose it is.
    pub(crate) async fn end(&self, hex: &str, subject: Option<&str>) -> Result<End, Failure> {
        self.end_from(hex, subject, false).await
    }

    async fn end_from(&self, hex: &str, subject: Option<&str>, in_flight_too: bool) -> Result<End, Failure> {
        let (mut at, mut from) = (hex.to_owned(), String::new());
        for _ in 0..HOPS {
            let pending = if in_flight_too { "any" } else { &*from };
            let answer = self.run(self.at(&scripts::END, &at).subject(subject).arg(pending)).await?;
            match answer.word()? {
                "moved" => from = std::mem::replace(&mut at, answer.text(1)?.to_owned()),
                "pending" if self.settle(&at, answer.text(1)?).await? => {}
                "pending" | "other" => return Ok(End { ended: None, stays: at == hex }),
                "ended" => {
                    let subject = answer.text(1)?.strip_prefix('=').map(str::to_owned);
                    let session = Reply::new(Value::Array(answer.last()?)).and_then(|shown| shown.loaded(1)).ok();
                    return Ok(End { ended: Some(Gone { hex: at, subject, session }), stays: false });
                }
                _ => break,
            }
        }
        Ok(End { ended: None, stays: false })
    }

    /// Ends those whom a limit has condemned, those among them who are not there yet too.
    pub(crate) async fn end_all(&self, subject: &str, condemned: &[String]) -> Result<(), Failure> {
        for condemned in condemned.chunks(AT_ONCE) {
            let ends = try_join_all(condemned.iter().map(|hex| self.end_from(hex, Some(subject), true))).await?;
            let mut dead = Vec::new();
            for (hex, end) in condemned.iter().zip(ends) {
                dead.extend((!end.stays).then(|| hex.clone()));
                if let Some(Gone { hex, session, .. }) = end.ended {
                    let ended = names::key(&hex).map(|key| Ended { key, session, by: EndedBy::Limit });
                    self.tell(ended);
                    dead.push(hex);
                }
            }
            self.leave(subject, dead).await?;
        }
        Ok(())
    }

    pub(crate) async fn look(&self, hex: &str) -> Result<Found, Failure> {
        let answer = self.run(self.at(&scripts::PROBE, hex)).await?;
        let (version, created) = (answer.text(1)?.to_owned(), answer.number(2)?);
        let subject = answer.text(3)?.strip_prefix('=').map(str::to_owned);
        let other = answer.text(4)?.to_owned();
        Ok(match answer.word()? {
            "live" => {
                let first = answer.text(6)?;
                let first = if first.is_empty() { hex } else { first }.to_owned();
                Found::Live { version, created, subject, first }
            }
            "pending" => Found::Pending { from: other, subject, age: answer.number(5)? },
            "moved" => Found::Moved { to: other },
            "absent" | "expired" => Found::Absent,
            "foreign" => Found::Foreign,
            _ => return Err(Failure::Answer),
        })
    }

    /// As `look`, but what is pending and has moved there is there.
    pub(crate) async fn find(&self, hex: &str) -> Result<Found, Failure> {
        match self.look(hex).await? {
            Found::Pending { from, .. } if self.settle(hex, &from).await? => self.look(hex).await,
            found => Ok(found),
        }
    }

    pub(crate) async fn look_at_all(&self, keys: &[String]) -> Result<Vec<Found>, Failure> {
        let mut all = Vec::with_capacity(keys.len());
        for keys in keys.chunks(AT_ONCE) {
            all.extend(try_join_all(keys.iter().map(|hex| self.look(hex))).await?);
        }
        Ok(all)
    }

    /// Enters a session into its subject's index, in the place of `old` if that is one of its keys. The index decides about the limit; if
    /// it is reached it has to be told first who of its members is alive.
    pub(crate) async fn admit(
        &self,
        subject: &str,
        record: &Record,
        (hex, created): (&str, u64),
        old: &str,
        limit: SubjectLimit,
    ) -> Result<Admission, Failure> {
        let call = || {
            let call = self.of(&scripts::ADMIT, subject).arg(hex).number(created).millis(record.expiry.lifetime);
            call.arg(old).limit(limit)
        };
        let mut answer = self.run(call()).await?;
        if answer.word()? == "crowded" {
            let (dead, strangers) = self.check(subject, answer.keys(1)?).await?;
            let call = dead.iter().fold(call().number(dead.len() as u64), |call, hex| call.arg(&**hex));
            answer = self.run(strangers.into_iter().fold(call, Call::arg)).await?;
        }
        match answer.word()? {
            "entered" => {
                let (victims, condemned, mut some) = (answer.keys(1)?, answer.keys(2)?, answer.keys(3)?);
                some.retain(|member| member != hex && member != old && !condemned.contains(member));
                Ok(Admission::Entered(Entered { victims, condemned, some }))
            }
            "full" => Ok(Admission::Full),
            "condemned" => Ok(Admission::Condemned),
            "unknown" => Ok(Admission::Unknown),
            _ => Err(Failure::Answer),
        }
    }

    /// Who of an index's members is dead, and who is alive and not the subject's. A login in flight counts as a session.
    async fn check(&self, subject: &str, members: Vec<String>) -> Result<(Vec<String>, Vec<String>), Failure> {
        let found = self.look_at_all(&members).await?;
        let (mut dead, mut strangers) = (Vec::new(), Vec::new());
        for (hex, mut found) in members.into_iter().zip(found) {
            for _ in 0..HOPS {
                let Found::Moved { to } = found else { break };
                found = self.look(&to).await?;
            }
            match found {
                Found::Pending { from, age, .. } if age > FLIGHT && !self.settle(&hex, &from).await? => {
                    self.run(self.at(&scripts::ABANDON, &hex).arg(from)).await?;
                    dead.push(hex);
                }
                Found::Live { subject: Some(whose), .. } | Found::Pending { subject: Some(whose), .. }
                    if whose == subject => {}
                Found::Live { .. } | Found::Pending { .. } | Found::Foreign => strangers.push(hex),
                Found::Absent | Found::Moved { .. } => dead.push(hex),
            }
        }
        Ok((dead, strangers))
    }

    /// Takes out of an index who is dead among some of its members. An index with too many members does no harm, so this may fail.
    pub(crate) async fn prune(&self, subject: &str, members: &[String]) {
        let Ok(found) = self.look_at_all(members).await else { return };
        let dead = members.iter().zip(found).filter(|(_, found)| matches!(found, Found::Absent));
        let _ = self.leave(subject, dead.map(|(hex, _)| hex.clone()).collect()).await;
    }

    /// Takes back what was reserved for something that does not happen. Should this fail, what is left is taken for what it is.
    pub(crate) async fn take_back(&self, hex: &str, token: &str, entered: Option<(&str, &Entered)>) {
        let abandoned = self.run(self.at(&scripts::ABANDON, hex).arg(token)).await;
        if let (Ok(_), Some((subject, entered))) = (abandoned, entered) {
            let call = self.of(&scripts::WITHDRAW, subject).arg(hex);
            let _ = self.run(entered.victims.iter().fold(call, |call, victim| call.arg(&**victim))).await;
        }
    }

    pub(crate) async fn leave(&self, subject: &str, keys: Vec<String>) -> Result<(), Failure> {
        if !keys.is_empty() {
            self.run(keys.into_iter().fold(self.of(&scripts::LEAVE, subject), Call::arg)).await?;
        }
        Ok(())
    }

    /// The members of an index, the newest first.
    pub(crate) async fn list(&self, subject: &str, first: usize, most: usize) -> Result<Vec<String>, Failure> {
        let call = self.of(&scripts::LIST, subject).number(first as u64).number(most as u64);
        self.run(call).await?.keys(1)
    }

    /// All keys that the session under a key has had since, and has.
    pub(crate) async fn chain(&self, hex: String) -> Result<HashSet<String>, Failure> {
        let (mut chain, mut at) = (HashSet::new(), hex);
        for _ in 0..HOPS {
            let found = self.look(&at).await?;
            chain.insert(at);
            match found {
                Found::Moved { to } => at = to,
                _ => break,
            }
        }
        Ok(chain)
    }
}
