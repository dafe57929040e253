//! `repot move URL`: from one database to another, live. It is `copy --follow` with the project's database as the source and the
//! one that is named as the database; all later steps are those of every move.

use std::fmt;

use clap::ValueEnum;
use repot_core::{Error, Kind};
use repot_engine::moving::comes_from_database;

use super::copy;
use crate::args::{Copy, Global};
use crate::errors::{Exit, Failure};
use crate::move_args::MoveTo;
use crate::output::{Output, number};
use crate::wiring::Project;

/// What an old database has beside its documents, and a move does not take along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Extra {
    /// Deleted documents that can be had back.
    Trash,
    /// The record of changes.
    History,
    /// What became of messages so far: tries, leases, those that were done or given up.
    Queues,
}

impl Extra {
    /// Its table, and how much of it there is.
    const fn counted(self) -> (&'static str, &'static str) {
        match self {
            Self::Trash => ("repot_trash", "select count(*) from repot_trash"),
            Self::History => ("repot_audit", "select count(*) from repot_audit"),
            Self::Queues => (
                "repot_queue",
                "select count(*) from repot_queue where state <> 0 or tries <> 0 or trash <> 0",
            ),
        }
    }

    fn told(self, count: u64) -> String {
        let what = match self {
            Self::Trash => "deleted documents in the trash: they cannot be had back from the new database",
            Self::History => "entries in the record of changes: the new database begins another record",
            Self::Queues => {
                "messages with a past (held, tried, done, given up): the new database hands them out anew"
            }
        };
        format!("{self}: {} {what}", number(count))
    }
}

impl fmt::Display for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trash => "trash",
            Self::History => "history",
            Self::Queues => "queues",
        })
    }
}

pub(crate) fn run(global: &Global, wanted: &MoveTo, output: &Output) -> Result<Exit, Failure> {
    let project = Project::open(global)?.moving_to(&wanted.url);
    let copy = Copy {
        retry: false,
        follow: true,
        no_verify: false,
        set_aside: false,
        dry_run: false,
        bounds: wanted.bounds.clone(),
    };
    copy::run_in(&project, (&copy, &wanted.leave), output)
}

/// Refuses to copy anything into a database into which another one moves: what is named as the source may be another store than that one.
pub(super) fn leaves_alone(project: &Project) -> Result<(), Failure> {
    let mut target = project.target()?;
    let holds_facts = target.state()?.is_some() && !target.existing_tables(&["repot_facts"])?.is_empty();
    if holds_facts && comes_from_database(target.reader()?.as_mut())? {
        let message = format!("a move from another database into {target} is on its way");
        return Err(Error::new(Kind::Refused, "R0727", message)
            .hint("repot move URL, with the old database as DATABASE_URL, goes on with it.")
            .into());
    }
    Ok(())
}

/// What of the old database stays behind, each with how much of it there is.
fn stays_behind(project: &Project) -> Result<Vec<(Extra, u64)>, Failure> {
    let mut target = project.copied_at(&project.source_name().0)?;
    let extras = Extra::value_variants();
    let names: Vec<&str> = extras.iter().map(|extra| extra.counted().0).collect();
    let there = target.existing_tables(&names)?;
    let mut reader = target.reader()?;
    let mut found = Vec::new();
    for &extra in extras {
        let (table, sql) = extra.counted();
        if !there.iter().any(|name| name == table) {
            continue;
        }
        let rows = reader.query(sql, 1)?.rows;
        let count = rows.first().and_then(|row| row.first()?.as_deref()?.parse().ok()).unwrap_or(0);
        found.extend((count > 0).then_some((extra, count)));
    }
    Ok(found)
}

/// Says what of the old database stays behind. Where it is moved live, that must have been said before: `leave`.
///
/// # Errors
/// `R0726` when something is there that nobody said may stay behind.
pub(super) fn check(project: &Project, leave: Option<&[Extra]>, output: &Output) -> Result<(), Failure> {
    let may_stay = |extra: &Extra| leave.is_none_or(|leave| leave.contains(extra));
    let (stays, missing): (Vec<_>, Vec<_>) =
        stays_behind(project)?.into_iter().partition(|(extra, _)| may_stay(extra));
    if missing.is_empty() {
        for (extra, count) in stays {
            output.say(&format!("look stays behind, {}", extra.told(count)));
        }
        return Ok(());
    }
    let names: Vec<String> = missing.iter().map(|(extra, _)| extra.to_string()).collect();
    let error = Error::new(Kind::Refused, "R0726", "the old database has what a move does not take along");
    let error = missing.iter().fold(error, |error, (extra, count)| error.detail(extra.told(*count)));
    Err(error
        .hint(format!("Where that may stay in the old database: repot move URL --leave {}", names.join(",")))
        .into())
}
