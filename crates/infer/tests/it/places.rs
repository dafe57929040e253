//! Templates cover every file, and say which part of the path is data.

use repot_model::language::{Format, Place, Step};

use crate::corpora::{Files, collection, found, kind, look, many, templates};

#[test]
fn captures_that_equal_fields_get_their_names() {
    let files = many(
        20,
        |at| format!("u{}/c{at:03}.json", at % 4),
        |at| format!(r#"{{"id": "c{at:03}", "user_id": "u{}", "title": "T"}}"#, at % 4),
    );
    let said = look(&files);
    let [documents] = said.model.collections.as_slice() else { panic!("{:?}", found(&said)) };
    assert_eq!(templates(documents), ["{user_id}/{id}.json"]);
    assert_eq!(kind(&said, &documents.name, "id"), "text key");
    assert_eq!(kind(&said, &documents.name, "user_id"), "text");
}

#[test]
fn a_common_file_keeps_its_name() {
    let mut files = many(
        20,
        |at| format!("u{}/c{at:03}.json", at % 4),
        |at| format!(r#"{{"id": "c{at:03}", "title": "T"}}"#),
    );
    files.0.extend(
        (0..4).map(|at| (format!("u{at}/usage.json"), b"{\"tier\": \"free\", \"used\": 1}".to_vec())),
    );
    let said = look(&files);
    assert_eq!(templates(collection(&said, "usage")), ["{folder}/usage.json"]);
    assert_eq!(kind(&said, "usage", "folder"), "text key");
}

#[test]
fn folders_of_one_shape_are_data_even_with_plain_names() {
    let names = ["alice", "bob"];
    let files = many(
        8,
        |at| format!("{}/{at:08}.json", names[at % 2]),
        |at| format!(r#"{{"title": "T{at}", "text": "x", "created": 1}}"#),
    );
    let said = look(&files);
    assert_eq!(said.model.collections.len(), 1, "{:?}", found(&said));
    assert!(templates(&said.model.collections[0])[0].starts_with('{'));
}

#[test]
fn a_slug_path_is_a_key_of_two() {
    let files = many(
        30,
        |at| format!("movies/{}/film-{at}.json", 2021 + at % 3),
        |at| format!(r#"{{"title": "T{at}", "year": {}}}"#, 2021 + at % 3),
    );
    let said = look(&files);
    assert_eq!(templates(collection(&said, "movies")), ["movies/{year}/{name}.json"]);
    assert_eq!(kind(&said, "movies", "year"), "int key");
    assert_eq!(kind(&said, "movies", "name"), "text key");
}

#[test]
fn bodies_at_any_depth() {
    let files = Files::new([
        ("docs/a.md", "# a"),
        ("docs/guide/b.md", "# b"),
        ("docs/guide/deep/c.mdx", "# c"),
        ("img/x.png", "\0\u{1}"),
        ("LICENSE", "text"),
        ("settings.json", "{\"theme\": 1}"),
    ]);
    let said = look(&files);
    assert_eq!(templates(collection(&said, "docs")), ["docs/{path...}"]);
    assert_eq!(kind(&said, "docs", "content"), "text body");
    let bytes: Vec<_> = said
        .model
        .collections
        .iter()
        .filter(|one| one.field("content").is_some_and(|f| crate::corpora::short(f) == "bytes body"))
        .collect();
    assert_eq!(bytes.len(), 1);
}

#[test]
fn a_file_that_is_a_list_and_one_that_is_a_map() {
    let list: Vec<_> = (0..12).map(|at| format!("{{\"id\": {at}, \"n\": \"x\"}}")).collect();
    let map: Vec<_> =
        (0..12).map(|at| format!("\"user_{}\": {{\"name\": \"N{at}\", \"age\": {at}}}", 1000 + at)).collect();
    let db = format!("{{\"posts\": [{}], \"tags\": [{{\"t\": 1}}]}}", list.join(","));
    let files = Files::new([
        ("films.json", format!("[{}]", list.join(","))),
        ("users.json", format!("{{{}}}", map.join(","))),
        ("db.json", db),
    ]);
    let said = look(&files);
    let steps = |name: &str| match &collection(&said, name).place {
        Place::InFiles { steps, .. } => steps.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(steps("films"), [Step::Each]);
    assert_eq!(steps("users"), [Step::Entry("user_id".into())]);
    assert_eq!(steps("posts"), [Step::Name("posts".into()), Step::Each]);
    assert_eq!(kind(&said, "films", "id"), "int key");
    assert_eq!(kind(&said, "users", "user_id"), "text key");
    assert_eq!(kind(&said, "tags", "id"), "int key auto");
}

#[test]
fn json_lines_by_content_and_by_name() {
    let lines = "{\"custom_id\": \"a\", \"n\": 1}\n{\"custom_id\": \"b\", \"n\": 2}\n";
    let said = look(&Files::new([("one.jsonl", lines), ("two.json", lines)]));
    for (name, format) in [("one", None), ("two", Some(Format::JsonLines))] {
        assert_eq!(collection(&said, name).format, format);
        assert_eq!(kind(&said, name, "order"), "position");
    }
}

#[test]
fn torn_files_are_few_and_stay_or_many_and_are_bodies() {
    let mut files =
        many(20, |at| format!("notes/n{at:03}.json"), |at| format!(r#"{{"id": "n{at:03}", "t": 1}}"#));
    files.0[7].1.truncate(9);
    let said = look(&files);
    assert_eq!(kind(&said, "notes", "t"), "int");
    assert_eq!(said.notices.len(), 1);
    assert!(said.notices[0].contains("notes/n007.json"), "{:?}", said.notices);
    for file in files.0.iter_mut().take(12) {
        file.1.truncate(9);
    }
    assert_eq!(kind(&look(&files), "notes", "content"), "text body");
}

#[test]
fn roots_of_many_kinds_are_json_bodies() {
    let roots = ["[1]", "{\"a\": 1}", "\"text\"", "[[]]", "null", "3"];
    let said = look(&many(30, |at| format!("cases/c{at:03}.json"), |at| roots[at % 6].into()));
    assert_eq!(kind(&said, "cases", "content"), "json body");
    assert_eq!(kind(&said, "cases", "name"), "text key");
}

#[test]
fn odd_paths_are_covered() {
    let said = look(&Files::new([
        ("a//b.json", "{}"),
        ("x{y}/c.json", "{\"a\": 1}"),
        ("plain", "t"),
        (".hidden", "t"),
    ]));
    for path in ["a//b.json", "x{y}/c.json", "plain", ".hidden"] {
        let matched = said.model.collections.iter().any(|one| match &one.place {
            Place::Files(templates) | Place::InFiles { templates, .. } => {
                templates.iter().any(|t| t.matches(path).is_some())
            }
            _ => false,
        });
        assert!(matched, "{path}: {:?}", found(&said));
    }
}

#[test]
fn collections_are_named_by_what_they_hold() {
    let chats = many(
        20,
        |at| format!("u{}/c{at:03}.json", at % 4),
        |at| {
            format!(
                r#"{{"id": "c{at:03}", "user_id": "u{}", "messages": [{{"role": "user", "text": "x"}}]}}"#,
                at % 4
            )
        },
    );
    assert_eq!(
        found(&look(&chats)),
        ["conversations 20 {user_id}/{id}.json", "messages 20 conversations.messages[]"]
    );
    let plain = many(20, |at| format!("n{at:03}.json"), |at| format!(r#"{{"n": {at}, "t": "x"}}"#));
    for (source, name) in
        [("./data", "documents"), ("/srv/recipes/", "recipes"), ("s3://bucket", "documents")]
    {
        let said = repot_infer::infer(&plain, &repot_infer::Options::new(source)).unwrap();
        assert_eq!(found(&said), [format!("{name} 20 {{name}}.json")]);
    }
}

#[test]
fn nothing_gives_an_empty_model() {
    let said = look(&Files(Vec::new()));
    assert!(said.model.collections.is_empty() && said.objects == 0);
    let empty = look(&Files::new([("a.json", ""), ("b.jsonl", ""), ("c.txt", "")]));
    assert_eq!(empty.objects, 3);
    crate::splits::takes_all(
        "empty files",
        &empty.model,
        &Files::new([("a.json", ""), ("b.jsonl", ""), ("c.txt", "")]),
    );
}
