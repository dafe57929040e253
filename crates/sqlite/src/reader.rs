//! The reading connection: one state of the database from its first read on, paged or streamed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::connection::Connection;
use repot_core::change_log::StoredChanges;
use repot_core::store::{SqlQuestion, SqlSink};
use repot_core::{
    Answer, AuditFilter, AuditRecord, Echo, FoundObject, HeldMessage, ListedDocument, Mark, Outline, Piece,
    QueryResult, Rank, Reader, Referred, Referrer, Result, Status, StoredDocument, StoredObject, TrashWanted,
    Trashed,
};
use repot_model::plan::{Plan, RowsWanted};
use repot_model::row::RowBuffer;
use repot_model::sql::Dialect;
use repot_model::sql::query::{Speech, Statement};
use rusqlite::OptionalExtension as _;

use crate::connect::{self, SqliteOptions};
use crate::error::{damaged, fail, failed};
use crate::prompt::Bound;
use crate::records::{self, document_sql, object_sql};
use crate::rows::Access;
use crate::statements::PlanSql;
use crate::{ask, audit, changes, decode, kept, marks, messages, query, question, schema, trash};

/// Objects asked for by one statement.
const OBJECTS_AT_ONCE: usize = 64;

/// A connection that reads.
pub(crate) struct SqliteReader {
    connection: Connection,
    shown: PathBuf,
    begun: bool,
    /// It reads in a transaction that is not its own to end.
    inner: bool,
    sql: Option<Arc<PlanSql>>,
    /// The database is not of a version before changes were kept beside texts.
    keeps: Option<bool>,
    /// `None`: the connection is not its own.
    bound: Option<Bound>,
}

impl SqliteReader {
    /// Reads in the transaction that was begun on this connection.
    pub(crate) fn within(connection: Connection, path: &Path, sql: Arc<PlanSql>) -> Self {
        Self {
            connection,
            shown: path.to_owned(),
            begun: true,
            inner: true,
            sql: Some(sql),
            keeps: Some(true),
            bound: None,
        }
    }

    pub(crate) fn into_connection(self) -> Connection {
        self.connection
    }

    pub(crate) fn open(path: &Path, options: &SqliteOptions, echo: Option<&Echo>) -> Result<Self> {
        let mut connection = connect::reader(path, options, echo)?;
        let busy_timeout = Duration::from_millis(options.busy_timeout_ms.into());
        let bound = Bound::none(&mut connection, busy_timeout).map_err(failed("open the database"))?;
        Ok(Self {
            connection,
            shown: path.to_owned(),
            begun: false,
            inner: false,
            sql: None,
            keeps: None,
            bound: Some(bound),
        })
    }

    /// The connection, and how far its reads may go.
    pub(crate) const fn bound(&mut self) -> (&Connection, Option<&mut Bound>) {
        (&self.connection, self.bound.as_mut())
    }

    /// The connection, in the one transaction in which everything is read.
    pub(crate) fn begin(&mut self) -> Result<&Connection> {
        if !self.begun {
            self.connection.run("begin").map_err(failed("begin to read"))?;
            self.begun = true;
        }
        Ok(&self.connection)
    }

    fn access<'a>(&'a mut self, plan: &'a Plan) -> Result<(&'a Connection, Arc<PlanSql>)> {
        let sql = match &self.sql {
            Some(sql) if sql.hash == plan.hash && sql.tables.len() == plan.tables.len() => Arc::clone(sql),
            _ => Arc::new(PlanSql::new(plan)),
        };
        self.sql = Some(Arc::clone(&sql));
        Ok((self.begin()?, sql))
    }

    fn one_object(&mut self, rest: &str, parameters: &[&str]) -> Result<Option<StoredObject>> {
        let what = "read an object";
        let connection = self.begin()?;
        connection
            .prepare_cached(&object_sql(true, rest))
            .and_then(|mut statement| {
                statement.query_row(rusqlite::params_from_iter(parameters), records::object).optional()
            })
            .map_err(failed(what))?
            .transpose()
    }
}

impl std::fmt::Debug for SqliteReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteReader").field("path", &self.shown).finish_non_exhaustive()
    }
}

impl Reader for SqliteReader {
    fn refresh(&mut self) -> Result<()> {
        if !self.inner && self.begun {
            if let Some(bound) = &self.bound {
                bound.lift();
            }
            // an error may have ended it
            if !self.connection.is_autocommit() {
                self.connection.run("commit").map_err(failed("read"))?;
            }
            self.begun = false;
        }
        Ok(())
    }

    fn meta(&mut self, key: &str) -> Result<Option<String>> {
        schema::meta(self.begin()?, key)
    }

    fn objects(&mut self, after: Option<&str>, most: usize, with_frame: bool) -> Result<Vec<StoredObject>> {
        let what = "read the objects";
        // the empty path comes before all others; it is none itself
        let sql = object_sql(with_frame, "where o.path > ?1 order by o.path limit ?2");
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let mut statement = self.begin()?.prepare_cached(&sql).map_err(failed(what))?;
        let mut rows = statement.query((after.unwrap_or_default(), most)).map_err(failed(what))?;
        let mut out = Vec::new();
        while let Some(row) = rows.next().map_err(failed(what))? {
            out.push(records::object(row).map_err(failed(what))??);
        }
        Ok(out)
    }

    fn documents(
        &mut self,
        objects: &[i64],
        each: &mut dyn FnMut(StoredDocument) -> Result<()>,
    ) -> Result<()> {
        let what = "read the documents";
        let mut ids = objects.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let known = self.keeps;
        let connection = self.begin()?;
        let keeps = match known {
            Some(keeps) => keeps,
            None => schema::taken(connection, "repot_pending")?.is_some(),
        };
        for run in ids.chunks(OBJECTS_AT_ONCE) {
            let (Some(&first), Some(&last)) = (run.first(), run.last()) else { continue };
            let contiguous =
                i64::try_from(run.len()).is_ok_and(|count| last.checked_sub(first) == Some(count - 1));
            let (sql, parameters) = if contiguous {
                (
                    document_sql("where d.object between ?1 and ?2 order by d.object, d.ordinal"),
                    vec![first, last],
                )
            } else {
                // filled up with the last one, so that there is one statement for every number of objects
                let mut parameters = run.to_vec();
                parameters.resize(OBJECTS_AT_ONCE, last);
                let marks = vec!["?"; OBJECTS_AT_ONCE].join(", ");
                (
                    document_sql(&format!("where d.object in ({marks}) order by d.object, d.ordinal")),
                    parameters,
                )
            };
            let mut kept =
                if keeps { kept::of_objects(connection, (first, last))? } else { kept::Kept::new() };
            let mut statement = connection.prepare_cached(&sql).map_err(failed(what))?;
            let mut rows = statement.query(rusqlite::params_from_iter(parameters)).map_err(failed(what))?;
            while let Some(row) = rows.next().map_err(failed(what))? {
                let mut document = records::document(row).map_err(failed(what))??;
                if let Some(kept) = kept.remove(&document.object) {
                    lay(&mut document, kept);
                }
                each(document)?;
            }
        }
        self.keeps = Some(keeps);
        Ok(())
    }

    fn count_objects(&mut self) -> Result<Vec<(Status, u64)>> {
        let count = |connection: &Connection| -> rusqlite::Result<Vec<(i64, i64)>> {
            let mut statement = connection
                .prepare_cached("select status, count(*) from repot_objects group by 1 order by 1")?;
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        };
        let counted = count(self.begin()?).map_err(failed("count the objects"))?;
        let pair = |(status, count)| Some((Status::from_number(status)?, u64::try_from(count).ok()?));
        Ok(counted.into_iter().filter_map(pair).collect())
    }

    fn object(&mut self, path: &str) -> Result<Option<StoredObject>> {
        self.one_object("where o.path = ?1", &[path])
    }

    fn hold(&mut self) -> Result<()> {
        self.begin().map(drop)
    }

    fn stored(&mut self, path: &str) -> Result<Option<FoundObject>> {
        let found = self
            .begin()?
            .prepare_cached(&records::FOUND)
            .and_then(|mut statement| statement.query_row([path], records::found).optional())
            .map_err(failed("read a document"))?
            .transpose()?;
        let Some((mut found, kept)) = found else { return Ok(None) };
        if kept && let Some(document) = &mut found.document {
            let one = (document.object, document.object);
            for (_, kept) in kept::of_objects(self.begin()?, one)? {
                lay(document, kept);
            }
        }
        Ok(Some(found))
    }

    fn outline(&mut self, path: &str) -> Result<Option<Outline>> {
        kept::outline(self.begin()?, path)
    }

    fn held_rows(&mut self, plan: &Plan, wanted: &RowsWanted) -> Result<RowBuffer> {
        let (connection, sql) = self.access(plan)?;
        kept::rows(Access { connection, plan, sql: &sql }, wanted)
    }

    fn kept(&mut self, after: &str, most: usize) -> Result<Vec<String>> {
        kept::page(self.begin()?, after, most)
    }

    fn stored_by_key(&mut self, collection: &str, key: &str) -> Result<Option<FoundObject>> {
        self.begin()?
            .prepare_cached(&records::FOUND_BY_KEY)
            .and_then(|mut statement| statement.query_row((collection, key), records::found).optional())
            .map_err(failed("read a document"))?
            .transpose()
            .map(|found| found.map(|(found, _)| found))
    }

    fn rank(&mut self, object: i64, collection: &str, ordinal: u32) -> Result<Rank> {
        let sql = "select count(*), coalesce(sum(collection = ?2), 0), (select max(ordinal) from repot_documents where object = ?1) from repot_documents where object = ?1 and ordinal < ?3";
        self.begin()?
            .prepare_cached(sql)
            .and_then(|mut statement| {
                statement.query_row((object, collection, ordinal), |row| {
                    let count = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
                    Ok(Rank { before: count(0)?, own: count(1)?, last: row.get(2)? })
                })
            })
            .map_err(failed("count the documents of an object"))
    }

    fn listed(&mut self, collection: &str, after: Option<&str>, most: usize) -> Result<Vec<ListedDocument>> {
        let sql = format!(
            "select o.path, d.key, d.size, {} from repot_documents as d join repot_objects as o on o.id = d.object \
             where d.collection = ?1 and d.key >= ?2 and (?3 or d.key > ?2) order by d.key limit ?4",
            marks::stamp_sql("d.collection", "d.key")
        );
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let read = |connection: &Connection| -> rusqlite::Result<Vec<ListedDocument>> {
            let mut statement = connection.prepare_cached(&sql)?;
            let values = (collection, after.unwrap_or_default(), after.is_none(), most);
            let found = statement.query_map(values, |row| {
                let (path, key) = (row.get(0)?, row.get(1)?);
                Ok(ListedDocument {
                    path,
                    key,
                    size: row.get::<_, i64>(2)?.unsigned_abs(),
                    stamp: row.get(3)?,
                })
            })?;
            found.collect()
        };
        read(self.begin()?).map_err(failed("list documents"))
    }

    fn exists(&mut self, path: &str) -> Result<Option<i64>> {
        let sql = format!(
            "select {} from repot_objects as o left join repot_documents as d on d.object = o.id and d.ordinal = 0 where o.path = ?1 and o.status in (0, 1)",
            marks::stamp_sql("d.collection", "d.key")
        );
        self.begin()?
            .prepare_cached(&sql)
            .and_then(|mut statement| statement.query_row([path], |row| row.get(0)).optional())
            .map_err(failed("look for a document"))
    }

    fn stamp(&mut self, collection: &str, key: &str) -> Result<i64> {
        marks::stamp(self.begin()?, collection, key)
    }

    fn marks(&mut self, after: (&str, &str), new: Option<&str>, most: usize) -> Result<Vec<Mark>> {
        marks::page(self.begin()?, after, new, most)
    }

    fn find_document(&mut self, collection: &str, key: &str) -> Result<Option<StoredObject>> {
        let by = "where o.id = (select object from repot_documents where collection = ?1 and key = ?2 order by code is not null, object limit 1)";
        self.one_object(by, &[collection, key])
    }

    fn changes(&mut self, after: i64, most: usize) -> Result<StoredChanges> {
        changes::read(self.begin()?, after, most)
    }

    fn set_aside(&mut self, code: Option<&str>, most: usize) -> Result<Vec<(String, u32, String, String)>> {
        let what = "read what is set aside";
        // an object that is kept in pieces, or was never read, has no documents but is set aside all the same
        let sql = "select o.path, d.ordinal, d.code, coalesce(d.reason, '') from repot_documents as d join repot_objects as o on o.id = d.object where d.code is not null and (?1 is null or d.code = ?1)
union all select o.path, 0, o.code, coalesce(o.reason, '') from repot_objects as o where o.status = 1 and o.code is not null and (?1 is null or o.code = ?1) and not exists (select 1 from repot_documents as d where d.object = o.id)
order by 1, 2 limit ?2";
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let read = |connection: &Connection| -> rusqlite::Result<Vec<(String, u32, String, String)>> {
            let mut statement = connection.prepare_cached(sql)?;
            statement
                .query_map((code, most), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
                .collect()
        };
        read(self.begin()?).map_err(failed(what))
    }

    fn pieces(&mut self, path: &str, each: &mut dyn FnMut(Piece) -> Result<()>) -> Result<()> {
        let what = "read the pieces of an object";
        let sql = "select number, bytes from repot_pieces where path = ?1 order by number";
        let mut statement = self.begin()?.prepare_cached(sql).map_err(failed(what))?;
        let mut rows = statement.query([path]).map_err(failed(what))?;
        while let Some(row) = rows.next().map_err(failed(what))? {
            let number = row.get(0).map_err(failed(what))?;
            each(Piece { number, bytes: row.get(1).map_err(failed(what))? })?;
        }
        Ok(())
    }

    fn dictionaries(&mut self) -> Result<Vec<(i64, String, Vec<u8>)>> {
        let read = |connection: &Connection| -> rusqlite::Result<Vec<(i64, String, Vec<u8>)>> {
            let mut statement = connection
                .prepare_cached("select id, collection, bytes from repot_dictionaries order by id")?;
            statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
        };
        read(self.begin()?).map_err(failed("read the dictionaries"))
    }

    fn scan(&mut self, plan: &Plan, table: usize, each: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let (connection, sql) = self.access(plan)?;
        let shape = &plan.tables[table];
        let what = format!("read the table {}", shape.name);
        let mut statement = match connection.prepare(&sql.tables[table].scan) {
            Ok(statement) => statement,
            Err(error) => return Err(missing(connection, plan, table)?.unwrap_or_else(|| fail(&what, error))),
        };
        let mut rows = statement.query(()).map_err(failed(&what))?;
        let mut cells = Vec::new();
        while let Some(row) = rows.next().map_err(failed(&what))? {
            cells.clear();
            decode::row(shape, row, &mut cells).map_err(failed(&what))?;
            each(&cells)?;
        }
        Ok(())
    }

    fn document_rows(&mut self, plan: &Plan, root_table: usize, key: &[u8]) -> Result<RowBuffer> {
        let (connection, sql) = self.access(plan)?;
        let mut rows = RowBuffer::new();
        Access { connection, plan, sql: &sql }.document(root_table, key, &mut rows)?;
        Ok(rows)
    }

    fn root_of(&mut self, plan: &Plan, table: usize, identity: &[u8]) -> Result<Option<(String, String)>> {
        let (connection, sql) = self.access(plan)?;
        let access = Access { connection, plan, sql: &sql };
        match access.by_identity(table, identity)? {
            Some(row) => access.root_of(table, &row),
            None => Ok(None),
        }
    }

    fn audit(&mut self, filter: &AuditFilter, most: usize) -> Result<Vec<AuditRecord>> {
        audit::read(self.begin()?, filter, most)
    }

    fn referrers(&mut self, plan: &Plan, referred: &Referred<'_>) -> Result<Vec<Referrer>> {
        let (connection, sql) = self.access(plan)?;
        Access { connection, plan, sql: &sql }.referrers(referred)
    }

    fn holds(&mut self, held: &HeldMessage) -> Result<bool> {
        messages::holds(self.begin()?, held)
    }

    fn trash(&mut self, wanted: &TrashWanted<'_>) -> Result<Vec<Trashed>> {
        trash::read(self.begin()?, wanted)
    }

    fn query(&mut self, sql: &str, most: usize) -> Result<QueryResult> {
        self.begin()?;
        query::run(&mut self.connection, sql, most)
    }

    fn read_sql(&mut self, question: &SqlQuestion, sink: &mut SqlSink) -> Result<bool> {
        self.begin()?;
        let done = question::run(&mut self.connection, question, sink);
        if let Some(bound) = &mut self.bound {
            bound.renew(&mut self.connection).map_err(failed("run the query"))?;
        }
        done
    }

    fn speech(&mut self) -> Result<Speech> {
        Ok(Speech { dialect: Dialect::Sqlite, texts_by_bytes: true, policed: false })
    }

    fn ask(&mut self, statement: &Statement, bytes_max: usize) -> Result<Answer> {
        ask::run(self.begin()?, statement, bytes_max)
    }

    fn explain(&mut self, statement: &Statement) -> Result<Vec<String>> {
        ask::explain(self.begin()?, statement)
    }
}

/// Says of a document what is kept beside its text: changes, each with the `ETag` after it.
fn lay(document: &mut StoredDocument, kept: Vec<(String, Vec<u8>)>) {
    for (etag, change) in kept {
        document.record.etag = etag;
        document.record.version += 1;
        document.kept.push(change);
    }
}

/// Which table or column of the plan is not there.
fn missing(connection: &Connection, plan: &Plan, table: usize) -> Result<Option<repot_core::Error>> {
    let shape = &plan.tables[table];
    let read = || -> rusqlite::Result<Vec<String>> {
        let mut statement = connection.prepare("select name from pragma_table_xinfo(?1)")?;
        statement.query_map([&shape.name], |row| row.get(0))?.collect()
    };
    let there = read().map_err(failed("read the schema"))?;
    if there.is_empty() {
        return Ok(Some(damaged(format!("the table {} is missing", shape.name))));
    }
    let gone =
        shape.columns.iter().find(|column| !there.iter().any(|name| name.eq_ignore_ascii_case(&column.name)));
    Ok(gone.map(|column| damaged(format!("the column {}.{} is missing", shape.name, column.name))))
}
