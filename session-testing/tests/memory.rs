//! The store suite on the memory store, and on stores that are broken on purpose.

mod simple;

use std::sync::Arc;

use session_core::{MemoryStore, SessionStore};
use session_testing::store;

use crate::simple::{Fault, Simple};

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_store_keeps_the_contract() {
    store::suite(|| async { MemoryStore::new() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_behind_a_pointer_keeps_the_contract() {
    store::suite(|| async { Arc::new(MemoryStore::new()) as Arc<dyn SessionStore> }).await;
}

#[tokio::test]
async fn one_thread_is_enough() {
    store::suite(|| async { MemoryStore::new() }).await;
}

#[test]
fn no_sentence_got_lost() {
    assert_eq!(store::SENTENCES.len(), 83);
}

#[tokio::test(flavor = "multi_thread")]
#[should_panic(expected = "updating_a_missing_record_makes_nothing")]
async fn a_suite_that_found_something_says_what() {
    store::suite(|| async { Simple::new(Fault::UpdateCreates) }).await;
}

/// All sentences on a store with this fault, in a runtime of its own.
fn failures(fault: Fault) -> Vec<&'static str> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(store::failures(|| async { Simple::new(fault) }))
}

/// Each fault, and a sentence that has to notice it.
#[test]
fn every_fault_is_found() {
    assert_eq!(failures(Fault::None), [""; 0]);
    let expected = [
        (Fault::CreateOverwrites, "a_taken_key_is_refused_and_left_as_it_is"),
        (Fault::UpdateCreates, "updating_a_deleted_record_makes_nothing"),
        (Fault::UpdateIsBlind, "of_two_writers_one_wins_and_the_other_knows_it"),
        (Fault::UpdateIsTorn, "fifty_writers_of_one_record_lose_nothing"),
        (Fault::UpdateBringsBack, "nothing_brings_back_what_was_deleted"),
        (Fault::TouchRewritesOldData, "touching_after_an_update_keeps_the_new_data"),
        (Fault::TouchCountsAsChange, "touching_keeps_everything_but_the_times"),
        (Fault::TouchStretchesTheLifetime, "no_deadline_moves_beyond_the_lifetime"),
        (Fault::TouchDoesNothing, "what_is_not_used_expires_and_what_is_touched_does_not"),
        (Fault::RenameCopies, "renaming_moves_the_record_in_one_step"),
        (Fault::RenameHasTwoSteps, "a_rename_has_no_moment_with_both_or_neither"),
        (Fault::RenameOverwrites, "renaming_onto_a_taken_key_is_an_error_and_both_stay"),
        (Fault::RenameBeginsAnew, "renaming_moves_the_record_in_one_step"),
        (Fault::DeleteForgetsRenames, "deleting_by_a_former_key_ends_the_session"),
        (Fault::DeleteFailsTwice, "deleting_twice_is_fine_and_takes_no_other"),
        (Fault::NothingExpires, "an_expired_record_is_absent_in_every_verb"),
        (Fault::SweepsTooMuch, "sweeping_takes_the_expired_within_its_limit_and_leaves_the_living"),
        (Fault::SweepsTheLiving, "sweeping_takes_the_expired_within_its_limit_and_leaves_the_living"),
        (Fault::ExpiredKeysStayTaken, "an_expired_key_can_be_created_anew"),
        (Fault::CutsText, "every_record_comes_back_equal"),
        (Fault::RefusesLargeRecords, "records_of_a_megabyte_come_back_equal"),
        (Fault::ForgetsTheEndOfTime, "a_very_long_life_is_a_life"),
    ];
    // Side by side, because each of them mostly waits.
    std::thread::scope(|scope| {
        let threads = expected.map(|(fault, sentence)| (fault, sentence, scope.spawn(move || failures(fault))));
        for (fault, sentence, thread) in threads {
            let failed = thread.join().unwrap();
            assert!(failed.contains(&sentence), "{fault:?} was found by {failed:?} only");
        }
    });
}
