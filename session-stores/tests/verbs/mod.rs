//! Every operation of a store by its verb.

use std::time::Duration;

use session_core::{Expiry, Record, SessionStore, StoreError, StoreKey, SubjectLimit, Timestamp, Verb, Version};

const MINUTE: Duration = Duration::from_secs(60);

/// Asks for `verb`.
pub(crate) async fn ask(store: &impl SessionStore, verb: Verb) -> Result<(), StoreError> {
    let (a, b) = (StoreKey::from_bytes([1; 32]), StoreKey::from_bytes([2; 32]));
    let (record, none) = (Record::new(Expiry::default()), SubjectLimit::None);
    let now = Timestamp::from_millis(0);
    match verb {
        Verb::Load => store.load(&a).await.map(drop),
        Verb::Create => store.create(&a, &record, none).await.map(drop),
        Verb::Update => store.update(&a, &record, Version::FIRST).await.map(drop),
        Verb::Touch => store.touch(&a).await.map(drop),
        Verb::Rename => store.rename(&a, &b, &record, Version::FIRST, none).await.map(drop),
        Verb::Delete => store.delete(&a).await.map(drop),
        Verb::SessionsOf => store.sessions_of("ada", 1).await.map(drop),
        Verb::DeleteOneOf => store.delete_one_of("ada", &a).await.map(drop),
        Verb::DeleteAllOf => store.delete_all_of("ada", None).await.map(drop),
        Verb::Sweep => store.sweep(1).await.map(drop),
        Verb::Revoke => store.revoke(&a, MINUTE).await.map(drop),
        Verb::RevokeAllOf => store.revoke_all_of("ada", now, MINUTE).await,
        Verb::IsRevoked => store.is_revoked(&[a], None, now).await.map(drop),
        _ => unreachable!("a verb that this test doesn't know"),
    }
}
