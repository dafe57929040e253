//! Loading a batch: everything by COPY in one transaction. When the database refuses rows, the batch is done
//! again with more care ([`crate::refuse`]).

use std::ops::Range;
use std::sync::Arc;

use repot_core::{Batch, Error, Item, Kind, LoadReport, Result};
use repot_model::plan::{Plan, Table};
use repot_model::row::{Cell, Cells};
use repot_model::sql::quote;

use crate::chain::{array_parameter, is_list};
use crate::changes::{UPDATED_AT_ONCE, say_deletes, say_updates};
use crate::copy::{CopyIn, Failure, copy_statement};
use crate::error::is_refusal;
use crate::flight::Flight;
use crate::parameters::given;
use crate::records::Refused;
use crate::transaction::Writer;

/// Rows of a batch that are inserted by statements; more are copied.
const INSERTED_MOST: usize = 128;

/// A document of the batch: item and document.
pub(crate) type Unit = (usize, usize);

impl Writer {
    /// Applies a batch; again when the connection is lost while it is committed and the server says it was not.
    pub(crate) async fn load(&mut self, plan: &Arc<Plan>, batch: &Batch) -> Result<LoadReport> {
        check(batch)?;
        let units = units(batch);
        self.locked.clear();
        self.known.clear();
        self.claimed.clear();
        for _ in 0..2 {
            let (number, report) = self.apply(plan, batch, &units).await?;
            if batch.all_or_nothing && !report.refused.is_empty() {
                self.next_object = None;
                self.rollback().await;
                return Ok(report);
            }
            if let Err(error) = self.drop_messages(plan).await {
                self.rollback().await;
                return Err(error);
            }
            if self.commit(&number).await? {
                return Ok(report);
            }
        }
        Err(Error::new(
            Kind::TargetUnavailable,
            "R0106",
            "the connection was lost twice while a batch was committed; nothing of it is there",
        )
        .hint("Run the same command again; it goes on where it stopped."))
    }

    /// Everything but the commit; gives the transaction's number.
    async fn apply(&mut self, plan: &Plan, batch: &Batch, units: &[Unit]) -> Result<(String, LoadReport)> {
        let number = self.begin().await?;
        let mut flight = Flight::default();
        match self.apply_plainly(plan, batch, units, &mut flight).await {
            Ok(Some(report)) => match flight.send(self.client()).await {
                Ok(()) => return Ok((number, report)),
                Err(failure) => self.refused_plainly(failure).await?,
            },
            Ok(None) => self.rollback().await,
            Err(failure) => self.refused_plainly(failure).await?,
        }
        let number = self.begin().await?;
        match self.apply_with_refusals(plan, batch, units).await {
            Ok(report) => Ok((number, report)),
            Err(failure) => {
                self.rollback().await;
                Err(failure.into())
            }
        }
    }

    /// Rolls back after rows that the database refused; anything else goes on.
    async fn refused_plainly(&mut self, failure: Failure) -> Result<()> {
        self.rollback().await;
        match &failure {
            Failure::Server(_, error) if error.as_db_error().is_some_and(is_refusal) => Ok(()),
            _ => Err(failure.into()),
        }
    }

    /// What is still to be sent stays in the flight; `None`: documents of the batch refer to what it deletes, so more care is needed.
    pub(crate) async fn apply_plainly(
        &mut self,
        plan: &Plan,
        batch: &Batch,
        units: &[Unit],
        flight: &mut Flight,
    ) -> Result<Option<LoadReport>, Failure> {
        // facts alone have no constraints that could wait; what a change of a part refers to is there, or comes before it, and where
        // not, its text is written instead
        let waits = batch.items.iter().any(|item| item.kept.is_none());
        let constrain = |flight: &mut Flight, when: &str| {
            if waits {
                flight.say("load a batch", format!("set constraints all {when}"), Vec::new());
            }
        };
        constrain(flight, "deferred");
        self.keep_search(plan).await?;
        // first, so that what no longer refers to a row is not taken along when the row goes
        let changed: Vec<_> = updates(batch).collect();
        if changed.len() > UPDATED_AT_ONCE {
            flight.send(self.client()).await?;
            self.update_rows(plan, batch, &changed).await?;
        } else {
            say_updates(plan, batch, &changed, flight)?;
        }
        let left = self.leave_behind(plan, batch, flight).await?;
        if !left.units.is_empty() {
            return Ok(None);
        }
        // what is asked at once is of our own tables, whatever is still to be sent
        self.prepare_records(batch, flight).await?;
        say_deletes(plan, batch, flight)?;
        self.put_rows(plan, batch, units, flight).await?;
        self.index_batch(plan, batch, flight).await?;
        let numbers = self.object_numbers(batch).await?;
        self.put_records(batch, &numbers, &Refused::new(), flight).await?;
        constrain(flight, "immediate");
        Ok(Some(LoadReport { refused: left.aside }))
    }

    /// Inserts the rows of these documents, few of them with what is sent next: a COPY waits for the server twice.
    async fn put_rows(
        &mut self,
        plan: &Plan,
        batch: &Batch,
        units: &[Unit],
        flight: &mut Flight,
    ) -> Result<(), Failure> {
        let by_table = rows_by_table(plan, batch, units);
        let rows: usize = by_table.iter().map(Vec::len).sum();
        let plain = |(table, rows): (&Table, &Vec<(usize, usize)>)| {
            rows.is_empty() || !table.columns.iter().any(|column| is_list(column.kind))
        };
        if rows > INSERTED_MOST || !plan.tables.iter().zip(&by_table).all(plain) {
            flight.send(self.client()).await?;
            return self.insert_rows(plan, batch, units).await;
        }
        for (table, rows) in plan.tables.iter().zip(&by_table).filter(|(_, rows)| !rows.is_empty()) {
            let mut columns: Vec<Vec<Cell<'_>>> = vec![Vec::with_capacity(rows.len()); table.columns.len()];
            for &(item, row) in rows {
                let cells = Cells::new(batch.items[item].rows.row(row).1);
                columns.iter_mut().zip(cells).for_each(|(column, cell)| column.push(cell));
            }
            if columns.iter().any(|cells| cells.len() != rows.len()) {
                let message = format!("{}: a row that is short of cells", table.name);
                return Err(Error::new(Kind::Internal, "R0901", message).into());
            }
            let mut values = Vec::with_capacity(columns.len());
            for (column, cells) in columns.into_iter().enumerate() {
                let (value, kind) = array_parameter(table, column, rows.len(), cells.into_iter())?;
                values.push(given(value, kind));
            }
            flight.say(format!("insert rows into {}", table.name), insert_statement(table), values);
        }
        Ok(())
    }

    /// Inserts the rows of these documents.
    pub(crate) async fn insert_rows(
        &mut self,
        plan: &Plan,
        batch: &Batch,
        units: &[Unit],
    ) -> Result<(), Failure> {
        let by_table = rows_by_table(plan, batch, units);
        for (table, rows) in plan.tables.iter().zip(&by_table).filter(|(_, rows)| !rows.is_empty()) {
            let what = format!("insert rows into {}", table.name);
            let statement =
                self.prepared(&copy_statement(table), &[]).await.map_err(Failure::server(what.clone()))?;
            let mut copy = CopyIn::begin(self.client(), &statement, what).await?;
            for &(item, row) in rows {
                copy.cells(table, batch.items[item].rows.row(row).1)?;
                copy.flush().await?;
            }
            copy.finish().await?;
        }
        Ok(())
    }

    /// The number of each item's object. Objects that the transaction has locked keep theirs; new ones get numbers that
    /// were set apart for this writer, or of the holder of the lock, who alone gives them out then.
    pub(crate) async fn object_numbers(&mut self, batch: &Batch) -> Result<Vec<i64>, Failure> {
        if self.held.is_none() && self.shares.is_some() {
            return self.numbers_apart(batch);
        }
        let first = match self.next_object {
            Some(next) => next,
            None => self
                .client()
                .query_typed_one("select coalesce(max(id), 0) + 1 from repot_objects", &[])
                .await
                .map_err(Failure::server("read repot_objects"))?
                .get(0),
        };
        let after = first + i64::try_from(batch.items.len()).unwrap_or(0);
        self.next_object = Some(after);
        let numbered = batch.items.iter().zip(first..after);
        Ok(numbered.map(|(item, new)| self.number_of(item).unwrap_or(new)).collect())
    }

    /// The number of an object that the transaction has locked or made.
    pub(crate) fn number_of(&self, item: &Item) -> Option<i64> {
        let path = &item.object.path;
        self.locked.get(path).or_else(|| self.claimed.get(path)).copied()
    }
}

/// The rows of these documents, item and row, of each table.
fn rows_by_table(plan: &Plan, batch: &Batch, units: &[Unit]) -> Vec<Vec<(usize, usize)>> {
    let mut by_table: Vec<Vec<(usize, usize)>> = vec![Vec::new(); plan.tables.len()];
    for &(item, document) in units {
        let item_of = &batch.items[item];
        for row in item_of.documents[document].rows.clone() {
            by_table[item_of.rows.row(row).0].push((item, row));
        }
    }
    by_table
}

/// Inserts rows that are given as an array for each column.
fn insert_statement(table: &Table) -> String {
    let columns: Vec<String> = table.columns.iter().map(|column| quote(&column.name)).collect();
    let given: Vec<String> = (1..=columns.len()).map(|at| format!("${at}")).collect();
    let (name, columns) = (quote(&table.name), columns.join(", "));
    format!("insert into {name} ({columns}) select * from unnest({})", given.join(", "))
}

/// All documents to keep.
pub(crate) fn units(batch: &Batch) -> Vec<Unit> {
    let kept = batch.items.iter().enumerate().filter(|(_, item)| !item.removes);
    kept.flat_map(|(at, item)| (0..item.documents.len()).map(move |document| (at, document))).collect()
}

/// All rows to overwrite.
pub(crate) fn updates(batch: &Batch) -> impl Iterator<Item = (usize, usize)> + '_ {
    let kept = batch.items.iter().enumerate().filter(|(_, item)| !item.removes);
    kept.flat_map(|(at, item)| (0..item.changes.updates.len()).map(move |row| (at, row)))
}

/// Each row to insert must be some document's, or it would quietly be left out.
pub(crate) fn check(batch: &Batch) -> Result<()> {
    for item in batch.items.iter().filter(|item| !item.removes) {
        let ranges: Vec<&Range<usize>> =
            item.documents.iter().map(|document| &document.rows).filter(|rows| !rows.is_empty()).collect();
        let covered: usize = ranges.iter().map(|rows| rows.len()).sum();
        let inside = ranges.iter().all(|rows| rows.end <= item.rows.len());
        let apart = ranges.windows(2).all(|pair| pair[0].end <= pair[1].start);
        if covered != item.rows.len() || !inside || !apart {
            return Err(Error::new(
                Kind::Internal,
                "R0901",
                format!("{}: rows that belong to no document", item.object.path),
            ));
        }
    }
    Ok(())
}
