//! Marks: what plain SQL changed since a document's text was written. Triggers set them; here they are read, and go with
//! the writes that meet them.

use repot_core::{Batch, Mark};
use tokio_postgres::types::Type;

use crate::flight::Flight;
use crate::parameters::given;
use crate::transaction::Writer;

/// The tables of marks and changes.
pub(crate) const TABLES: &str = "\
create table if not exists repot_touched (collection text not null, key text not null, stamp bigint not null, primary key (collection, key));
create table if not exists repot_changes (
  id bigint generated always as identity primary key, position bigint unique, xid xid8 not null default pg_current_xact_id(),
  collection text not null, tenant text, key text not null, path text, kind smallint not null, at_ms bigint not null,
  unique (xid, collection, key));
create index if not exists repot_changes_open on repot_changes (id) where position is null;
";

/// The stamp of a document's mark, as a part of a statement: it counts the mark of its whole collection too.
pub(crate) fn stamp_sql(collection: &str, key: &str) -> String {
    format!(
        "(select coalesce(sum(t.stamp), 0)::bigint from repot_touched t where t.collection = {collection} and t.key in ({key}, '*'))"
    )
}

/// A page of marks: parameters are collection and key to go on after, and how many; `new`: and a collection.
pub(crate) fn page_sql(new: bool) -> String {
    let new = if new {
        "and t.collection = $4 and not exists (select from repot_documents d where d.collection = t.collection and d.key = t.key) "
    } else {
        ""
    };
    format!(
        "select t.collection, t.key, t.stamp from repot_touched t where (t.collection, t.key) > ($1, $2) {new}\
         order by t.collection, t.key limit $3"
    )
}

impl Writer {
    /// Takes away the marks that the batch meets, behind what is to be sent before; none may be another by now.
    pub(crate) fn meet_marks(batch: &Batch, flight: &mut Flight) {
        if batch.marks.is_empty() {
            return;
        }
        let mut marks: Vec<&Mark> = batch.marks.iter().collect();
        marks
            .sort_unstable_by(|one, other| (&one.collection, &one.key).cmp(&(&other.collection, &other.key)));
        let collections: Vec<String> = marks.iter().map(|mark| mark.collection.clone()).collect();
        let keys: Vec<String> = marks.iter().map(|mark| mark.key.clone()).collect();
        let stamps: Vec<i64> = marks.iter().map(|mark| mark.stamp).collect();
        let what = "remove marks";
        let marked = stamps.iter().any(|&stamp| stamp != 0);
        let names =
            || vec![given(collections.clone(), Type::TEXT_ARRAY), given(keys.clone(), Type::TEXT_ARRAY)];
        if marked {
            // who is about to change one waits from here on, and who did is seen by the next statement
            let sql = "select from repot_touched where (collection, key) in (select * from unnest($1, $2)) \
                       order by collection, key for update";
            flight.say(what, sql, names());
        }
        let rows = format!(
            "select from unnest($1, $2, $3) as m (collection, key, stamp) where m.stamp <> {}",
            stamp_sql("m.collection", "m.key")
        );
        let mut values = names();
        values.push(given(stamps, Type::INT8_ARRAY));
        flight.forbid(what, &rows, values, "plain SQL changed a document meanwhile");
        if marked {
            let sql = "delete from repot_touched where (collection, key) in (select * from unnest($1, $2))";
            flight.say(what, sql, names());
        }
    }
}
