//! The store suite on the memory store, and on stores that are broken on purpose.

mod simple;

use std::collections::{HashMap, HashSet};
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

#[tokio::test(flavor = "multi_thread")]
#[should_panic(expected = "updating_a_missing_record_makes_nothing")]
async fn a_suite_that_found_something_says_what() {
    store::suite(|| async { Simple::new(Fault::UpdateCreates) }).await;
}

#[test]
fn no_sentence_got_lost() {
    assert_eq!(FINDS.map(|(sentence, _)| sentence), store::SENTENCES);
}

/// All sentences on a store with this fault, in a runtime of its own.
fn failures(fault: Fault) -> Vec<&'static str> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(store::failures(|| async { Simple::new(fault) }))
}

#[test]
fn every_sentence_finds_its_faults() {
    assert_eq!(failures(Fault::None), [""; 0]);
    // Side by side, because each of them mostly waits.
    std::thread::scope(|scope| {
        let faults: HashSet<_> = FINDS.iter().flat_map(|(_, faults)| *faults).copied().collect();
        let threads: Vec<_> = faults.into_iter().map(|fault| (fault, scope.spawn(move || failures(fault)))).collect();
        let failed: HashMap<_, _> =
            threads.into_iter().map(|(fault, thread)| (fault, thread.join().unwrap())).collect();
        for (sentence, faults) in FINDS {
            for fault in faults {
                assert!(failed[fault].contains(&sentence), "{sentence} didn't find {fault:?}");
            }
        }
    });
}

/// Each sentence, and what it has to find.
const FINDS: [(&str, &[Fault]); 92] = [
    ("what_is_absent_is_absent_in_every_verb", &[Fault::RenameCreates]),
    ("what_was_created_is_loaded", &[Fault::ForgetsEverything]),
    ("a_taken_key_is_refused_and_left_as_it_is", &[Fault::CreateOverwrites]),
    ("of_two_writers_one_wins_and_the_other_knows_it", &[Fault::UpdateIsBlind]),
    ("updating_a_missing_record_makes_nothing", &[Fault::UpdateCreates]),
    ("updating_a_deleted_record_makes_nothing", &[Fault::UpdateCreates]),
    ("touching_keeps_everything_but_the_times", &[Fault::TouchCountsAsChange]),
    ("touching_after_an_update_keeps_the_new_data", &[Fault::TouchRewritesOldData]),
    ("touching_a_missing_record_makes_nothing", &[Fault::TouchCreates]),
    ("renaming_moves_the_record_in_one_step", &[Fault::RenameBeginsAnew]),
    ("renaming_on_a_conflict_changes_nothing", &[Fault::RenameIsBlind]),
    ("renaming_a_missing_record_makes_nothing", &[Fault::RenameCreates]),
    ("renaming_onto_a_taken_key_is_an_error_and_both_stay", &[Fault::RenameOverwrites]),
    ("deleting_twice_is_fine_and_takes_no_other", &[Fault::DeleteFailsTwice]),
    ("deleting_by_a_former_key_ends_the_session", &[Fault::DeleteForgetsRenames]),
    ("deleting_says_whether_it_ended_a_live_session", &[Fault::DeleteAlwaysSaysYes]),
    ("a_deleted_key_can_be_created_again", &[Fault::ForgetsEverything]),
    ("every_record_comes_back_equal", &[Fault::CutsText]),
    ("records_of_a_megabyte_come_back_equal", &[Fault::RefusesLargeRecords]),
    ("a_record_is_dated_by_the_clock_of_the_store", &[Fault::ClockStandsStill, Fault::TimesAreRounded]),
    ("every_write_moves_the_idle_deadline", &[Fault::UpdateKeepsTheDeadline]),
    ("no_deadline_moves_beyond_the_lifetime", &[Fault::TouchStretchesTheLifetime]),
    ("an_expired_record_is_absent_in_every_verb", &[Fault::NothingExpires]),
    ("an_expired_key_can_be_created_anew", &[Fault::ExpiredKeysStayTaken]),
    ("what_is_not_used_expires_and_what_is_touched_does_not", &[Fault::TouchDoesNothing]),
    ("the_lifetime_ends_what_is_touched", &[Fault::TouchStretchesTheLifetime]),
    ("a_very_long_life_is_a_life", &[Fault::ForgetsTheEndOfTime]),
    (
        "sweeping_takes_the_expired_within_its_limit_and_leaves_the_living",
        &[Fault::SweepsTooMuch, Fault::SweepsTheLiving],
    ),
    ("sweeping_spares_a_key_that_was_created_anew", &[Fault::SweepsTheLiving]),
    ("a_former_key_is_known_for_as_long_as_it_could_have_lived", &[Fault::FormerKeysDieEarly]),
    ("expired_sessions_do_not_count_for_a_limit", &[Fault::LimitCountsTheExpired]),
    ("expired_sessions_take_no_place_in_a_list", &[Fault::ListsTheExpired]),
    ("a_thousand_records_at_once_are_all_there", &[Fault::ForgetsEverything]),
    ("of_many_creators_of_one_key_one_wins", &[Fault::CreateIsTorn]),
    ("fifty_writers_of_one_record_lose_nothing", &[Fault::UpdateIsTorn]),
    ("nothing_brings_back_what_was_deleted", &[Fault::UpdateBringsBack]),
    ("of_many_renames_one_wins", &[Fault::RenameIsTorn]),
    ("a_rename_against_a_delete_leaves_neither_alive", &[Fault::RenameIsTorn]),
    ("a_rename_against_a_writer_loses_neither", &[Fault::UpdateBringsBack]),
    ("a_rename_has_no_moment_with_both_or_neither", &[Fault::RenameCopies, Fault::RenameHasTwoSteps]),
    ("a_session_that_is_renamed_is_listed_once_at_every_moment", &[Fault::RenameHasTwoSteps]),
    ("of_many_deletes_of_one_session_one_ended_it", &[Fault::DeleteIsTorn]),
    ("ending_all_leaves_no_session_that_began_before_however_often_it_is_renamed", &[Fault::DeleteAllIsTorn]),
    ("ending_all_against_logins_ends_a_session_or_leaves_it_and_says_so", &[Fault::DeleteAllHidesOnly]),
    ("whatever_happens_at_once_list_and_load_agree", &[Fault::UpdateLeavesTheList]),
    ("several_sweepers_take_each_expired_record_once_and_no_live_one", &[Fault::SweepCountsTwice]),
    ("a_sweep_takes_nothing_that_begins_anew_meanwhile", &[Fault::SweepIsTorn]),
    ("the_sessions_of_a_subject_are_listed_with_the_newest_first", &[Fault::ListsTheOldestFirst]),
    ("a_list_is_no_longer_than_asked_for", &[Fault::ListsEverything]),
    ("a_list_says_what_loading_says", &[Fault::ListsWhatWasCreated]),
    ("a_deleted_session_is_in_no_list", &[Fault::DeleteLeavesTheList]),
    ("a_renamed_session_is_listed_once_under_its_new_key", &[Fault::RenameLeavesTheList]),
    ("an_anonymous_session_is_in_nobodys_list", &[Fault::ListsNobodyAsEmpty]),
    ("a_session_moves_to_the_list_of_its_subject", &[Fault::UpdateLeavesTheList]),
    (
        "subjects_that_look_alike_are_kept_apart",
        &[Fault::SubjectsFoldCase, Fault::SubjectsArePatterns, Fault::SubjectsAreCut],
    ),
    ("one_session_of_a_subject_is_ended_by_its_key", &[Fault::DeleteOneForgetsRenames]),
    ("a_session_of_somebody_else_is_not_ended", &[Fault::DeleteOneTakesAnybodys, Fault::FormerKeysServeOnce]),
    ("all_sessions_of_a_subject_end_but_the_one_that_is_spared", &[Fault::DeleteAllSparesNobody]),
    ("a_former_key_spares_the_session_it_was_renamed_to", &[Fault::DeleteAllForgetsRenames]),
    ("nothing_brings_back_what_ended_with_all", &[Fault::DeleteAllHidesOnly]),
    ("hundreds_of_sessions_of_one_subject_are_listed_and_ended", &[Fault::ListsAHundred]),
    ("a_new_session_ends_the_oldest_beyond_the_limit", &[Fault::CreateIgnoresTheLimit]),
    ("a_login_ends_the_oldest_beyond_the_limit", &[Fault::RenameIgnoresTheLimit]),
    ("the_session_that_was_just_written_is_never_the_one_that_ends", &[Fault::LimitEndsTheWriter]),
    ("what_a_limit_ended_is_dead_in_every_verb", &[Fault::LimitHidesOnly]),
    ("a_lower_limit_ends_several_at_once", &[Fault::LimitEndsOne]),
    ("renewing_at_the_limit_ends_nobody_and_is_not_refused", &[Fault::LimitCountsTheRenamed]),
    ("a_full_subject_is_refused_and_nothing_changes", &[Fault::RefusalEndsTheVisitor]),
    ("a_write_that_does_not_happen_ends_nobody", &[Fault::LimitComesFirst]),
    ("a_limit_is_one_subjects_own", &[Fault::LimitIsEverybodys]),
    ("no_limit_counts_for_anonymous_sessions", &[Fault::LimitCountsNobody]),
    ("of_two_hundred_logins_at_once_none_slips_past_the_limit", &[Fault::LimitIsTorn]),
    ("of_many_logins_at_once_as_many_get_in_as_may", &[Fault::LimitIsTorn]),
    ("sessions_that_change_places_are_not_in_each_others_way", &[Fault::RenamesCollide]),
    ("a_revoked_key_is_revoked_and_no_other", &[Fault::RevokesNothing]),
    ("one_revoked_key_of_several_is_enough", &[Fault::RevokesTheFirstKeyOnly]),
    ("revoking_twice_is_no_news", &[Fault::RevokingIsAlwaysNews]),
    ("a_revocation_ends_with_its_time", &[Fault::RevocationsNeverEnd]),
    ("of_two_revocations_the_longer_time_counts", &[Fault::TheLastTimeCounts]),
    ("a_revocation_can_be_for_ever_and_for_no_time", &[Fault::ForgetsTheEndOfTime]),
    ("what_was_made_for_a_subject_is_revoked_up_to_a_moment", &[Fault::RevokesBeforeOnly]),
    ("the_later_moment_counts_in_whichever_order_it_is_told", &[Fault::TheLastMomentCounts]),
    ("revocations_of_subjects_that_look_alike_are_kept_apart", &[Fault::SubjectsFoldCase, Fault::SubjectsAreCut]),
    ("revocations_and_sessions_do_not_know_each_other", &[Fault::RevokingDeletes]),
    ("of_many_revocations_of_one_key_one_is_news", &[Fault::RevokeIsTorn]),
    ("of_many_revocations_of_a_subject_the_latest_moment_counts", &[Fault::RevokeAllIsTorn]),
    (
        "sweeping_leaves_the_revocations_that_hold_and_counts_none",
        &[Fault::SweepsRevocations, Fault::SweepCountsRevocations],
    ),
    ("whom_a_limit_ends_is_told_once_as_it_was", &[Fault::TellsNobody, Fault::TellsNoData, Fault::TellsTwice]),
    ("of_many_logins_at_once_whoever_a_limit_ends_is_told_once", &[Fault::TellsNobody, Fault::TellsTwice]),
    (
        "what_is_swept_is_told_once_as_it_was",
        &[Fault::TellsNobody, Fault::TellsNoData, Fault::TellsTwice, Fault::SweepCountsTwice],
    ),
    ("who_watches_no_longer_is_told_nothing", &[Fault::KeepsItsWitnesses]),
    ("finding_says_what_loading_says_and_no_more_than_is_so", &[Fault::FindsTheExpired, Fault::FindsTheAbsent]),
];
