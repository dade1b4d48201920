//! The judge of the fault tests finds what it is there to find.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

mod common;
mod faults;

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Duration;

use faults::checker::{Fault, Kind, Promise, check};
use faults::history::{Answer, CookieLine, Deed, Event, Outcome, Story};
use faults::play::{Play, nodes};
use serde_json::{Value, json};

use CookieLine::{None as Keep, Removed, Set};
use Deed::{Increment, Login, Logout, Mark, ReadCount, ReadMark, Renew, Who};

const FAULT: Fault = Fault { began: Duration::from_secs(50), ended: Duration::from_secs(60) };
const LAST: Promise = Promise::LastMayBeLost(Duration::from_secs(5));

/// From the `began`th second of the play until the next one.
fn event(began: u64, deed: Deed, cookie: usize, outcome: Outcome) -> Event {
    let [began, ended] = [began, began + 1].map(Duration::from_secs);
    Event { deed, cookie, node: 0, began, ended, outcome }
}

fn told(status: u16, cookie: CookieLine, said: Value) -> Outcome {
    Outcome::Answered(Answer { status, cookie, said })
}

fn ok(cookie: CookieLine) -> Outcome {
    told(200, cookie, json!({"ok": true}))
}

fn login() -> Outcome {
    told(200, Set, json!({"user": "ada"}))
}

fn is(user: Option<&str>) -> Outcome {
    told(if user.is_some() { 200 } else { 401 }, Keep, json!({ "user": user }))
}

fn counted(count: u64) -> Outcome {
    told(200, Keep, json!({ "v": count }))
}

fn read(user: Option<&str>, value: impl Into<Value>) -> Outcome {
    told(200, Keep, json!({ "user": user, "k": value.into() }))
}

fn failed() -> Outcome {
    told(503, Keep, Value::Null)
}

fn lost() -> Outcome {
    Outcome::Lost("reset".to_owned())
}

fn found(promise: Promise, events: &[Event]) -> Vec<Kind> {
    let story = Story { user: "ada".to_owned(), mark: "mark".to_owned(), events: events.to_vec() };
    check(&[story], promise, FAULT, Duration::ZERO).into_iter().map(|finding| finding.kind).collect()
}

/// What is found in a session that begins with a login and a mark, where the rest begins at second 10.
fn found_after_login(promise: Promise, rest: &[(Deed, usize, Outcome)]) -> Vec<Kind> {
    let mut events = vec![event(1, Login, 0, login()), event(3, Mark, 0, ok(Keep))];
    let rest = (10..).step_by(2).zip(rest);
    events.extend(rest.map(|(began, (deed, cookie, outcome))| event(began, *deed, *cookie, outcome.clone())));
    found(promise, &events)
}

#[test]
fn a_life_in_which_all_is_well_is_well() {
    let me = || read(Some("ada"), "mark");
    let life = [
        (ReadMark, 0, me()),
        (Who, 0, is(Some("ada"))),
        (ReadCount, 0, read(Some("ada"), Value::Null)),
        (Increment, 0, counted(1)),
        (Increment, 0, failed()),
        (Increment, 0, lost()),
        (ReadCount, 0, read(Some("ada"), 3)),
        (Who, 0, failed()),
        (Renew, 0, ok(Set)),
        (Who, 0, is(None)),
        (ReadMark, 1, me()),
        (Logout, 1, ok(Removed)),
        (Who, 1, is(None)),
        (ReadMark, 0, read(None, Value::Null)),
        (ReadMark, 1, failed()),
    ];
    for promise in [Promise::Kept, Promise::MayVanish, LAST] {
        assert_eq!(found_after_login(promise, &life), []);
    }
}

#[test]
fn what_is_unknown_may_have_happened_or_not() {
    for unknown in [failed(), lost()] {
        for after in [is(None), is(Some("ada"))] {
            for deed in [Logout, Renew] {
                assert_eq!(
                    found_after_login(Promise::Kept, &[(deed, 0, unknown.clone()), (Who, 0, after.clone())]),
                    []
                );
            }
        }
        for count in [json!(null), json!(1)] {
            let read = read(Some("ada"), count);
            assert_eq!(found_after_login(Promise::Kept, &[(Increment, 0, unknown.clone()), (ReadCount, 0, read)]), []);
        }
    }
}

#[test]
fn a_lost_increment_is_found() {
    for least in [json!(null), json!(0), json!(1)] {
        let life = [(Increment, 0, counted(1)), (Increment, 0, counted(2)), (ReadCount, 0, read(Some("ada"), least))];
        assert_eq!(found_after_login(Promise::Kept, &life), [Kind::Lost]);
        assert_eq!(found_after_login(Promise::MayVanish, &life), [Kind::Lost]);
    }
    // An answer that doesn't count what was acknowledged before is one too.
    assert_eq!(
        found_after_login(Promise::Kept, &[(Increment, 0, counted(1)), (Increment, 0, counted(1))]),
        [Kind::Lost]
    );
}

#[test]
fn an_increment_that_was_done_twice_is_found() {
    let life = |once: Outcome| [(Increment, 0, once), (ReadCount, 0, read(Some("ada"), 2))];
    for once in [counted(1), failed(), lost()] {
        assert_eq!(found_after_login(Promise::Kept, &life(once)), [Kind::Extra]);
    }
    assert_eq!(found_after_login(Promise::Kept, &[(Increment, 0, counted(2))]), [Kind::Extra]);
}

#[test]
fn a_lost_value_is_found() {
    assert_eq!(found_after_login(Promise::Kept, &[(ReadMark, 0, read(Some("ada"), Value::Null))]), [Kind::Lost]);
}

#[test]
fn a_session_alive_after_its_logout_or_under_its_former_cookie_is_found() {
    for end in [(Logout, 0, ok(Removed)), (Renew, 0, ok(Set))] {
        for (deed, alive) in [
            (Who, is(Some("ada"))),
            (ReadMark, read(Some("ada"), "mark")),
            (ReadCount, read(Some("ada"), 0)),
            (Increment, counted(1)),
            (Renew, ok(Set)),
            (Logout, ok(Removed)),
        ] {
            for promise in [Promise::Kept, Promise::MayVanish, LAST] {
                assert_eq!(found_after_login(promise, &[end.clone(), (deed, 0, alive.clone())]), [Kind::Resurrected]);
            }
        }
    }
    // Two of them in a row, and one that nobody ended again in between.
    let life = [(Logout, 0, ok(Removed)), (Who, 0, is(None)), (Who, 0, is(Some("ada")))];
    assert_eq!(found_after_login(Promise::Kept, &life), [Kind::Resurrected]);
}

#[test]
fn what_meets_a_logout_may_be_before_or_after_it() {
    for outcome in [is(Some("ada")), is(None)] {
        let events = [event(1, Login, 0, login()), event(10, Logout, 0, ok(Removed)), event(10, Who, 0, outcome)];
        assert_eq!(found(Promise::Kept, &events), []);
    }
}

#[test]
fn a_live_session_that_is_nobody_is_found() {
    for (deed, nobody) in [
        (Who, is(None)),
        (ReadMark, read(None, Value::Null)),
        (ReadCount, read(None, Value::Null)),
        (Increment, told(200, Set, json!({"v": 1}))),
        (Mark, ok(Set)),
        (Renew, ok(Keep)),
        (Logout, ok(Keep)),
    ] {
        assert_eq!(found_after_login(Promise::Kept, &[(deed, 0, nobody.clone())]), [Kind::Anonymous], "{deed:?}");
        assert_eq!(found_after_login(LAST, &[(deed, 0, nobody.clone())]), [Kind::Anonymous], "{deed:?}");
        assert_eq!(found_after_login(Promise::MayVanish, &[(deed, 0, nobody)]), [], "{deed:?}");
    }
    // Also under the cookie that a renewal brought.
    assert_eq!(found_after_login(Promise::Kept, &[(Renew, 0, ok(Set)), (Who, 1, is(None))]), [Kind::Anonymous]);
}

#[test]
fn foreign_data_is_found_wherever_it_is() {
    for (deed, foreign) in [
        (Who, is(Some("bob"))),
        (ReadMark, read(Some("bob"), "mark")),
        (ReadMark, read(Some("ada"), "another mark")),
        (ReadMark, read(None, "mark")),
        (ReadCount, read(None, 7)),
        (ReadCount, read(Some("bob"), Value::Null)),
    ] {
        for before in [(Who, 0, is(Some("ada"))), (Logout, 0, ok(Removed)), (Logout, 0, failed())] {
            for promise in [Promise::Kept, Promise::MayVanish, LAST] {
                assert_eq!(found_after_login(promise, &[before.clone(), (deed, 0, foreign.clone())]), [Kind::Foreign]);
            }
        }
    }
    assert_eq!(found(Promise::Kept, &[event(1, Login, 0, told(200, Set, json!({"user": "bob"})))]), [Kind::Foreign]);
}

#[test]
fn a_cookie_because_of_an_error_is_found() {
    for deed in [Who, ReadMark, Increment, Renew, Logout] {
        for cookie in [Set, Removed] {
            let life = [(deed, 0, told(503, cookie, Value::Null))];
            assert_eq!(found_after_login(Promise::MayVanish, &life), [Kind::Cookie]);
        }
    }
    for cookie in [Set, Removed] {
        for life in [
            (Who, 0, told(401, cookie, json!({"user": null}))),
            (Who, 0, told(200, cookie, json!({"user": "ada"}))),
            (ReadMark, 0, told(200, cookie, json!({"user": null, "k": null}))),
        ] {
            assert_eq!(found_after_login(Promise::MayVanish, &[life]), [Kind::Cookie]);
        }
    }
    assert_eq!(
        found_after_login(Promise::Kept, &[(Increment, 0, told(200, Removed, json!({"v": 1})))]),
        [Kind::Cookie]
    );
    assert_eq!(found(Promise::Kept, &[event(1, Login, 0, told(200, Keep, json!({"user": "ada"})))]), [Kind::Cookie]);
}

#[test]
fn another_error_than_503_and_an_answer_that_no_lab_gives_are_found() {
    for (deed, answer) in [
        (Who, told(500, Keep, Value::Null)),
        (Who, told(200, Keep, json!({"user": null}))),
        (Who, told(404, Keep, Value::Null)),
        (Increment, told(500, Keep, Value::Null)),
        (Increment, told(409, Keep, Value::Null)),
        (Increment, ok(Keep)),
        (Logout, told(200, Removed, Value::Null)),
        (ReadMark, told(200, Keep, Value::Null)),
    ] {
        let found = found_after_login(Promise::MayVanish, &[(deed, 0, answer.clone())]);
        assert_eq!(found, [Kind::Nonsense], "{deed:?} {answer:?}");
    }
}

#[test]
fn a_late_answer_is_found_whatever_it_says() {
    for outcome in [failed(), lost(), is(Some("ada"))] {
        let late = Event { ended: Duration::from_secs(14), ..event(10, Who, 0, outcome) };
        assert_eq!(found(Promise::Kept, &[event(1, Login, 0, login()), late]), [Kind::Late]);
    }
}

/// A promise for all but the last moment before a fault: whatever was acknowledged then may have been lost, and nothing
/// else.
#[test]
fn only_the_last_moment_before_a_failover_is_forgiven() {
    let alive = || is(Some("ada"));
    // The fault begins at second 50.
    for (at, forgiven) in [(20, false), (47, true), (51, true), (70, false)] {
        let wrong = |kind: Kind| if forgiven { vec![] } else { vec![kind] };
        let life = |events: &[Event]| found(LAST, &[&[event(1, Login, 0, login())], events].concat());
        assert_eq!(life(&[event(at, Logout, 0, ok(Removed)), event(80, Who, 0, alive())]), wrong(Kind::Resurrected));
        assert_eq!(life(&[event(at, Renew, 0, ok(Set)), event(80, Who, 0, alive())]), wrong(Kind::Resurrected));
        assert_eq!(life(&[event(at, Renew, 0, ok(Set)), event(80, Who, 1, is(None))]), wrong(Kind::Anonymous));
        let counts = [event(at, Increment, 0, counted(1)), event(80, ReadCount, 0, read(Some("ada"), 0))];
        assert_eq!(life(&counts), wrong(Kind::Lost));
        let marks = [event(at, Mark, 0, ok(Keep)), event(80, ReadMark, 0, read(Some("ada"), Value::Null))];
        assert_eq!(life(&marks), wrong(Kind::Lost));
        assert_eq!(found(LAST, &[event(at, Login, 0, login()), event(80, Who, 0, is(None))]), wrong(Kind::Anonymous));
    }
}

/// Where labs remember what they loaded, one of them may be behind the other for a while, and never behind itself.
#[test]
fn only_what_the_other_lab_did_may_not_be_known_yet() {
    let behind = Duration::from_secs(5);
    for (node, at, forgiven) in [(0, 22, false), (1, 22, true), (1, 30, false)] {
        let wrong = |kind: Kind| if forgiven { vec![] } else { vec![kind] };
        let found = |end: Event, read: Event| {
            let (end, read) = (Event { node: 0, ..end }, Event { node, ..read });
            let events = vec![event(1, Login, 0, login()), end, read];
            let story = Story { user: "ada".to_owned(), mark: "mark".to_owned(), events };
            check(&[story], Promise::Kept, FAULT, behind).into_iter().map(|finding| finding.kind).collect::<Vec<_>>()
        };
        let alive = event(at, Who, 0, is(Some("ada")));
        assert_eq!(found(event(20, Logout, 0, ok(Removed)), alive.clone()), wrong(Kind::Resurrected));
        assert_eq!(found(event(20, Renew, 0, ok(Set)), alive), wrong(Kind::Resurrected));
        let none = event(at, ReadCount, 0, read(Some("ada"), 0));
        assert_eq!(found(event(20, Increment, 0, counted(1)), none), wrong(Kind::Lost));
        // But not what has not happened, and not nobody.
        let two = event(at, ReadCount, 0, read(Some("ada"), 2));
        assert_eq!(found(event(20, Increment, 0, counted(1)), two), [Kind::Extra]);
        assert_eq!(found(event(20, Who, 0, is(Some("ada"))), event(at, Who, 0, is(None))), [Kind::Anonymous]);
    }
}

/// The judge on real labs: these two share no store, so a session of one is nobody at the other, and a logout at one
/// doesn't reach the other.
#[tokio::test(flavor = "multi_thread")]
async fn two_labs_that_share_no_store_are_found_out() {
    let (summary, ()) = Play::new(&nodes(0, "memory:")).perform(|| sleep(Duration::from_millis(300))).await;
    let findings = check(&summary.stories, Promise::Kept, summary.fault, Duration::ZERO);
    let kinds: BTreeSet<_> = findings.into_iter().map(|finding| finding.kind).collect();
    assert!(kinds.contains(&Kind::Anonymous), "{kinds:?}");
    assert!(!kinds.contains(&Kind::Foreign) && !kinds.contains(&Kind::Nonsense), "{kinds:?}");
}
