//! The store suite on encrypted stores.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

use session_core::{Encrypted, KeyRing, MemoryStore, Secret};
use session_testing::store;

fn secret() -> Secret {
    Secret::random().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_store_keeps_the_contract() {
    let keys = KeyRing::new(secret());
    store::suite(|| async { Encrypted::new(MemoryStore::new(), keys.clone()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_does_one_with_retired_secrets() {
    let keys = KeyRing::new(secret()).retired(secret()).retired(secret());
    store::suite(|| async { Encrypted::new(MemoryStore::new(), keys.clone()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_encrypted_store_may_stand_on_another() {
    let (inner, outer) = (KeyRing::new(secret()), KeyRing::new(secret()));
    store::suite(|| async { Encrypted::new(Encrypted::new(MemoryStore::new(), inner.clone()), outer.clone()) }).await;
}
