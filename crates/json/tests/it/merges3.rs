//! Three-way merges: examples with their formatting, and random documents against the rule applied place by place.

use std::collections::BTreeMap;

use proptest::prelude::*;
use repot_json::Limits;
use repot_json::patch::{Lists, Merged, Part, PatchError, Text, append, append_all, merge3};
use serde_json::{Value as Plain, json};

fn name(name: &str) -> Part {
    Part::Name(name.to_owned())
}

/// `rows` by `id`, in each of them `subs` by `n` within `at`, `log` without keys.
fn lists() -> Lists {
    let key = |names: &[&str]| vec![names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()];
    Lists::default()
        .with(vec![name("rows")], key(&["id"]))
        .with(vec![name("rows"), Part::Each, name("subs")], key(&["at", "n"]))
        .with(vec![name("maps"), Part::Entry, name("list")], key(&["id"]))
        .with(vec![name("log")], Vec::new())
}

fn merge(base: &str, ours: &str, theirs: &str) -> Result<String, Vec<String>> {
    match merge3(base.as_bytes(), ours.as_bytes(), theirs.as_bytes(), &lists(), Limits::default()) {
        Ok(Merged::Text(text)) => Ok(String::from_utf8(text).expect("UTF-8")),
        Ok(Merged::Conflicts(places)) => Err(places.iter().map(ToString::to_string).collect()),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn each_sides_changes_are_kept_in_the_formatting_that_is_there() {
    let base = r#"{"id": "a", "title": "one", "rows": [{"id": 1, "x": 1}, {"id": 2, "x": 1}], "old": 1}"#;
    let theirs = "{\n  \"id\": \"a\",\n  \"title\": \"two\",\n  \"rows\": [\n    {\"id\": 1, \"x\": 1.50},\n    {\"id\": 2, \"x\": 1},\n    {\"id\": 3, \"x\": 0}\n  ],\n  \"old\": 1\n}\n";
    let ours = r#"{"id":"a","title":"one","rows":[{"id":0,"x":9},{"id":1,"x":1,"y":true},{"id":2,"x":2},{"id":4,"x":4}],"new":[]}"#;
    let merged = "{\n  \"id\": \"a\",\n  \"title\": \"two\",\n  \"rows\": [\n    {\"id\": 0, \"x\": 9},\n    {\"id\": 1, \"x\": 1.50, \"y\": true},\n    {\"id\": 2, \"x\": 2},\n    {\"id\": 3, \"x\": 0},\n    {\"id\": 4, \"x\": 4}\n  ],\n  \"new\": []\n}\n";
    assert_eq!(merge(base, ours, theirs).as_deref(), Ok(merged));
}

#[test]
fn both_changed_differently_is_a_conflict_at_each_place() {
    let base =
        r#"{"a": 1, "b": {"c": 1}, "list": [1], "rows": [{"id": 1, "x": 1}, {"id": 2, "x": 1}], "k": 1}"#;
    let ours =
        r#"{"a": 2, "b": {"c": 2}, "list": [1, 2], "rows": [{"id": 2, "x": 2}], "k": 7, "n": {"m": 1}}"#;
    let theirs = r#"{"a": 3, "b": {}, "list": [1, 3], "rows": [{"id": 9}, {"id": 1, "x": 1.0}, {"id": 2, "x": 3}], "k": 7.0, "n": {"m": 2}}"#;
    assert_eq!(
        merge(base, ours, theirs),
        Err(["/a", "/b/c", "/list", "/n", "/rows/0", "/rows/1/x"].map(str::to_owned).into())
    );
}

#[test]
fn rows_without_keys_are_kept_where_one_side_only_adds() {
    let log = |text: &str| format!(r#"{{"log": {text}}}"#);
    for (base, ours, theirs, merged) in [
        ("[1]", "[1, 2]", "[1, 3]", Ok("[1, 3, 2]")),
        ("[1]", "[1, 2]", "[5, 1]", Ok("[5, 1, 2]")),
        ("[1]", "[5]", "[1, 2]", Ok("[5, 2]")),
        ("[1, 2]", "[1]", "[1, 2, 3]", Ok("[1, 3]")),
        ("[1]", "[4]", "[5]", Err(vec!["/log".to_owned()])),
        ("[1]", "[4]", "[4]", Ok("[4]")),
        ("[]", "[1]", "[1]", Ok("[1]")),
    ] {
        let expected = merged.map(log);
        assert_eq!(merge(&log(base), &log(ours), &log(theirs)), expected, "{base} {ours} {theirs}");
    }
}

#[test]
fn an_order_that_one_side_changed_is_kept() {
    let rows = |ids: &str| format!(r#"{{"rows": [{ids}]}}"#);
    let (one, two, three) = (r#"{"id": 1}"#, r#"{"id": 2}"#, r#"{"id": 3, "x": 1}"#);
    let base = rows(&[one, two, three].join(", "));
    let turned = rows(&[three, one, two].join(", "));
    let edited = rows(&[one, r#"{"id": 7}"#, two, r#"{"id": 3, "x": 2}"#, r#"{"id": 8}"#].join(", "));
    let expected = rows(&[r#"{"id": 3, "x": 2}"#, one, r#"{"id": 7}"#, two, r#"{"id": 8}"#].join(", "));
    assert_eq!(merge(&base, &turned, &edited), Ok(expected));
    // the other way round the row before the third stays before it
    let back = merge(&base, &edited, &turned).expect("no conflict");
    assert_eq!(ids(&back), [3, 1, 7, 2, 8]);
    let other = rows(&[two, one, three].join(", "));
    assert_eq!(merge(&base, &turned, &other), Err(vec!["/rows".to_owned()]));
    assert_eq!(merge(&base, &turned, &turned), Ok(turned));
}

fn ids(text: &str) -> Vec<u64> {
    let document: Plain = serde_json::from_str(text).expect("JSON");
    document["rows"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| row["id"].as_u64().expect("a number"))
        .collect()
}

#[test]
fn rows_that_cannot_be_told_apart_are_known_by_their_place() {
    let base = r#"{"rows": [{"id": 1}, {"id": 1}]}"#;
    let ours = r#"{"rows": [{"id": 1}, {"id": 1}, {"x": 5}]}"#;
    let theirs = r#"{"rows": [{"id": 4}, {"id": 1}]}"#;
    let merged = r#"{"rows": [{"id": 4}, {"id": 1}, {"x": 5}]}"#;
    assert_eq!(merge(base, ours, theirs).as_deref(), Ok(merged));
    assert_eq!(merge(base, r#"{"rows": [{"id": 2}]}"#, theirs), Err(vec!["/rows".to_owned()]));
}

#[test]
fn what_is_no_json_is_named() {
    for (base, ours, theirs, text) in
        [("{", "{}", "{}", Text::Document), ("{}", "[", "{}", Text::Patch), ("{}", "{}", "", Text::Document)]
    {
        let done = merge3(base.as_bytes(), ours.as_bytes(), theirs.as_bytes(), &lists(), Limits::default());
        assert!(matches!(done, Err(PatchError::NotJson { text: found, .. }) if found == text), "{done:?}");
    }
}

fn scalar() -> impl Strategy<Value = Plain> {
    prop::sample::select(vec![json!(1), json!(2), json!("x"), json!(null), json!([1]), json!({"d": 1})])
}

fn fields(names: &'static [&'static str]) -> impl Strategy<Value = serde_json::Map<String, Plain>> {
    prop::collection::vec((prop::sample::select(names), scalar()), 0..4)
        .prop_map(|entries| entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Rows with distinct keys, in any order; `key` puts the number into a row.
fn rows<S>(row: S, key: fn(&mut Plain, usize)) -> impl Strategy<Value = Plain>
where
    S: Strategy<Value = Plain> + 'static,
{
    let order = Just((0..5_usize).collect::<Vec<_>>()).prop_shuffle();
    (order, prop::collection::vec(row, 0..4)).prop_map(move |(order, rows)| {
        let with = |(mut row, id): (Plain, usize)| {
            key(&mut row, id);
            row
        };
        Plain::Array(rows.into_iter().zip(order).map(with).collect())
    })
}

fn document() -> impl Strategy<Value = Plain> {
    let sub = fields(&["x", "y"]).prop_map(Plain::Object);
    let subs = rows(sub, |row, id| row["at"] = json!({"n": id}));
    let row = (fields(&["x", "y"]), prop::option::of(subs)).prop_map(|(mut row, subs)| {
        row.extend(subs.map(|subs| ("subs".to_owned(), subs)));
        Plain::Object(row)
    });
    let rows = rows(row, |row, id| row["id"] = json!(id));
    (fields(&["a", "b"]), fields(&["c", "d"]), prop::option::weighted(0.9, rows)).prop_map(
        |(mut document, inner, rows)| {
            document.insert("inner".to_owned(), Plain::Object(inner));
            document.extend(rows.map(|rows| ("rows".to_owned(), rows)));
            Plain::Object(document)
        },
    )
}

/// Each place of a document by its name, rows by their key: what stands there, without what stands deeper.
fn places(value: &Plain, at: &str, out: &mut BTreeMap<String, String>) {
    match value {
        Plain::Object(entries) => {
            out.insert(at.to_owned(), "{}".to_owned());
            entries.iter().for_each(|(name, value)| places(value, &format!("{at}/{name}"), out));
        }
        Plain::Array(elements) if at.ends_with("rows") || at.ends_with("subs") => {
            out.insert(at.to_owned(), "[]".to_owned());
            for element in elements {
                let id = element.get("id").unwrap_or(&element["at"]);
                places(element, &format!("{at}/{id}"), out);
            }
        }
        other => drop(out.insert(at.to_owned(), other.to_string())),
    }
}

fn flat(value: &Plain) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    places(value, "", &mut out);
    out
}

fn text(value: &Plain, pretty: bool) -> String {
    if pretty { serde_json::to_string_pretty(value).expect("JSON") } else { value.to_string() }
}

fn plain(text: &str) -> Plain {
    serde_json::from_str(text).expect("JSON")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_one_side_changed_is_kept_in_any_order(
        base in document(), ours in document(), theirs in document(),
        rest in (any::<bool>(), any::<bool>(), 0..3_usize),
    ) {
        // often two of the three agree on most of it, as after small changes
        let (mut ours, mut theirs) = (ours, theirs);
        let (pretty, halves, taken) = rest;
        for (number, part) in ["a", "b", "inner", "rows"].into_iter().enumerate() {
            let side = if (number + taken) % 2 == 0 { &mut ours } else { &mut theirs };
            if halves && let Some(value) = base.get(part) {
                side[part] = value.clone();
            }
        }
        let texts = [text(&base, false), text(&ours, false), text(&theirs, pretty)];
        let one = merge(&texts[0], &texts[1], &texts[2]);
        let two = merge(&texts[0], &texts[2], &texts[1]);
        let [base, ours, theirs] = [&base, &ours, &theirs].map(flat);
        let mut all: Vec<&String> = base.keys().chain(ours.keys()).chain(theirs.keys()).collect();
        all.sort();
        all.dedup();
        match (one, two) {
            (Ok(one), Ok(two)) => {
                let [one, two] = [&one, &two].map(|text| flat(&plain(text)));
                prop_assert_eq!(&one, &two);
                for place in all {
                    let [base, ours, theirs, merged] =
                        [&base, &ours, &theirs, &one].map(|document| document.get(place));
                    let expected = if ours == base { theirs } else { ours };
                    prop_assert!(ours == base || theirs == base || ours == theirs, "{}", place);
                    prop_assert_eq!(merged, expected, "{}", place);
                }
            }
            (Err(one), Err(two)) => {
                prop_assert_eq!(one.len(), two.len());
                let changed = |side: &BTreeMap<_, _>| all.iter().any(|place| side.get(*place) != base.get(*place));
                prop_assert!(texts[1] != texts[2] && (halves || changed(&ours) && changed(&theirs)));
            }
            (one, two) => prop_assert!(false, "{:?} {:?}", one, two),
        }
    }

    #[test]
    fn a_side_that_changed_nothing_adds_nothing(base in document(), side in document(), pretty in any::<bool>()) {
        let [was, now] = [text(&base, false), text(&side, pretty)];
        prop_assert_eq!(merge(&was, &was, &now), Ok(now.clone()));
        prop_assert_eq!(merge(&was, &now, &now), Ok(now.clone()));
        // the whole of it, with its order
        let merged = merge(&text(&base, pretty), &now, &text(&base, pretty)).expect("no conflict");
        prop_assert_eq!(plain(&merged), side);
    }

    #[test]
    fn many_elements_at_once_are_as_one_after_the_other(
        document in document(), elements in prop::collection::vec(scalar(), 0..5), pretty in any::<bool>(),
    ) {
        let list = "/log".parse().expect("a pointer");
        let start = text(&document, pretty).into_bytes();
        let elements: Vec<String> = elements.iter().map(|element| format!(" {element} ")).collect();
        let bytes: Vec<&[u8]> = elements.iter().map(String::as_bytes).collect();
        let all = append_all(&start, &list, &bytes, Limits::default()).expect("appended");
        let one = bytes.iter().fold(start, |text, element| {
            append(&text, &list, element, Limits::default()).expect("appended")
        });
        prop_assert_eq!(String::from_utf8(all), String::from_utf8(one));
    }
}
