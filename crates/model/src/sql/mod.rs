//! SQL text for both databases, made from the plan: identifiers quoted in one place, types, DDL, triggers.

mod ddl;
pub mod query;
mod search;
mod transitions;

pub use ddl::{Dialect, create_index, create_table, foreign_key, primary_key, quote, text_literal};
pub use search::{
    SEARCH_META, SEARCH_PREFIX, SEARCH_STATE, SearchIndex, is_kept_by_writes, search_indexes, search_meta,
    settle_search,
};
pub use transitions::{REFUSE_TRANSITION, TRANSITION_PREFIX, Trigger, settle_triggers, transition_triggers};
