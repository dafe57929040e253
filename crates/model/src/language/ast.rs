//! The words of a model file as values. Everything the language knows is here, also what only later
//! versions act on ([`Model::not_yet`] tells which words those are).

use std::collections::BTreeMap;
use std::fmt;

use crate::place::Template;

/// A whole model: `[repot]` and the collections, in the order written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Model {
    /// `[repot]`.
    pub settings: Settings,
    /// One section each.
    pub collections: Vec<Collection>,
}

impl Model {
    /// The collection with this name.
    #[must_use]
    pub fn collection(&self, name: &str) -> Option<&Collection> {
        self.collections.iter().find(|collection| collection.name == name)
    }
}

/// Where in the model file something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// 1-based; 0 when the model was not read from a file.
    pub line: usize,
    /// 1-based, in characters.
    pub column: usize,
}

/// One thing wrong with a model, at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Stable code, such as `R0120`; the catalogue explains it.
    pub code: &'static str,
    /// Name of the file as the user gave it.
    pub file: String,
    /// Where in it.
    pub span: Span,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to do next: a full sentence.
    pub hint: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "error[{}]: {}\n  {}:{}:{}\nhelp: {}",
            self.code, self.message, self.file, self.span.line, self.span.column, self.hint
        )
    }
}

/// A setting as written, with `${NAME:-default}` kept, beside its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Written<T> {
    /// The text in the file.
    pub text: String,
    /// What it means with the variables that were given.
    pub value: T,
}

/// `[repot]`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// `source`: a directory, or `s3://bucket/prefix`.
    pub source: Option<Written<String>>,
    /// `target`: a database URL.
    pub target: Option<Written<String>>,
    /// `blobs = { over = "10 MB", at = "..." }`.
    pub blobs: Option<Blobs>,
    /// `backup = { at = "02:00", daily = 30, monthly = 12 }`.
    pub backup: Option<Backup>,
    /// `[repot.cache]`: named caches and their life in seconds.
    pub cache: BTreeMap<String, Written<u64>>,
    /// `[repot.limits]`: `openai = "500 per minute"`.
    pub limits: BTreeMap<String, Written<Rate>>,
    /// `auth = { jwks = "...", issuer = "...", audience = "..." }`.
    pub auth: Option<Auth>,
}

/// Which tokens (JWT) of others a server takes beside its own keys.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Auth {
    /// Where the public keys are: a URL, or a file. Variables may say it instead.
    pub jwks: Option<Written<String>>,
    /// `iss` of the tokens.
    pub issuer: Option<Written<String>>,
    /// For whom tokens are made (`aud`); `*`: for anybody.
    pub audience: Option<Written<String>>,
    /// The claim that names the tenant.
    pub tenant_claim: Option<Written<String>>,
    /// The claim that names the rights.
    pub rights_claim: Option<Written<String>>,
    /// The most that a token may: `read`, `write`, `admin`, with spaces between.
    pub rights: Option<Written<String>>,
}

/// Where large bodies go.
#[derive(Debug, Clone, PartialEq)]
pub struct Blobs {
    /// Bodies above this many bytes.
    pub over_bytes: Written<u64>,
    /// Where: a URL with `{sha256}`.
    pub at: String,
}

/// When backups are made and kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Backup {
    /// `HH:MM`, UTC.
    pub at: String,
    /// Daily ones kept.
    pub daily: u32,
    /// Monthly ones kept.
    pub monthly: u32,
}

/// So many per period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u64,
    /// Period in seconds.
    pub per_seconds: u64,
}

/// A collection: a section, a table, a route.
#[derive(Debug, Clone, PartialEq)]
pub struct Collection {
    /// The section's name: `[a-z_][a-z0-9_]*` by the check, at most 63 bytes.
    pub name: String,
    /// Where its documents or rows live.
    pub place: Place,
    /// In the order written.
    pub fields: Vec<Field>,
    /// `index = [...]`.
    pub index: Vec<Index>,
    /// `unique = [...]`: column lists.
    pub unique: Vec<Index>,
    /// `search = [...]`.
    pub search: Vec<String>,
    /// `tenant = "field"`.
    pub tenant: Option<String>,
    /// `expire = "30d after created_at [when status = completed]"`.
    pub expire: Option<Written<After>>,
    /// `archive = "7d after completed_at"`.
    pub archive: Option<Written<After>>,
    /// `soft_delete`, seconds.
    pub soft_delete: Option<Written<u64>>,
    /// `audit`, seconds.
    pub audit: Option<Written<u64>>,
    /// `cache`, seconds.
    pub cache: Option<Written<u64>>,
    /// `mirror`, seconds.
    pub mirror: Option<Written<u64>>,
    /// `queue = { lease = "60s", tries = 5 }`.
    pub queue: Option<Queue>,
    /// `watch = true`.
    pub watch: bool,
    /// `etag = "required"`.
    pub etag_required: bool,
    /// `format = "..."`.
    pub format: Option<Format>,
    /// `unknown = "refuse"`; `false` is the default, `"keep"`.
    pub refuse_unknown: bool,
    /// `move = false` gives `false`.
    pub moves: bool,
    /// `[x.transitions.field]`: from -> to.
    pub transitions: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    /// `[x.quota]`.
    pub quota: BTreeMap<String, Quota>,
    /// Where the section's header stands.
    pub span: Span,
}

impl Collection {
    /// A collection with nothing set but its name and place.
    #[must_use]
    pub fn new(name: impl Into<String>, place: Place) -> Self {
        Self {
            name: name.into(),
            place,
            fields: Vec::new(),
            index: Vec::new(),
            unique: Vec::new(),
            search: Vec::new(),
            tenant: None,
            expire: None,
            archive: None,
            soft_delete: None,
            audit: None,
            cache: None,
            mirror: None,
            queue: None,
            watch: false,
            etag_required: false,
            format: None,
            refuse_unknown: false,
            moves: true,
            transitions: BTreeMap::new(),
            quota: BTreeMap::new(),
            span: Span::default(),
        }
    }

    /// Where its documents are; none of a collection inside others, or of a view.
    #[must_use]
    pub fn templates(&self) -> &[Template] {
        match &self.place {
            Place::Files(templates) | Place::InFiles { templates, .. } => templates,
            Place::SqliteTable { rows, .. } if self.moves => rows,
            Place::SqliteTable { templates, .. } => templates,
            Place::In(_) | Place::View { .. } => &[],
        }
    }

    /// The field with this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// Where a collection's documents or rows live.
#[derive(Debug, Clone, PartialEq)]
pub enum Place {
    /// `file = ...`: one document (or body) a file; JSON Lines by ending or `format`.
    Files(Vec<Template>),
    /// `file = ...` and `in = "users[]"`: documents inside files. `steps` lead from the file's root to the
    /// documents; the last step is [`Step::Each`] or [`Step::Entry`].
    InFiles {
        /// The files.
        templates: Vec<Template>,
        /// From the root of the file.
        steps: Vec<Step>,
    },
    /// `file` and `table`: a table in SQLite files.
    SqliteTable {
        /// The files.
        templates: Vec<Template>,
        /// The table in them.
        table: String,
        /// Where a row is while it is a document of its own: below its file, by table and key.
        rows: Vec<Template>,
    },
    /// `in = "dramas.characters[]"`: rows inside another collection's documents, in one or several places.
    In(Vec<InPlace>),
    /// `view = "select ..."`.
    View {
        /// The statement.
        sql: String,
        /// `refresh`, seconds.
        refresh: Option<Written<u64>>,
    },
}

/// `parent.steps`: where a child collection's rows live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InPlace {
    /// The collection whose rows (or documents) hold them.
    pub parent: String,
    /// From the parent's own value; the last step is [`Step::Each`] or [`Step::Entry`]. `Each` may stand only
    /// once, at the end; `Entry` any number of times.
    pub steps: Vec<Step>,
}

/// One step into a JSON value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// `.name`, or `.'odd name'`: an object's entry.
    Name(String),
    /// `[]`: each element of a list; its place fills the field that is `position`.
    Each,
    /// `{field}`: each entry of an object used as a map; its key fills the field.
    Entry(String),
}

/// How a file's bytes are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON document.
    Json,
    /// One JSON document a line.
    JsonLines,
    /// A text body.
    Text,
    /// A body of bytes.
    Bytes,
}

/// `"user_id, created_at desc"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// `"idx_by_user: user_id, created_at desc"`; without, the plan makes one.
    pub name: Option<String>,
    /// Field names; `true` for descending. A polymorphic reference's name stands for both its columns.
    pub columns: Vec<(String, bool)>,
    /// Where it stands.
    pub span: Span,
}

/// `30d after created_at when status = completed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct After {
    /// How long after.
    pub seconds: u64,
    /// A field, or `collection.field` of something referred to.
    pub field: String,
    /// `when field = value`.
    pub when: Option<(String, String)>,
}

/// `queue = { lease, tries }`.
#[derive(Debug, Clone, PartialEq)]
pub struct Queue {
    /// Seconds.
    pub lease: Written<u64>,
    /// How often a message is tried.
    pub tries: u32,
}

/// One counter of `[x.quota]`: names of fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// What was used.
    pub used: String,
    /// How much may be.
    pub limit: Option<String>,
    /// When it was last reset.
    pub reset: Option<String>,
}

/// A field: a column.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Column name. A polymorphic reference makes two columns, `name_type` and `name_id`.
    pub name: String,
    /// What it holds.
    pub kind: FieldKind,
    /// `?`: may be missing or null.
    pub optional: bool,
    /// `key`.
    pub key: bool,
    /// `unique`.
    pub unique: bool,
    /// `auto`: filled in by Repot, never written into the document.
    pub auto: bool,
    /// `cascade` / `set null`; without, the delete is refused.
    pub on_delete: OnDelete,
    /// `from a.b`: names in the document, outermost first; `from .` (the element itself) is an empty list.
    /// `None`: the field's own name.
    pub from: Option<Vec<String>>,
    /// `was old_name`.
    pub was: Option<String>,
    /// `= ...`.
    pub default: Option<DefaultValue>,
    /// Where it stands.
    pub span: Span,
    /// What `init` found, printed as a comment behind the field; not part of the language.
    pub evidence: Option<String>,
}

impl Field {
    /// A field with nothing but its name and kind.
    #[must_use]
    pub fn new(name: impl Into<String>, kind: FieldKind) -> Self {
        Self {
            name: name.into(),
            kind,
            optional: false,
            key: false,
            unique: false,
            auto: false,
            on_delete: OnDelete::Refuse,
            from: None,
            was: None,
            default: None,
            span: Span::default(),
            evidence: None,
        }
    }
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldKind {
    /// `text`, `int`, ...
    Scalar(Scalar),
    /// `[text]`.
    List(Scalar),
    /// `a | b | null`: one of these words; `null` makes the field optional (`Field::optional` is set).
    Enum(Vec<String>),
    /// `-> users`, `-> dramas | scenes`.
    Ref(Vec<String>),
    /// `body`, `bytes body`, `json body`: the file's own content.
    Body(Body),
    /// `position`: the place in the list, from 0.
    Position,
}

/// A scalar type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    /// `text` or `text(500)`: characters (Unicode scalar values).
    Text(Option<u32>),
    /// 64-bit integer.
    Int,
    /// IEEE 754 double.
    Float,
    /// Decimal number of any precision.
    Decimal,
    /// true or false.
    Bool,
    /// An instant, microseconds; without a zone it is read as UTC.
    Time,
    /// A calendar date.
    Date,
    /// A UUID.
    Uuid,
    /// Any JSON value, kept as text.
    Json,
    /// Base64 text in the document, bytes in the column.
    Bytes,
}

/// What a body is kept as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// A text column (null when the bytes are no UTF-8 text without NUL; the bytes are kept in any case).
    Text,
    /// A bytes column.
    Bytes,
    /// A json column: the file must be JSON.
    Json,
}

/// What happens to a row when the row it refers to goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDelete {
    /// The delete is refused.
    Refuse,
    /// It goes too.
    Cascade,
    /// The reference becomes null.
    SetNull,
}

/// `= ...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefaultValue {
    /// `= now`: when a new row is made through Repot or SQL. Never applied by an import.
    Now,
    /// `= now on write`.
    NowOnWrite,
    /// `= today`.
    Today,
    /// A constant, as written.
    Constant(String),
}
