//! How documents are read and written, the same on every store.

mod barrier;
mod bucket;
mod change;
mod changes;
mod contract;
mod deadline;
mod document;
mod etag;
mod history;
mod key;
mod layout;
mod ledger;
mod memory;
mod objects;
mod pending;
mod query;
mod quota;
mod rules;
mod shape;
mod sql;
mod trash;
mod vitals;
mod whereabouts;
mod whose;
mod within;
mod work_queue;

pub use barrier::Barrier;
pub use bucket::{BucketStore, Journal, Recovery};
pub use change::Change;
pub use changes::{ChangeEntry, ChangeFeed, ChangePage, ChangePosition, ChangeScope};
pub use contract::{Capabilities, Store, StoreExt};
pub use deadline::{check_deadline, deadline_over, unsettled};
pub use document::{Cursor, Document, DocumentMeta, Edit, Page, Receipt, UnitOfWork, Write, Written};
pub use etag::{ETag, Precondition, is_overtaken};
pub use history::{EntryId, Event, FieldChange, History, HistoryEntry, HistoryPage, HistoryQuery, Moment};
pub use key::{DocumentKey, Scope};
pub use layout::Layout;
pub use ledger::{
    FACT_BYTES_MAX, Fact, FactChange, FactDemand, FactDoubt, FactEdit, FactStep, FactValue, FactWhen, Ledger,
    LedgerExt, UNIT_FACTS_MAX, check_demands, check_fact_name, check_facts, no_ledger,
};
pub use memory::MemoryObjects;
pub use objects::{ObjectBody, ObjectMeta, ObjectPowers, Objects, millis};
pub use pending::{MADE_BYTES, Standing, Step, lay, made_ms};
pub use query::{
    Filter, Op, PAGE_ITEMS, PAGE_ITEMS_MAX, Query, QueryExplanation, QueryItem, QueryPage, QueryValue,
    Queryable, QueryableExt, SortBy,
};
pub use quota::{CounterState, Quotas, Spending};
pub use repot_json::patch::Pointer;
pub use rules::Proposal;
pub use shape::{KeyColumn, Shape};
pub use sql::{SqlNames, SqlPart, SqlQuestion, SqlSink, SqlStop, sql_text, sql_time_is_up};
pub use trash::{Deleted, DeletedPage, Trash};
pub use vitals::{Figures, LONG_TRANSACTION_S, PoolUsage, Recorded, Vitals};
pub use whereabouts::Whereabouts;
pub use whose::Whose;
pub use within::{Within, stuck, text_etag};
pub use work_queue::{
    CLAIMED_MOST, Claim, ClaimRequest, DeadLetter, DeadPage, Holding, LEASE_MAX_MS, LeaseToken, QueueStats,
    REASON_BYTES_MAX, Verdict, WorkQueue, lease_lost,
};
