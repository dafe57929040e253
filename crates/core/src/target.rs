//! What a target does: the bulk paths of a database that takes documents as rows and text.
//!
//! Tables of ours, the same on every target: `repot_meta` (key, value), `repot_objects` (one row a source
//! object), `repot_documents` (one row a document: identity, version, compressed text), `repot_pieces` (objects
//! too large to hold as a document), `repot_dictionaries` (compression dictionaries). The user's tables hold
//! nothing of ours.

use std::fmt::{Debug, Display};
use std::sync::Arc;

use repot_model::plan::{Additions, Plan, RowsWanted};
use repot_model::row::RowBuffer;
use repot_model::sql::query::{Speech, Statement};

use crate::ahead::Ahead;
use crate::audit::{AuditBatch, AuditFilter, AuditRecord};
use crate::change_log::{ChangeRetention, StoredChanges};
use crate::connections::{Connections, Idling, Prompt, Snapshots, Writers};
use crate::error::Result;
use crate::facts::{FactBatch, FactReader};
use crate::found::{FoundObject, ListedDocument, Mark, Rank, StateReader};
use crate::messages::{HeldMessage, QueueAnswer, QueueStep};
use crate::records::{DocumentRecord, KeptChange, ObjectRecord, Outline, Piece, Status};
use crate::referrers::{Referred, Referrer};
use crate::store::{SqlQuestion, SqlSink};
use crate::trashed::{TrashWanted, Trashed};

/// What changes in rows that are already there, besides the inserts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowChanges {
    /// Identity cells (`Table::identity` order) of rows to delete; children come before their parents.
    pub deletes: RowBuffer,
    /// Whole rows; the row with the same identity is overwritten.
    pub updates: RowBuffer,
}

/// One object of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The object.
    pub object: ObjectRecord,
    /// All its documents as they shall be.
    pub documents: Vec<DocumentRecord>,
    /// Rows to insert; parents come before their children.
    pub rows: RowBuffer,
    /// Row changes when the object was there before (applied before the inserts; updates after the deletes).
    pub changes: RowChanges,
    /// The object of this path was there before: its record, documents and pieces are replaced.
    pub replaces: bool,
    /// The object is gone from the source: its record, documents and pieces are removed (`changes.deletes`
    /// holds its rows); nothing else of the item counts.
    pub removes: bool,
    /// The object's bytes are the pieces put before; they stay.
    pub keeps_pieces: bool,
    /// Only the documents at these ordinals are replaced: `documents` has those of them that are there afterwards, the others
    /// of the object stay, and so does its frame where the record has none. `None`: `documents` is all of them.
    pub touched: Option<Vec<u32>>,
    /// Only rows change: record, text and pieces stay, and this is kept beside them. The item's one document says key and
    /// new `ETag`. An item that is refused is not tried with more care. For [`Target::transact`].
    pub kept: Option<KeptChange>,
}

impl Item {
    /// Rows that it updates or inserts, each with what changes in it: the columns, or `None` for all.
    pub fn written(&self) -> impl Iterator<Item = (usize, &[u8], Option<&[usize]>)> {
        let columns = |at: usize| self.kept.as_ref()?.columns.get(at).map(Vec::as_slice);
        let updates = self.changes.updates.iter().enumerate();
        let updates = updates.map(move |(at, (table, row))| (table, row, columns(at)));
        updates.chain(self.rows.iter().map(|(table, row)| (table, row, None)))
    }
}

/// Objects applied in one transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// In the order in which they were prepared.
    pub items: Vec<Item>,
    /// New dictionaries that the items use: id, collection, bytes.
    pub dictionaries: Vec<(i64, String, Vec<u8>)>,
    /// Of two documents that cannot both be rows (same key, same unique value) the one first by path stays, also
    /// where the other one is stored already: that one is set aside and named in the report. For targets that
    /// say [`Target::clusters_by_key`]; their first load is not in order of the path.
    pub first_by_path: bool,
    /// When the report names a refused document, nothing of the batch was done.
    pub all_or_nothing: bool,
    /// Values of ours to set or remove with it. For [`Target::transact`].
    pub meta: Vec<(String, Option<String>)>,
    /// The marks of the documents it writes as they were when it was made. They go with it; when another mark is there by
    /// now, plain SQL changed the document meanwhile, and nothing is done. For [`Target::transact`].
    pub marks: Vec<Mark>,
    /// Time of its entries in the change log, milliseconds since 1970; `None`: it has none, because what it brings into
    /// the texts was logged when plain SQL did it.
    pub at_ms: Option<i64>,
    /// Deleted documents to keep: what one delete takes comes together, the document itself first. For
    /// [`Target::transact`].
    pub trash: Vec<Vec<Trashed>>,
    /// Numbers of deleted documents that go for good, or come back. For [`Target::transact`].
    pub untrash: Vec<i64>,
    /// What is put on record with it, and what goes from there. For [`Target::transact`].
    pub audit: AuditBatch,
    /// What is noted beside the documents with it. For [`Target::transact`].
    pub facts: FactBatch,
    /// Deleted documents that come back, by their numbers in `untrash`; their messages come back as they were. For
    /// [`Target::transact`].
    pub restored: Vec<i64>,
    /// Messages that are done with it, which are held. For [`Target::transact`].
    pub acked: Vec<HeldMessage>,
}

/// A document the database refused; it was recorded as set aside with this code and reason, without rows. (Where
/// an item replaces an object and one document is refused, the old rows are deleted all the same.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Path of the object.
    pub path: String,
    /// Which document.
    pub ordinal: u32,
    /// `R0203` (key or unique taken), `R0305` (reference to nothing), `R0306` (any other constraint).
    pub code: &'static str,
    /// What the database said, with names of table and column and without other rows' data.
    pub reason: String,
}

/// What a batch did; with [`Batch::all_or_nothing`] and a refusal, what stood against it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Documents refused and therefore set aside.
    pub refused: Vec<Refusal>,
}

/// Where the target stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The model text it was made with.
    pub model_text: String,
    /// Hash of the plan it was made with.
    pub plan_hash: String,
    /// How rows are being loaded.
    pub loading: Loading,
}

/// The two ways rows are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loading {
    /// The first load: references, secondary indexes (and auto keys on PostgreSQL) come at its end, in
    /// [`Target::finish`].
    Bulk,
    /// Everything is in place and enforced.
    Steady,
}

/// Who holds the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockHolder {
    /// Host name.
    pub host: String,
    /// Process id.
    pub pid: u32,
    /// Since when, milliseconds since 1970.
    pub since_ms: i64,
}

/// What `check` reports of a target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Such as `PostgreSQL 15.18, can create tables, 97 connections free, no pooler`.
    pub message: String,
    /// Warnings: full sentences.
    pub warnings: Vec<String>,
}

/// A row that refers to nothing, found at the end of a bulk load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Root collection of the document that holds the row.
    pub collection: String,
    /// The document's key as text (`Plan::key_text`).
    pub key: String,
    /// Such as `jobs.media_id refers to media 17, which is not there`.
    pub reason: String,
}

/// A stored object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Our number for it.
    pub id: i64,
    /// As recorded (`frame` only when asked for).
    pub record: ObjectRecord,
}

/// A stored document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDocument {
    /// The object it is in.
    pub object: i64,
    /// As recorded, but for the `ETag` and version, which count the changes kept beside the text; `rows` is empty.
    pub record: DocumentRecord,
    /// Changes kept beside its text, in order.
    pub kept: Vec<Vec<u8>>,
}

/// Answer of a query: everything as text, null as `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueryResult {
    /// Column names.
    pub columns: Vec<String>,
    /// Rows.
    pub rows: Vec<Vec<Option<String>>>,
    /// There were more rows than asked for.
    pub more: bool,
}

/// Rows that answer a statement of ours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Encoded; the table's number means nothing.
    pub rows: RowBuffer,
    /// There were more, beyond the bound in bytes.
    pub cut: bool,
}

/// What [`Target::transact`] asks for: from what is there to what shall be; `None` when nothing is to be written.
pub type Decide<'a> = &'a mut dyn FnMut(&mut dyn Reader) -> Result<Option<Batch>>;

/// A database that takes documents as rows and text. A copy writes alone, stores write beside each other; see
/// [`Target::reader`] for the rest.
pub trait Target: crate::TenantGuard + Idling + Snapshots + Writers + Debug + Display + Send {
    /// Can it be reached and written?
    ///
    /// # Errors
    /// When it is out of reach or refuses us.
    fn check(&mut self) -> Result<Health>;

    /// Where it stands; `None` when Repot made nothing here yet.
    ///
    /// # Errors
    /// When it cannot be read.
    fn state(&mut self) -> Result<Option<State>>;

    /// Whether a table's rows lie in the order of its key, so that loading them in that order is cheaper.
    fn clusters_by_key(&self) -> bool;

    /// Which of these table names exist already (compared as the database compares them).
    ///
    /// # Errors
    /// When it cannot be read.
    fn existing_tables(&mut self, names: &[&str]) -> Result<Vec<String>>;

    /// Takes the lock that lets one `copy` work at a time; it is held until `self` is dropped or the process
    /// ends, however it ends.
    ///
    /// # Errors
    /// [`crate::Kind::Locked`] naming host, process and since when, if another process holds it.
    fn lock(&mut self, me: &LockHolder) -> Result<()>;

    /// Takes the lock that stores hold together and no copy with them; it replaces one taken by [`Target::lock`] and is
    /// held until `self` is dropped or the process ends. Behind a pooler that shares sessions it is held by each
    /// transaction instead.
    ///
    /// # Errors
    /// [`crate::Kind::Locked`] when a copy is at work.
    fn share(&mut self, me: &LockHolder) -> Result<()>;

    /// Makes our tables and the user's (without what a bulk load adds at its end), and records the model; all
    /// or nothing.
    ///
    /// # Errors
    /// When a table is there already, or the database refuses.
    fn create(&mut self, plan: &Plan, model_text: &str) -> Result<()>;

    /// Makes the tables and indexes that a model has more than the one that the database was made with, and records the model;
    /// all or nothing. Nothing when the database is of this model already, because another process did it. Stores that are open go
    /// on as they are.
    ///
    /// # Errors
    /// `R0151` when the database is of neither model; `R0109` when a name is taken; when the database refuses.
    fn extend(&mut self, old_hash: &str, new: (&Plan, &str), additions: &Additions) -> Result<()>;

    /// Applies a batch in one transaction, durable when it returns (against a crash of the process; against
    /// power loss after [`Target::finish`]). Documents the database refuses are recorded as set aside.
    ///
    /// # Errors
    /// When the batch could not be applied at all; nothing of it is then.
    fn load(&mut self, plan: &Plan, batch: Batch) -> Result<LoadReport>;

    /// One transaction that reads before it writes: locks the objects at these paths against other writers, lets
    /// `decide` read in it, and applies the batch that it gives. Whatever `decide` read of these objects is still so
    /// when the batch is committed. `decide` is called again, from a new state, when the database gives the transaction up for the sake of
    /// another (a deadlock, a path that two make at once), and when the answer to a commit was lost and nothing was
    /// committed; so it must not keep anything from an earlier call. A batch in which a document is refused is not
    /// applied at all, as with [`Batch::all_or_nothing`].
    ///
    /// Holds under [`Target::share`] or [`Target::lock`]. An object that a batch replaces keeps its number.
    ///
    /// # Errors
    /// What `decide` gives; [`crate::Kind::Locked`] when a copy took over; `R0411`, [`crate::Kind::Unavailable`], when it was given up too
    /// often; when the database is out of reach: [`crate::Retry::Safe`] when nothing was committed,
    /// [`crate::Retry::Unknown`] when that could not be found out.
    fn transact(&mut self, plan: &Plan, locks: &[String], decide: Decide<'_>) -> Result<LoadReport>;

    /// What the next [`Target::transact`] is likely to read, so that a database to which each question is a journey may read
    /// it with the locks. Only a hint: nothing else depends on it.
    fn read_ahead(&mut self, _ahead: Ahead) {}

    /// Opens more connections, also after this one is gone. To be asked for once the lock is shared.
    ///
    /// # Errors
    /// When the database is out of reach.
    fn connections(&self) -> Result<Arc<dyn Connections>>;

    /// Keeps one piece of an object that is too large to be a document, in a transaction of its own. Number 0
    /// first drops all pieces kept for this path. The object's own record follows as an [`Item`] without
    /// documents; removing or replacing an object without `keeps_pieces` drops its pieces.
    ///
    /// # Errors
    /// When it cannot be written.
    fn put_piece(&mut self, path: &str, piece: &Piece) -> Result<()>;

    /// Ends a bulk load: looks for rows that refer to nothing. When there are none, builds keys, references
    /// and indexes, turns to [`Loading::Steady`] and makes everything durable. At most `most` violations are
    /// given back; the caller sets those documents aside and calls again.
    ///
    /// # Errors
    /// When the database refuses.
    fn finish(&mut self, plan: &Plan, most: usize, progress: &mut dyn FnMut(&str)) -> Result<Vec<Violation>>;

    /// Makes the triggers that notice plain SQL and hold it to the state machines of the model, and the (empty) full text
    /// indexes with theirs, and removes those that the model has no more; nothing when they are right. [`Target::finish`]
    /// does it too, and makes our tables that a database of an older version lacks. In a database of a format before them every document is marked. All or nothing.
    ///
    /// # Errors
    /// When the database refuses.
    fn enforce_rules(&mut self, plan: &Plan) -> Result<()>;

    /// Gives a position to every change that was committed before the call, in the order of the writes of each document;
    /// nothing where changes have one from the beginning. No writer waits for it, and it waits for none.
    ///
    /// # Errors
    /// When the database refuses.
    fn number_changes(&mut self) -> Result<()>;

    /// Removes some of the oldest changes that go (a bounded number, all or nothing); `true`: there may be more.
    ///
    /// # Errors
    /// When the database refuses.
    fn prune_changes(&mut self, keep: ChangeRetention, now_ms: i64) -> Result<bool>;

    /// Does these steps with messages, one after the other, in one transaction; an answer for each.
    ///
    /// # Errors
    /// When the database refuses; then none was done.
    fn queue(&mut self, steps: &[QueueStep]) -> Result<Vec<QueueAnswer>>;

    /// Brings the full text indexes up to date with some of the rows that plain SQL changed, oldest changes first, in one
    /// transaction; gives whether there may be more.
    ///
    /// # Errors
    /// [`crate::Kind::Locked`] when a copy took over; when the database cannot be written.
    fn index_words(&mut self, plan: &Plan) -> Result<bool>;

    /// Sets or removes a value of ours (`repot_meta`).
    ///
    /// # Errors
    /// When it cannot be written.
    fn set_meta(&mut self, key: &str, value: Option<&str>) -> Result<()>;

    /// Another connection, for reading. It sees a consistent state from its first read to its drop.
    ///
    /// # Errors
    /// When it cannot be opened.
    fn reader(&self) -> Result<Box<dyn Reader>>;
}

/// A reading connection. All of it is streamed or paged.
pub trait Reader: Idling + Prompt + FactReader + StateReader + Debug + Send {
    /// From the next read on, sees the state of the database at that read.
    ///
    /// # Errors
    /// When the connection was lost.
    fn refresh(&mut self) -> Result<()>;

    /// A value of ours.
    ///
    /// # Errors
    /// When it cannot be read.
    fn meta(&mut self, key: &str) -> Result<Option<String>>;

    /// The next `most` objects in byte order of the path, after `after`; `with_frame`: read the frames too.
    ///
    /// # Errors
    /// When it cannot be read.
    fn objects(&mut self, after: Option<&str>, most: usize, with_frame: bool) -> Result<Vec<StoredObject>>;

    /// The documents of these objects, by object and ordinal, one at a time.
    ///
    /// # Errors
    /// When it cannot be read, or when `each` fails.
    fn documents(
        &mut self,
        objects: &[i64],
        each: &mut dyn FnMut(StoredDocument) -> Result<()>,
    ) -> Result<()>;

    /// How many objects there are of each status.
    ///
    /// # Errors
    /// When it cannot be read.
    fn count_objects(&mut self) -> Result<Vec<(Status, u64)>>;

    /// The object with this path, with its frame.
    ///
    /// # Errors
    /// When it cannot be read.
    fn object(&mut self, path: &str) -> Result<Option<StoredObject>>;

    /// From here to the next [`Reader::refresh`] sees one state.
    ///
    /// # Errors
    /// When the connection was lost.
    fn hold(&mut self) -> Result<()>;

    /// The object with this path, its first document and that document's mark, by one statement. Outside of a state that
    /// is held it sees what is there now, and holds nothing.
    ///
    /// # Errors
    /// When it cannot be read.
    fn stored(&mut self, path: &str) -> Result<Option<FoundObject>>;

    /// The object that holds the document with this collection and key, that document, and its mark, by one statement; the
    /// object is without its frame. As [`Reader::stored`] otherwise.
    ///
    /// # Errors
    /// When it cannot be read.
    fn stored_by_key(&mut self, collection: &str, key: &str) -> Result<Option<FoundObject>>;

    /// How many documents of this object, and of them of the collection, have a lower ordinal; and its highest one.
    ///
    /// # Errors
    /// When it cannot be read.
    fn rank(&mut self, object: i64, collection: &str, ordinal: u32) -> Result<Rank>;

    /// At most `most` documents of a collection that have a key, in order of the key, after this one.
    ///
    /// # Errors
    /// When it cannot be read.
    fn listed(&mut self, collection: &str, after: Option<&str>, most: usize) -> Result<Vec<ListedDocument>>;

    /// The first document of the object with this path, without its text.
    ///
    /// # Errors
    /// When it cannot be read.
    fn outline(&mut self, path: &str) -> Result<Option<Outline>>;

    /// Rows that are wanted, whole; three at most.
    ///
    /// # Errors
    /// When they cannot be read.
    fn held_rows(&mut self, plan: &Plan, wanted: &RowsWanted) -> Result<RowBuffer>;

    /// The next `most` documents after this path beside whose text changes are kept: their objects' paths.
    ///
    /// # Errors
    /// When it cannot be read.
    fn kept(&mut self, after: &str, most: usize) -> Result<Vec<String>>;

    /// Whether there is a document in the object with this path, without reading its text: the stamp of its mark.
    ///
    /// # Errors
    /// When it cannot be read.
    fn exists(&mut self, path: &str) -> Result<Option<i64>>;

    /// The stamp of the mark of a document, whether it has a record or not; 0: it has none.
    ///
    /// # Errors
    /// When it cannot be read.
    fn stamp(&mut self, collection: &str, key: &str) -> Result<i64>;

    /// The next `most` marks after this one, by collection and key; `new`: of one collection, only of keys that no
    /// document has.
    ///
    /// # Errors
    /// When it cannot be read.
    fn marks(&mut self, after: (&str, &str), new: Option<&str>, most: usize) -> Result<Vec<Mark>>;

    /// The object that holds the document with this collection and key, with its frame.
    ///
    /// # Errors
    /// When it cannot be read.
    fn find_document(&mut self, collection: &str, key: &str) -> Result<Option<StoredObject>>;

    /// The `most` changes with a position after this one, and where the log stands, in one state.
    ///
    /// # Errors
    /// When it cannot be read.
    fn changes(&mut self, after: i64, most: usize) -> Result<StoredChanges>;

    /// Documents that are set aside: path, document; `code`: only those with this code.
    ///
    /// # Errors
    /// When it cannot be read.
    fn set_aside(&mut self, code: Option<&str>, most: usize) -> Result<Vec<(String, u32, String, String)>>;

    /// The pieces kept for the object with this path, in order, one at a time (compressed).
    ///
    /// # Errors
    /// When it cannot be read, or when `each` fails.
    fn pieces(&mut self, path: &str, each: &mut dyn FnMut(Piece) -> Result<()>) -> Result<()>;

    /// A dictionary.
    ///
    /// # Errors
    /// When it cannot be read.
    fn dictionaries(&mut self) -> Result<Vec<(i64, String, Vec<u8>)>>;

    /// Every row of a table in any order, encoded. A value that is not of the column's kind is encoded as what
    /// it is, so that it differs.
    ///
    /// # Errors
    /// When it cannot be read (a table or column that is missing names itself), or when `each` fails.
    fn scan(&mut self, plan: &Plan, table: usize, each: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()>;

    /// All rows of one document, of all tables, found from its root row by key. `key`: encoded key cells of the
    /// root row. Rows of one table come by their position where the table has one.
    ///
    /// # Errors
    /// When it cannot be read.
    fn document_rows(&mut self, plan: &Plan, root_table: usize, key: &[u8]) -> Result<RowBuffer>;

    /// From any row (its table and encoded identity) to the root document's collection and key text; `None`
    /// when no chain of parents leads to a root row.
    ///
    /// # Errors
    /// When it cannot be read.
    fn root_of(&mut self, plan: &Plan, table: usize, identity: &[u8]) -> Result<Option<(String, String)>>;

    /// Entries of the record; none where there is no record yet.
    ///
    /// # Errors
    /// When it cannot be read.
    fn audit(&mut self, filter: &AuditFilter, most: usize) -> Result<Vec<AuditRecord>>;

    /// Rows that refer to one of these values, in any order, each with its document.
    ///
    /// # Errors
    /// When it cannot be read.
    fn referrers(&mut self, plan: &Plan, referred: &Referred<'_>) -> Result<Vec<Referrer>>;

    /// Whether this message is held. In [`Target::transact`] it stays so until the transaction ends.
    ///
    /// # Errors
    /// When it cannot be read.
    fn holds(&mut self, held: &HeldMessage) -> Result<bool>;

    /// Deleted documents that are kept, as they are asked for.
    ///
    /// # Errors
    /// When it cannot be read.
    fn trash(&mut self, wanted: &TrashWanted<'_>) -> Result<Vec<Trashed>>;

    /// Runs a read-only statement; at most `most` rows.
    ///
    /// # Errors
    /// When the statement is wrong or would write.
    fn query(&mut self, sql: &str, most: usize) -> Result<QueryResult>;

    /// Runs a statement of the user's that reads, within its bounds; gives whether there were more rows than asked for.
    ///
    /// # Errors
    /// As [`crate::store::Queryable::read_sql`].
    fn read_sql(&mut self, question: &SqlQuestion, sink: &mut SqlSink) -> Result<bool>;

    /// How it writes SQL and compares texts.
    ///
    /// # Errors
    /// When it cannot be read.
    fn speech(&mut self) -> Result<Speech>;

    /// Runs a statement made from the plan. Rows come in its order until they take more than `bytes_max`, at least one
    /// row; one cell for each of the statement's columns.
    ///
    /// # Errors
    /// When it cannot be read, or takes longer than the database's bound on questions.
    fn ask(&mut self, statement: &Statement, bytes_max: usize) -> Result<Answer>;

    /// The same where nothing else is to be read in the state that it reads: where none is held, none is afterwards, which
    /// may save a leaf the messages that would keep it.
    ///
    /// # Errors
    /// As [`Reader::ask`].
    fn ask_once(&mut self, statement: &Statement, bytes_max: usize) -> Result<Answer> {
        self.ask(statement, bytes_max)
    }

    /// What the database would do for a statement made from the plan, line by line; reads no rows.
    ///
    /// # Errors
    /// When it cannot be asked.
    fn explain(&mut self, statement: &Statement) -> Result<Vec<String>>;
}
