//! The full text indexes: made and removed with the model, kept by our own writes, brought up to date with what plain SQL
//! changed.

use crate::client::Client;
use futures_util::future;
use repot_core::{Batch, Result};
use repot_model::plan::{Plan, Table};
use repot_model::row::{Cell, Cells};
use repot_model::search::{Part, parts};
use repot_model::sql::{
    Dialect, SEARCH_META, SEARCH_PREFIX, SearchIndex, is_kept_by_writes, quote, search_indexes, search_meta,
    settle_search,
};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::chain::{Encoded, parameter};
use crate::changes::identity;
use crate::copy::Failure;
use crate::create::{meta, set_meta};
use crate::encode::type_of;
use crate::error::{failed, is_given_up};
use crate::flight::Flight;
use crate::stored::Raw;
use crate::transaction::Writer;

const WHAT: &str = "write the full text index";
/// Parts sent before the first answer is awaited.
const PIPELINED: usize = 64;
/// Tries of one step, when the server gives it up for another transaction.
const TRIES_MAX: usize = 10;

const KEEP: &str =
    "select set_config('repot.search', value, true) from repot_meta where key = $1 and value = $2";

/// A part: the keys of its row, and its words as the text of a `tsvector`.
type Indexed = Vec<Encoded>;

/// What is kept under [`SEARCH_META`] where our own writes can keep the indexes of this model; `None`: there are none, or they cannot.
pub(crate) fn kept_by_writes(plan: &Plan) -> Option<String> {
    let indexes = search_indexes(plan);
    search_meta(indexes).filter(|_| is_kept_by_writes(plan, indexes))
}

impl Writer {
    /// Makes what the model asks for, empty and with a mark on every row; removes what it does not ask for.
    pub(crate) async fn settle_search(&mut self, plan: &Plan) -> Result<()> {
        self.ready().await?;
        if statements(self.client(), plan).await?.is_empty() {
            return Ok(());
        }
        loop {
            let number = self.begin().await?;
            if let Err(error) = self.make_search(plan).await {
                self.rollback().await;
                return Err(error);
            }
            if self.commit(&number).await? {
                return Ok(());
            }
        }
    }

    async fn make_search(&self, plan: &Plan) -> Result<()> {
        let client = self.client();
        let what = |error| failed("make the full text indexes", error);
        // two that open the database at once make them one after the other
        client.batch_execute("lock table repot_meta in share row exclusive mode").await.map_err(what)?;
        let statements = statements(client, plan).await?.join(";\n");
        client.batch_execute(&statements).await.map_err(what)?;
        let meta = search_meta(search_indexes(plan));
        set_meta(client, SEARCH_META, meta.as_deref()).await.map_err(what)
    }

    /// Indexes the rows of a batch, after they are written, which what is still to be sent may do. Where the indexes are not there, or
    /// are of another model, the triggers mark what is written, if there are any.
    pub(crate) async fn index_batch(
        &mut self,
        plan: &Plan,
        batch: &Batch,
        flight: &mut Flight,
    ) -> Result<(), Failure> {
        let indexes = search_indexes(plan);
        if self.search_kept != Some(true) || indexes.is_empty() {
            return Ok(());
        }
        let shapes: Vec<Table> = indexes.iter().map(|index| index.shape(&plan.tables[index.table])).collect();
        let (mut gone, mut indexed) = (Vec::new(), Vec::new());
        for item in &batch.items {
            let deleted = item.changes.deletes.iter().map(|(table, keys)| (table, keys.to_vec(), None));
            let touched = |&(table, _, columns): &(usize, &[u8], Option<&[usize]>)| {
                indexes.iter().any(|index| index.table == table && index.is_touched_by(columns))
            };
            let written = item
                .written()
                .filter(touched)
                .map(|(table, row, _)| (table, identity(&plan.tables[table], row), Some(row)));
            let all = if item.removes { None } else { Some(written) };
            for (table, keys, row) in deleted.chain(all.into_iter().flatten()) {
                let Some(at) = indexes.iter().position(|index| index.table == table) else { continue };
                if let Some(row) = row {
                    of_row(&shapes[at], (&keys, row), &indexes[at].columns, |part| indexed.push((at, part)))?;
                }
                gone.push((at, keys));
            }
        }
        if gone.is_empty() {
            return Ok(());
        }
        flight.send(self.client()).await?;
        self.delete_found(&shapes, gone.iter().map(|(at, keys)| (*at, keys.as_slice()))).await?;
        for (at, index) in indexes.iter().enumerate() {
            let own = indexed.iter().filter(|(of, _)| *of == at).map(|(_, part)| part);
            self.put_parts(index, &plan.tables[index.table], own.collect()).await?;
        }
        Ok(())
    }

    /// Tells the triggers that this transaction keeps the indexes itself, where they are there and of this model; unless it was told
    /// with what was read ahead.
    pub(crate) async fn keep_search(&mut self, plan: &Plan) -> Result<(), Failure> {
        if self.search_kept.is_some() {
            return Ok(());
        }
        let kept = match kept_by_writes(plan) {
            Some(made) => {
                let given: [(&(dyn ToSql + Sync), Type); 2] =
                    [(&SEARCH_META, Type::TEXT), (&made, Type::TEXT)];
                let kept = self.client().query_again(KEEP, &given).await;
                !kept.map_err(Failure::server(WHAT))?.is_empty()
            }
            None => false,
        };
        self.search_kept = Some(kept);
        Ok(())
    }

    async fn put_parts(
        &mut self,
        index: &SearchIndex,
        table: &Table,
        indexed: Vec<&Indexed>,
    ) -> Result<(), Failure> {
        let keys = table.identity.len();
        let marks: Vec<String> = (1..=keys).map(|at| format!("${at}")).collect();
        let sql = format!(
            "insert into {} ({}, words) values ({}, ${}::text::tsvector)",
            quote(&index.rows),
            index.keys(table),
            marks.join(", "),
            keys + 1
        );
        let kinds = table.identity.iter().map(|&column| type_of(table.columns[column].kind));
        let types: Vec<Type> = kinds.chain([Type::TEXT]).collect();
        for some in indexed.chunks(PIPELINED) {
            let statement = self.prepared(&sql, &types).await.map_err(Failure::server(WHAT))?;
            let (client, statement) = (self.client(), &statement);
            let running = some.iter().map(|values| {
                client.execute_raw(statement, values.iter().map(|value| value as &(dyn ToSql + Sync)))
            });
            for done in future::join_all(running).await {
                done.map_err(Failure::server(WHAT))?;
            }
        }
        Ok(())
    }

    /// Indexes some of the rows that plain SQL changed; `true` when there may be more.
    pub(crate) async fn index_step(&mut self, plan: &Plan) -> Result<bool> {
        let mut tried = 0;
        loop {
            self.ready().await?;
            let number = match &self.held {
                Some(_) => self.begin().await?,
                None => self.begin_shared().await?,
            };
            match self.catch_up(plan).await {
                Ok(more) => {
                    if self.commit(&number).await? {
                        return Ok(more);
                    }
                }
                Err(failure) => {
                    self.rollback().await;
                    let given_up = matches!(&failure, Failure::Server(_, error)
                        if error.as_db_error().is_some_and(is_given_up));
                    tried += 1;
                    if !given_up || tried == TRIES_MAX {
                        return Err(failure.into());
                    }
                }
            }
        }
    }

    async fn catch_up(&mut self, plan: &Plan) -> Result<bool, Failure> {
        let indexes = search_indexes(plan);
        if meta(self.client(), SEARCH_META).await? != search_meta(indexes) {
            return Ok(false);
        }
        let mut more = false;
        for index in indexes {
            more |= self.catch_up_with(index, &plan.tables[index.table]).await?;
        }
        Ok(more)
    }

    async fn catch_up_with(&mut self, index: &SearchIndex, table: &Table) -> Result<bool, Failure> {
        let any = format!("select exists (select from {})", quote(&index.stale));
        let lock = format!("lock table {} in share row exclusive mode", quote(&index.rows));
        let client = self.client();
        let has_marks = client.query_typed_one(&any, &[]).await.map_err(Failure::server(WHAT))?;
        if !has_marks.get::<_, bool>(0) {
            return Ok(false);
        }
        // Our own writes touch this table after they wrote their rows, and hold it until they commit: so what is read
        // below is either what they left, or they come here afterwards and put things right. Rows of the user's table
        // are not locked, so a transaction in `psql` that stays open keeps no search waiting.
        client.batch_execute(&lock).await.map_err(Failure::server(WHAT))?;
        let rows = client.query_typed(&index.take(table), &[]).await.map_err(Failure::server(WHAT))?;
        let mut indexed = Vec::new();
        for row in &rows {
            read(table, index, row, &mut indexed).map_err(Failure::server(WHAT))?;
        }
        self.put_parts(index, table, indexed.iter().collect()).await?;
        let left = self.client().query_typed_one(&any, &[]).await.map_err(Failure::server(WHAT))?;
        Ok(left.get(0))
    }
}

fn read(
    table: &Table,
    index: &SearchIndex,
    row: &Row,
    indexed: &mut Vec<Indexed>,
) -> Result<(), tokio_postgres::Error> {
    let mut keys = Vec::new();
    for at in 0..table.identity.len() {
        let raw: Raw<'_> = row.try_get(at)?;
        keys.push(Encoded(raw.0.map(<[u8]>::to_vec)));
    }
    let texts = (keys.len()..keys.len() + index.columns.len()).map(|at| row.try_get::<_, Option<&str>>(at));
    let texts: Vec<Option<&str>> = texts.collect::<Result<_, _>>()?;
    for part in parts(texts.into_iter().flatten()) {
        indexed.push(with_words(&keys, &part));
    }
    Ok(())
}

fn of_row(
    shape: &Table,
    (keys, row): (&[u8], &[u8]),
    columns: &[usize],
    mut each: impl FnMut(Indexed),
) -> Result<(), Failure> {
    let cells: Vec<Cell<'_>> = Cells::new(row).collect();
    let texts = columns.iter().filter_map(|&column| match cells.get(column) {
        Some(Cell::Text(text)) => Some(text.as_ref()),
        _ => None,
    });
    let kinds = shape.columns.iter().map(|column| column.kind);
    let keys: Vec<Encoded> = Cells::new(keys)
        .zip(kinds)
        .map(|(cell, kind)| parameter(&cell, kind).map(|(value, _)| value))
        .collect::<Result<_, _>>()?;
    parts(texts).iter().for_each(|part| each(with_words(&keys, part)));
    Ok(())
}

fn with_words(keys: &[Encoded], part: &Part) -> Indexed {
    keys.iter().cloned().chain([Encoded(Some(part.tsvector().into_bytes()))]).collect()
}

async fn statements(client: &Client, plan: &Plan) -> Result<Vec<String>> {
    let rows = client
        .query_typed(
            "select t.tgname::text, c.relname::text, obj_description(t.oid, 'pg_trigger') from pg_trigger t \
             join pg_class c on c.oid = t.tgrelid \
             where not t.tgisinternal and starts_with(t.tgname::text, $1) \
             and c.relnamespace = quote_ident(current_schema())::regnamespace",
            &[(&SEARCH_PREFIX, Type::TEXT)],
        )
        .await
        .map_err(|error| failed("read the catalogue", error))?;
    let there: Vec<_> = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    Ok(settle_search(plan, meta(client, SEARCH_META).await?.as_deref(), &there, Dialect::Postgres))
}
