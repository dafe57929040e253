//! The splitting of the limit: two corpora, their columns written out by hand, nothing decided at run time and
//! nothing checked that a database does not check itself.

use anyhow::{Context as _, Result, ensure};
use repot_json::{Kind as JsonKind, Limits, Tree, Value};
use repot_model::plan::Plan;
use repot_model::plan::time::{parse_date, parse_time};

use crate::corpus::Kind;

/// Takes rows, cell by cell, in the order of the table's columns.
pub(super) trait Rows {
    fn begin(&mut self, table: usize);
    fn null(&mut self);
    fn int(&mut self, value: i64);
    /// The next free integer.
    fn auto(&mut self);
    fn text(&mut self, value: &str);
    fn json(&mut self, raw: &str);
    fn uuid(&mut self, text: &str) -> Result<()>;
    fn time(&mut self, micros: i64);
    fn date(&mut self, days: i32, text: &str);
    fn list(&mut self, list: Value<'_>) -> Result<()>;
}

/// The tables, as the splitters number them, and the columns they write.
const CONVERSATIONS: [(&str, &[&str]); 3] = [
    ("conversations", &["id", "user_id", "title", "created_at", "updated_at"]),
    (
        "messages",
        &[
            "id",
            "conversation_id",
            "order",
            "role",
            "content",
            "stage1_data",
            "stage2_data",
            "stage3_data",
            "metadata",
            "created_at",
        ],
    ),
    (
        "usage",
        &[
            "user_id",
            "tier",
            "daily_used",
            "daily_limit",
            "monthly_used",
            "monthly_limit",
            "total_queries",
            "last_reset_daily",
            "last_reset_monthly",
        ],
    ),
];
const DRAMAS: [(&str, &[&str]); 5] = [
    (
        "dramas",
        &["id", "title", "description", "premise", "genre", "url", "metadata", "created_at", "updated_at"],
    ),
    ("characters", &["id", "drama_id", "order", "name", "description", "url", "gender", "voice"]),
    ("episodes", &["id", "drama_id", "order", "title", "description"]),
    ("scenes", &["id", "episode_id", "order", "description"]),
    ("assets", &["id", "entity_type", "entity_id", "kind", "prompt", "url", "depends_on"]),
];

/// Splits the documents of one corpus; keeps its memory from one to the next.
#[derive(Debug)]
pub(super) struct Documents {
    kind: Kind,
    tree: Tree,
    /// The plan's number of each table above.
    tables: Vec<usize>,
}

impl Documents {
    /// Fails when the model's tables are not the ones written out here.
    pub(super) fn new(kind: Kind, plan: &Plan) -> Result<Self> {
        let expected: &[(&str, &[&str])] = match kind {
            Kind::Conversations => &CONVERSATIONS,
            Kind::Dramas => &DRAMAS,
        };
        ensure!(plan.tables.len() == expected.len(), "the model of {kind} has other tables than its limit");
        let mut tables = Vec::new();
        for (name, columns) in expected {
            let at = plan.table(name).with_context(|| format!("the model of {kind} has no table {name}"))?;
            let found: Vec<&str> =
                plan.tables[at].columns.iter().map(|column| column.name.as_str()).collect();
            ensure!(found == *columns, "{name} has the columns {found:?}, its limit writes {columns:?}");
            tables.push(at);
        }
        Ok(Self { kind, tree: Tree::default(), tables })
    }

    /// Splits one file; `path` tells a usage file from a conversation.
    pub(super) fn split(&mut self, path: &str, text: &[u8], rows: &mut impl Rows) -> Result<()> {
        self.tree.scan(text, Limits::default()).with_context(|| format!("scanning {path}"))?;
        let root = self.tree.root(text).context("a scanned text has a root")?;
        let tables = &self.tables;
        let done = match self.kind {
            Kind::Conversations if path.ends_with("/usage.json") => usage(root, tables, rows),
            Kind::Conversations => conversation(root, tables, rows),
            Kind::Dramas => drama(root, tables, rows),
        };
        done.with_context(|| format!("splitting {path}"))
    }
}

fn conversation(root: Value<'_>, tables: &[usize], rows: &mut impl Rows) -> Result<()> {
    let [id, user, title, created, updated, messages] = fields(
        root,
        ["\"id\"", "\"user_id\"", "\"title\"", "\"created_at\"", "\"updated_at\"", "\"messages\""],
    );
    let id = id.and_then(Value::as_str).context("a conversation has an id")?;
    rows.begin(tables[0]);
    rows.uuid(&id)?;
    text(rows, user);
    if title.is_some() {
        text(rows, title);
    } else {
        rows.text("New Conversation");
    }
    time(rows, created);
    time(rows, updated);
    for (order, message) in messages.into_iter().flat_map(Value::elements).enumerate() {
        let [role, content, stage1, stage2, stage3, metadata] = fields(
            message,
            ["\"role\"", "\"content\"", "\"stage1\"", "\"stage2\"", "\"stage3\"", "\"metadata\""],
        );
        rows.begin(tables[1]);
        rows.auto();
        rows.uuid(&id)?;
        rows.int(i64::try_from(order)?);
        text(rows, role);
        text(rows, content);
        for value in [stage1, stage2, stage3, metadata] {
            json(rows, value);
        }
        rows.null();
    }
    Ok(())
}

fn usage(root: Value<'_>, tables: &[usize], rows: &mut impl Rows) -> Result<()> {
    let [user, tier] = fields(root, ["\"user_id\"", "\"tier\""]);
    let counters = fields(
        root,
        ["\"daily_used\"", "\"daily_limit\"", "\"monthly_used\"", "\"monthly_limit\"", "\"total_queries\""],
    );
    rows.begin(tables[2]);
    text(rows, user);
    text(rows, tier);
    for counter in counters {
        rows.int(counter.map_or(Ok(0), |value| value.raw().parse())?);
    }
    for day in fields(root, ["\"last_reset_daily\"", "\"last_reset_monthly\""]) {
        let day = day.and_then(Value::as_str);
        match day.as_deref().and_then(|text| Some((parse_date(text)?, text))) {
            Some((days, text)) => rows.date(days, text),
            None => rows.null(),
        }
    }
    Ok(())
}

fn drama(root: Value<'_>, tables: &[usize], rows: &mut impl Rows) -> Result<()> {
    let texts =
        fields(root, ["\"id\"", "\"title\"", "\"description\"", "\"premise\"", "\"genre\"", "\"url\""]);
    let [metadata, created, updated] = fields(root, ["\"metadata\"", "\"created_at\"", "\"updated_at\""]);
    let lists = fields(root, ["\"characters\"", "\"episodes\"", "\"assets\""]);
    rows.begin(tables[0]);
    for value in texts {
        text(rows, value);
    }
    json(rows, metadata);
    time(rows, created);
    time(rows, updated);
    let [characters, episodes, assets] = lists;
    each(characters, texts[0], tables, rows, ("characters", 1), |value, _, rows| {
        for value in fields(value, ["\"name\"", "\"description\"", "\"url\"", "\"gender\"", "\"voice\""]) {
            text(rows, value);
        }
        Ok(())
    })?;
    each(episodes, texts[0], tables, rows, ("episodes", 2), |value, id, rows| {
        let [title, description, scenes] = fields(value, ["\"title\"", "\"description\"", "\"scenes\""]);
        text(rows, title);
        text(rows, description);
        each(scenes, id, tables, rows, ("scenes", 3), |value, _, rows| {
            let [description] = fields(value, ["\"description\""]);
            text(rows, description);
            Ok(())
        })
    })?;
    asset_rows(assets, "dramas", texts[0], tables[4], rows)
}

/// A list of elements that have an id, belong to `parent`, and may have assets.
fn each<'t, R: Rows>(
    list: Option<Value<'t>>,
    parent: Option<Value<'t>>,
    tables: &[usize],
    rows: &mut R,
    (name, table): (&str, usize),
    rest: impl Fn(Value<'t>, Option<Value<'t>>, &mut R) -> Result<()>,
) -> Result<()> {
    for (order, element) in list.into_iter().flat_map(Value::elements).enumerate() {
        let [id, assets] = fields(element, ["\"id\"", "\"assets\""]);
        rows.begin(tables[table]);
        text(rows, id);
        text(rows, parent);
        rows.int(i64::try_from(order)?);
        rest(element, id, rows)?;
        asset_rows(assets, name, id, tables[4], rows)?;
    }
    Ok(())
}

fn asset_rows(
    list: Option<Value<'_>>,
    of: &str,
    id: Option<Value<'_>>,
    table: usize,
    rows: &mut impl Rows,
) -> Result<()> {
    for asset in list.into_iter().flat_map(Value::elements) {
        let [own, kind, prompt, url, depends_on] =
            fields(asset, ["\"id\"", "\"kind\"", "\"prompt\"", "\"url\"", "\"depends_on\""]);
        rows.begin(table);
        text(rows, own);
        rows.text(of);
        for value in [id, kind, prompt, url] {
            text(rows, value);
        }
        match depends_on {
            Some(list) => rows.list(list)?,
            None => rows.null(),
        }
    }
    Ok(())
}

/// The values of these keys (given with their quotes); null counts as missing.
fn fields<'t, const N: usize>(object: Value<'t>, keys: [&str; N]) -> [Option<Value<'t>>; N] {
    let mut found = [None; N];
    for (key, value) in object.entries() {
        let raw = key.raw();
        if let Some(at) = keys.iter().position(|key| *key == raw) {
            found[at] = (value.kind() != JsonKind::Null).then_some(value);
        }
    }
    found
}

fn text(rows: &mut impl Rows, value: Option<Value<'_>>) {
    match value.and_then(Value::as_str) {
        Some(text) => rows.text(&text),
        None => rows.null(),
    }
}

fn json(rows: &mut impl Rows, value: Option<Value<'_>>) {
    match value {
        Some(value) => rows.json(value.raw()),
        None => rows.null(),
    }
}

fn time(rows: &mut impl Rows, value: Option<Value<'_>>) {
    match value.and_then(Value::as_str).as_deref().and_then(parse_time) {
        Some(micros) => rows.time(micros),
        None => rows.null(),
    }
}
