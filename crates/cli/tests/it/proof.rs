//! The proof can fail: every kind of damage in the database is found and named.

use crate::project::{Database, Project, databases};

fn damaged(sql: &[&str], named: &[&str]) {
    for database in databases() {
        let project = Project::app("council", database);
        project.run(&["copy", "--no-verify"]).expect(0);
        project.run(&["verify"]).expect(0);
        for statement in sql {
            project.sql(statement);
        }
        let ran = project.run(&["verify", "--json"]).expect(4);
        let found = ran.result()["differences"].to_string();
        for name in named {
            assert!(found.contains(name), "{name} is not named in {found}");
        }
    }
}

const FIRST: &str = "(select min(id) from messages)";

#[test]
fn a_changed_column_is_named() {
    damaged(
        &["update usage set daily_used = 77 where user_id = 'u_anna'"],
        &["usage", "daily_used is 77", "u_anna/usage.json"],
    );
}

#[test]
fn a_changed_json_column_is_named() {
    damaged(
        &[&format!("update messages set metadata = '{{\"x\": 1}}' where id = {FIRST}")],
        &["messages", "metadata is"],
    );
}

#[test]
fn a_column_set_to_null_is_named() {
    damaged(
        &["update conversations set created_at = null where created_at is not null"],
        &["conversations", "created_at is null"],
    );
}

#[test]
fn a_missing_row_is_named() {
    damaged(&[&format!("delete from messages where id = {FIRST}")], &["messages", "is missing"]);
}

#[test]
fn a_row_too_many_is_named() {
    damaged(
        &[
            "insert into messages (id, conversation_id, \"order\", role, content) select 5, min(id), 99, 'user', 'x' from conversations",
        ],
        &["messages", "row 5 is in the database and not in the text"],
    );
}

#[test]
fn a_row_of_no_document_is_named() {
    damaged(
        &[
            "insert into usage (id, user_id, tier, daily_used, daily_limit, monthly_used, monthly_limit, total_queries) values (9, 'nobody', 'free', 0, 1, 0, 1, 0)",
        ],
        &["usage", "row 9 is of no document"],
    );
}

#[test]
fn swapped_rows_are_named() {
    damaged(
        &[
            "update messages set \"order\" = -1 where \"order\" = 0",
            "update messages set \"order\" = 0 where \"order\" = 1",
            "update messages set \"order\" = 1 where \"order\" = -1",
        ],
        &["messages", "order is"],
    );
}

#[test]
fn a_dropped_column_is_named() {
    damaged(&["alter table messages drop column metadata"], &["metadata"]);
}

#[test]
fn a_dropped_table_is_named() {
    damaged(&["drop table messages"], &["messages"]);
}

#[test]
fn a_retyped_column_is_named() {
    for database in databases() {
        let project = Project::app("council", database.clone());
        project.run(&["copy", "--no-verify"]).expect(0);
        match database {
            // STRICT tables hold nothing else: the table is made anew without
            Database::Sqlite => {
                project.sql("create table u2 as select * from usage; drop table usage; alter table u2 rename to usage; update usage set daily_used = cast(daily_used as blob)");
            }
            Database::Postgres(_) => project.sql("alter table usage alter daily_used type text"),
        }
        let found = project.run(&["verify", "--json"]).expect(4).result()["differences"].to_string();
        assert!(found.contains("daily_used"), "{found}");
    }
}

#[test]
fn a_damaged_text_is_named() {
    for database in databases() {
        let project = Project::app("council", database);
        project.run(&["copy", "--no-verify"]).expect(0);
        let file = "(select id from repot_objects where path = 'u_anna/usage.json')";
        let other = "(select text from repot_documents where object = (select id from repot_objects where path = 'u_bela/usage.json'))";
        project.sql(&format!("update repot_documents set text = {other} where object = {file}"));
        let found = project.run(&["verify", "--json"]).expect(4).result()["differences"].to_string();
        assert!(found.contains("u_anna/usage.json"), "{found}");
        let sampled =
            project.run(&["verify", "--json", "--sample", "100%"]).expect(4).result()["differences"]
                .to_string();
        assert!(sampled.contains("u_anna/usage.json"), "{sampled}");
    }
}

#[test]
fn a_sample_sees_changed_rows_too() {
    for database in databases() {
        let project = Project::app("council", database);
        project.run(&["copy", "--no-verify"]).expect(0);
        project.run(&["verify", "--sample", "100%"]).expect(0);
        project.sql("update usage set daily_used = 77 where user_id = 'u_anna'");
        project.run(&["verify", "--sample", "100%"]).expect(4);
        project.run(&["verify", "--since", "2999-01-01"]).expect(0);
        project.run(&["verify", "--since", "2000-01-01"]).expect(4);
    }
}
