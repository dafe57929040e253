//! The triggers that hold plain SQL to the state machines.

use repot_model::language::parse;
use repot_model::plan::Plan;
use repot_model::sql::{Dialect, Trigger, settle_triggers, transition_triggers};

fn triggers(dialect: Dialect, done: &str) -> Vec<Trigger> {
    let model = format!(
        "[repot]\nsource = \"./data\"\n\n[jobs]\nfile = \"jobs/{{id}}.json\"\n\n[jobs.fields]\nid = \"text key\"\n\
         order = \"open | done | lost\"\n\n[jobs.transitions.order]\nopen = [\"done\", \"lost\"]\ndone = [{done}]\nlost = []\n"
    );
    let model = parse(&model, "repot.toml", &|_| None).expect("the model is right");
    transition_triggers(&Plan::compile(&model).expect("it compiles"), dialect)
}

#[test]
fn on_sqlite() {
    insta::assert_snapshot!(triggers(Dialect::Sqlite, "")[0].create, @r#"
    create trigger "repot_transition_jobs_order" after update of "order" on "jobs" for each row
    when old."order" is not null and old."order" is not new."order"
      and not exists (select 1 from repot_writer where busy <> 0)
      and (case old."order"
        when 'done' then 0
        when 'lost' then 0
        when 'open' then new."order" in ('done', 'lost') else 0 end) is not 1
    begin
      select case old."order"
        when 'done' then raise(abort, 'jobs.order: this is no allowed change; done is final')
        when 'lost' then raise(abort, 'jobs.order: this is no allowed change; lost is final')
        when 'open' then raise(abort, 'jobs.order: this is no allowed change; from open: done, lost')
        else raise(abort, 'jobs.order: this is no allowed change') end;
    end
    "#);
}

#[test]
fn on_postgres() {
    insta::assert_snapshot!(triggers(Dialect::Postgres, "")[0].create, @r#"
    create trigger "repot_transition_jobs_order" after update on "jobs" for each row
    when (old."order" is not null and old."order" is distinct from new."order"
      and current_setting('repot.writer', true) is distinct from 'on'
      and (case old."order"
        when 'done' then false
        when 'lost' then false
        when 'open' then new."order" in ('done', 'lost') else false end) is not true)
    execute function repot_refuse_transition('order', 'done to nothing; lost to nothing; open to done, lost')
    "#);
}

#[test]
fn only_what_differs_is_made_again() {
    for dialect in [Dialect::Sqlite, Dialect::Postgres] {
        let wanted = triggers(dialect, "");
        let there = |triggers: &[Trigger]| {
            let one = |one: &Trigger| (one.name.clone(), one.table.clone(), Some(one.mark.clone()));
            triggers.iter().map(one).collect::<Vec<_>>()
        };
        assert_eq!(settle_triggers(&wanted, &there(&wanted), dialect), Vec::<String>::new());
        let other = triggers(dialect, "\"open\"");
        assert_ne!(other[0].mark, wanted[0].mark);
        let statements = settle_triggers(&other, &there(&wanted), dialect);
        assert!(statements[0].starts_with("drop trigger \"repot_transition_jobs_order\""), "{statements:?}");
        assert!(statements.contains(&other[0].create), "{statements:?}");
        assert_eq!(settle_triggers(&[], &there(&wanted), dialect).len(), 1);
        assert!(settle_triggers(&wanted, &[], dialect).contains(&wanted[0].create));
    }
}

#[test]
fn plans_without_state_machines_are_the_same_as_before() {
    let model = |transitions: &str| {
        let text = format!(
            "[repot]\nsource = \"./data\"\n\n[jobs]\nfile = \"jobs/{{id}}.json\"\n\n[jobs.fields]\nid = \"text key\"\nstate = \"a | b\"\n{transitions}"
        );
        Plan::compile(&parse(&text, "repot.toml", &|_| None).expect("right")).expect("compiles")
    };
    let (without, with) = (model(""), model("\n[jobs.transitions.state]\na = [\"b\"]\nb = []\n"));
    assert_eq!(without.hash, with.hash, "a database goes on when its model gets a state machine");
    assert!(!without.has_rules(0) && with.has_rules(0));
    assert!(transition_triggers(&without, Dialect::Sqlite).is_empty());
}
