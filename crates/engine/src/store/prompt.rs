//! Short reads that are done where they are asked for, on a connection that idles.
//!
//! The way to another thread and back takes longer than a short read of a file that the system holds in memory, and about as long
//! as a server takes to answer one. So a short read, a document or a page of a list, is done by the caller where the connection
//! can promise not to wait ([`repot_core::Prompt`]). It ends there without ever waiting, so a runtime with one thread loses
//! it for no longer than a page takes.
//!
//! Where the database is a server, the answers are awaited in the caller's task, in whose runtime the connection lives. The
//! reading itself is written as if it had them at hand: one that comes to a question without an answer ends there, the answer is
//! fetched, and it begins again. A short read has one question, seldom two or three, so little is done twice. A future that is
//! dropped meanwhile gives its connection to the connection's thread, which waits a while for what is still on its way.
//!
//! Whatever does not end well there is done again on a thread, whose answer counts: it waits for locks, and takes
//! its time for large texts, for rows that SQL changed, and for filters that no index helps. Where no connection idles, or
//! none is opened yet, a thread reads a file from the beginning; for a server's connection the caller waits its turn.

use std::sync::{Arc, OnceLock};

use repot_core::store::Layout;
use repot_core::{Connections, Missing, Reader, Result};
use repot_model::place::Router;
use repot_model::plan::Plan;
use tokio::runtime::{Handle, RuntimeFlavor};

use super::crew::{Kit, Lanes, Reading};
use super::desk::{Desk, Tools};
use super::pool::Borrowed;
use super::row_store::RowStoreOptions;
use crate::route::Routes;

/// So many answers are fetched for one read.
const FETCHES_MAX: usize = 4;

/// Where connections live that fetch answers: the runtime of the first who asked, if it has several threads.
pub(super) type Home = Arc<OnceLock<Handle>>;

/// How connections of a database are read by callers.
enum Way {
    /// Not at all.
    None,
    /// What they read is at hand.
    Here,
    /// They fetch answers.
    Fetching,
}

/// What a caller needs to read by itself.
pub(super) struct Caller {
    plan: Arc<Plan>,
    router: Arc<Router>,
    way: Way,
    home: Home,
}

impl Caller {
    /// For connections like `reader`.
    pub(super) fn new(
        (plan, router): (Arc<Plan>, Arc<Router>),
        connections: &dyn Connections,
        reader: &mut dyn Reader,
    ) -> Self {
        let way = match reader.at_once(true) {
            true => Way::Here,
            false if connections.fetch() => Way::Fetching,
            false => Way::None,
        };
        Self { plan, router, way, home: Home::default() }
    }

    pub(super) fn home(&self) -> Home {
        Arc::clone(&self.home)
    }

    /// Does `work` here; `None`: it is a thread's.
    pub(super) async fn read<T>(
        &self,
        (lanes, layout, options): (&Lanes, &Layout, &RowStoreOptions),
        work: &impl for<'p, 'r> Fn(&mut Desk<'p, 'r>, &Layout) -> Result<T>,
    ) -> Option<Result<T>> {
        let check_ms = options.pool.check_ms.into();
        let mut borrowed = match self.way {
            Way::None => return None,
            Way::Here => lanes.reading.borrow()?,
            Way::Fetching if !self.is_home() => return None,
            Way::Fetching => match lanes.reading.loan(check_ms).await? {
                Ok(borrowed) => borrowed,
                Err(error) => return Some(Err(error)),
            },
        };
        let Kit { mut reader, texts } = borrowed.take()?;
        // one that fetches comes from its thread, or from who was at work with it, and must not be waited for here
        let is_fresh = matches!(self.way, Way::Fetching) || borrowed.idled_ms() < check_ms;
        let is_awake = is_fresh || reader.wake().is_ok();
        let is_prompt = is_awake && reader.refresh().is_ok() && reader.at_once(true);
        borrowed.put(Kit { reader, texts });
        if !is_prompt {
            return None;
        }
        for _ in 0..=FETCHES_MAX {
            let error = match self.attempt(&mut borrowed, (layout, options), work)? {
                Ok(found) => return Some(Ok(found)),
                Err(error) => error,
            };
            borrowed.is_under_way = true;
            let fetched = match borrowed.tool()?.reader.missing() {
                Missing::Nothing => Err(Some(error)),
                Missing::Time => Err(None),
                Missing::Answer(fetch) => fetch.await.map_err(|_read_by_a_thread| None),
            };
            borrowed.is_under_way = false;
            if let Err(error) = fetched {
                return error.map(Err);
            }
        }
        None
    }

    /// With what is at hand; `None`: it takes longer, or the connection fails.
    fn attempt<T>(
        &self,
        borrowed: &mut Borrowed<'_, Reading>,
        (layout, options): (&Layout, &RowStoreOptions),
        work: &impl for<'p, 'r> Fn(&mut Desk<'p, 'r>, &Layout) -> Result<T>,
    ) -> Option<Result<T>> {
        let Kit { mut reader, texts } = borrowed.take()?;
        let routes = Routes::with(&self.plan, Arc::clone(&self.router));
        let tools = Tools::with(&self.plan, &routes, options.json, texts);
        let mut desk = Desk::new(&self.plan, &routes, options.json, tools, reader.as_mut());
        desk.hurry();
        let done = work(&mut desk, layout);
        // what is no longer needed must not keep the database's log from being cut
        let ended = desk.refresh();
        let is_late = desk.is_late();
        let texts = desk.leave().texts();
        borrowed.put(Kit { reader, texts });
        Some(done).filter(|_| ended.is_ok() && !is_late)
    }

    /// Whether connections can live where their callers are: in a runtime that goes on while one of its threads waits.
    fn is_home(&self) -> bool {
        if self.home.get().is_none()
            && let Ok(here) = Handle::try_current()
            && here.runtime_flavor() == RuntimeFlavor::MultiThread
        {
            let _others = self.home.set(here);
        }
        self.home.get().is_some()
    }
}
