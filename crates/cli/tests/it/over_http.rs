//! `get`, `put`, `patch`, `rm`, `ls`, `watch`, `queue`: with a store and with a server, the same words do the same.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::project::{Database, Project, Ran, databases, ran};

const MODEL: &str = r#"
[repot]
source = "./data"

[notes]
file = "notes/{id}.json"

[notes.fields]
id    = "text key"
title = "text(20)?"
n     = "int?"
more  = "json?"

[marks]
in = "notes.marks[]"

[marks.fields]
note_id = "-> notes cascade auto"
id      = "text key"
word    = "text"

[chats]
file   = "chats/{user}/{id}.json"
tenant = "user"

[chats.fields]
id   = "text key"
user = "text"

[pages]
file = "pages/{name}.txt"

[pages.fields]
name = "text key"
text = "body"
"#;

const NOTE: &[u8] =
    b"{\n  \"n\": 1,\n  \"id\": \"a\",\n  \"more\": [1.10, 12345678901234567890123, \"\\u00e9\"],\n  \"marks\": [{\"id\": \"m1\", \"word\": \"x\"}]\n}\n\n";

fn data() -> [(&'static str, &'static [u8]); 5] {
    [
        ("notes/a.json", NOTE),
        ("notes/b.json", b"{\"id\":\"b\",\"n\":2,\"title\":\"second\"}"),
        ("notes/c d.json", b"{\"id\":\"c d\",\"n\":30}"),
        ("chats/u1/1.json", b"{\"id\": \"1\", \"user\": \"u1\"}"),
        ("pages/p.txt", b"no JSON\n"),
    ]
}

/// A store that commands open themselves, or a server over one.
struct Place {
    project: Project,
    /// `--store` of commands, where it is not the project's database.
    store: Option<&'static str>,
    served: Option<(Child, String)>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((child, _)) = &mut self.served {
            let _stopped = child.kill().and_then(|()| child.wait());
        }
    }
}

impl Place {
    fn new(database: Database, store: Option<&'static str>) -> Self {
        let project = Project::with(database, MODEL, &data());
        if store.is_none() {
            project.run(&["copy"]).expect(0);
        }
        Self { project, store, served: None }
    }

    fn served(mut self) -> Self {
        let mut words = vec!["serve", "--listen", "127.0.0.1:0", "--json"];
        words.extend(self.store.into_iter().flat_map(|store| ["--store", store]));
        let mut command = self.project.command(&words);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        let url = format!("http://{}", first["address"].as_str().unwrap());
        self.served = Some((child, url));
        self
    }

    fn run(&self, words: &[&str], input: &str, variables: &[(&str, &str)]) -> Ran {
        let mut command = self.project.command(words);
        match (&self.served, self.store) {
            (Some((_, url)), _) => {
                command.env("REPOT_URL", url);
            }
            (None, Some(store)) => {
                command.args(["--store", store]);
            }
            (None, None) => {}
        }
        command.envs(variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // a command that reads nothing may have ended
        let _unread = child.stdin.take().unwrap().write_all(input.as_bytes());
        ran(&child.wait_with_output().unwrap())
    }
}

/// Words of a command, with `ETAG` for the state that the last write printed, what comes in, and how it ends.
type Step = (&'static str, &'static str, i32);

/// What every store does in the same way.
const EVERYWHERE: &[Step] = &[
    ("get notes a", "", 0),
    ("get notes a --json", "", 0),
    ("get notes a/more/@1", "", 0),
    ("get notes a/marks/m1/word", "", 0),
    ("get notes a/marks/m9", "", 1),
    ("get notes c%20d", "", 0),
    ("get notes z", "", 1),
    ("get nothing z", "", 1),
    ("get notes ..", "", 2),
    ("get pages p", "", 0),
    ("get pages p --json", "", 0),
    ("get chats 1", "", 1),
    ("get chats 1 --tenant u1", "", 0),
    ("get chats 1 --tenant u2", "", 1),
    ("put notes new --if-none-match", "{\"id\":\"new\", \"more\":0.10}", 0),
    ("put notes new --if-none-match", "{\"id\":\"new\"}", 1),
    ("get notes new", "", 0),
    ("put notes new --if-match ETAG", "{\"id\":\"new\",\"n\":7}", 0),
    ("put notes new --if-match 0000", "{\"id\":\"new\",\"n\":8}", 1),
    ("put notes new --if-match 0000 --json", "{\"id\":\"new\",\"n\":8}", 1),
    ("put notes new", "{\"id\":\"other\"}", 1),
    ("put notes new", "{\"id\":\"new\",\"title\":5}", 1),
    ("put notes new", "{\"id\":", 1),
    ("put notes new/title", "\"short\"", 0),
    ("patch notes new", "{\"n\":null,\"more\":{\"deep\":[1.0]}}", 0),
    ("patch notes new --json-patch", "[{\"op\":\"test\",\"path\":\"/n\",\"value\":1}]", 1),
    ("patch notes new --json-patch --json", "[{\"op\":\"add\",\"path\":\"/n\",\"value\":1}]", 0),
    ("patch notes z", "{}", 1),
    ("patch pages p", "{}", 1),
    ("put pages q", "text\n", 0),
    ("get pages q", "", 0),
    ("rm notes a/marks/@0", "", 0),
    ("get notes a", "", 0),
    ("rm notes new --if-match 0000", "", 1),
    ("rm notes new --json", "", 0),
    ("rm notes new", "", 1),
];

/// Of these, what differs most from store to store.
const SOME: &[Step] = &[
    ("get notes a", "", 0),
    ("get notes c%20d --json", "", 0),
    ("get notes z", "", 1),
    ("get chats 1 --tenant u1", "", 0),
    ("put notes new --if-none-match", "{\"id\":\"new\", \"more\":0.10}", 0),
    ("put notes new --if-none-match", "{\"id\":\"new\"}", 1),
    ("put notes new --if-match ETAG", "{\"id\":\"new\",\"n\":7}", 0),
    ("put notes new", "{\"id\":\"new\",\"title\":5}", 1),
    ("patch notes new", "{\"n\":null,\"more\":{\"deep\":[1.0]}}", 0),
    ("rm notes a/marks/@0 --json", "", 0),
    ("get notes a", "", 0),
    ("rm notes new", "", 0),
];

/// What takes tables; files say that they have none.
const TABLES: &[Step] = &[
    ("ls notes", "", 0),
    ("ls notes --json --limit 2", "", 0),
    ("ls notes --full --json --all", "", 0),
    ("ls notes --where n[gte]=2 --sort=-n --fields id,n", "", 0),
    ("ls notes --where title=second --json", "", 0),
    ("ls marks", "", 0),
    ("ls notes --where nonsense=1", "", 1),
    ("ls notes --where n", "", 2),
    ("ls chats", "", 1),
    ("ls chats --tenant u1", "", 0),
    ("ls nothing", "", 1),
    ("put notes b --dry-run", "{\"id\":\"b\",\"title\":\"tried\"}", 0),
    ("put notes b --dry-run --json", "{\"id\":\"b\",\"title\":5}", 1),
    ("put notes b --dry-run --if-match 0000", "{\"id\":\"b\"}", 1),
    ("patch notes b --dry-run", "{\"title\":\"tried\"}", 0),
    ("patch notes z --dry-run", "{\"title\":\"tried\"}", 1),
    ("put notes b/title --dry-run", "\"tried\"", 0),
    ("rm notes b --dry-run", "", 0),
    ("rm notes z --dry-run", "", 1),
    ("get notes b", "", 0),
    ("queue stats notes", "", 6),
];

/// Runs a step; `state` is what the last put printed.
fn one(place: &Place, (words, input, code): &Step, state: &mut String) -> Ran {
    let text = words.replace("ETAG", state);
    let words: Vec<&str> = text.split(' ').collect();
    let mut ran = place.run(&words, input, &[]);
    assert_eq!(ran.code, *code, "{text}: {ran:?}");
    ran.out = timeless(&ran.out);
    if words[0] == "put" && ran.code == 0 {
        ran.out.trim().clone_into(state);
    }
    ran
}

/// Without the times at which documents were written.
fn timeless(text: &str) -> String {
    let mut parts = text.split("updated\":\"");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |before, part| {
        let (time, rest) = part.split_once('"').unwrap();
        assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
        before + "updated\":\"" + rest
    })
}

/// Runs the steps with a store and with a server over one like it; gives what they printed.
fn both(make: impl Fn() -> Place, steps: &[&[Step]]) -> Vec<Ran> {
    let (here, there) = (make(), make().served());
    let (mut of_here, mut of_there) = (String::new(), String::new());
    let same = |step: &Step| {
        let (ran, other) = (one(&here, step, &mut of_here), one(&there, step, &mut of_there));
        assert_eq!((&ran.out, &ran.err), (&other.out, &other.err), "{}", step.0);
        ran
    };
    steps.concat().iter().map(same).collect()
}

#[test]
fn files_do_the_same_here_and_there() {
    let ran = both(|| Place::new(Database::Sqlite, Some("./data")), &[EVERYWHERE]);
    assert_eq!(ran[0].out.as_bytes(), NOTE, "what is stored, and nothing more");
    let place = Place::new(Database::Sqlite, Some("./data"));
    for words in [&["ls", "notes", "--where", "n=1"][..], &["rm", "notes", "b", "--dry-run"]] {
        let refused = place.run(words, "", &[]).expect(6);
        assert!(refused.err.contains("error[R0405]"), "{}", refused.err);
    }
    let listed = place.run(&["ls", "notes", "--json"], "", &[]).expect(0);
    let expected = format!("\"item\":{}}}", String::from_utf8_lossy(NOTE).trim_end().replace('\n', " "));
    assert!(listed.out.lines().next().unwrap().ends_with(&expected), "{}", listed.out);
    assert!(place.project.path("data/notes/b.json").exists());
}

#[test]
fn sqlite_does_the_same_here_and_there() {
    let ran = both(|| Place::new(Database::Sqlite, None), &[TABLES]);
    assert_eq!(ran[0].out.lines().count(), 4, "{:?}", ran[0]);
}

#[test]
fn postgres_does_the_same_here_and_there() {
    if repot_testkit::postgres::postgres().is_none() {
        return;
    }
    let fresh = || Database::Postgres(repot_testkit::postgres::fresh_database().unwrap());
    both(|| Place::new(fresh(), None), &[SOME]);
}

#[test]
fn stores_do_the_same() {
    let files = Place::new(Database::Sqlite, Some("./data"));
    let (mut state, mut expected) = (String::new(), Vec::new());
    for step in SOME {
        expected.push(one(&files, step, &mut state));
    }
    for database in databases() {
        let (place, mut state) = (Place::new(database, None), String::new());
        for (step, expected) in SOME.iter().zip(&expected) {
            let ran = one(&place, step, &mut state);
            assert_eq!((ran.code, &ran.out), (expected.code, &expected.out), "{}", step.0);
        }
    }
}

#[test]
fn pages_are_put_together() {
    let lines: String = (0..1_200).map(|n| format!("{{\"id\":\"{n:04}\",\"n\":{n}}}\n")).collect();
    let model = "[repot]\nsource = \"./data\"\n\n[rows]\nfile = \"rows.jsonl\"\n\n[rows.fields]\nid = \"text key\"\nn = \"int\"\n";
    let project = Project::with(Database::Sqlite, model, &[("rows.jsonl", lines.as_bytes())]);
    project.run(&["copy"]).expect(0);
    let all = project.run(&["ls", "rows", "--all", "--json"]).expect(0);
    assert_eq!(all.result()["items"], 1_200);
    let ids: Vec<String> = all
        .out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["item"]["id"].to_string())
        .collect();
    assert!(ids[..1_200].iter().enumerate().all(|(n, id)| *id == format!("\"{n:04}\"")));
    let some = project.run(&["ls", "rows", "--limit", "700", "--json"]).expect(0).result();
    assert_eq!(some["items"], 700);
    let words = ["ls", "rows", "--after", some["after"].as_str().unwrap(), "--all", "--json"];
    let rest = project.run(&words).expect(0);
    assert_eq!(rest.result()["items"], 500);
    assert!(rest.out.starts_with("{\"type\":\"item\",\"item\":{\"id\":\"0700\""), "{}", rest.out);
    assert_eq!(project.run(&["ls", "rows", "--limit", "700"]).expect(0).out.lines().count(), 701);
}

#[test]
fn a_server_with_keys_is_shown_one() {
    for database in databases() {
        let place = Place::new(database, None);
        let create = |words: &[&str]| {
            let made = place.project.run(&[&["key", "create", "k"], words].concat()).expect(0);
            made.out.trim().to_owned()
        };
        let reader = create(&["--rights", "read"]);
        let bound = create(&["--tenant", "u1"]);
        // whoever opens the database needs no key
        place.run(&["get", "notes", "a"], "", &[]).expect(0);
        let place = place.served();
        let missing = place.run(&["get", "notes", "a"], "", &[]).expect(13);
        assert!(missing.err.contains("error[R0445]"), "{}", missing.err);
        let wrong =
            place.run(&["get", "notes", "a", "--json"], "", &[("REPOT_KEY", "rpt_canary")]).expect(13);
        assert_eq!(wrong.result()["code"], "R0432");
        assert!(!wrong.out.contains("canary") && !wrong.err.contains("canary"));
        let mine = [("REPOT_KEY", reader.as_str())];
        assert_eq!(place.run(&["get", "notes", "a"], "", &mine).expect(0).out.as_bytes(), NOTE);
        let refused = place.run(&["put", "notes", "a"], "{\"id\":\"a\"}", &mine).expect(13);
        assert!(refused.err.contains("error[R0446]"), "{}", refused.err);
        // from .env too, and the tenant follows from the key
        place.project.folder.write(".env", format!("REPOT_KEY={bound}\n"));
        place.run(&["get", "chats", "1"], "", &[]).expect(0);
        place.run(&["get", "chats", "1", "--tenant", "u2"], "", &[]).expect(13);
        // keys over a server: with the right for it, and the same words
        let refused = place.run(&["key", "list"], "", &mine).expect(13);
        assert!(refused.err.contains("error[R0446]") && refused.out.is_empty(), "{refused:?}");
        let url = match &place.project.database {
            Database::Sqlite => "sqlite:///repot.db".to_owned(),
            Database::Postgres(url) => url.clone(),
        };
        let made = place.run(&["key", "create", "x", "--store", &url], "", &[]).expect(0);
        place.run(&["get", "notes", "a"], "", &[("REPOT_KEY", made.out.trim())]).expect(0);
        let chief = place.run(&["key", "create", "chief", "--rights", "admin", "--store", &url], "", &[]);
        let chief = chief.expect(0).out.trim().to_owned();
        let chief = [("REPOT_KEY", chief.as_str())];
        let words = ["key", "create", "y", "--rights", "read", "--only", "notes", "--expires", "90d"];
        let made = place.run(&words, "", &chief).expect(0);
        let said = ": read notes; no tenant's documents; ends ";
        assert!(made.err.contains(said) && made.err.contains("the only time"), "{}", made.err);
        let new = [("REPOT_KEY", made.out.trim())];
        place.run(&["get", "notes", "a"], "", &new).expect(0);
        let of_server = place.run(&["key", "list"], "", &chief).expect(0);
        let of_database = place.run(&["key", "list", "--store", &url], "", &[]).expect(0);
        let ids =
            |out: &str| out.lines().map(|line| line.split("; used").next().unwrap().to_owned()).collect();
        let (one, other): (Vec<String>, Vec<String>) = (ids(&of_server.out), ids(&of_database.out));
        assert_eq!(one.len(), 5, "{of_server:?}");
        assert_eq!(one, other);
        let id = one.iter().find(|line| line.contains(" y: ")).unwrap().split(' ').next().unwrap();
        place.run(&["key", "revoke", id], "", &chief).expect(0);
        let again = place.run(&["key", "revoke", id], "", &chief).expect(1);
        assert!(again.err.contains("error[R0432]"), "{}", again.err);
    }
}

#[test]
fn a_server_that_is_not_there_is_told() {
    let project = Project::new(Database::Sqlite);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{free}");
    let away = project.run(&["get", "notes", "a", "--store", &url, "--timeout", "0"]).expect(11);
    assert!(away.err.contains("error[R0153]") && away.err.contains(&url), "{}", away.err);
    let wrong = project.command(&["ls", "notes"]).env("REPOT_URL", "localhost:7070").output().unwrap();
    assert!(ran(&wrong).expect(1).err.contains("error[R0154]"));
    // without a server the project's own database is meant, which must be there
    let place = Project::with(Database::Sqlite, MODEL, &data());
    let none = place.run(&["get", "notes", "a"]).expect(1);
    assert!(none.err.contains("error[R0118]") && !place.path("repot.db").exists(), "{}", none.err);
}

#[test]
fn changes_and_messages_of_a_server_are_shown() {
    const QUEUE: &str = "\n[jobs]\nfile = \"jobs/{id}.json\"\nqueue = { lease = \"5m\", tries = 3 }\n\n[jobs.fields]\nid = \"text key\"\n";
    for database in databases() {
        let model = MODEL.replace("file = \"notes/{id}.json\"", "file = \"notes/{id}.json\"\nwatch = true");
        let project = Project::with(database, &format!("{model}{QUEUE}"), &data());
        project.run(&["copy"]).expect(0);
        let place = Place { project, store: None, served: None }.served();
        let note = "{\"id\":\"a\", \"more\":1.10}";
        place.run(&["put", "notes", "a"], note, &[]).expect(0);
        place.run(&["put", "jobs", "j1"], "{\"id\":\"j1\"}", &[]).expect(0);
        let lines = |words: &[&str]| -> Vec<Value> {
            let ran = place.run(words, "", &[]).expect(0);
            ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        let raw = place.run(&["watch", "notes", "--once", "--since", "0"], "", &[]).expect(0).out;
        assert!(raw.contains(&format!("\"document\":{note}")), "{raw}");
        let seen = lines(&["watch", "--once", "--since", "0"]);
        assert_eq!((seen.len(), &seen[0]["next"]), (4, &0.into()), "{seen:?}");
        assert_eq!((&seen[1]["key"], &seen[2]["key"]), (&"a".into(), &"j1".into()));
        assert_eq!(lines(&["watch", "jobs", "--once", "--since", "0"]).len(), 3);
        let later = place.run(&["watch", "--since", "99"], "", &[]).expect(5);
        assert!(later.err.contains("R0604"), "{}", later.err);
        let stats = place.run(&["queue", "stats", "jobs", "--json"], "", &[]).expect(0).result();
        assert_eq!((&stats["ready"], &stats["dead"]), (&1.into(), &0.into()), "{stats}");
        assert_eq!(place.run(&["queue", "dead", "jobs"], "", &[]).expect(0).out, "");
        let revived = place.run(&["queue", "revive", "jobs", "j1", "--json"], "", &[]).expect(0).result();
        assert_eq!(revived["revived"], 0);
    }
}
