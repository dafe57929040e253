//! Random queries on random rows, compared with a plain evaluation of the same query in memory. Nulls, texts that sort
//! differently by language, rows that others hold, pages of any size.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use repot_core::store::{
    DocumentKey, Filter, Op, Query, QueryPage, QueryValue, Queryable as _, Scope, SortBy, StoreExt as _,
};

use crate::numbers::Numbers;
use crate::query::{Asked, block_on};

const MODEL: &str = r#"
[repot]
source = "./data"

[books]
file   = "{user}/{id}.json"
tenant = "user"
index  = ["title", "user, made desc"]

[books.fields]
id    = "text key"
user  = "text"
title = "text?"
pages = "int?"
price = "decimal?"
depth = "float?"
sold  = "bool?"
made  = "time?"
day   = "date?"
code  = "uuid?"
tags  = "[text]?"
more  = "json?"

[parts]
in    = "books.parts[]"
index = ["name"]

[parts.fields]
book_id = "-> books cascade auto"
order   = "position"
name    = "text?"
size    = "int?"
"#;

const QUERIES: usize = 200;
const BOOKS: usize = 40;

/// A value, ordered as the docs say: nothing first.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
enum V {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
}

const WORDS: [&str; 10] = ["", "a", "A", "b", "é", "Z", "a_b", "a%b", "[x]*", "\u{1f600}"];
const TIMES: [&str; 4] =
    ["0999-12-31T23:59:59.000001Z", "2025-01-01T00:00:00Z", "2025-01-01T00:00:00.5Z", "9998-01-01T00:00:00Z"];
const DAYS: [&str; 3] = ["0001-01-01", "2024-02-29", "9999-12-31"];
const CODES: [&str; 2] = ["00000000-0000-0000-0000-00000000000a", "f0000000-0000-0000-0000-000000000000"];
const NUMBERS: [&str; 6] = ["-10.5", "-2", "0", "0.25", "9", "10"];
const WHOLE: [i64; 5] = [-3, 0, 9, 10, i64::MAX];

/// The scalar fields, and what a JSON text of each can be.
const FIELDS: [&str; 12] =
    ["id", "title", "pages", "price", "depth", "sold", "made", "day", "code", "tags", "more.k", "parts.name"];

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// A random non-null value of a field, as JSON text.
fn random(field: &str, numbers: &mut Numbers) -> String {
    match field {
        "pages" | "parts.size" => numbers.of(&WHOLE).to_string(),
        "price" | "depth" => numbers.of(&NUMBERS).to_owned(),
        "sold" => ["true", "false"][numbers.below(2)].to_owned(),
        "made" => quoted(numbers.of(&TIMES)),
        "day" => quoted(numbers.of(&DAYS)),
        "code" => quoted(numbers.of(&CODES)),
        "id" => quoted(&format!("b{}", numbers.below(BOOKS))),
        "more.k" => match numbers.below(4) {
            0 => numbers.of(&NUMBERS).to_owned(),
            1 => "true".to_owned(),
            _ => quoted(numbers.of(&WORDS)),
        },
        _ => quoted(numbers.of(&WORDS)),
    }
}

/// A JSON text as a value in the order of its field.
fn value(json: &str) -> V {
    match serde_json::from_str::<serde_json::Value>(json).unwrap() {
        serde_json::Value::Null => V::Null,
        serde_json::Value::Bool(value) => V::Bool(value),
        serde_json::Value::Number(number) => V::Number(number.as_f64().unwrap()),
        serde_json::Value::String(text) => V::Text(spread(text)),
        other => unreachable!("{other}"),
    }
}

/// Times so that they sort as texts: the fraction has six digits.
fn spread(text: String) -> String {
    match text.strip_suffix('Z') {
        Some(whole) if text.len() == 20 && text.contains('T') => format!("{whole}.000000Z"),
        Some(part) if text.contains('T') && text.contains('.') => format!("{part:0<26}Z"),
        _ => text,
    }
}

fn asked_value(json: &str) -> QueryValue {
    match serde_json::from_str::<serde_json::Value>(json).unwrap() {
        serde_json::Value::Bool(value) => value.into(),
        serde_json::Value::Number(number) => {
            number.as_i64().map_or_else(|| number.as_f64().unwrap().into(), QueryValue::Int)
        }
        serde_json::Value::String(text) => text.into(),
        _ => QueryValue::Null,
    }
}

#[derive(Debug)]
struct Book {
    user: &'static str,
    json: String,
    fields: BTreeMap<&'static str, Vec<V>>,
    parts: usize,
}

fn book(at: usize, numbers: &mut Numbers) -> Book {
    let user = ["u", "v"][usize::from(at % 4 == 3)];
    let id = format!("b{at}");
    let mut fields = BTreeMap::from([("id", vec![V::Text(id.clone())])]);
    let mut json = format!(r#"{{"id":"{id}","user":"{user}""#);
    for field in ["title", "pages", "price", "depth", "sold", "made", "day", "code"] {
        let text = if numbers.below(4) == 0 { "null".to_owned() } else { random(field, numbers) };
        json.push_str(&format!(r#","{field}":{text}"#));
        fields.insert(field, vec![value(&text)]);
    }
    let tags: Vec<String> = (0..numbers.below(3)).map(|_| random("tags", numbers)).collect();
    json.push_str(&format!(r#","tags":[{}]"#, tags.join(",")));
    fields.insert("tags", tags.iter().map(|tag| value(tag)).collect());
    let inside = if numbers.below(4) == 0 { "null".to_owned() } else { random("more.k", numbers) };
    json.push_str(&format!(r#","more":{{"k":{inside}}}"#));
    fields.insert("more.k", vec![value(&inside)]);
    let parts = numbers.below(4);
    let mut names = Vec::new();
    let list: Vec<String> = (0..parts)
        .map(|_| {
            let name = if numbers.below(4) == 0 { "null".to_owned() } else { random("parts.name", numbers) };
            names.push(value(&name));
            format!(r#"{{"name":{name},"size":{}}}"#, random("parts.size", numbers))
        })
        .collect();
    json.push_str(&format!(r#","parts":[{}]}}"#, list.join(",")));
    fields.insert("parts.name", names);
    Book { user, json, fields, parts }
}

fn filter(numbers: &mut Numbers, depth: usize) -> Filter {
    let inner = |numbers: &mut Numbers| -> Vec<Filter> {
        (0..numbers.below(4)).map(|_| filter(numbers, depth - 1)).collect()
    };
    match numbers.below(if depth == 0 { 9 } else { 13 }) {
        0 => Filter::count("parts", op(numbers), numbers.below(4) as u64),
        1 => Filter::length(["title", "parts.name"][numbers.below(2)], op(numbers), numbers.below(3) as u64),
        2 => Filter::Like {
            field: ["title", "tags", "parts.name", "more.k"][numbers.below(4)].to_owned(),
            pattern: numbers.of(&["a%", "%b", "_", "a\\_b", "[%", "%", "A", "a\\%b", "?"]).to_owned(),
        },
        3 => {
            let field = numbers.of(&FIELDS.map(|field| if field == "tags" { "title" } else { field }));
            Filter::Null { field: field.to_owned() }
        }
        4 => {
            let field = numbers.of(&FIELDS);
            let values = (0..numbers.below(4)).map(|_| asked_value(&random(field, numbers))).collect();
            Filter::In { field: field.to_owned(), values }
        }
        5..=8 => {
            let field = numbers.of(&FIELDS);
            let given = asked_value(&random(field, numbers));
            Filter::Is { field: field.to_owned(), op: op(numbers), value: given }
        }
        9 | 10 => Filter::All(inner(numbers)),
        11 => Filter::Any(inner(numbers)),
        _ => !filter(numbers, depth - 1),
    }
}

fn op(numbers: &mut Numbers) -> Op {
    numbers.of(&[Op::Eq, Op::Ne, Op::Gt, Op::Gte, Op::Lt, Op::Lte])
}

fn compared(order: Option<Ordering>, op: Op) -> bool {
    match op {
        Op::Eq | Op::Ne => order == Some(Ordering::Equal),
        Op::Gt => order == Some(Ordering::Greater),
        Op::Gte => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        Op::Lt => order == Some(Ordering::Less),
        Op::Lte => matches!(order, Some(Ordering::Less | Ordering::Equal)),
    }
}

fn given(value: &QueryValue) -> V {
    match value {
        QueryValue::Null => V::Null,
        QueryValue::Bool(value) => V::Bool(*value),
        #[expect(clippy::cast_precision_loss, reason = "the numbers of this test are far apart")]
        QueryValue::Int(number) => V::Number(*number as f64),
        QueryValue::Float(number) => V::Number(*number),
        QueryValue::Text(text) => V::Text(spread(text.clone())),
    }
}

/// Values of one kind have an order among each other.
fn within_kind(one: &V, other: &V) -> Option<Ordering> {
    let same = std::mem::discriminant(one) == std::mem::discriminant(other) && *one != V::Null;
    same.then(|| one.partial_cmp(other))?
}

fn matches(text: &[char], pattern: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['%', rest @ ..] => (0..=text.len()).any(|at| matches(&text[at..], rest)),
        ['\\', same, rest @ ..] => text.first() == Some(same) && matches(&text[1..], rest),
        ['_', rest @ ..] => !text.is_empty() && matches(&text[1..], rest),
        [same, rest @ ..] => text.first() == Some(same) && matches(&text[1..], rest),
    }
}

fn holds(filter: &Filter, book: &Book) -> bool {
    let some = |field: &str, test: &dyn Fn(&V) -> bool| book.fields[field].iter().any(test);
    match filter {
        Filter::All(all) => all.iter().all(|one| holds(one, book)),
        Filter::Any(any) => any.iter().any(|one| holds(one, book)),
        Filter::Not(inner) => !holds(inner, book),
        Filter::Is { field, op, value } => {
            some(field, &|one| compared(within_kind(one, &given(value)), *op)) != (*op == Op::Ne)
        }
        Filter::In { field, values } => {
            values.iter().any(|value| some(field, &|one| compared(within_kind(one, &given(value)), Op::Eq)))
        }
        Filter::Like { field, pattern } => some(field, &|one| match one {
            V::Text(text) => matches(&text.chars().collect::<Vec<_>>(), &pattern.chars().collect::<Vec<_>>()),
            _ => false,
        }),
        Filter::Null { field } => some(field, &|one| *one == V::Null),
        Filter::Count { op, count, .. } => {
            compared(Some((book.parts as u64).cmp(count)), *op) != (*op == Op::Ne)
        }
        Filter::Length { field, op, characters } => {
            some(field, &|one| match one {
                V::Text(text) => compared(Some((text.chars().count() as u64).cmp(characters)), *op),
                _ => false,
            }) != (*op == Op::Ne)
        }
        Filter::Holds { .. } | Filter::Search { .. } => unreachable!("not made here"),
    }
}

fn expected(query: &Query, books: &[Book]) -> Vec<String> {
    let mut found: Vec<&Book> = books
        .iter()
        .filter(|book| Some(book.user) == query.scope.tenant.as_deref() && holds(&query.filter, book))
        .collect();
    found.sort_by(|one, other| {
        let by = |sort: &SortBy| {
            let field = sort.field.as_str();
            let order = one.fields[field][0].partial_cmp(&other.fields[field][0]).unwrap();
            if sort.descending { order.reverse() } else { order }
        };
        let sorted = query.sort.iter().map(by).find(|order| order.is_ne()).unwrap_or(Ordering::Equal);
        sorted.then_with(|| one.fields["id"][0].partial_cmp(&other.fields["id"][0]).unwrap())
    });
    let id = |book: &&Book| match &book.fields["id"][0] {
        V::Text(id) => id.clone(),
        other => unreachable!("{other:?}"),
    };
    found.iter().map(id).collect()
}

/// The same page; rows that nobody wants the keys of have none.
fn alike(page: &QueryPage, bare: &QueryPage, full: bool) -> bool {
    let same = page.items.iter().zip(&bare.items).all(|(one, other)| {
        one.body == other.body
            && one.etag == other.etag
            && if full { one.key == other.key } else { other.key.is_none() }
    });
    same && page.items.len() == bare.items.len() && page.next == bare.next
}

#[test]
fn random_queries_find_what_a_plain_evaluation_finds() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let books: Vec<Book> = (0..BOOKS).map(|at| book(at, &mut numbers)).collect();
    let stores = Asked::all(MODEL);
    block_on(async {
        for asked in &stores {
            for (at, book) in books.iter().enumerate() {
                let key = DocumentKey::new("books", &format!("b{at}")).in_tenant(book.user);
                asked.store.put(&key, book.json.clone()).await.unwrap();
            }
        }
        let mut all = 0;
        for _ in 0..QUERIES {
            let mut query = Query::of(Scope::of("books").in_tenant(["u", "v"][numbers.below(2)]));
            query.filter = filter(&mut numbers, 2);
            for _ in 0..numbers.below(3) {
                let field = FIELDS[numbers.below(9)].to_owned();
                if query.sort.iter().all(|sort| sort.field != field) {
                    query.sort.push(SortBy { field, descending: numbers.below(2) == 0 });
                }
            }
            query.limit = 1 + numbers.below(12);
            query.full = numbers.below(8) == 0;
            if !query.full && numbers.below(2) == 0 {
                query.fields = vec![FIELDS[numbers.below(9)].to_owned()];
            }
            let expected = expected(&query, &books);
            all += expected.len();
            for asked in &stores {
                let mut found = Vec::new();
                let mut asking = query.clone();
                loop {
                    let page = asked.store.query(&asking).await.unwrap();
                    let bare = asked.store.query(&asking.clone().keyless()).await.unwrap();
                    assert!(alike(&page, &bare, asking.full), "{page:?} {bare:?}");
                    found.extend(page.items.iter().map(|item| item.key.as_ref().unwrap().text().to_owned()));
                    let Some(next) = page.next else { break };
                    asking = asking.after(next);
                }
                assert_eq!(found, expected, "{} sorted {:?} on {}", query.filter, query.sort, asked.name);
            }
        }
        // neither everything nor nothing, most of the time
        assert!((QUERIES..QUERIES * BOOKS / 2).contains(&all), "{all}");
    });
}
