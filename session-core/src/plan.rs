//! The decision: what has to happen to a session at the end of its request. Pure, so that it can be tested as a table.

use std::time::Duration;

use crate::changes::Changes;
use crate::clock::{Timestamp, millis};
use crate::expiry::{Expiry, Times};
use crate::id::{SessionId, StoreKey};
use crate::record::Record;
use crate::store::Version;

/// A session that exists: as it was loaded, or as it was last saved.
#[derive(Clone, Debug)]
pub(crate) struct Base {
    pub(crate) id: SessionId,
    /// What a store knows it by.
    pub(crate) key: StoreKey,
    pub(crate) record: Record,
    pub(crate) version: Version,
    pub(crate) times: Times,
    /// The id it began with. A logout of a session that is in cookies ends all that came of it.
    pub(crate) first: Option<Box<SessionId>>,
    /// How the clock that keeps its deadlines compares with ours: both as they stood at the same moment.
    pub(crate) theirs: Timestamp,
    pub(crate) ours: Timestamp,
    /// Its cookie was made under a retired secret.
    pub(crate) retired: bool,
}

impl Base {
    /// The time by the clock that keeps this session's deadlines.
    pub(crate) fn now(&self, ours: Timestamp) -> Timestamp {
        self.theirs.plus(ours.since(self.ours))
    }

    /// The id that a session in cookies began with.
    pub(crate) fn first(&self) -> &SessionId {
        self.first.as_deref().unwrap_or(&self.id)
    }

    /// When it got its id, as far as that is noted.
    fn renewed(&self) -> Timestamp {
        self.times.created.plus(Duration::from_millis(self.record.own().renewed.unwrap_or_default()))
    }
}

/// What the configuration says about time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// The limits that a login starts.
    pub(crate) expiry: Expiry,
    /// Those of a session that begins without a subject.
    pub(crate) anonymous: Expiry,
    pub(crate) touch_every: Duration,
    /// The same as long as there is no subject.
    pub(crate) touch_anonymous_every: Duration,
    /// The longest that a session may be remembered.
    pub(crate) remember_at_most: Duration,
    /// How old an id gets, if that is limited.
    pub(crate) renew_every: Option<Duration>,
}

impl Policy {
    /// No session that begins now, or is remembered, lives longer.
    pub(crate) fn longest(&self) -> Duration {
        self.expiry.lifetime.max(self.remember_at_most)
    }

    const fn touch_every(&self, record: &Record) -> Duration {
        if record.subject.is_some() { self.touch_every } else { self.touch_anonymous_every }
    }
}

/// How the request went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The server failed (5xx), or never answered: nothing half-done persists.
    Failed,
    /// Anything else.
    Served,
    /// The handler saves, and hasn't answered yet: nobody knows whether the cookie will reach the visitor.
    Open,
}

impl From<u16> for Answer {
    fn from(status: u16) -> Self {
        if status >= 500 { Self::Failed } else { Self::Served }
    }
}

/// One step towards the end. After `Delete` the plan is made anew, without a base.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Plan {
    Nothing,
    Touch,
    Create(Record),
    Update(Record),
    Rename(Record),
    Delete,
}

/// `result` is what the changes make of the base, or of nothing; `now` is by the clock that keeps the base's deadlines.
pub(crate) fn plan(
    base: Option<&Base>,
    changes: &Changes,
    result: &Record,
    answer: Answer,
    now: Timestamp,
    policy: &Policy,
) -> Plan {
    let Some(base) = base else {
        let nothing = answer == Answer::Failed || result.is_blank();
        return if nothing { Plan::Nothing } else { Plan::Create(result.clone()) };
    };
    if changes.destroyed {
        return Plan::Delete;
    }
    if answer == Answer::Failed {
        return Plan::Nothing;
    }
    let changed = *result != base.record;
    // Only a session that is seen to be alive gets its cookie re-issued, hence the touch.
    let due = base.retired || now.since(base.times.seen) >= policy.touch_every(&base.record);
    // Where there is something to write anyway, and a response that can carry the new id.
    let aged = answer == Answer::Served
        && (changed || due)
        && policy.renew_every.is_some_and(|age| now.since(base.renewed()) >= age);
    if changes.renewed || aged {
        let mut renamed = result.clone();
        if policy.renew_every.is_some() {
            renamed.change_own(|own| own.renewed = Some(millis(now.since(base.times.created))));
        }
        return Plan::Rename(renamed);
    }
    match (changed, due) {
        (true, _) => Plan::Update(result.clone()),
        (false, true) => Plan::Touch,
        (false, false) => Plan::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::changes::Change;

    const POLICY: Policy = Policy {
        expiry: Expiry { idle: Duration::from_secs(600), lifetime: Duration::from_secs(6_000) },
        anonymous: Expiry { idle: Duration::from_secs(600), lifetime: Duration::from_secs(6_000) },
        touch_every: Duration::from_secs(20),
        touch_anonymous_every: Duration::from_secs(20),
        remember_at_most: Duration::ZERO,
        renew_every: None,
    };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn record(subject: Option<&str>, values: &[(&str, u64)]) -> Record {
        let mut record = Record::new(POLICY.expiry);
        record.subject = subject.map(Into::into);
        for (key, value) in values {
            record.values_mut().insert(key, *value);
        }
        record
    }

    fn base(subject: Option<&str>, values: &[(&str, u64)]) -> Base {
        let id = SessionId::from_verified([1; 32]);
        Base {
            first: None,
            key: id.store_key(),
            id,
            record: record(subject, values),
            version: Version::FIRST,
            times: Times::begin(at(0), POLICY.expiry),
            theirs: at(0),
            ours: at(0),
            retired: false,
        }
    }

    fn insert(key: &str, value: u64) -> Change {
        Change::Insert(key.to_owned(), value.to_string())
    }

    fn login(subject: &str) -> Change {
        Change::Login(subject.into())
    }

    fn increment(key: &str) -> Change {
        Change::Update(
            key.to_owned(),
            Arc::new(|json| Ok((json.map_or(0, |json| json.parse::<u64>().unwrap()) + 1).to_string())),
        )
    }

    fn did(steps: &[Change]) -> Changes {
        let mut changes = Changes::default();
        steps.iter().for_each(|step| changes.push(step.clone()));
        changes
    }

    fn destroyed(steps: &[Change]) -> Changes {
        Changes { destroyed: true, ..did(steps) }
    }

    fn renewed(steps: &[Change]) -> Changes {
        Changes { renewed: true, ..did(steps) }
    }

    #[test]
    fn the_plan_table() {
        use Answer::{Failed, Served};
        let logged_in = |age: u64, subject: &str, values: &[(&str, u64)]| {
            let mut record = record(Some(subject), values);
            record.expiry.lifetime += Duration::from_secs(age);
            record.change_own(|own| own.authenticated = Some(age * 1_000));
            record
        };
        let none = || None;
        let guest = || Some(base(None, &[("n", 1)]));
        let ada = || Some(base(Some("ada"), &[("n", 1)]));
        let retired = || Some(Base { retired: true, ..base(None, &[("n", 1)]) });

        type Row<'a> = (&'a str, Option<Base>, Changes, Answer, u64, Plan);
        let table: Vec<Row<'_>> = vec![
            // none
            ("none: nothing", none(), did(&[]), Served, 0, Plan::Nothing),
            ("none: wrote", none(), did(&[insert("n", 1)]), Served, 0, Plan::Create(record(None, &[("n", 1)]))),
            ("none: updated", none(), did(&[increment("n")]), Served, 0, Plan::Create(record(None, &[("n", 1)]))),
            (
                "none: wrote and took back",
                none(),
                did(&[insert("n", 1), Change::Remove("n".to_owned())]),
                Served,
                0,
                Plan::Nothing,
            ),
            ("none: cleared", none(), did(&[Change::Clear]), Served, 0, Plan::Nothing),
            ("none: renewed", none(), renewed(&[]), Served, 0, Plan::Nothing),
            ("none: login", none(), did(&[login("ada")]), Served, 0, Plan::Create(logged_in(0, "ada", &[]))),
            (
                "none: wrote, then login",
                none(),
                did(&[insert("n", 1), login("ada")]),
                Served,
                0,
                Plan::Create(logged_in(0, "ada", &[("n", 1)])),
            ),
            (
                "none: two logins",
                none(),
                did(&[login("ada"), insert("n", 1), login("bob")]),
                Served,
                0,
                Plan::Create(logged_in(0, "bob", &[])),
            ),
            ("none: destroyed", none(), destroyed(&[]), Served, 0, Plan::Nothing),
            (
                "none: destroyed, then wrote",
                none(),
                destroyed(&[insert("n", 1)]),
                Served,
                0,
                Plan::Create(record(None, &[("n", 1)])),
            ),
            ("none: wrote, failed", none(), did(&[insert("n", 1)]), Failed, 0, Plan::Nothing),
            // loaded
            ("loaded: read", guest(), did(&[]), Served, 19, Plan::Nothing),
            ("loaded: read, touch is due", guest(), did(&[]), Served, 20, Plan::Touch),
            ("loaded: wrote", guest(), did(&[insert("n", 2)]), Served, 0, Plan::Update(record(None, &[("n", 2)]))),
            (
                "loaded: updated",
                guest(),
                did(&[increment("n"), increment("n")]),
                Served,
                0,
                Plan::Update(record(None, &[("n", 3)])),
            ),
            (
                "loaded: removed",
                guest(),
                did(&[Change::Remove("n".to_owned())]),
                Served,
                0,
                Plan::Update(record(None, &[])),
            ),
            ("loaded: cleared", ada(), did(&[Change::Clear]), Served, 0, Plan::Update(record(Some("ada"), &[]))),
            ("loaded: wrote what is there", guest(), did(&[insert("n", 1)]), Served, 19, Plan::Nothing),
            ("loaded: wrote what is there, touch is due", guest(), did(&[insert("n", 1)]), Served, 20, Plan::Touch),
            (
                "loaded: wrote and wrote back",
                guest(),
                did(&[insert("n", 9), increment("m"), Change::Remove("m".to_owned()), insert("n", 1)]),
                Served,
                0,
                Plan::Nothing,
            ),
            ("loaded: renewed", guest(), renewed(&[]), Served, 0, Plan::Rename(record(None, &[("n", 1)]))),
            (
                "loaded: renewed and wrote",
                guest(),
                renewed(&[insert("m", 2)]),
                Served,
                0,
                Plan::Rename(record(None, &[("m", 2), ("n", 1)])),
            ),
            (
                "loaded: login keeps an anonymous visitor's data",
                guest(),
                did(&[login("ada")]),
                Served,
                0,
                Plan::Rename(logged_in(0, "ada", &[("n", 1)])),
            ),
            (
                "loaded: login again keeps the data and starts the limits anew",
                ada(),
                did(&[login("ada")]),
                Served,
                7,
                Plan::Rename(logged_in(7, "ada", &[("n", 1)])),
            ),
            (
                "loaded: login drops another subject's data",
                ada(),
                did(&[login("bob")]),
                Served,
                0,
                Plan::Rename(logged_in(0, "bob", &[])),
            ),
            ("loaded: destroyed", ada(), destroyed(&[]), Served, 0, Plan::Delete),
            ("loaded: destroyed, then wrote", ada(), destroyed(&[insert("n", 1)]), Served, 0, Plan::Delete),
            // failed
            ("loaded: wrote, failed", guest(), did(&[insert("n", 2)]), Failed, 0, Plan::Nothing),
            ("loaded: login, failed", guest(), did(&[login("ada")]), Failed, 0, Plan::Nothing),
            ("loaded: read, failed, touch is due", guest(), did(&[]), Failed, 20, Plan::Nothing),
            ("loaded: destroyed, failed", ada(), destroyed(&[insert("n", 1)]), Failed, 0, Plan::Delete),
            // rotation of secrets
            ("retired: read", retired(), did(&[]), Served, 0, Plan::Touch),
            ("retired: wrote", retired(), did(&[insert("n", 2)]), Served, 0, Plan::Update(record(None, &[("n", 2)]))),
        ];
        for (case, base, changes, answer, now, expected) in table {
            let loaded = base.as_ref().filter(|_| !changes.destroyed).map(|base| base.record.clone());
            let before = loaded.unwrap_or_else(|| Record::new(POLICY.expiry));
            let result = changes.replay(before, &|| Duration::from_secs(now), POLICY.expiry).unwrap();
            let plan = plan(base.as_ref(), &changes, &result, answer, at(now), &POLICY);
            assert_eq!(plan, expected, "{case}");
        }
    }

    #[test]
    fn an_old_id_is_renewed_where_something_is_written_anyway() {
        use Answer::{Failed, Open, Served};
        let policy = Policy { renew_every: Some(Duration::from_secs(100)), ..POLICY };
        let old = |renewed: u64, seen: u64| {
            let mut base = base(None, &[("n", 1)]);
            base.times.seen = at(seen);
            base.record.change_own(|own| own.renewed = (renewed > 0).then_some(renewed * 1_000));
            base
        };
        let noted = |value: u64, renewed: u64| {
            let mut record = record(None, &[("n", value)]);
            record.change_own(|own| own.renewed = Some(renewed * 1_000));
            record
        };
        let wrote = || did(&[insert("n", 2)]);
        let table = [
            ("young", old(0, 0), wrote(), Served, 99, Plan::Update(record(None, &[("n", 2)]))),
            ("old: wrote", old(0, 0), wrote(), Served, 100, Plan::Rename(noted(2, 100))),
            ("old: read", old(0, 99), did(&[]), Served, 100, Plan::Nothing),
            ("old: read, touch is due", old(0, 80), did(&[]), Served, 100, Plan::Rename(noted(1, 100))),
            ("old: wrote, failed", old(0, 0), wrote(), Failed, 100, Plan::Nothing),
            ("old: saved on the way", old(0, 0), wrote(), Open, 100, Plan::Update(record(None, &[("n", 2)]))),
            ("old: destroyed", old(0, 0), destroyed(&[]), Served, 100, Plan::Delete),
            ("renewed before", old(50, 0), wrote(), Served, 149, Plan::Update(noted(2, 50))),
            ("renewed before, and old again", old(50, 0), wrote(), Served, 150, Plan::Rename(noted(2, 150))),
            ("young, but asked for", old(0, 0), renewed(&[]), Open, 7, Plan::Rename(noted(1, 7))),
        ];
        for (case, base, changes, answer, now, expected) in table {
            let result = changes.replay(base.record.clone(), &|| Duration::from_secs(now), POLICY.expiry).unwrap();
            assert_eq!(plan(Some(&base), &changes, &result, answer, at(now), &policy), expected, "{case}");
            // Where it isn't asked for, nothing is noted and nothing is renewed by age.
            let without = plan(Some(&base), &changes, &result, answer, at(now), &POLICY);
            let renamed = matches!(without, Plan::Rename(ref record) if *record == result);
            assert!(renamed == changes.renewed && (renamed || !matches!(without, Plan::Rename(_))), "{case}");
        }
    }

    #[test]
    fn a_session_without_a_subject_is_touched_by_its_own_interval() {
        let policy = Policy { touch_anonymous_every: Duration::from_secs(5), ..POLICY };
        for (subject, due) in [(None, 5), (Some("ada"), 20)] {
            let base = base(subject, &[("n", 1)]);
            for (now, expected) in [(due - 1, Plan::Nothing), (due, Plan::Touch)] {
                let result = base.record.clone();
                let plan = plan(Some(&base), &did(&[]), &result, Answer::Served, at(now), &policy);
                assert_eq!(plan, expected, "{subject:?} {now}");
            }
        }
    }

    #[test]
    fn the_longest_life_is_that_of_a_login_or_of_who_is_remembered() {
        let lifetime = POLICY.expiry.lifetime;
        for (remember_at_most, longest) in [(lifetime * 2, lifetime * 2), (lifetime / 2, lifetime)] {
            assert_eq!(Policy { remember_at_most, ..POLICY }.longest(), longest);
        }
    }

    #[test]
    fn every_5xx_is_a_failure_and_nothing_else() {
        for status in 100..600 {
            assert_eq!(Answer::from(status) == Answer::Failed, status >= 500, "{status}");
        }
    }

    #[test]
    fn another_clock_judges_by_its_own_time() {
        let base = Base { theirs: at(5_000), ours: at(100), ..base(None, &[]) };
        assert_eq!(base.now(at(107)), at(5_007));
    }
}
