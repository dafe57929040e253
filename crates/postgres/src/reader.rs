//! The reading connection: one repeatable-read transaction from its first read to its end.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use repot_core::change_log::StoredChanges;
use repot_core::store::{SqlQuestion, SqlSink};
use repot_core::{
    Answer, AuditFilter, AuditRecord, Error, FoundObject, HeldMessage, ListedDocument, Mark, Outline, Piece,
    QueryResult, Rank, Reader, Referred, Referrer, Result, Status, StoredDocument, StoredObject, TrashWanted,
    Trashed,
};
use repot_model::plan::{Plan, RowsWanted, key_text};
use repot_model::row::RowBuffer;
use repot_model::sql::query::{Speech, Statement};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::address::Address;
use crate::ahead::Seen;
use crate::client::was_stale;
use crate::connect::Connection;
use crate::error::{failed, is_lost};
use crate::fetch::{Fetching, Question};
use crate::parameters::{Parameters, given, limit};
use crate::question::Asking;
use crate::runtime::Runtime;
use crate::transaction::{SharedPlan, begin_reading};
use crate::within::Within;
use crate::{ask, audit, change_log, create, kept, marks, messages, query, referrers, scan, stored, trash};

/// Records are handed over when they have about this many bytes.
const PAGE_BYTES: usize = 256 * 1024;

/// The one parameter of a statement about a path.
fn at(path: &str) -> Parameters {
    vec![given(path.to_owned(), Type::TEXT)]
}

/// A connection for reading.
pub struct PostgresReader {
    pub(crate) runtime: Runtime,
    /// The runtime of those who read, where the connection lives in it.
    pub(crate) home: Option<Handle>,
    pub(crate) address: Address,
    pub(crate) connection: Arc<Connection>,
    /// While each read has to answer at once.
    pub(crate) fetching: Option<Fetching>,
    plan: SharedPlan,
    pub(crate) begun: bool,
    pub(crate) speech: Option<Speech>,
    /// The database is not of a version before changes were kept beside texts.
    keeps: Option<bool>,
    /// The role that a tenant's statements run under.
    pub(crate) tenants: Option<Arc<str>>,
    /// Its session is nobody else's: settings and prepared statements stay.
    direct: bool,
    /// It reads in a transaction that is not its own to end.
    pub(crate) within: Option<Arc<Within>>,
    /// What was read ahead of the state that is held.
    pub(crate) expected: Seen,
}

impl fmt::Debug for PostgresReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresReader({})", self.address)
    }
}

/// A connection that lives at home, or where there is no home any more, with who waits for it.
fn connected(
    (runtime, home): (&Runtime, &mut Option<Handle>),
    address: &Address,
    direct: bool,
) -> Result<Connection> {
    let connecting = || {
        let to = address.clone();
        async move { Connection::open_settled(&to, direct).await }
    };
    if let Some(there) = home {
        match runtime.run_in(there, connecting()) {
            Some(connection) => return connection,
            None => *home = None,
        }
    }
    runtime.run(connecting())
}

impl PostgresReader {
    /// `direct`: no pooler gives the session to others.
    pub(crate) fn open(
        (runtime, mut home): (Runtime, Option<Handle>),
        address: Address,
        tenants: Option<Arc<str>>,
        direct: bool,
    ) -> Result<Self> {
        let connection = Arc::new(connected((&runtime, &mut home), &address, direct)?);
        Ok(Self {
            runtime,
            home,
            address,
            connection,
            fetching: None,
            plan: SharedPlan::default(),
            begun: false,
            within: None,
            expected: Seen::default(),
            speech: None,
            keeps: None,
            tenants,
            direct,
        })
    }

    /// Reads in the transaction that was begun on this connection.
    pub(crate) fn within(
        (runtime, address): (Runtime, Address),
        connection: Arc<Connection>,
        within: Arc<Within>,
    ) -> Self {
        let plan = SharedPlan::default();
        Self {
            runtime,
            home: None,
            address,
            connection,
            fetching: None,
            plan,
            begun: true,
            within: Some(within),
            expected: Seen::default(),
            speech: None,
            keeps: Some(true),
            tenants: None,
            direct: false,
        }
    }

    pub(crate) fn reconnect(&mut self) -> Result<()> {
        let at = (&self.runtime, &mut self.home);
        self.connection = Arc::new(connected(at, &self.address, self.direct)?);
        Ok(())
    }

    fn try_begin(&self) -> Result<()> {
        let connection = Arc::clone(&self.connection);
        let sql = begin_reading(&self.connection.client, &self.address);
        self.runtime.run(async move {
            connection.client.begin(&sql).await.map_err(|error| {
                if is_lost(&error) {
                    connection.give_up();
                }
                failed("begin to read", error)
            })
        })
    }

    fn begin(&mut self) -> Result<()> {
        if let Some(fetching) = &mut self.fetching {
            return Err(fetching.refuse());
        }
        if !self.begun {
            if !self.connection.is_alive() {
                self.reconnect()?;
            }
            if let Err(error) = self.try_begin() {
                if self.connection.is_alive() {
                    return Err(error);
                }
                // a session that ended while nobody used it
                self.reconnect()?;
                self.try_begin()?;
            }
            (self.begun, self.expected) = (true, Seen::default());
        }
        Ok(())
    }

    pub(crate) fn run<T: Send + 'static, F: Future<Output = Result<T>> + Send + 'static>(
        &mut self,
        work: impl FnOnce(Arc<Connection>) -> F,
    ) -> Result<T> {
        self.begin()?;
        let done = self.runtime.run(work(Arc::clone(&self.connection)));
        if let (Some(within), Err(error)) = (&self.within, &done)
            && was_stale(error)
        {
            // the statement is made anew with the transaction
            within.escaped.store(true, Ordering::Relaxed);
        }
        done
    }

    /// Streams rows, mapped in the task, in pages bounded in bytes.
    fn pages<T: Send + 'static>(
        &mut self,
        what: &'static str,
        sql: String,
        parameters: Parameters,
        map: fn(&Row) -> Result<(T, usize)>,
        each: &mut dyn FnMut(T) -> Result<()>,
    ) -> Result<()> {
        self.begin()?;
        let connection = Arc::clone(&self.connection);
        let produce = |sender: mpsc::Sender<Vec<T>>| async move {
            let given =
                parameters.iter().map(|(value, kind)| (value.as_ref() as &(dyn ToSql + Sync), kind.clone()));
            let stream =
                connection.client.query_typed_raw(&sql, given).await.map_err(|error| failed(what, error))?;
            let mut stream = pin!(stream);
            let mut page = Vec::new();
            let mut size = 0;
            while let Some(row) = stream.next().await {
                let (item, bytes) = map(&row.map_err(|error| failed(what, error))?)?;
                page.push(item);
                size += bytes + 64;
                if size >= PAGE_BYTES {
                    size = 0;
                    if sender.send(std::mem::take(&mut page)).await.is_err() {
                        return Ok(());
                    }
                }
            }
            // a caller that wants no more has what it asked for
            drop(sender.send(page).await);
            Ok(())
        };
        self.runtime.stream(produce, |page| page.into_iter().try_for_each(&mut *each))
    }
}

impl Reader for PostgresReader {
    fn refresh(&mut self) -> Result<()> {
        // with its connection a transaction has ended
        if self.within.is_none() && std::mem::take(&mut self.begun) && self.connection.is_alive() {
            let connection = Arc::clone(&self.connection);
            self.runtime.run(async move {
                connection.client.batch_execute("commit").await.map_err(|error| failed("read", error))
            })?;
        }
        Ok(())
    }

    fn meta(&mut self, key: &str) -> Result<Option<String>> {
        if let Some(value) = self.seen(|seen| seen.meta(key)) {
            return Ok(value);
        }
        let key = key.to_owned();
        self.run(|connection| async move { create::meta(&connection.client, &key).await })
    }

    fn objects(&mut self, after: Option<&str>, most: usize, with_frame: bool) -> Result<Vec<StoredObject>> {
        let frame = if with_frame { ", frame" } else { "" };
        let mut parameters = vec![given(limit(most), Type::INT8)];
        let place = match after {
            Some(after) => {
                parameters.push(given(after.to_owned(), Type::TEXT));
                "where path > $2 "
            }
            None => "",
        };
        let sql =
            format!("select {}{frame} from repot_objects {place}order by path limit $1", stored::OBJECT);
        self.rows("read repot_objects", sql, parameters)?.iter().map(stored::object).collect()
    }

    fn documents(
        &mut self,
        objects: &[i64],
        each: &mut dyn FnMut(StoredDocument) -> Result<()>,
    ) -> Result<()> {
        let keeps = match self.keeps {
            Some(keeps) => keeps,
            None => {
                let sql = "select to_regclass(quote_ident(current_schema()) || '.repot_pending') is not null";
                let rows = self.rows("look at the database", sql.to_owned(), Vec::new())?;
                rows.first().is_some_and(|row| row.get(0))
            }
        };
        self.keeps = Some(keeps);
        let sql =
            format!("{} where d.object = any($1) order by d.object, d.ordinal", stored::document_sql(keeps));
        let map = |row: &Row| {
            stored::document(row)
                .map(|document| (document.record.text.len(), document))
                .map(|(size, document)| (document, size))
        };
        self.pages("read repot_documents", sql, vec![given(objects.to_vec(), Type::INT8_ARRAY)], map, each)
    }

    fn count_objects(&mut self) -> Result<Vec<(Status, u64)>> {
        let sql = "select status::bigint, count(*) from repot_objects group by 1 order by 1".to_owned();
        let counted = self.rows("count the objects", sql, Vec::new())?;
        let pair = |row: &Row| {
            Some((
                Status::from_number(row.try_get(0).ok()?)?,
                u64::try_from(row.try_get::<_, i64>(1).ok()?).ok()?,
            ))
        };
        Ok(counted.iter().filter_map(pair).collect())
    }

    fn object(&mut self, path: &str) -> Result<Option<StoredObject>> {
        let sql = format!("select {}, frame from repot_objects where path = $1", stored::OBJECT);
        let rows = self.rows("read repot_objects", sql, vec![given(path.to_owned(), Type::TEXT)])?;
        let found = rows.first().map(stored::object).transpose()?;
        if let (Some(within), Some(object)) = (&self.within, &found) {
            within.check(path, object.id)?;
        }
        Ok(found)
    }

    fn hold(&mut self) -> Result<()> {
        self.begin()
    }

    fn stored(&mut self, path: &str) -> Result<Option<FoundObject>> {
        let found = match self.seen(|seen| seen.stored(path)) {
            Some(found) => found,
            None => {
                let rows = self.rows_now("read a document", &stored::FOUND, at(path))?;
                rows.first().map(stored::found).transpose()?
            }
        };
        if let (Some(within), Some(found)) = (&self.within, &found) {
            within.check(path, found.object.id)?;
        }
        Ok(found)
    }

    fn stored_by_key(&mut self, collection: &str, key: &str) -> Result<Option<FoundObject>> {
        let sql = stored::FOUND_BY_KEY.clone();
        let parameters = vec![given(collection.to_owned(), Type::TEXT), given(key.to_owned(), Type::TEXT)];
        let rows = self.rows("read a document", sql, parameters)?;
        let found = rows.first().map(stored::found).transpose()?;
        if let (Some(within), Some(found)) = (&self.within, &found) {
            within.check(&found.object.record.path, found.object.id)?;
        }
        Ok(found)
    }

    fn outline(&mut self, path: &str) -> Result<Option<Outline>> {
        let found = match self.seen(|seen| seen.outline(path)) {
            Some(found) => found,
            None => {
                let rows = self.rows_now("look at a document", &kept::OUTLINE, at(path))?;
                rows.first().map(|row| kept::outline(row, 0)).transpose()?
            }
        };
        if let (Some(within), Some(found)) = (&self.within, &found) {
            within.check(path, found.object)?;
        }
        Ok(found)
    }

    fn rank(&mut self, object: i64, collection: &str, ordinal: u32) -> Result<Rank> {
        let sql = "select count(*), count(*) filter (where collection = $2), (select max(ordinal) from repot_documents where object = $1) \
                   from repot_documents where object = $1 and ordinal < $3";
        let parameters = vec![
            given(object, Type::INT8),
            given(collection.to_owned(), Type::TEXT),
            given(i64::from(ordinal), Type::INT8),
        ];
        let rows = self.rows("count the documents of an object", sql.to_owned(), parameters)?;
        let count = |row: &Row, at| u64::try_from(row.get::<_, i64>(at)).unwrap_or(0);
        Ok(rows.first().map_or_else(Rank::default, |row| Rank {
            before: count(row, 0),
            own: count(row, 1),
            last: row.get::<_, Option<i64>>(2).and_then(|last| u32::try_from(last).ok()),
        }))
    }

    fn listed(&mut self, collection: &str, after: Option<&str>, most: usize) -> Result<Vec<ListedDocument>> {
        let sql = format!(
            "select o.path, d.key, d.size, {} from repot_documents d join repot_objects o on o.id = d.object \
             where d.collection = $1 and d.key >= $2 and ($3 or d.key > $2) order by d.key limit $4",
            marks::stamp_sql("d.collection", "d.key")
        );
        let parameters = vec![
            given(collection.to_owned(), Type::TEXT),
            given(after.unwrap_or_default().to_owned(), Type::TEXT),
            given(after.is_none(), Type::BOOL),
            given(limit(most), Type::INT8),
        ];
        let rows = self.rows("list documents", sql, parameters)?;
        let listed = |row: &Row| ListedDocument {
            path: row.get(0),
            key: row.get(1),
            size: u64::try_from(row.get::<_, i64>(2)).unwrap_or(0),
            stamp: row.get(3),
        };
        Ok(rows.iter().map(listed).collect())
    }

    fn held_rows(&mut self, plan: &Plan, wanted: &RowsWanted) -> Result<RowBuffer> {
        if let Some(rows) = self.seen(|seen| seen.rows(wanted)) {
            return Ok(rows);
        }
        let (plan, wanted) = (self.plan.of(plan), wanted.clone());
        self.run(|connection| async move { Ok(kept::rows(&connection.client, &plan, &wanted).await?) })
    }

    fn kept(&mut self, after: &str, most: usize) -> Result<Vec<String>> {
        let parameters = vec![given(after.to_owned(), Type::TEXT), given(limit(most), Type::INT8)];
        let rows = self.rows("read what is kept beside documents", kept::PAGE.to_owned(), parameters)?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    fn exists(&mut self, path: &str) -> Result<Option<i64>> {
        let sql = format!(
            "select {} from repot_objects o left join repot_documents d on d.object = o.id and d.ordinal = 0 \
             where o.path = $1 and o.status in (0, 1)",
            marks::stamp_sql("d.collection", "d.key")
        );
        Ok(self.rows_now("look for a document", &sql, at(path))?.first().map(|row| row.get(0)))
    }

    fn stamp(&mut self, collection: &str, key: &str) -> Result<i64> {
        if let Some(stamp) = self.seen(|seen| seen.stamp(collection, key)) {
            return Ok(stamp);
        }
        let sql = format!("select {}", marks::stamp_sql("$1", "$2"));
        let parameters = vec![given(collection.to_owned(), Type::TEXT), given(key.to_owned(), Type::TEXT)];
        Ok(self.rows("read a mark", sql, parameters)?.first().map_or(0, |row| row.get(0)))
    }

    fn marks(&mut self, after: (&str, &str), new: Option<&str>, most: usize) -> Result<Vec<Mark>> {
        let mut parameters = vec![
            given(after.0.to_owned(), Type::TEXT),
            given(after.1.to_owned(), Type::TEXT),
            given(limit(most), Type::INT8),
        ];
        parameters.extend(new.map(|new| given(new.to_owned(), Type::TEXT)));
        let rows = self.rows_now("read the marks", &marks::page_sql(new.is_some()), parameters)?;
        Ok(rows
            .iter()
            .map(|row| Mark { collection: row.get(0), key: row.get(1), stamp: row.get(2) })
            .collect())
    }

    fn find_document(&mut self, collection: &str, key: &str) -> Result<Option<StoredObject>> {
        let sql = format!(
            "select {}, frame from repot_objects where id = (select object from repot_documents where collection = $1 and key = $2 order by code is not null, object limit 1)",
            stored::OBJECT
        );
        let parameters = vec![given(collection.to_owned(), Type::TEXT), given(key.to_owned(), Type::TEXT)];
        self.rows("find a document", sql, parameters)?.first().map(stored::object).transpose()
    }

    fn changes(&mut self, after: i64, most: usize) -> Result<StoredChanges> {
        let (sql, [after, most], pruned) = change_log::reading(after, most);
        let parameters = vec![given(after, Type::INT8), given(most, Type::INT8), given(pruned, Type::TEXT)];
        change_log::read(&self.rows("read the change log", sql.to_owned(), parameters)?)
    }

    fn set_aside(&mut self, code: Option<&str>, most: usize) -> Result<Vec<(String, u32, String, String)>> {
        let sql = "select o.path, d.ordinal, d.code, coalesce(d.reason, '') from repot_documents d join repot_objects o on o.id = d.object \
                   where d.code is not null and ($2::text is null or d.code = $2) \
                   union all \
                   select o.path, 0, o.code, coalesce(o.reason, '') from repot_objects o \
                   where o.status = 1 and o.code is not null and ($2::text is null or o.code = $2) \
                   and not exists (select from repot_documents d where d.object = o.id) \
                   order by 1, 2 limit $1";
        let parameters = vec![given(limit(most), Type::INT8), given(code.map(str::to_owned), Type::TEXT)];
        let rows = self.rows("read what is set aside", sql.to_owned(), parameters)?;
        Ok(rows
            .iter()
            .map(|row| {
                (row.get(0), u32::try_from(row.get::<_, i64>(1)).unwrap_or(u32::MAX), row.get(2), row.get(3))
            })
            .collect())
    }

    fn pieces(&mut self, path: &str, each: &mut dyn FnMut(Piece) -> Result<()>) -> Result<()> {
        let map = |row: &Row| {
            let bytes: Vec<u8> = row.get(1);
            let size = bytes.len();
            Ok((Piece { number: u32::try_from(row.get::<_, i64>(0)).unwrap_or(u32::MAX), bytes }, size))
        };
        let sql = "select number, bytes from repot_pieces where path = $1 order by number".to_owned();
        self.pages("read repot_pieces", sql, vec![given(path.to_owned(), Type::TEXT)], map, each)
    }

    fn dictionaries(&mut self) -> Result<Vec<(i64, String, Vec<u8>)>> {
        let sql = "select id, collection, bytes from repot_dictionaries order by id".to_owned();
        let rows = self.rows("read repot_dictionaries", sql, Vec::new())?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect())
    }

    fn scan(&mut self, plan: &Plan, table: usize, each: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.begin()?;
        let plan = self.plan.of(plan);
        let connection = Arc::clone(&self.connection);
        let produce = |sender| async move { scan::scan(&connection.client, plan, table, sender).await };
        self.runtime.stream(produce, |page: RowBuffer| page.iter().try_for_each(|(_, cells)| each(cells)))
    }

    fn document_rows(&mut self, plan: &Plan, root_table: usize, key: &[u8]) -> Result<RowBuffer> {
        let plan = self.plan.of(plan);
        let key = key.to_vec();
        self.run(|connection| async move {
            scan::document_rows(&connection.client, &plan, root_table, &key).await
        })
    }

    fn root_of(&mut self, plan: &Plan, table: usize, identity: &[u8]) -> Result<Option<(String, String)>> {
        let plan = self.plan.of(plan);
        let identity = identity.to_vec();
        self.run(|connection| async move {
            let found = stored::root_of(&connection.client, &plan, table, &identity).await?;
            Ok::<_, Error>(found.map(|(root, key)| (plan.tables[root].name.clone(), key_text(&key))))
        })
    }

    fn audit(&mut self, filter: &AuditFilter, most: usize) -> Result<Vec<AuditRecord>> {
        let what = "read the record of changes";
        let there =
            "select to_regclass(quote_ident(current_schema()) || '.repot_audit') is not null".to_owned();
        let there = self.rows(what, there, Vec::new())?;
        if !there.first().is_some_and(|row| row.get(0)) {
            return Ok(Vec::new());
        }
        let (sql, parameters) = audit::select(filter, most);
        self.rows(what, sql, parameters)?.iter().map(audit::record).collect()
    }

    fn referrers(&mut self, plan: &Plan, referred: &Referred<'_>) -> Result<Vec<Referrer>> {
        let plan = self.plan.of(plan);
        let Referred { table, column, values, most } = *referred;
        let values = values.to_vec();
        self.run(|connection| async move {
            referrers::referrers(&connection.client, &plan, (table, column), (&values, most)).await
        })
    }

    fn holds(&mut self, held: &HeldMessage) -> Result<bool> {
        Ok(!self.rows("look for a lease", messages::holds(), messages::naming(held))?.is_empty())
    }

    fn trash(&mut self, wanted: &TrashWanted<'_>) -> Result<Vec<Trashed>> {
        let (sql, values) = trash::statement(wanted);
        Ok(self.rows("read repot_trash", sql, values)?.iter().map(trash::trashed).collect())
    }

    fn query(&mut self, sql: &str, most: usize) -> Result<QueryResult> {
        let address = self.address.clone();
        let sql = sql.to_owned();
        self.run(|connection| async move { query::query(&connection.client, &address, &sql, most).await })
    }

    fn read_sql(&mut self, question: &SqlQuestion, sink: &mut SqlSink) -> Result<bool> {
        self.begin()?;
        let asking = Asking::new(Arc::clone(&self.connection), self.address.clone(), question.clone());
        asking.run(&self.runtime, sink)
    }

    fn speech(&mut self) -> Result<Speech> {
        match self.speech {
            Some(speech) => Ok(speech),
            None => {
                if let Some(fetching) = &mut self.fetching {
                    return Err(fetching.want(Question::Speech));
                }
                let mut speech =
                    self.run(|connection| async move { ask::speech(&connection.client).await })?;
                speech.policed = self.tenants.is_some();
                Ok(*self.speech.insert(speech))
            }
        }
    }

    fn ask(&mut self, statement: &Statement, bytes_max: usize) -> Result<Answer> {
        self.asked(statement, bytes_max)
    }

    fn ask_once(&mut self, statement: &Statement, bytes_max: usize) -> Result<Answer> {
        self.asked_once(statement, bytes_max)
    }

    fn explain(&mut self, statement: &Statement) -> Result<Vec<String>> {
        let (statement, role) = (statement.clone(), self.tenants.clone());
        self.run(
            |connection| async move { ask::explain(&connection.client, &statement, role.as_deref()).await },
        )
    }
}
