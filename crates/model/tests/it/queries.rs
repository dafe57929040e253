//! The statements of queries, on both databases.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use repot_model::language::parse;
use repot_model::plan::{ColumnKind, Plan};
use repot_model::row::Cell;
use repot_model::sql::Dialect;
use repot_model::sql::query::{
    Comparison, Condition, Expansion, ExpansionTarget, Held, JsonType, Operand, Parameter, Select, Sort,
    Speech, Tenancy, statement,
};

const COUNCIL: &str = include_str!("../../../../apps/council/repot.toml");
const DRAMAS: &str = include_str!("../../../../apps/dramas/repot.toml");

fn plan(text: &str) -> Plan {
    Plan::compile(&parse(text, "repot.toml", &|_| None).unwrap()).unwrap()
}

fn encoded(cell: &Cell<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    cell.encode(&mut out);
    out
}

fn text(word: &str) -> Parameter {
    Parameter { cell: encoded(&Cell::Text(word.into())), kind: ColumnKind::Text(None) }
}

fn at(plan: &Plan, table: &str, column: &str) -> (usize, usize) {
    let table = plan.table(table).unwrap();
    (table, plan.tables[table].columns.iter().position(|one| one.name == column).unwrap())
}

fn shown(plan: &Plan, tenancy: &Tenancy, select: &Select) -> String {
    let print = |dialect| {
        let speech = Speech { dialect, texts_by_bytes: dialect == Dialect::Sqlite, policed: false };
        let made = statement(plan, tenancy, speech, select);
        // parameters are numbered without a gap
        for number in 1..=made.parameters.len() {
            assert!(made.sql.contains(&format!("{number}")), "{}", made.sql);
        }
        made.sql
    };
    format!("{}\n\n{}", print(Dialect::Sqlite), print(Dialect::Postgres))
}

#[test]
fn the_next_of_a_users_newest() {
    let plan = plan(COUNCIL);
    let (table, user) = at(&plan, "conversations", "user_id");
    let created = at(&plan, "conversations", "created_at").1;
    let key = plan.tables[table].key[0];
    let mut tenancy = Tenancy { columns: vec![None; plan.tables.len()], tenant: None };
    tenancy.columns[table] = Some(user);
    let mut cells = vec![None; plan.tables.len()];
    cells[table] = Some(text("anna").cell);
    tenancy.tenant = Some(cells);
    let select = Select {
        table,
        filter: Condition::All(Vec::new()),
        sort: vec![Sort { column: created, descending: true }, Sort { column: key, descending: false }],
        after: Some([encoded(&Cell::Time(0)), text("x").cell].concat()),
        columns: vec![key],
        expand: Vec::new(),
        limit: 51,
        offset: 0,
        keyed: false,
    };
    insta::assert_snapshot!(shown(&plan, &tenancy, &select));
    // rows within the documents: the tenant is that of the document
    let (messages, content) = at(&plan, "messages", "content");
    let select = Select {
        table: messages,
        filter: Condition::Not(Box::new(Condition::Like(Operand::Column(content), "a%[".to_owned()))),
        sort: vec![Sort { column: content, descending: true }, Sort { column: 0, descending: false }],
        after: Some([encoded(&Cell::Null), encoded(&Cell::Int(3))].concat()),
        columns: vec![content],
        ..select
    };
    insta::assert_snapshot!(shown(&plan, &tenancy, &select));
}

#[test]
fn rows_that_are_held() {
    let plan = plan(DRAMAS);
    let (dramas, metadata) = at(&plan, "dramas", "metadata");
    let (characters, name) = at(&plan, "characters", "name");
    let (assets, entity) = at(&plan, "assets", "entity_id");
    let depends_on = at(&plan, "assets", "depends_on").1;
    let held = |holder: &str, table: &str| Held {
        holder: plan.table(holder).unwrap(),
        table: plan.table(table).unwrap(),
    };
    let named = Condition::Compare(Operand::Column(name), Comparison::Equal, text("Mara"));
    let after = Condition::Compare(Operand::Column(name), Comparison::Greater, text("Mara"));
    let json = Operand::Json { column: metadata, path: vec!["genre".to_owned()], is: JsonType::Text };
    let filter = Condition::All(vec![
        Condition::Holds(held("dramas", "characters"), Box::new(named)),
        Condition::Any(vec![
            Condition::Holds(held("dramas", "characters"), Box::new(after)),
            Condition::Compare(json.clone(), Comparison::Equal, text("noir")),
            Condition::Null(json),
        ]),
        Condition::Count(
            vec![held("dramas", "episodes"), held("episodes", "scenes")],
            Comparison::Greater,
            5,
        ),
        Condition::Count(vec![held("dramas", "assets")], Comparison::Less, 9),
    ]);
    let sort = vec![Sort { column: plan.tables[dramas].key[0], descending: false }];
    let tenancy = Tenancy { columns: vec![None; plan.tables.len()], tenant: None };
    let columns = vec![0];
    let select = Select {
        table: dramas,
        filter,
        sort,
        after: None,
        columns,
        expand: Vec::new(),
        limit: 51,
        offset: 100,
        keyed: false,
    };
    insta::assert_snapshot!(shown(&plan, &tenancy, &select));
    let targets = plan.tables[assets]
        .parents
        .iter()
        .filter(|parent| parent.table == dramas || parent.table == characters)
        .map(|parent| ExpansionTarget {
            table: parent.table,
            column: parent.parent_column,
            type_column: parent.type_column,
        })
        .collect();
    let element = Condition::In(Operand::Element(depends_on), vec![text("a"), text("b")]);
    let select = Select {
        table: assets,
        filter: element,
        expand: vec![Expansion { column: entity, targets }],
        offset: 0,
        keyed: false,
        ..select
    };
    insta::assert_snapshot!(shown(&plan, &tenancy, &select));
}
