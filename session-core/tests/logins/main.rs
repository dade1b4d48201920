//! A changed password, the end of all sessions and the limit of a subject, each a thousand times against logins at the same
//! moment.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

#[path = "../common/mod.rs"]
mod common;
#[expect(dead_code, reason = "all at once is for stores that are slower to start")]
mod race;

use session_core::MemoryStore;

const ROUNDS: usize = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_session_made_under_the_old_password_outlives_the_change() {
    race::a_new_password(&MemoryStore::new(), ROUNDS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_cookie_session_made_under_the_old_password_outlives_the_change() {
    race::a_new_password_of_sessions_in_cookies(&MemoryStore::new(), ROUNDS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_login_that_was_answered_before_all_were_ended_is_dead() {
    race::the_end_of_all(&MemoryStore::new(), ROUNDS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cookie_login_that_was_answered_before_all_were_ended_is_dead() {
    race::the_end_of_all_in_cookies(&MemoryStore::new(), ROUNDS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn never_are_more_alive_than_the_limit_and_the_last_ones_are() {
    race::a_limit_that_ends_the_oldest(&MemoryStore::new(), ROUNDS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_is_refused_at_the_limit_gets_no_cookie() {
    race::a_limit_that_refuses(&MemoryStore::new(), ROUNDS).await;
}
