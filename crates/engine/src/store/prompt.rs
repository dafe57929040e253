//! Short reads that are done where they are asked for, on a connection that idles.
//!
//! The way to another thread and back takes longer than a short read of a file that the system holds in memory, and about as long
//! as a server takes to answer one. So a short read, a document or a page of a list, is done by the caller where the connection
//! can promise not to wait ([`repot_core::Prompt`]). It ends there without ever waiting, so a runtime with one thread loses
//! it for no longer than a page takes.
//!
//! Where the database is a server, the answers are awaited in a task of the caller's runtime, in which the connection lives. The
//! reading itself is written as if it had them at hand: one that comes to a question without an answer ends there, the answer is
//! fetched, and it begins again. A short read has one question, seldom two or three, so little is done twice. The task is the
//! read's own: a caller who goes away, or does something else before he looks at his future again, keeps no connection from others.
//!
//! Whatever does not end well there is done again on a thread, whose answer counts: it waits for locks, and takes
//! its time for large texts, for rows that SQL changed, and for filters that no index helps. Where no connection idles, or
//! none is opened yet, a thread reads a file from the beginning; for a server's connection the caller waits its turn.

use std::sync::{Arc, OnceLock};

use repot_core::store::Layout;
use repot_core::{Connections, Missing, Reader, Result};
use repot_json::Limits;
use repot_model::place::Router;
use repot_model::plan::Plan;
use tokio::runtime::{Handle, RuntimeFlavor};

use super::answer::{count, waiting};
use super::crew::{Kit, Lanes, Reading};
use super::desk::{Desk, Tools};
use super::pool::Borrowed;
use super::row_store::RowStoreOptions;
use crate::route::Routes;

/// So many answers are fetched for one read.
const FETCHES_MAX: usize = 4;

/// Where connections live that fetch answers: the runtime of the first who asked, if it has several threads.
pub(super) type Home = Arc<OnceLock<Handle>>;

/// A short read, which may be begun several times.
pub(super) trait Work<T>:
    for<'p, 'r> Fn(&mut Desk<'p, 'r>, &Layout) -> Result<T> + Send + Sync + 'static
{
}

impl<T, W: for<'p, 'r> Fn(&mut Desk<'p, 'r>, &Layout) -> Result<T> + Send + Sync + 'static> Work<T> for W {}

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
    layout: Arc<Layout>,
    lanes: Arc<Lanes>,
    json: Limits,
    check_ms: i64,
    way: Way,
    home: Home,
}

impl Caller {
    /// For the connections in `lanes`, which are like `reader`.
    pub(super) fn new(
        (plan, router, layout): (&Arc<Plan>, &Arc<Router>, &Arc<Layout>),
        (connections, lanes): (&dyn Connections, &Arc<Lanes>),
        options: &RowStoreOptions,
        reader: &mut dyn Reader,
    ) -> Self {
        let way = match reader.at_once(true) {
            true => Way::Here,
            false if connections.can_fetch() => Way::Fetching,
            false => Way::None,
        };
        Self {
            plan: Arc::clone(plan),
            router: Arc::clone(router),
            layout: Arc::clone(layout),
            lanes: Arc::clone(lanes),
            json: options.json,
            check_ms: options.pool.check_ms.into(),
            way,
            home: Home::default(),
        }
    }

    pub(super) fn home(&self) -> Home {
        Arc::clone(&self.home)
    }

    /// Does `work` here; `None`: it is a thread's.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        work: &Arc<impl Work<T>>,
    ) -> Option<Result<T>> {
        match self.way {
            Way::None => None,
            Way::Here => self.read_here(&**work).map(Ok),
            Way::Fetching => {
                let (caller, work) = (Arc::clone(self), Arc::clone(work));
                let reading = async move { waiting(caller.fetch(&*work)).await };
                let (found, waited) = self.lives_in()?.spawn(reading).await.ok()?;
                count(waited);
                found
            }
        }
    }

    /// With what is at hand, which is all that there is.
    fn read_here<T>(&self, work: &impl Work<T>) -> Option<T> {
        let mut borrowed = self.lanes.reading.borrow()?;
        let idled_ms = borrowed.idled_ms();
        let reader = &mut borrowed.tool()?.reader;
        let is_awake = idled_ms < self.check_ms || reader.wake().is_ok();
        if !(is_awake && reader.refresh().is_ok() && reader.at_once(true)) {
            return None;
        }
        self.attempt(&mut borrowed, work)?.ok()
    }

    /// With what is fetched when it is missing.
    async fn fetch<T>(&self, work: &impl Work<T>) -> Option<Result<T>> {
        let mut borrowed = match self.lanes.reading.loan(self.check_ms).await? {
            Ok(borrowed) => borrowed,
            Err(error) => return Some(Err(error)),
        };
        if !borrowed.tool()?.reader.at_once(true) {
            return None;
        }
        for fetches in 0..=FETCHES_MAX {
            let error = match self.attempt(&mut borrowed, work)? {
                Ok(found) => return Some(Ok(found)),
                Err(error) => error,
            };
            match borrowed.tool()?.reader.missing() {
                Missing::Nothing => return Some(Err(error)),
                Missing::Answer(fetch) if fetches < FETCHES_MAX => fetch.await.ok()?,
                Missing::Time | Missing::Answer(_) => return None,
            }
        }
        None
    }

    /// With what is at hand; `None`: it takes longer, or the connection fails.
    fn attempt<T>(&self, borrowed: &mut Borrowed<'_, Reading>, work: &impl Work<T>) -> Option<Result<T>> {
        let Kit { mut reader, texts } = borrowed.take()?;
        let routes = Routes::with(&self.plan, Arc::clone(&self.router));
        let tools = Tools::with(&self.plan, &routes, self.json, texts);
        let mut desk = Desk::new(&self.plan, &routes, self.json, tools, reader.as_mut());
        desk.hurry();
        let done = work(&mut desk, &self.layout);
        // what is no longer needed must not keep the database's log from being cut
        let ended = desk.refresh();
        let is_late = desk.is_late();
        let texts = desk.leave().texts();
        borrowed.put(Kit { reader, texts });
        Some(done).filter(|_| ended.is_ok() && !is_late)
    }

    /// Where connections live: a runtime that goes on while one of its threads waits. `None`: there is none yet, nor here.
    fn lives_in(&self) -> Option<&Handle> {
        if self.home.get().is_none()
            && let Ok(here) = Handle::try_current()
            && here.runtime_flavor() == RuntimeFlavor::MultiThread
        {
            let _others = self.home.set(here);
        }
        self.home.get()
    }
}
