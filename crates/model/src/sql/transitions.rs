//! Triggers that refuse changes of states which the model does not allow, for whoever writes with plain SQL. Repot's own
//! writes are checked before (see [`crate::plan::Revision`]) or, in a copy, follow the files, so they pass.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::settle::Trigger;
use super::{Dialect, quote, text_literal};
use crate::plan::{Machine, Plan, Table};

/// What the names of these triggers begin with.
pub const TRANSITION_PREFIX: &str = "repot_transition_";

/// The function behind the triggers on PostgreSQL. The names of columns come from the trigger, never from data.
pub const REFUSE_TRANSITION: &str = "\
create or replace function repot_refuse_transition() returns trigger language plpgsql as $repot$
declare
  was text;
  wanted text;
begin
  execute format('select ($1).%I::text', tg_argv[0]) using old into was;
  execute format('select ($1).%I::text', tg_argv[0]) using new into wanted;
  raise exception '%.%: % -> % is no allowed change', tg_table_name, tg_argv[0], was, coalesce(wanted, 'null')
    using errcode = 'check_violation', hint = 'Allowed are ' || tg_argv[1] || '.',
          table = tg_table_name, column = tg_argv[0], constraint = tg_name;
end
$repot$";

/// One trigger for each state machine.
#[must_use]
pub fn transition_triggers(plan: &Plan, dialect: Dialect) -> Vec<Trigger> {
    let machines = plan
        .tables
        .iter()
        .zip(&plan.rules)
        .flat_map(|(table, rules)| rules.machines.iter().map(move |machine| (table, machine)));
    machines.map(|(table, machine)| trigger(table, machine, dialect)).collect()
}

fn trigger(table: &Table, machine: &Machine, dialect: Dialect) -> Trigger {
    let column = &table.columns[machine.column].name;
    let name = bounded(&format!("{TRANSITION_PREFIX}{}_{column}", table.name));
    let create = match dialect {
        Dialect::Sqlite => sqlite(&name, table, column, machine),
        Dialect::Postgres => postgres(&name, table, column, machine),
    };
    made((name, &table.name), create, REFUSE_TRANSITION, dialect)
}

/// A trigger with what is kept with it.
pub(super) fn made(
    (name, table): (String, &str),
    create: String,
    function: &'static str,
    dialect: Dialect,
) -> Trigger {
    let (mark, function) = match dialect {
        Dialect::Sqlite => (create.clone(), String::new()),
        Dialect::Postgres => {
            let hash = digest(&format!("{create}{function}"), 8);
            (format!("Made by Repot from the model: {hash}"), function.to_owned())
        }
    };
    Trigger { name, table: table.to_owned(), create, function, mark }
}

/// After the update, so that what other triggers make of the row counts. The messages are constants, because older
/// SQLite shells could not even read the schema otherwise.
fn sqlite(name: &str, table: &Table, column: &str, machine: &Machine) -> String {
    let (of, label) = (quote(column), format!("{}.{column}", table.name));
    let mut messages = String::new();
    for (from, next) in &machine.changes {
        let allowed = if next.is_empty() {
            format!("{from} is final")
        } else {
            format!("from {from}: {}", next.join(", "))
        };
        let text = format!("{label}: this is no allowed change; {allowed}");
        write!(messages, "\n    when {} then raise(abort, {})", text_literal(from), text_literal(&text))
            .expect("a String takes everything");
    }
    let other = text_literal(&format!("{label}: this is no allowed change"));
    // the view repot_writer says when Repot itself writes
    format!(
        "create trigger {name} after update of {of} on {table} for each row\n\
         when old.{of} is not null and old.{of} is not new.{of}\n  \
         and not exists (select 1 from repot_writer where busy <> 0)\n  \
         and (case old.{of}{allowed} else 0 end) is not 1\n\
         begin\n  select case old.{of}{messages}\n    else raise(abort, {other}) end;\nend",
        name = quote(name),
        table = quote(&table.name),
        allowed = cases(&of, machine, "0"),
    )
}

/// After the update, so that what other triggers make of the row counts.
fn postgres(name: &str, table: &Table, column: &str, machine: &Machine) -> String {
    let of = quote(column);
    let allowed: Vec<String> = machine
        .changes
        .iter()
        .map(|(from, next)| {
            let next = if next.is_empty() { "nothing".to_owned() } else { next.join(", ") };
            format!("{from} to {next}")
        })
        .collect();
    format!(
        "create trigger {name} after update on {table} for each row\n\
         when (old.{of} is not null and old.{of} is distinct from new.{of}\n  \
         and current_setting('repot.writer', true) is distinct from 'on'\n  \
         and (case old.{of}{cases} else false end) is not true)\n\
         execute function repot_refuse_transition({column}, {allowed})",
        name = quote(name),
        table = quote(&table.name),
        cases = cases(&of, machine, "false"),
        column = text_literal(column),
        allowed = text_literal(&allowed.join("; ")),
    )
}

/// Whether the new word may follow the old one.
fn cases(column: &str, machine: &Machine, never: &str) -> String {
    let mut out = String::new();
    for (from, next) in &machine.changes {
        let next: Vec<String> = next.iter().map(|word| text_literal(word)).collect();
        let may =
            if next.is_empty() { never.to_owned() } else { format!("new.{column} in ({})", next.join(", ")) };
        write!(out, "\n    when {} then {may}", text_literal(from)).expect("a String takes everything");
    }
    out
}

/// At most 63 bytes, which is what PostgreSQL keeps of a name.
pub(super) fn bounded(name: &str) -> String {
    const BYTES_MAX: usize = 63;
    if name.len() <= BYTES_MAX {
        return name.to_owned();
    }
    let tail = digest(name, 4);
    let mut end = BYTES_MAX - tail.len() - 1;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}_{tail}", name.get(..end).unwrap_or_default())
}

pub(super) fn digest(text: &str, bytes: usize) -> String {
    Sha256::digest(text.as_bytes()).iter().take(bytes).fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").expect("a String takes everything");
        out
    })
}
