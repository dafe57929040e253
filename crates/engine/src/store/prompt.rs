//! Short reads that are done where they are asked for, on a connection that idles.
//!
//! The way to another thread and back takes longer than a short read of a file that the system holds in memory. So where a
//! connection can promise to answer at once ([`Prompt::at_once`](repot_core::Prompt)), a short read is done by the caller:
//! a document, a page of a list. It ends there without ever waiting, so a future that is dropped is dropped before it or
//! after it, and a runtime with one thread loses it for no longer than a page takes.
//!
//! Whatever does not end well there is done again on a thread, whose answer counts: it waits for locks, and takes
//! its time for large texts, for rows that SQL changed, and for filters that no index helps. Where no connection idles, none
//! is opened yet, or the database is a server, a thread does it from the beginning.

use std::sync::Arc;

use repot_core::store::Layout;
use repot_core::{Reader, Result};
use repot_model::place::Router;
use repot_model::plan::Plan;

use super::crew::{Kit, Lanes};
use super::desk::{Desk, Tools};
use super::row_store::RowStoreOptions;
use crate::route::Routes;

/// What a caller needs to read by itself.
pub(super) struct Caller {
    plan: Arc<Plan>,
    router: Arc<Router>,
    /// The connections of this database can promise to answer at once.
    can: bool,
}

impl Caller {
    /// For connections like `reader`.
    pub(super) fn new(plan: Arc<Plan>, router: Arc<Router>, reader: &mut dyn Reader) -> Self {
        Self { plan, router, can: reader.at_once(true) }
    }

    /// Does `work` here; `None`: it is a thread's.
    pub(super) fn read<T>(
        &self,
        (lanes, layout, options): (&Lanes, &Layout, &RowStoreOptions),
        work: &impl for<'p, 'r> Fn(&mut Desk<'p, 'r>, &Layout) -> Result<T>,
    ) -> Option<T> {
        if !self.can {
            return None;
        }
        let mut borrowed = lanes.reading.borrow()?;
        let Kit { mut reader, texts } = borrowed.take()?;
        let prompt = borrowed.idled_ms() < options.pool.check_ms.into() || reader.wake().is_ok();
        let routes = Routes::with(&self.plan, Arc::clone(&self.router));
        let tools = Tools::with(&self.plan, &routes, options.json, texts);
        let mut desk = Desk::new(&self.plan, &routes, options.json, tools, reader.as_mut());
        let mut done = None;
        if prompt && desk.refresh().is_ok() && desk.hurry() {
            done = work(&mut desk, layout).ok();
        }
        // what is no longer needed must not keep the database's log from being cut
        let ended = desk.refresh();
        let texts = desk.leave().texts();
        borrowed.give_back(Kit { reader, texts });
        done.filter(|_| ended.is_ok())
    }
}
