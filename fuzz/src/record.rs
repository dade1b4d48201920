//! Records: what a store keeps of a session, whoever wrote it.

use serde_json::Value;
use session_core::{
    Encrypted, Loaded, ManualClock, Record, RecordError, SessionManager, SessionStore as _, StoreKey, Times, Version,
};

use crate::play::{Answering, Counting, NAME, NOW, Request, at_once, begin, closed, keys, use_it};
use crate::reading::{self, Reading, Verdict};

/// The text of a record.
pub fn record(json: &[u8]) {
    let read = Record::from_json(json);
    match (&read, reading::record(json)) {
        (Err(_), Verdict::No | Verdict::Perhaps(_)) => {}
        (Ok(record), Verdict::Yes(expected) | Verdict::Perhaps(expected)) => is(record, &expected),
        (read, expected) => panic!("{read:?} instead of {expected:?}"),
    }
    if let Some(format) = reading::format(json) {
        let other = (format != Record::FORMAT).then_some(format);
        let told = match read {
            Err(RecordError::Format(format)) => Some(format),
            _ => None,
        };
        assert_eq!(told, other, "a record of another version has to be told as one");
    }
    if let Ok(record) = read {
        comes_back_as_it_was(&record);
        opens_no_encrypted_store(&record);
        serves(Loaded { times: Times::begin(NOW, record.expiry), version: Version::FIRST, now: NOW, record });
    }
}

fn is(record: &Record, expected: &Reading) {
    assert_eq!(record.subject.as_deref(), expected.subject.as_deref());
    assert_eq!(record.expiry.idle.as_millis(), expected.idle.into());
    assert_eq!(record.expiry.lifetime.as_millis(), expected.lifetime.into());
    assert!(record.values().keys().eq(expected.values.keys()), "{:?}", expected.values);
    for (key, json) in &expected.values {
        let value: Option<Value> = serde_json::from_str(json.get()).ok();
        assert_eq!(record.values().get(key), value, "the value of {key:?}");
    }
}

fn comes_back_as_it_was(record: &Record) {
    let json = record.to_json();
    assert_eq!(record.size(), json.len());
    let again = Record::from_json(&json).expect("what was written can be read");
    assert!(*record == again, "{} was written, {} came back", text(record), text(&again));
    assert!(matches!(reading::record(&json), Verdict::Yes(_) | Verdict::Perhaps(_)));
}

fn text(record: &Record) -> String {
    String::from_utf8_lossy(&record.to_json()).into_owned()
}

/// Nobody without the secret makes a row that opens.
fn opens_no_encrypted_store(record: &Record) {
    let loaded =
        Loaded { times: Times::begin(NOW, record.expiry), version: Version::FIRST, now: NOW, record: record.clone() };
    let store = Encrypted::new(Answering::new(loaded), keys());
    let refused = at_once(store.load(&StoreKey::from_bytes([1; 32])));
    assert!(refused.expect_err("it was never sealed").is_unreadable());
}

/// A request finds this in the store, uses it, and writes.
pub fn serves(loaded: Loaded) {
    let store = Answering::new(loaded.clone());
    let manager = SessionManager::stored(store.clone(), keys()).clock(ManualClock::new(NOW));
    let manager = manager.random(Counting::default()).build().expect("these settings fit");
    let line = format!("{NAME}={}", begin(&manager, 1));
    *store.0.lock().expect("nobody panics under this lock") = Some(loaded.clone());
    let lines = [line.as_bytes()];

    let slot = manager.open(&Request(&lines));
    let session = at_once(slot.load()).expect("the store didn't fail");
    assert!(!session.is_new());
    assert_eq!(session.subject().as_deref(), loaded.record.subject.as_deref());
    let before: Vec<_> = session.keys();
    assert!(before.iter().eq(loaded.record.values().keys()));
    use_it(&session);
    let effects = session.insert("written", 1).map(|()| closed(slot.close(200)).expect("it was used"));
    // What is too large already can't be written, and stays.
    let saved = effects.is_ok_and(|effects| effects.failure().is_none());

    let after = store.loaded().expect("nobody ended it").record;
    for (key, json) in loaded.record.values().iter().filter(|(key, _)| *key != "written") {
        assert_eq!(after.values().json(key), Some(json), "nobody changed it");
    }
    assert_eq!(after.subject, loaded.record.subject);
    assert_eq!(saved, after.values().json("written") == Some("1") || !saved && after == loaded.record);
    comes_back_as_it_was(&after);

    let slot = manager.open(&Request(&lines));
    let session = at_once(slot.load()).expect("the store didn't fail");
    let _ = session.login("ada");
    drop(closed(slot.close(200)));
}
