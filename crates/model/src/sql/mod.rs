//! SQL text for both databases, made from the plan: identifiers quoted in one place, types, DDL, triggers.

mod audit;
mod ddl;
mod transitions;

pub use audit::{AUDIT_PREFIX, STATE_PREFIX, audit_triggers, create_audit};
pub use ddl::{Dialect, create_index, create_table, foreign_key, primary_key, quote, text_literal};
pub use transitions::{REFUSE_TRANSITION, TRANSITION_PREFIX, Trigger, settle_triggers, transition_triggers};
