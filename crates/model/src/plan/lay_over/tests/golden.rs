//! Cases written out: what changes and what stays.

use super::desk::{Desk, json, plan, text};
use crate::plan::time::parse_time;
use crate::row::Cell;

const COUNCIL: &str = r#"
[conversations]
file = "{user_id}/{id}.json"
[conversations.fields]
id = "uuid key"
user_id = "text"
title = "text = New Conversation"
created_at = "time"
pinned = "bool?"

[messages]
in = "conversations.messages[]"
[messages.fields]
conversation_id = "-> conversations cascade auto"
position = "position"
role = "user | assistant"
content = "text?"
stage1 = "json?"
"#;

const CHAT: &str = r#"{
  "id": "0e3523e4-5435-4060-8000-00000000000f",
  "created_at": "2025-11-22T15:37:38.102",
  "title": "Caf\u00e9",
  "messages": [
    {
      "role": "user",
      "content": "hi",
      "seen": 1
    },
    {
      "role": "assistant",
      "stage1": [
        {
          "model": "a/b",
          "response": "x"
        }
      ]
    }
  ],
  "unknown": 1.0
}"#;

fn chat(edit: impl FnOnce(&mut super::desk::Sheet<'_>)) -> String {
    let plan = plan(COUNCIL);
    let desk = Desk::new(
        &plan,
        "u1/0e3523e4-5435-4060-8000-00000000000f.json",
        &["u1", "0e3523e4-5435-4060-8000-00000000000f"],
    );
    desk.edit(CHAT, edit)
}

#[test]
fn columns_of_a_chat() {
    let at = parse_time("2025-11-22T16:00:00Z").unwrap();
    let out = chat(|sheet| {
        let user = text("u1");
        sheet.set("conversations.title", ("user_id", &user), &text("Caf\u{e9} \"2\""));
        sheet.set("conversations.created_at", ("user_id", &user), &Cell::Time(at));
        sheet.set("conversations.pinned", ("user_id", &user), &Cell::Bool(true));
    });
    let expected = CHAT
        .replace(r#""Caf\u00e9""#, r#""Caf\u00e9 \"2\"""#)
        .replace("2025-11-22T15:37:38.102", "2025-11-22T16:00:00.000")
        .replace("\"unknown\": 1.0", "\"unknown\": 1.0,\n  \"pinned\": true");
    assert_eq!(out, expected);
}

#[test]
fn messages_come_and_go() {
    let out = chat(|sheet| {
        let id = sheet.cell("conversations", "id");
        sheet.delete("messages", ("position", &Cell::Int(0)));
        sheet.insert(
            "messages",
            &[
                ("conversation_id", id),
                ("role", text("user")),
                ("position", Cell::Int(7)),
                ("content", text("more")),
                ("stage1", json("[1,{\"a\":2}]")),
            ],
        );
    });
    let expected = CHAT
        .replace("    {\n      \"role\": \"user\",\n      \"content\": \"hi\",\n      \"seen\": 1\n    },\n", "")
        .replace(
            "      ]\n    }\n  ]",
            "      ]\n    },\n    {\n      \"role\": \"user\",\n      \"content\": \"more\",\n      \"stage1\": [\n        1,\n        {\n          \"a\": 2\n        }\n      ]\n    }\n  ]",
        );
    assert_eq!(out, expected);
}

#[test]
fn a_list_that_moved_up_keeps_unknown_fields_with_their_rows() {
    let out = chat(|sheet| {
        let id = sheet.cell("conversations", "id");
        sheet.set("messages.position", ("position", &Cell::Int(1)), &Cell::Int(5));
        sheet.set("messages.position", ("position", &Cell::Int(0)), &Cell::Int(1));
        sheet.set("messages.position", ("position", &Cell::Int(5)), &Cell::Int(0));
        assert_ne!(id, Cell::Null);
    });
    let first = out.find("assistant").unwrap();
    let second =
        out.find("\"content\": \"hi\",\n      \"seen\": 1\n    }\n  ],").expect("moved whole, to the end");
    assert!(first < second);
    assert_eq!(out.len(), CHAT.len());
}

#[test]
fn columns_beside_the_document_are_noted() {
    let plan = plan(COUNCIL);
    let desk = Desk::new(&plan, "u1/x.json", &["u1", "0e3523e4-5435-4060-8000-00000000000f"]);
    let laid = desk.attempt(CHAT, |sheet| {
        sheet.set("conversations.user_id", ("user_id", &text("u1")), &text("u2"));
        sheet.set("messages.stage1", ("position", &Cell::Int(1)), &json("{broken"));
        sheet.set("messages.role", ("position", &Cell::Int(0)), &text("robot"));
    });
    assert_eq!(String::from_utf8(laid.bytes).unwrap(), CHAT);
    assert_eq!(laid.notes.len(), 3, "{:?}", laid.notes);
    assert!(
        laid.notes.iter().any(|note| note.contains("user_id is decided by the file's path")),
        "{:?}",
        laid.notes
    );
}

#[test]
fn a_deleted_document_says_so() {
    let plan = plan(COUNCIL);
    let desk = Desk::new(&plan, "u1/x.json", &["u1", "0e3523e4-5435-4060-8000-00000000000f"]);
    let laid = desk.attempt(CHAT, |sheet| sheet.rows.clear());
    assert!(laid.deleted);
    assert_eq!(laid.bytes, CHAT.as_bytes());
}

const SHOP: &str = r#"
[shops]
file = "{id}.json"
[shops.fields]
id = "text key"
city = "text? from address.city"
zip = "text? from address.zip"
rate = "float?"
price = "decimal?"
owner = "uuid?"
at = "time?"
tags = "[text]?"
marks = "[float]?"

[items]
in = ["shops.items[]", "shops.special{code}"]
[items.fields]
shop_id = "-> shops cascade auto"
id = "text key"
code = "text?"
position = "position"
name = "text?"

[prices]
in = "items.prices{currency}"
[prices.fields]
item_id = "-> items cascade auto"
currency = "text"
amount = "int from ."

[words]
in = "shops.words{lang}[]"
[words.fields]
shop_id = "-> shops cascade auto"
lang = "text"
position = "position"
word = "text? from ."
"#;

fn shop(document: &str, edit: impl FnOnce(&mut super::desk::Sheet<'_>)) -> String {
    let plan = plan(SHOP);
    Desk::new(&plan, "s.json", &["s"]).edit(document, edit)
}

fn id() -> (&'static str, Cell<'static>) {
    ("id", text("s"))
}

#[test]
fn values_keep_their_spelling() {
    let document = "{\r\n\t\"id\": \"s\",\r\n\t\"rate\": 2,\r\n\t\"price\": 1.10,\r\n\t\"owner\": \"0E3523E4-5435-4060-8000-00000000000F\",\r\n\t\"at\": \"2024-03-01 10:20:30+02:00\",\r\n\t\"marks\": [1, 2]\r\n}\r\n";
    let out = shop(document, |sheet| {
        let by = id();
        let by = (by.0, &by.1);
        sheet.set("shops.rate", by, &Cell::Float(3.0));
        sheet.set("shops.price", by, &Cell::Decimal("2".into()));
        sheet.set("shops.owner", by, &Cell::Uuid([0xab; 16]));
        sheet.set("shops.at", by, &Cell::Time(parse_time("2024-03-01T10:20:30Z").unwrap()));
        let mut payload = Vec::new();
        Cell::Float(5.0).encode(&mut payload);
        sheet.set("shops.marks", by, &Cell::List(payload.into()));
        sheet.set("shops.city", by, &text("K\u{f6}ln"));
        sheet.set("shops.zip", by, &text("5"));
    });
    let expected = "{\r\n\t\"id\": \"s\",\r\n\t\"rate\": 3,\r\n\t\"price\": 2.00,\r\n\t\"owner\": \"ABABABAB-ABAB-ABAB-ABAB-ABABABABABAB\",\r\n\t\"at\": \"2024-03-01 12:20:30+02:00\",\r\n\t\"marks\": [5],\r\n\t\"address\": {\r\n\t\t\"city\": \"K\u{f6}ln\",\r\n\t\t\"zip\": \"5\"\r\n\t}\r\n}\r\n";
    assert_eq!(out, expected);
}

#[test]
fn nulls_and_what_is_missing() {
    let out = shop(r#"{"id":"s","address":null,"rate":1e400,"tags":["a"]}"#, |sheet| {
        let by = id();
        sheet.set("shops.tags", (by.0, &by.1), &Cell::Null);
        sheet.set("shops.city", (by.0, &by.1), &text("x"));
    });
    assert_eq!(out, r#"{"id":"s","address":{"city":"x"},"rate":1e400,"tags":null}"#);
}

#[test]
fn lists_in_hand_made_style() {
    let document = "{\n    \"id\": \"s\",\n    \"items\": [\n        { \"id\": \"a\", \"name\": \"A\", \"x\": [1,2] },\n        null,\n        { \"id\": \"b\",  \"name\": \"B\" },\n        { \"id\": \"c\", \"name\": \"C\" }\n    ]\n}\n";
    let out = shop(document, |sheet| {
        sheet.set("items.position", ("id", &text("a")), &Cell::Int(9));
        sheet.set("items.name", ("id", &text("a")), &text("AA"));
        sheet.insert(
            "items",
            &[("shop_id", text("s")), ("id", text("d")), ("position", Cell::Int(2)), ("name", text("D"))],
        );
        sheet
            .insert("prices", &[("item_id", text("c")), ("currency", text("EUR")), ("amount", Cell::Int(4))]);
    });
    let expected = "{\n    \"id\": \"s\",\n    \"items\": [\n        null,\n        { \"id\": \"b\",  \"name\": \"B\" },\n        { \"id\": \"d\", \"name\": \"D\" },\n        { \"id\": \"c\", \"name\": \"C\", \"prices\": { \"EUR\": 4 } },\n        { \"id\": \"a\", \"name\": \"AA\", \"x\": [1, 2] }\n    ]\n}\n";
    assert_eq!(out, expected);
}

#[test]
fn maps_and_moves_between_places() {
    let document = r#"{"id":"s","items":[{"id":"a","u":1,"prices":{"EUR":1,"USD":2,"EUR":3}}],"special":{"k":{"id":"b","v":[ 1]}},"words":{"en":["x","y"],"de":[]}}"#;
    let out = shop(document, |sheet| {
        sheet.delete("prices", ("currency", &text("EUR")));
        sheet.set("items.code", ("id", &text("b")), &text("q"));
        sheet.set("words.lang", ("word", &text("x")), &text("fr"));
        sheet.set("words.lang", ("word", &text("y")), &text("de"));
        sheet.set("prices.item_id", ("currency", &text("USD")), &text("b"));
    });
    let expected = r#"{"id":"s","items":[{"id":"a","u":1,"prices":{}}],"special":{"q":{"id":"b","v":[1],"prices":{"USD":2}}},"words":{"en":[],"de":["y"],"fr":["x"]}}"#;
    assert_eq!(out, expected);
}

#[test]
fn rows_without_a_place_are_noted() {
    let plan = plan(SHOP);
    let laid = Desk::new(&plan, "s.json", &["s"]).attempt(r#"{"id":"s","words":"none"}"#, |sheet| {
        sheet.insert("items", &[("shop_id", text("other")), ("id", text("d")), ("position", Cell::Int(2))]);
        sheet.insert("words", &[("shop_id", text("s")), ("lang", text("de")), ("position", Cell::Int(0))]);
    });
    assert_eq!(laid.bytes, br#"{"id":"s","words":"none"}"#);
    assert_eq!(laid.notes.len(), 2, "{:?}", laid.notes);
}

#[test]
fn bodies_are_the_column() {
    let model = |body: &str, ending: &str| {
        format!(
            "[notes]\nfile = \"{{id}}.{ending}\"\n[notes.fields]\nid = \"text key\"\ncontent = \"{body}\"\n"
        )
    };
    let text_plan = plan(&model("body", "md"));
    let desk = Desk::new(&text_plan, "a.md", &["a"]);
    assert_eq!(
        desk.edit("# old\n", |sheet| sheet.set("notes.content", ("id", &text("a")), &text("new"))),
        "new"
    );
    let json_plan = plan(&model("json body", "json"));
    let desk = Desk::new(&json_plan, "a.json", &["a"]);
    let out = desk.edit("{\n    \"a\": 1\n}\n", |sheet| {
        sheet.set("notes.content", ("id", &text("a")), &json(r#"{"a":[2]}"#));
    });
    assert_eq!(out, "{\n    \"a\": [\n        2\n    ]\n}\n");
    assert_eq!(
        desk.edit("{ \"a\" : 1 }", |sheet| sheet.set(
            "notes.content",
            ("id", &text("a")),
            &json(r#"{"a":1}"#)
        )),
        "{ \"a\" : 1 }"
    );
}

#[test]
fn lines_one_by_one() {
    let plan = plan("[events]\nfile = \"log.jsonl\"\n[events.fields]\nid = \"int key\"\nname = \"text?\"\n");
    let desk = Desk::new(&plan, "log.jsonl", &[]);
    let file = "{\"id\":1,\"name\":\"a\"}\r\n\r\n{ \"id\": 2 }\r\nbroken\r\n{\"id\":3}";
    let (_, documents) = desk.split(file);
    let mut second = documents[1].clone();
    second[0].1[1] = text("n");
    let laid = desk.lay(file, &[Some(Vec::new()), Some(second), None, Some(Vec::new())]);
    assert_eq!(laid.notes, Vec::<String>::new());
    assert_eq!(String::from_utf8(laid.bytes).unwrap(), "\r\n{ \"id\": 2, \"name\": \"n\" }\r\nbroken");
    assert!(!laid.deleted);
}

#[test]
fn documents_inside_a_file() {
    let plan = plan(
        "[users]\nfile = \"db.json\"\nin = \"users[]\"\n[users.fields]\nid = \"int key\"\nname = \"text?\"\n[settings]\nfile = \"db.json\"\nin = \"settings{name}\"\n[settings.fields]\nname = \"text key\"\nvalue = \"json from .\"\n",
    );
    let desk = Desk::new(&plan, "db.json", &[]);
    let file = "{\n  \"users\": [\n    {\"id\": 1},\n    {\"id\": 2}\n  ],\n  \"settings\": {\n    \"a\": 1,\n    \"a\": 2,\n    \"b\": [3]\n  }\n}";
    let (found, documents) = desk.split(file);
    assert_eq!(found.len(), 4);
    let mut all: Vec<Option<Vec<super::desk::Row>>> = documents.into_iter().map(Some).collect();
    assert_eq!(desk.lay(file, &all).bytes, file.as_bytes());
    let table = plan.table("settings").unwrap();
    all[0] = Some(Vec::new());
    if let Some(row) = all[1].as_mut().and_then(|rows| rows.first_mut()) {
        row.1[1] = text("two");
    }
    all[2] = Some(Vec::new());
    if let Some(row) = all[3].as_mut().and_then(|rows| rows.first_mut()) {
        assert_eq!(row.0, table);
        row.1[1] = json("{\"x\":1}");
    }
    let laid = desk.lay(file, &all);
    assert_eq!(laid.notes, Vec::<String>::new());
    let expected = "{\n  \"users\": [\n    {\"id\": 2, \"name\": \"two\"}\n  ],\n  \"settings\": {\n    \"b\": {\"x\": 1}\n  }\n}";
    assert_eq!(String::from_utf8(laid.bytes).unwrap(), expected);
}

#[test]
fn a_change_that_would_set_the_document_aside_is_left_out() {
    let plan = plan(COUNCIL);
    let desk = Desk::new(&plan, "u1/x.json", &["u1", "0e3523e4-5435-4060-8000-00000000000f"]);
    let deep = format!("{}{}", "[".repeat(6_000), "]".repeat(6_000));
    let laid =
        desk.attempt(CHAT, |sheet| sheet.set("messages.stage1", ("position", &Cell::Int(1)), &json(&deep)));
    assert_eq!(laid.bytes, CHAT.as_bytes());
    assert!(laid.notes.len() == 1 && laid.notes[0].contains("left out"), "{:?}", laid.notes);
}

#[test]
fn columns_that_contradict_each_other_are_noted() {
    let plan = plan(
        "[notes]\nfile = \"{id}.json\"\n[notes.fields]\nid = \"text key\"\none = \"text? from x\"\nother = \"text? from x\"\nsum = \"int? = 5\"\n",
    );
    let desk = Desk::new(&plan, "a.json", &["a"]);
    let by = text("a");
    let laid = desk.attempt(r#"{"x":"1"}"#, |sheet| sheet.set("notes.one", ("id", &by), &text("2")));
    assert_eq!(laid.bytes, br#"{"x":"2"}"#);
    assert!(laid.notes.len() == 1 && laid.notes[0].contains("contradict"), "{:?}", laid.notes);
    let laid = desk.attempt(r#"{"x":"1"}"#, |sheet| sheet.set("notes.sum", ("id", &by), &Cell::Null));
    assert_eq!(laid.bytes, br#"{"x":"1"}"#);
    assert_eq!(laid.notes.len(), 1, "null would read as the default: {:?}", laid.notes);
}

#[test]
fn keys_that_no_column_can_say_keep_their_entries() {
    let plan = plan(
        "[notes]\nfile = \"{id}.json\"\n[notes.fields]\nid = \"text key\"\nname = \"text?\"\n[marks]\nin = \"notes.marks{word}\"\n[marks.fields]\nnote_id = \"-> notes cascade auto\"\nword = \"text?\"\nvalue = \"int from .\"\n",
    );
    let document = r#"{"marks":{"\ud800":1,"\udc00":2,"a\u0000":3,"b":4}}"#;
    let out = Desk::new(&plan, "a.json", &["a"]).edit(document, |sheet| {
        sheet.set("notes.name", ("id", &text("a")), &text("n"));
        sheet.set("marks.value", ("value", &Cell::Int(2)), &Cell::Int(5));
        sheet.set("marks.word", ("word", &text("b")), &text("c"));
    });
    assert_eq!(out, r#"{"marks":{"\ud800":1,"\udc00":5,"a\u0000":3,"c":4},"name":"n"}"#);
}
