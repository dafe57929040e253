//! Lists and maps of objects become collections of their own.

use repot_model::language::{Place, Step};

use crate::corpora::{Files, collection, found, kind, look, many};

#[test]
fn lists_inside_lists() {
    let files = many(
        3,
        |at| format!("dramas/d{at:03}/drama.json"),
        |at| {
            format!(
                r#"{{"id": "d{at:03}", "episodes": [{{"id": "e{at}a", "scenes": [{{"n": 1}}, {{"n": 2}}]}}, {{"id": "e{at}b", "scenes": []}}], "tags": ["x"]}}"#
            )
        },
    );
    let said = look(&files);
    assert_eq!(
        found(&said),
        ["dramas 3 dramas/{id}/drama.json", "episodes 6 dramas.episodes[]", "scenes 6 episodes.scenes[]"]
    );
    assert_eq!(kind(&said, "dramas", "tags"), "[text]");
    assert_eq!(kind(&said, "episodes", "id"), "text key");
    assert_eq!(kind(&said, "episodes", "drama_id"), "->dramas auto");
    assert_eq!(kind(&said, "episodes", "order"), "position");
    assert_eq!(kind(&said, "scenes", "id"), "int key auto");
}

#[test]
fn the_same_list_in_several_places_is_one_collection() {
    let asset = |id: &str| format!(r#"{{"id": "{id}", "kind": "image", "url": "u"}}"#);
    let files = many(
        4,
        |at| format!("dramas/d{at:03}.json"),
        |at| {
            format!(
                r#"{{"id": "d{at:03}", "assets": [{}], "characters": [{{"id": "c{at}", "name": "N", "assets": [{}]}}], "props": [{{"id": "p{at}", "assets": []}}]}}"#,
                asset(&format!("a{at}")),
                asset(&format!("b{at}")),
            )
        },
    );
    let said = look(&files);
    let assets = collection(&said, "assets");
    let Place::In(places) = &assets.place else { panic!("{:?}", assets.place) };
    let mut parents: Vec<_> = places.iter().map(|place| place.parent.as_str()).collect();
    parents.sort_unstable();
    assert_eq!(parents, ["characters", "dramas", "props"]);
    assert!(kind(&said, "assets", "entity").contains("characters"));
}

#[test]
fn mixed_lists_keep_every_element() {
    let files = many(
        3,
        |at| format!("n/n{at:03}.json"),
        |_| r#"{"a": 1, "parts": [{"t": 1}, "plain", {"t": 2}]}"#.into(),
    );
    let said = look(&files);
    assert_eq!(kind(&said, "parts", "t"), "int?");
    assert_eq!(kind(&said, "parts", "value"), "json?");
    assert_eq!(crate::corpora::field(&said, "parts", "value").from, Some(Vec::new()));
}

#[test]
fn our_columns_give_way_to_the_documents() {
    let files = many(
        3,
        |at| format!("talks/t{at:03}.json"),
        |at| {
            format!(
                r#"{{"id": "t{at:03}", "turns": [{{"id": 1, "order": 5, "talk_id": "z", "position": 2}}, {{"id": 1, "order": 5, "talk_id": "z", "position": 2}}]}}"#
            )
        },
    );
    let said = look(&files);
    assert_eq!(kind(&said, "turns", "order"), "int");
    assert_eq!(kind(&said, "turns", "list_order"), "position");
    assert_eq!(kind(&said, "turns", "parent_talk_id"), "->talks auto");
    assert_eq!(kind(&said, "turns", "turn_key"), "int key auto");
    assert_eq!(kind(&said, "turns", "talk_id"), "text");
}

#[test]
fn maps_whose_keys_are_data() {
    let files = many(
        4,
        |at| format!("products/p{at:03}.json"),
        |at| {
            format!(
                r#"{{"id": "p{at:03}", "variants": {{"{}": {{"price": 1.5, "stock": 3}}, "{}": {{"price": 2, "stock": 0}}}}}}"#,
                9_690_244_451_u64 + at as u64,
                1_656_367_028_u64 + at as u64
            )
        },
    );
    let said = look(&files);
    let variants = collection(&said, "variants");
    let Place::In(places) = &variants.place else { panic!("{:?}", variants.place) };
    assert_eq!(places[0].steps, [Step::Name("variants".into()), Step::Entry("variant_id".into())]);
    assert_eq!(kind(&said, "variants", "variant_id"), "text key");
    assert_eq!(kind(&said, "variants", "price"), "float");
}

#[test]
fn maps_of_maps() {
    let files = many(
        3,
        |at| format!("stats/s{at:03}.json"),
        |at| {
            format!(
                r#"{{"id": "s{at:03}", "days": {{"2024-01-0{d}": {{"1001": {{"n": 1}}, "1002": {{"n": 2}}}}, "2024-02-0{d}": {{"1003": {{"n": 1}}}}}}}}"#,
                d = at + 1
            )
        },
    );
    let said = look(&files);
    let Place::In(places) = &collection(&said, "days").place else {
        panic!("{:?}", collection(&said, "days").place)
    };
    assert!(
        matches!(places[0].steps.as_slice(), [Step::Name(_), Step::Entry(_), Step::Entry(_)]),
        "{places:?}"
    );
    assert_eq!(kind(&said, "days", "n"), "int");
}

#[test]
fn values_that_are_an_object_or_a_list_of_them() {
    let browsers =
        ["chrome", "edge", "firefox", "oculus", "opera", "safari", "webview", "servo", "ladybird", "kagi"];
    let files = many(
        3,
        |at| format!("features/{}.json", ["grid", "flex", "float"][at]),
        |at| {
            let support: Vec<_> = browsers
                .iter()
                .enumerate()
                .map(|(n, browser)| match n % 3 {
                    0 => format!(r#""{browser}": {{"version_added": "{n}"}}"#),
                    1 => format!(
                        r#""{browser}": [{{"version_added": "{n}"}}, {{"version_added": "1", "notes": "x"}}]"#
                    ),
                    _ => format!(r#""{browser}": {{"version_added": "{n}", "notes": "y"}}"#),
                })
                .collect();
            format!(r#"{{"title": "f{at}", "support": {{{}}}}}"#, support.join(","))
        },
    );
    let said = look(&files);
    let support = collection(&said, "support");
    let Place::In(places) = &support.place else { panic!("{:?}", support.place) };
    let key = || Step::Entry("support_key".into());
    assert_eq!(places[0].steps, [Step::Name("support".into()), key()]);
    assert_eq!(places[1].steps, [Step::Name("support".into()), key(), Step::Each]);
    assert_eq!(kind(&said, "support", "version_added"), "text");
    assert_eq!(kind(&said, "support", "notes"), "text?");
}

#[test]
fn recursion_is_json() {
    let files = many(
        3,
        |at| format!("trees/t{at:03}.json"),
        |_| {
            r#"{"name": "root", "children": [{"name": "a", "children": [{"name": "b", "children": []}]}]}"#
                .into()
        },
    );
    let said = look(&files);
    assert_eq!(kind(&said, "trees", "children"), "json");
    assert_eq!(said.model.collections.len(), 1);
}

#[test]
fn nested_objects_become_columns() {
    let files = many(
        3,
        |at| format!("users/u{at:03}.json"),
        |at| format!(r#"{{"id": "u{at:03}", "address": {{"city": "X", "geo": {{"lat": 1.5}}}}}}"#),
    );
    let said = look(&files);
    let field = crate::corpora::field(&said, "users", "address_geo_lat");
    assert_eq!(field.from, Some(vec!["address".into(), "geo".into(), "lat".into()]));
}

#[test]
fn keys_of_many_documents_do_not_become_columns() {
    let files = Files::new((0..40).map(|at| {
        let keys: Vec<_> = (0..50).map(|n| format!("\"free_key_{}\": {{\"v\": 1}}", at * 50 + n)).collect();
        (format!("docs/x{at:03}.json"), format!("{{\"id\": \"x{at:03}\", \"bag\": {{{}}}}}", keys.join(",")))
    }));
    let said = look(&files);
    assert_eq!(collection(&said, "docs").fields.len(), 1);
    assert_eq!(kind(&said, "bag", "v"), "int");
}
