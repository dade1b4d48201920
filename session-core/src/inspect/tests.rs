//! Each reason is told, and the one that it is.

use super::*;
use crate::crypto::Mac;
use crate::memory::MemoryStore;
use crate::random::OsRandom;
use crate::token::context;

const NEW: &str = "8f1c5a09b7e34d62a0c9f8371be245d6013a7c4f9e82b56d70e1d3c4a5968b2f";
const OLD: &str = "c0ffee11223344556677889900aabbccddeeff0123456789abcdef9876543210";
const NOW: Timestamp = Timestamp::from_millis(1_793_000_000_000);

fn ring(text: &str) -> KeyRing {
    KeyRing::parse(text).unwrap()
}

fn inspector(keys: &str) -> Inspector {
    Inspector::new(&ring(keys), "shop", "__Host-id")
}

fn envelope(filling: usize) -> Envelope {
    let mut record = Record::new(crate::expiry::Expiry::default());
    record.subject = Some("ada".into());
    record.values_mut().insert("cart", "tea".repeat(filling));
    let [id, first] = [7, 8].map(|byte| crate::id::SessionId::from_verified([byte; 32]));
    Envelope { times: Times::begin(NOW, record.expiry), id, record, first: Some(Box::new(first)) }
}

/// A token as the application makes it under this ring.
fn make(purpose: Purpose, keys: &str, filling: usize) -> String {
    let tokens = Tokens::new(&ring(keys), purpose, "shop", "__Host-id");
    match purpose {
        Purpose::Reference => tokens.reference(&envelope(filling).id),
        _ => tokens.whole(&envelope(filling), &OsRandom).unwrap(),
    }
}

#[test]
fn an_authentic_cookie_is_told_with_the_secret_that_made_it() {
    let (old, both) = (OLD, format!("{NEW},{OLD}"));
    for purpose in Purpose::ALL {
        let inspected = inspector(&both).inspect(&make(purpose, old, 1)).unwrap();
        assert_eq!((inspected.purpose, inspected.place), (purpose, 1));
        assert_eq!(inspected.key, ring(old).key_ids()[0]);
        assert_eq!(inspected.handle, Handle(envelope(1).id.store_key()));
        let whole = inspected.session().map(|(record, times)| (record.clone(), times));
        let expected = (purpose != Purpose::Reference).then(|| (envelope(1).record, envelope(1).times));
        assert_eq!(whole, expected);
    }
}

#[test]
fn logs_name_a_stored_session_by_its_id_and_one_in_its_cookie_by_its_first() {
    for (purpose, id) in [(Purpose::Reference, envelope(1).id), (Purpose::Sealed, envelope(1).first().clone())] {
        let inspected = inspector(NEW).inspect(&make(purpose, NEW, 1)).unwrap();
        assert_eq!(inspected.fingerprint, Fingerprints::new(&ring(NEW)).of(&id.store_key()));
    }
    let handle = Handle(envelope(1).id.store_key());
    assert_eq!(inspector(NEW).fingerprint(&handle), Fingerprints::new(&ring(NEW)).of(&handle.0));
}

#[test]
fn a_secret_that_is_not_in_the_ring_is_named() {
    for purpose in Purpose::ALL {
        let refused = inspector(NEW).inspect(&make(purpose, OLD, 1)).unwrap_err();
        assert_eq!(refused, Refused::UnknownKey { purpose, key: ring(OLD).key_ids()[0] });
    }
}

#[test]
fn another_application_another_name_and_a_changed_byte_are_not_authentic() {
    let key = ring(NEW).key_ids()[0];
    for purpose in Purpose::ALL {
        let token = make(purpose, NEW, 1);
        let mut changed = token.clone();
        let place = token.len() - 4..token.len() - 3;
        let other = if &token[place.clone()] == "A" { "E" } else { "A" };
        changed.replace_range(place, other);
        let others = [
            (Inspector::new(&ring(NEW), "", "__Host-id"), &token),
            (Inspector::new(&ring(NEW), "shop", "id"), &token),
            (inspector(NEW), &changed),
        ];
        for (inspector, token) in others {
            assert_eq!(inspector.inspect(token).unwrap_err(), Refused::NotAuthentic { purpose, key });
        }
    }
}

#[test]
fn what_is_no_token_is_told_apart_by_what_it_lacks() {
    let [reference, sealed, signed] = Purpose::ALL.map(|purpose| make(purpose, NEW, 1));
    let key = ring(NEW).key_ids()[0];
    let trailer = &signed[signed.find('.').unwrap() + 1..];
    let cases = [
        (String::new(), Refused::Empty),
        ("hello world".to_owned(), Refused::NotOurs),
        ("AAAA".to_owned(), Refused::NotOurs),
        ("AQ".to_owned(), Refused::NotOurs),
        ("é".to_owned(), Refused::NotOurs),
        ("A".repeat(LONGEST + 1), Refused::TooLong),
        (reference[..88].to_owned(), Refused::Malformed { purpose: Purpose::Reference }),
        (format!("{reference}AAAA"), Refused::Malformed { purpose: Purpose::Reference }),
        (trailer.to_owned(), Refused::Malformed { purpose: Purpose::Signed }),
        (format!("AAAA.{sealed}"), Refused::Malformed { purpose: Purpose::Sealed }),
        (sealed[..48].to_owned(), Refused::NotAuthentic { purpose: Purpose::Sealed, key }),
    ];
    for (value, refused) in cases {
        assert_eq!(inspector(NEW).inspect(&value).unwrap_err(), refused, "{value}");
    }
}

#[test]
fn an_authentic_text_that_is_no_session_is_of_another_version() {
    let ring = ring(NEW);
    let (secret, purpose, json) = (ring.current(), Purpose::Signed, br#"{"format":9}"#);
    let fields: [&[u8]; 6] = [b"session-core", &[3], b"signed", b"shop", b"__Host-id", &secret.id()];
    let tag = Mac::new(&secret.derive("signed")).with(&context(&fields)).with(json).tag();
    let trailer = [&[3][..], &secret.id(), &tag].concat();
    let token = format!("{}.{}", URL_SAFE_NO_PAD.encode(json), URL_SAFE_NO_PAD.encode(trailer));
    let refused = inspector(NEW).inspect(&token).unwrap_err();
    assert_eq!(refused, Refused::Unreadable { purpose, key: ring.key_ids()[0] });
}

#[test]
fn a_whole_header_is_read_as_a_request_is() {
    let tokens = Purpose::ALL.map(|purpose| make(purpose, NEW, 1));
    let [reference, sealed, _] = &tokens;
    let header =
        format!("a=b; __Host-id={reference}; __Host-idx=1; __Host-id={sealed}; __Host-id=; __Host-id={sealed}");
    let found = inspector(NEW).inspect_header(&header);
    let found: Vec<_> = found.into_iter().map(|found| found.map(|inspected| inspected.purpose)).collect();
    assert_eq!(found, [Ok(Purpose::Reference), Ok(Purpose::Sealed), Err(Refused::Empty)]);
    assert!(inspector(NEW).inspect_header("a=b").is_empty());
}

#[test]
fn a_session_in_several_cookies_is_put_together() {
    let token = make(Purpose::Sealed, NEW, 2_000);
    let attributes = Attributes { chunked: true, ..Attributes::default() };
    let lines = attributes.set_all(&token, 60, false, &OsRandom).unwrap();
    let pairs: Vec<_> = lines.iter().map(|line| line.split(';').next().unwrap()).collect();
    assert!(pairs.len() > 1);
    let whole = inspector(NEW).inspect_header(&pairs.join("; "));
    assert_eq!(whole[0].as_ref().unwrap().session().unwrap().0, &envelope(2_000).record);
    let first = inspector(NEW).inspect_header(pairs[0]);
    assert_eq!(first[0].as_ref().unwrap_err(), &Refused::Incomplete);
    let value = pairs[1].split_once('=').unwrap().1;
    assert_eq!(inspector(NEW).inspect(value).unwrap_err(), Refused::Incomplete);
}

#[tokio::test]
async fn a_revoked_session_is_known_by_its_id_its_descent_and_its_subject() {
    let inspected = inspector(NEW).inspect(&make(Purpose::Signed, NEW, 1)).unwrap();
    let (keep, envelope) = (std::time::Duration::from_secs(60), envelope(1));
    for key in [envelope.id.store_key(), envelope.first().descent_key()] {
        let store = MemoryStore::new();
        assert!(!inspected.is_revoked(&store).await.unwrap());
        store.revoke(&key, keep).await.unwrap();
        assert!(inspected.is_revoked(&store).await.unwrap());
    }
    let store = MemoryStore::new();
    store.revoke_all_of("ada", NOW, keep).await.unwrap();
    assert!(inspected.is_revoked(&store).await.unwrap());
    let reference = inspector(NEW).inspect(&make(Purpose::Reference, NEW, 1)).unwrap();
    assert!(!reference.is_revoked(&store).await.unwrap());
    assert_eq!(reference.validity(NOW), Validity::InStore);
}

#[test]
fn nothing_of_a_session_prints() {
    let inspected = inspector(NEW).inspect(&make(Purpose::Signed, NEW, 1)).unwrap();
    let shown = format!("{inspected:?} {:?}", inspector(NEW));
    assert!(!shown.contains("ada") && !shown.contains("tea") && !shown.contains(NEW), "{shown}");
}
