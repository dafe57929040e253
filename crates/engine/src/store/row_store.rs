//! [`RowStore`]: some threads that read and some that write, behind the contract of stores.

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use repot_core::change_log::ChangeRetention;
use repot_core::store::{
    Capabilities, ChangeFeed, Cursor, Document, DocumentKey, DocumentMeta, History, Layout, Ledger, Page,
    PoolUsage, Receipt, Scope, Store, Trash, UnitOfWork, Vitals, WorkQueue, Write, check_demands,
};
use repot_core::{Clock, Error, Kind, Loading, LockHolder, Result, RowSecurity, Target};
use repot_model::language::Model;
use repot_model::plan::Plan;
use tokio::task::coop::consume_budget;

use super::answer::Answer;
use super::changes::Pruning;
use super::crew::{Crew, Lanes, Reading, lanes};
use super::desk::Desk;
use super::jobs::Job;
use super::pool::{Bell, PoolOptions};
use super::prompt::{Caller, Work};
use super::queue::Task;
use super::recent::Recent;
use super::settle::SETTLED_AT_ONCE;
use super::writing::SETTLED_MOST;
use crate::route::Routes;
use crate::text::Dictionaries;

/// Name of the value of ours that says since when documents are written in the database itself, milliseconds since
/// 1970. A copy of files into such a database would take those writes back, so it is refused.
pub const LEADS: &str = "documents_written_since";

/// Writes in one unit of work.
const WRITES_MAX: usize = 1_000;
/// Objects listed at once while a page of documents is filled.
const LISTED_AT_ONCE: usize = 256;

/// How often, and how long between, a database is tried that another process is making or copies into.
const OPEN_TRIES: usize = 20;
const OPEN_PAUSE: Duration = Duration::from_millis(50);

/// What a [`RowStore`] is opened with.
#[derive(Debug, Clone)]
pub struct RowStoreOptions {
    /// The most connections that read, each with a thread; at least one.
    pub readers: usize,
    /// The most connections that write, each with a thread. SQLite has one writer, whatever is said here.
    pub writers: usize,
    /// How many of them are kept open, and how long calls wait for one.
    pub pool: PoolOptions,
    /// Bytes of the largest document.
    pub document_bytes_max: u64,
    /// Bytes of texts that are kept in memory after they were read, and given again while the database says that they are still
    /// the texts of their documents; 0: none.
    pub recent_bytes: usize,
    /// Bounds of one JSON text.
    pub json: repot_json::Limits,
    /// Who we are, for the lock.
    pub me: LockHolder,
    /// Time of day.
    pub clock: Arc<dyn Clock>,
    /// How much of the change log is kept.
    pub changes: ChangeRetention,
}

/// Documents in a database.
///
/// Several processes may write at once, but none while a copy is at work. A document that stands with others in one file is
/// written without them.
pub struct RowStore {
    shown: String,
    pub(super) layout: Arc<Layout>,
    plan: Arc<Plan>,
    pub(super) options: RowStoreOptions,
    lanes: Arc<Lanes>,
    caller: Arc<Caller>,
    pub(super) pruning: Pruning,
    row_security: RowSecurity,
    keeper: Option<thread::JoinHandle<()>>,
}

impl RowStore {
    /// Opens the database, makes its tables where there are none, and takes the lock that stores hold together.
    ///
    /// # Errors
    /// [`Kind::Locked`] when another process copies; `R0151` when the tables are of another model; when the
    /// database is out of reach or refuses us.
    pub fn open(
        mut target: Box<dyn Target>,
        (model, plan, model_text): (Arc<Model>, Arc<Plan>, &str),
        options: RowStoreOptions,
    ) -> Result<Self> {
        let layout = Arc::new(Layout::new(Arc::clone(&model), Arc::clone(&plan), options.json)?);
        ready(target.as_mut(), &plan, model_text, &options.me)?;
        let (shown, row_security) = (target.to_string(), target.row_security(&plan)?);
        let mut reader = target.reader()?;
        let dictionaries = Dictionaries::shared(reader.dictionaries()?);
        let router = Routes::new(&model, &plan)?.router();
        let (connections, bell) = (target.connections()?, Arc::new(Bell::default()));
        let lanes = Arc::new(lanes(&options, connections.writers_max(), &bell));
        let with = (connections.as_ref(), &lanes);
        let caller = Arc::new(Caller::new((&plan, &router, &layout), with, &options, reader.as_mut()));
        drop(reader);
        let crew = Crew {
            connections,
            model,
            plan: Arc::clone(&plan),
            router,
            layout: Arc::clone(&layout),
            options: options.clone(),
            dictionaries,
            recent: Recent::new(options.recent_bytes)?,
            lanes: Arc::clone(&lanes),
            bell,
            home: caller.home(),
        };
        let keeper = Some(thread::spawn(move || crew.keep(target)));
        let pruning = Pruning::default();
        let store = Self { shown, layout, plan, options, lanes, caller, pruning, row_security, keeper };
        store.prune();
        Ok(store)
    }

    /// Whether the database itself holds tenants apart, and if not, why: found out when it was opened. It says so in
    /// [`Capabilities::row_security`] too.
    #[must_use]
    pub const fn row_security(&self) -> &RowSecurity {
        &self.row_security
    }

    /// The connections that read at this moment, and those that write.
    #[must_use]
    pub fn pools(&self) -> (PoolUsage, PoolUsage) {
        (self.lanes.reading.usage(), self.lanes.writing.usage())
    }

    /// Runs `work` on a reading thread.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl for<'p, 'r> FnOnce(&mut Desk<'p, 'r>, &Layout) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = Answer::new();
        let layout = Arc::clone(&self.layout);
        self.lanes.reading.submit(Reading(Box::new(move |desk| {
            if answer.is_closed() {
                return;
            }
            answer.begin();
            let result = desk.and_then(|desk| desk.refresh().and_then(|()| work(desk, &layout)));
            answer.send(result);
        })));
        answered.get().await
    }

    /// Runs `work`, which is short, where it is asked for; on a reading thread where it cannot be done at once.
    pub(super) async fn read_short<T: Send + 'static>(&self, work: impl Work<T>) -> Result<T> {
        let work = Arc::new(work);
        if let Some(found) = self.caller.read(&work).await {
            // who reads all the time lets the runtime's other tasks have their turn
            consume_budget().await;
            return found;
        }
        self.read(move |desk, layout| work(desk, layout)).await
    }

    /// Hands something to a writing thread.
    pub(super) async fn write(&self, task: Task) -> Result<Receipt> {
        let (answer, answered) = Answer::new();
        self.lanes.writing.submit((task, answer));
        answered.get().await
    }

    /// Reads a document; where `look` finds only rows of plain SQL (`None`), they are made a document first. Rows that no
    /// document can say are none.
    pub(super) async fn settling<T: Default + Send + 'static>(
        &self,
        key: &DocumentKey,
        look: impl for<'p, 'r> Fn(&mut Desk<'p, 'r>, &Layout, &DocumentKey) -> Result<Option<T>>
        + Copy
        + Send
        + Sync
        + 'static,
    ) -> Result<T> {
        for _ in 0..SETTLED_MOST {
            let own = key.clone();
            if let Some(found) = self.read_short(move |desk, layout| look(desk, layout, &own)).await? {
                return Ok(found);
            }
            let named = (key.collection().to_owned(), key.text().to_owned());
            self.write(Task::Settle(vec![named])).await?;
        }
        Ok(T::default())
    }

    /// Makes documents of all rows that plain SQL made in a collection.
    pub(super) async fn settle_new(&self, collection: &str) -> Result<()> {
        let mut after = String::new();
        loop {
            let (named, last) = (collection.to_owned(), after.clone());
            let look = move |desk: &mut Desk<'_, '_>, _: &Layout| {
                desk.marks((&named, &last), Some(&named), SETTLED_AT_ONCE)
            };
            let marks = self.read_short(look).await?;
            let Some(last) = marks.last() else { return Ok(()) };
            after = last.key.clone();
            let keys = marks.into_iter().map(|mark| (mark.collection, mark.key)).collect();
            self.write(Task::Settle(keys)).await?;
        }
    }

    /// Gives every document whose parts were changed, or that plain SQL changed, the text that it is read with, makes documents of rows that SQL made, and
    /// takes out those whose row is gone. Reads are as before and after, only faster. What no document of the model can
    /// say stays as it is.
    ///
    /// # Errors
    /// When the database is out of reach; documents that were settled until then are.
    pub async fn settle(&self) -> Result<()> {
        self.settle_marked().await?;
        self.fold().await
    }

    /// The same, but for changes of parts, which are kept beside texts.
    pub(super) async fn settle_marked(&self) -> Result<()> {
        let mut after = (String::new(), String::new());
        loop {
            let last = after.clone();
            let marks =
                self.read(move |desk, _| desk.marks((&last.0, &last.1), None, SETTLED_AT_ONCE)).await?;
            let Some(last) = marks.last() else { return Ok(()) };
            after = (last.collection.clone(), last.key.clone());
            let keys = marks.into_iter().map(|mark| (mark.collection, mark.key)).collect();
            self.write(Task::Settle(keys)).await?;
        }
    }

    /// Writes the texts of all documents beside which changes are kept.
    async fn fold(&self) -> Result<()> {
        let mut after = String::new();
        loop {
            let last = after.clone();
            let paths = self.read(move |desk, _| desk.kept(&last, SETTLED_AT_ONCE)).await?;
            let Some(last) = paths.last() else { return Ok(()) };
            after.clone_from(last);
            self.write(Task::Fold(paths)).await?;
        }
    }

    /// Has the change log pruned; nobody waits for it, and what fails is tried again later.
    pub(super) fn prune(&self) {
        self.lanes.writing.submit((Task::PruneChanges, Answer::new().0));
    }

    /// Writes copies of what another store leads, as they are.
    pub(super) async fn submit_copies(&self, work: UnitOfWork) -> Result<Receipt> {
        self.check(&work, &self.layout.verbatim())?;
        check_demands(&work.facts, &work.demands)?;
        let writes = work.writes.len() + work.facts.len();
        let done = self.submit(Job::Unit { work, steps: None, is_copy: true }).await;
        if self.pruning.wrote(writes) {
            self.prune();
        }
        done
    }

    /// Has it done on a writing thread.
    pub(super) async fn submit(&self, job: Job) -> Result<Receipt> {
        self.write(Task::Work(job)).await
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(super) const fn options(&self) -> &RowStoreOptions {
        &self.options
    }

    /// Brings the full text indexes up to date with some of what plain SQL changed.
    pub(super) async fn index_words(&self) -> Result<()> {
        self.write(Task::IndexWords).await.map(drop)
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.options.clock.now_ms()
    }

    fn check(&self, work: &UnitOfWork, layout: &Layout) -> Result<()> {
        if work.writes.len() > WRITES_MAX {
            let message =
                format!("{} writes in one unit of work, {WRITES_MAX} are the most", work.writes.len());
            return Err(
                Error::new(Kind::Unsupported, "R0405", message).hint("Write in several units of work.")
            );
        }
        for (at, write) in work.writes.iter().enumerate() {
            if work.writes.iter().take(at).any(|other| other.key() == write.key()) {
                let message = format!("{} is written twice in one unit of work", write.key());
                return Err(Error::new(Kind::Invalid, "R0405", message).hint("Join the two writes."));
            }
            match write {
                Write::Put { key, body, when } => {
                    layout.check_precondition(key, when)?;
                    let bytes_max = self.options.document_bytes_max;
                    let whereabouts = layout.whereabouts(key)?;
                    if whereabouts.paths.is_empty() && whereabouts.elsewhere {
                        // where it is, and so what it may say, is known once it is found
                        Layout::check_length(key, body.len(), bytes_max)?;
                    } else if layout.has_rules(key)? {
                        // the rest depends on what is there, so it is checked where that is read
                        layout.check_size(key, body.len(), bytes_max)?;
                    } else {
                        layout.check_put(key, body, bytes_max)?;
                    }
                }
                Write::Update { key, when, .. } => {
                    layout.check_precondition(key, when)?;
                    let whereabouts = layout.whereabouts(key)?;
                    if whereabouts.paths.is_empty() && !whereabouts.elsewhere {
                        return Err(layout.cannot_hold(key));
                    }
                }
                Write::Delete { key, when } | Write::Patch { key, when, .. } => {
                    when.check_present()?;
                    layout.check_precondition(key, when)?;
                    layout.whereabouts(key)?;
                }
            }
        }
        Ok(())
    }
}

/// Makes the tables where there are none, and takes the lock that stores share. Who makes them is alone for that time;
/// others that open the database then wait for a moment.
fn ready(target: &mut dyn Target, plan: &Plan, model_text: &str, me: &LockHolder) -> Result<()> {
    let mut tries = 0;
    loop {
        match prepare(target, plan, model_text, me) {
            Err(error) if error.kind() == Kind::Locked && tries < OPEN_TRIES => tries += 1,
            done => return done,
        }
        thread::sleep(OPEN_PAUSE);
    }
}

fn prepare(target: &mut dyn Target, plan: &Plan, model_text: &str, me: &LockHolder) -> Result<()> {
    target.share(me)?;
    if is_made(target, plan)? {
        return Ok(());
    }
    target.lock(me)?;
    if !is_made(target, plan)? {
        target.create(plan, model_text)?;
        target.finish(plan, 1, &mut |_| ())?;
    }
    target.share(me)
}

/// Whether the tables are there, of this model, and with everything that a bulk load leaves for its end.
fn is_made(target: &mut dyn Target, plan: &Plan) -> Result<bool> {
    match target.state()? {
        None => Ok(false),
        Some(state) if state.plan_hash == plan.hash => {
            if state.loading == Loading::Bulk {
                let message = format!("the first copy into {target} has not ended");
                return Err(Error::new(Kind::Refused, "R0703", message)
                    .hint("Run `repot copy` again; it goes on where it stopped."));
            }
            // the rules may have changed since, which changes no table
            target.enforce_rules(plan)?;
            Ok(true)
        }
        Some(_) => {
            let message = format!("the model changed since {target} was made from it");
            Err(Error::new(Kind::Unsupported, "R0151", message)
                .hint("Open it with the model it was made from, or copy into a fresh database."))
        }
    }
}

impl fmt::Display for RowStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for RowStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowStore").field("target", &self.shown).finish_non_exhaustive()
    }
}

impl Drop for RowStore {
    fn drop(&mut self) {
        self.lanes.end();
        if let Some(keeper) = self.keeper.take() {
            let _panicked = keeper.join();
        }
    }
}

#[async_trait]
impl Store for RowStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            atomic_writes_max: WRITES_MAX,
            document_bytes_max: self.options.document_bytes_max,
            conditional_put: true,
            conditional_delete: true,
            keys_per_tenant: false,
            queries: true,
            found_by_key: true,
            change_log: true,
            references: true,
            soft_delete: true,
            row_security: self.row_security.is_enforced(),
            audit: true,
            ledger: true,
            queues: true,
            deadlines: true,
        }
    }

    fn trash(&self) -> Option<&dyn Trash> {
        Some(self)
    }

    fn change_feed(&self) -> Option<&dyn ChangeFeed> {
        Some(self)
    }

    fn work_queue(&self) -> Option<&dyn WorkQueue> {
        Some(self)
    }

    fn vitals(&self) -> Option<&dyn Vitals> {
        Some(self)
    }

    fn collections(&self) -> Vec<String> {
        self.layout.collections()
    }

    async fn get(&self, key: &DocumentKey) -> Result<Option<Document>> {
        self.settling(key, |desk, layout, key| desk.document(layout, key)).await
    }

    async fn exists(&self, key: &DocumentKey) -> Result<bool> {
        self.settling(key, |desk, layout, key| desk.exists(layout, key)).await
    }

    async fn apply(&self, work: UnitOfWork) -> Result<Receipt> {
        self.check(&work, &self.layout)?;
        check_demands(&work.facts, &work.demands)?;
        let asks = !(work.holding.is_empty() && work.demands.is_empty());
        if work.writes.is_empty() && work.facts.is_empty() && !asks {
            return Ok(Receipt::default());
        }
        let writes = work.writes.len() + work.facts.len();
        let done = self.submit(Job::unit(work, &self.layout)?).await;
        if self.pruning.wrote(writes) {
            self.prune();
        }
        done
    }

    async fn list(&self, scope: &Scope, after: Option<&Cursor>, most: usize) -> Result<Page> {
        self.layout.check_scope(scope)?;
        if after.is_none() {
            // what came later need not be in this listing
            self.settle_new(&scope.collection).await?;
        }
        if self.layout.is_shared(&scope.collection) {
            let (scope, after) = (scope.clone(), after.map(|cursor| cursor.as_str().to_owned()));
            return self.read(move |desk, layout| list_within(desk, layout, &scope, after, most)).await;
        }
        let prefix = self.layout.prefix(scope)?;
        let (scope, after) = (scope.clone(), after.map(|cursor| cursor.as_str().to_owned()));
        // documents of other scopes may stand between its own, so no page is short by itself
        self.read(move |desk, layout| list(desk, layout, (&scope, &prefix), after, most)).await
    }

    async fn probe(&self) -> Result<()> {
        self.read(|desk, _| desk.objects(None, 1).map(drop)).await
    }

    fn record(&self) -> Option<&dyn History> {
        Some(self)
    }

    fn ledger(&self) -> Option<&dyn Ledger> {
        Some(self)
    }
}

fn list(
    desk: &mut Desk<'_, '_>,
    layout: &Layout,
    (scope, prefix): (&Scope, &str),
    mut after: Option<String>,
    most: usize,
) -> Result<Page> {
    let mut items = Vec::new();
    // the paths before the prefix are not of this scope
    if after.as_deref().is_none_or(|after| after < prefix) && !prefix.is_empty() {
        if let Some(found) = desk.at(prefix)? {
            // a path that is the prefix itself would be skipped by `after`
            items.extend(meta(layout, scope, &found)?);
        }
        after = Some(prefix.to_owned());
    }
    loop {
        let listed = desk.objects(after.as_deref(), LISTED_AT_ONCE)?;
        let ends = listed.len() < LISTED_AT_ONCE;
        for object in listed {
            let path = object.record.path;
            if !path.starts_with(prefix) {
                return Ok(Page { items, next: None });
            }
            if items.len() >= most {
                return Ok(Page { items, next: after.map(Cursor::new) });
            }
            if layout.identify(scope, &path)?.is_some()
                && let Some(found) = desk.at(&path)?
            {
                items.extend(meta(layout, scope, &found)?);
            }
            after = Some(path);
        }
        if ends {
            return Ok(Page { items, next: None });
        }
    }
}

/// Documents that share files, by key.
fn list_within(
    desk: &mut Desk<'_, '_>,
    layout: &Layout,
    scope: &Scope,
    mut after: Option<String>,
    most: usize,
) -> Result<Page> {
    let mut items = Vec::new();
    loop {
        let listed = desk.reader().listed(&scope.collection, after.as_deref(), LISTED_AT_ONCE)?;
        let ends = listed.len() < LISTED_AT_ONCE;
        for document in listed {
            if items.len() >= most {
                return Ok(Page { items, next: Some(Cursor::new(after.unwrap_or_default())) });
            }
            let key = document.key.clone();
            items.extend(desk.listed_within(layout, scope, document)?);
            after = Some(key);
        }
        if ends {
            return Ok(Page { items, next: None });
        }
    }
}

fn meta(layout: &Layout, scope: &Scope, found: &super::desk::Found) -> Result<Option<DocumentMeta>> {
    let key = layout.identify(scope, &found.whole.object.record.path)?;
    let size_bytes = found.assembled.bytes.len() as u64;
    Ok(key.filter(|_| found.etag.is_some()).map(|key| DocumentMeta { key, size_bytes }))
}
