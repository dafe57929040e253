//! Documents in SQLite and PostgreSQL: the conformance suite, and what SQL does behind the store's back.

use std::any::Any;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, LazyLock};

use repot_core::change_log::ChangeRetention;
use repot_core::store::{DocumentKey, Precondition, Scope, Store, StoreExt as _, UnitOfWork, Write};
use repot_core::{FixedClock, Kind, LockHolder, Target};
use repot_engine::copy::Copy;
use repot_engine::store::{PoolOptions, RowStore, RowStoreOptions};
use repot_engine::verify::{self, Proof, Verify};
use repot_engine::{NoProgress, Options};
use repot_postgres::{PostgresOptions, PostgresTarget};
use repot_sqlite::{SqliteOptions, SqliteTarget};
use repot_testkit::TempTree;
use repot_testkit::conformance::{DOCUMENT_BYTES_MAX, Subject, model};
use repot_testkit::postgres::{PgServer, postgres};
use rusqlite::types::ValueRef;
use tokio::runtime::{Builder, Runtime};

use crate::scripted::Scripted;

repot_testkit::conformance!(sqlite, super::Database::sqlite().subject());
repot_testkit::conformance!(postgres, super::Database::postgres().map(super::Database::subject));

pub(crate) type OwnModel<'m> = (Arc<repot_model::language::Model>, Arc<repot_model::plan::Plan>, &'m str);

/// A database of the test's own.
pub(crate) enum Database {
    Sqlite(TempTree),
    Postgres(PgServer, String),
}

impl Database {
    pub(crate) fn sqlite() -> Self {
        Self::Sqlite(TempTree::new())
    }

    pub(crate) fn postgres() -> Option<Self> {
        let server = postgres()?;
        let url = server.fresh_database();
        Some(Self::Postgres(server, url))
    }

    pub(crate) fn all() -> impl Iterator<Item = Self> {
        [Some(Self::sqlite()), Self::postgres()].into_iter().flatten()
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => Self::file(folder).to_string_lossy().into_owned(),
            Self::Postgres(_, url) => url.clone(),
        }
    }

    pub(crate) fn file(folder: &TempTree) -> std::path::PathBuf {
        folder.path().join("store.db")
    }

    pub(crate) fn target(&self) -> Box<dyn Target> {
        match self {
            Self::Sqlite(folder) => {
                Box::new(SqliteTarget::open(&Self::file(folder), SqliteOptions::default()).unwrap())
            }
            Self::Postgres(_, url) => {
                Box::new(PostgresTarget::open(url, PostgresOptions::default()).unwrap())
            }
        }
    }

    pub(crate) fn try_open(&self) -> repot_core::Result<RowStore> {
        self.try_open_as(model())
    }

    /// With a model of the test's own.
    pub(crate) fn open_as(&self, model: OwnModel<'_>) -> Arc<dyn Store> {
        Arc::new(self.try_open_as(model).unwrap())
    }

    pub(crate) fn try_open_as(&self, model: OwnModel<'_>) -> repot_core::Result<RowStore> {
        RowStore::open(self.target(), model, Self::options())
    }

    pub(crate) fn options() -> RowStoreOptions {
        RowStoreOptions {
            readers: 2,
            writers: 4,
            pool: PoolOptions::default(),
            document_bytes_max: DOCUMENT_BYTES_MAX,
            recent_bytes: 1 << 20,
            json: repot_json::Limits::default(),
            me: LockHolder { host: "here".to_owned(), pid: 7, since_ms: 0 },
            clock: Arc::new(FixedClock(1_700_000_000_000)),
            changes: ChangeRetention::default(),
        }
    }

    pub(crate) fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.try_open().unwrap())
    }

    fn subject(self) -> Subject {
        let store = self.open();
        Subject { store, keep: Box::new(self) as Box<dyn Any + Send> }
    }

    /// What the database answers: a row a line, fields parted by `|`.
    pub(crate) fn ask(&self, sql: &str) -> String {
        match self {
            Self::Sqlite(folder) => answer(&Self::file(folder), sql),
            Self::Postgres(server, url) => server.query(url, sql),
        }
    }

    /// Ends every session of Repot's on this database.
    pub(crate) fn end_sessions(&self) {
        self.sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'repot' and datname = current_database()");
    }

    /// Runs SQL behind the store's back.
    pub(crate) fn sql(&self, sql: &str) {
        self.try_sql(sql).unwrap();
    }

    /// Runs SQL so that no trigger notices it.
    pub(crate) fn unnoticed(&self, sql: &str) {
        match self {
            Self::Sqlite(_) => {
                self.sql(&format!(
                    "insert into repot_changes (seq, collection, key, kind, at_ms) values (9223372036854775807, '', '', -1, 0); \
                     {sql}; delete from repot_changes where seq = 9223372036854775807"
                ));
            }
            Self::Postgres(..) => self.sql(&format!("set repot.writer = 'on'; {sql}")),
        }
    }

    /// Runs SQL behind the store's back; what the database says when it refuses.
    pub(crate) fn try_sql(&self, sql: &str) -> Result<(), String> {
        match self {
            Self::Sqlite(folder) => execute(&Self::file(folder), sql),
            Self::Postgres(server, url) => server.try_query(url, sql).map(drop),
        }
    }
}

/// What SQLite answers, in the form of psql.
fn answer(file: &Path, sql: &str) -> String {
    let connection = rusqlite::Connection::open(file).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    let field = |row: &rusqlite::Row<'_>, at| match row.get_ref_unwrap(at) {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
        ValueRef::Blob(bytes) => format!("{} bytes", bytes.len()),
    };
    let line = |row: &rusqlite::Row<'_>| {
        let fields: Vec<String> = (0..columns).map(|at| field(row, at)).collect();
        Ok(fields.join("|") + "\n")
    };
    statement.query_map((), line).unwrap().map(Result::unwrap).collect()
}

fn execute(file: &Path, sql: &str) -> Result<(), String> {
    let connection = rusqlite::Connection::open(file).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    let done = connection.execute_batch(&format!("pragma foreign_keys = on; {sql}"));
    done.map_err(|error| error.to_string())
}

pub(crate) fn note(id: &str) -> DocumentKey {
    DocumentKey::new("notes", id)
}

/// In the one runtime of the test, in which connections live that answers are fetched by.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
        Builder::new_multi_thread().worker_threads(2).thread_name("caller").enable_all().build().unwrap()
    });
    RUNTIME.block_on(future)
}

/// With the tasks that it starts on one thread, in their order.
pub(crate) fn in_turn<F: Future>(future: F) -> F::Output {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

const TEXT: &str = "{\r\n    \"id\": \"a\",\r\n    \"title\":\t\"caf\\u00e9\",\r\n    \"count\": 1.0,\r\n    \"more\": [1.10, 1e400],\r\n    \"marks\": [{\"word\": \"x\"}, {\"word\": \"y\"}]\r\n}\r\n";

/// A plain update, insert or delete of rows is in the next read, in the document's own formatting, with another
/// `ETag`; the old one does not write any more.
#[test]
fn what_sql_changes_is_in_the_next_read() {
    for database in Database::all() {
        let store = database.open();
        block_on(async {
            let was = store.put(&note("a"), TEXT).await.unwrap();
            database.sql("update notes set title = 'thé' where id = 'a'");
            let read = store.require(&note("a")).await.unwrap();
            assert_eq!(read.body, TEXT.replace("caf\\u00e9", "th\\u00e9"));
            assert_ne!(read.etag, was);
            assert_eq!(store.require(&note("a")).await.unwrap().etag, read.etag);
            let error = store.replace(&note("a"), TEXT, &was).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Conflict, "{error}");
            database.sql("delete from marks where word = 'x'");
            let read = store.require(&note("a")).await.unwrap();
            assert!(read.body.ends_with(b"\"marks\": [{\"word\": \"y\"}]\r\n}\r\n"), "{:?}", read.body);
            // a write through documents starts from what SQL left
            let text = String::from_utf8(read.body.to_vec()).unwrap().replace("th\\u00e9", "mate");
            store.replace(&note("a"), text.clone(), &read.etag).await.unwrap();
            assert_eq!(store.require(&note("a")).await.unwrap().body, text);
        });
        drop(store);
        // and all of it is there for the next process
        let store = database.open();
        block_on(async {
            let read = store.require(&note("a")).await.unwrap();
            assert!(String::from_utf8_lossy(&read.body).contains("mate"), "{:?}", read.body);
        });
    }
}

/// A row deleted with SQL takes its document along; the key can be used again.
#[test]
fn a_document_whose_row_sql_deleted_is_gone() {
    for database in Database::all() {
        let store = database.open();
        block_on(async {
            let was = store.put(&note("a"), TEXT).await.unwrap();
            store.put(&note("b"), r#"{"id": "b"}"#).await.unwrap();
            database.sql("delete from notes where id = 'a'");
            assert_eq!(store.get(&note("a")).await.unwrap(), None);
            assert!(!store.exists(&note("a")).await.unwrap());
            let page = store.list(&Scope::of("notes"), None, 10).await.unwrap();
            assert_eq!(page.items.iter().map(|item| item.key.text()).collect::<Vec<_>>(), ["b"]);
            let error = store.replace(&note("a"), TEXT, &was).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Conflict, "{error}");
            assert!(!store.delete(&note("a"), Precondition::Any).await.unwrap());
            store.create(&note("a"), TEXT).await.unwrap();
            assert_eq!(store.require(&note("a")).await.unwrap().body, TEXT);
        });
    }
}

/// A unit of work that the database refuses in its last write leaves nothing of the others.
#[test]
fn a_unit_that_the_database_refuses_leaves_nothing() {
    for database in Database::all() {
        let store = database.open();
        block_on(async {
            store.put(&note("a"), TEXT).await.unwrap();
            // a row of nobody stands where the second document's row would go
            database.unnoticed("insert into notes (id, title) values ('c', 'stray')");
            let put = |id: &str| Write::Put {
                key: note(id),
                body: format!(r#"{{"id": "{id}"}}"#).into(),
                when: Precondition::Any,
            };
            let unit = UnitOfWork::default()
                .with(put("b"))
                .with(Write::Delete { key: note("a"), when: Precondition::Any })
                .with(put("c"));
            let error = store.apply(unit).await.unwrap_err();
            assert_eq!((error.kind(), error.code()), (Kind::Conflict, "R0203"), "{error}");
            assert!(error.message().contains("notes/c"), "{error}");
            assert_eq!(store.get(&note("b")).await.unwrap(), None);
            assert_eq!(store.require(&note("a")).await.unwrap().body, TEXT);
            store.put(&note("b"), r#"{"id": "b"}"#).await.unwrap();
        });
    }
}

/// Copies `source` as the suite's model says.
pub(crate) fn copy(database: &Database, source: &Scripted) -> repot_core::Result<()> {
    copy_of(database, source, model())
}

/// The same, of a model of the test's own.
pub(crate) fn copy_of(
    database: &Database,
    source: &Scripted,
    (model, plan, model_text): OwnModel<'_>,
) -> repot_core::Result<()> {
    let (options, me) = (Options::default(), LockHolder { host: "here".to_owned(), pid: 8, since_ms: 0 });
    let (progress, clock) = (&NoProgress, &FixedClock(0));
    let copy =
        Copy { source, model: &model, model_text, plan: &plan, options: &options, progress, clock, me };
    copy.run(database.target().as_mut(), false).map(drop)
}

pub(crate) fn proof(database: &Database) -> Proof {
    proof_of(database, model())
}

/// Rows and texts agree.
pub(crate) fn proved(database: &Database, model: OwnModel<'_>) {
    let proof = proof_of(database, model);
    assert!(proof.holds(), "{:?}", proof.differences);
}

/// The same, of a model of the test's own.
pub(crate) fn proof_of(database: &Database, (model, plan, _): OwnModel<'_>) -> Proof {
    let options = Options::default();
    let verify = Verify { model: &model, plan: &plan, options: &options, progress: &NoProgress, seed: 7 };
    verify.run(database.target().as_ref(), verify::Scope::Everything).unwrap()
}

/// What was copied is read as it was in its file, and what is written beside it is proved like the rest.
#[test]
fn copied_files_are_documents() {
    for database in Database::all() {
        let source = Scripted::default();
        source.put("notes/a.json", TEXT);
        source.put("notes/torn.json", "{");
        source.put("chats/u1/c.json", r#"{"id": "c"}"#);
        source.put("pages/start.md", "# Start");
        source.put("events/today.jsonl", "{\"id\": \"e\"}\n");
        copy(&database, &source).unwrap();
        let store = database.open();
        block_on(async {
            assert_eq!(store.require(&note("a")).await.unwrap().body, TEXT);
            // set aside, and there all the same
            let torn = store.require(&note("torn")).await.unwrap();
            assert_eq!(torn.body, "{");
            assert_eq!(store.require(&DocumentKey::new("pages", "start")).await.unwrap().body, "# Start");
            let chat = DocumentKey::new("chats", "c").in_tenant("u1");
            assert_eq!(store.require(&chat).await.unwrap().body, r#"{"id": "c"}"#);
            store.put(&chat, r#"{"id": "c", "title": "t"}"#).await.unwrap();
            store.replace(&note("torn"), r#"{"id": "torn"}"#, &torn.etag).await.unwrap();
            store.put(&note("new"), r#"{"id": "new", "marks": [{"word": "w"}]}"#).await.unwrap();
            assert!(store.delete(&note("a"), Precondition::Any).await.unwrap());
        });
        drop(store);
        let proof = proof(&database);
        assert!(proof.holds(), "{:?}", proof.differences);
        assert_eq!((proof.proved, proof.tally.set_aside), (5, 0));
    }
}

/// A copy of files would take back what was written in the database.
#[test]
fn a_copy_into_a_database_with_writes_of_its_own_is_refused() {
    for database in Database::all() {
        let source = Scripted::default();
        copy(&database, &source).unwrap();
        drop(database.open());
        copy(&database, &source).unwrap();
        block_on(database.open().put(&note("a"), TEXT)).unwrap();
        assert_eq!(copy(&database, &source).unwrap_err().code(), "R0702");
        assert_eq!(block_on(database.open().require(&note("a"))).unwrap().body, TEXT);
    }
}

/// Kills per database; ten times as many where `REPOT_FULL=1`.
const KILLS: usize = 8;

/// Processes that write in one database at once.
const PROCESSES: usize = 2;

/// Processes with 32 writers each are killed at any instant: what they acknowledged is there, whole, and rows and text
/// agree.
#[test]
fn a_kill_loses_no_acknowledged_write() {
    let full = repot_testkit::full();
    let program = std::env::current_exe().unwrap().with_file_name("../examples/write_documents");
    for database in Database::all() {
        drop(database.open());
        let mut acknowledged = Vec::new();
        for round in 0..KILLS * if full { 10 } else { 1 } {
            let start = |process: usize| {
                let first = (round * PROCESSES + process) * 1_000_000;
                let arguments = [database.url(), first.to_string()];
                Command::new(&program).args(arguments).stdout(Stdio::piped()).spawn().unwrap()
            };
            let mut children: Vec<_> = (0..PROCESSES).map(start).collect();
            let outputs =
                children.iter_mut().map(|child| BufReader::new(child.stdout.take().unwrap()).lines());
            let mut outputs: Vec<_> = outputs.collect();
            // another number of acknowledged writes each time, 1 to 97
            for _ in 0..=round * 37 % 97 {
                for lines in &mut outputs {
                    acknowledged.push(lines.next().expect("the writers go on").unwrap());
                }
            }
            for (child, lines) in children.iter_mut().zip(outputs) {
                child.kill().unwrap();
                child.wait().unwrap();
                let rest = lines.map_while(std::io::Result::ok);
                acknowledged.extend(rest.filter(|line| line.starts_with('n')));
            }
        }
        let store = database.open();
        block_on(async {
            for id in &acknowledged {
                let body = store.require(&note(id)).await.unwrap().body;
                let text = format!(r#"{{"id": "{id}", "title": "t", "marks": [{{"word": "{id}"}}]}}"#);
                assert_eq!(body, text);
            }
        });
        drop(store);
        let proof = proof(&database);
        assert!(proof.holds(), "{:?}", proof.differences);
        assert!(proof.documents >= acknowledged.len() as u64);
    }
}
