//! The conformance suite of stores: one named test for each promise of [`repot_core::store::Store`].
//! `repot_testkit::conformance!(memory, make())` makes them for one store; `make` gives a fresh, empty [`Subject`]
//! over [`layout`] each time, or `None` where [`crate::postgres::postgres`] says that the server is missing.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a promise that is broken ends its test")]

mod changes;
mod concurrency;
mod containers;
mod demands;
mod keys;
mod ledger;
mod listing;
mod lossless;
mod model_rules;
mod parts;
mod places;
mod preconditions;
mod random;
mod reads;
mod rules;
mod subject;
mod tenants;
mod tenants_random;
mod units;

pub use changes::*;
pub use concurrency::*;
pub use containers::*;
pub use demands::*;
pub use keys::*;
pub use ledger::*;
pub use listing::*;
pub use lossless::*;
pub use model_rules::*;
pub use parts::*;
pub use places::*;
pub use preconditions::*;
pub use random::*;
pub use reads::*;
pub use rules::*;
pub use subject::{DOCUMENT_BYTES_MAX, Subject, layout, model, run};
pub use tenants::*;
pub use tenants_random::random_calls_never_meet_another_tenant;
pub use units::*;

/// Makes one test for each promise, in a module of this name.
#[macro_export]
macro_rules! conformance {
    ($name:ident, $make:expr) => {
        mod $name {
            $crate::conformance_tests! { $make;
                an_absent_document_is_none
                an_unknown_collection_is_not_found
                what_was_put_is_read_back
                a_body_can_be_no_json
                a_document_that_must_be_there
                create_succeeds_once
                replace_needs_the_state_that_is_there
                replace_of_what_is_not_there_conflicts
                a_conflict_names_the_state_and_changes_nothing
                delete_needs_the_state_that_is_there
                delete_of_what_is_not_there_says_so
                an_absent_document_cannot_be_deleted_as_absent
                etags_tell_states_apart
                a_unit_of_work_is_all_or_nothing
                an_empty_unit_of_work_does_nothing
                facts_are_noted_or_refused
                a_unit_is_not_done_after_its_deadline
                pages_hold_everything_once
                a_listing_goes_on_when_documents_vanish
                a_listing_stays_in_its_collection
                tenants_are_named_exactly_where_they_are
                a_tenant_sees_and_changes_its_own_only
                the_same_key_in_two_tenants
                a_hostile_tenant_finds_nothing
                a_body_cannot_claim_another_tenant
                random_calls_never_meet_another_tenant
                awkward_documents_come_back_byte_for_byte
                hostile_keys_are_held_or_refused
                hostile_keys_of_several_parts_stay_apart
                what_breaks_the_model_is_refused
                another_key_in_the_body_is_refused
                too_large_is_refused_before_anything_happens
                documents_without_a_key_of_their_own_are_refused_plainly
                a_document_is_reached_by_its_place
                a_place_that_there_is_not_is_refused
                a_key_that_is_no_place_is_found_or_refused
                places_of_a_tenant_are_its_own
                one_document_with_two_names_loses_nothing
                documents_of_a_shared_file_are_read_and_written
                writers_of_a_shared_file_do_not_conflict
                a_unit_of_work_in_a_shared_file_is_all_or_nothing
                what_cannot_stand_in_a_shared_file_is_refused
                a_shared_file_is_of_its_tenant
                pages_of_shared_files_hold_everything_once
                a_shared_file_that_was_emptied_is_filled_again
                many_writers_of_a_shared_file_lose_nothing
                only_the_changes_of_the_state_machine_pass
                states_hold_among_many_writers
                rows_inside_documents_have_states_too
                what_a_new_document_lacks_is_filled_in
                what_is_there_already_is_not_filled_in
                times_of_writes_follow_each_change
                all_problems_are_named_at_once
                a_required_etag_is_demanded
                a_part_is_read_and_changed
                patches_change_what_they_name
                a_wrong_change_changes_nothing
                a_change_needs_its_document
                appends_by_many_lose_nothing
                appends_of_64_writers_lose_nothing
                one_of_many_creates_wins
                conditional_increments_lose_nothing
                updates_by_many_lose_nothing
                an_update_makes_changes_or_leaves
                an_update_that_fails_changes_nothing
                readers_see_whole_states
                random_operations_give_what_memory_gives
            }
        }
    };
}

/// One test for each name.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_tests {
    ($make:expr; $($promise:ident)*) => {
        $(
            #[test]
            fn $promise() {
                $crate::conformance::run(($make).into(), $crate::conformance::$promise);
            }
        )*
    };
}
