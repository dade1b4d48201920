//! The only parser of the `Cookie` header, against a slow one; then which session such a header leads to.

use std::sync::LazyLock;
use std::time::Duration;

use session_core::{Event, ManualClock, MemoryStore, SessionManager, fuzzing};

use crate::play::{self, Counting, Events, NAME, NOW, Request, at_once, begin, keys};
use crate::reading;

/// No more are tried.
const MOST: usize = 4;

/// The lines of a request, with a line feed between them. `@1` to `@5` stand for the cookies of live sessions, `@6` for that of
/// one that has ended, and `@0` for the first one with another tag.
pub fn cookie(bytes: &[u8]) {
    let text = expanded(bytes);
    let lines: Vec<_> = text.split(|byte| *byte == b'\n').collect();
    the_values_are_those_of_the_slow_parser(&lines);
    chunks_join_as_by_the_slow_parser(&lines);
    the_session_is_the_only_live_one(&lines);
}

fn the_values_are_those_of_the_slow_parser(lines: &[&[u8]]) {
    let is_well_formed = |value: &[u8]| value.first().is_some_and(u8::is_ascii_alphanumeric);
    for name in [NAME, "id", "a"] {
        let (found, malformed) = fuzzing::candidates(lines, name, is_well_formed);
        let (expected, others): (Vec<_>, Vec<_>) =
            reading::values(lines, name).into_iter().partition(|value| is_well_formed(value));
        if expected.len() > MOST {
            // More are not looked at, so neither is what comes behind them.
            assert_eq!(found, expected[..=MOST], "too many");
        } else {
            assert_eq!(found, expected);
            assert_eq!(malformed, !others.is_empty());
        }
    }
}

/// Place, count, tag and part of one of several cookies.
fn chunk(value: &[u8]) -> Option<(usize, usize, &[u8], &[u8])> {
    if value.len() < 11 || value.len() > 4096 || value[0] != b'~' || reading::base64url(&value[3..11]).is_none() {
        return None;
    }
    let place = b"0123".iter().position(|digit| *digit == value[1])?;
    let count = b"01234".iter().position(|digit| *digit == value[2])?;
    (count >= 2 && place < count).then_some((place, count, &value[3..11], &value[11..]))
}

fn chunks_join_as_by_the_slow_parser(lines: &[&[u8]]) {
    for value in reading::values(lines, NAME) {
        let joined = fuzzing::join(lines, NAME, &value);
        let Some((place, count, tag, part)) = chunk(&value) else {
            assert_eq!(joined.as_deref(), Some(&value[..]), "what is no chunk stands for itself");
            continue;
        };
        if place != 0 {
            continue;
        }
        let mut expected = Some(part.to_vec());
        for place in 1..count {
            let mut parts = reading::values(lines, &format!("{NAME}-{place}"));
            parts.retain(|value| chunk(value).is_some_and(|it| (it.0, it.1, it.2) == (place, count, tag)));
            match (&mut expected, &parts[..]) {
                (Some(whole), [only]) => whole.extend_from_slice(&only[11..]),
                _ => expected = None,
            }
        }
        assert_eq!(joined, expected);
    }
}

struct World {
    manager: SessionManager,
    events: Events,
    tokens: Vec<String>,
    forged: String,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let events = Events::default();
    let store = MemoryStore::new().clock(ManualClock::new(NOW));
    let manager = SessionManager::stored(store, keys())
        .clock(ManualClock::new(NOW))
        .random(Counting::default())
        .observer(events.clone())
        .touch_every(Duration::from_secs(60))
        .build()
        .expect("these settings fit");
    let tokens: Vec<_> = (1..=6).map(|n| begin(&manager, n)).collect();
    let line = format!("{NAME}={}", tokens[5]);
    let slot = manager.open(&Request(&[line.as_bytes()]));
    at_once(slot.load()).expect("memory doesn't fail").destroy().expect("it is open");
    drop(play::closed(slot.close(200)));
    events.take();
    let mut forged = tokens[0].clone().into_bytes();
    forged[80] = if forged[80] == b'A' { b'B' } else { b'A' };
    World { manager, events, tokens, forged: String::from_utf8(forged).expect("base64 is text") }
});

fn expanded(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut rest = bytes.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        match rest.peek() {
            Some(digit @ b'0'..=b'6') if byte == b'@' => {
                let place = usize::from(digit - b'0');
                let token = place.checked_sub(1).map_or(&WORLD.forged, |place| &WORLD.tokens[place]);
                text.extend_from_slice(token.as_bytes());
                rest.next();
            }
            _ => text.push(byte),
        }
    }
    text
}

fn the_session_is_the_only_live_one(lines: &[&[u8]]) {
    let World { manager, events, tokens, .. } = &*WORLD;
    // Format and key id, by which a token is known before it is verified. Whether all of it is base64 shows then.
    let head = &tokens[0].as_bytes()[..6];
    let is_well_formed = |value: &[u8]| value.len() == 92 && value.starts_with(head);
    let (candidates, others): (Vec<_>, Vec<_>) =
        reading::values(lines, NAME).into_iter().partition(|value| is_well_formed(value));
    let place = |value: &Vec<u8>| tokens.iter().position(|token| token.as_bytes() == &value[..]);
    let authentic: Vec<_> = candidates.iter().filter_map(place).collect();
    let live: Vec<_> = authentic.iter().filter(|place| **place < 5).collect();

    let mut expected = Vec::new();
    let mut session = None;
    if candidates.len() > MOST {
        expected.push(Event::Ambiguous);
    } else {
        if live.len() > 1 {
            expected.push(Event::Ambiguous);
        }
        if !others.is_empty() || authentic.len() < candidates.len() {
            expected.push(Event::Forged);
        }
        if authentic.len() > live.len() {
            expected.push(Event::Unknown);
        }
        if let [only] = live[..] {
            session = Some(*only as u64 + 1);
        }
    }
    let loaded = at_once(manager.open(&Request(lines)).load()).expect("memory doesn't fail");
    assert_eq!(loaded.get::<u64>("n").expect("it is a number"), session);
    assert_eq!(loaded.is_new(), session.is_none());
    assert_eq!(events.take(), expected);
}
