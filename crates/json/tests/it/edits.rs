//! Edits of documents as people and programs format them, seen as texts.

use repot_json::edit::Editor;
use repot_json::{Limits, Tree, Value};

/// Edits `text` and checks that the outcome is JSON.
fn edited(text: &str, edit: impl FnOnce(Value<'_>, &mut Editor<'_>)) -> String {
    let limits = Limits { depth_max: usize::MAX, ..Limits::default() };
    let tree = Tree::parse(text.as_bytes(), limits).expect("JSON");
    let root = tree.root(text.as_bytes()).expect("scanned");
    let mut editor = Editor::new(root);
    edit(root, &mut editor);
    let out = editor.finish();
    Tree::parse(&out, limits).expect("still JSON");
    String::from_utf8(out).expect("UTF-8")
}

fn at(root: Value<'_>, path: &str) -> u32 {
    let value = path.split('.').filter(|step| !step.is_empty()).fold(root, |value, step| {
        let number = step.parse().ok().and_then(|number| value.elements().nth(number));
        number.or_else(|| value.get(step)).expect("a path of the document")
    });
    value.index()
}

fn set(text: &str, path: &str, json: &str) -> String {
    edited(text, |root, editor| editor.replace(at(root, path), json))
}

fn add(text: &str, path: &str, key: &str, json: &str) -> String {
    edited(text, |root, editor| editor.insert_entry(at(root, path), key, json))
}

fn push(text: &str, path: &str, json: &str) -> String {
    edited(text, |root, editor| editor.insert_element(at(root, path), usize::MAX, json))
}

fn remove(text: &str, paths: &[&str]) -> String {
    edited(text, |root, editor| paths.iter().for_each(|path| editor.remove_element(at(root, path))))
}

#[test]
fn nothing_else_changes() {
    let text = "\u{feff}{ \"a\" :1.0,\r\n\t\"b\":  [1,2 , 3],\"c\":\"\\u0041\\/\" }\n\n";
    assert_eq!(edited(text, |_, editor| assert!(editor.is_empty())), text);
    assert_eq!(set(text, "b.1", "7"), text.replace("2 ,", "7 ,"));
    assert_eq!(set(text, "a", "1"), text.replace("1.0", "1"));
    assert_eq!(set(text, "c", "\"x/y\""), text.replace(r#""\u0041\/""#, r#""x\/y""#));
}

#[test]
fn entries_take_the_style_of_their_siblings() {
    assert_eq!(
        add("{\n  \"a\": 1\n}\n", "", "b", "[1,{\"c\":2}]"),
        "{\n  \"a\": 1,\n  \"b\": [\n    1,\n    {\n      \"c\": 2\n    }\n  ]\n}\n"
    );
    assert_eq!(
        add("{\r\n\t\"a\":1\r\n}", "", "b", "{\"c\":2}"),
        "{\r\n\t\"a\":1,\r\n\t\"b\":{\r\n\t\t\"c\":2\r\n\t}\r\n}"
    );
    assert_eq!(add("{\"a\":1}", "", "b", "[1,2]"), "{\"a\":1,\"b\":[1,2]}");
    assert_eq!(add("{\"a\": 1}", "", "b", "[1,2]"), "{\"a\": 1, \"b\": [1, 2]}");
    assert_eq!(add("{ \"a\" : 1 }", "", "b", "{\"c\":2}"), "{ \"a\" : 1, \"b\" : { \"c\" : 2 } }");
    assert_eq!(
        add("{\n\"a\": 1,\n\"b\": 2\n}", "", "c", "[3]"),
        "{\n\"a\": 1,\n\"b\": 2,\n\"c\": [\n3\n]\n}"
    );
    assert_eq!(add("{ \"a\": 1\n, \"b\": 2\n}", "", "c", "3"), "{ \"a\": 1\n, \"b\": 2\n, \"c\": 3\n}");
    assert_eq!(
        add("{\n  \"a\": 1, \n  \"b\": 2\n}", "", "c", "3"),
        "{\n  \"a\": 1, \n  \"b\": 2, \n  \"c\": 3\n}"
    );
}

#[test]
fn the_most_frequent_habit_wins() {
    let mixed = "{\n\t\"a\" :{\n\t  \"b\": 1\n\t},\n\t\"c\": {\n\t  \"d\": 2\n\t},\n\t\"e\": 3\n}";
    assert_eq!(set(mixed, "e", "{\"f\":4}"), mixed.replace("3", "{\n\t  \"f\": 4\n\t}"));
    let spaced = "[[1,2, 3, 4], 5, {}]";
    assert_eq!(add(spaced, "2", "a", "[6,7]"), "[[1,2, 3, 4], 5, {\"a\": [6, 7]}]");
    let lines = "[\n  [1],\n  [2],\n  [\n    3\n  ],\n  {}\n]";
    assert_eq!(add(lines, "3", "a", "[4]"), lines.replace("{}", "{\n    \"a\": [4]\n  }"));
}

#[test]
fn the_first_entry_takes_the_style_of_the_document() {
    assert_eq!(add("{}", "", "a", "[1,{\"b\":2}]"), "{\"a\":[1,{\"b\":2}]}");
    assert_eq!(add("{\n}\n", "", "a", "1"), "{\n  \"a\": 1\n}\n");
    assert_eq!(add("{\n    \"a\": {}\n}", "a", "b", "1"), "{\n    \"a\": {\n        \"b\": 1\n    }\n}");
    assert_eq!(
        add("{\n \"a\": { },\n \"b\": 1\n}", "a", "b", "1"),
        "{\n \"a\": {\n  \"b\": 1\n },\n \"b\": 1\n}"
    );
    assert_eq!(push("{\"a\":[], \"b\":1}", "a", "1"), "{\"a\":[1], \"b\":1}");
    assert_eq!(
        push("[\n  {\"id\": 1, \"tags\": []}\n]", "0.tags", "\"x\""),
        "[\n  {\"id\": 1, \"tags\": [\"x\"]}\n]"
    );
}

#[test]
fn elements_take_the_layout_of_their_neighbours() {
    let lines = "[\n  {\"id\": 1, \"at\": [1, 2]},\n  {\"id\": 2, \"at\": [3, 4]}\n]\n";
    assert_eq!(
        push(lines, "", "{\"id\":3,\"at\":[5,6]}"),
        lines.replace("4]}\n", "4]},\n  {\"id\": 3, \"at\": [5, 6]}\n")
    );
    assert_eq!(push(lines, "", "{\"id\":3}"), lines.replace("4]}\n", "4]},\n  {\"id\": 3}\n"));
    let hugged = "[{\n  \"id\": 1\n}, {\n  \"id\": 2\n}]";
    assert_eq!(
        push(hugged, "", "{\"id\":3,\"b\":[1]}"),
        "[{\n  \"id\": 1\n}, {\n  \"id\": 2\n}, {\n  \"id\": 3,\n  \"b\": [\n    1\n  ]\n}]"
    );
    let short = "{\n  \"tags\": [\"a\", \"b\"],\n  \"rows\": [\n    {\n      \"id\": 1,\n      \"tags\": []\n    }\n  ]\n}";
    assert_eq!(push(short, "rows.0.tags", "\"c\""), short.replace("[]", "[\"c\"]"));
    assert_eq!(
        push(short, "rows", "{\"id\":2,\"tags\":[\"c\",\"d\"]}"),
        short.replace("}\n  ]", "},\n    {\n      \"id\": 2,\n      \"tags\": [\"c\", \"d\"]\n    }\n  ]")
    );
    let wrapped = "[\n  1, 2, 3,\n  4, 5, 6\n]";
    assert_eq!(push(wrapped, "", "7"), "[\n  1, 2, 3,\n  4, 5, 6, 7\n]");
}

#[test]
fn replaced_structures_keep_their_layout() {
    assert_eq!(
        set("{\n  \"a\": [1, 2],\n  \"b\": [\n    1\n  ]\n}", "a", "[3,4,5]"),
        "{\n  \"a\": [3, 4, 5],\n  \"b\": [\n    1\n  ]\n}"
    );
    assert_eq!(
        set("{\n  \"a\": null,\n  \"b\": [\n    1\n  ]\n}", "a", "[3,[]]"),
        "{\n  \"a\": [\n    3,\n    []\n  ],\n  \"b\": [\n    1\n  ]\n}"
    );
    assert_eq!(set("{\n  \"a\": [1, 2]\n}", "a", "null"), "{\n  \"a\": null\n}");
    assert_eq!(set("[\n 1\n]\n", "", "{\"a\":{}}"), "{\n \"a\": {}\n}\n");
    assert_eq!(set(" 1 ", "", "[1, 2]"), " [1,2] ");
}

#[test]
fn removals_take_their_comma() {
    let text = "[\n  1,\n  2,\n  3\n]";
    assert_eq!(remove(text, &["0"]), "[\n  2,\n  3\n]");
    assert_eq!(remove(text, &["1"]), "[\n  1,\n  3\n]");
    assert_eq!(remove(text, &["2"]), "[\n  1,\n  2\n]");
    assert_eq!(remove(text, &["0", "2"]), "[\n  2\n]");
    assert_eq!(remove(text, &["0", "1", "2"]), "[]");
    assert_eq!(remove("{ \"a\": 1 , \"b\": {\"c\": 2} }", &["a"]), "{ \"b\": {\"c\": 2} }");
    assert_eq!(remove("{ \"a\": 1 , \"b\": {\"c\": 2} }", &["a", "b"]), "{}");
    assert_eq!(remove("[1, 2,\n 3, 4]", &["1"]), "[1,\n 3, 4]");
    assert_eq!(remove("[1, 2,\n 3, 4]", &["2"]), "[1, 2,\n 4]");
}

#[test]
fn removals_and_insertions_combine() {
    let all = |text: &str| {
        edited(text, |root, editor| {
            for (number, element) in root.elements().enumerate() {
                editor.remove_element(element.index());
                editor.insert_element(0, number, "\"n\"");
            }
            editor.insert_element(0, usize::MAX, "{\"a\":[]}");
        })
    };
    assert_eq!(all("[1,2]"), "[\"n\",\"n\",{\"a\":[]}]");
    assert_eq!(all("[\n 1\n]"), "[\n \"n\",\n {\n  \"a\": []\n }\n]");
    let last = edited("[1, 2, 3]", |root, editor| {
        editor.remove_element(at(root, "2"));
        editor.insert_element(0, 3, "4");
        editor.insert_element(0, 3, "5");
        editor.insert_element(0, 1, "1.5");
        editor.insert_element(0, 0, "0");
        editor.replace(at(root, "0"), "[]");
    });
    assert_eq!(last, "[0, [], 1.5, 2, 4, 5]");
}

#[test]
fn edits_inside_what_goes_are_dropped() {
    let text = "{\"a\": [1, [2]], \"b\": 1}";
    let out = edited(text, |root, editor| {
        editor.replace(at(root, "a.0"), "9");
        editor.insert_element(at(root, "a.1"), 0, "8");
        editor.remove_element(at(root, "a.1.0"));
        editor.remove_entry(at(root, "a"));
        editor.replace(at(root, "a"), "0");
        editor.replace(at(root, "b"), "2");
        editor.replace(at(root, "b"), "3");
    });
    assert_eq!(out, "{\"b\": 3}");
    let out = edited(text, |root, editor| {
        editor.insert_element(at(root, "a"), 0, "8");
        editor.remove_element(at(root, "a.1"));
        editor.replace(at(root, "a"), "[]");
    });
    assert_eq!(out, "{\"a\": [], \"b\": 1}");
}

#[test]
fn a_key_that_is_there_is_set() {
    assert_eq!(
        add("{\"a\": 1, \"b\": 2, \"\\u0061\": 3}", "", "a", "4"),
        "{\"a\": 1, \"b\": 2, \"\\u0061\": 4}"
    );
    let text = "{\"a\": 1, \"b\": 2}";
    let out = edited(text, |root, editor| {
        editor.insert_entry(0, "a", "3");
        editor.insert_entry(0, "c", "4");
        editor.insert_entry(0, "c", "5");
        editor.remove_entry(at(root, "a"));
    });
    assert_eq!(out, "{\"b\": 2, \"c\": 5, \"a\": 3}".replace("\"c\": 5, \"a\": 3", "\"a\": 3, \"c\": 5"));
}

#[test]
fn strings_and_keys_are_escaped_as_in_the_document() {
    assert_eq!(
        add(r#"{"\u00e9": "\/"}"#, "", "ü/\"", r#"["😀"]"#),
        r#"{"\u00e9": "\/", "\u00fc\/\"": ["\ud83d\ude00"]}"#
    );
    assert_eq!(set(r#"["\u00E9", 1]"#, "1", r#""\u001f ô""#), r#"["\u00E9", "\u001F \u00F4"]"#);
}

#[test]
fn deep_structures_cost_no_stack_and_no_square() {
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let out = set("[\n  1\n]", "0", &deep);
    assert!(out.len() < deep.len() + 100_000);
    let out = edited(&deep, |_, editor| editor.insert_element(99_999, 0, "0"));
    assert_eq!(out.len(), deep.len() + 2);
}

#[test]
fn many_edits_of_one_container_take_linear_time() {
    let text = format!("[{}1]", "1,".repeat(200_000));
    let out = edited(&text, |root, editor| {
        for (number, element) in root.elements().enumerate() {
            editor.insert_element(0, number, "{\"a\":2}");
            editor.remove_element(element.index());
        }
    });
    assert_eq!(out, format!("[{}{{\"a\":2}}]", "{\"a\":2},".repeat(200_000)));
}

#[test]
#[should_panic(expected = "only values are replaced")]
fn a_key_is_no_value() {
    edited("{\"a\": 1}", |_, editor| editor.replace(1, "1"));
}

#[test]
fn keys_can_be_given_in_their_quotes() {
    let quoted = |text: &str, key: &str| edited(text, |_, editor| editor.insert_quoted(0, key, "9"));
    assert_eq!(quoted(r#"{"a":1}"#, r#""\ud800""#), r#"{"a":1,"\ud800":9}"#);
    assert_eq!(quoted(r#"{"\uD800":1,"\ud801":2}"#, r#""\ud800""#), r#"{"\uD800":9,"\ud801":2}"#);
    assert_eq!(quoted(r#"{"a":1}"#, r#""\u0061""#), r#"{"a":9}"#);
}
