//! Documents that refer to a row inside of another document: when that row goes they are set aside whole, whatever
//! the reference says of deletes, and nothing else of the copy waits for them.

use serde_json::Value;

use crate::project::{Database, Project, databases};

const MODEL: &str = r#"
[repot]
source = "./data"

[chats]
file = "chats/{id}.json"

[chats.fields]
id    = "text key"
title = "text(10) unique"

[messages]
in = "chats.messages[]"

[messages.fields]
id      = "text key"
chat_id = "-> chats cascade auto"
order   = "position"
text    = "text"

[pins]
file = "pins/{id}.json"

[pins.fields]
id      = "text key"
message = "-> messages?RULE"

[stars]
in = "pins.stars[]"

[stars.fields]
id     = "text key"
pin_id = "-> pins cascade auto"
order  = "position"

[likes]
file = "likes/{id}.json"

[likes.fields]
id = "text key"

[hearts]
in = "likes.hearts[]"

[hearts.fields]
like_id = "-> likes cascade auto"
order   = "position"
star    = "-> stars?RULE"
"#;

const CHAT_A: &[u8] =
    br#"{"id": "a", "title": "first", "messages": [{"id": "a1", "text": "x"}, {"id": "a2", "text": "y"}]}"#;

const DATA: &[(&str, &[u8])] = &[
    ("chats/a.json", CHAT_A),
    ("chats/b.json", br#"{"id": "b", "title": "second", "messages": [{"id": "b1", "text": "z"}]}"#),
    ("chats/c.json", br#"{"id": "c", "title": "third"}"#),
    ("likes/l.json", br#"{"id": "l", "hearts": [{"star": "s"}]}"#),
    ("likes/m.json", br#"{"id": "m", "hearts": [{"star": "t"}]}"#),
    ("pins/p.json", br#"{"id": "p", "message": "a2", "stars": [{"id": "s"}]}"#),
    ("pins/q.json", br#"{"id": "q", "message": "b1", "stars": [{"id": "t"}]}"#),
];

/// Rules of deletes.
const RULES: [&str; 3] = ["", " cascade", " set null"];

/// Each of the rules on each database.
fn each(rules: &[&str], check: impl Fn(&Project, &str)) {
    for rule in rules {
        for database in databases() {
            let context = match &database {
                Database::Sqlite => format!("SQLite,{rule}"),
                Database::Postgres(_) => format!("PostgreSQL,{rule}"),
            };
            let project = Project::with(database, &MODEL.replace("RULE", rule), DATA);
            project.run(&["copy"]).expect(0);
            check(&project, &context);
        }
    }
}

/// Copies (which proves, too), and gives `path code` of each document set aside.
fn aside(project: &Project, context: &str) -> Vec<String> {
    let ran = project.run(&["copy", "--json", "--set-aside"]);
    assert_eq!(ran.code, 0, "{context}: {} {}", ran.out, ran.err);
    let result = ran.result();
    let listed = result["set_aside_documents"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let mut shown: Vec<String> =
        listed.iter().map(|one| format!("{} {}", text(&one["path"]), text(&one["code"]))).collect();
    shown.sort();
    shown
}

/// Ids of a table's rows.
fn ids(project: &Project, table: &str) -> String {
    let separated = match project.database {
        Database::Sqlite => "group_concat(id, ' ')",
        Database::Postgres(_) => "string_agg(id, ' ' order by id)",
    };
    project.ask(&format!("select {separated} from (select id from {table} order by id) x"))
}

/// All is in place again, and as it was.
fn whole(project: &Project, context: &str) {
    assert_eq!(aside(project, context), Vec::<String>::new(), "{context}");
    let found = project.ask(
        "select p.id || p.message || s.id || h.like_id from pins p join stars s on s.pin_id = p.id \
         join hearts h on h.star = s.id where p.id = 'p'",
    );
    assert_eq!(found, "pa2sl", "{context}");
    project.run(&["export", "back"]).expect(0);
    repot_testkit::assert_same_trees(&project.path("data"), &project.path("back"));
}

#[test]
fn the_document_goes() {
    each(&RULES, |project, context| {
        std::fs::remove_file(project.path("data/chats/a.json")).unwrap();
        project.folder.write("data/chats/d.json", br#"{"id": "d", "title": "fourth"}"#);
        // p refers to a message of a; l to a star of p
        assert_eq!(aside(project, context), ["likes/l.json R0305", "pins/p.json R0305"], "{context}");
        assert_eq!(ids(project, "chats"), "b c d", "{context}");
        assert_eq!(ids(project, "pins"), "q", "{context}");
        assert_eq!(ids(project, "stars"), "t", "{context}");
        assert_eq!(project.ask("select count(*) from hearts"), "1", "{context}");
        project.folder.write("data/chats/a.json", CHAT_A);
        whole(project, context);
    });
}

#[test]
fn only_the_row_goes() {
    each(&RULES, |project, context| {
        project.folder.write(
            "data/chats/a.json",
            br#"{"id": "a", "title": "first", "messages": [{"id": "a1", "text": "x"}]}"#,
        );
        assert_eq!(aside(project, context), ["likes/l.json R0305", "pins/p.json R0305"], "{context}");
        assert_eq!(ids(project, "messages"), "a1 b1", "{context}");
        project.folder.write("data/chats/a.json", CHAT_A);
        whole(project, context);
    });
}

#[test]
fn the_document_no_longer_fits() {
    each(&RULES, |project, context| {
        project.folder.write(
            "data/chats/a.json",
            br#"{"id": "a", "title": "much too long a title", "messages": [{"id": "a2", "text": "y"}]}"#,
        );
        assert_eq!(
            aside(project, context),
            ["chats/a.json R0311", "likes/l.json R0305", "pins/p.json R0305"],
            "{context}"
        );
        assert_eq!(ids(project, "messages"), "b1", "{context}");
        project.folder.write("data/chats/a.json", CHAT_A);
        whole(project, context);
    });
}

/// The title is another's, which only the database sees. What refers to the document may be outside of the batch,
/// or in it with the referring row unchanged.
#[test]
fn the_database_refuses_the_document() {
    for (unchanged, rules) in [(true, &RULES[..]), (false, &RULES[1..2])] {
        each(rules, |project, context| {
            project.folder.write(
                "data/chats/a.json",
                br#"{"id": "a", "title": "second", "messages": [{"id": "a1", "text": "x"}, {"id": "a2", "text": "y"}]}"#,
            );
            if !unchanged {
                let more = br#"{"id": "p", "message": "a2", "stars": [{"id": "s"}, {"id": "u"}]}"#;
                project.folder.write("data/pins/p.json", more);
            }
            assert_eq!(
                aside(project, context),
                ["chats/a.json R0203", "likes/l.json R0305", "pins/p.json R0305"],
                "{context}"
            );
            assert_eq!(ids(project, "messages"), "b1", "{context}");
            assert_eq!(ids(project, "stars"), "t", "{context}");
            project.folder.write("data/chats/a.json", CHAT_A);
            project.folder.write("data/pins/p.json", DATA[5].1);
            whole(project, context);
        });
    }
}

/// A row may go to another document: what refers to it stays, also when something else of the batch is refused.
#[test]
fn the_row_goes_elsewhere() {
    for (title, rules) in [("first", &RULES[1..]), ("second", &RULES[1..2])] {
        each(rules, |project, context| {
            let without =
                format!(r#"{{"id": "a", "title": "{title}", "messages": [{{"id": "a1", "text": "x"}}]}}"#);
            project.folder.write("data/chats/a.json", without.as_bytes());
            project.folder.write(
                "data/chats/c.json",
                br#"{"id": "c", "title": "third", "messages": [{"id": "a2", "text": "y"}]}"#,
            );
            let refused: &[&str] = if title == "first" { &[] } else { &["chats/a.json R0203"] };
            assert_eq!(aside(project, context), refused, "{context}");
            assert_eq!(project.ask("select chat_id from messages where id = 'a2'"), "c", "{context}");
            assert_eq!(ids(project, "pins"), "p q", "{context}");
            project.folder.write("data/chats/a.json", CHAT_A);
            project.folder.write("data/chats/c.json", DATA[2].1);
            whole(project, context);
        });
    }
}

/// A row goes to a document that is refused: it is nowhere then, and what refers to it is set aside.
#[test]
fn the_row_goes_to_a_document_that_is_refused() {
    each(&RULES, |project, context| {
        project.folder.write(
            "data/chats/a.json",
            br#"{"id": "a", "title": "first", "messages": [{"id": "a1", "text": "x"}]}"#,
        );
        project.folder.write(
            "data/chats/c.json",
            br#"{"id": "c", "title": "second", "messages": [{"id": "a2", "text": "y"}]}"#,
        );
        assert_eq!(
            aside(project, context),
            ["chats/c.json R0203", "likes/l.json R0305", "pins/p.json R0305"],
            "{context}"
        );
        assert_eq!(ids(project, "messages"), "a1 b1", "{context}");
        project.folder.write("data/chats/a.json", CHAT_A);
        project.folder.write("data/chats/c.json", DATA[2].1);
        whole(project, context);
    });
}

/// The same when whole documents get another name: one comes through, one is refused.
#[test]
fn renamed_documents_of_which_one_is_refused() {
    for database in databases() {
        let model = MODEL
            .replace("RULE", "")
            .replace("chats/{id}.json", "chats/{file}.json")
            .replace("title = \"text(10) unique\"", "title = \"text(10) unique\"\nfile = \"text\"");
        let project = Project::with(database, &model, DATA);
        let context = format!("{:?}", project.database);
        project.run(&["copy"]).expect(0);
        let rename = |from: &str, to: &str| {
            std::fs::rename(project.path(from), project.path(to)).unwrap();
        };
        rename("data/chats/b.json", "data/chats/f.json");
        rename("data/chats/a.json", "data/chats/e.json");
        let taken = br#"{"id": "a", "title": "third", "messages": [{"id": "a1", "text": "x"}, {"id": "a2", "text": "y"}]}"#;
        project.folder.write("data/chats/e.json", taken);
        assert_eq!(
            aside(&project, &context),
            ["chats/e.json R0203", "likes/l.json R0305", "pins/p.json R0305"],
            "{context}"
        );
        assert_eq!(ids(&project, "messages"), "b1", "{context}");
        assert_eq!(ids(&project, "pins"), "q", "{context}");
        assert_eq!(project.ask("select file from chats where id = 'b'"), "f", "{context}");
        project.folder.write("data/chats/e.json", CHAT_A);
        whole(&project, &context);
        assert_eq!(project.ask("select file from chats where id = 'a'"), "e", "{context}");
    }
}
