//! The triggers that put on record what plain SQL does.

use repot_model::language::parse;
use repot_model::plan::Plan;
use repot_model::sql::{Dialect, Trigger, audit_triggers, settle_triggers};

fn triggers(dialect: Dialect, audit: &str) -> Vec<Trigger> {
    let model = format!(
        "[repot]\nsource = \"./data\"\n\n[chats]\nfile = \"chats/{{user_id}}/{{id}}.json\"\ntenant = \"user_id\"\n{audit}\n\n\
         [chats.fields]\nid = \"text key\"\nuser_id = \"text\"\nphase = \"open | done\"\n\n\
         [chats.transitions.phase]\nopen = [\"done\"]\ndone = []\n\n\
         [marks]\nin = \"chats.marks[]\"\n\n[marks.fields]\nchat_id = \"-> chats cascade auto\"\norder = \"position\"\n"
    );
    let model = parse(&model, "repot.toml", &|_| None).expect("the model is right");
    audit_triggers(&Plan::compile(&model).expect("it compiles"), dialect)
}

fn named(triggers: &[Trigger], name: &str) -> String {
    triggers.iter().find(|one| one.name == name).expect("it is there").create.clone()
}

#[test]
fn on_sqlite() {
    let triggers = triggers(Dialect::Sqlite, "audit = \"1y\"");
    assert_eq!(triggers.len(), 7);
    insta::assert_snapshot!(named(&triggers, "repot_audit_delete_marks"), @r#"
    create trigger "repot_audit_delete_marks" after delete on "marks" for each row
    when not exists (select 1 from repot_writer where busy <> 0)
    begin
      insert into repot_audit (at_ms, kind, collection, tenant, key, in_table, was, became)
      select cast(round((julianday('now') - 2440587.5) * 86400000) as integer), 2, coalesce(d.collection, 'chats'), d.tenant, d.key, 'marks', '{' || '"chat_id":' || json_quote(old."chat_id") || ',' || '"order":' || json_quote(old."order") || '}', null
      from (select 1) left join (select * from (select 'chats' as collection, cast(p0."user_id" as text) as tenant, replace(replace(old."chat_id", '%', '%25'), '/', '%2F') as key from (select 1) as x left join "chats" as p0 on old."chat_id" = p0."id" where old."chat_id" is not null) as w limit 1) as d;
    end
    "#);
    insta::assert_snapshot!(named(&triggers, "repot_state_chats_phase"), @r#"
    create trigger "repot_state_chats_phase" after update of "phase" on "chats" for each row
    when old."phase" is not new."phase" and not exists (select 1 from repot_writer where busy <> 0)
    begin
      insert into repot_audit (at_ms, kind, collection, tenant, key, in_table, in_row, field, was, became)
      select cast(round((julianday('now') - 2440587.5) * 86400000) as integer), 4, coalesce(d.collection, 'chats'), d.tenant, d.key, 'chats', coalesce(replace(replace(new."id", '%', '%25'), '/', '%2F'), ''), 'phase', old."phase", new."phase"
      from (select 1) left join (select * from (select 'chats' as collection, cast(new."user_id" as text) as tenant, replace(replace(new."id", '%', '%25'), '/', '%2F') as key) as w limit 1) as d;
    end
    "#);
}

#[test]
fn on_postgres() {
    let triggers = triggers(Dialect::Postgres, "audit = \"1y\"");
    assert_eq!(triggers.len(), 3);
    insta::assert_snapshot!(named(&triggers, "repot_audit_marks"), @r#"
    create trigger "repot_audit_marks" after insert or update or delete on "marks" for each row
    when (current_setting('repot.writer', true) is distinct from 'on')
    execute function repot_keep_row('select * from (select ''chats'' as collection, cast(p0."user_id" as text) as tenant, replace(replace(($1)."chat_id", ''%'', ''%25''), ''/'', ''%2F'') as key from (select 1) as x left join "chats" as p0 on ($1)."chat_id" = p0."id" where ($1)."chat_id" is not null) as w limit 1', 'chats')
    "#);
    insta::assert_snapshot!(named(&triggers, "repot_state_chats_phase"), @r#"
    create trigger "repot_state_chats_phase" after update on "chats" for each row
    when (old."phase" is distinct from new."phase" and current_setting('repot.writer', true) is distinct from 'on')
    execute function repot_keep_state('select * from (select ''chats'' as collection, cast(($1)."user_id" as text) as tenant, replace(replace(($1)."id", ''%'', ''%25''), ''/'', ''%2F'') as key) as w limit 1', 'chats', 'select coalesce(replace(replace(($1)."id", ''%'', ''%25''), ''/'', ''%2F''), '''')', 'phase')
    "#);
}

/// Each function comes once and before its triggers; without `audit` there are only those of states.
#[test]
fn only_what_is_asked_for() {
    for dialect in [Dialect::Sqlite, Dialect::Postgres] {
        let states = triggers(dialect, "");
        assert_eq!(
            states.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(),
            ["repot_state_chats_phase"]
        );
        let all = triggers(dialect, "audit = \"1y\"");
        assert!(all.contains(&states[0]));
        let statements = settle_triggers(&all, &[], dialect);
        for one in all.iter().filter(|one| !one.function.is_empty()) {
            let place = |wanted: &str| statements.iter().position(|statement| statement == wanted);
            assert!(place(&one.function).expect("the function") < place(&one.create).expect("the trigger"));
            assert_eq!(statements.iter().filter(|statement| **statement == one.function).count(), 1);
        }
    }
}
