//! JSON Pointer: the examples of RFC 6901, what is no pointer, and what a pointer does not find.

use repot_json::patch::{Pointer, PointerFault, resolve};
use repot_json::{Limits, Tree};

fn found(text: &str, pointer: &str) -> Option<String> {
    let tree = Tree::parse(text.as_bytes(), Limits::default()).expect("JSON");
    let root = tree.root(text.as_bytes()).expect("scanned");
    resolve(root, &Pointer::parse(pointer).expect("a pointer")).map(|value| value.raw().to_owned())
}

#[test]
fn the_examples_of_rfc_6901() {
    let text = r#"{"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, "k\"l": 6, " ": 7, "m~n": 8}"#;
    for (pointer, value) in [
        ("", text),
        ("/foo", r#"["bar", "baz"]"#),
        ("/foo/0", "\"bar\""),
        ("/", "0"),
        ("/a~1b", "1"),
        ("/c%d", "2"),
        ("/e^f", "3"),
        ("/g|h", "4"),
        ("/i\\j", "5"),
        ("/k\"l", "6"),
        ("/ ", "7"),
        ("/m~0n", "8"),
    ] {
        assert_eq!(found(text, pointer).as_deref(), Some(value), "{pointer}");
        assert_eq!(Pointer::parse(pointer).expect("a pointer").to_string(), pointer);
    }
}

#[test]
fn escapes_are_undone_once() {
    let parts = |text: &str| Pointer::parse(text).expect("a pointer").parts().to_vec();
    assert_eq!(parts("/~01/~10/~0~1"), ["~1", "/0", "~/"]);
    assert_eq!(parts("//"), ["", ""]);
    assert_eq!(parts(""), [""; 0]);
    assert_eq!(Pointer::from_parts(["~1", "a/b", "-"]).to_string(), "/~01/a~1b/-");
    assert_eq!("/a".parse::<Pointer>().expect("a pointer"), Pointer::from_parts(["a"]));
}

#[test]
fn what_is_no_pointer_is_named() {
    for (text, fault) in [
        ("a", PointerFault::NoSlash),
        (" /a", PointerFault::NoSlash),
        ("#/a", PointerFault::NoSlash),
        ("/~", PointerFault::Tilde),
        ("/a~2", PointerFault::Tilde),
        ("/a~/b", PointerFault::Tilde),
        ("/~~0", PointerFault::Tilde),
    ] {
        let error = Pointer::parse(text).expect_err("no pointer");
        assert_eq!((error.text.as_str(), error.fault), (text, fault));
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[test]
fn elements_are_named_by_plain_numbers() {
    let text = r#"{"a": [10, 11], "0": {"01": 1}, "n": 5, "s": "xy"}"#;
    assert_eq!(found(text, "/a/1").as_deref(), Some("11"));
    assert_eq!(found(text, "/0/01").as_deref(), Some("1"));
    for pointer in [
        "/a/2", "/a/-", "/a/01", "/a/00", "/a/+1", "/a/-1", "/a/1e0", "/a/", "/a/ 1", "/a/1/0", "/n/0",
        "/s/0", "/x",
    ] {
        assert_eq!(found(text, pointer), None, "{pointer}");
    }
    assert_eq!(found(text, "/a/18446744073709551616"), None);
    assert_eq!(found(text, "/a/\u{661}"), None);
}

#[test]
fn the_last_of_equal_keys_counts() {
    assert_eq!(found(r#"{"a": {"b": 1}, "\u0061": {"c": 2}}"#, "/a/c").as_deref(), Some("2"));
    assert_eq!(found(r#"{"a": {"b": 1}, "\u0061": {"c": 2}}"#, "/a/b"), None);
}

#[test]
fn content_tells_every_string_apart() {
    let content = |text: &str| {
        let tree = Tree::parse(text.as_bytes(), Limits::default()).expect("JSON");
        tree.root(text.as_bytes()).expect("scanned").content().map(std::borrow::Cow::into_owned)
    };
    assert_eq!(content(r#""a\u00e9\ud83d\ude00\n\/""#), Some("aé😀\n/".into()));
    assert_eq!(content(r#""\uD83D""#), Some(vec![0xed, 0xa0, 0xbd]));
    assert_eq!(content(r#""\ude00\ud83d""#), Some(vec![0xed, 0xb8, 0x80, 0xed, 0xa0, 0xbd]));
    assert_eq!(content(r#""\ud83dx\ude00""#), Some(vec![0xed, 0xa0, 0xbd, b'x', 0xed, 0xb8, 0x80]));
    assert_eq!(content(r#""\ud83d\ud83d\ude00""#), Some([&[0xed, 0xa0, 0xbd], "😀".as_bytes()].concat()));
    assert_eq!(content("1"), None);
}
