//! A model that has more than the database.

use std::thread;

use repot_core::Target as _;
use repot_model::language::parse;
use repot_model::plan::{Additions, Plan};
use repot_testkit::postgres::postgres;

use crate::fixture::open;

const OLD: &str = "[notes]\nfile = \"notes/{id}.json\"\n[notes.fields]\nid = \"text key\"\n";
const NEW: &str =
    "[tags]\nfile = \"tags/{id}.json\"\n[tags.fields]\nid = \"text key\"\nnote_id = \"-> notes?\"\n";

/// A unit of work has the table that a new one refers to, and asks for what the change of the model has: the server gives the change
/// up, and it begins again when the unit is over.
#[test]
fn a_change_that_is_given_up_for_a_writer_begins_again() {
    let Some(server) = postgres() else { return };
    let url = server.fresh_database();
    let model = |text: &str| {
        let model = parse(text, "repot.toml", &|_: &str| None).unwrap();
        let plan = Plan::compile(&model).unwrap();
        (model, plan)
    };
    let (text, old, new) = (format!("{OLD}{NEW}"), model(OLD), model(&format!("{OLD}{NEW}")));
    let mut target = open(&url);
    target.create(&old.1, OLD).unwrap();
    target.finish(&old.1, 100, &mut |_| {}).unwrap();
    let additions = Additions::between((&old.0, &old.1), (&new.0, &new.1)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let changing = runtime.block_on(async {
        let (writer, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        // the other one is given up, always
        let begin = "set deadlock_timeout = '1h'; begin; lock table notes in row exclusive mode";
        writer.batch_execute(begin).await.unwrap();
        let changing =
            thread::spawn(move || target.extend(&old.1.hash, (&new.1, &text), &additions).map(|()| target));
        let waits = "select 1 from pg_locks where relation = 'notes'::regclass and not granted";
        while writer.query(waits, &[]).await.unwrap().is_empty() {}
        writer
            .batch_execute("select from repot_meta where key = 'plan_hash' for update; commit")
            .await
            .unwrap();
        changing
    });
    changing.join().unwrap().unwrap();
    let references = "select count(*) from pg_constraint where conname = 'fk_tags_note_id'";
    assert_eq!(server.query(&url, references), "1\n");
}
