//! A database as the source of a copy: what an export of the new one gives is what an export of the old one gave, byte for byte.

use crate::project::{Database, Project, Ran, databases, fed, ran};

const PLAIN: &str = "postgresql://somebody:canary@127.0.0.1:1/nowhere";

/// The council app in its first database, and what becomes of it in a second one.
struct Pair {
    project: Project,
    new: String,
    old: String,
}

impl Pair {
    /// Copied from files into a database of this kind, to be copied on into one of the other kind.
    fn copied(database: Database) -> Self {
        let project = Project::app("council", database.clone());
        project.run(&["copy"]).expect(0);
        let (old, new) = match database {
            Database::Postgres(url) => (url, "sqlite:///second.db".to_owned()),
            Database::Sqlite => {
                let other = repot_testkit::postgres::fresh_database();
                ("sqlite:///repot.db".to_owned(), other.unwrap_or_else(|| "sqlite:///second.db".to_owned()))
            }
        };
        Self { project, new, old }
    }

    fn run(&self, words: &[&str]) -> Ran {
        let mut command = self.project.command(words);
        ran(&command.env("DATABASE_URL", &self.new).env("REPOT_SOURCE", &self.old).output().unwrap())
    }
}

#[test]
fn documents_are_copied_from_one_database_into_another() {
    for database in databases() {
        let pair = Pair::copied(database);
        // the old one is written in by apps and by SQL, and the files know nothing of it
        let put = ["put", "conversations", "made-there", "--tenant", "u_bela"];
        let text = "{ \"id\":\"made-there\",\t\"user_id\": \"u_bela\", \"messages\": [] }\n";
        fed(&mut pair.project.command(&put), text).expect(0);
        pair.project.sql("update conversations set title = 'of SQL' where user_id = 'u_anna'");
        pair.run(&["check"]).expect(0);
        let planned = pair.run(&["plan"]).expect(0);
        assert!(planned.err.contains("conversations         21 rows"), "{planned:?}");
        let first = pair.run(&["copy", "--json"]).expect(0).result();
        assert!(first["moved"].as_u64() > Some(20) && first["set_aside"] == 0, "{first}");
        pair.run(&["verify"]).expect(0);
        pair.project.run(&["export", "old"]).expect(0);
        pair.run(&["export", "new"]).expect(0);
        repot_testkit::assert_same_trees(&pair.project.path("old"), &pair.project.path("new"));
        let made = std::fs::read_to_string(pair.project.path("new/u_bela/made-there.json")).unwrap();
        assert!(made.starts_with("{ \"id\":\"made-there\",\t\"user_id\": \"u_bela\""), "{made}");
        // what is as it was is not read again; what SQL changed since is
        let again = pair.run(&["copy", "--json"]).expect(0).result();
        assert_eq!((&again["changed"], &again["removed"]), (&0.into(), &0.into()), "{again}");
        pair.project.sql("update conversations set title = 'later' where id = 'made-there'");
        let again = pair.run(&["copy", "--json"]).expect(0).result();
        assert_eq!((&again["changed"], &again["removed"]), (&1.into(), &0.into()), "{again}");
        pair.run(&["verify"]).expect(0);
    }
}

#[test]
fn a_source_that_is_none_is_refused_and_tells_no_password() {
    let project = Project::app("council", Database::Sqlite);
    let from = |source: &str, words: &[&str]| {
        ran(&project.command(words).env("REPOT_SOURCE", source).output().unwrap())
    };
    let empty = from("sqlite:///nothing.db", &["copy"]);
    assert!(empty.code != 0 && empty.err.contains("R0724"), "{empty:?}");
    assert!(!project.path("nothing.db").exists(), "no source is made");
    let same = from("sqlite:./repot.db", &["copy"]);
    assert!(same.code != 0 && same.err.contains("R0723"), "{same:?}");
    for words in [&["copy"][..], &["check"], &["plan"], &["copy", "--follow"]] {
        let away = from(PLAIN, words);
        assert!(away.code != 0, "{away:?}");
        assert!(!format!("{away:?}").contains("canary"), "{words:?}: {away:?}");
    }
    let followed = from("sqlite:///nothing.db", &["copy", "--follow"]);
    assert!(followed.code != 0 && followed.err.contains("R0724"), "{followed:?}");
}
