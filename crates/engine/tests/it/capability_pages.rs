//! The tables in `docs/stores` are what the stores say of themselves. `REPOT_WRITE_DOCS=1` writes them anew.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use repot_bucket::{DirectoryObjects, S3Config, S3Objects};
use repot_core::store::{BucketStore, Capabilities, Journal, MemoryObjects, Objects, Store as _};
use repot_s3lab::{Condition, S3Lab};
use repot_testkit::conformance::{DOCUMENT_BYTES_MAX, layout};
use repot_testkit::{QuickPacing, TempTree};

use crate::documents::{Database, block_on};

const BEGIN: &str = "<!-- capabilities: printed by a test -->";
const END: &str = "<!-- /capabilities -->";

/// A line for each capability: what it says of each variant of a store.
fn rows(variants: &[(&str, Capabilities)]) -> String {
    let mut lines: Vec<(&str, Vec<String>)> = Vec::new();
    for (_, can) in variants {
        let Capabilities {
            atomic_writes_max,
            document_bytes_max,
            conditional_put,
            conditional_delete,
            keys_per_tenant,
            queries,
            found_by_key,
            change_log,
            references,
            soft_delete,
            row_security,
            audit,
            ledger,
            queues,
            deadlines,
        } = *can;
        assert_eq!(document_bytes_max, DOCUMENT_BYTES_MAX, "a setting");
        let yes = |can: bool| if can { "yes" } else { "no" }.to_owned();
        let said = [
            ("writes in one unit of work, at most", atomic_writes_max.to_string()),
            ("bytes of one document, at most", "a setting".to_owned()),
            ("preconditions on puts (`conditional_put`)", yes(conditional_put)),
            ("preconditions on deletes (`conditional_delete`)", yes(conditional_delete)),
            ("one key in two tenants (`keys_per_tenant`)", yes(keys_per_tenant)),
            ("questions about rows (`queries`)", yes(queries)),
            ("found by a key without a place (`found_by_key`)", yes(found_by_key)),
            ("a log of changes (`change_log`)", yes(change_log)),
            ("deletes follow references (`references`)", yes(references)),
            ("deleted documents can be had back (`soft_delete`)", yes(soft_delete)),
            ("the database holds tenants apart too (`row_security`)", yes(row_security)),
            ("a record of changes (`audit`)", yes(audit)),
            ("small facts beside the documents (`ledger`)", yes(ledger)),
            ("documents claimed as messages (`queues`)", yes(queues)),
            ("nothing is written after a deadline (`deadlines`)", yes(deadlines)),
        ];
        for (at, (name, value)) in said.into_iter().enumerate() {
            match lines.get_mut(at) {
                Some((_, values)) => values.push(value),
                None => lines.push((name, vec![value])),
            }
        }
    }
    let names: Vec<&str> = variants.iter().map(|(name, _)| *name).collect();
    let mut table =
        format!("| capability | {} |\n| --- |{}\n", names.join(" | "), " --- |".repeat(names.len()));
    for (name, values) in lines {
        table.push_str(&format!("| {name} | {} |\n", values.join(" | ")));
    }
    table
}

/// Compares a page's table, or writes it.
fn check(page: &str, variants: &[(&str, Capabilities)]) {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(page);
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    let expected = format!("\n\n{}\n", rows(variants));
    if std::env::var_os("REPOT_WRITE_DOCS").is_some_and(|value| value == "1") {
        std::fs::write(&path, format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
    } else {
        assert_eq!(written, expected, "{page}: run this test with REPOT_WRITE_DOCS=1");
    }
}

fn plain(objects: Arc<dyn Objects>) -> BucketStore {
    BucketStore::new(objects, layout(), DOCUMENT_BYTES_MAX)
}

fn journaled(objects: Arc<dyn Objects>) -> BucketStore {
    let journal = Journal::new(Arc::clone(&objects), ".journal", Arc::new(QuickPacing::default()), 50);
    plain(objects).with_journal(journal).unwrap()
}

/// With and without a journal, probed, as apps do that open it.
fn both(objects: impl Fn() -> Arc<dyn Objects>) -> [(&'static str, Capabilities); 2] {
    let said = |store: BucketStore| {
        block_on(store.probe()).unwrap();
        store.capabilities()
    };
    [("alone", said(plain(objects()))), ("with a recovery journal", said(journaled(objects())))]
}

#[test]
fn memory() {
    check("stores/memory.md", &both(|| Arc::new(MemoryObjects::new())));
}

#[test]
fn directory() {
    let folder = TempTree::new();
    check("stores/directory.md", &both(|| Arc::new(DirectoryObjects::open(folder.path()).unwrap())));
}

fn objects_of(lab: &S3Lab) -> Arc<dyn Objects> {
    let config = S3Config {
        bucket: lab.bucket().to_owned(),
        endpoint: Some(lab.endpoint()),
        access_key: lab.access_key().to_owned(),
        secret_key: lab.secret_key().to_owned(),
        ..S3Config::default()
    };
    Arc::new(S3Objects::open(config).unwrap())
}

/// All of them in the overview, as they are opened without a journal.
#[test]
fn overview() {
    let Some(postgres) = Database::postgres() else { return };
    let (folder, lab) = (TempTree::new(), S3Lab::start());
    let probed = |objects: Arc<dyn Objects>| {
        let store = plain(objects);
        block_on(store.probe()).unwrap();
        store.capabilities()
    };
    let stores = [
        ("memory", probed(Arc::new(MemoryObjects::new()))),
        ("directory", probed(Arc::new(DirectoryObjects::open(folder.path()).unwrap()))),
        ("S3 bucket", probed(objects_of(&lab))),
        ("SQLite", Database::sqlite().open().capabilities()),
        ("PostgreSQL", postgres.open().capabilities()),
    ];
    check("stores.md", &stores);
}

#[test]
fn s3() {
    let lab = S3Lab::start();
    let objects = || objects_of(&lab);
    let mut variants = both(objects).to_vec();
    let conditions =
        [Condition::PutIfNoneMatch, Condition::PutIfMatch, Condition::DeleteIfMatch, Condition::Expiry];
    for condition in conditions {
        lab.ignore(condition);
    }
    let store = plain(objects());
    block_on(store.probe()).unwrap();
    variants.push(("on a server that ignores conditions and deadlines", store.capabilities()));
    check("stores/s3.md", &variants);
}

#[test]
fn sqlite() {
    check("stores/sqlite.md", &[("SQLite", Database::sqlite().open().capabilities())]);
}

#[test]
fn postgres() {
    let Some(database) = Database::postgres() else { return };
    check("stores/postgres.md", &[("PostgreSQL", database.open().capabilities())]);
}
