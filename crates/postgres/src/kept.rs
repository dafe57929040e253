//! Changes that are kept beside a document's text: `repot_pending`.

use std::sync::LazyLock;

use futures_util::future;
use repot_core::{Batch, Outline, Result};
use repot_model::plan::{Plan, RowsWanted};
use repot_model::row::{Cell, Cells, RowBuffer};
use repot_model::sql::quote;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::chain::{array_parameter, borrowed, condition, is_list, named};
use crate::client::Client;
use crate::copy::Failure;
use crate::error::failed;
use crate::flight::Flight;
use crate::marks;
use crate::parameters::given;
use crate::stored::cells as cells_of;
use crate::transaction::Writer;

/// The table of kept changes; `seq` 0 says that none may be kept.
pub(crate) const TABLE: &str = "\
create table if not exists repot_pending (
  object bigint not null, seq bigint not null, etag text not null, change bytea not null, standing bytea not null, primary key (object, seq));
";

/// What is kept for an object, and the `ETag` after it, as two columns.
pub(crate) fn kept_sql(object: &str) -> String {
    let of = format!("from repot_pending p where p.object = {object} and p.seq > 0");
    format!("array(select p.change {of} order by p.seq), (select p.etag {of} order by p.seq desc limit 1)")
}

/// The first document of the object with a path. Where none may be kept, that is all there is of its changes.
pub(crate) static OUTLINE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "select o.id, o.status = 0 and o.frame is null and d.code is null, d.collection, d.key, case when p.seq > 0 then p.etag else d.etag end, d.size, {}, \
         coalesce(p.seq, 0), p.standing, coalesce(p.seq = 0, false), \
         d.dictionary, case when p.seq is null and d.size <= {} then d.text end \
         from repot_objects o join repot_documents d on d.object = o.id and d.ordinal = 0 \
         left join lateral (select * from repot_pending l where l.object = o.id order by l.seq desc limit 1) p on true \
         where o.path = $1",
        marks::stamp_sql("d.collection", "d.key"),
        Outline::TEXT_BYTES_MAX,
    )
});

/// Reads what [`OUTLINE`] selects, from this column on.
pub(crate) fn outline(row: &Row, at: usize) -> Result<Outline> {
    let read = || -> Result<Outline, tokio_postgres::Error> {
        Ok(Outline {
            object: row.try_get(at)?,
            is_whole: row.try_get(at + 1)?,
            collection: row.try_get(at + 2)?,
            key: row.try_get(at + 3)?,
            etag: row.try_get(at + 4)?,
            size: u64::try_from(row.try_get::<_, i64>(at + 5)?).unwrap_or(0),
            stamp: row.try_get(at + 6)?,
            seq: row.try_get(at + 7)?,
            standing: row.try_get::<_, Option<Vec<u8>>>(at + 8)?.unwrap_or_default(),
            skips: row.try_get(at + 9)?,
            text: row.try_get::<_, Option<_>>(at + 10)?.zip(row.try_get(at + 11)?),
        })
    };
    read().map_err(|error| failed("look at a document", error))
}

/// Paths of documents with something kept beside them, after a path.
pub(crate) const PAGE: &str = "\
select o.path from repot_objects o where o.path > $1 \
and o.id in (select p.object from repot_pending p where p.seq > 0) order by o.path limit $2";

/// The rows that are wanted.
///
/// # Errors
/// What the server says, and when a column has another type than the model says.
pub(crate) async fn rows(client: &Client, plan: &Plan, wanted: &RowsWanted) -> Result<RowBuffer, Failure> {
    let table = &plan.tables[wanted.table];
    let (place, parameters) = condition(table, &wanted.columns, &wanted.cells, "t")?;
    let all: Vec<usize> = (0..table.columns.len()).collect();
    let order = match table.position.filter(|_| wanted.last) {
        Some(column) => format!("order by t.{} desc limit 1", quote(&table.columns[column].name)),
        None => "limit 2".to_owned(),
    };
    let sql =
        format!("select {} from {} t where {place} {order}", named(table, &all, "t"), quote(&table.name));
    let found = client
        .query_again(&sql, &borrowed(&parameters))
        .await
        .map_err(Failure::server(format!("read rows of {}", table.name)))?;
    let mut out = RowBuffer::new();
    let mut row_cells = Vec::new();
    for row in found {
        row_cells.clear();
        cells_of(&row, 0, table.columns.iter().map(|column| column.kind), &mut row_cells)?;
        out.raw(&row_cells);
        out.end_row(wanted.table);
    }
    Ok(out)
}

/// The rows that each of several wants: those that are found by one column of one table with one statement.
///
/// # Errors
/// As [`rows`].
pub(crate) async fn rows_of_all(
    client: &Client,
    plan: &Plan,
    all: &[RowsWanted],
) -> Result<Vec<(RowsWanted, RowBuffer)>, Failure> {
    let mut groups: Vec<Vec<&RowsWanted>> = Vec::new();
    for wanted in all {
        let joins = |group: &&mut Vec<&RowsWanted>| {
            let first = group[0];
            (first.table, &first.columns) == (wanted.table, &wanted.columns)
        };
        match groups.iter_mut().find(joins).filter(|_| is_by_one_column(plan, wanted)) {
            Some(group) => group.push(wanted),
            None => groups.push(vec![wanted]),
        }
    }
    let asking = groups.iter().map(async |group| match group.as_slice() {
        [one] => Ok(vec![rows(client, plan, one).await?]),
        several => rows_by_one_column(client, plan, several).await,
    });
    let found = future::join_all(asking).await;
    let mut out = Vec::with_capacity(all.len());
    for (group, found) in groups.into_iter().zip(found) {
        out.extend(group.into_iter().cloned().zip(found?));
    }
    Ok(out)
}

/// Whether all that is wanted says is the value of one column.
fn is_by_one_column(plan: &Plan, wanted: &RowsWanted) -> bool {
    let [column] = wanted.columns[..] else { return false };
    !wanted.last
        && !is_list(plan.tables[wanted.table].columns[column].kind)
        && Cells::new(&wanted.cells).next().is_some_and(|cell| cell != Cell::Null)
}

/// The rows of all of these, which are of one table and column; in their order.
async fn rows_by_one_column(
    client: &Client,
    plan: &Plan,
    several: &[&RowsWanted],
) -> Result<Vec<RowBuffer>, Failure> {
    let (table, column) = (several[0].table, several[0].columns[0]);
    let shape = &plan.tables[table];
    let cells = several.iter().map(|wanted| Cells::new(&wanted.cells).next().unwrap_or(Cell::Null));
    let values = array_parameter(shape, column, several.len(), cells)?;
    let all: Vec<usize> = (0..shape.columns.len()).collect();
    let (listed, name) = (named(shape, &all, "t"), quote(&shape.name));
    let sql =
        format!("select {listed} from {name} t where t.{} = any($1)", quote(&shape.columns[column].name));
    let found = client
        .query_again(&sql, &borrowed(&[values]))
        .await
        .map_err(Failure::server(format!("read rows of {}", shape.name)))?;
    let mut out = vec![RowBuffer::new(); several.len()];
    let mut row_cells = Vec::new();
    for row in found {
        row_cells.clear();
        cells_of(&row, 0, shape.columns.iter().map(|column| column.kind), &mut row_cells)?;
        let mut of_row = Cells::new(&row_cells);
        let own = (0..=column).map(|_| of_row.next_raw()).last().flatten();
        let both = several.iter().zip(&mut out);
        for (_, rows) in both.filter(|(wanted, _)| own == Some(wanted.cells.as_slice())) {
            rows.raw(&row_cells);
            rows.end_row(table);
        }
    }
    Ok(out)
}

impl Writer {
    /// Keeps what the batch's items keep, and says of which documents nothing may be kept. `numbers`: of the items' objects.
    pub(crate) fn keep_changes(batch: &Batch, numbers: &[i64], flight: &mut Flight) {
        const SQL: &str = "insert into repot_pending (object, seq, etag, change, standing) \
                           select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bytea[], $5::bytea[])";
        let (mut objects, mut seqs, mut etags) = (Vec::new(), Vec::new(), Vec::new());
        let (mut changes, mut standings): (Vec<Vec<u8>>, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
        for (item, &number) in batch.items.iter().zip(numbers).filter(|(item, _)| !item.removes) {
            let Some(document) = item.documents.first() else { continue };
            let (seq, etag, change, standing) = match &item.kept {
                Some(kept) => (kept.seq, document.etag.as_str(), &*kept.change, &*kept.standing),
                None if document.skips && item.documents.len() == 1 && item.touched.is_none() => {
                    (0, "", [].as_slice(), [].as_slice())
                }
                None => continue,
            };
            objects.push(number);
            seqs.push(seq);
            etags.push(etag.to_owned());
            changes.push(change.to_vec());
            standings.push(standing.to_vec());
        }
        if objects.is_empty() {
            return;
        }
        let values = vec![
            given(objects, Type::INT8_ARRAY),
            given(seqs, Type::INT8_ARRAY),
            given(etags, Type::TEXT_ARRAY),
            given(changes, Type::BYTEA_ARRAY),
            given(standings, Type::BYTEA_ARRAY),
        ];
        flight.say("keep changes beside documents", SQL, values);
    }

    /// Lets go what is kept for these objects.
    pub(crate) async fn drop_kept(&self, numbers: &[i64]) -> Result<(), Failure> {
        let done = self
            .client()
            .execute_again(
                "delete from repot_pending where object = any($1)",
                &[(&numbers, Type::INT8_ARRAY)],
            )
            .await;
        done.map(drop).map_err(Failure::server("let go what is kept beside documents"))
    }
}
