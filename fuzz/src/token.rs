//! What the cookie carries: with the real seals, which nobody breaks, and behind them.

use std::sync::LazyLock;
use std::time::SystemTime;

use serde_json::Value;
use session_core::{ManualClock, MemoryStore, Revocation, Session, SessionManager, Timestamp, fuzzing};

use crate::play::{Counting, NAME, NOW, Request, at_once, begin, closed, cookie_of, keys, use_it};
use crate::reading::{self, Verdict};

/// How far ahead another node's clock may be.
const TOLERANCE: u64 = 60_000;
/// A longer token fits into no cookie, and is not looked at.
const LONGEST: usize = 4096;

struct World {
    /// With sessions in a store, sealed, and signed.
    managers: [SessionManager; 3],
    /// One authentic token of each.
    tokens: [String; 3],
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let none = || Revocation::NoneCopiedCookiesStayValid;
    let store = MemoryStore::new().clock(ManualClock::new(NOW));
    let builders = [
        SessionManager::stored(store, keys()),
        SessionManager::sealed(keys(), none()),
        SessionManager::signed(keys(), none()),
    ];
    let managers = builders.map(|builder| {
        builder.clock(ManualClock::new(NOW)).random(Counting::default()).build().expect("these settings fit")
    });
    let tokens = managers.each_ref().map(|manager| begin(manager, 7));
    World { managers, tokens }
});

/// After two letters. The first is the kind: `r`eference, `s`ealed, si`g`ned. The second says what follows: a whole `t`oken;
/// `c`hanges to one that is authentic, each a place and a byte; or what is `i`nside of one that is authentic.
pub fn token(bytes: &[u8]) {
    let [kind, way, rest @ ..] = bytes else { return };
    let kind = match kind {
        b'r' => 0,
        b's' => 1,
        b'g' => 2,
        _ => return,
    };
    match way {
        b't' => only_ours_opens(kind, rest),
        b'c' => {
            let mut token = WORLD.tokens[kind].clone().into_bytes();
            for change in rest.chunks_exact(2) {
                let place = usize::from(change[0]) * token.len() / 256;
                token[place] = change[1];
            }
            only_ours_opens(kind, &token);
        }
        b'i' if kind > 0 => what_is_inside(kind, rest),
        _ => {}
    }
}

fn load(kind: usize, token: &[u8]) -> Session {
    let line = [format!("{NAME}=").as_bytes(), token].concat();
    at_once(WORLD.managers[kind].open(&Request(&[&line])).load()).expect("memory doesn't fail")
}

fn only_ours_opens(kind: usize, token: &[u8]) {
    let ours = WORLD.tokens[kind].as_bytes();
    let line = [format!("{NAME}=").as_bytes(), token].concat();
    let is_ours = reading::values(&[&line], NAME).iter().any(|value| value == ours);
    let session = load(kind, token);
    assert_eq!(!session.is_new(), is_ours);
    assert_eq!(session.get::<u64>("n").expect("it is a number"), is_ours.then_some(7));
}

fn what_is_inside(kind: usize, inside: &[u8]) {
    let token = fuzzing::authentic(kind == 1, &keys(), NAME, inside);
    let session = load(kind, token.as_bytes());
    let now = NOW.as_millis();
    let (expected, certain) = match reading::envelope(inside) {
        Verdict::No => (None, true),
        Verdict::Perhaps(read) => (Some(read), false),
        Verdict::Yes(read) => (Some(read), true),
    };
    let is_live = |times: &reading::Times| times.expires > now && times.seen <= now + TOLERANCE;
    let expected = expected.filter(|(_, times)| is_live(times) && token.len() <= LONGEST);
    let Some((record, times)) = expected else {
        assert!(session.is_new(), "this is no live session");
        return;
    };
    if session.is_new() {
        assert!(!certain, "this is a live session");
        return;
    }
    assert_eq!(session.subject(), record.subject);
    assert!(session.keys().iter().eq(record.values.keys()));
    for (key, json) in &record.values {
        assert_eq!(session.get::<Value>(key).ok(), reading::decoded(json).map(Some));
    }
    let time = |millis| SystemTime::from(Timestamp::from_millis(millis));
    assert_eq!(session.created(), time(times.created));
    assert_eq!(session.seen(), time(times.seen));
    assert_eq!(session.expires(), time(times.expires));
    use_it(&session);
    goes_on(kind, &token, &record);
}

/// The next request writes; the one after it finds all of it, if there is still time.
fn goes_on(kind: usize, token: &str, record: &reading::Reading) {
    let line = format!("{NAME}={token}");
    let slot = WORLD.managers[kind].open(&Request(&[line.as_bytes()]));
    let session = at_once(slot.load()).expect("there is no store");
    let (created, values) = (session.created(), record.values.clone());
    if session.insert("written", 1).is_err() {
        return;
    }
    let effects = closed(slot.close(200)).expect("it was used");
    let Some(token) = cookie_of(&effects) else {
        // It doesn't fit, or that is what was there before.
        assert!(effects.failure().is_some() || values.get("written").is_some_and(|json| json.get() == "1"));
        return;
    };
    let session = load(kind, token.as_bytes());
    let ends = created.checked_add(std::time::Duration::from_millis(record.lifetime));
    let has_ended = record.idle == 0 || ends.is_some_and(|ends| ends <= SystemTime::from(NOW));
    assert_eq!(session.is_new(), has_ended);
    if !has_ended {
        assert_eq!(session.get::<u64>("written").expect("it is a number"), Some(1));
        for (key, json) in values.iter().filter(|(key, _)| *key != "written") {
            let value = reading::decoded(json).map(Some);
            assert_eq!(session.get::<Value>(key).ok(), value, "nobody changed it");
        }
    }
}
