//! What is JSON and what is not, case by case; limits; hostile texts.

use repot_json::{Fault, Kind, Limits, SyntaxError, Tree};

fn scan(text: &[u8]) -> Result<Tree, SyntaxError> {
    Tree::parse(text, Limits::default())
}

fn fault(text: &[u8]) -> Fault {
    match scan(text) {
        Ok(_) => panic!("accepted {}", String::from_utf8_lossy(text)),
        Err(error) => error.fault,
    }
}

fn kinds(text: &str) -> Vec<Kind> {
    scan(text.as_bytes()).expect("JSON").nodes().iter().map(|node| node.kind).collect()
}

/// The characters of a text that is one string.
fn characters(text: &str) -> Option<String> {
    let tree = scan(text.as_bytes()).expect("JSON");
    tree.root(text.as_bytes()).expect("scanned").as_str().map(std::borrow::Cow::into_owned)
}

#[test]
fn json_is_accepted() {
    let texts = [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "\"\"",
        "[]",
        "{}",
        " 1 ",
        "\t[\r\n]\n",
        "{ }",
        "[ ]",
        "10",
        "-12",
        "1.0",
        "0.5",
        "-0.0",
        "1e5",
        "1E5",
        "1e+5",
        "1e-5",
        "1.5E-07",
        "0e0",
        "0e+1",
        "123456789012345678901234567890",
        "1e400",
        "-1e-400",
        "0.00000000000000000000000000000001",
        "[1,2]",
        "[[],[[]]]",
        "[null, 1, \"1\", {}]",
        "[1\n,\n2]",
        "{\"a\":[]}",
        "{\"a\":1,\"a\":1}",
        "{\"a\":1,\"a\":2}",
        "{\"\":0}",
        "{\"a\\u0000b\":0}",
        "{ \"a\" : 1 , \"b\" : 2 }",
        r#""\"\\\/\b\f\n\r\t""#,
        r#""\u0000""#,
        r#""\u012a""#,
        r#""\u012A""#,
        r#""\\u0000""#,
        r#""\ud83d\ude00""#,
        r#""\ud800""#,
        r#""\udc00""#,
        r#""\ud800\ud800\udc00""#,
        r#""\ud800x""#,
        r#""\udbff\udfff""#,
        r#""\ufdd0\uffff""#,
        "\"\u{7f}\"",
        "\"\u{2028}\u{2029}\"",
        "\"\u{10ffff}\"",
        "\"\u{200b}é€𝄞\"",
        "\"\u{feff}\"",
        "\"a/*b*/ // c\"",
        "\u{feff}{}",
        "\u{feff} 1",
    ];
    for text in texts {
        assert!(scan(text.as_bytes()).is_ok(), "{text:?}: {:?}", scan(text.as_bytes()));
    }
}

#[test]
fn numbers_json_does_not_know_are_refused() {
    let texts = [
        "01",
        "-01",
        "00",
        "-",
        "+1",
        ".5",
        "-.5",
        "1.",
        "1.e1",
        "1e",
        "1e+",
        "1E-",
        "0e",
        "0.e1",
        "1.2.3",
        "1e1.5",
        "--1",
        "1-2",
        "1+2",
        "0x1f",
        "1_000",
        "1,000",
        "1 000",
        "NaN",
        "-NaN",
        "Infinity",
        "-Infinity",
        "inf",
        "1a",
        "0.1x",
        "2.e+3",
        "-foo",
        "- 1",
        "\u{ff11}",
        "1\u{0}",
    ];
    for text in texts {
        assert!(scan(text.as_bytes()).is_err(), "{text:?}");
        assert!(scan(format!("[{text}]").as_bytes()).is_err() || text == "1,000", "[{text:?}]");
    }
    assert_eq!(fault(b"01"), Fault::Number);
    assert_eq!(fault(b"[1.]"), Fault::Number);
    assert_eq!(fault(b"-"), Fault::Number);
}

#[test]
fn strings_json_does_not_know_are_refused() {
    for byte in 0..0x20_u8 {
        assert_eq!(fault(&[b'"', b'a', byte, b'"']), Fault::Control, "{byte:#x}");
        let mut long = b"\"0123456789abcdef\"".to_vec();
        long[11] = byte;
        assert_eq!(scan(&long).expect_err("control").offset, 11, "{byte:#x}");
    }
    for text in [
        r#""\x41""#,
        r#""\a""#,
        r#""\'""#,
        r#""\u12""#,
        r#""\u12g4""#,
        r#""\U0041""#,
        r#""\ud83d\u""#,
        r#""\
""#,
        r#""\é""#,
        "\"\\\u{0}\"",
        r#""\u+041""#,
        r#""\u 041""#,
        "\"\\😀\"",
    ] {
        assert_eq!(fault(text.as_bytes()), Fault::Escape, "{text}");
    }
    for text in ["\"", "\"a", "\"\\\"", "\"\\", "[\"a]"] {
        assert_eq!(fault(text.as_bytes()), Fault::Ends, "{text}");
    }
    for text in ["'a'", "a", "\u{201c}a\u{201d}", "\\u0041", "[\\n]", "`a`"] {
        assert_eq!(fault(text.as_bytes()), Fault::Unexpected, "{text}");
    }
}

#[test]
fn bytes_that_are_no_utf8_are_refused() {
    let texts: [&[u8]; 9] = [
        b"\"\xff\"",
        b"\"\xc3\"",
        b"\"\xc0\xaf\"",
        b"\"\xed\xa0\x80\"",
        b"\"\xf4\x90\x80\x80\"",
        b"[\xe5]",
        b"\xe5",
        b"\xff\xfe[\0]\0",
        b"{\"\xb9\":0}",
    ];
    for text in texts {
        assert_eq!(fault(text), Fault::NotUtf8, "{text:?}");
    }
    assert_eq!(scan(b"\"ab\xff\"").expect_err("no UTF-8").offset, 3);
}

/// Why, and texts refused for it.
const NO_STRUCTURES: [(Fault, &[&str]); 3] = [
    (
        Fault::Ends,
        &[
            "",
            " ",
            "\n",
            "\u{feff}",
            "[",
            "{",
            "[1",
            "[1,",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{\"a\":1,",
            "t",
            "nul",
            "[{}",
            "[[]",
        ],
    ),
    (
        Fault::Unexpected,
        &[
            "[,]",
            "[1,]",
            "[,1]",
            "[1,,2]",
            "[1 2]",
            "[1;2]",
            "[1:2]",
            "{,}",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "{\"a\",1}",
            "{a:1}",
            "{1:1}",
            "{'a':1}",
            "{null:1}",
            "{[]:1}",
            "{\"a\"::1}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":1,,\"b\":2}",
            "[1}",
            "{\"a\":1]",
            "]",
            "}",
            ",",
            ":",
            "True",
            "nUll",
            "trux",
            "[tru]",
            "undefined",
            "/**/1",
            "//x",
            "# 1",
            "<a>",
            "*",
            "[*]",
            "\u{a0}1",
            "\u{2060}1",
            "\u{c}1",
            "\u{b}[]",
            "\u{0}",
            "{\"a\":/*x*/1}",
            "\u{feff}\u{feff}1",
            "(1)",
            "[\u{c}]",
            "&",
            "{\"a\":\u{1}1}",
        ],
    ),
    (
        Fault::Trailing,
        &[
            "1 2",
            "{}{}",
            "[]]",
            "{}}",
            "[1]x",
            "nullx",
            "\"a\"b",
            "[] //x",
            "{}/**/",
            "1,",
            "[],",
            "truefalse",
            "{} #",
            "[]\u{0}",
            "\"\"\"\"",
            "0x1",
            "1\u{feff}",
        ],
    ),
];

#[test]
fn structures_json_does_not_know_are_refused() {
    for (expected, texts) in NO_STRUCTURES {
        for text in texts {
            assert_eq!(fault(text.as_bytes()), expected, "{text:?}");
        }
    }
}

#[test]
fn depth_is_limited_and_costs_no_stack() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nest = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
        assert!(scan(nest(5_000).as_bytes()).is_ok());
        let error = scan(nest(5_001).as_bytes()).expect_err("too deep");
        assert_eq!((error.fault, error.offset), (Fault::TooDeep, 5_000 * open.len()));
        assert_eq!(fault(open.repeat(100_000).as_bytes()), Fault::TooDeep);
        let deep = nest(100_000);
        let limits = Limits { depth_max: 100_000, ..Limits::default() };
        let tree = Tree::parse(deep.as_bytes(), limits).expect("allowed depth");
        assert_eq!(tree.nodes()[0].end as usize, deep.len());
        assert_eq!(tree.nodes()[0].next as usize, tree.nodes().len());
    }
    let flat = Limits { depth_max: 0, ..Limits::default() };
    assert!(Tree::parse(b"1", flat).is_ok());
    assert_eq!(Tree::parse(b"[]", flat).expect_err("too deep").fault, Fault::TooDeep);
}

#[test]
fn nodes_are_limited() {
    let limits = Limits { nodes_max: 5, ..Limits::default() };
    assert_eq!(Tree::parse(b"[1,2,3,4]", limits).expect("5 nodes").nodes().len(), 5);
    assert_eq!(Tree::parse(b"[1,2,3,4,5]", limits).expect_err("6 nodes").fault, Fault::TooLarge);
    assert_eq!(Tree::parse(b"{\"a\":1,\"b\":2}", limits).expect("5 nodes").nodes().len(), 5);
    assert_eq!(Tree::parse(b"{\"a\":1,\"b\":[0]}", limits).expect_err("6 nodes").fault, Fault::TooLarge);
}

#[test]
fn a_text_cut_anywhere_is_refused_and_never_panics() {
    let whole = "\u{feff} {\"a\": [1, -2.5e+3, true, false, null, \"x\\u00e9\\n\\ud83d\\ude00é𝄞\"], \"b\\\"\": {\"c\": {}}, \"d\": []}";
    assert!(scan(whole.as_bytes()).is_ok());
    for end in 0..whole.len() {
        let cut = whole.as_bytes().get(..end).expect("within");
        let error = scan(cut).expect_err("cut");
        assert!(error.offset <= end, "{error}");
        assert!(Tree::default().root(cut).is_none());
    }
    for at in 0..whole.len() {
        for byte in [0, b'"', b'\\', b'{', b']', b',', b'0', 0x80, 0xff] {
            let mut broken = whole.as_bytes().to_vec();
            broken[at] = byte;
            if let Ok(tree) = scan(&broken) {
                let root = tree.root(&broken).expect("scanned");
                for index in (0..).take(tree.nodes().len()) {
                    assert!(!root.at(index).raw().is_empty());
                    let _characters = root.at(index).as_str();
                }
            }
        }
    }
}

#[test]
fn strings_of_every_length_end_where_they_end() {
    for length in 0..40 {
        for stop in ["\"", "\\n\"", "é\"", "\\\"\"", "\u{80}!#[]\""] {
            let text = format!("\"{}{stop}", "~".repeat(length));
            let tree = scan(text.as_bytes()).expect("JSON");
            assert_eq!(tree.nodes()[0].end as usize, text.len(), "{text}");
            let array = format!("[{text},1]");
            assert_eq!(kinds(&array), [Kind::Array, Kind::String, Kind::Number], "{array}");
        }
    }
}

#[test]
fn a_failed_scan_leaves_nothing_and_the_tree_is_reusable() {
    let mut tree = Tree::default();
    for _ in 0..2 {
        tree.scan(b"[[1,2],[3", Limits::default()).expect_err("cut");
        assert!(tree.nodes().is_empty());
        tree.scan(b"{\"a\":[1]}", Limits::default()).expect("JSON");
        assert_eq!(tree.nodes().len(), 4);
    }
}

#[test]
fn strings_have_their_characters() {
    assert_eq!(characters(r#""""#).as_deref(), Some(""));
    assert_eq!(characters(r#""plain é""#).as_deref(), Some("plain é"));
    assert_eq!(characters(r#""\"\\\/\b\f\n\r\t""#).as_deref(), Some("\"\\/\u{8}\u{c}\n\r\t"));
    assert_eq!(characters(r#""a\u0000b\u00E9\u20ac""#).as_deref(), Some("a\0bé€"));
    assert_eq!(characters(r#""\ud834\udd1e\uDBFF\uDFFF""#).as_deref(), Some("𝄞\u{10ffff}"));
    assert_eq!(characters(r#""\\u0041é\\""#).as_deref(), Some("\\u0041é\\"));
    for lone in [
        r#""\ud800""#,
        r#""x\udc00y""#,
        r#""\ud800\u0041""#,
        r#""\ud800\ud800\udc00""#,
        r#""\ud800\n""#,
        r#""\udc00\ud800""#,
    ] {
        assert_eq!(characters(lone), None, "{lone}");
    }
    assert_eq!(characters("12"), None);
    assert_eq!(characters("\"\\ud800\\ud83d\\ude00\""), None);
}

#[test]
fn the_last_of_equal_keys_is_found() {
    let text = br#"{"a": 1, "b": {"a": 2}, "\u0061": 3, "\ud800": 4}"#;
    let tree = scan(text).expect("JSON");
    let root = tree.root(text).expect("scanned");
    assert_eq!(root.get("a").expect("there").raw(), "3");
    assert_eq!(root.get("b").and_then(|b| b.get("a")).expect("there").raw(), "2");
    assert!(root.get("c").is_none());
    let raws: Vec<_> = root.entries().map(|(key, value)| (key.raw(), value.raw())).collect();
    assert_eq!(raws, [("\"a\"", "1"), ("\"b\"", "{\"a\": 2}"), ("\"\\u0061\"", "3"), ("\"\\ud800\"", "4")]);
    assert_eq!(root.elements().count(), 0);
    assert_eq!(root.get("a").expect("there").entries().count(), 0);
}
