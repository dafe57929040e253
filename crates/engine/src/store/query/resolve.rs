//! A query with its names looked up in the model and its values read.

use repot_core::store::{Cursor, Filter, Op, PAGE_ITEMS_MAX, Query, QueryValue, SortBy};
use repot_core::{Error, Kind, Result};
use repot_model::language::Model;
use repot_model::plan::{ColumnKind, Plan, Table, key_text};
use repot_model::sql::query::{
    Comparison, Condition, Expansion, ExpansionTarget, Held, JsonType, Operand, Parameter, Select, Sort,
    Speech, Statement, Tenancy, count_statement, links, statement,
};

use super::cursor;
use super::search::search;
use super::values::{comparison, json, parameter, wrong};

/// Filters in one another.
const DEPTH_MAX: usize = 32;
/// Conditions of one query.
const CONDITIONS_MAX: usize = 256;
/// Values of one `in`, and characters of one pattern.
const VALUES_MAX: usize = 1_000;
/// Values of one query.
const ALL_VALUES_MAX: usize = 10_000;
/// Columns of an order, references that come along, steps of a field.
const NAMES_MAX: usize = 16;

/// A query, ready to be a statement.
pub(super) struct Resolved<'q> {
    pub query: &'q Query,
    pub tenancy: Tenancy,
    pub select: Select,
    /// How many of the columns are shown; those of the key that are not among them follow.
    pub shown: usize,
    /// Where the columns of the key are, for rows that are documents whose keys are wanted.
    pub key: Option<Vec<usize>>,
    plan: &'q Plan,
}

impl<'q> Resolved<'q> {
    pub(super) fn new(model: &Model, plan: &'q Plan, query: &'q Query) -> Result<Self> {
        let table = table(model, plan, &query.scope.collection)?;
        let shape = &plan.tables[table];
        let tenancy = tenancy(model, plan, table, query)?;
        bounds(query)?;
        let mut names = Names { plan, conditions: 0, values: 0 };
        let filter = names.filter(&query.filter, table, 0)?;
        let sort = order(shape, &query.sort)?;
        let mut columns: Vec<usize> = if query.full {
            Vec::new()
        } else if query.fields.is_empty() {
            (0..shape.columns.len()).collect()
        } else {
            query.fields.iter().map(|name| column(shape, name)).collect::<Result<_>>()?
        };
        let shown = columns.len();
        let is_root = plan.roots.iter().any(|root| root.table == Some(table)) && !shape.key.is_empty();
        if query.full && !is_root {
            let message = format!("rows of {} are no documents of their own", shape.name);
            return Err(Error::new(Kind::Unsupported, "R0405", message).hint("Ask without `full`."));
        }
        let is_keyed = is_root && (query.full || query.etags || !query.keyless);
        // what is shown already is not read again
        let places = || shape.key.iter().map(|&column| place(&mut columns, column)).collect::<Vec<usize>>();
        let key = is_keyed.then(places);
        let expand: Vec<Expansion> =
            query.expand.iter().map(|name| expansion(plan, &tenancy, table, name)).collect::<Result<_>>()?;
        let after = query.after.as_ref().map(|after| cursor::read(plan, query, after, sort.len()));
        let limit = u64::try_from(query.limit).unwrap_or(u64::MAX).saturating_add(1);
        let select = Select {
            table,
            filter,
            sort,
            after: after.transpose()?,
            columns,
            expand,
            limit,
            offset: query.offset,
            keyed: query.etags && key.is_some(),
        };
        Ok(Self { query, tenancy, select, shown, key, plan })
    }

    /// The statement, which says who asks.
    pub(super) fn statement(&self, speech: Speech) -> Statement {
        let tenant = self.query.scope.tenant.clone();
        Statement { tenant, ..statement(self.plan, &self.tenancy, speech, &self.select) }
    }

    /// The statement that counts its rows, whoever asks.
    pub(super) fn counting(&self, speech: Speech) -> Statement {
        let counted = (self.select.table, &self.select.filter);
        let tenant = self.query.scope.tenant.clone();
        Statement { tenant, ..count_statement(self.plan, &self.tenancy, speech, counted) }
    }

    /// Items of a page at most.
    pub(super) const fn limit(&self) -> usize {
        self.query.limit
    }

    /// One of the query's own filters again.
    pub(super) fn condition(&self, plan: &Plan, filter: &Filter) -> Result<Condition> {
        Names { plan, conditions: 0, values: 0 }.filter(filter, self.select.table, 0)
    }

    /// Where a page goes on that ended with this row of the statement's answer.
    pub(super) fn cursor(&self, made: &Statement, row: &[&[u8]]) -> Result<Cursor> {
        let values: Vec<&[u8]> = made.order.iter().filter_map(|&at| row.get(at).copied()).collect();
        cursor::make(self.plan, self.query, &values.concat())
    }
}

/// Where the column is among these; it is added where it is not.
fn place(columns: &mut Vec<usize>, column: usize) -> usize {
    columns.iter().position(|known| *known == column).unwrap_or_else(|| {
        columns.push(column);
        columns.len() - 1
    })
}

fn table(model: &Model, plan: &Plan, name: &str) -> Result<usize> {
    let missing = || match model.collection(name) {
        None => Error::new(Kind::NotFound, "R0402", format!("there is no collection {name}"))
            .hint("Check the name; repot.toml lists the collections."),
        Some(_) => Error::new(Kind::Unsupported, "R0405", format!("{name} has no table to query"))
            .hint("Query a collection whose documents are moved into the database."),
    };
    plan.table(name).ok_or_else(missing)
}

/// Who asks; a tenant must be given exactly where the documents have one.
fn tenancy(model: &Model, plan: &Plan, table: usize, query: &Query) -> Result<Tenancy> {
    let column = |shape: &Table| {
        let tenant = model.collection(&shape.name)?.tenant.as_ref()?;
        shape.columns.iter().position(|column| column.name == *tenant)
    };
    let mut tenancy = Tenancy { columns: plan.tables.iter().map(column).collect(), tenant: None };
    let name = &query.scope.collection;
    let message = match (tenancy.applies(plan, table), &query.scope.tenant) {
        (true, None) => format!("{name} is reached through a tenant only"),
        (false, Some(_)) => format!("{name} has no tenants"),
        (false, None) => return Ok(tenancy),
        (true, Some(tenant)) => {
            let cell = |(shape, column): (&Table, &Option<usize>)| {
                let column = &shape.columns[(*column)?];
                let value = QueryValue::Text(tenant.clone());
                let cell = parameter(column, column.kind, &value, false).ok()?.cell;
                // another spelling of the tenant is another tenant
                (key_text(&cell) == tenant.replace('%', "%25").replace('/', "%2F")).then_some(cell)
            };
            let cells = plan.tables.iter().zip(&tenancy.columns).map(cell).collect();
            tenancy.tenant = Some(cells);
            return Ok(tenancy);
        }
    };
    Err(Error::new(Kind::Invalid, "R0406", message)
        .hint("Give a tenant exactly where the collection says `tenant = ...`."))
}

fn bounds(query: &Query) -> Result<()> {
    if query.limit == 0 || query.limit > PAGE_ITEMS_MAX {
        return Err(wrong(format!("a page has 1 to {PAGE_ITEMS_MAX} items, not {}", query.limit)));
    }
    if query.after.is_some() && query.offset > 0 {
        return Err(wrong("a cursor and an offset exclude each other"));
    }
    if query.full && !(query.fields.is_empty() && query.expand.is_empty()) {
        return Err(wrong("whole documents have all their fields and nothing expanded"));
    }
    if query.sort.len() > NAMES_MAX || query.expand.len() > NAMES_MAX {
        return Err(wrong(format!("at most {NAMES_MAX} fields in an order or expanded")));
    }
    if query.fields.len() > PAGE_ITEMS_MAX {
        return Err(wrong(format!("at most {PAGE_ITEMS_MAX} fields")));
    }
    Ok(())
}

fn column(shape: &Table, name: &str) -> Result<usize> {
    let found = shape.columns.iter().position(|column| column.name == name);
    found.ok_or_else(|| wrong(format!("{} has no column {name}", shape.name)))
}

/// The order asked for, and after it what tells all rows apart.
fn order(shape: &Table, by: &[SortBy]) -> Result<Vec<Sort>> {
    let mut sort: Vec<Sort> = Vec::new();
    for one in by {
        let column = column(shape, &one.field)?;
        if !shape.columns[column].kind.has_order() {
            return Err(wrong(format!("{} has no order", one.field)));
        }
        if !sort.iter().any(|before| before.column == column) {
            sort.push(Sort { column, descending: one.descending });
        }
    }
    if shape.identity.is_empty() {
        let message = format!("nothing tells the rows of {} apart", shape.name);
        return Err(Error::new(Kind::Unsupported, "R0405", message).hint("Give the collection a key."));
    }
    for &column in &shape.identity {
        if !sort.iter().any(|before| before.column == column) {
            sort.push(Sort { column, descending: false });
        }
    }
    Ok(sort)
}

fn expansion(plan: &Plan, tenancy: &Tenancy, table: usize, name: &str) -> Result<Expansion> {
    let shape = &plan.tables[table];
    let column = column(shape, name)?;
    let mut targets: Vec<ExpansionTarget> = Vec::new();
    let parents = shape.parents.iter().filter(|parent| parent.column == column).map(|parent| {
        ExpansionTarget { table: parent.table, column: parent.parent_column, type_column: parent.type_column }
    });
    let keys = shape.foreign_keys.iter().filter(|key| key.column == column).map(|key| ExpansionTarget {
        table: key.table,
        column: key.target_column,
        type_column: None,
    });
    for target in parents.chain(keys) {
        if !targets.iter().any(|before| before.table == target.table) {
            targets.push(target);
        }
    }
    if targets.is_empty() {
        return Err(wrong(format!("{}.{name} refers to nothing that could be expanded", shape.name)));
    }
    if let Some(hidden) =
        targets.iter().find(|target| tenancy.tenant.is_none() && tenancy.applies(plan, target.table))
    {
        let message = format!("{} is reached through a tenant only", plan.tables[hidden.table].name);
        return Err(Error::new(Kind::Invalid, "R0406", message).hint("Ask without expanding it."));
    }
    Ok(Expansion { column, targets })
}

/// What a field leads to.
enum Place {
    Column(usize),
    Json(usize, Vec<String>),
}

/// Looks names up and counts what was asked.
struct Names<'p> {
    plan: &'p Plan,
    conditions: usize,
    values: usize,
}

impl Names<'_> {
    fn filter(&mut self, filter: &Filter, table: usize, depth: usize) -> Result<Condition> {
        self.conditions += 1;
        if depth > DEPTH_MAX || self.conditions > CONDITIONS_MAX {
            return Err(wrong(format!("at most {CONDITIONS_MAX} conditions, {DEPTH_MAX} in one another")));
        }
        let mut all = |filters: &[Filter]| {
            filters.iter().map(|one| self.filter(one, table, depth + 1)).collect::<Result<Vec<_>>>()
        };
        Ok(match filter {
            Filter::All(filters) => Condition::All(all(filters)?),
            Filter::Any(filters) => Condition::Any(all(filters)?),
            Filter::Not(inner) => not(self.filter(inner, table, depth + 1)?),
            Filter::Is { field, op, value } => self.is(field, *op, value, table)?,
            Filter::In { field, values } => self.one_of(field, values, table)?,
            Filter::Like { field, pattern } => self.like(field, pattern, table)?,
            Filter::Null { field } => {
                self.leaf(field, table, &|_, place| Ok(Condition::Null(operand(place, JsonType::Text))))?
            }
            Filter::Count { list, op, count } => {
                let path = self.lists(list, table)?;
                compare(*op, |sign| Condition::Count(path, sign, whole(*count)))
            }
            Filter::Length { field, op, characters } => self.length(field, *op, *characters, table)?,
            Filter::Search { words } => search(self.plan, table, words)?,
            Filter::Holds { list, filter } => {
                let path = self.lists(list, table)?;
                let last = path.last().map_or(table, |held| held.table);
                let inner = self.filter(filter, last, depth + 1)?;
                path.into_iter().rev().fold(inner, |inner, held| Condition::Holds(held, Box::new(inner)))
            }
        })
    }

    fn is(&mut self, field: &str, op: Op, value: &QueryValue, table: usize) -> Result<Condition> {
        self.values += 1;
        let (sign, opposite) = comparison(op);
        let found = if *value == QueryValue::Null {
            if sign != Comparison::Equal {
                return Err(wrong(format!("{field} cannot be greater or less than nothing")));
            }
            self.leaf(field, table, &|_, place| Ok(Condition::Null(operand(place, JsonType::Text))))?
        } else {
            self.leaf(field, table, &|shape, place| {
                let (operand, given) = compared(shape, field, place, (value, sign == Comparison::Equal))?;
                Ok(Condition::Compare(operand, sign, given))
            })?
        };
        Ok(if opposite { not(found) } else { found })
    }

    fn one_of(&mut self, field: &str, values: &[QueryValue], table: usize) -> Result<Condition> {
        self.values += values.len();
        if values.len() > VALUES_MAX || self.values > ALL_VALUES_MAX {
            return Err(wrong(format!("{field} is compared with more than {VALUES_MAX} values")));
        }
        self.leaf(field, table, &|shape, place| {
            let mut groups: Vec<(Operand, Vec<Parameter>)> = Vec::new();
            let mut parts = Vec::new();
            for value in values {
                if *value == QueryValue::Null {
                    parts.push(Condition::Null(operand(clone(&place), JsonType::Text)));
                    continue;
                }
                let (operand, given) = compared(shape, field, clone(&place), (value, true))?;
                match groups.iter_mut().find(|group| group.0 == operand) {
                    Some(group) => group.1.push(given),
                    None => groups.push((operand, vec![given])),
                }
            }
            parts.extend(groups.into_iter().map(|(operand, given)| Condition::In(operand, given)));
            Ok(match parts.pop() {
                Some(only) if parts.is_empty() => only,
                last => Condition::Any(parts.into_iter().chain(last).collect()),
            })
        })
    }

    fn like(&mut self, field: &str, pattern: &str, table: usize) -> Result<Condition> {
        let escapes = pattern.chars().rev().take_while(|&character| character == '\\').count();
        if pattern.chars().count() > VALUES_MAX || pattern.contains('\0') || escapes % 2 == 1 {
            return Err(wrong(format!(
                "a pattern has at most {VALUES_MAX} characters, no NUL, and no single \\ at its end"
            )));
        }
        self.leaf(field, table, &|shape, place| {
            let what = match &place {
                Place::Column(column) => shape.columns[*column].kind,
                Place::Json(..) => ColumnKind::Text(None),
            };
            match what {
                ColumnKind::Text(_) => {
                    Ok(Condition::Like(operand(place, JsonType::Text), pattern.to_owned()))
                }
                ColumnKind::TextList => match place {
                    Place::Column(column) => {
                        Ok(Condition::Like(Operand::Element(column), pattern.to_owned()))
                    }
                    Place::Json(..) => Err(wrong(format!("{field} is no text"))),
                },
                _ => Err(wrong(format!("{field} is no text"))),
            }
        })
    }

    fn length(&mut self, field: &str, op: Op, characters: u64, table: usize) -> Result<Condition> {
        let (sign, opposite) = comparison(op);
        let found = self.leaf(field, table, &|shape, place| match place {
            Place::Column(column) if matches!(shape.columns[column].kind, ColumnKind::Text(_)) => {
                let mut cell = Vec::new();
                repot_model::row::Cell::Int(whole(characters)).encode(&mut cell);
                let given = Parameter { cell, kind: ColumnKind::Int };
                Ok(Condition::Compare(Operand::Length(column), sign, given))
            }
            _ => Err(wrong(format!("{field} is no text column, so it has no length"))),
        })?;
        Ok(if opposite { not(found) } else { found })
    }

    /// The condition that `make` gives for the field's last step, within the rows that the steps before lead to.
    fn leaf(
        &self,
        field: &str,
        table: usize,
        make: &dyn Fn(&Table, Place) -> Result<Condition>,
    ) -> Result<Condition> {
        let steps = steps(field)?;
        self.within(field, &steps, table, make)
    }

    fn within(
        &self,
        field: &str,
        steps: &[String],
        table: usize,
        make: &dyn Fn(&Table, Place) -> Result<Condition>,
    ) -> Result<Condition> {
        let shape = &self.plan.tables[table];
        let [first, rest @ ..] = steps else { return Err(wrong("a field has a name")) };
        let column = shape.columns.iter().position(|column| column.name == *first);
        match column {
            Some(column) if rest.is_empty() => return make(shape, Place::Column(column)),
            Some(column) if shape.columns[column].kind == ColumnKind::Json => {
                return make(shape, Place::Json(column, rest.to_vec()));
            }
            _ => {}
        }
        match self.held(table, first) {
            Some(held) if !rest.is_empty() => {
                let inner = self.within(field, rest, held.table, make)?;
                Ok(Condition::Holds(held, Box::new(inner)))
            }
            Some(_) => Err(wrong(format!("{field} is a list; name a field of it, or count it"))),
            None => Err(wrong(format!("{} has no field {first} ({field})", shape.name))),
        }
    }

    fn held(&self, holder: usize, name: &str) -> Option<Held> {
        let table = self.plan.table(name)?;
        (!links(self.plan, holder, table).is_empty()).then_some(Held { holder, table })
    }

    fn lists(&self, list: &str, table: usize) -> Result<Vec<Held>> {
        let mut at = table;
        let mut path = Vec::new();
        for step in steps(list)? {
            let held = self
                .held(at, &step)
                .ok_or_else(|| wrong(format!("{} has no list {step} ({list})", self.plan.tables[at].name)))?;
            at = held.table;
            path.push(held);
        }
        Ok(path)
    }
}

fn clone(place: &Place) -> Place {
    match place {
        Place::Column(column) => Place::Column(*column),
        Place::Json(column, path) => Place::Json(*column, path.clone()),
    }
}

fn not(condition: Condition) -> Condition {
    Condition::Not(Box::new(condition))
}

fn compare(op: Op, make: impl FnOnce(Comparison) -> Condition) -> Condition {
    let (sign, opposite) = comparison(op);
    let made = make(sign);
    if opposite { not(made) } else { made }
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn operand(place: Place, is: JsonType) -> Operand {
    match place {
        Place::Column(column) => Operand::Column(column),
        Place::Json(column, path) => Operand::Json { column, path, is },
    }
}

/// A place and the value it is compared with; `exact`: for being the same.
fn compared(
    shape: &Table,
    field: &str,
    place: Place,
    (value, exact): (&QueryValue, bool),
) -> Result<(Operand, Parameter)> {
    let column = match place {
        Place::Json(..) => {
            let (is, given) = json(field, value)?;
            return Ok((operand(place, is), given));
        }
        Place::Column(column) => column,
    };
    let named = &shape.columns[column];
    let element = match named.kind {
        ColumnKind::TextList => ColumnKind::Text(None),
        ColumnKind::IntList => ColumnKind::Int,
        ColumnKind::FloatList => ColumnKind::Float,
        ColumnKind::BoolList => ColumnKind::Bool,
        kind => return Ok((Operand::Column(column), parameter(named, kind, value, exact)?)),
    };
    Ok((Operand::Element(column), parameter(named, element, value, exact)?))
}

/// `metadata.'a.b'` to its names; a quote inside quotes is doubled.
fn steps(field: &str) -> Result<Vec<String>> {
    let mut out = Vec::new();
    let mut rest = field;
    loop {
        let mut step = String::new();
        if let Some(quoted) = rest.strip_prefix('\'') {
            rest = quoted;
            loop {
                let (head, tail) = rest
                    .split_once('\'')
                    .ok_or_else(|| wrong(format!("a quote in {field} is not closed")))?;
                step.push_str(head);
                rest = tail;
                match rest.strip_prefix('\'') {
                    Some(tail) => {
                        step.push('\'');
                        rest = tail;
                    }
                    None => break,
                }
            }
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            let (head, tail) = rest.split_at(end);
            step.push_str(head);
            rest = tail;
            if step.is_empty() {
                return Err(wrong(format!("a name in `{field}` is empty")));
            }
        }
        if step.contains('\0') || out.len() >= NAMES_MAX {
            return Err(wrong(format!("at most {NAMES_MAX} names in a field, without NUL")));
        }
        out.push(step);
        match rest.strip_prefix('.') {
            Some(tail) => rest = tail,
            None if rest.is_empty() => return Ok(out),
            None => return Err(wrong(format!("a dot is missing in {field}"))),
        }
    }
}
