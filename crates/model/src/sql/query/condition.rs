//! Conditions on rows, with columns found and values read; and their SQL. A condition holds or does not: what SQL calls
//! unknown does not hold.

use crate::plan::{Column, ColumnKind, Parent, Plan};
use crate::row::{Cell, Cells};
use crate::search::Term;
use crate::sql::{Dialect, quote, text_literal};

use super::{Helps, Parameter, Speech, Tenancy, links};

/// Two values compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// The same.
    Equal,
    /// Greater.
    Greater,
    /// Greater or the same.
    AtLeast,
    /// Less.
    Less,
    /// Less or the same.
    AtMost,
}

impl Comparison {
    /// As SQL writes it.
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
            Self::Less => "<",
            Self::AtMost => "<=",
        }
    }
}

/// Which kind of value is looked for inside a JSON column; a value of another kind there fulfils no condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonType {
    /// A string.
    Text,
    /// A number, exactly; see [`super::json_number`].
    Number,
    /// `true` or `false`.
    Bool,
}

/// What a condition is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operand {
    /// A column.
    Column(usize),
    /// A value inside a JSON column.
    Json {
        /// The column.
        column: usize,
        /// Names, or places in a list.
        path: Vec<String>,
        /// Which kind of value.
        is: JsonType,
    },
    /// The characters of a text column.
    Length(usize),
    /// An element of a list column; some element must fulfil the condition.
    Element(usize),
}

/// A collection of rows that rows of another one hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The table of the holding rows.
    pub holder: usize,
    /// The table of the held rows.
    pub table: usize,
}

/// What a row must fulfil.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// All of these; none: every row does.
    All(Vec<Self>),
    /// At least one of these; none: no row does.
    Any(Vec<Self>),
    /// Not this.
    Not(Box<Self>),
    /// Compared with a value.
    Compare(Operand, Comparison, Parameter),
    /// One of these values.
    In(Operand, Vec<Parameter>),
    /// A text that a pattern matches: `%` any characters, `_` one, `\` before one of the three: itself.
    Like(Operand, String),
    /// Nothing there.
    Null(Operand),
    /// Some row that it holds fulfils this.
    Holds(Held, Box<Self>),
    /// Its searched texts fulfil all of these.
    Search(Vec<Term>),
    /// As many rows as this are held, over all steps.
    Count(Vec<Held>, Comparison, i64),
}

/// Writes SQL and collects its parameters.
#[derive(Debug)]
pub(super) struct Writer<'p> {
    pub plan: &'p Plan,
    pub tenancy: &'p Tenancy,
    pub speech: Speech,
    pub parameters: Vec<Parameter>,
    aliases: usize,
}

impl<'p> Writer<'p> {
    pub(super) const fn new(plan: &'p Plan, tenancy: &'p Tenancy, speech: Speech) -> Self {
        Self { plan, tenancy, speech, parameters: Vec::new(), aliases: 0 }
    }

    pub(super) fn is(&self, dialect: Dialect) -> bool {
        self.speech.dialect == dialect
    }

    /// A parameter's mark.
    pub(super) fn mark(&mut self, parameter: Parameter) -> String {
        self.parameters.push(parameter);
        let sign = if self.is(Dialect::Sqlite) { '?' } else { '$' };
        format!("{sign}{}", self.parameters.len())
    }

    pub(super) fn mark_cell(&mut self, cell: &Cell<'_>, kind: ColumnKind) -> String {
        let mut encoded = Vec::new();
        cell.encode(&mut encoded);
        self.mark(Parameter { cell: encoded, kind })
    }

    pub(super) fn alias(&mut self) -> String {
        self.aliases += 1;
        format!("t{}", self.aliases)
    }

    pub(super) fn column(&self, table: usize, column: usize, alias: &str) -> String {
        format!("{alias}.{}", quote(&self.plan.tables[table].columns[column].name))
    }

    pub(super) fn kind(&self, table: usize, column: usize) -> ColumnKind {
        self.plan.tables[table].columns[column].kind
    }

    /// A value as it is ordered: texts by bytes, decimals by number.
    pub(super) fn ordered(&self, value: String, kind: ColumnKind) -> String {
        match (kind, self.speech.dialect) {
            (ColumnKind::Text(_), Dialect::Postgres) if !self.speech.texts_by_bytes => {
                format!("{value} collate \"C\"")
            }
            (ColumnKind::Decimal, Dialect::Sqlite) => format!("{value} collate repot_decimal"),
            _ => value,
        }
    }

    /// A value as it is told apart: equal texts have equal bytes under any collation of a database's own.
    pub(super) fn equated(&self, value: String, kind: ColumnKind) -> String {
        if kind == ColumnKind::Decimal { self.ordered(value, kind) } else { value }
    }

    /// The SQL of a condition on the rows of `table`.
    pub(super) fn condition(&mut self, condition: &Condition, table: usize, alias: &str) -> String {
        match condition {
            Condition::All(all) => self.joined(all, (table, alias), ("and", "true")),
            Condition::Any(any) => self.joined(any, (table, alias), ("or", "false")),
            Condition::Not(inner) => format!("({}) is not true", self.condition(inner, table, alias)),
            Condition::Null(operand) => self.null(operand, table, alias),
            Condition::Holds(held, inner) => self.holds(held, inner, alias),
            Condition::Search(terms) => self.search(terms, table, alias),
            Condition::Count(path, comparison, count) => self.count(path, *comparison, *count, alias),
            Condition::Compare(operand, ..) | Condition::In(operand, _) | Condition::Like(operand, _) => {
                match operand {
                    Operand::Element(column) => self.some_element(condition, (table, alias), *column),
                    _ => {
                        let (value, kind) = self.value(operand, table, alias);
                        self.leaf(condition, value, kind)
                    }
                }
            }
        }
    }

    fn joined(
        &mut self,
        all: &[Condition],
        (table, alias): (usize, &str),
        (word, none): (&str, &str),
    ) -> String {
        let parts: Vec<String> = all.iter().map(|one| self.condition(one, table, alias)).collect();
        match parts.as_slice() {
            [] => none.to_owned(),
            [only] => only.clone(),
            _ => format!("({})", parts.join(&format!(" {word} "))),
        }
    }

    fn leaf(&mut self, condition: &Condition, value: String, kind: ColumnKind) -> String {
        match condition {
            Condition::Compare(_, Comparison::Equal, given) => {
                format!("{} = {}", self.equated(value, kind), self.mark(given.clone()))
            }
            Condition::Compare(_, comparison, given) => {
                format!("{} {} {}", self.ordered(value, kind), comparison.sign(), self.mark(given.clone()))
            }
            Condition::In(_, given) if given.is_empty() => "false".to_owned(),
            Condition::In(_, given) => {
                let marks: Vec<String> = given.iter().map(|one| self.mark(one.clone())).collect();
                format!("{} in ({})", self.equated(value, kind), marks.join(", "))
            }
            Condition::Like(_, pattern) => {
                let sqlite = self.is(Dialect::Sqlite);
                let pattern = if sqlite { glob(pattern) } else { pattern.clone() };
                let mark = self.mark_cell(&Cell::Text(pattern.into()), ColumnKind::Text(None));
                let like = match self.speech.dialect {
                    Dialect::Sqlite => format!("{value} glob {mark}"),
                    Dialect::Postgres => format!("{value} like {mark} escape E'\\\\'"),
                };
                let range = if self.speech.texts_by_bytes { self.between(condition, &value) } else { None };
                range.map_or_else(|| like.clone(), |range| format!("({like}{range})"))
            }
            _ => "false".to_owned(),
        }
    }

    /// SQLite looks at no value before it decides on an index, nor does PostgreSQL for a statement that it keeps, so they are told between
    /// which texts a pattern's are.
    fn between(&mut self, condition: &Condition, value: &str) -> Option<String> {
        let Condition::Like(Operand::Column(_), pattern) = condition else { return None };
        let first = literal_start(pattern);
        let last = first.chars().last()?;
        let mut text = |text: String| self.mark_cell(&Cell::Text(text.into()), ColumnKind::Text(None));
        let mut range = format!(" and {value} >= {}", text(first.clone()));
        // the order of texts is that of their characters' numbers
        if let Some(next) = (last..=char::MAX).nth(1) {
            let before = first.strip_suffix(last).unwrap_or_default();
            range.push_str(&format!(" and {value} < {}", text(format!("{before}{next}"))));
        }
        Some(range)
    }

    fn value(&mut self, operand: &Operand, table: usize, alias: &str) -> (String, ColumnKind) {
        match operand {
            Operand::Column(column) | Operand::Element(column) => {
                (self.column(table, *column, alias), self.kind(table, *column))
            }
            Operand::Length(column) => {
                let name = if self.is(Dialect::Sqlite) { "length" } else { "char_length" };
                (format!("{name}({})", self.column(table, *column, alias)), ColumnKind::Int)
            }
            Operand::Json { column, path, is } => {
                let column = self.column(table, *column, alias);
                let kind = match is {
                    JsonType::Text => ColumnKind::Text(None),
                    JsonType::Number => ColumnKind::Decimal,
                    JsonType::Bool => ColumnKind::Bool,
                };
                (self.json(&column, path, Some(*is)), kind)
            }
        }
    }

    fn null(&mut self, operand: &Operand, table: usize, alias: &str) -> String {
        match operand {
            Operand::Json { column, path, .. } => {
                let column = self.column(table, *column, alias);
                self.json(&column, path, None)
            }
            _ => format!("{} is null", self.value(operand, table, alias).0),
        }
    }

    fn some_element(&mut self, leaf: &Condition, (table, alias): (usize, &str), column: usize) -> String {
        let name = self.column(table, column, alias);
        let element = self.alias();
        let kind = match self.kind(table, column) {
            ColumnKind::IntList => ColumnKind::Int,
            ColumnKind::FloatList => ColumnKind::Float,
            ColumnKind::BoolList => ColumnKind::Bool,
            _ => ColumnKind::Text(None),
        };
        if self.is(Dialect::Sqlite) {
            let inner = self.leaf(leaf, format!("{element}.value"), kind);
            return format!(
                "exists (select 1 from json_each(case when json_valid({name}) then {name} else '[]' end) as {element} where {inner})"
            );
        }
        let inner = self.leaf(leaf, format!("{element}.value"), kind);
        format!("exists (select 1 from unnest({name}) as {element}(value) where {inner})")
    }

    /// A holder's key as the column of what it holds has it.
    pub(super) fn key_as_held(&self, own: &Column, link: &Parent, alias: &str) -> String {
        let key = &self.plan.tables[link.table].columns[link.parent_column];
        let name = format!("{alias}.{}", quote(&key.name));
        let is_text = |kind| matches!(kind, ColumnKind::Text(_));
        if !is_text(own.kind) || is_text(key.kind) {
            return name;
        }
        match (key.kind, self.speech.dialect) {
            (ColumnKind::Uuid | ColumnKind::Decimal, Dialect::Sqlite) => name,
            (ColumnKind::Bool, Dialect::Sqlite) => format!("iif({name}, 'true', 'false')"),
            (_, Dialect::Sqlite) => format!("cast({name} as text)"),
            (ColumnKind::Decimal, Dialect::Postgres) => format!("trim_scale({name})::text"),
            (_, Dialect::Postgres) => format!("{name}::text"),
        }
    }

    /// `t1."drama_id" = r."id"`: rows of `held.table` at `child` that the row at `alias` holds.
    fn held_by(&self, held: &Held, child: &str, alias: &str) -> String {
        let ways: Vec<String> = links(self.plan, held.holder, held.table)
            .iter()
            .map(|link| {
                let own = &self.plan.tables[held.table].columns[link.column];
                let same = format!("{child}.{} = {}", quote(&own.name), self.key_as_held(own, link, alias));
                self.with_type(held.table, link, child, same)
            })
            .collect();
        match ways.as_slice() {
            [only] => only.clone(),
            _ => format!("({})", ways.join(" or ")),
        }
    }

    pub(super) fn with_type(&self, table: usize, link: &Parent, child: &str, condition: String) -> String {
        let Some(column) = link.type_column else { return condition };
        let name = self.column(table, column, child);
        format!("{name} = {} and {condition}", text_literal(&self.plan.tables[link.table].name))
    }

    fn holds(&mut self, held: &Held, inner: &Condition, alias: &str) -> String {
        let name = quote(&self.plan.tables[held.table].name);
        // an index on what is asked of the held rows leads from them to their holder; else the other way round
        if Helps::new(self.plan, self.speech).helped(held.table, inner) {
            let ways: Vec<String> = links(self.plan, held.holder, held.table)
                .iter()
                .map(|link| {
                    let child = self.alias();
                    let own = &self.plan.tables[held.table].columns[link.column];
                    let column = format!("{child}.{}", quote(&own.name));
                    let key = self.key_as_held(own, link, alias);
                    let place = self.condition(inner, held.table, &child);
                    let place = self.with_type(held.table, link, &child, place);
                    format!("{key} in (select {column} from {name} as {child} where {place})")
                })
                .collect();
            return match ways.as_slice() {
                [only] => only.clone(),
                _ => format!("({})", ways.join(" or ")),
            };
        }
        let child = self.alias();
        let place = self.held_by(held, &child, alias);
        let inner = self.condition(inner, held.table, &child);
        format!("exists (select 1 from {name} as {child} where {place} and {inner})")
    }

    fn count(&mut self, path: &[Held], comparison: Comparison, count: i64, alias: &str) -> String {
        let mut from = String::new();
        let mut place = "true".to_owned();
        let mut above = alias.to_owned();
        for held in path {
            let name = quote(&self.plan.tables[held.table].name);
            let child = self.alias();
            let on = self.held_by(held, &child, &above);
            if from.is_empty() {
                from = format!("{name} as {child}");
                place = on;
            } else {
                from.push_str(&format!(" join {name} as {child} on {on}"));
            }
            above = child;
        }
        let mark = self.mark_cell(&Cell::Int(count), ColumnKind::Int);
        format!("(select count(*) from {from} where {place}) {} {mark}", comparison.sign())
    }

    /// The rows that the asking tenant may see; `None` where no tenants are.
    pub(super) fn tenant(&mut self, table: usize, alias: &str) -> Option<String> {
        self.tenant_within(table, alias, &mut vec![table])
    }

    fn tenant_within(&mut self, table: usize, alias: &str, above: &mut Vec<usize>) -> Option<String> {
        let plan = self.plan;
        if !self.tenancy.applies(plan, table) {
            return None;
        }
        if let Some(column) = self.tenancy.columns.get(table).copied().flatten() {
            let cell = self.tenancy.tenant.as_ref().and_then(|cells| cells.get(table)?.clone());
            let Some(cell) = cell else { return Some("false".to_owned()) };
            let kind = self.kind(table, column);
            let value = self.equated(self.column(table, column, alias), kind);
            return Some(format!("{value} = {}", self.mark(Parameter { cell, kind })));
        }
        let mut ways = Vec::new();
        for parent in &plan.tables[table].parents {
            if above.contains(&parent.table) || !self.tenancy.applies(plan, parent.table) {
                continue;
            }
            above.push(parent.table);
            let holder = self.alias();
            if let Some(inner) = self.tenant_within(parent.table, &holder, above) {
                let own = &plan.tables[table].columns[parent.column];
                let key = self.key_as_held(own, parent, &holder);
                let name = quote(&plan.tables[parent.table].name);
                let held = format!(
                    "{alias}.{} in (select {key} from {name} as {holder} where {inner})",
                    quote(&own.name)
                );
                ways.push(self.with_type(table, parent, alias, held));
            }
            above.pop();
        }
        Some(match ways.as_slice() {
            [] => "false".to_owned(),
            [only] => only.clone(),
            _ => format!("({})", ways.iter().map(|way| format!("({way})")).collect::<Vec<_>>().join(" or ")),
        })
    }
}

/// What every text begins with that this pattern of `like` matches.
fn literal_start(pattern: &str) -> String {
    let mut out = String::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '%' | '_' => break,
            '\\' => out.push(characters.next().unwrap_or('\\')),
            other => out.push(other),
        }
    }
    out
}

/// A pattern of `like` as SQLite's `glob` has it, which tells upper from lower case.
fn glob(pattern: &str) -> String {
    let mut out = String::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        let literal = match character {
            '%' => {
                out.push('*');
                continue;
            }
            '_' => {
                out.push('?');
                continue;
            }
            '\\' => characters.next().unwrap_or('\\'),
            other => other,
        };
        if matches!(literal, '*' | '?' | '[') {
            out.extend(['[', literal, ']']);
        } else {
            out.push(literal);
        }
    }
    out
}

/// Whether an encoded cell is null.
pub(super) fn is_null(cell: &[u8]) -> bool {
    Cells::new(cell).next().is_none_or(|cell| cell == Cell::Null)
}
