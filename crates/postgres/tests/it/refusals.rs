//! Documents that the database refuses are set aside; the others are loaded.

use repot_core::Status;
use repot_model::row::Cell;

use crate::fixture::{EVERYTHING, Fixture, GRANDCHILD, USERS, child, encoded, item, plain, text, user};

#[test]
fn one_of_many_is_refused() {
    let Some(mut fixture) = Fixture::new() else { return };
    fixture.load(vec![item("old", &[vec![user("taken", Some("secret@x"), None)]])]);
    let ids: Vec<String> =
        (0..100).map(|at| if at == 37 { "taken".to_owned() } else { format!("u{at}") }).collect();
    let mut items: Vec<_> =
        ids.iter().map(|id| item(&format!("p{id}"), &[vec![user(id, None, None)]])).collect();
    items.push(item("two", &[vec![user("x", Some("secret@x"), None)], vec![user("y", Some("other"), None)]]));
    items.push(item("long", &[vec![user("z", Some("longer than twenty characters"), None)]]));
    let mut nothing = plain(3, "no key", None);
    nothing.1[0] = Cell::Null;
    items.push(item("null", &[vec![nothing]]));
    let refused = fixture.load(items);
    let shown: Vec<(&str, u32, &str)> =
        refused.iter().map(|refusal| (refusal.0.as_str(), refusal.1, refusal.2)).collect();
    assert_eq!(
        shown,
        [("ptaken", 0, "R0203"), ("two", 0, "R0203"), ("long", 0, "R0306"), ("null", 0, "R0306")]
    );
    for (refusal, part) in refused.iter().zip(["Users (id)", "Users (email)", "Users.email", "everything.C0"])
    {
        assert!(refusal.3.contains(part), "{refusal:?}");
        assert!(!refusal.3.contains("secret") && !refusal.3.contains("longer than"), "{refusal:?}");
    }
    assert_eq!(fixture.sql("select count(*) from \"Users\""), "101\n");
    let mut reader = fixture.reader();
    assert_eq!(reader.object("ptaken").unwrap().unwrap().record.status, Status::SetAside);
    assert_eq!(reader.object("two").unwrap().unwrap().record.status, Status::Moved);
    assert_eq!(reader.set_aside(Some("R0203"), 9).unwrap().len(), 2);
    assert_eq!(fixture.sql("select count(*) from repot_documents where key is null"), "4\n");
}

#[test]
fn references_in_steady_state() {
    let Some(mut fixture) = Fixture::new() else { return };
    fixture.load(vec![item("a", &[vec![user("a", None, None)]])]);
    assert_eq!(fixture.finish(), []);
    // b and c refer to each other, d refers to e which refers to nothing, f is fine
    let items =
        [("b", Some("c")), ("c", Some("b")), ("d", Some("e")), ("e", Some("ghost")), ("f", Some("a"))]
            .map(|(id, friend)| item(id, &[vec![user(id, None, friend)]]));
    let refused = fixture.load(items.to_vec());
    let shown: Vec<(&str, &str)> = refused.iter().map(|refusal| (refusal.0.as_str(), refusal.2)).collect();
    assert_eq!(shown, [("d", "R0305"), ("e", "R0305")]);
    assert!(refused[1].3.contains("Users.friend refers to Users ghost"), "{refused:?}");
    assert_eq!(fixture.sql("select string_agg(id, '' order by id) from \"Users\""), "abcf\n");
    // the lot without a refusal goes the plain way, in any order
    let items =
        [("g", Some("h")), ("h", Some("g"))].map(|(id, friend)| item(id, &[vec![user(id, None, friend)]]));
    assert_eq!(fixture.load(items.to_vec()), []);
}

#[test]
fn a_replaced_document_that_is_refused_keeps_no_rows() {
    let Some(mut fixture) = Fixture::new() else { return };
    fixture.load(vec![
        item("a", &[vec![plain(1, "one", None), child(10, 1, 0, "kept")]]),
        item("u", &[vec![user("u", Some("mine"), None)]]),
        item("v", &[vec![user("v", Some("yours"), None)]]),
    ]);
    assert_eq!(fixture.finish(), []);
    // a new child takes the key of the old one: the root row and the old child are not among the changes
    let mut again = item("a", &[vec![child(10, 1, 1, "twice")]]);
    again.documents[0].collection = "everything".to_owned();
    again.documents[0].key = Some("01010101-0101-0101-0101-010101010101".to_owned());
    again.replaces = true;
    // an update that takes another's unique value
    let mut update = item("u", &[vec![]]);
    update.documents[0].collection = "Users".to_owned();
    update.documents[0].key = Some("u".to_owned());
    update.replaces = true;
    let (table, cells) = user("u", Some("yours"), None);
    update.changes.updates.raw(&encoded(&cells));
    update.changes.updates.end_row(table);
    let refused = fixture.load(vec![again, update]);
    let shown: Vec<(&str, &str)> = refused.iter().map(|refusal| (refusal.0.as_str(), refusal.2)).collect();
    assert_eq!(shown, [("a", "R0203"), ("u", "R0203")]);
    assert_eq!(fixture.scanned(EVERYTHING).len(), 0);
    assert_eq!(fixture.sql("select count(*) from \"select\""), "0\n");
    assert_eq!(fixture.scanned(USERS), [encoded(&user("v", Some("yours"), None).1)]);
}

/// A row that refers to what goes, and goes with it, does not hold its document back; one that stays does.
#[test]
fn a_referring_row_that_goes_as_well() {
    for stays in [false, true] {
        let Some(mut fixture) = Fixture::new() else { return };
        let note = |position| (GRANDCHILD, vec![Cell::Int(10), Cell::Int(position), text("n"), text("u")]);
        fixture.load(vec![
            item("a", &[vec![plain(1, "one", None), child(10, 1, 0, "c"), note(0), note(1)]]),
            item("u", &[vec![user("u", None, None)]]),
        ]);
        assert_eq!(fixture.finish(), []);
        let mut less = item("a", &[vec![]]);
        less.documents[0].collection = "everything".to_owned();
        less.documents[0].key = Some("01010101-0101-0101-0101-010101010101".to_owned());
        less.replaces = true;
        for position in if stays { 0..1 } else { 0..2 } {
            less.changes.deletes.raw(&encoded(&[Cell::Int(10), Cell::Int(position)]));
            less.changes.deletes.end_row(GRANDCHILD);
        }
        let mut gone = item("u", &[]);
        gone.removes = true;
        gone.changes.deletes.raw(&encoded(&[text("u")]));
        gone.changes.deletes.end_row(USERS);
        let refused = fixture.load(vec![less, gone]);
        let shown: Vec<(&str, &str)> =
            refused.iter().map(|refusal| (refusal.0.as_str(), refusal.2)).collect();
        let (expected, rows): (&[_], _) = if stays { (&[("a", "R0305")], 0) } else { (&[], 1) };
        assert_eq!(shown, expected);
        assert_eq!(fixture.scanned(EVERYTHING).len(), rows);
        assert_eq!(fixture.paths(), ["a"]);
        assert_eq!(fixture.sql("select count(*) from \"Users\""), "0\n");
    }
}

#[test]
fn text_too_long_for_the_key_index() {
    let Some(mut fixture) = Fixture::new() else { return };
    // random enough not to be compressed below the limit
    let long: String = (0_u64..4000)
        .map(|at| char::from_u32(0x4e00 + u32::try_from(at * 2_654_435_761 % 20_000).unwrap()).unwrap())
        .collect();
    let refused = fixture.load(vec![
        item("a", &[vec![user(&long, None, None)]]),
        item("b", &[vec![(USERS, vec![text("b"), Cell::Null, Cell::Null, Cell::Null])]]),
    ]);
    assert_eq!(refused.len(), 1);
    assert_eq!((refused[0].0.as_str(), refused[0].2), ("a", "R0306"));
}
