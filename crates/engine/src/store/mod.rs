//! Documents in a database: the store over a [`repot_core::Target`]. Rows are the truth: what SQL changed in them is
//! laid over the text when the document is read.

mod ahead;
mod answer;
mod changes;
mod clerk;
mod crew;
mod desk;
mod facts;
mod finding;
mod following;
mod hand;
mod history;
mod implied;
mod jobs;
mod located;
mod objects;
mod parts;
mod pool;
mod prompt;
mod query;
mod queue;
mod recent;
mod row_store;
mod seen;
mod settle;
mod take_over;
mod tend;
mod trash;
mod vitals;
mod within;
mod work_queue;
mod writing;

pub use answer::waiting;
pub use objects::{RowHints, RowObjects, RowSource, open_source_database};
pub use pool::PoolOptions;
pub use recent::RECENT_BYTES;
pub use repot_core::store::PoolUsage;
pub use row_store::{LEADS, RowStore, RowStoreOptions};
pub use settle::settle;
pub use take_over::{Planned, additions, extend};
pub use vitals::figures;
