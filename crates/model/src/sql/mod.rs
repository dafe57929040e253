//! SQL text for both databases, made from the plan: identifiers quoted in one place, types, DDL, triggers.

mod audit;
mod ddl;
mod marks;
mod message_steps;
mod messages;
pub mod query;
mod search;
mod settle;
mod transitions;

pub use audit::{AUDIT_PREFIX, STATE_PREFIX, audit_triggers, create_audit};
pub use ddl::{
    Dialect, create_index, create_order_index, create_table, foreign_key, index_order, primary_key, quote,
    text_literal,
};
pub use marks::{ANY_KEY, MARKING_VIEW, mark_everything};
pub use message_steps::{
    DROP_MESSAGES, KEEP_MESSAGE, MAKE_ROOM, MessageStatement, PURGE_MESSAGE, RESTORE_MESSAGE, create_messages,
};
pub use messages::{MESSAGES_PREFIX, enter_messages};
pub use search::{
    SEARCH_META, SEARCH_PREFIX, SEARCH_STATE, SearchIndex, is_kept_by_writes, search_indexes, search_meta,
    settle_search,
};
pub use settle::{TRIGGER_PREFIX, Trigger, settle_triggers, triggers};
pub use transitions::{REFUSE_TRANSITION, TRANSITION_PREFIX, transition_triggers};
