//! One change at one place: `set`, `append`, `remove`.

use repot_json::Limits;
use repot_json::patch::{PatchError, Pointer, Text, append, remove, set};

fn pointer(text: &str) -> Pointer {
    Pointer::parse(text).expect("a pointer")
}

fn text(out: Result<Vec<u8>, PatchError>) -> String {
    String::from_utf8(out.unwrap_or_else(|error| panic!("{error}"))).expect("UTF-8")
}

fn appended(document: &str, list: &str, element: &str) -> Result<Vec<u8>, PatchError> {
    append(document.as_bytes(), &pointer(list), element.as_bytes(), Limits::default())
}

fn changed(document: &str, at: &str, value: &str) -> Result<Vec<u8>, PatchError> {
    set(document.as_bytes(), &pointer(at), value.as_bytes(), Limits::default())
}

fn removed(document: &str, at: &str) -> Result<Vec<u8>, PatchError> {
    remove(document.as_bytes(), &pointer(at), Limits::default())
}

#[test]
fn elements_are_appended() {
    let lines = "{\n  \"posts\": [\n    {\"id\": 1}\n  ],\n  \"n\": 1.0\n}\n";
    assert_eq!(
        text(appended(lines, "/posts", " {\"id\":2}\n")),
        lines.replace("1}\n", "1},\n    {\"id\": 2}\n")
    );
    assert_eq!(text(appended("[]", "", "1e400")), "[1e400]");
    assert_eq!(text(appended("[[1], [2]]", "/0", "null")), "[[1, null], [2]]");
    assert_eq!(text(appended(r#"{"a": [1], "a": [2]}"#, "/a", "3")), r#"{"a": [1], "a": [2, 3]}"#);
    assert_eq!(text(appended("[]\r\n", "", "\u{feff}\"\\ud800\"")), "[\"\\ud800\"]\r\n");
}

#[test]
fn an_absent_list_is_made() {
    assert_eq!(text(appended("{\"b\": 1}", "/a~1b", "[2]")), "{\"b\": 1, \"a/b\": [[2]]}");
    assert_eq!(
        text(appended("{\n    \"b\": {\n        \"c\": 1\n    }\n}", "/b/d", "2")),
        "{\n    \"b\": {\n        \"c\": 1,\n        \"d\": [\n            2\n        ]\n    }\n}"
    );
    assert_eq!(appended("{}", "/a/b", "1"), Err(PatchError::NoSuchPlace(pointer("/a/b").into())));
    assert_eq!(appended("[]", "/0", "1"), Err(PatchError::NoSuchPlace(pointer("/0").into())));
    assert_eq!(appended("[]", "/-", "1"), Err(PatchError::NoSuchPlace(pointer("/-").into())));
    assert_eq!(appended("{\"a\":null}", "/a", "1"), Err(PatchError::NotAList(pointer("/a").into())));
    assert_eq!(appended("{}", "", "1"), Err(PatchError::NotAList(pointer("").into())));
    assert_eq!(appended("{\"a\":1}", "/a/b", "1"), Err(PatchError::NotAContainer(pointer("/a/b").into())));
}

#[test]
fn values_are_set() {
    assert_eq!(text(changed("{\"a\" : 1,\"b\":2}", "/a", "1.0")), "{\"a\" : 1.0,\"b\":2}");
    assert_eq!(text(changed("{\"a\" : 1}", "/b", "{\"c\":2}")), "{\"a\" : 1, \"b\" : {\"c\" : 2}}");
    assert_eq!(text(changed("[1, 2]", "/0", "3")), "[3, 2]");
    assert_eq!(text(changed("[1, 2]", "/2", "3")), "[1, 2, 3]");
    assert_eq!(text(changed("[1, 2]", "/-", "3")), "[1, 2, 3]");
    assert_eq!(text(changed("[1, 2]\n", "", "3")), "3\n");
    assert_eq!(text(changed("{\"a\": [1 ,2]}", "/a", "[1,2]")), "{\"a\": [1 ,2]}");
    assert_eq!(changed("[1]", "/2", "3"), Err(PatchError::NoSuchPlace(pointer("/2").into())));
    assert_eq!(changed("[1]", "/a", "3"), Err(PatchError::NotANumber(pointer("/a").into())));
    let error = changed("[1]", "/0", "01").expect_err("no JSON");
    assert!(matches!(error, PatchError::NotJson { text: Text::Value, operation: None, .. }), "{error}");
    assert!(error.to_string().ends_with("(byte 1)"), "{error}");
}

#[test]
fn values_are_removed() {
    assert_eq!(text(removed("{\n \"a\": 1,\n \"b\": 2\n}", "/a")), "{\n \"b\": 2\n}");
    assert_eq!(text(removed("{\"a\":1,\"b\":2,\"a\":3}", "/a")), "{\"b\":2}");
    assert_eq!(text(removed("[1, [2, 3]]", "/1/0")), "[1, [3]]");
    assert_eq!(removed("{}", "/a"), Err(PatchError::NoSuchPlace(pointer("/a").into())));
    assert_eq!(removed("{}", ""), Err(PatchError::WholeDocument(pointer("").into())));
    assert_eq!(removed("{}", "").expect_err("refused").to_string(), "the whole document cannot be removed");
}

#[test]
fn a_change_beyond_the_limits_is_refused() {
    let limits = Limits { depth_max: 2, ..Limits::default() };
    let error = set(b"[[1]]", &pointer("/0/0"), b"[]", limits).expect_err("too deep");
    assert!(matches!(error, PatchError::NotJson { text: Text::Outcome, .. }), "{error}");
}
