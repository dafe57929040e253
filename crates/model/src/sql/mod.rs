//! SQL text for both databases, made from the plan: identifiers quoted in one place, types, DDL, triggers.

mod ddl;
pub mod query;
mod transitions;

pub use ddl::{Dialect, create_index, create_table, foreign_key, primary_key, quote, text_literal};
pub use transitions::{REFUSE_TRANSITION, TRANSITION_PREFIX, Trigger, settle_triggers, transition_triggers};
