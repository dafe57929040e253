//! Questions about the rows of a collection: filter, order, page. What a store with tables answers, the same on each.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::try_unfold;

use super::bucket::BucketStore;
use super::contract::Store;
use super::document::Cursor;
use super::etag::ETag;
use super::key::{DocumentKey, Scope};
use super::sql::{SqlQuestion, SqlSink};
use crate::error::{Error, Kind, Result};

/// Items of one page unless the query says otherwise.
pub const PAGE_ITEMS: usize = 50;
/// Items of one page at most.
pub const PAGE_ITEMS_MAX: usize = 1_000;

/// A value that rows are compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum QueryValue {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number; it must be finite.
    Float(f64),
    /// A text. For a column that is no text it is read as its kind: a time as in RFC 3339, a date, a UUID, a number.
    Text(String),
}

impl From<&str> for QueryValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for QueryValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for QueryValue {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<i32> for QueryValue {
    fn from(number: i32) -> Self {
        Self::Int(number.into())
    }
}

impl From<f64> for QueryValue {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<bool> for QueryValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl fmt::Display for QueryValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// The same.
    Eq,
    /// Not the same; so also where nothing is there.
    Ne,
    /// Greater.
    Gt,
    /// Greater or the same.
    Gte,
    /// Less.
    Lt,
    /// Less or the same.
    Lte,
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Eq => "=",
            Self::Ne => "!=",
            Self::Gt => ">",
            Self::Gte => ">=",
            Self::Lt => "<",
            Self::Lte => "<=",
        })
    }
}

/// What rows must fulfil.
///
/// A field is a column (`title`), a value inside a JSON column (`metadata.genre`), a list column (some element must
/// fulfil the condition), or any of these in rows that are held (`characters.name`, `episodes.scenes.description`:
/// some held row must fulfil it). A name with a dot or a quote stands in single quotes: `metadata.'a.b'`.
///
/// Each condition holds or does not; one about nothing (null, missing) does not. [`Filter::Not`] and [`Op::Ne`] are
/// the exact opposite.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// All of these; none: every row.
    All(Vec<Self>),
    /// At least one of these; none: no row.
    Any(Vec<Self>),
    /// Not this.
    Not(Box<Self>),
    /// A field compared with a value.
    Is {
        /// Which.
        field: String,
        /// How.
        op: Op,
        /// With what; null only for [`Op::Eq`] and [`Op::Ne`].
        value: QueryValue,
    },
    /// A field is one of these.
    In {
        /// Which.
        field: String,
        /// At most 1,000.
        values: Vec<QueryValue>,
    },
    /// A text matches a pattern: `%` stands for any characters, `_` for one, `\` before one of the three for itself.
    /// Upper and lower case differ.
    Like {
        /// Which.
        field: String,
        /// At most 1,000 characters.
        pattern: String,
    },
    /// Nothing is there.
    Null {
        /// Which.
        field: String,
    },
    /// The number of rows that are held, over all steps: `characters`, `episodes.scenes`.
    Count {
        /// Names of collections.
        list: String,
        /// How.
        op: Op,
        /// With what.
        count: u64,
    },
    /// The characters of a text.
    Length {
        /// Which.
        field: String,
        /// How.
        op: Op,
        /// With what.
        characters: u64,
    },
    /// The texts that the collection says `search` of hold these words, all of them and in whatever order: `red house`.
    /// `"red house"`: one after the other. `hou*`: a word that begins so.
    Search {
        /// At most 32 words or phrases.
        words: String,
    },
    /// One and the same held row fulfils all of a filter, whose fields are those of the held rows.
    Holds {
        /// Names of collections.
        list: String,
        /// What it must fulfil.
        filter: Box<Self>,
    },
}

impl Filter {
    /// `field` compared with `value`.
    #[must_use]
    pub fn is(field: &str, op: Op, value: impl Into<QueryValue>) -> Self {
        Self::Is { field: field.to_owned(), op, value: value.into() }
    }

    /// `field` is `value`.
    #[must_use]
    pub fn eq(field: &str, value: impl Into<QueryValue>) -> Self {
        Self::is(field, Op::Eq, value)
    }

    /// Rows whose searched texts hold all these words.
    #[must_use]
    pub fn search(words: &str) -> Self {
        Self::Search { words: words.to_owned() }
    }

    /// The number of held rows.
    #[must_use]
    pub fn count(list: &str, op: Op, count: u64) -> Self {
        Self::Count { list: list.to_owned(), op, count }
    }

    /// The characters of a text.
    #[must_use]
    pub fn length(field: &str, op: Op, characters: u64) -> Self {
        Self::Length { field: field.to_owned(), op, characters }
    }
}

impl std::ops::Not for Filter {
    type Output = Self;

    fn not(self) -> Self {
        Self::Not(Box::new(self))
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, all: &[Self], word: &str| {
            f.write_str("(")?;
            for (at, one) in all.iter().enumerate() {
                write!(f, "{}{one}", if at > 0 { word } else { "" })?;
            }
            f.write_str(")")
        };
        match self {
            Self::All(all) => joined(f, all, " and "),
            Self::Any(any) => joined(f, any, " or "),
            Self::Not(inner) => write!(f, "not {inner}"),
            Self::Is { field, op, value } => write!(f, "{field} {op} {value}"),
            Self::In { field, values } => {
                let values: Vec<String> = values.iter().map(ToString::to_string).collect();
                write!(f, "{field} in ({})", values.join(", "))
            }
            Self::Like { field, pattern } => write!(f, "{field} like {pattern:?}"),
            Self::Null { field } => write!(f, "{field} is null"),
            Self::Count { list, op, count } => write!(f, "count({list}) {op} {count}"),
            Self::Length { field, op, characters } => write!(f, "length({field}) {op} {characters}"),
            Self::Search { words } => write!(f, "search {words:?}"),
            Self::Holds { list, filter } => write!(f, "{list} with {filter}"),
        }
    }
}

/// One column of an order. Nothing (null) comes before all values, texts follow each other by their bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortBy {
    /// A column.
    pub field: String,
    /// From the greatest.
    pub descending: bool,
}

impl SortBy {
    /// `title`, or `-title` from the greatest.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.strip_prefix('-') {
            Some(field) => Self { field: field.to_owned(), descending: true },
            None => Self { field: text.to_owned(), descending: false },
        }
    }
}

/// A question about the rows of a collection.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// The collection; also one whose rows others hold. The tenant where the documents have one.
    pub scope: Scope,
    /// What rows must fulfil.
    pub filter: Filter,
    /// The order; rows that are equal in it, and all without one, follow each other by their key.
    pub sort: Vec<SortBy>,
    /// Only these columns; empty: all.
    pub fields: Vec<String>,
    /// Items of a page, from 1 to [`PAGE_ITEMS_MAX`]. A page ends earlier when it is large.
    pub limit: usize,
    /// Rows left out at the beginning; only without `after`.
    pub offset: u64,
    /// Goes on where a page ended.
    pub after: Option<Cursor>,
    /// References (columns) in whose place the row that they refer to is given.
    pub expand: Vec<String>,
    /// Whole documents instead of rows, byte for byte.
    pub full: bool,
    /// With the states of the documents that the rows are of.
    pub etags: bool,
    /// Rows without the keys of their documents, for who does not look at them: they cost something to make.
    pub keyless: bool,
}

impl Query {
    /// Everything of a scope, a page at a time.
    #[must_use]
    pub const fn of(scope: Scope) -> Self {
        Self {
            scope,
            filter: Filter::All(Vec::new()),
            sort: Vec::new(),
            fields: Vec::new(),
            limit: PAGE_ITEMS,
            offset: 0,
            after: None,
            expand: Vec::new(),
            full: false,
            etags: false,
            keyless: false,
        }
    }

    /// Only what also fulfils this.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        match &mut self.filter {
            Filter::All(all) => all.push(filter),
            other => {
                let before = std::mem::replace(other, Filter::All(Vec::new()));
                *other = Filter::All(vec![before, filter]);
            }
        }
        self
    }

    /// Only rows whose searched texts hold all these words; see [`Filter::Search`].
    #[must_use]
    pub fn search(self, words: &str) -> Self {
        self.filter(Filter::search(words))
    }

    /// In this order: `-created_at,title`.
    #[must_use]
    pub fn sort(mut self, fields: &str) -> Self {
        self.sort = fields.split(',').filter(|field| !field.is_empty()).map(SortBy::parse).collect();
        self
    }

    /// Only these columns: `id,title`.
    #[must_use]
    pub fn fields(mut self, fields: &str) -> Self {
        self.fields = fields.split(',').filter(|field| !field.is_empty()).map(str::to_owned).collect();
        self
    }

    /// Items of a page.
    #[must_use]
    pub const fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Rows left out at the beginning.
    #[must_use]
    pub const fn offset(mut self, offset: u64) -> Self {
        self.offset = offset;
        self
    }

    /// Goes on where a page ended.
    #[must_use]
    pub fn after(mut self, cursor: Cursor) -> Self {
        self.after = Some(cursor);
        self
    }

    /// With the row that this reference refers to.
    #[must_use]
    pub fn expand(mut self, field: &str) -> Self {
        self.expand.push(field.to_owned());
        self
    }

    /// Whole documents.
    #[must_use]
    pub const fn full(mut self) -> Self {
        self.full = true;
        self
    }

    /// With the `ETag` of each row's document; whole documents always have theirs.
    #[must_use]
    pub const fn etags(mut self) -> Self {
        self.etags = true;
        self
    }

    /// Rows alone, without the keys of their documents; whole documents, and rows with their states, have theirs all the same.
    #[must_use]
    pub const fn keyless(mut self) -> Self {
        self.keyless = true;
        self
    }
}

/// A row, or a whole document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryItem {
    /// The document; `None` for a row that a document holds, and where nobody looks at it ([`Query::keyless`]).
    pub key: Option<DocumentKey>,
    /// The state of the document: of whole documents, and of rows where [`Query::etags`] asks for it. `None` too for a row
    /// that a document holds, and for one that plain SQL made and nobody has read or written as a document yet.
    pub etag: Option<ETag>,
    /// When the document was written last, as [`super::Document::modified_ms`] has it; where its state is told.
    pub modified_ms: Option<i64>,
    /// The row as one JSON object, or the document's very bytes.
    pub body: Bytes,
}

/// A part of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryPage {
    /// In the order asked for.
    pub items: Vec<QueryItem>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Cursor>,
}

/// How a store answers a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryExplanation {
    /// The statement; its values are parameters and not shown.
    pub statement: String,
    /// What the database says it will do, line by line.
    pub plan: Vec<String>,
    /// Conditions that no index helps, as text.
    pub unindexed: Vec<String>,
    /// Nothing leads to the rows: the whole table is read.
    pub reads_all: bool,
}

/// A store that answers questions about rows.
///
/// Contract:
/// - An unknown field, a value of another type, a bound that is passed is [`Kind::Invalid`], code `R0412`; a cursor of
///   another query, or a changed one, is `R0413`. Collections and tenants as the contract of [`Store`] says.
/// - A query of a tenant gives nothing of another one, not through filters, cursors or expanded references either.
/// - Following the cursors of a query gives each row that was there all the time, with the same values of the order,
///   exactly once, whatever else comes and goes meanwhile.
#[async_trait]
pub trait Queryable: Store {
    /// A page of rows or documents, all of one state of the store.
    ///
    /// # Errors
    /// As the contract says; `R0405` where the store has no tables.
    async fn query(&self, query: &Query) -> Result<QueryPage>;

    /// How many rows fulfil the filter of a query, with the same tenant, by one statement: what all its pages would hold
    /// at this moment. Its order, page and cursor do not matter.
    ///
    /// # Errors
    /// As [`Queryable::query`].
    async fn count(&self, query: &Query) -> Result<u64>;

    /// Runs a statement of the user's that reads, with the rights of whoever opened the store: it sees every tenant. The
    /// parts of the answer go to `sink`; gives whether there were more rows than asked for.
    ///
    /// Nothing it says writes, changes a setting, or reaches another file or database. Dropping the future does not end
    /// it; [`SqlStop`](super::SqlStop) does.
    ///
    /// # Errors
    /// `R0111` when it is wrong or would write, `R0436` when it calls what may do more than read, `R0435` when its time is
    /// up; `R0405` where the store has no tables.
    async fn read_sql(&self, question: SqlQuestion, sink: SqlSink) -> Result<bool>;

    /// How it would be answered; reads no rows.
    ///
    /// # Errors
    /// As [`Queryable::query`].
    async fn explain(&self, query: &Query) -> Result<QueryExplanation>;
}

/// Shortcuts; nobody implements them.
pub trait QueryableExt: Queryable {
    /// All rows or documents of a query, a page at a time behind the stream; each page is of a state of its own.
    fn stream(&self, query: Query) -> impl Stream<Item = Result<QueryItem>> + Send + '_ {
        let start = (Vec::new().into_iter(), Some(query));
        try_unfold(
            start,
            move |(mut items, mut left): (std::vec::IntoIter<QueryItem>, Option<Query>)| async move {
                loop {
                    if let Some(item) = items.next() {
                        return Ok(Some((item, (items, left))));
                    }
                    let Some(query) = left.take() else { return Ok(None) };
                    let page = self.query(&query).await?;
                    items = page.items.into_iter();
                    left = page.next.map(|next| Query { offset: 0, ..query }.after(next));
                }
            },
        )
    }
}

impl<S: Queryable + ?Sized> QueryableExt for S {}

#[async_trait]
impl Queryable for BucketStore {
    async fn query(&self, _: &Query) -> Result<QueryPage> {
        Err(no_tables(self))
    }

    async fn count(&self, _: &Query) -> Result<u64> {
        Err(no_tables(self))
    }

    async fn read_sql(&self, _: SqlQuestion, _: SqlSink) -> Result<bool> {
        Err(no_tables(self))
    }

    async fn explain(&self, _: &Query) -> Result<QueryExplanation> {
        Err(no_tables(self))
    }
}

fn no_tables(store: &impl fmt::Display) -> Error {
    Error::new(Kind::Unsupported, "R0405", format!("{store} has no tables to query"))
        .hint("Copy the documents into a database and query them there.")
}
