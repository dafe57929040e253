//! Texts and values that other tools lose: all stay apart, are proved, and come back byte for byte.

use crate::project::{Project, databases};

const MODEL: &str = r#"
[repot]
source = "./data"

[things]
file = "{id}.json"

[things.fields]
id    = "text key"
word  = "text?"
whole = "int?"
real  = "float?"
exact = "decimal?"
flag  = "bool?"
at    = "time?"
day   = "date?"
any   = "json?"
words = "[text]?"
list  = "[int]?"
"#;

/// Documents that differ only in what is easily lost.
fn oddities() -> Vec<(String, Vec<u8>)> {
    let texts: Vec<&[u8]> = vec![
        b"{}",
        b"{ }",
        b"{}\n",
        b"\xef\xbb\xbf{}",
        b"  {}  ",
        br#"{"word":null}"#,
        br#"{"word":""}"#,
        br#"{"any":[]}"#,
        br#"{"any":{}}"#,
        br#"{"any":null}"#,
        br#"{"word":"a","flag":true}"#,
        br#"{"flag":true,"word":"a"}"#,
        br#"{"real":1}"#,
        br#"{"real":1.0}"#,
        br#"{"real":1.10}"#,
        br#"{"real":1E2}"#,
        br#"{"real":-0}"#,
        br#"{"real":-0.0}"#,
        br#"{"real":1e400}"#,
        br#"{"whole":9007199254740993}"#,
        br#"{"whole":9223372036854775807}"#,
        br#"{"whole":9223372036854775808}"#,
        br#"{"whole":18446744073709551617}"#,
        br#"{"whole":-0}"#,
        br#"{"whole":1.0}"#,
        br#"{"whole":1e2}"#,
        br#"{"exact":0.1}"#,
        br#"{"exact":0.10}"#,
        br#"{"exact":1234567890123456789012345678901234567890.5}"#,
        br#"{"exact":1e-30}"#,
        br#"{"word":"\u0000"}"#,
        br#"{"word":"a\u0000b"}"#,
        br#"{"word":"\ud800"}"#,
        br#"{"word":"\ude00\ud83d"}"#,
        br#"{"word":"\ud83d\ude00"}"#,
        "{\"word\":\"😀\"}".as_bytes(),
        br#"{"word":"\/"}"#,
        br#"{"word":"/"}"#,
        br#"{"word":"\u0041"}"#,
        br#"{"word":"A"}"#,
        br#"{"\u0077ord":"A"}"#,
        br#"{"word":"1","word":"2"}"#,
        br#"{"word":"2","word":"1"}"#,
        br#"{"word":"2"}"#,
        br#"{"any":{"a":1,"a":2}}"#,
        br#"{"":1}"#,
        br#"{"at":"2024-01-01T00:00:00"}"#,
        br#"{"at":"2024-01-01T00:00:00Z"}"#,
        br#"{"at":"2024-01-01 00:00:00+00:00"}"#,
        br#"{"at":"2024-01-01T00:00:00.123456789Z"}"#,
        br#"{"at":"9999-12-31T23:59:60Z"}"#,
        br#"{"at":"0000-01-01T00:00:00Z"}"#,
        br#"{"day":"0000-02-29"}"#,
        br#"{"words":["a",null,"b"]}"#,
        br#"{"words":[]}"#,
        br#"{"words":["\u0000"]}"#,
        br#"{"list":[1,null,9223372036854775807]}"#,
        br#"{"any":"\u0000"}"#,
        br#"{"any":1e131072}"#,
        br#"{"any":{"$serde_json::private::RawValue":"{}"}}"#,
        br#"{"any":{"$serde_json::private::Number":"1e5"}}"#,
        br#"{"unknown":[{"deep":[[[1]]]}],"word":"kept"}"#,
        b"{\r\n\t\"word\" :\t\"x\"\r\n}\r\n",
    ];
    texts.iter().enumerate().map(|(at, text)| (format!("{at:03}.json"), text.to_vec())).collect()
}

#[test]
fn oddities_are_moved_proved_and_come_back() {
    for database in databases() {
        let odd = oddities();
        let data: Vec<(&str, &[u8])> =
            odd.iter().map(|(path, text)| (path.as_str(), text.as_slice())).collect();
        let project = Project::with(database, MODEL, &data);
        let result = project.run(&["copy", "--json"]).expect(0).result();
        assert_eq!(result["moved"].as_u64(), Some(odd.len() as u64), "{result}");
        assert_eq!(result["proved"], result["moved"]);
        project.run(&["export", "back"]).expect(0);
        repot_testkit::assert_same_trees(&project.path("data"), &project.path("back"));
        let place = |text: &[u8]| odd.iter().position(|(_, other)| other == text).unwrap();
        let column = |column: &str, text: &[u8]| {
            project.ask(&format!("select {column} from things where id = '{:03}'", place(text)))
        };
        assert_eq!(column("whole", br#"{"whole":9007199254740993}"#), "9007199254740993");
        assert_eq!(column("exact", br#"{"exact":1e-30}"#), "0.000000000000000000000000000001");
        assert_eq!(
            column("word", br#"{"word":"1","word":"2"}"#),
            "2",
            "of two equal keys the last counts, on both databases"
        );
        let null = |text: &[u8], name: &str| column(&format!("count({name})"), text) == "0";
        assert!(null(br#"{"whole":18446744073709551617}"#, "whole") && null(br#"{"real":1e400}"#, "real"));
        assert!(null(br#"{"word":"a\u0000b"}"#, "word") && null(br#"{"word":"\ud800"}"#, "word"));
    }
}

#[test]
fn what_is_no_document_is_set_aside_and_comes_back() {
    let bad: &[(&str, &[u8])] = &[
        ("a.json", b""),
        ("b.json", b" \n"),
        ("c.json", b"null"),
        ("d.json", b"[1]"),
        ("e.json", b"{\"word\":"),
        ("f.json", b"{} {}"),
        ("g.json", b"\xff\xfe{\x00}\x00"),
        ("h.json", b"{\"word\":\"\xe9\"}"),
        ("i.json", b"{\"word\":NaN}"),
        ("j.json", b"{\"word\":1}"),
        ("k.json", b"{\"flag\":\"yes\"}"),
        ("l.json", b"{\"word\":\"\x01\"}"),
        ("m.json", b"{,}"),
        ("n.json", b"{\"whole\":1.5}"),
    ];
    for database in databases() {
        let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
        let mut data = bad.to_vec();
        data.push(("o.json", &deep));
        let project = Project::with(database, MODEL, &data);
        let result = project.run(&["copy", "--json"]).expect(3).result();
        assert_eq!(result["set_aside"].as_u64(), Some(data.len() as u64), "{result}");
        project.run(&["verify"]).expect(3);
        project.run(&["export", "back"]).expect(0);
        repot_testkit::assert_same_trees(&project.path("data"), &project.path("back"));
    }
}

#[test]
fn hostile_names_of_files_and_columns() {
    let model = r#"
[repot]
source = "./data"

[select]
file = "{Key}.json"

["Select2"]
file = "x/{Key}.json"

[select.fields]
Key   = "text key"
order = "text?"
a_name_of_sixty_three_bytes_which_is_the_most_postgresql_takes_ = "text? from 'Größe \"x\"'"

[Select2.fields]
Key   = "text key"
group = "int?"
"#;
    for database in databases() {
        let data: &[(&str, &[u8])] = &[
            (
                "'; drop table \"select\"; --.json",
                br#"{"order": "'; drop table x; --", "Gr\u00f6\u00dfe \"x\"": "%_"}"#,
            ),
            ("café.json", b"{}"),
            ("cafe\u{301}.json", b"{}"),
            ("A.json", b"{}"),
            ("a.json", b"{}"),
            (" .json", b"{}"),
            ("%2e.json", b"{}"),
            ("x/new\nline.json", br#"{"group": 1}"#),
        ];
        let project = Project::with(database, model, data);
        let odd: std::ffi::OsString =
            std::os::unix::ffi::OsStringExt::from_vec(b"data/x/latin-\xe9.json".to_vec());
        std::fs::write(project.folder.join(odd), b"{}").unwrap();
        project.run(&["copy"]).expect(0);
        project.run(&["verify", "--sample", "100%"]).expect(0);
        assert_eq!(project.ask("select count(*) from \"select\""), "7");
        project.run(&["export", "back"]).expect(0);
        repot_testkit::assert_same_trees(&project.path("data"), &project.path("back"));
    }
}
