//! Reading and writing in one transaction beside other writers: row locks on the objects that are written, and
//! another try when the server gives the transaction up.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future;
use repot_core::change_log::FormerDocument;
use repot_core::{Batch, Decide, Error, Item, Kind, LoadReport, Refusal, Result, Retry, Status};
use repot_model::plan::Plan;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::ahead::{self, Questions, Seen};
use crate::connect::Connection;
use crate::copy::Failure;
use crate::create::set_meta;
use crate::error::{failed, is_given_up, is_lost, is_refusal};
use crate::facts::apply_facts;
use crate::flight::{Flight, Landed};
use crate::load::{check, units};
use crate::lock::{self, SHARE, Shared, is_pooled};
use crate::parameters::given;
use crate::reader::PostgresReader;
use crate::records::{Refused, former};
use crate::search::kept_by_writes;
use crate::target::PostgresTarget;
use crate::transaction::{Writer, begin_writing};
use crate::within::Within;

/// Tries of one transaction. Each failed one means that another writer got on.
const TRIES_MAX: usize = 50;
/// How long a transaction that hurries waits for a lock, milliseconds.
const HURRIED_WAIT_MS: u32 = 500;
/// Numbers set apart for a writer at once.
const NUMBERS_APART: usize = 1_000;

/// Locks objects in byte order of their paths.
const LOCK: &str = "select path, id from repot_objects where path = any($1) order by path for update";

/// What the locks gave.
type Locked = Result<(Vec<Row>, Seen), Failure>;

/// How a part of a transaction ended.
enum Step<T> {
    Done(T),
    /// From its beginning, with more care for rows that the database refuses.
    Carefully,
    /// From its beginning.
    Again(Error),
}

impl PostgresTarget {
    /// Locks, lets `decide` read, and applies what it gives.
    pub(crate) fn decided(
        &mut self,
        plan: &Arc<Plan>,
        locks: &[String],
        decide: Decide<'_>,
    ) -> Result<LoadReport> {
        let mut paths = locks.to_vec();
        paths.sort_unstable();
        paths.dedup();
        let paths: Arc<[String]> = paths.into();
        let ahead = Arc::new(std::mem::take(&mut self.ahead));
        let (mut careful, mut last) = (false, None);
        for tried in 0..TRIES_MAX {
            let (wanted, plan_of, ahead) = (Arc::clone(&paths), Arc::clone(plan), Arc::clone(&ahead));
            // who takes more care lets the triggers look after the full text indexes
            let search = if careful { None } else { kept_by_writes(plan) };
            let opened = self.run(|mut writer| async move {
                writer.open(&wanted, Questions { plan: &plan_of, ahead: &ahead, search }).await
            });
            let (number, connection, within) = match opened {
                Ok(Step::Done(opened)) => opened,
                Ok(Step::Carefully) => continue,
                // a session that ended while nobody used it
                Err(error) if tried == 0 && error.code() == "R0106" => continue,
                Ok(Step::Again(error)) => {
                    last = Some(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let to = (self.runtime.clone(), self.address.clone());
            let decided = decide(&mut PostgresReader::within(to, connection, Arc::clone(&within)));
            let batch = match decided {
                Ok(Some(batch)) if !within.escaped.load(Ordering::Relaxed) => batch,
                other => {
                    self.run(|mut writer| async move {
                        writer.rollback().await;
                        Ok(())
                    })?;
                    if within.escaped.load(Ordering::Relaxed) {
                        last = other.err();
                        continue;
                    }
                    return other.map(|_nothing| LoadReport::default());
                }
            };
            let (plan, wanted) = (Arc::clone(plan), Arc::clone(&paths));
            let closed = self.run(move |mut writer| async move {
                writer.close(&plan, &batch, (&number, &wanted), careful).await
            })?;
            match closed {
                Step::Done(report) => return Ok(report),
                Step::Carefully => careful = true,
                Step::Again(error) => last = Some(error),
            }
        }
        let error = Error::new(
            Kind::Unavailable,
            "R0411",
            format!("others wrote the same documents {TRIES_MAX} times meanwhile"),
        )
        .retry(Retry::Safe)
        .hint("Send it again; if that goes on, let fewer write the same documents at once.");
        Err(match last {
            Some(last) => error.cause(last),
            None => error,
        })
    }
}

type Opened = (String, Arc<Connection>, Arc<Within>);

impl Writer {
    /// Shares the lock with other stores.
    pub(crate) async fn share(&mut self, known: Option<Shared>) -> Result<()> {
        if let Some(held) = self.held.take() {
            held.release().await;
        }
        self.ready().await?;
        if self.shares.is_some() {
            return Ok(());
        }
        let way = match known {
            Some(way) => way,
            None if is_pooled(&self.address, self.client()).await? => Shared::ByTransaction,
            None => Shared::BySession,
        };
        match way {
            Shared::BySession => self.share_session().await?,
            Shared::ByTransaction => {
                let row = self.client().query_typed_one(SHARE, &lock::class()).await;
                if row.map_err(|error| failed("share the lock", error))?.get::<_, Option<bool>>(1)
                    != Some(true)
                {
                    return Err(lock::taken(self.client()).await);
                }
            }
        }
        self.shares = Some(way);
        Ok(())
    }

    /// Gives a shared lock back; the session's end would do so too.
    pub(crate) async fn share_no_more(&mut self) {
        if self.shares.take() == Some(Shared::BySession) {
            drop(self.client().batch_execute("select pg_advisory_unlock_all()").await);
        }
    }

    /// Begins, locks the objects at these paths, which are in byte order, and reads ahead.
    async fn open(&mut self, paths: &[String], questions: Questions<'_>) -> Result<Step<Opened>> {
        self.locked.clear();
        self.known.clear();
        self.claimed.clear();
        self.ready().await?;
        self.set_apart(paths.len()).await?;
        let (number, rows) = match &self.held {
            Some(_) => {
                let number = self.begin().await?;
                let locked = self.client().query_again(LOCK, &[(&paths, Type::TEXT_ARRAY)]).await;
                (
                    number,
                    locked.map(|rows| (rows, Seen::default())).map_err(Failure::server("lock documents")),
                )
            }
            None => self.begin_locking(paths, Some(&questions)).await?,
        };
        let (rows, mut seen) = match rows {
            Ok(rows) => rows,
            Err(failure) => {
                self.rollback().await;
                let given_up = matches!(&failure, Failure::Server(_, error) if error.as_db_error().is_some_and(is_given_up));
                return if given_up { Ok(Step::Again(failure.into())) } else { Err(failure.into()) };
            }
        };
        self.locked = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        self.known = seen.take_former();
        self.search_kept = seen.search_kept();
        let within = Within {
            paths: paths.iter().cloned().collect(),
            numbers: self.locked.values().copied().collect(),
            escaped: AtomicBool::new(false),
            seen: Mutex::new(seen),
        };
        Ok(Step::Done((number, Arc::clone(&self.connection), Arc::new(within))))
    }

    /// Begins a transaction under the lock, or while no copy is at work; gives its number.
    pub(crate) async fn begin_any(&mut self) -> Result<String> {
        match &self.held {
            Some(_) => self.begin().await,
            None => {
                self.ready().await?;
                self.begin_shared().await
            }
        }
    }

    /// Begins a transaction that runs while no copy is at work; gives its number.
    pub(crate) async fn begin_shared(&mut self) -> Result<String> {
        self.begin_locking(&[], None).await.map(|(number, _)| number)
    }

    /// The same; the locks on objects at these paths are asked for with the same messages.
    async fn begin_locking(
        &mut self,
        paths: &[String],
        questions: Option<&Questions<'_>>,
    ) -> Result<(String, Locked)> {
        self.know_epoch().await;
        // prepared before, or what is read ahead would overtake the locks
        for (sql, kind) in [(SHARE, Type::INT4), (LOCK, Type::TEXT_ARRAY)] {
            let known = self.client().kept(sql, &[(&"", kind)]).await;
            known.map_err(|error| self.unbegun(error))?;
        }
        let mut begin = begin_writing(self.client(), &self.address);
        if questions.is_some_and(|questions| questions.ahead.hurries) {
            begin.push_str(&format!("; set local lock_timeout = {HURRIED_WAIT_MS}"));
        }
        let (client, class) = (self.client(), lock::class());
        let asking = client.query_again(SHARE, &class);
        let locking = async {
            if paths.is_empty() {
                return Ok(Vec::new());
            }
            client.query_again(LOCK, &[(&paths, Type::TEXT_ARRAY)]).await
        };
        let reading = async {
            match questions {
                Some(questions) => ahead::read(client, questions).await,
                None => Ok(Seen::default()),
            }
        };
        let (begun, asked, locked, seen) =
            future::join4(client.batch_execute(&begin), asking, locking, reading).await;
        let locked = locked.map_err(Failure::server("lock documents"));
        let locked = locked.and_then(|rows| seen.map(|seen| (rows, seen)));
        match begun.and(asked).map(|rows| rows.into_iter().next()) {
            Ok(Some(row)) if row.get::<_, Option<bool>>(1) == Some(true) => Ok((row.get(0), locked)),
            Ok(_) => {
                self.rollback().await;
                Err(lock::taken(self.client()).await)
            }
            Err(error) => {
                let lost = is_lost(&error);
                let error = self.unbegun(error);
                if !lost {
                    self.rollback().await;
                }
                Err(error)
            }
        }
    }

    fn unbegun(&self, error: tokio_postgres::Error) -> Error {
        if is_lost(&error) {
            self.connection.give_up();
        }
        failed("begin a transaction", error)
    }

    /// Sees to it that this writer has as many numbers for new objects, which nobody else gives out.
    async fn set_apart(&mut self, count: usize) -> Result<()> {
        if self.shares.is_none() || self.numbers.end - self.numbers.start >= signed(count) {
            return Ok(());
        }
        let more = signed(count.max(NUMBERS_APART));
        // outside of the transaction, so that nobody waits for its end
        let sql = "insert into repot_meta (key, value) \
                   select 'objects_apart', (coalesce(max(id), 0) + 1 + $1)::text from repot_objects \
                   on conflict (key) do update set value = \
                   (greatest(repot_meta.value::bigint, (select coalesce(max(id), 0) + 1 from repot_objects)) + $1)::text \
                   returning value::bigint";
        let row = self.client().query_typed_one(sql, &[(&more, Type::INT8)]).await.map_err(|error| {
            if is_lost(&error) {
                self.connection.give_up();
            }
            failed("set numbers apart", error)
        })?;
        let end: i64 = row.get(0);
        self.numbers = end - more..end;
        Ok(())
    }

    /// The number of each item's object: that which it has, or one of those set apart.
    pub(crate) fn numbers_apart(&mut self, batch: &Batch) -> Result<Vec<i64>, Failure> {
        let mut numbers = Vec::with_capacity(batch.items.len());
        for item in &batch.items {
            let number = match self.number_of(item) {
                Some(number) => number,
                None => self.numbers.next().ok_or_else(|| {
                    let message = format!("{} was written without being locked", item.object.path);
                    Error::new(Kind::Internal, "R0901", message)
                })?,
            };
            numbers.push(number);
        }
        Ok(numbers)
    }

    /// Applies the batch and commits.
    async fn close(
        &mut self,
        plan: &Plan,
        batch: &Batch,
        (number, paths): (&str, &[String]),
        careful: bool,
    ) -> Result<Step<LoadReport>> {
        let mut flight = Flight::default();
        let written = self.write(plan, batch, (paths, careful), &mut flight).await;
        let landed = match written {
            Ok(Step::Done(report)) if report.refused.is_empty() => {
                self.forget_statements();
                (flight.commit(self.client()).await, report)
            }
            Ok(other) => {
                self.rollback().await;
                return Ok(other);
            }
            Err(failure) => (Landed::Failed(failure), LoadReport::default()),
        };
        match landed {
            (Landed::Committed, report) => Ok(Step::Done(report)),
            (Landed::Failed(failure), _) => {
                self.rollback().await;
                self.given_up(failure, careful)
            }
            (Landed::Lost, report) => {
                if self.outcome(number).await? {
                    return Ok(Step::Done(report));
                }
                let message = "the connection was lost before the commit";
                Ok(Step::Again(Error::new(Kind::Unavailable, "R0106", message)))
            }
        }
    }

    fn given_up(&mut self, failure: Failure, careful: bool) -> Result<Step<LoadReport>> {
        if let Failure::Server(_, error) = &failure
            && let Some(server) = error.as_db_error()
        {
            if is_given_up(server) {
                // they may have been given out before a copy
                self.numbers = 0..0;
                return Ok(Step::Again(failure.into()));
            }
            if is_refusal(server) && !careful {
                return Ok(Step::Carefully);
            }
        }
        if matches!(failure, Failure::Between(_)) {
            return Ok(Step::Again(failure.into()));
        }
        Err(failure.into())
    }

    /// Everything but what is left in the flight, and the commit.
    async fn write(
        &mut self,
        plan: &Plan,
        batch: &Batch,
        (paths, careful): (&[String], bool),
        flight: &mut Flight,
    ) -> Result<Step<LoadReport>, Failure> {
        check(batch)?;
        if careful && batch.items.iter().any(|item| item.kept.is_some()) {
            // whoever gave it has to read the texts
            return Ok(Step::Done(kept_refused(batch)));
        }
        let units = units(batch);
        self.claim(batch, flight).await?;
        if careful {
            flight.send(self.client()).await?;
        }
        // what refers to these rows is looked for next, and must not come in afterwards
        self.hold_referred(plan, batch, flight).await?;
        let report = if careful {
            self.apply_with_refusals(plan, batch, &units).await?
        } else {
            match self.apply_plainly(plan, batch, &units, flight).await? {
                Some(report) => report,
                None => return Ok(Step::Carefully),
            }
        };
        if !(batch.audit.records.is_empty() && batch.meta.is_empty()) {
            // others wait for a row of repot_meta: not while this one waits for what it wrote before
            flight.send(self.client()).await?;
        }
        self.put_audit(batch).await?;
        for (key, value) in &batch.meta {
            let set = set_meta(self.client(), key, value.as_deref()).await;
            set.map_err(Failure::server("write repot_meta"))?;
        }
        Self::meet_marks(batch, flight);
        let trash = !(batch.trash.is_empty() && batch.untrash.is_empty());
        if trash || plan.has_queues() {
            flight.send(self.client()).await?;
        }
        self.apply_trash(batch).await?;
        self.apply_messages(plan, batch).await?;
        apply_facts(&batch.facts, flight);
        self.not_made_meanwhile(batch, paths, flight);
        Ok(Step::Done(report))
    }

    /// Makes the records of new objects before anything else, so that of two that make one object the second finds out by
    /// its path, and not by a value in a row of the first.
    async fn claim(&mut self, batch: &Batch, flight: &mut Flight) -> Result<(), Failure> {
        let new = |item: &Item| !item.removes && !self.locked.contains_key(&item.object.path);
        let new: Vec<usize> = (0..batch.items.len()).filter(|&at| new(&batch.items[at])).collect();
        if new.is_empty() {
            return Ok(());
        }
        let numbers = self.object_numbers(batch).await?;
        let objects: Vec<(usize, i64)> = new.iter().map(|&at| (at, numbers[at])).collect();
        self.put_objects(batch, &objects, &Refused::new(), flight).await?;
        self.claimed =
            objects.iter().map(|&(at, number)| (batch.items[at].object.path.clone(), number)).collect();
        Ok(())
    }

    /// Nothing that was not there may be there now: what was read would not have held at one time. (What the batch puts
    /// there itself the unique index looks after.)
    fn not_made_meanwhile(&self, batch: &Batch, paths: &[String], flight: &mut Flight) {
        let put: HashSet<&str> = batch.items.iter().map(|item| item.object.path.as_str()).collect();
        let absent: Vec<String> = paths
            .iter()
            .filter(|path| !self.locked.contains_key(*path) && !put.contains(path.as_str()))
            .cloned()
            .collect();
        if absent.is_empty() {
            return;
        }
        flight.forbid(
            "look again at what was not there",
            "select from repot_objects where path = any($1)",
            vec![given(absent, Type::TEXT_ARRAY)],
            "a document that was not there was made by another writer meanwhile",
        );
    }

    /// Drops the records of the documents in these objects, which stay; gives what they were.
    pub(crate) async fn drop_documents(
        &self,
        items: impl Iterator<Item = &Item>,
    ) -> Result<Vec<FormerDocument>, Failure> {
        let (parts, items): (Vec<&Item>, Vec<&Item>) = items.partition(|item| item.touched.is_some());
        let mut dropped = self.drop_touched(&parts).await?;
        let paths: HashMap<i64, &str> = items
            .into_iter()
            .filter_map(|item| Some((*self.locked.get(&item.object.path)?, item.object.path.as_str())))
            .collect();
        if paths.is_empty() {
            return Ok(dropped);
        }
        let numbers: Vec<i64> = paths.keys().copied().collect();
        let sql = "delete from repot_documents where object = any($1) returning object, ordinal, collection, key, etag";
        let given: [(&(dyn ToSql + Sync), Type); 1] = [(&numbers, Type::INT8_ARRAY)];
        let dropping = self.client().query_again(sql, &given);
        let (kept, gone) = future::join(self.drop_kept(&numbers), dropping).await;
        kept?;
        let gone = gone.map_err(Failure::server("remove records of documents"))?;
        let path = |row: &Row| paths.get(&row.get::<_, i64>(0)).map(|path| (*path).to_owned());
        dropped.extend(gone.iter().filter_map(|row| Some(former(path(row)?, row, 0))));
        Ok(dropped)
    }

    /// Drops the records of single documents of objects that hold others too; gives what they were.
    async fn drop_touched(&self, items: &[&Item]) -> Result<Vec<FormerDocument>, Failure> {
        let (mut objects, mut ordinals) = (Vec::<i64>::new(), Vec::<i64>::new());
        let mut paths: HashMap<i64, &str> = HashMap::new();
        for item in items {
            let Some(&number) = self.locked.get(&item.object.path) else { continue };
            paths.insert(number, &item.object.path);
            for ordinal in item.touched.iter().flatten() {
                objects.push(number);
                ordinals.push(i64::from(*ordinal));
            }
        }
        if objects.is_empty() {
            return Ok(Vec::new());
        }
        let sql = "delete from repot_documents d using unnest($1, $2) as t(object, ordinal) \
                   where d.object = t.object and d.ordinal = t.ordinal \
                   returning d.object, d.ordinal, d.collection, d.key, d.etag";
        let gone = self
            .client()
            .query_typed(sql, &[(&objects, Type::INT8_ARRAY), (&ordinals, Type::INT8_ARRAY)])
            .await
            .map_err(Failure::server("remove records of documents"))?;
        let path = |row: &Row| paths.get(&row.get::<_, i64>(0)).map(|path| (*path).to_owned());
        Ok(gone.iter().filter_map(|row| Some(former(path(row)?, row, 0))).collect())
    }

    /// Overwrites the records of objects that are there: item and number. They stay the same rows, so that who waits
    /// for their lock finds them.
    pub(crate) fn overwrite_objects(
        &self,
        batch: &Batch,
        there: &[(usize, i64)],
        refused: &Refused,
        flight: &mut Flight,
    ) {
        let sql = "update repot_objects set size = $2, modified_ns = $3, etag = $4, sha256 = $5, collection = $6, \
                   status = $7, code = $8, reason = $9, frame = case when $11 then frame else $10 end where id = $1";
        for &(at, id) in there {
            let item = &batch.items[at];
            let object = &item.object;
            let keeps_frame = item.touched.is_some() && object.frame.is_none();
            let only = if item.documents.len() == 1 { refused.get(&(at, 0)) } else { None };
            let status = if only.is_some() { Status::SetAside } else { object.status } as i16;
            let own = object.reason.as_ref().map(|(code, text)| (code.as_str(), text.as_str()));
            let reason = only.map(|(code, text)| (*code, text.as_str())).or(own);
            // no text of PostgreSQL can hold a NUL
            let text = reason.map(|(_, text)| text.replace('\0', "\u{fffd}"));
            let values = vec![
                given(id, Type::INT8),
                given(i64::try_from(object.size).unwrap_or(i64::MAX), Type::INT8),
                given(object.modified_ns, Type::INT8),
                given(object.etag.clone(), Type::TEXT),
                given(object.sha256.to_vec(), Type::BYTEA),
                given(object.collection.clone(), Type::TEXT),
                given(status, Type::INT2),
                given(reason.map(|(code, _)| code.to_owned()), Type::TEXT),
                given(text, Type::TEXT),
                given(object.frame.clone(), Type::BYTEA),
                given(keeps_frame, Type::BOOL),
            ];
            flight.say("keep the objects' records", sql, values);
        }
    }
}

fn kept_refused(batch: &Batch) -> LoadReport {
    let kept = batch.items.iter().filter(|item| item.kept.is_some());
    let refused = kept.map(|item| Refusal {
        path: item.object.path.clone(),
        ordinal: 0,
        code: "R0203",
        reason: "the database refuses the change".to_owned(),
    });
    LoadReport { refused: refused.collect() }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
