//! Column types are proven by all values.

use crate::corpora::{Files, evidence, kind, look, many};

fn of(values: &[&str]) -> repot_infer::Inferred {
    let files = values.iter().enumerate().map(|(at, value)| {
        (format!("notes/n{at:03}.json"), format!("{{\"id\": \"n{at:03}\", \"v\": {value}, \"w\": 1}}"))
    });
    look(&Files::new(files))
}

#[test]
fn one_kind_of_value_one_type() {
    let uuid = "\"4b9e0c1f-4f3a-4a51-9f7e-0c9b8f1f2a11\"";
    for (values, type_) in [
        (["\"a\"", "\"\"", "\"b\""], "text"),
        (["1", "-7", "9223372036854775807"], "int"),
        (["1", "1.0", "2.5e3"], "float"),
        (["-0", "1", "2"], "float"),
        (["1", "9223372036854775808", "2"], "decimal"),
        (["1", "1e400", "2"], "json"),
        (["true", "false", "true"], "bool"),
        (["\"2024-01-02T03:04:05Z\"", "\"2024-01-02 03:04:05.5\"", "\"2024-01-02T03:04:05+02:00\""], "time"),
        (["\"2024-01-02\"", "\"2024-02-29\"", "\"1999-12-31\""], "date"),
        (["\"2024-01-02\"", "\"2023-02-29\"", "\"1999-12-31\""], "text"),
        ([uuid, uuid, uuid], "uuid"),
        (["\"x\"", "1", "\"y\""], "json"),
        (["null", "1", "2"], "int?"),
        (["null", "null", "null"], "json?"),
        (["[\"a\"]", "[]", "[\"b\", \"c\"]"], "[text]"),
        (["[1]", "[2, 3]", "[]"], "[int]"),
        (["[1]", "[2.5]", "[]"], "[float]"),
        (["[true]", "[]", "[false]"], "[bool]"),
        (["[1, null]", "[2]", "[]"], "json"),
        (["[1, \"a\"]", "[2]", "[]"], "json"),
        (["[[1]]", "[[2]]", "[]"], "json"),
        (["{}", "{}", "{}"], "json"),
        (["\"a\\u0000\"", "\"b\"", "\"c\""], "text?"),
        (["\"\\ud800\"", "\"b\"", "\"c\""], "text?"),
    ] {
        assert_eq!(kind(&of(&values), "notes", "v"), type_, "{values:?}");
    }
}

#[test]
fn evidence_counts_and_names_the_first_counter_example() {
    let said = of(&["\"x\"", "\"longer\"", "3"]);
    assert_eq!(evidence(&said, "notes", "v"), "3 of 3; text 2, int 1; first int in notes/n002.json");
    let said = of(&["\"x\"", "\"longer\"", "\"x\""]);
    assert_eq!(evidence(&said, "notes", "v"), "3 of 3; longest 6; 1 \"longer\", 2 \"x\"");
    assert_eq!(evidence(&said, "notes", "id"), "3 of 3; longest 4; also in the path; all different");
}

#[test]
fn missing_in_one_of_many_is_optional() {
    let files = many(
        30,
        |at| format!("notes/{at}.json"),
        |at| if at == 17 { "{\"id\": 17}".into() } else { format!("{{\"id\": {at}, \"pinned\": true}}") },
    );
    let said = look(&files);
    assert_eq!(kind(&said, "notes", "pinned"), "bool?");
    assert_eq!(evidence(&said, "notes", "pinned"), "in 29 of 30");
    assert_eq!(kind(&said, "notes", "id"), "int key");
}

#[test]
fn few_words_are_a_choice_only_where_the_name_says_so() {
    let files = many(
        30,
        |at| format!("jobs/{at}.json"),
        |at| {
            format!("{{\"id\": {at}, \"status\": \"{0}\", \"colour\": \"{0}\"}}", ["queued", "done"][at % 2])
        },
    );
    let said = look(&files);
    assert_eq!(kind(&said, "jobs", "status"), "done|queued");
    assert_eq!(kind(&said, "jobs", "colour"), "text");
    assert_eq!(evidence(&said, "jobs", "colour"), "30 of 30; longest 6; 15 \"done\", 15 \"queued\"");
}

#[test]
fn names_are_made_fit_and_never_meet() {
    let files = many(
        3,
        |at| format!("notes/n{at:03}.json"),
        |_| r#"{"createdAt": 1, "created_at": 2, "CREATED_AT": 3, "Größe (cm)": 4, "1st": 5, "": 6}"#.into(),
    );
    let said = look(&files);
    for (name, from) in [
        ("created_at", "createdAt"),
        ("created_at_2", "created_at"),
        ("created_at_3", "CREATED_AT"),
        ("gr_e_cm", "Größe (cm)"),
        ("_1st", "1st"),
        ("field", ""),
    ] {
        let field = crate::corpora::field(&said, "notes", name);
        assert_eq!(field.from.as_deref(), Some(&[from.to_owned()][..]), "{name}");
    }
}
