//! Tables as the plan sees them: what the DDL prints and what leaves load and scan.

use crate::language::OnDelete;

/// A table of the user's: one for each collection that has rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The collection's name, not quoted.
    pub name: String,
    /// In order; a polymorphic reference has two.
    pub columns: Vec<Column>,
    /// Primary key: column indexes. Empty when the collection has none (a child known by parent and position).
    pub key: Vec<usize>,
    /// The key is made by Repot from the document's place, so it cannot collide: a bulk load may build the
    /// primary key at its end.
    pub key_is_auto: bool,
    /// Columns that tell rows of one table apart: `key`, or the parent's columns with position and map keys.
    pub identity: Vec<usize>,
    /// Unique constraints besides the key: name and columns.
    pub unique: Vec<IndexPlan>,
    /// Secondary indexes, built after a bulk load. Those that lead with each reference are among them.
    pub indexes: Vec<IndexPlan>,
    /// References that the database can enforce (a polymorphic one cannot).
    pub foreign_keys: Vec<ForeignKey>,
    /// The column that holds the place in the list.
    pub position: Option<usize>,
    /// How a row leads to the row that holds it in the document; empty for root collections.
    pub parents: Vec<Parent>,
    /// The column that says whose the row is, where the collection has tenants.
    pub tenant: Option<usize>,
}

/// A column.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Not quoted.
    pub name: String,
    /// Its type.
    pub kind: ColumnKind,
    /// May be null.
    pub nullable: bool,
    /// What a row made by plain SQL gets when it does not say.
    pub default: Option<SqlDefault>,
    /// The only words allowed; empty: any.
    pub words: Vec<String>,
}

/// Column types, mapped to each database by [`crate::sql`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// Text of at most this many characters.
    Text(Option<u32>),
    /// 64-bit integer.
    Int,
    /// Double.
    Float,
    /// Decimal of any precision.
    Decimal,
    /// Boolean.
    Bool,
    /// Instant, microseconds.
    Time,
    /// Date.
    Date,
    /// UUID.
    Uuid,
    /// A JSON value's text.
    Json,
    /// Bytes.
    Bytes,
    /// List of text.
    TextList,
    /// List of integers.
    IntList,
    /// List of doubles.
    FloatList,
    /// List of booleans.
    BoolList,
}

impl ColumnKind {
    /// Whether rows can be sorted by such a column: one value each, of a kind whose order is the same on both databases.
    #[must_use]
    pub const fn has_order(self) -> bool {
        matches!(
            self,
            Self::Text(_)
                | Self::Int
                | Self::Float
                | Self::Decimal
                | Self::Bool
                | Self::Time
                | Self::Date
                | Self::Uuid
        )
    }
}

/// A column's default in the DDL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SqlDefault {
    /// The time of the insert.
    Now,
    /// The date of the insert, UTC.
    Today,
    /// A text constant, not quoted.
    Text(String),
    /// A number or boolean, as SQL of both databases has it (`0`, `1.5`, `true`).
    Plain(String),
}

/// A unique constraint or an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexPlan {
    /// `idx_messages_conversation_id`; at most 63 bytes, unique in the plan.
    pub name: String,
    /// Column index, descending.
    pub columns: Vec<(usize, bool)>,
}

/// A reference the database enforces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKey {
    /// `fk_messages_conversation_id`; at most 63 bytes, unique in the plan.
    pub name: String,
    /// The referring column.
    pub column: usize,
    /// Index of the table referred to.
    pub table: usize,
    /// Its key column.
    pub target_column: usize,
    /// What happens when the other row goes.
    pub on_delete: OnDelete,
    /// Can a document refer to nothing? `false` for references that follow from nesting.
    pub may_dangle: bool,
}

/// One place a row of a child table can be in: within a row of `table`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// Index of the table of the holding row.
    pub table: usize,
    /// The column of this table that holds the parent's key.
    pub column: usize,
    /// The parent's key column.
    pub parent_column: usize,
    /// For a polymorphic reference: the column with the parent's collection name, which must equal the name of
    /// `table`.
    pub type_column: Option<usize>,
}
