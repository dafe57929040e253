//! What a write becomes by the rules of the model: exact texts.

use repot_json::Limits;
use repot_model::language::parse;
use repot_model::plan::{Place, Plan, Problem, Revised, Revision, Splitter};

/// 2026-02-03T04:05:06.789Z
const NOW_US: i64 = 1_770_091_506_789_000;

const MODEL: &str = r#"
[repot]
source = "./data"

[films]
file = "films/{id}.json"

[films.fields]
id       = "text key"
state    = "draft | out | gone | null = draft"
mood     = "up | down | null"
stars    = "decimal = 0.50"
title    = "text = New \"film\""
seen     = "bool? = false"
day      = "date = today"
made     = "time = now"
changed  = "time = now on write"
by       = "text? from meta.by = nobody"
at       = "time from meta.at = now on write"

[films.transitions.state]
draft = ["out"]
out   = ["gone"]
gone  = []

[films.transitions.mood]
up   = ["down"]
down = []

[parts]
in = "films.parts[]"

[parts.fields]
id      = "int key auto"
film_id = "-> films cascade auto"
order   = "position"
state   = "open | done = open"
touched = "time? = now on write"

[parts.transitions.state]
open = ["done"]
done = []

[names]
in = "films.names{language}"

[names.fields]
film_id  = "-> films cascade auto key"
language = "text key"
state    = "open | done"
note     = "text = none"

[names.transitions.state]
open = ["done"]
done = []
"#;

fn plan() -> Plan {
    Plan::compile(&parse(MODEL, "repot.toml", &|_| None).expect("the model is right"))
        .expect("the model compiles")
}

fn revise(after: &str, before: Option<&str>) -> Result<Revised, Vec<Problem>> {
    let plan = plan();
    let place = Place { root: 0, template: 0, values: &["a"] };
    let (after, before) = (after.as_bytes(), before.map(str::as_bytes));
    let revision = Revision { after, before, now_us: NOW_US };
    Splitter::new(&plan, Limits::default()).revise(&place, "films/a.json", revision)
}

/// The text that is stored.
fn stored(after: &str, before: Option<&str>) -> String {
    let revised = revise(after, before).expect("nothing is wrong");
    revised.text.map_or_else(|| after.to_owned(), |text| String::from_utf8(text).expect("UTF-8"))
}

fn codes(after: &str, before: Option<&str>) -> Vec<String> {
    let problems = revise(after, before).expect_err("something is wrong");
    problems.iter().map(|problem| format!("{} {}", problem.code, problem.pointer)).collect()
}

#[test]
fn a_new_document_in_its_own_formatting() {
    insta::assert_snapshot!(stored("{\n\t\"id\": \"a\",\n\t\"n\": 1e400\n}\n", None), @r#"
    {
    	"id": "a",
    	"n": 1e400,
    	"state": "draft",
    	"stars": 0.50,
    	"title": "New \"film\"",
    	"seen": false,
    	"day": "2026-02-03",
    	"made": "2026-02-03T04:05:06.789Z",
    	"changed": "2026-02-03T04:05:06.789Z",
    	"meta": {
    		"by": "nobody",
    		"at": "2026-02-03T04:05:06.789Z"
    	}
    }
    "#);
}

#[test]
fn what_is_there_stays() {
    let text = r#"{"id":"a","state":null,"stars":1,"title":"","seen":null,"day":"2020-01-01","made":"2020-01-01T00:00Z","changed":"2020-01-01T00:00Z","meta":{"by":null,"at":"2020-01-01 00:00"},"parts":[{"state":"done","touched":null}]}"#;
    assert_eq!(stored(text, None), text);
    // no object where one should hold the value: it is left alone
    let text = text.replace(r#"{"by":null,"at":"2020-01-01 00:00"}"#, "null");
    assert_eq!(stored(&text, None), text);
}

#[test]
fn times_are_spelled_like_those_that_are_there() {
    let spelled = |like: &str| {
        let text = format!(r#"{{"id":"a","made":"{like}"}}"#);
        let stored = stored(&text, None);
        let (_, rest) = stored.split_once(r#""changed":""#).expect("it is filled in");
        rest.split_once('"').map(|(time, _)| time.to_owned()).unwrap_or_default()
    };
    for (like, wanted) in [
        ("2020-01-01T00:00:00Z", "2026-02-03T04:05:06Z"),
        ("2020-01-01T00:00:00.000000", "2026-02-03T04:05:06.789000"),
        ("2020-01-01T00:00:00.1Z", "2026-02-03T04:05:06.7Z"),
        ("2020-01-01 00:00:00.000000000+05:30", "2026-02-03 09:35:06.789000000+05:30"),
        ("2020-01-01T00:00-0100", "2026-02-03T03:05-0100"),
        ("2020-01-01T00:00:00,000z", "2026-02-03T04:05:06,789z"),
    ] {
        assert_eq!(spelled(like), wanted, "{like}");
    }
}

#[test]
fn a_change_sets_its_times_and_nothing_else() {
    let old = r#"{"id":"a","state":"draft","changed":"2020-01-01T00:00:00.5Z","meta":{"at":"2020-01-01T00:00:00"},"parts":[{"state":"open"},{"touched":"2020-01-01","n":1}]}"#;
    let old = &old.replace("\"2020-01-01\",", "\"2020-01-01T00:00Z\",");
    // nothing changes: nothing is set
    assert_eq!(stored(old, Some(old)), *old);
    let new = old.replace("\"n\":1", "\"n\":2");
    let wanted = new
        .replace("2020-01-01T00:00:00.5Z", "2026-02-03T04:05:06.7Z")
        .replace("2020-01-01T00:00:00\"", "2026-02-03T04:05:06\"")
        .replace("2020-01-01T00:00Z", "2026-02-03T04:05Z");
    assert_eq!(stored(&new, Some(old)), wanted);
    // white space alone changes the document and not its rows
    let spaced = old.replace("\"n\":1", "\"n\": 1");
    let wanted = spaced
        .replace("2020-01-01T00:00:00.5Z", "2026-02-03T04:05:06.7Z")
        .replace("2020-01-01T00:00:00\"", "2026-02-03T04:05:06\"");
    assert_eq!(stored(&spaced, Some(old)), wanted);
    // a field that the write sets is its own, one that it leaves out is not
    let new = r#"{"id":"a","state":"draft","changed":"2030-01-01T00:00:00Z","meta":{}}"#;
    let wanted = new.replace("{}}", r#"{"at":"2026-02-03T04:05:06"}}"#);
    assert_eq!(stored(new, Some(old)), wanted);
}

#[test]
fn rows_without_a_key_are_told_apart_by_their_place() {
    let old = r#"{"id":"a","parts":[{"state":"done"},{"state":"open"}],"names":{"de":{"state":"done"},"en":{"state":"open"}}}"#;
    let new = r#"{"id":"a","parts":[{"state":"done"},{"state":"done"},{}],"names":{"en":{"state":"done"},"fr":{"state":"open"},"de":{"state":"done"}}}"#;
    let stored = stored(new, Some(old));
    assert!(stored.contains(r#"{"state":"open","touched":"2026"#), "{stored}");
    assert!(stored.contains(r#""fr":{"state":"open","note":"none"}"#), "{stored}");
    assert!(stored.contains(r#""en":{"state":"done"}"#), "what was there is not filled in: {stored}");
    let back =
        r#"{"id":"a","parts":[{"state":"open"}],"names":{"en":{"state":"open"},"de":{"state":"open"}}}"#;
    assert_eq!(codes(back, Some(old)), ["R0410 /parts/0/state", "R0410 /names/de/state"]);
}

#[test]
fn states_follow_the_machine() {
    let text = |state: &str| format!(r#"{{"id":"a","state":{state}}}"#);
    let passes = |from: &str, to: &str| revise(&text(to), Some(&text(from))).is_ok();
    assert!(passes("\"draft\"", "\"out\"") && passes("\"out\"", "\"gone\""));
    let mood = |mood: &str| format!(r#"{{"id":"a","mood":{mood}}}"#);
    assert!(revise(&mood("\"down\""), Some(&mood("null"))).is_ok(), "no state yet");
    assert_eq!(codes(&mood("null"), Some(&mood("\"down\""))), ["R0410 /mood"]);
    assert!(passes("\"gone\"", "\"gone\""));
    for (from, to) in [("\"draft\"", "\"gone\""), ("\"gone\"", "\"draft\"")] {
        assert_eq!(codes(&text(to), Some(&text(from))), ["R0410 /state"], "{from} -> {to}");
    }
    // a missing field is the default in the row, and that would be the change
    assert_eq!(codes(r#"{"id":"a"}"#, Some(&text("\"out\""))), ["R0410 /state"]);
    let problems = revise(&text("\"draft\""), Some(&text("\"gone\""))).expect_err("not allowed");
    assert_eq!(problems[0].message, "films.state: gone -> draft is no allowed change; gone is final");
    // the state before may be one that does not fit the model
    assert!(revise(&text("\"gone\""), Some("{")).is_ok());
    assert!(revise(&text("\"gone\""), Some(r#"{"id":"a","state":"odd"}"#)).is_ok());
}

#[test]
fn all_problems_come_at_once() {
    let text = "{\"id\": \"a\", \"state\": \"odd\",\n \"stars\": \"many\", \"made\": \"soon\", \"parts\": [{}, {\"state\": 1, \"touched\": 2}],\n \"names\": {\"de\": {}}}";
    assert_eq!(
        codes(text, Some(r#"{"id": "a", "state": "gone"}"#)),
        [
            "R0313 /state",
            "R0310 /stars",
            "R0310 /made",
            "R0310 /parts/1/state",
            "R0310 /parts/1/touched",
            "R0312 /names/de/state"
        ]
    );
    assert_eq!(codes("{", None), ["R0211 "]);
    assert_eq!(codes("[]", None), ["R0316 "]);
    assert_eq!(codes(r#"{"id": "b"}"#, None), ["R0318 /id"]);
    let many = format!(r#"{{"id": "a", "parts": [{}{{}}]}}"#, r#"{"state": 1}, "#.repeat(1_000));
    assert_eq!(codes(&many, None).len(), 101);
}

/// Whatever subset of its fields a new document has: what it has stays as it is written, what it gets is right and in
/// place, and there is nothing left to be filled in.
#[test]
fn each_subset_of_fields_is_filled_in_once() {
    const FIELDS: [(&str, &str); 9] = [
        ("state", "\"\\u006fut\""),
        ("stars", "1.10"),
        ("title", "\"\""),
        ("seen", "null"),
        ("day", "\"2020-01-01\""),
        ("made", "\"2020-01-01 00:00:00\""),
        ("changed", "\"2020-01-01T00:00Z\""),
        ("meta", "{\"x\" :1e5}"),
        ("parts", "[ {} ,{\"state\": \"done\"}]"),
    ];
    for subset in 0..1_u32 << FIELDS.len() {
        let there: Vec<(&str, &str)> = FIELDS
            .into_iter()
            .enumerate()
            .filter(|(at, _)| subset >> at & 1 == 1)
            .map(|(_, field)| field)
            .collect();
        for between in [",", ",\n  "] {
            let entries: Vec<String> =
                there.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
            let text = format!(
                "{{\"id\":\"a\"{}{}}}",
                if entries.is_empty() { "" } else { between },
                entries.join(between)
            );
            let stored = stored(&text, None);
            assert_eq!(self::stored(&stored, None), stored, "nothing is left for {text}");
            let tree = repot_json::Tree::parse(stored.as_bytes(), Limits::default()).expect("JSON");
            let root = tree.root(stored.as_bytes()).expect("a document");
            for (name, value) in &there {
                let found = root.get(name).expect("what was there is there").raw();
                let kept = match *name {
                    // rows and objects that lack something get it
                    "meta" => found.starts_with("{\"x\" :1e5"),
                    "parts" => found.contains("{\"state\": \"done\""),
                    _ => found == *value,
                };
                assert!(kept, "{name} of {text} became {found}");
            }
            for (name, _) in FIELDS.iter().take(8) {
                assert!(root.get(name).is_some(), "{name} of {text} is missing: {stored}");
            }
        }
    }
}
