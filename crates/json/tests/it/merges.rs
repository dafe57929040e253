//! JSON Merge Patch: the examples of RFC 7396, and what happens to the text around a change.

use repot_json::Limits;
use repot_json::patch::{PatchError, Text, merge};

fn merged(document: &str, patch: &str) -> String {
    let out = merge(document.as_bytes(), patch.as_bytes(), Limits::default());
    String::from_utf8(out.unwrap_or_else(|error| panic!("{error}: {document} {patch}"))).expect("UTF-8")
}

#[test]
fn the_examples_of_rfc_7396() {
    for (document, patch, outcome) in [
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
        (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
        (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
        (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
        (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
        (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
        (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
        (r#"{"a":"foo"}"#, "null", "null"),
        (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
        (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
        ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
        ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
    ] {
        assert_eq!(merged(document, patch), outcome, "{document} {patch}");
    }
}

#[test]
fn the_example_of_section_3_of_rfc_7396() {
    let document = "{\n  \"title\": \"Goodbye!\",\n  \"author\" : {\n    \"givenName\" : \"John\",\n    \"familyName\" : \"Doe\"\n  },\n  \"tags\":[ \"example\", \"sample\" ],\n  \"content\": \"This will be unchanged\"\n}\n";
    let patch = r#"{"title": "Hello!", "phoneNumber": "+01-123-456-7890", "author": {"familyName": null}, "tags": [ "example" ]}"#;
    let outcome = "{\n  \"title\": \"Hello!\",\n  \"author\" : {\n    \"givenName\" : \"John\"\n  },\n  \"tags\":[ \"example\" ],\n  \"content\": \"This will be unchanged\",\n  \"phoneNumber\": \"+01-123-456-7890\"\n}\n";
    assert_eq!(merged(document, patch), outcome);
}

#[test]
fn the_formatting_of_the_document_stays() {
    let patch = r#"{"b":{"d":[1,2]},"e":{"f":true},"a":null}"#;
    for (document, outcome) in [
        (
            "{\n  \"a\": 1,\n  \"b\": {\n    \"c\": 1.10\n  }\n}\n",
            "{\n  \"b\": {\n    \"c\": 1.10,\n    \"d\": [\n      1,\n      2\n    ]\n  },\n  \"e\": {\n    \"f\": true\n  }\n}\n",
        ),
        (
            "{\n    \"a\": 1,\n    \"b\": {\n        \"c\": 1.10\n    }\n}",
            "{\n    \"b\": {\n        \"c\": 1.10,\n        \"d\": [\n            1,\n            2\n        ]\n    },\n    \"e\": {\n        \"f\": true\n    }\n}",
        ),
        (
            "{\r\n\t\"a\": 1,\r\n\t\"b\": {\"c\": 1.10}\r\n}\r\n",
            "{\r\n\t\"b\": {\"c\": 1.10, \"d\": [1, 2]},\r\n\t\"e\": {\"f\": true}\r\n}\r\n",
        ),
        (r#"{"a": 1, "b": {"c": 1.10}}"#, r#"{"b": {"c": 1.10, "d": [1, 2]}, "e": {"f": true}}"#),
        (
            "\u{feff}{\"a\":1,\"b\":{\"c\":1.10}}\n\n",
            "\u{feff}{\"b\":{\"c\":1.10,\"d\":[1,2]},\"e\":{\"f\":true}}\n\n",
        ),
        (
            "{ \"a\" : 1 , \"b\" : { \"c\" : 1.10 } }",
            "{ \"b\" : { \"c\" : 1.10 , \"d\" : [1 , 2] } , \"e\" : { \"f\" : true } }",
        ),
    ] {
        assert_eq!(merged(document, patch), outcome);
    }
}

#[test]
fn numbers_and_escapes_arrive_as_they_are_written() {
    assert_eq!(
        merged(r#"{"a":1.1,"b":1.00}"#, r#"{"a":1.10,"c":1e400,"d":[-0.0,123456789012345678901234567890]}"#),
        r#"{"a":1.10,"b":1.00,"c":1e400,"d":[-0.0,123456789012345678901234567890]}"#
    );
    assert_eq!(merged(r#"{"\u00e9":1}"#, r#"{"é":2,"ü":"ö"}"#), r#"{"\u00e9":2,"\u00fc":"\u00f6"}"#);
    assert_eq!(merged(r#"{"é":1}"#, r#"{"\u00e9":2,"\u00fc":3}"#), r#"{"é":2,"\u00fc":3}"#);
}

#[test]
fn what_is_set_to_what_it_is_stays() {
    let document = "{ \"a\": [1,\n  2 ,3], \"b\": \"\\u00e9\\/\", \"c\": {\"d\":1,\n\n\"e\":null} }";
    assert_eq!(merged(document, r#"{"a":[1,2,3],"b":"é/","c":{"d":1}}"#), document);
    assert_eq!(merged(document, "{}"), document);
    assert_eq!(merged(document, r#"{"x":null,"c":{"x":null}}"#), document);
    assert_eq!(merged("[1 ,2]", "[1,2]"), "[1 ,2]");
    assert_eq!(merged("[1 ,2]", "[1,2.0]"), "[1 ,2.0]");
    assert_eq!(merged("[1 ,[2]]", "[1,2]"), "[1 ,2]");
    assert_eq!(merged("[[],1]", "[[1]]"), "[[1]]");
}

#[test]
fn of_equal_keys_the_last_is_set_and_all_are_removed() {
    let document = r#"{"a": 1, "b": 0, "\u0061": {"c": 2, "c": 3}}"#;
    assert_eq!(merged(document, r#"{"a":{"c":4}}"#), r#"{"a": 1, "b": 0, "\u0061": {"c": 2, "c": 4}}"#);
    assert_eq!(merged(document, r#"{"a":{"c":null}}"#), r#"{"a": 1, "b": 0, "\u0061": {}}"#);
    assert_eq!(merged(document, r#"{"a":null}"#), r#"{"b": 0}"#);
    assert_eq!(merged(document, r#"{"a":null,"a":5}"#), r#"{"a": 1, "b": 0, "\u0061": 5}"#);
    assert_eq!(merged("{}", r#"{"a":{"b":1,"c":2,"b":null},"a":{"d":null,"d":3}}"#), r#"{"a":{"d":3}}"#);
}

#[test]
fn keys_with_lone_surrogates_are_told_apart() {
    let document = r#"{"\ud800":1,"\udc00":2}"#;
    assert_eq!(merged(document, r#"{"\uD800":null}"#), r#"{"\udc00":2}"#);
    assert_eq!(merged(document, r#"{"\uDC00":3,"\ud801":4}"#), r#"{"\ud800":1,"\udc00":3,"\ud801":4}"#);
}

#[test]
fn nulls_in_lists_stay() {
    assert_eq!(merged("1", r#"{"a":[null,{"b":null}],"c":null}"#), r#"{"a":[null,{"b":null}]}"#);
}

#[test]
fn texts_that_are_no_json_are_named_with_the_byte() {
    let fails = |document: &str, patch: &str, limits| {
        let error = merge(document.as_bytes(), patch.as_bytes(), limits).expect_err("no JSON");
        let PatchError::NotJson { text, operation: None, error } = error else { panic!("{error}") };
        (text, error.offset)
    };
    assert_eq!(fails("{\"a\":}", "{}", Limits::default()), (Text::Document, 5));
    assert_eq!(fails("{}", "{\"a\" 1}", Limits::default()), (Text::Patch, 5));
    let flat = Limits { depth_max: 2, ..Limits::default() };
    assert_eq!(fails("[[[]]]", "{}", flat).0, Text::Document);
    assert_eq!(fails("{}", "[[[]]]", flat).0, Text::Patch);
    let few = Limits { nodes_max: 4, ..Limits::default() };
    assert_eq!(fails("{\"a\":1}", "{\"b\":2,\"c\":3}", Limits { nodes_max: 5, ..few }).0, Text::Outcome);
}

#[test]
fn depth_costs_no_stack() {
    let limits = Limits { depth_max: usize::MAX, ..Limits::default() };
    let deep = |inner: &str| format!("{}{inner}{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    let out = merge(deep("{\"b\":1}").as_bytes(), deep("{\"c\":2}").as_bytes(), limits).expect("merged");
    assert_eq!(String::from_utf8(out).expect("UTF-8"), deep("{\"b\":1,\"c\":2}"));
    let out = merge(b"1", deep("{\"b\":null}").as_bytes(), limits).expect("merged");
    assert_eq!(String::from_utf8(out).expect("UTF-8"), deep("{}"));
}
