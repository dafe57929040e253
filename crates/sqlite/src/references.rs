//! References between documents, once everything is in place: looked after here rather than by SQLite, so that
//! the order of a batch does not matter, and a document whose reference came to nothing is set aside instead
//! of losing rows by a cascade.

use std::collections::HashSet;

use repot_core::{Error, Kind, Result};
use repot_model::plan::{ForeignKey, Plan, key_text};
use repot_model::row::{Cells, RowBuffer};
use repot_model::sql::quote;

use crate::error::failed;
use crate::load::RowWriter;
use crate::records::{self, Refused};
use crate::rows::{Access, pick};
use crate::statements::selected;
use crate::{bind, decode};

/// Rows that refer to one missing row, taken up at once.
const AT_ONCE: usize = 256;

/// A reference that may have come to nothing: table, number of its reference, the value.
type Suspect = (usize, usize, Vec<u8>);

/// Gathers what may refer to nothing, then settles it.
#[derive(Debug)]
pub(crate) struct References<'a> {
    access: Access<'a>,
    /// For each table: who refers to it (table, number of the reference, place in this table's identity).
    to: Vec<Vec<(usize, usize, usize)>>,
    suspects: HashSet<Suspect>,
}

impl<'a> References<'a> {
    pub(crate) fn new(access: Access<'a>) -> Self {
        let tables = &access.plan.tables;
        let mut to = vec![Vec::new(); tables.len()];
        for (at, table) in tables.iter().enumerate() {
            for (number, key) in table.foreign_keys.iter().enumerate().filter(|(_, key)| key.may_dangle) {
                let identity = &tables[key.table].identity;
                if let Some(place) = identity.iter().position(|&column| column == key.target_column) {
                    to[key.table].push((at, number, place));
                }
            }
        }
        Self { access, to, suspects: HashSet::new() }
    }

    /// A row came or changed.
    pub(crate) fn arrived(&mut self, table: usize, row: &[u8]) {
        for (number, key) in self.access.plan.tables[table].foreign_keys.iter().enumerate() {
            if key.may_dangle {
                self.suspects.insert((table, number, pick(row, &[key.column])));
            }
        }
    }

    /// The row of this identity went.
    pub(crate) fn left(&mut self, table: usize, identity: &[u8]) {
        for &(from, number, place) in &self.to[table] {
            self.suspects.insert((from, number, pick(identity, &[place])));
        }
    }

    /// Sets every document aside that refers to nothing.
    pub(crate) fn settle(mut self, writer: &mut RowWriter<'_>, refused: &mut Refused) -> Result<()> {
        while let Some(suspect) = self.suspects.iter().next().cloned() {
            self.suspects.remove(&suspect);
            let (table, number, value) = suspect;
            let key = &self.access.plan.tables[table].foreign_keys[number];
            if Cells::new(&value).next().is_none_or(|cell| cell == repot_model::row::Cell::Null)
                || self.is_there(key, &value)?
            {
                continue;
            }
            loop {
                let rows = self.referring(table, key.column, &value)?;
                if rows.is_empty() {
                    break;
                }
                let mut done = HashSet::new();
                for row in rows {
                    self.refuse(table, key, &row, (writer, refused, &mut done))?;
                }
            }
        }
        Ok(())
    }

    fn is_there(&self, key: &ForeignKey, value: &[u8]) -> Result<bool> {
        let target = &self.access.plan.tables[key.table];
        let column = quote(&target.columns[key.target_column].name);
        let sql = format!("select 1 from {} as r where r.{column} = ?1", quote(&target.name));
        let run = || -> rusqlite::Result<bool> {
            let mut statement = self.access.connection.prepare_cached(&sql)?;
            bind::cells(&mut statement, 1, value, &mut Vec::new())?;
            Ok(statement.raw_query().next()?.is_some())
        };
        run().map_err(failed(&format!("read the table {}", target.name)))
    }

    fn referring(&self, table: usize, column: usize, value: &[u8]) -> Result<Vec<Vec<u8>>> {
        let shape = &self.access.plan.tables[table];
        let column = quote(&shape.columns[column].name);
        let sql = format!(
            "select {} from {} as r where r.{column} = ?1 limit {AT_ONCE}",
            selected(shape),
            quote(&shape.name)
        );
        let run = || -> rusqlite::Result<Vec<Vec<u8>>> {
            let mut statement = self.access.connection.prepare_cached(&sql)?;
            bind::cells(&mut statement, 1, value, &mut Vec::new())?;
            let mut rows = statement.raw_query();
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let mut cells = Vec::new();
                decode::row(shape, row, &mut cells)?;
                found.push(cells);
            }
            Ok(found)
        };
        run().map_err(failed(&format!("read the table {}", shape.name)))
    }

    /// Takes the rows of this row's document out and records it as set aside.
    fn refuse(
        &mut self,
        table: usize,
        key: &ForeignKey,
        row: &[u8],
        (writer, refused, done): (&mut RowWriter<'_>, &mut Refused, &mut HashSet<(usize, Vec<u8>)>),
    ) -> Result<()> {
        let reason = reason(self.access.plan, table, key, row);
        let stray = || {
            Error::new(Kind::Conflict, "R0305", format!("{reason}, and the row is of no document"))
                .hint("Remove that row with SQL, then run the same command again.")
        };
        let identity = pick(row, &self.access.plan.tables[table].identity);
        let Some((root, root_key)) = self.access.climb(table, row)? else {
            // gone already together with another row of its document?
            let gone = self.access.by_identity(table, &identity)?.is_none() && !identity.is_empty();
            return if gone { Ok(()) } else { Err(stray()) };
        };
        if !done.insert((root, root_key.clone())) {
            return Ok(());
        }
        if self.take_away(root, &root_key, ("R0305", &reason), (writer, refused))? {
            Ok(())
        } else {
            Err(stray())
        }
    }

    /// Takes a document's rows out and records it as set aside; `false` when the rows are of no document.
    pub(crate) fn take_away(
        &mut self,
        root: usize,
        key: &[u8],
        reason: (&'static str, &str),
        (writer, refused): (&mut RowWriter<'_>, &mut Refused),
    ) -> Result<bool> {
        let mut rows = RowBuffer::new();
        self.access.document(root, key, &mut rows)?;
        for at in (0..rows.len()).rev() {
            let (table, row) = rows.row(at);
            let identity = pick(row, &self.access.plan.tables[table].identity);
            writer.delete(table, &identity).map_err(failed("set a document aside"))?;
            self.left(table, &identity);
        }
        let collection = &self.access.plan.tables[root].name;
        let document = records::set_aside(self.access.connection, collection, &key_text(key), reason)?;
        let Some(document) = document else { return Ok(false) };
        refused.insert(document, (reason.0, reason.1.to_owned()));
        Ok(true)
    }
}

/// Such as `jobs.media_id refers to media 17, which is not there`.
pub(crate) fn reason(plan: &Plan, table: usize, key: &ForeignKey, row: &[u8]) -> String {
    let shape = &plan.tables[table];
    format!(
        "{}.{} refers to {} {}, which is not there",
        shape.name,
        shape.columns[key.column].name,
        plan.tables[key.table].name,
        key_text(&pick(row, &[key.column]))
    )
}
