//! Servers that write in a database without taking part in its move: from one moment on they are refused, and nothing of theirs is on
//! its way any more. They look for that in the transaction that writes: a server that was stopped for an hour finds it, too.

use async_trait::async_trait;
use repot_core::moving::Outsiders;
use repot_core::store::Ledger;
use repot_core::{Batch, Error, Kind, Result, Retry};

use super::row_objects::RowObjects;
use crate::store::queue::Task;
use crate::store::writing::Scribe;

/// Value of ours in a database whose documents only those write who take part in its move: a number that is never the same twice,
/// and where they move to, for people.
pub(in crate::store) const KEPT_OUT: &str = "kept_out";
/// Who changes that value holds this fact, which is never there.
const HELD: (&str, &str) = ("move", "kept_out");

/// What becomes of the value.
#[derive(Debug)]
pub(in crate::store) enum Door {
    /// It is this one.
    Closed(String),
    /// It goes, if it is this one.
    OpenedIf(String),
}

impl Scribe<'_> {
    pub(in crate::store) fn set_door(&mut self, door: &Door) -> Result<()> {
        let set = self.target.transact(self.plan, &[], &mut |reader| {
            reader.hold_fact(HELD.0, HELD.1)?;
            let to = match door {
                Door::Closed(value) => Some(value.clone()),
                Door::OpenedIf(seen) if reader.meta(KEPT_OUT)?.as_ref() == Some(seen) => None,
                Door::OpenedIf(_) => return Ok(None),
            };
            Ok(Some(Batch { meta: vec![(KEPT_OUT.to_owned(), to)], ..Batch::default() }))
        });
        set.map(drop)
    }
}

/// The error of a server that is kept out.
pub(in crate::store) fn kept_out(value: &str) -> Error {
    let to = value.split_once(' ').map_or("another database", |(_, to)| to);
    let message = format!("the documents move to {to}, and this server takes no part in that");
    Error::new(Kind::Unavailable, "R0725", message).retry(Retry::Safe).hint(
        "Start it with the new database as DATABASE_URL and this one as REPOT_SOURCE. `repot rollback` lets it write again.",
    )
}

#[async_trait]
impl Outsiders for RowObjects {
    fn ledger(&self) -> &dyn Ledger {
        &*self.rows
    }

    async fn keep_out(&self, to: &str) -> Result<()> {
        let value = format!("{:016x} {to}", self.pacing.random());
        self.rows.write(Task::Door(Door::Closed(value))).await.map(drop)?;
        self.ended("its documents").await
    }

    async fn kept_out(&self) -> Result<Option<String>> {
        self.rows.read(|desk, _| desk.reader().meta(KEPT_OUT)).await
    }

    async fn let_in(&self, seen: &str) -> Result<()> {
        self.rows.write(Task::Door(Door::OpenedIf(seen.to_owned()))).await.map(drop)
    }
}
