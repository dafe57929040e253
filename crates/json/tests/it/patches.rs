//! JSON Patch: the examples of RFC 6902, what is refused, and what happens to the text around a change.

use repot_json::Limits;
use repot_json::patch::{PatchError, PatchFault, Place, Pointer, Text, apply};

fn patched(document: &str, patch: &str) -> String {
    let out = apply(document.as_bytes(), patch.as_bytes(), Limits::default());
    String::from_utf8(out.unwrap_or_else(|error| panic!("{error}: {document} {patch}"))).expect("UTF-8")
}

fn refused(document: &str, patch: &str) -> PatchError {
    apply(document.as_bytes(), patch.as_bytes(), Limits::default()).expect_err("refused")
}

fn place(operation: usize, pointer: &str) -> Place {
    Place { operation: Some(operation), pointer: Pointer::parse(pointer).expect("a pointer") }
}

fn test(one: &str, other: &str) -> bool {
    let patch = format!(r#"[{{"op":"test","path":"","value":{other}}}]"#);
    match apply(one.as_bytes(), patch.as_bytes(), Limits::default()) {
        Ok(out) => out == one.as_bytes(),
        Err(PatchError::TestFailed(_)) => false,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn the_examples_of_rfc_6902_that_succeed() {
    for (name, document, patch, outcome) in [
        (
            "A.1",
            r#"{"foo":"bar"}"#,
            r#"[{"op":"add","path":"/baz","value":"qux"}]"#,
            r#"{"foo":"bar","baz":"qux"}"#,
        ),
        (
            "A.2",
            r#"{"foo":["bar","baz"]}"#,
            r#"[{"op":"add","path":"/foo/1","value":"qux"}]"#,
            r#"{"foo":["bar","qux","baz"]}"#,
        ),
        ("A.3", r#"{"baz":"qux","foo":"bar"}"#, r#"[{"op":"remove","path":"/baz"}]"#, r#"{"foo":"bar"}"#),
        (
            "A.4",
            r#"{"foo":["bar","qux","baz"]}"#,
            r#"[{"op":"remove","path":"/foo/1"}]"#,
            r#"{"foo":["bar","baz"]}"#,
        ),
        (
            "A.5",
            r#"{"baz":"qux","foo":"bar"}"#,
            r#"[{"op":"replace","path":"/baz","value":"boo"}]"#,
            r#"{"baz":"boo","foo":"bar"}"#,
        ),
        (
            "A.6",
            r#"{"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}}"#,
            r#"[{"op":"move","from":"/foo/waldo","path":"/qux/thud"}]"#,
            r#"{"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}}"#,
        ),
        (
            "A.7",
            r#"{"foo":["all","grass","cows","eat"]}"#,
            r#"[{"op":"move","from":"/foo/1","path":"/foo/3"}]"#,
            r#"{"foo":["all","cows","eat","grass"]}"#,
        ),
        (
            "A.8",
            r#"{"baz":"qux","foo":["a",2,"c"]}"#,
            r#"[{"op":"test","path":"/baz","value":"qux"},{"op":"test","path":"/foo/1","value":2}]"#,
            r#"{"baz":"qux","foo":["a",2,"c"]}"#,
        ),
        (
            "A.10",
            r#"{"foo":"bar"}"#,
            r#"[{"op":"add","path":"/child","value":{"grandchild":{}}}]"#,
            r#"{"foo":"bar","child":{"grandchild":{}}}"#,
        ),
        (
            "A.11",
            r#"{"foo":"bar"}"#,
            r#"[{"op":"add","path":"/baz","value":"qux","xyz":123}]"#,
            r#"{"foo":"bar","baz":"qux"}"#,
        ),
        ("A.14", r#"{"/":9,"~1":10}"#, r#"[{"op":"test","path":"/~01","value":10}]"#, r#"{"/":9,"~1":10}"#),
        (
            "A.16",
            r#"{"foo":["bar"]}"#,
            r#"[{"op":"add","path":"/foo/-","value":["abc","def"]}]"#,
            r#"{"foo":["bar",["abc","def"]]}"#,
        ),
    ] {
        assert_eq!(patched(document, patch), outcome, "{name}");
    }
}

#[test]
fn the_examples_of_rfc_6902_that_fail() {
    assert_eq!(
        refused(r#"{"baz":"qux"}"#, r#"[{"op":"test","path":"/baz","value":"bar"}]"#),
        PatchError::TestFailed(place(0, "/baz")),
        "A.9"
    );
    assert_eq!(
        refused(r#"{"foo":"bar"}"#, r#"[{"op":"add","path":"/baz/bat","value":"qux"}]"#),
        PatchError::NoSuchPlace(place(0, "/baz/bat")),
        "A.12"
    );
    assert_eq!(
        refused(r#"{"foo":"bar"}"#, r#"[{"op":"add","path":"/baz","value":"qux","op":"remove"}]"#),
        PatchError::InvalidPatch { operation: Some(0), fault: PatchFault::Twice("op") },
        "A.13"
    );
    assert_eq!(
        refused(r#"{"/":9,"~1":10}"#, r#"[{"op":"test","path":"/~01","value":"10"}]"#),
        PatchError::TestFailed(place(0, "/~01")),
        "A.15"
    );
}

#[test]
fn places_that_are_none_are_refused() {
    let document = r#"{"a":[1,2],"b":{"c":"x"},"n":null}"#;
    let one = |operation: &str| refused(document, &format!("[{operation}]"));
    type Reason = fn(Place) -> PatchError;
    let none: Reason = PatchError::NoSuchPlace;
    let number: Reason = PatchError::NotANumber;
    let container: Reason = PatchError::NotAContainer;
    for (operation, path, reason) in [
        (r#"{"op":"add","path":"/a/3","value":0}"#, "/a/3", none),
        (r#"{"op":"add","path":"/a/99999999999999999999","value":0}"#, "/a/99999999999999999999", none),
        (r#"{"op":"add","path":"/a/01","value":0}"#, "/a/01", number),
        (r#"{"op":"add","path":"/a/x","value":0}"#, "/a/x", number),
        (r#"{"op":"add","path":"/a/","value":0}"#, "/a/", number),
        (r#"{"op":"add","path":"/n/x","value":0}"#, "/n/x", container),
        (r#"{"op":"add","path":"/b/c/x","value":0}"#, "/b/c/x", container),
        (r#"{"op":"replace","path":"/x","value":0}"#, "/x", none),
        (r#"{"op":"replace","path":"/a/2","value":0}"#, "/a/2", none),
        (r#"{"op":"replace","path":"/a/-","value":0}"#, "/a/-", none),
        (r#"{"op":"replace","path":"/a/x","value":0}"#, "/a/x", number),
        (r#"{"op":"remove","path":"/x"}"#, "/x", none),
        (r#"{"op":"remove","path":"/a/2"}"#, "/a/2", none),
        (r#"{"op":"remove","path":"/a/-"}"#, "/a/-", none),
        (r#"{"op":"remove","path":""}"#, "", PatchError::WholeDocument),
        (r#"{"op":"test","path":"/x","value":null}"#, "/x", none),
        (r#"{"op":"copy","from":"/x","path":"/y"}"#, "/x", none),
        (r#"{"op":"copy","from":"/b","path":"/x/y"}"#, "/x/y", none),
        (r#"{"op":"move","from":"/x","path":"/x"}"#, "/x", none),
        (r#"{"op":"move","from":"/x","path":"/x/y"}"#, "/x", none),
        (r#"{"op":"move","from":"/b","path":"/b/c"}"#, "/b/c", PatchError::IntoItself),
        (r#"{"op":"move","from":"","path":"/b"}"#, "/b", PatchError::IntoItself),
        (r#"{"op":"move","from":"/a/0","path":"/a/2"}"#, "/a/2", none),
        (r#"{"op":"move","from":"/a/0","path":"/a/1/x"}"#, "/a/1/x", none),
        (r#"{"op":"move","from":"/a/0","path":"/a/0/x"}"#, "/a/0/x", PatchError::IntoItself),
    ] {
        assert_eq!(one(operation), reason(place(0, path)), "{operation}");
    }
}

#[test]
fn patches_that_are_none_are_refused_before_anything_is_applied() {
    let fault = |patch: &str| match refused("{}", patch) {
        PatchError::InvalidPatch { operation, fault } => (operation, fault),
        error => panic!("{error}"),
    };
    assert_eq!(fault("{}"), (None, PatchFault::NotAList));
    let second = |operation: &str| {
        // The first one would fail if it were applied.
        let (number, fault) = fault(&format!(r#"[{{"op":"remove","path":"/x"}},{operation}]"#));
        assert_eq!(number, Some(1), "{operation}");
        fault
    };
    assert_eq!(second("[]"), PatchFault::NotAnObject);
    assert_eq!(second("{}"), PatchFault::Missing("op"));
    assert_eq!(second(r#"{"op":"remove"}"#), PatchFault::Missing("path"));
    assert_eq!(second(r#"{"op":"add","path":""}"#), PatchFault::Missing("value"));
    assert_eq!(second(r#"{"op":"replace","path":""}"#), PatchFault::Missing("value"));
    assert_eq!(second(r#"{"op":"test","path":""}"#), PatchFault::Missing("value"));
    assert_eq!(second(r#"{"op":"copy","path":""}"#), PatchFault::Missing("from"));
    assert_eq!(second(r#"{"op":"move","path":""}"#), PatchFault::Missing("from"));
    assert_eq!(second(r#"{"op":1,"path":""}"#), PatchFault::NotAString("op"));
    assert_eq!(second(r#"{"op":"remove","path":null}"#), PatchFault::NotAString("path"));
    assert_eq!(second(r#"{"op":"remove","path":"/\ud800"}"#), PatchFault::LoneSurrogate("path"));
    assert_eq!(second(r#"{"op":"Remove","path":""}"#), PatchFault::UnknownOperation("Remove".to_owned()));
    assert_eq!(second(r#"{"op":"add","path":"","value":1,"v\u0061lue":1}"#), PatchFault::Twice("value"));
}

#[test]
fn what_is_wrong_is_said() {
    let error = refused("{}", r#"[{"op":"remove","path":"x"}]"#);
    assert!(matches!(error, PatchError::InvalidPointer { operation: Some(0), .. }), "{error}");
    assert_eq!(error.to_string(), "operation 0: \"x\" is no JSON Pointer: it must be empty or begin with /");
    let error = refused("{", "[]");
    assert!(matches!(error, PatchError::NotJson { text: Text::Document, .. }), "{error}");
    let error = refused("{}", "[,]");
    assert_eq!(
        error.to_string(),
        "the patch is no JSON within the limits: a character that cannot stand here (byte 1)"
    );
}

#[test]
fn operations_see_what_those_before_them_did() {
    assert_eq!(
        patched(
            r#"{"a":[1]}"#,
            r#"[{"op":"add","path":"/b","value":{}},{"op":"add","path":"/b/c","value":[]},{"op":"add","path":"/b/c/0","value":1.10},
               {"op":"copy","from":"/b/c","path":"/a/-"},{"op":"test","path":"/a","value":[1,[1.1]]},{"op":"remove","path":"/b"}]"#
        ),
        r#"{"a":[1,[1.10]]}"#
    );
    let error = refused("{}", r#"[{"op":"add","path":"/b","value":1},{"op":"test","path":"/b","value":2}]"#);
    assert_eq!(error, PatchError::TestFailed(place(1, "/b")));
    assert_eq!(error.to_string(), "operation 1: what is at /b is not what the test expects");
}

#[test]
fn whole_documents_are_replaced_and_copied() {
    assert_eq!(patched(" 1\n", r#"[{"op":"add","path":"","value":{"a":[]}}]"#), " {\"a\":[]}\n");
    assert_eq!(patched("{\"a\":{\"b\":1}}\n", r#"[{"op":"copy","from":"/a","path":""}]"#), "{\"b\":1}\n");
    assert_eq!(patched("{\"a\":{\"b\":1}}\n", r#"[{"op":"move","from":"/a","path":""}]"#), "{\"b\":1}\n");
    assert_eq!(patched(r#"{"a":1}"#, r#"[{"op":"copy","from":"","path":"/b"}]"#), r#"{"a":1,"b":{"a":1}}"#);
    assert_eq!(patched(r#"{"a":1}"#, r#"[{"op":"move","from":"","path":""}]"#), r#"{"a":1}"#);
}

#[test]
fn moves_count_without_what_they_took() {
    let list = "[\n  0,\n  1,\n  2,\n  3\n]";
    let moved = |from: &str, path: &str| {
        let patch = format!(r#"[{{"op":"move","from":"{from}","path":"{path}"}}]"#);
        patched(list, &patch).replace(['\n', ' ', ','], "")
    };
    assert_eq!(moved("/0", "/3"), "[1230]");
    assert_eq!(moved("/0", "/-"), "[1230]");
    assert_eq!(moved("/3", "/-"), "[0123]");
    assert_eq!(moved("/3", "/0"), "[3012]");
    assert_eq!(moved("/1", "/2"), "[0213]");
    assert_eq!(moved("/2", "/1"), "[0213]");
    assert_eq!(moved("/2", "/2"), "[0123]");
    assert_eq!(patched(list, r#"[{"op":"move","from":"/0","path":"/1"}]"#), "[\n  1,\n  0,\n  2,\n  3\n]");
    assert_eq!(
        patched(r#"[7,{"a":[]},8]"#, r#"[{"op":"move","from":"/2","path":"/1/a/-"}]"#),
        r#"[7,{"a":[8]}]"#
    );
    assert_eq!(
        patched(r#"{"l":[7,{"a":[]}]}"#, r#"[{"op":"move","from":"/l/1/a","path":"/l/1"}]"#),
        r#"{"l":[7,[],{}]}"#
    );
    assert_eq!(patched("{\n  \"a\": 1\n}", r#"[{"op":"move","from":"/a","path":"/b"}]"#), "{\n  \"b\": 1\n}");
    assert_eq!(
        patched(r#"{"a":1,"b":2,"c":3}"#, r#"[{"op":"move","from":"/a","path":"/b"}]"#),
        r#"{"b":1,"c":3}"#
    );
    assert_eq!(
        patched(r#"{"a":{"b":1},"c":3}"#, r#"[{"op":"move","from":"/a/b","path":"/a"}]"#),
        r#"{"a":1,"c":3}"#
    );
}

#[test]
fn of_equal_keys_the_last_is_meant_and_all_are_removed() {
    let document = r#"{"a": 1, "b": 0, "\u0061": [2]}"#;
    assert_eq!(patched(document, r#"[{"op":"remove","path":"/a"}]"#), r#"{"b": 0}"#);
    assert_eq!(
        patched(document, r#"[{"op":"add","path":"/a","value":3}]"#),
        r#"{"a": 1, "b": 0, "\u0061": 3}"#
    );
    assert_eq!(
        patched(document, r#"[{"op":"replace","path":"/a/0","value":3}]"#),
        r#"{"a": 1, "b": 0, "\u0061": [3]}"#
    );
    assert_eq!(patched(document, r#"[{"op":"move","from":"/a","path":"/c"}]"#), r#"{"b": 0, "c": [2]}"#);
    assert_eq!(
        patched(document, r#"[{"op":"move","from":"/a/0","path":"/a"}]"#),
        r#"{"a": 1, "b": 0, "\u0061": 2}"#
    );
}

#[test]
fn tests_compare_by_value() {
    for (one, other) in [
        ("1", "1.0"),
        ("[1]", "[10e-1]"),
        (r#"{"a":1,"b":[{"c":null,"d":true}]}"#, r#"{"b":[{"d":true,"c":null}],"\u0061":1.0}"#),
        (r#""\u00e9\ud83d\ude00\/""#, r#""é😀/""#),
        (r#""\ud800""#, r#""\uD800""#),
        (r#"{"\ud800":1}"#, r#"{"\uD800":1}"#),
        (r#"{"a":1,"a":2}"#, r#"{"a":3,"a":2.0}"#),
        (r#"{"a":1,"a":2,"b":3}"#, r#"{"b":3,"a":2}"#),
        ("[ ]", "[]"),
    ] {
        assert!(test(one, other), "{one} {other}");
        assert!(test(other, one), "{other} {one}");
    }
    for (one, other) in [
        ("9007199254740993", "9007199254740992"),
        ("1", "\"1\""),
        ("null", "false"),
        ("[]", "{}"),
        ("[1,2]", "[2,1]"),
        ("[1,2]", "[1]"),
        ("[[],1]", "[[1]]"),
        (r#"{"a":1}"#, r#"{"a":1,"b":null}"#),
        (r#"{"a":1,"c":1}"#, r#"{"a":1,"b":1}"#),
        (r#""\ud800""#, r#""\ud801""#),
        (r#""\ud83d\ude00""#, r#""\ude00\ud83d""#),
        (r#""\u00e9""#, r#""e\u0301""#),
        (r#"{"a":1,"a":2}"#, r#"{"a":1}"#),
    ] {
        assert!(!test(one, other), "{one} {other}");
        assert!(!test(other, one), "{other} {one}");
    }
}

#[test]
fn the_formatting_of_the_document_stays() {
    let patch = r#"[{"op":"add","path":"/a/1","value":{"x":[1.10,1e400]}},{"op":"remove","path":"/b"},{"op":"replace","path":"/c","value":"é"}]"#;
    for (document, outcome) in [
        (
            "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": 0,\n  \"c\": \"\"\n}\n",
            "{\n  \"a\": [\n    1,\n    {\n      \"x\": [\n        1.10,\n        1e400\n      ]\n    },\n    2\n  ],\n  \"c\": \"é\"\n}\n",
        ),
        (
            "{\r\n    \"a\": [1, 2],\r\n    \"b\": 0,\r\n    \"c\": \"\\u00fc\"\r\n}\r\n",
            "{\r\n    \"a\": [1, {\"x\": [1.10, 1e400]}, 2],\r\n    \"c\": \"\\u00e9\"\r\n}\r\n",
        ),
        ("{\"a\":[1 ,2],\"b\":0,\"c\":0}", "{\"a\":[1 ,{\"x\":[1.10,1e400]} ,2],\"c\":\"é\"}"),
    ] {
        assert_eq!(patched(document, patch), outcome);
    }
    let document = "{ \"a\": [1,\n 2] }";
    assert_eq!(patched(document, r#"[{"op":"replace","path":"/a","value":[1,2]}]"#), document);
    assert_eq!(patched(document, "[]"), document);
}

#[test]
fn depth_costs_no_stack() {
    let limits = Limits { depth_max: usize::MAX, ..Limits::default() };
    let deep = |inner: &str| format!("{}{inner}{}", "[".repeat(100_000), "]".repeat(100_000));
    let patch = format!(
        r#"[{{"op":"test","path":"","value":{}}},{{"op":"add","path":"{}/-","value":3}}]"#,
        deep("1,2.0"),
        "/0".repeat(99_999)
    );
    let out = apply(deep("1, 2").as_bytes(), patch.as_bytes(), limits).expect("applied");
    assert_eq!(String::from_utf8(out).expect("UTF-8"), deep("1, 2, 3"));
}

#[test]
fn outcomes_beyond_the_limits_are_refused() {
    let deeper = format!("[{}]", [r#"{"op":"copy","from":"","path":"/a"}"#; 3].join(","));
    let limits = Limits { depth_max: 4, ..Limits::default() };
    let error = apply(b"{}", deeper.as_bytes(), Limits { depth_max: 3, ..limits }).expect_err("too deep");
    assert!(matches!(error, PatchError::NotJson { text: Text::Outcome, operation: Some(2), .. }), "{error}");
    assert_eq!(apply(b"{}", deeper.as_bytes(), limits).expect("applied"), br#"{"a":{"a":{"a":{}}}}"#);
    // Ten copies of the document into itself make a thousand of one long text.
    let document = format!("[\"{}\"]", "x".repeat(1 << 20));
    let patch = format!("[{}]", [r#"{"op":"copy","from":"","path":"/-"}"#; 10].join(","));
    let error = refused(&document, &patch);
    assert!(matches!(error, PatchError::TooLong { operation: Some(6) }), "{error}");
}
