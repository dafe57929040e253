//! JSON Schemas of values, documents and rows.

use repot_model::language::OnDelete;
use repot_model::plan::{Column, ColumnKind, Outline, OutlineRows, OutlineStep, Plan};
use serde_json::{Map, Value, json};

use super::subject::Subject;
use crate::ask::{DocumentColumns, STATE, UPDATED};

/// The marker of schemas that say less than the server takes.
pub(super) const LOOSE: &str = "x-repot-loose";

/// Texts without NUL, which no database holds.
const WITHOUT_NUL: &str = r"^[^\u0000]*$";

/// A reference to a schema of the document.
pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// Any value of this kind.
pub(super) fn plain(kind: ColumnKind) -> Value {
    match kind {
        ColumnKind::Text(None) => json!({"type": "string"}),
        ColumnKind::Text(Some(most)) => json!({"type": "string", "maxLength": most}),
        ColumnKind::Int => json!({"type": "integer"}),
        ColumnKind::Float | ColumnKind::Decimal => json!({"type": "number"}),
        ColumnKind::Bool => json!({"type": "boolean"}),
        ColumnKind::Time => json!({"type": "string", "format": "date-time"}),
        ColumnKind::Date => json!({"type": "string", "format": "date"}),
        ColumnKind::Uuid => json!({"type": "string", "format": "uuid"}),
        ColumnKind::Json => json!({}),
        ColumnKind::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
        ColumnKind::TextList => list("string"),
        ColumnKind::IntList => list("integer"),
        ColumnKind::FloatList => list("number"),
        ColumnKind::BoolList => list("boolean"),
    }
}

fn list(of: &str) -> Value {
    json!({"type": "array", "items": {"type": [of, "null"]}})
}

/// Only what a column can hold.
pub(super) fn bounded(mut schema: Value, kind: ColumnKind) -> Value {
    match kind {
        ColumnKind::Int => {
            schema["minimum"] = json!(i64::MIN);
            schema["maximum"] = json!(i64::MAX);
        }
        ColumnKind::Text(_) => schema["pattern"] = json!(WITHOUT_NUL),
        _ => {}
    }
    schema
}

/// A text that can be part of a path of files. `rest`: with slashes.
pub(super) fn named(mut schema: Value, rest: bool) -> Value {
    let pattern = if rest {
        r"^(?!\.{1,2}(/|$))[^/\u0000]+(/(?!\.{1,2}(/|$))[^/\u0000]+)*$"
    } else {
        r"^(?!\.{1,2}$)[^/\u0000]+$"
    };
    schema["pattern"] = json!(pattern);
    schema
}

/// Null too.
fn or_null(mut schema: Value) -> Value {
    if let Some(words) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        words.push(Value::Null);
    }
    if let Some(of) = schema.get("type").filter(|of| of.is_string()).cloned() {
        schema["type"] = json!([of, "null"]);
    }
    schema
}

fn of_column(column: &Column) -> Value {
    match column.words.as_slice() {
        [] => plain(column.kind),
        words => json!({"type": "string", "enum": words}),
    }
}

/// Documents of a collection; `new`: those that a `POST` makes, which must say their name.
pub(super) fn document(subject: &Subject<'_>, new: bool) -> Value {
    if subject.is_body() {
        return json!({"description": "Any JSON value."});
    }
    let plan = subject.plan();
    let mut schema = object(plan, subject.table, &|column| {
        subject.is_captured(&plan.tables[subject.table].columns[column].name)
    });
    if plan.refuses_unknown(subject.table) {
        schema["additionalProperties"] = json!(false);
    }
    if new {
        for name in subject.name_fields() {
            if let (Some(own), Some(properties)) =
                (subject.name_schema(name), schema["properties"].as_object_mut())
            {
                properties.insert(name.to_owned(), own);
            }
            demand(&mut schema, name);
        }
    }
    schema
}

fn demand(schema: &mut Value, name: &str) {
    let Some(schema) = schema.as_object_mut() else { return };
    let required = schema.entry("required").or_insert_with(|| json!([]));
    if let Some(required) = required.as_array_mut()
        && !required.iter().any(|other| other == name)
    {
        required.push(json!(name));
    }
}

/// Elements of a list of rows.
pub(super) fn element(plan: &Plan, table: usize) -> Value {
    if !plan.is_whole(table) {
        let mut schema = object(plan, table, &|_| false);
        schema[LOOSE] = json!(true);
        return schema;
    }
    let outline = plan.outline(table);
    let columns = &plan.tables[table].columns;
    let whole = (0..columns.len()).find(|&column| {
        !outline.entries.iter().any(|entry| entry.columns.contains(&column))
            && plan.is_held_to_column(table, column)
    });
    match whole.filter(|_| outline.entries.is_empty()) {
        Some(_) => json!({"description": "A value as the model has it."}),
        None => json!({}),
    }
}

fn object(plan: &Plan, table: usize, is_given: &dyn Fn(usize) -> bool) -> Value {
    let mut schema = json!({"type": "object"});
    outline(plan, table, &plan.outline(table), is_given, &mut schema);
    schema
}

/// Puts the entries of an object into its schema; gives whether one of them is demanded.
fn outline(
    plan: &Plan,
    table: usize,
    outline_of: &Outline,
    is_given: &dyn Fn(usize) -> bool,
    schema: &mut Value,
) -> bool {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for entry in &outline_of.entries {
        let mut own = match entry.columns.first() {
            Some(&column) => field(plan, (table, column), is_given(column)),
            None => json!({"type": ["object", "null"], LOOSE: true}),
        };
        let mut demanded =
            entry.columns.iter().any(|&column| plan.is_demanded(table, column) && !is_given(column));
        let within = outline(plan, table, &entry.inner, is_given, &mut own);
        if within {
            own["type"] = json!("object");
            if let Some(own) = own.as_object_mut() {
                own.remove(LOOSE);
            }
            demanded = true;
        }
        if demanded {
            required.push(json!(entry.name));
        }
        properties.insert(entry.name.clone(), own);
    }
    if !properties.is_empty() {
        schema["properties"] = Value::Object(properties);
    }
    let demands = !required.is_empty();
    if demands {
        schema["required"] = Value::Array(required);
    }
    for rows in &outline_of.rows {
        below(plan, rows, &rows.way, schema);
    }
    demands
}

/// Rows below a value: the way to them is put into its schema.
fn below(plan: &Plan, rows: &OutlineRows, way: &[OutlineStep], schema: &mut Value) {
    let Some((step, rest)) = way.split_first() else {
        *schema = reference(&element_name(plan, rows.table));
        return;
    };
    if let Some(schema) = schema.as_object_mut() {
        let kind = if matches!(step, OutlineStep::Elements) { "array" } else { "object" };
        schema.insert("type".to_owned(), json!([kind, "null"]));
        schema.insert(LOOSE.to_owned(), json!(true));
    }
    let mut inner = json!({});
    below(plan, rows, rest, &mut inner);
    match step {
        OutlineStep::Elements => schema["items"] = inner,
        OutlineStep::Entries => schema["additionalProperties"] = inner,
        OutlineStep::Name(name) => {
            if !schema["properties"].is_object() {
                schema["properties"] = json!({});
            }
            schema["properties"][name] = inner;
        }
    }
}

/// The name of the schema of elements.
pub(super) fn element_name(plan: &Plan, table: usize) -> String {
    format!("{}.element", plan.tables[table].name)
}

/// A field of a document.
fn field(plan: &Plan, (table, at): (usize, usize), is_given: bool) -> Value {
    let column = &plan.tables[table].columns[at];
    let mut schema = of_column(column);
    if plan.is_held_to_column(table, at) && column.words.is_empty() {
        schema = bounded(schema, column.kind);
    }
    if !plan.is_demanded(table, at) || is_given {
        schema = or_null(schema);
    }
    if let Some(about) = about(plan, (table, at)) {
        schema["description"] = json!(about);
    }
    schema
}

/// What a column refers to.
fn about(plan: &Plan, (table, at): (usize, usize)) -> Option<String> {
    let key = plan.tables[table].foreign_keys.iter().find(|key| key.column == at)?;
    let target = &plan.tables[key.table].name;
    Some(match key.on_delete {
        OnDelete::Refuse => format!("Refers to {target}, which cannot be deleted meanwhile."),
        OnDelete::Cascade => format!("Refers to {target}, and goes with it."),
        OnDelete::SetNull => format!("Refers to {target}; null when it goes."),
    })
}

/// A row of a collection, as listings have it.
pub(super) fn row(subject: &Subject<'_>) -> Value {
    let (plan, table) = (subject.plan(), subject.columns());
    let mut properties = Map::new();
    for (at, column) in table.columns.iter().enumerate() {
        let mut schema = of_column(column);
        if column.nullable {
            schema = or_null(schema);
        }
        let targets = expands_to(subject, at);
        if !targets.is_empty() {
            let rows = targets.iter().map(|&target| reference(&format!("{}.row", plan.tables[target].name)));
            let any: Vec<Value> = std::iter::once(schema).chain(rows).collect();
            schema = json!({"anyOf": any});
        }
        properties.insert(column.name.clone(), schema);
    }
    let told = rows_tell(subject);
    if told.is_some_and(|told| told.state) {
        let about = "The state of the row's document: its `ETag`, without quotes. Missing where plain SQL made the row and nobody has read it as a document yet.";
        properties.insert(STATE.to_owned(), json!({"type": "string", "description": about}));
    }
    if told.is_some_and(|told| told.updated) {
        let about = "When the row's document was written last. Missing where plain SQL did that since.";
        let schema = json!({"type": "string", "format": "date-time", "description": about});
        properties.insert(UPDATED.to_owned(), schema);
    }
    json!({"type": "object", "properties": properties})
}

/// What rows of a listing tell of their document; `None`: they stand inside one.
pub(super) fn rows_tell(subject: &Subject<'_>) -> Option<DocumentColumns> {
    subject.shape.is_some().then(|| DocumentColumns::of(subject.layout.model(), subject.name()))
}

/// The tables whose rows can stand in the place of a reference.
pub(super) fn expands_to(subject: &Subject<'_>, column: usize) -> Vec<usize> {
    let table = subject.columns();
    let parents = table.parents.iter().filter(|parent| parent.column == column).map(|parent| parent.table);
    let keys = table.foreign_keys.iter().filter(|key| key.column == column).map(|key| key.table);
    let mut found: Vec<usize> = Vec::new();
    for target in parents.chain(keys) {
        let hidden = !subject.is_tenants() && subject.layout.is_tenants(&subject.plan().tables[target].name);
        if !found.contains(&target) && !hidden {
            found.push(target);
        }
    }
    found
}

/// An error (RFC 9457).
pub(super) fn problem() -> Value {
    json!({
        "type": "object",
        "description": "An error (RFC 9457).",
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "code": {"type": "string", "description": "Stable; `repot explain` says more.", "pattern": "^R[0-9]{4}$"},
            "detail": {"type": "string"},
            "instance": {"type": "string"},
            "hint": {"type": "string"},
            "request": {"type": "integer", "description": "The request of a batch that failed, counted from 0."},
            "etag": {"type": "string", "description": "The state that is there."},
            "details": {"type": "array", "items": {"type": "string"}},
            "errors": {
                "type": "array",
                "description": "Each place of a document that does not fit the model.",
                "items": {
                    "type": "object",
                    "properties": {
                        "pointer": {"type": "string"},
                        "code": {"type": "string"},
                        "detail": {"type": "string"}
                    },
                    "required": ["pointer", "code", "detail"]
                }
            }
        },
        "required": ["type", "title", "status", "code", "detail", "instance"]
    })
}
