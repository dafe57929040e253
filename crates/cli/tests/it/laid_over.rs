//! Changes made with plain SQL are in the exported files, in the files' own formatting.

use crate::project::{Project, databases};

const MODEL: &str = r#"
[repot]
source = "./data"

[talks]
file = "{id}.json"

[talks.fields]
id    = "text key"
title = "text"
year  = "int?"

[lines]
in = "talks.lines[]"

[lines.fields]
id      = "int key auto"
talk_id = "-> talks cascade auto"
place   = "position"
word    = "text"
"#;

const TABS: &str = "{\r\n\t\"id\": \"tabs\",\r\n\t\"title\": \"one\",\r\n\t\"lines\": [\r\n\t\t{\"word\": \"x\", \"extra\": 1.10},\r\n\t\t{\"word\": \"y\"}\r\n\t]\r\n}\r\n";
const COMPACT: &str = r#"{"title":"zwei \u00fc","id":"compact","year":1999,"lines":[]}"#;
const UNTOUCHED: &str = "{ \"id\" : \"same\" ,\n \"title\":\"t\"}";

#[test]
fn columns_win_and_formatting_stays() {
    for database in databases() {
        let data: &[(&str, &[u8])] = &[
            ("tabs.json", TABS.as_bytes()),
            ("compact.json", COMPACT.as_bytes()),
            ("same.json", UNTOUCHED.as_bytes()),
        ];
        let project = Project::with(database, MODEL, data);
        project.run(&["copy"]).expect(0);
        project.sql("update talks set title = 'two', year = 2001 where id = 'tabs'");
        project.sql("update lines set word = 'z' where word = 'y'");
        project.sql("update talks set title = 'drei ü', year = null where id = 'compact'");
        project.sql("insert into lines (id, talk_id, place, word) values (1, 'compact', 0, 'new')");
        let result = project.run(&["export", "--json", "back"]).expect(0).result();
        assert_eq!(result["changed"].as_u64(), Some(2), "{result}");
        let back = |name: &str| std::fs::read_to_string(project.path(&format!("back/{name}.json"))).unwrap();
        assert_eq!(
            back("tabs"),
            TABS.replace("\"one\",\r\n", "\"two\",\r\n")
                .replace("\"y\"", "\"z\"")
                .replace("\t]\r\n}", "\t],\r\n\t\"year\": 2001\r\n}")
        );
        assert_eq!(
            back("compact"),
            r#"{"title":"drei \u00fc","id":"compact","year":null,"lines":[{"word":"new"}]}"#
        );
        assert_eq!(back("same"), UNTOUCHED);
    }
}

#[test]
fn rows_deleted_with_sql_leave_the_file() {
    for database in databases() {
        let project = Project::with(database, MODEL, &[("tabs.json", TABS.as_bytes())]);
        project.run(&["copy"]).expect(0);
        project.sql("delete from lines where word = 'x'");
        project.run(&["export", "back"]).expect(0);
        let back = std::fs::read_to_string(project.path("back/tabs.json")).unwrap();
        assert_eq!(back, TABS.replace("\r\n\t\t{\"word\": \"x\", \"extra\": 1.10},", ""));
    }
}
