//! The change log: what our own writes put into it, the positions of its rows, reading it, and what is old enough to go.
//!
//! A row is inserted in the transaction that changes the document, while the document is locked, and gets its position
//! after the commit by whoever reads next: numbers of a sequence would let a transaction that commits late hide behind
//! higher ones that were read already. Of one document the order of `id` is that of the commits.

use repot_core::change_log::{
    ChangeKind, ChangeRetention, PRUNED_TO, StoredChange, StoredChanges, changes_of,
};
use repot_core::{Batch, Result};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::copy::Failure;
use crate::create::{damaged, set_meta};
use crate::error::failed;
use crate::flight::Flight;
use crate::parameters::given;
use crate::records::Refused;
use crate::transaction::Writer;

/// `repn`, the first half of the number of the lock under which positions are given and the log is pruned; the second is
/// the schema's.
const NUMBERING: i32 = 0x7265_706e;
/// Changes that get a position in one transaction.
const NUMBERED_AT_ONCE: u64 = 10_000;
/// Changes removed by one transaction.
const PRUNED_AT_ONCE: usize = 1_000;

/// From the first `$1` rows in the order of their insertion: of one document that is the order of the commits, and whoever sees
/// a later row of it sees the earlier ones too.
const NUMBER: &str = "\
update repot_changes c set position = v.position from (
  select o.id, h.newest + row_number() over (order by o.id) as position
  from (select id from repot_changes where position is null order by id limit $1) o,
  (select greatest(coalesce((select max(position) from repot_changes), 0),
    coalesce((select value::bigint from repot_meta where key = $2), 0)) as newest) h) v
where c.id = v.id";

/// Where the log stands, and the changes after a position, by one statement: one state whatever the isolation.
const READ: &str = "\
select h.pruned, h.newest, h.oldest, (select at_ms from repot_changes where position = h.oldest),
  exists (select from repot_changes where position is null),
  c.position, c.collection, c.tenant, c.key, c.path, c.by_sql, c.kind::bigint, c.at_ms
from (select (select value from repot_meta where key = $3) as pruned, (select max(position) from repot_changes) as newest,
  (select min(position) from repot_changes) as oldest) h
left join (
  select r.position, r.collection, r.tenant, r.key, r.path is null as by_sql, r.kind, r.at_ms,
    coalesce(r.path, (select o.path from repot_documents d join repot_objects o on o.id = d.object
      where d.collection = r.collection and d.key = r.key limit 1)) as path
  from repot_changes r where r.position > $1 order by r.position limit $2) c on true
order by c.position";

/// The statement that reads, and its parameters.
pub(crate) fn reading(after: i64, most: usize) -> (&'static str, [i64; 2], &'static str) {
    (READ, [after, i64::try_from(most).unwrap_or(i64::MAX)], PRUNED_TO)
}

/// What the statement gave.
pub(crate) fn read(rows: &[Row]) -> Result<StoredChanges> {
    let mut found = StoredChanges::default();
    if let Some(row) = rows.first() {
        let pruned: Option<String> = row.get(0);
        found.pruned_to = pruned.as_deref().unwrap_or("0").parse().map_err(|_wrong| damaged(PRUNED_TO))?;
        found.newest = row.get::<_, Option<i64>>(1).unwrap_or(0).max(found.pruned_to);
        found.oldest = row.get::<_, Option<i64>>(2).zip(row.get(3));
        found.unnumbered = row.get(4);
    }
    for row in rows {
        let Some(position) = row.get::<_, Option<i64>>(5) else { continue };
        let kind = ChangeKind::from_number(row.get(11)).ok_or_else(|| damaged("kind of a change"))?;
        found.rows.push(StoredChange {
            position,
            collection: row.get(6),
            tenant: row.get(7),
            key: row.get(8),
            path: row.get(9),
            by_sql: row.get(10),
            kind,
            at_ms: row.get(12),
        });
    }
    Ok(found)
}

impl Writer {
    /// Logs what the batch changes, from what its objects held before; nothing during a bulk load.
    pub(crate) async fn log_changes(
        &self,
        batch: &Batch,
        refused: &Refused,
        flight: &mut Flight,
    ) -> Result<(), Failure> {
        let Some(at_ms) = batch.at_ms else { return Ok(()) };
        let is_refused = |item: usize, document: usize| refused.contains_key(&(item, document));
        let changes = changes_of(&batch.items, &self.former, &is_refused);
        if changes.is_empty() || !self.is_logged().await? {
            return Ok(());
        }
        let collections: Vec<String> = changes.iter().map(|change| change.collection.to_owned()).collect();
        let keys: Vec<String> = changes.iter().map(|change| change.key.to_string()).collect();
        let paths: Vec<String> = changes.iter().map(|change| change.path.to_owned()).collect();
        let kinds: Vec<i16> = changes.iter().map(|change| change.kind as i16).collect();
        let sql = "insert into repot_changes (collection, key, path, kind, at_ms) \
                   select c.collection, c.key, c.path, c.kind, $5 \
                   from unnest($1, $2, $3, $4) with ordinality as c (collection, key, path, kind, number) order by c.number \
                   on conflict (xid, collection, key) do nothing";
        let values = vec![
            given(collections, Type::TEXT_ARRAY),
            given(keys, Type::TEXT_ARRAY),
            given(paths, Type::TEXT_ARRAY),
            given(kinds, Type::INT2_ARRAY),
            given(at_ms, Type::INT8),
        ];
        flight.say("log changes", sql, values);
        Ok(())
    }

    /// A store is opened on a database with a log, after the bulk load. A copy looks.
    async fn is_logged(&self) -> Result<bool, Failure> {
        if self.held.is_none() && self.shares.is_some() {
            return Ok(true);
        }
        let sql = "select to_regclass(quote_ident(current_schema()) || '.repot_changes') is not null \
                   and exists (select from repot_meta where key = 'loading' and value = 'steady')";
        let row = self.client().query_typed_one(sql, &[]).await.map_err(Failure::server("log changes"))?;
        Ok(row.get(0))
    }

    /// Gives committed changes their positions.
    pub(crate) async fn number_changes(&mut self) -> Result<()> {
        loop {
            let number = self.begin_any().await?;
            let numbered = match self.number().await {
                Ok(numbered) => numbered,
                Err(error) => {
                    self.rollback().await;
                    return Err(failed("number changes", error));
                }
            };
            if self.commit(&number).await? && numbered < NUMBERED_AT_ONCE {
                return Ok(());
            }
        }
    }

    async fn number(&self) -> Result<u64, tokio_postgres::Error> {
        let most = i64::try_from(NUMBERED_AT_ONCE).unwrap_or(i64::MAX);
        // a statement of its own: the next one sees what the holder before committed
        self.alone().await?;
        self.client().execute_typed(NUMBER, &[(&most, Type::INT8), (&PRUNED_TO, Type::TEXT)]).await
    }

    async fn alone(&self) -> Result<(), tokio_postgres::Error> {
        let lock: [(&(dyn ToSql + Sync), Type); 1] = [(&NUMBERING, Type::INT4)];
        let sql = "select pg_advisory_xact_lock($1, hashtext(current_schema()))";
        self.client().query_typed(sql, &lock).await.map(drop)
    }

    /// Removes some of what is old enough; `true`: there may be more.
    pub(crate) async fn prune_changes(&mut self, keep: ChangeRetention, now_ms: i64) -> Result<bool> {
        loop {
            let number = self.begin_any().await?;
            let more = match self.prune(keep, now_ms).await {
                Ok(more) => more,
                Err(error) => {
                    self.rollback().await;
                    return Err(failed("prune the change log", error));
                }
            };
            if self.commit(&number).await? {
                return Ok(more);
            }
        }
    }

    async fn prune(&self, keep: ChangeRetention, now_ms: i64) -> Result<bool, tokio_postgres::Error> {
        self.alone().await?;
        let client = self.client();
        let most = i64::try_from(PRUNED_AT_ONCE).unwrap_or(i64::MAX);
        let sql = "select position, at_ms, (select max(position) from repot_changes) from repot_changes \
                   where position is not null order by position limit $1";
        let rows = client.query_typed(sql, &[(&most, Type::INT8)]).await?;
        let oldest: Vec<(i64, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let newest = rows.first().map_or(0, |row| row.get(2));
        let Some(to) = keep.prunes_to(&oldest, newest, now_ms) else { return Ok(false) };
        client.execute_typed("delete from repot_changes where position <= $1", &[(&to, Type::INT8)]).await?;
        set_meta(client, PRUNED_TO, Some(&to.to_string())).await?;
        Ok(oldest.len() == PRUNED_AT_ONCE && oldest.last().is_some_and(|&(last, _)| last == to))
    }
}
