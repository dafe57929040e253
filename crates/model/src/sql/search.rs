//! The tables and triggers of full text search. Beside each searched table stand three things of ours: which row each
//! indexed part is of, the index of words itself, and the rows that plain SQL changed since. What a text's words are is
//! decided in [`crate::search`].

use std::fmt::Write as _;

use super::ddl::type_name;
use super::settle::{Trigger, settle_triggers};
use super::transitions::{bounded, digest};
use super::{Dialect, quote, text_literal};
use crate::plan::{Column, Plan, Table};
use crate::search::VERSION;

/// What the names of all this begin with.
pub const SEARCH_PREFIX: &str = "repot_search_";
/// Key of the value of ours that says which indexes are there, and how each was made.
pub const SEARCH_META: &str = "search";
/// On SQLite one row: the value under [`SEARCH_META`] while a transaction is at work that keeps the indexes itself. On
/// PostgreSQL the setting `repot.search` is for that.
pub const SEARCH_STATE: &str = "repot_search_state";

/// Rows whose marks are taken at once.
const MARKS_AT_ONCE: usize = 256;
/// Bytes of texts after which no further mark is taken.
const MARKED_BYTES: usize = 4 << 20;

/// Notes the rows of a statement. Names come from the trigger, never from data. It runs as its owner, so that who may
/// write the table need not be able to write ours; nobody else may make a trigger with it.
const NOTE: &str = "\
create or replace function repot_search_note() returns trigger language plpgsql security definer
  set search_path = pg_catalog, pg_temp as $repot$
declare
  marks text := format('insert into %I.%I (%s) select %s from ', tg_table_schema, tg_argv[0], tg_argv[1], tg_argv[2]);
begin
  if tg_op = 'INSERT' then
    execute marks || 'repot_new';
  elsif tg_op = 'DELETE' then
    execute marks || 'repot_old';
  else
    execute marks || format('(select %1$s from repot_new except select %1$s from repot_old) c', tg_argv[3]);
    execute marks || format('(select %1$s from repot_old except select %1$s from repot_new) c', tg_argv[3]);
  end if;
  return null;
end
$repot$;
revoke all on function repot_search_note() from public";

/// The index of a searched table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchIndex {
    /// The searched table, in the plan.
    pub table: usize,
    /// Its searched columns.
    pub columns: Vec<usize>,
    /// Says of which row each part is: `k0`, `k1` ... hold the row's identity. On SQLite `id` is the part's number in
    /// the index of words; on PostgreSQL the words are here.
    pub rows: String,
    /// SQLite: the index of words.
    pub words: String,
    /// Rows that plain SQL changed: `seq`, and the row's identity.
    pub stale: String,
    name: String,
    made: String,
}

/// The indexes that the model asks for.
#[must_use]
pub fn search_indexes(plan: &Plan) -> &[SearchIndex] {
    &plan.searches
}

/// Whether our own writes can keep these indexes, because no searched column changes but by them: a reference is also
/// changed by the database, when the row that it refers to goes. Otherwise the triggers mark our writes too.
#[must_use]
pub fn is_kept_by_writes(plan: &Plan, indexes: &[SearchIndex]) -> bool {
    let refers = |one: &SearchIndex| {
        let keys = &plan.tables[one.table].foreign_keys;
        keys.iter().any(|key| one.columns.contains(&key.column))
    };
    !indexes.iter().any(refers)
}

/// What is kept under [`SEARCH_META`] where these indexes are; `None` where there are none.
#[must_use]
pub fn search_meta(indexes: &[SearchIndex]) -> Option<String> {
    let lines: Vec<String> = indexes.iter().map(|one| format!("{} {}", one.made, one.name)).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// The statements that turn what is there into what the model asks for; none when it is. `meta` is the value under
/// [`SEARCH_META`], `triggers` those whose names begin with [`SEARCH_PREFIX`]: name, table, mark. A new index begins
/// with the mark on every row.
#[must_use]
pub fn settle_search(
    plan: &Plan,
    meta: Option<&str>,
    triggers: &[(String, String, Option<String>)],
    dialect: Dialect,
) -> Vec<String> {
    let wanted = search_indexes(plan);
    let spec = search_meta(wanted).unwrap_or_default();
    let there: Vec<(&str, &str)> =
        meta.into_iter().flat_map(str::lines).filter_map(|line| line.split_once(' ')).collect();
    let is_there = |one: &SearchIndex| there.contains(&(one.made.as_str(), one.name.as_str()));
    let mut statements = Vec::new();
    for (_, name) in
        there.iter().filter(|old| !wanted.iter().any(|one| (one.made.as_str(), one.name.as_str()) == **old))
    {
        let Names { rows, words, stale } = Names::of(name);
        for name in [rows, words, stale] {
            // with the view through which a tenant searches
            let views = if dialect == Dialect::Postgres { " cascade" } else { "" };
            statements.push(format!("drop table if exists {}{views}", quote(&name)));
        }
    }
    let made: Vec<Trigger> =
        wanted.iter().flat_map(|one| one.triggers(&plan.tables[one.table], &spec, dialect)).collect();
    let settled = settle_triggers(&made, triggers, dialect);
    let new: Vec<&SearchIndex> = wanted.iter().filter(|one| !is_there(one)).collect();
    for one in &new {
        statements.extend(one.create(&plan.tables[one.table], dialect));
    }
    if !settled.is_empty() && dialect == Dialect::Postgres {
        statements.push(NOTE.to_owned());
    }
    if !settled.is_empty() && dialect == Dialect::Sqlite {
        statements.push(format!("create table if not exists {SEARCH_STATE} (spec text not null) strict"));
        let none = format!("not exists (select 1 from {SEARCH_STATE})");
        statements.push(format!("insert into {SEARCH_STATE} (spec) select '' where {none}"));
    }
    statements.extend(settled);
    // last, so that no row changes between its mark and its trigger
    statements.extend(new.iter().map(|one| one.mark_all(&plan.tables[one.table])));
    statements
}

struct Names {
    rows: String,
    words: String,
    stale: String,
}

impl Names {
    /// The tables of FTS5 are named after its own, with `_data` and the like behind: the last `_` keeps those apart from
    /// the names for other tables.
    fn of(table: &str) -> Self {
        let named = |what: &str, end: &str| bounded(&format!("{SEARCH_PREFIX}{what}_{table}{end}"));
        Self { rows: named("rows", ""), words: named("words", "_"), stale: named("stale", "") }
    }
}

impl SearchIndex {
    /// Of a plan that is being compiled.
    pub(crate) fn all(plan: &Plan) -> Vec<Self> {
        let searched = plan.rules.iter().enumerate().filter(|(_, rules)| !rules.search.is_empty());
        let named = searched.filter(|&(table, _)| !plan.tables[table].identity.is_empty());
        named.map(|(table, rules)| Self::new(plan, table, &rules.search)).collect()
    }

    fn new(plan: &Plan, table: usize, columns: &[usize]) -> Self {
        let shape = &plan.tables[table];
        let Names { rows, words, stale } = Names::of(&shape.name);
        let described = |column: &usize| {
            let Column { name, kind, nullable, .. } = &shape.columns[*column];
            format!("{name:?} {kind:?} {nullable}")
        };
        let (unicode, forms) = (char::UNICODE_VERSION, unicode_normalization::UNICODE_VERSION);
        let mut text = format!("{VERSION} {unicode:?} {forms:?}");
        for column in columns.iter().chain([&usize::MAX]).chain(&shape.identity) {
            let one = if *column == usize::MAX { "by".to_owned() } else { described(column) };
            write!(text, "; {one}").expect("a String takes everything");
        }
        Self {
            table,
            columns: columns.to_vec(),
            rows,
            words,
            stale,
            name: shape.name.clone(),
            made: digest(&text, 8),
        }
    }

    /// `k0, k1`.
    #[must_use]
    pub fn keys(&self, table: &Table) -> String {
        (0..table.identity.len()).map(|at| format!("k{at}")).collect::<Vec<_>>().join(", ")
    }

    /// The table of parts, as a table whose rows are found by `k0`, `k1` ...
    #[must_use]
    pub fn shape(&self, table: &Table) -> Table {
        let columns = table.identity.iter().enumerate().map(|(at, &column)| Column {
            name: format!("k{at}"),
            default: None,
            words: Vec::new(),
            ..table.columns[column].clone()
        });
        Table {
            name: self.rows.clone(),
            columns: columns.collect(),
            key: Vec::new(),
            key_is_auto: false,
            identity: (0..table.identity.len()).collect(),
            unique: Vec::new(),
            indexes: Vec::new(),
            foreign_keys: Vec::new(),
            position: None,
            parents: Vec::new(),
            tenant: None,
        }
    }

    /// `s.k0 = r."id" and ...`: a row with the keys `k0` ... at one alias is of the row at another.
    #[must_use]
    pub fn same_row(&self, table: &Table, (keys, row): (&str, &str), dialect: Dialect) -> String {
        let parts: Vec<String> = table
            .identity
            .iter()
            .enumerate()
            .map(|(at, &column)| {
                let column = &table.columns[column];
                format!("{keys}.k{at} {} {row}.{}", same(column, dialect), quote(&column.name))
            })
            .collect();
        parts.join(" and ")
    }

    fn same_keys(table: &Table, one: &str, other: &str, dialect: Dialect) -> String {
        let same = |(at, &column): (usize, &usize)| {
            format!("{one}.k{at} {} {other}.k{at}", same(&table.columns[column], dialect))
        };
        table.identity.iter().enumerate().map(same).collect::<Vec<_>>().join(" and ")
    }

    /// Whether a part's row can be found by equality alone.
    #[must_use]
    pub fn has_plain_keys(&self, table: &Table) -> bool {
        table.identity.iter().all(|&column| !table.columns[column].nullable)
    }

    fn create(&self, table: &Table, dialect: Dialect) -> Vec<String> {
        let typed =
            |at: usize, column: usize| format!("k{at} {}", type_name(table.columns[column].kind, dialect));
        let keys: Vec<String> =
            table.identity.iter().enumerate().map(|(at, &column)| typed(at, column)).collect();
        let (keys, rows, stale) = (keys.join(", "), quote(&self.rows), quote(&self.stale));
        let index = bounded(&format!("{}_by_row", self.rows));
        let indexed = format!("create index {} on {rows} ({})", quote(&index), self.indexed(table));
        match dialect {
            Dialect::Sqlite => vec![
                format!("create table {rows} (id integer primary key, {keys}) strict"),
                indexed,
                format!(
                    "create virtual table {} using fts5(words, content='', contentless_delete=1, tokenize='ascii')",
                    quote(&self.words)
                ),
                format!("create table {stale} (seq integer primary key, {keys}) strict"),
            ],
            Dialect::Postgres => vec![
                format!("create table {rows} ({keys}, words tsvector not null)"),
                indexed,
                format!(
                    "create index {} on {rows} using gin (words)",
                    quote(&bounded(&format!("{}_words", self.rows)))
                ),
                format!("create table {stale} (seq bigint generated always as identity primary key, {keys})"),
            ],
        }
    }

    /// The keys that lead to a row's parts: those that another index holds already, so that they are not too long.
    fn indexed(&self, table: &Table) -> String {
        let of_parent = |column: &usize| table.parents.iter().any(|parent| parent.column == *column);
        let is_key = table.identity == table.key || !table.identity.iter().any(of_parent);
        let keys = table.identity.iter().enumerate();
        let chosen = keys.filter(|(_, column)| is_key || of_parent(column));
        chosen.map(|(at, _)| format!("k{at}")).collect::<Vec<_>>().join(", ")
    }

    fn mark_all(&self, table: &Table) -> String {
        let (stale, keys) = (quote(&self.stale), self.keys(table));
        format!(
            "insert into {stale} ({keys}) select {} from {} as r",
            identity(table, "r."),
            quote(&table.name)
        )
    }

    /// Whether a write of these columns (`None`: of all) changes what is searched.
    #[must_use]
    pub fn is_touched_by(&self, columns: Option<&[usize]>) -> bool {
        columns.is_none_or(|columns| columns.iter().any(|column| self.columns.contains(column)))
    }

    fn triggers(&self, table: &Table, spec: &str, dialect: Dialect) -> Vec<Trigger> {
        let make = |verb: &str| {
            let name = bounded(&format!("{SEARCH_PREFIX}{verb}_{}", table.name));
            let create = match dialect {
                Dialect::Sqlite => self.note_rows(table, (&name, verb), spec),
                Dialect::Postgres => self.note_statement(table, (&name, verb), spec),
            };
            let mark = match dialect {
                Dialect::Sqlite => create.clone(),
                Dialect::Postgres => {
                    format!("Made by Repot from the model: {}", digest(&format!("{create}{NOTE}"), 8))
                }
            };
            Trigger { name, table: table.name.clone(), create, function: String::new(), mark }
        };
        ["insert", "update", "delete"].map(make).into()
    }

    fn note_rows(&self, table: &Table, (name, verb): (&str, &str), spec: &str) -> String {
        let note = |row: &str| {
            let (stale, keys) = (quote(&self.stale), self.keys(table));
            format!("  insert into {stale} ({keys}) values ({});\n", identity(table, row))
        };
        let notes = match verb {
            "insert" => note("new."),
            "delete" => note("old."),
            _ => note("old.") + &note("new."),
        };
        let differs: Vec<String> = self
            .noted(table)
            .iter()
            .map(|&column| quote(&table.columns[column].name))
            .map(|column| format!("old.{column} is not new.{column}"))
            .collect();
        let differs =
            if verb == "update" { format!("\n  and ({})", differs.join(" or ")) } else { String::new() };
        format!(
            "create trigger {} after {verb} on {} for each row\n\
             when (select spec from {SEARCH_STATE}) is not {}{differs}\nbegin\n{notes}end",
            quote(name),
            quote(&table.name),
            text_literal(spec),
        )
    }

    fn note_statement(&self, table: &Table, (name, verb): (&str, &str), spec: &str) -> String {
        let tables = match verb {
            "insert" => "new table as repot_new",
            "delete" => "old table as repot_old",
            _ => "old table as repot_old new table as repot_new",
        };
        let noted: Vec<String> =
            self.noted(table).iter().map(|&column| quote(&table.columns[column].name)).collect();
        format!(
            "create trigger {} after {verb} on {} referencing {tables} for each statement\n\
             when (current_setting('repot.search', true) is distinct from {})\n\
             execute function repot_search_note({}, {}, {}, {})",
            quote(name),
            quote(&table.name),
            text_literal(spec),
            text_literal(&self.stale),
            text_literal(&self.keys(table)),
            text_literal(&identity(table, "")),
            text_literal(&noted.join(", ")),
        )
    }

    /// The columns whose change matters: those searched, and those that tell rows apart.
    fn noted(&self, table: &Table) -> Vec<usize> {
        let mut all: Vec<usize> = self.columns.iter().chain(&table.identity).copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Takes some marks, the oldest first and not more than some MiB of texts, removes what is indexed of their rows, and
    /// gives the rows that are there: their keys, then the searched texts. For PostgreSQL.
    #[must_use]
    pub fn take(&self, table: &Table) -> String {
        let (dialect, keys) = (Dialect::Postgres, self.keys(table));
        let (rows, stale, name) = (quote(&self.rows), quote(&self.stale), quote(&table.name));
        let bytes: Vec<String> = self
            .columns
            .iter()
            .map(|&column| {
                format!("coalesce(octet_length(t.{}), 0)::bigint", quote(&table.columns[column].name))
            })
            .collect();
        format!(
            "with oldest as (select * from {stale} order by seq limit {MARKS_AT_ONCE}),\n\
             sized as (select o.*, {bytes} as bytes from oldest o left join {name} t on {same_o}),\n\
             next as (select seq, bytes, sum(bytes) over (order by seq) as total from sized),\n\
             gone as (delete from {stale} s using next n where n.seq = s.seq and n.total - n.bytes <= {MARKED_BYTES} returning s.*),\n\
             marked as (select distinct {keys} from gone),\n\
             dropped as (delete from {rows} w using marked m where {same_w})\n\
             select {m_keys}, {texts} from marked m join {name} t on {same_m}",
            bytes = bytes.join(" + "),
            same_o = self.same_row(table, ("o", "t"), dialect),
            same_w = Self::same_keys(table, "w", "m", dialect),
            same_m = self.same_row(table, ("m", "t"), dialect),
            m_keys = (0..table.identity.len()).map(|at| format!("m.k{at}")).collect::<Vec<_>>().join(", "),
            texts = self.texts(table, "t"),
        )
    }

    /// The searched columns of the row at an alias.
    #[must_use]
    pub fn texts(&self, table: &Table, alias: &str) -> String {
        let names =
            self.columns.iter().map(|&column| format!("{alias}.{}", quote(&table.columns[column].name)));
        names.collect::<Vec<_>>().join(", ")
    }

    /// How many marks are taken at once at most, and bytes of texts after which no further one is.
    #[must_use]
    pub const fn bounds() -> (usize, usize) {
        (MARKS_AT_ONCE, MARKED_BYTES)
    }
}

fn same(column: &Column, dialect: Dialect) -> &'static str {
    match (column.nullable, dialect) {
        (false, _) => "=",
        (true, Dialect::Sqlite) => "is",
        (true, Dialect::Postgres) => "is not distinct from",
    }
}

/// The identity's columns, each with `before` in front.
fn identity(table: &Table, before: &str) -> String {
    let names =
        table.identity.iter().map(|&column| format!("{before}{}", quote(&table.columns[column].name)));
    names.collect::<Vec<_>>().join(", ")
}
