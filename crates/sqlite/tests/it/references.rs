//! References between documents once the bulk load is over.

use repot_core::{Item, Status, Target as _};
use repot_model::row::Cell;

use crate::kit::{World, bare, encoded};

fn job(world: &World, id: &str, owner: i64) -> Item {
    world.item(
        &format!("jobs/{id}.json"),
        &format!(r#"{{"id":"{id}","title":"T","owner_id":{owner},"steps":[{{"name":"s","notes":[{{"text":"n"}}]}}]}}"#),
    )
}

fn owner(world: &World, id: i64) -> Item {
    world.item(&format!("owners/{id}.json"), &format!(r#"{{"id":{id},"email":"{id}@x"}}"#))
}

#[test]
fn the_order_of_a_batch_does_not_matter() {
    let mut world = World::steady();
    assert_eq!(world.load(vec![job(&world, "a", 1), owner(&world, 1)]), []);
    assert_eq!((world.count("jobs"), world.count("owners")), (1, 1));
}

#[test]
fn a_document_that_refers_to_nothing_is_set_aside() {
    let mut world = World::steady();
    let refused = world.load(vec![job(&world, "a", 1), job(&world, "b", 2), owner(&world, 1)]);
    let told: Vec<_> = refused.iter().map(|one| (one.path.as_str(), one.code, one.reason.as_str())).collect();
    assert_eq!(told, [("jobs/b.json", "R0305", "jobs.owner_id refers to owners 2, which is not there")]);
    assert_eq!((world.count("jobs"), world.count("steps"), world.count("notes")), (1, 1, 1));
    let object = world.reader().object("jobs/b.json").unwrap().unwrap();
    assert_eq!(object.record.status, Status::SetAside);
    assert_eq!(world.reader().find_document("jobs", "b").unwrap(), None);
}

#[test]
fn documents_that_referred_to_a_removed_one_are_set_aside() {
    let mut world = World::steady();
    assert_eq!(
        world.load(vec![
            job(&world, "a", 1),
            job(&world, "b", 1),
            job(&world, "c", 2),
            owner(&world, 1),
            owner(&world, 2)
        ]),
        []
    );
    let mut gone = bare("owners/1.json", "owners");
    gone.removes = true;
    gone.changes.deletes.cell(&Cell::Int(1));
    gone.changes.deletes.end_row(world.table("owners"));
    let refused = world.load(vec![gone]);
    let paths: Vec<_> = refused.iter().map(|one| (one.path.as_str(), one.code)).collect();
    assert_eq!(paths, [("jobs/a.json", "R0305"), ("jobs/b.json", "R0305")]);
    assert_eq!(
        (world.count("jobs"), world.count("steps"), world.count("notes"), world.count("owners")),
        (1, 1, 1, 1)
    );
    // a row that was changed, not removed, is still there to refer to
    let mut changed = owner(&world, 2);
    changed.replaces = true;
    changed.documents[0].rows = 0..0;
    std::mem::swap(&mut changed.rows, &mut changed.changes.updates);
    assert_eq!(world.load(vec![changed]), []);
    assert_eq!(world.count("jobs"), 1);
}

#[test]
fn a_refused_document_takes_those_that_refer_to_it_along() {
    let mut world = World::steady();
    let table = world.table("owners");
    let clash = crate::kit::item_of(
        "owners/9.json",
        "owners",
        "9",
        &[(table, encoded(&[Cell::Int(9), crate::kit::text("1@x"), Cell::Null]))],
    );
    let refused = world.load(vec![job(&world, "a", 9), owner(&world, 1), clash]);
    let codes: Vec<_> = refused.iter().map(|one| (one.path.as_str(), one.code)).collect();
    assert_eq!(codes, [("jobs/a.json", "R0305"), ("owners/9.json", "R0203")]);
    assert_eq!((world.count("jobs"), world.count("steps"), world.count("owners")), (0, 0, 1));
}

#[test]
fn a_row_of_no_document_is_told_and_nothing_is_done() {
    let mut world = World::steady();
    assert_eq!(world.load(vec![owner(&world, 1)]), []);
    world.sql().execute_batch("insert into jobs values ('mine', 'by hand', 1)").unwrap();
    let mut gone = bare("owners/1.json", "owners");
    gone.removes = true;
    gone.changes.deletes.cell(&Cell::Int(1));
    gone.changes.deletes.end_row(table(&world));
    let batch =
        repot_core::Batch { items: vec![gone], dictionaries: Vec::new(), ..repot_core::Batch::default() };
    let error = world.target.load(&world.plan, batch).unwrap_err();
    assert_eq!(error.code(), "R0305");
    assert_eq!(
        error.message(),
        "jobs.owner_id refers to owners 1, which is not there, and the row is of no document"
    );
    assert_eq!((world.count("jobs"), world.count("owners")), (1, 1));
}

fn table(world: &World) -> usize {
    world.table("owners")
}
