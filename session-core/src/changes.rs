//! What a handler did to its session, in order, so that it can be done again on a fresher record.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::clock::millis;
use crate::csrf::{self, CsrfSecret};
use crate::error::Error;
use crate::expiry::Expiry;
use crate::flash::Flash;
use crate::login::Login;
use crate::record::Record;
use crate::values::Values;

/// An update closure with its type forgotten: from the JSON that is there to the one that shall be.
pub(crate) type Apply = Arc<dyn Fn(Option<&str>) -> Result<String, Error> + Send + Sync>;

/// The same for several keys at once: those that change, and to what.
pub(crate) type Merge = Arc<dyn Fn(&Values) -> Result<Vec<(String, Option<String>)>, Error> + Send + Sync>;

/// One step.
#[derive(Clone)]
pub(crate) enum Change {
    Clear,
    Csrf(CsrfSecret),
    Flash(Flash),
    /// A key and the JSON of its value.
    Insert(String, String),
    Label(String),
    Login(Login),
    Merge(Merge),
    Remember(Duration),
    Remove(String),
    /// These were shown.
    Shown(Vec<Flash>),
    /// It outlives what has just ended its subject's sessions.
    Spare,
    Update(String, Apply),
}

/// All steps of one request, or of the part of it since the last `save`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    /// The session that was loaded is to end; the steps below belong to a new one.
    pub(crate) destroyed: bool,
    /// It needs a new id.
    pub(crate) renewed: bool,
    pub(crate) steps: SmallVec<[Change; 1]>,
}

impl Changes {
    pub(crate) fn push(&mut self, change: Change) {
        self.renewed |= matches!(change, Change::Login(_));
        // Writing one key over and over needs only its last value.
        if let (Some(last), Some(key)) = (self.steps.last_mut(), change.overwrites())
            && last.overwrites() == Some(key)
        {
            *last = change;
        } else {
            self.steps.push(change);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.destroyed && !self.renewed && self.steps.is_empty()
    }

    pub(crate) fn authenticates(&self) -> bool {
        self.steps.iter().any(|change| matches!(change, Change::Login(_)))
    }

    /// Whether something may follow a session that has ended: what comes after a logout, and what a login makes.
    pub(crate) fn begins_anew(&self) -> bool {
        self.destroyed || self.authenticates()
    }

    /// Does all steps on `record`. `age` is how old its session is, `policy` what a login starts.
    pub(crate) fn replay(
        &self,
        mut record: Record,
        age: &dyn Fn() -> Duration,
        policy: Expiry,
    ) -> Result<Record, Error> {
        for change in &self.steps {
            change.apply(&mut record, age, policy)?;
        }
        Ok(record)
    }
}

impl Change {
    pub(crate) fn apply(&self, record: &mut Record, age: &dyn Fn() -> Duration, policy: Expiry) -> Result<(), Error> {
        match self {
            Self::Clear if record.values().is_empty() => {}
            Self::Clear => record.values_mut().clear(),
            Self::Insert(key, json) => {
                record.values_mut().insert_json(key, json);
            }
            Self::Csrf(secret) => record.change_own(|own| csrf::keep(&mut own.csrf, *secret)),
            Self::Flash(flash) => record.change_own(|own| own.flashes.push(flash.clone())),
            Self::Label(label) => record.change_own(|own| own.label = Some(label.clone())),
            Self::Login(Login { subject, stamp }) => {
                let age = age();
                // An anonymous visitor's data stays with him; another subject's is nobody else's business.
                if record.subject.as_ref().is_some_and(|earlier| earlier != subject) {
                    record.values_mut().clear();
                    record.change_own(|own| own.flashes.clear());
                }
                record.subject = Some(Arc::clone(subject));
                record.change_own(|own| {
                    own.authenticated = Some(millis(age));
                    own.stamp.clone_from(stamp);
                    own.remembered = false;
                    // A token that a visitor knew is worth nothing to whom he became.
                    own.csrf.clear();
                });
                // Authentication starts both limits anew (NIST SP 800-63B, 5.2); lifetime counts from creation.
                record.expiry = Expiry { idle: policy.idle, lifetime: age.saturating_add(policy.lifetime) };
            }
            Self::Merge(merge) => {
                for (key, json) in merge(record.values())? {
                    match json {
                        Some(json) => record.values_mut().insert_json(&key, &json),
                        None => record.values_mut().remove(&key),
                    };
                }
            }
            Self::Remember(lifetime) => {
                record.expiry = Expiry { idle: *lifetime, lifetime: age().saturating_add(*lifetime) };
                record.change_own(|own| own.remembered = true);
            }
            Self::Shown(shown) => record.change_own(|own| {
                for flash in shown {
                    if let Some(place) = own.flashes.iter().position(|other| other == flash) {
                        own.flashes.remove(place);
                    }
                }
            }),
            Self::Remove(key) => {
                record.values_mut().remove(key);
            }
            // The moment itself is still among what was ended.
            Self::Spare => record.change_own(|own| own.spared = Some(millis(age()) + 1)),
            Self::Update(key, apply) => {
                let json = apply(record.values().json(key))?;
                record.values_mut().insert_json(key, &json);
            }
        }
        Ok(())
    }

    fn overwrites(&self) -> Option<&str> {
        match self {
            Self::Insert(key, _) | Self::Remove(key) => Some(key),
            _ => None,
        }
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clear => "Clear",
            Self::Csrf(_) => "Csrf(…)",
            Self::Flash(_) => "Flash(…)",
            Self::Insert(..) => "Insert(…)",
            Self::Label(_) => "Label(…)",
            Self::Login(_) => "Login(…)",
            Self::Merge(_) => "Merge(…)",
            Self::Remember(_) => "Remember(…)",
            Self::Remove(_) => "Remove(…)",
            Self::Shown(_) => "Shown(…)",
            Self::Spare => "Spare",
            Self::Update(..) => "Update(…)",
        })
    }
}
