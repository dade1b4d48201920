//! The judge: what users may have been told, given what the store promises.

use std::time::Duration;

use serde_json::{Value, json};

use super::history::{Answer, CookieLine, Deed, Event, Story};

/// No answer takes longer, with half a second for each operation on the store, at most three of them in a row, and a
/// machine that is busy with other things.
const LATEST: Duration = Duration::from_secs(3);

/// What a store promises about what it acknowledged, under the fault of a play.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Promise {
    /// It is kept.
    Kept,
    /// It is kept, but for what was acknowledged within this time of the beginning of the fault: that may be lost, a
    /// logout as well as a login. So it is where a replica takes over that need not have received everything.
    LastMayBeLost(Duration),
    /// A session as a whole may vanish at any time. What is left of it is whole, and a logout is kept.
    MayVanish,
}

/// When the fault was, since the play began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) began: Duration,
    pub(crate) ended: Duration,
}

/// What was wrong.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) kind: Kind,
    pub(crate) event: Event,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A live session's request was answered as nobody's.
    Anonymous,
    /// A cookie was set or removed where there was no reason to.
    Cookie,
    /// More increments than were asked for.
    Extra,
    /// Another user's data, or another session's.
    Foreign,
    /// The answer took too long.
    Late,
    /// What was acknowledged is not there.
    Lost,
    /// An answer that the lab never gives.
    Nonsense,
    /// A session was alive after its end was acknowledged.
    Resurrected,
}

/// Everything that is wrong in these stories. What one lab did the other one may not know for as long as `behind`.
pub(crate) fn check(stories: &[Story], promise: Promise, fault: Fault, behind: Duration) -> Vec<Finding> {
    let judge = |story| {
        let judge = Judge { story, promise, fault, behind };
        story.events.iter().flat_map(move |event| {
            let late = (event.ended - event.began > LATEST).then_some(Kind::Late);
            let wrong = event.answer().and_then(|answer| judge.wrong(event, answer));
            late.into_iter().chain(wrong).map(|kind| Finding { kind, event: event.clone() })
        })
    };
    stories.iter().flat_map(judge).collect()
}

/// For whom an answer was given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    User,
    Nobody,
}

#[derive(Clone, Copy)]
struct Judge<'a> {
    story: &'a Story,
    promise: Promise,
    fault: Fault,
    behind: Duration,
}

impl Judge<'_> {
    fn wrong(&self, event: &Event, answer: &Answer) -> Option<Kind> {
        if answer.status == 503 {
            return (answer.cookie != CookieLine::None).then_some(Kind::Cookie);
        }
        let (answered, expected) = match self.read(event.deed, answer) {
            Ok(read) => read,
            Err(kind) => return Some(kind),
        };
        if answer.cookie != expected {
            return Some(Kind::Cookie);
        }
        match answered {
            For::User if self.is_over(event) => Some(Kind::Resurrected),
            For::User => self.wrong_data(event, &answer.said),
            For::Nobody if self.is_alive(event) => Some(Kind::Anonymous),
            For::Nobody => None,
        }
    }

    /// For whom it is, and what it has to do to the cookie.
    fn read(&self, deed: Deed, Answer { status, cookie, said }: &Answer) -> Result<(For, CookieLine), Kind> {
        let Story { user, mark, .. } = self.story;
        let is_foreign = |said: &Value, own: &str| said.as_str().is_some_and(|said| said != own);
        if is_foreign(&said["user"], user) || (deed == Deed::ReadMark && is_foreign(&said["k"], mark)) {
            return Err(Kind::Foreign);
        }
        let done = *status == 200 && *said == json!({"ok": true});
        let named = said["user"].is_string();
        let read = match deed {
            Deed::Login => (*status == 200 && named).then_some((For::User, CookieLine::Set)),
            Deed::Who => match (*status, named) {
                (200, true) => Some((For::User, CookieLine::None)),
                (401, false) => Some((For::Nobody, CookieLine::None)),
                _ => None,
            },
            Deed::ReadCount | Deed::ReadMark => match (*status, named, said.get("k")) {
                (200, true, Some(_)) => Some((For::User, CookieLine::None)),
                (200, false, Some(Value::Null)) => Some((For::Nobody, CookieLine::None)),
                (200, false, Some(_)) => return Err(Kind::Foreign),
                _ => None,
            },
            // Who is nobody writes into a new session, and gets its cookie.
            Deed::Increment | Deed::Mark => {
                let written = if deed == Deed::Mark { done } else { *status == 200 && said["v"].is_u64() };
                let answered = if *cookie == CookieLine::Set { For::Nobody } else { For::User };
                written.then_some((answered, if answered == For::User { CookieLine::None } else { CookieLine::Set }))
            }
            Deed::Renew | Deed::Logout => {
                let change = if deed == Deed::Renew { CookieLine::Set } else { CookieLine::Removed };
                let answered = if *cookie == CookieLine::None { For::Nobody } else { For::User };
                done.then_some((answered, if answered == For::User { change } else { CookieLine::None }))
            }
        };
        read.ok_or(Kind::Nonsense)
    }

    fn wrong_data(&self, event: &Event, said: &Value) -> Option<Kind> {
        let counted = match event.deed {
            Deed::ReadMark => {
                let marked = self.before(event, Deed::Mark).any(|mark| self.is_done(mark));
                return (marked && said["k"].is_null()).then_some(Kind::Lost);
            }
            Deed::ReadCount => said["k"].as_u64().unwrap_or(0),
            Deed::Increment => said["v"].as_u64().unwrap_or(0),
            _ => return None,
        };
        let own = u64::from(event.deed == Deed::Increment);
        let least =
            self.before(event, Deed::Increment).filter(|increment| self.is_done(increment)).count() as u64 + own;
        let most =
            self.begun_before(event.ended, Deed::Increment).filter(|event| !self.was_nobody(event)).count() as u64;
        match counted {
            counted if counted < least => Some(Kind::Lost),
            counted if counted > most => Some(Kind::Extra),
            _ => None,
        }
    }

    /// Whether the session of the event's cookie had surely ended when it began.
    fn is_over(&self, event: &Event) -> bool {
        self.ends_of(event.cookie).any(|end| end.ended < self.known_at(event, end.node) && self.is_done(end))
    }

    /// Whether it was surely alive until the event had ended.
    fn is_alive(&self, event: &Event) -> bool {
        let issuer = match event.cookie {
            0 => self.story.events.iter().find(|issuer| issuer.deed == Deed::Login && self.is_done(issuer)),
            cookie => self.ends_of(cookie - 1).find(|issuer| issuer.deed == Deed::Renew && self.is_done(issuer)),
        };
        // The event itself may be a renewal or a logout: who ends a session has it until then.
        let ends = |end: &Event| end.began < event.ended && !std::ptr::eq(end, event);
        let issued = issuer.is_some_and(|issuer| issuer.ended <= event.began);
        issued && !matches!(self.promise, Promise::MayVanish) && !self.ends_of(event.cookie).any(ends)
    }

    /// What ends the session of this cookie, or gives it another one.
    fn ends_of(&self, cookie: usize) -> impl Iterator<Item = &Event> {
        let ends = |event: &&Event| matches!(event.deed, Deed::Renew | Deed::Logout);
        self.story.events.iter().filter(ends).filter(move |event| event.cookie == cookie)
    }

    fn before<'a>(&'a self, event: &'a Event, deed: Deed) -> impl Iterator<Item = &'a Event> {
        self.story
            .events
            .iter()
            .filter(move |other| other.deed == deed && other.ended <= self.known_at(event, other.node))
    }

    /// What was done at a lab until then, the lab of this event knows.
    fn known_at(&self, event: &Event, node: usize) -> Duration {
        let behind = if node == event.node { Duration::ZERO } else { self.behind };
        event.began.saturating_sub(behind)
    }

    fn begun_before(&self, moment: Duration, deed: Deed) -> impl Iterator<Item = &Event> {
        self.story.events.iter().filter(move |other| other.deed == deed && other.began < moment)
    }

    /// Whether it happened, and for the user, as far as the store's promise goes.
    fn is_done(&self, event: &Event) -> bool {
        let answered = event.answer().is_some_and(|answer| matches!(self.read(event.deed, answer), Ok((For::User, _))));
        answered
            && match self.promise {
                Promise::LastMayBeLost(last) => event.ended.abs_diff(self.fault.began) > last,
                Promise::Kept | Promise::MayVanish => true,
            }
    }

    fn was_nobody(&self, event: &Event) -> bool {
        event.answer().is_some_and(|answer| matches!(self.read(event.deed, answer), Ok((For::Nobody, _))))
    }
}
