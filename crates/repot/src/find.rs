//! Documents by their fields. A store that answers queries is asked; elsewhere every document of the scope is listed and
//! read, and no more are kept than are asked for.

use std::cmp::Ordering;

use repot_core::store::{Document, Filter, Op, PAGE_ITEMS_MAX, Query, QueryValue, Queryable, Scope, SortBy};
use repot_core::{Error as Cause, Kind};
use repot_json::{Kind as Json, Limits, Tree, Value};
use repot_model::language::{FieldKind, Model, Scalar};
use repot_model::plan::time::{parse_date, parse_time};

use crate::Result;
use crate::filters::{Filters, Operand, Test};

/// Documents listed at once.
const LISTED_AT_ONCE: usize = 256;
/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

/// How many are wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) limit: usize,
    pub(crate) offset: usize,
}

/// A field's value, comparable.
#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Time(i64),
    Text(Vec<u8>),
}

/// Where a field stands in a document.
struct Spot {
    way: Vec<String>,
    time: bool,
}

/// The documents of `scope` that pass, in their order; those that are equal in it in an order of the store's.
pub(crate) async fn find(
    (store, model): (&dyn Queryable, &Model),
    scope: &Scope,
    filters: &Filters,
    window: Window,
    limits: Limits,
) -> Result<Vec<Document>> {
    if store.capabilities().queries
        && let Some(query) = question(model, scope, filters)
    {
        match ask(store, query, window).await {
            // a comparison that no column can answer, such as a number with a text
            Err(error) if error.code() == "R0412" => {}
            done => return Ok(done?),
        }
    }
    read_all((store, model), scope, filters, window, limits).await
}

/// How many documents of `scope` pass.
pub(crate) async fn count(
    (store, model): (&dyn Queryable, &Model),
    scope: &Scope,
    filters: &Filters,
    limits: Limits,
) -> Result<u64> {
    if store.capabilities().queries
        && let Some(query) = question(model, scope, filters)
    {
        match store.count(&query).await {
            Err(error) if error.code() == "R0412" => {}
            done => return Ok(done?),
        }
    }
    let tests = spots(model, scope, filters);
    let (mut passed, mut after) = (0, None);
    loop {
        let page = store.list(scope, after.as_ref(), LISTED_AT_ONCE).await?;
        for meta in page.items {
            let Some(document) = store.get(&meta.key).await? else { continue };
            passed += u64::from(look(&document, &tests, &[], limits)?.is_some());
        }
        after = page.next;
        if after.is_none() {
            return Ok(passed);
        }
    }
}

/// The query that gives the same; `None` when a field is no column.
fn question(model: &Model, scope: &Scope, filters: &Filters) -> Option<Query> {
    let collection = model.collection(&scope.collection)?;
    let mut query = Query::of(scope.clone()).full();
    for (field, test) in &filters.tests {
        collection.field(field)?;
        let is = |op, value: &Operand| Filter::is(field, op, query_value(value));
        query = query.filter(match test {
            Test::OneOf(values) => Filter::Any(values.iter().map(|value| is(Op::Eq, value)).collect()),
            Test::Not(value) => is(Op::Ne, value),
            // nothing is neither less nor more than anything
            Test::Less(Operand::Null)
            | Test::LessOrEqual(Operand::Null)
            | Test::More(Operand::Null)
            | Test::MoreOrEqual(Operand::Null) => Filter::Any(Vec::new()),
            Test::Less(value) => is(Op::Lt, value),
            Test::LessOrEqual(value) => is(Op::Lte, value),
            Test::More(value) => is(Op::Gt, value),
            Test::MoreOrEqual(value) => is(Op::Gte, value),
        });
    }
    for (field, descending) in &filters.order {
        collection.field(field)?;
        query.sort.push(SortBy { field: field.clone(), descending: *descending });
    }
    Some(query)
}

fn query_value(operand: &Operand) -> QueryValue {
    match operand {
        Operand::Null => QueryValue::Null,
        Operand::Bool(value) => QueryValue::Bool(*value),
        Operand::Int(value) => QueryValue::Int(*value),
        Operand::Float(value) => QueryValue::Float(*value),
        Operand::Text(value) => QueryValue::Text(value.clone()),
    }
}

/// Asks page by page.
async fn ask(
    store: &dyn Queryable,
    mut query: Query,
    window: Window,
) -> Result<Vec<Document>, repot_core::Error> {
    let mut found = Vec::new();
    query.offset = window.offset as u64;
    while found.len() < window.limit {
        query.limit = (window.limit - found.len()).min(PAGE_ITEMS_MAX);
        let page = store.query(&query).await?;
        found.extend(page.items.into_iter().filter_map(|item| {
            Some(Document {
                key: item.key?,
                etag: item.etag?,
                body: item.body,
                modified_ms: item.modified_ms,
            })
        }));
        let Some(next) = page.next else { break };
        query.offset = 0;
        query.after = Some(next);
    }
    Ok(found)
}

/// Reads every document of the scope.
async fn read_all(
    (store, model): (&dyn Queryable, &Model),
    scope: &Scope,
    filters: &Filters,
    window: Window,
    limits: Limits,
) -> Result<Vec<Document>> {
    let most = window.offset.saturating_add(window.limit);
    let tests = spots(model, scope, filters);
    let order: Vec<(Spot, bool)> =
        filters.order.iter().map(|(field, down)| (spot(model, scope, field), *down)).collect();
    let mut found: Vec<(Vec<Cell>, Document)> = Vec::new();
    let mut after = None;
    'listing: loop {
        let page = store.list(scope, after.as_ref(), LISTED_AT_ONCE).await?;
        for meta in page.items {
            if order.is_empty() && found.len() >= most {
                break 'listing;
            }
            // one that went since it was listed is not there
            let Some(document) = store.get(&meta.key).await? else { continue };
            let Some(cells) = look(&document, &tests, &order, limits)? else { continue };
            found.push((cells, document));
            if found.len() >= most.saturating_mul(2).max(LISTED_AT_ONCE) && !order.is_empty() {
                sort(&mut found, &order);
                found.truncate(most);
            }
        }
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    sort(&mut found, &order);
    Ok(found.into_iter().skip(window.offset).take(window.limit).map(|(_, document)| document).collect())
}

/// Equal ones stay in the order of the listing.
fn sort(found: &mut [(Vec<Cell>, Document)], order: &[(Spot, bool)]) {
    found.sort_by(|(left, _), (right, _)| {
        let each = left.iter().zip(right).zip(order);
        each.map(|((one, other), (_, down))| if *down { compare(other, one) } else { compare(one, other) })
            .find(|outcome| *outcome != Ordering::Equal)
            .unwrap_or(Ordering::Equal)
    });
}

/// Where what is tested stands.
fn spots<'f>(model: &Model, scope: &Scope, filters: &'f Filters) -> Vec<(Spot, &'f Test)> {
    filters.tests.iter().map(|(field, test)| (spot(model, scope, field), test)).collect()
}

/// Where the model says that the field stands.
fn spot(model: &Model, scope: &Scope, field: &str) -> Spot {
    let known = model.collection(&scope.collection).and_then(|collection| collection.field(field));
    let way = match known {
        Some(known) => known.from.clone().unwrap_or_else(|| vec![known.name.clone()]),
        None => field.split('.').map(str::to_owned).collect(),
    };
    Spot { way, time: known.is_some_and(|field| field.kind == FieldKind::Scalar(Scalar::Time)) }
}

/// What it is ordered by; `None` when it does not pass.
fn look(
    document: &Document,
    tests: &[(Spot, &Test)],
    order: &[(Spot, bool)],
    limits: Limits,
) -> Result<Option<Vec<Cell>>> {
    let tree = Tree::parse(&document.body, limits).map_err(|error| {
        Cause::new(Kind::Invalid, "R0404", format!("{} is no JSON, so it has no fields", document.key))
            .hint("Read it by its key.")
            .cause(error)
    })?;
    let Some(root) = tree.root(&document.body) else { return Ok(None) };
    if tests.iter().all(|(spot, test)| passes(&cell(root, spot), test, spot.time)) {
        return Ok(Some(order.iter().map(|(spot, _)| cell(root, spot)).collect()));
    }
    Ok(None)
}

fn cell(root: Value<'_>, spot: &Spot) -> Cell {
    let Some(value) = spot.way.iter().try_fold(root, |value, name| value.get(name)) else {
        return Cell::Null;
    };
    match value.kind() {
        Json::Null => Cell::Null,
        Json::True => Cell::Bool(true),
        Json::False => Cell::Bool(false),
        Json::Number => match value.raw().parse() {
            Ok(whole) => Cell::Int(whole),
            Err(_) => value.raw().parse().map_or(Cell::Null, Cell::Float),
        },
        Json::String => text(value.content().unwrap_or_default().into_owned(), spot.time),
        Json::Array | Json::Object | Json::Key => Cell::Text(value.raw().as_bytes().to_vec()),
    }
}

/// A text, or the instant that it says where the field is a time; a date is its first instant.
fn text(bytes: Vec<u8>, time: bool) -> Cell {
    let instant = |text: &str| {
        parse_time(text).or_else(|| parse_date(text).map(|days| i64::from(days).saturating_mul(DAY_US)))
    };
    let found = std::str::from_utf8(&bytes).ok().filter(|_| time).and_then(instant);
    found.map_or(Cell::Text(bytes), Cell::Time)
}

fn operand(operand: &Operand, time: bool) -> Cell {
    match operand {
        Operand::Null => Cell::Null,
        Operand::Bool(value) => Cell::Bool(*value),
        Operand::Int(value) => Cell::Int(*value),
        Operand::Float(value) => Cell::Float(*value),
        Operand::Text(value) => text(value.clone().into_bytes(), time),
    }
}

/// As in SQL, nothing is neither less nor more than anything.
fn passes(cell: &Cell, test: &Test, time: bool) -> bool {
    let against = |value: &Operand| compare(cell, &operand(value, time));
    let some = |value: &Operand| *cell != Cell::Null && *value != Operand::Null;
    match test {
        Test::OneOf(values) => values.iter().any(|value| against(value) == Ordering::Equal),
        Test::Not(value) => against(value) != Ordering::Equal,
        Test::Less(value) => some(value) && against(value) == Ordering::Less,
        Test::LessOrEqual(value) => some(value) && against(value) != Ordering::Greater,
        Test::More(value) => some(value) && against(value) == Ordering::Greater,
        Test::MoreOrEqual(value) => some(value) && against(value) != Ordering::Less,
    }
}

/// Nothing first, then true and false, numbers, instants, texts by their bytes.
fn compare(one: &Cell, other: &Cell) -> Ordering {
    match (one, other) {
        (Cell::Bool(left), Cell::Bool(right)) => left.cmp(right),
        (Cell::Int(left), Cell::Int(right)) | (Cell::Time(left), Cell::Time(right)) => left.cmp(right),
        (Cell::Float(left), Cell::Float(right)) => left.total_cmp(right),
        (Cell::Int(left), Cell::Float(right)) => whole_and_float(*left, *right),
        (Cell::Float(left), Cell::Int(right)) => whole_and_float(*right, *left).reverse(),
        (Cell::Text(left), Cell::Text(right)) => left.cmp(right),
        _ => rank(one).cmp(&rank(other)),
    }
}

/// Exact: no whole number is rounded.
fn whole_and_float(whole: i64, float: f64) -> Ordering {
    if float.is_nan() {
        return Ordering::Less;
    }
    // 2^63: above it there is no whole number of 64 bits
    if float >= 9_223_372_036_854_775_808.0 {
        return Ordering::Less;
    }
    if float < -9_223_372_036_854_775_808.0 {
        return Ordering::Greater;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is within the bounds, and the fraction is looked at after"
    )]
    let floor = float.floor() as i64;
    let fraction = float.fract() != 0.0;
    whole.cmp(&floor).then(if fraction { Ordering::Less } else { Ordering::Equal })
}

const fn rank(cell: &Cell) -> u8 {
    match cell {
        Cell::Null => 0,
        Cell::Bool(_) => 1,
        Cell::Int(_) | Cell::Float(_) => 2,
        Cell::Time(_) => 3,
        Cell::Text(_) => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::{Cell, Ordering, compare, whole_and_float};

    #[test]
    fn values_have_one_order() {
        let cells = [
            Cell::Null,
            Cell::Bool(false),
            Cell::Bool(true),
            Cell::Int(-3),
            Cell::Float(-2.5),
            Cell::Int(9_007_199_254_740_993),
            Cell::Float(9_007_199_254_740_994.0),
            Cell::Time(0),
            Cell::Text(b"a".to_vec()),
        ];
        for (at, one) in cells.iter().enumerate() {
            for (beside, other) in cells.iter().enumerate() {
                assert_eq!(compare(one, other), at.cmp(&beside), "{one:?} {other:?}");
            }
        }
        assert_eq!(whole_and_float(2, 2.0), Ordering::Equal);
        assert_eq!(whole_and_float(-3, -2.5), Ordering::Less);
        assert_eq!(whole_and_float(-2, -2.5), Ordering::Greater);
        assert_eq!(whole_and_float(i64::MAX, 1e19), Ordering::Less);
    }
}
