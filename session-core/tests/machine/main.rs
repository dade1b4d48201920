//! The whole machine against a simple model: up to five requests of one browser and of an attacker, interleaved at every
//! await in an order that proptest draws, with a clock that moves between the steps and a store that fails.
//!
//! `model` says what sessions should be, `store` compares every effect with it, `request` plays a request from its
//! cookie to its response. Together they hold for every case:
//!
//! - no lost update: what is written is what the request's verbs make of what is there at that very moment;
//! - no resurrection: no key comes a second time, and an ended session is never written to, under any key;
//! - no adopted id: a cookie that this server didn't issue finds nothing, and what is created has an id of its own;
//! - no half-done rotation: after each operation exactly the model's sessions are alive;
//! - expired is absent, told by deadlines that the model computes itself;
//! - what is acknowledged was done, what failed was not, and the response says of the cookie what is true.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

mod model;
mod play;
mod request;
mod store;

use crate::model::Verb;
use crate::play::{FROM_ELSEWHERE, Play, no_harm};
use crate::request::{Request, Source, Step, key_of};
use crate::store::Kept;

const CASES: u32 = 10_000;

#[test]
fn requests_of_one_session_never_harm_each_other() {
    no_harm(CASES, Kept::in_memory);
}
/// What the model takes for granted of `Source::Elsewhere`: the cookie is authentic, so the store is asked for it.
#[test]
fn a_cookie_that_this_server_did_not_issue_is_nobodys() {
    let mut play = Play::new(Kept::in_memory());
    let key = key_of(&FROM_ELSEWHERE);
    let writes = vec![Step::Do(Verb::Insert("a", 1))];
    play.run(&[Request { source: Source::Elsewhere, steps: writes, ..Request::default() }], &[]);
    let world = play.store.world();
    assert_eq!(world.model.live(world.now()).len(), 1);
    assert_ne!(world.traces[0].base, Some(key));
}
