//! What a section of the model file may hold: the settings of `[repot]` and of a collection.

use toml_edit::{Item, TableLike};

use super::field;
use super::parse::{Reader, Text, key_start};
use super::places;
use super::suggest::did_you_mean;
use super::value::{after, duration, rate, rights, size, time_of_day};
use super::{
    Auth, Backup, Blobs, Collection, Field, FieldKind, Format, Index, Place, Queue, Quota, Scalar, Settings,
    Step, Written,
};
use crate::place::Template;

/// Keys of `[repot]`.
pub(super) const SETTINGS: [&str; 7] = ["source", "target", "blobs", "backup", "auth", "cache", "limits"];

/// Keys of a collection.
pub(super) const COLLECTION: [&str; 24] = [
    "file",
    "table",
    "in",
    "view",
    "refresh",
    "move",
    "format",
    "unknown",
    "index",
    "unique",
    "search",
    "tenant",
    "expire",
    "archive",
    "soft_delete",
    "audit",
    "cache",
    "mirror",
    "queue",
    "watch",
    "etag",
    "fields",
    "transitions",
    "quota",
];

impl Reader<'_> {
    pub(super) fn settings(&mut self, table: &dyn TableLike) -> Settings {
        let mut settings = Settings::default();
        self.unknown_keys(table, &SETTINGS, "`[repot]`");
        for (key, item) in table.iter() {
            let at = key_start(table, key);
            match key {
                "source" => settings.source = self.written(item, at, "`source`", |text| Ok(text.to_owned())),
                "target" => settings.target = self.written(item, at, "`target`", |text| Ok(text.to_owned())),
                "blobs" => settings.blobs = self.blobs(item, at),
                "backup" => settings.backup = self.backup(item, at),
                "auth" => settings.auth = self.auth(item, at),
                "cache" => {
                    for (name, item, at) in self.entries(item, at, "`cache`") {
                        if let Some(life) = self.written(item, at, &format!("`cache.{name}`"), duration) {
                            settings.cache.insert(name, life);
                        }
                    }
                }
                "limits" => {
                    for (name, item, at) in self.entries(item, at, "`limits`") {
                        if let Some(limit) = self.written(item, at, &format!("`limits.{name}`"), rate) {
                            settings.limits.insert(name, limit);
                        }
                    }
                }
                _ => {}
            }
        }
        settings
    }

    fn entries<'i>(&mut self, item: &'i Item, at: usize, what: &str) -> Vec<(String, &'i Item, usize)> {
        let Some(table) = self.table(item, at, what) else { return Vec::new() };
        table.iter().map(|(name, item)| (name.to_owned(), item, key_start(table, name))).collect()
    }

    fn missing(&mut self, at: usize, what: &str, key: &str) {
        self.problem(at, "R0121", format!("{what} without `{key}`"), format!("Add `{key}` to it."));
    }

    fn blobs(&mut self, item: &Item, at: usize) -> Option<Blobs> {
        let table = self.table(item, at, "`blobs`")?;
        self.unknown_keys(table, &["over", "at"], "`blobs`");
        let over = table.get("over").and_then(|item| self.written(item, at, "`over`", size));
        let place =
            table.get("at").and_then(|item| self.string(item, at, "`at`")).map(|text| text.value.to_owned());
        for key in ["over", "at"].into_iter().filter(|key| !table.contains_key(key)) {
            self.missing(at, "`blobs`", key);
        }
        Some(Blobs { over_bytes: over?, at: place? })
    }

    fn auth(&mut self, item: &Item, at: usize) -> Option<Auth> {
        let table = self.table(item, at, "`auth`")?;
        self.unknown_keys(
            table,
            &["jwks", "issuer", "audience", "tenant_claim", "rights_claim", "rights"],
            "`auth`",
        );
        let mut text = |key: &str| {
            let item = table.get(key)?;
            self.written(item, key_start(table, key), &format!("`{key}`"), |text| Ok(text.to_owned()))
        };
        let (jwks, issuer, audience) = (text("jwks"), text("issuer"), text("audience"));
        let (tenant_claim, rights_claim) = (text("tenant_claim"), text("rights_claim"));
        let rights = table
            .get("rights")
            .and_then(|item| self.written(item, key_start(table, "rights"), "`rights`", rights));
        Some(Auth { jwks, issuer, audience, tenant_claim, rights_claim, rights })
    }

    fn backup(&mut self, item: &Item, at: usize) -> Option<Backup> {
        let table = self.table(item, at, "`backup`")?;
        self.unknown_keys(table, &["at", "daily", "monthly"], "`backup`");
        let time = table.get("at").and_then(|item| {
            self.written(item, at, "`at`", |text| time_of_day(text).map(|()| text.to_owned()))
        });
        let daily = table.get("daily").and_then(|item| self.count(item, at, "`daily`"));
        let monthly = table.get("monthly").and_then(|item| self.count(item, at, "`monthly`"));
        for key in ["at", "daily", "monthly"].into_iter().filter(|key| !table.contains_key(key)) {
            self.missing(at, "`backup`", key);
        }
        Some(Backup { at: time?.text, daily: daily?, monthly: monthly? })
    }

    pub(super) fn collection(&mut self, table: &dyn TableLike, at: usize, collection: &mut Collection) {
        self.unknown_keys(table, &COLLECTION, "a collection");
        self.place(table, at, collection);
        for (key, item) in table.iter() {
            let at = key_start(table, key);
            match key {
                "index" => collection.index = self.indexes(item, at, true),
                "unique" => collection.unique = self.indexes(item, at, false),
                "search" => {
                    let texts = self.strings(item, at, "`search`");
                    collection.search = texts.iter().map(|text| text.value.to_owned()).collect();
                }
                "tenant" => {
                    collection.tenant = self.string(item, at, "`tenant`").map(|text| text.value.to_owned());
                }
                "expire" => collection.expire = self.written(item, at, "`expire`", after),
                "archive" => collection.archive = self.written(item, at, "`archive`", after),
                "soft_delete" => collection.soft_delete = self.life(item, at, key),
                "audit" => collection.audit = self.life(item, at, key),
                "cache" => collection.cache = self.life(item, at, key),
                "mirror" => collection.mirror = self.life(item, at, key),
                "queue" => collection.queue = self.queue(item, at),
                "watch" => collection.watch = self.boolean(item, at, "`watch`").unwrap_or_default(),
                "move" => collection.moves = self.boolean(item, at, "`move`").unwrap_or(true),
                "etag" => collection.etag_required = self.choice(item, at, key, &["required"]).is_some(),
                "unknown" => {
                    collection.refuse_unknown = self.choice(item, at, key, &["keep", "refuse"]) == Some(1);
                }
                "format" => {
                    let formats = [Format::Json, Format::JsonLines, Format::Text, Format::Bytes];
                    let choice = self.choice(item, at, key, &["json", "jsonl", "text", "bytes"]);
                    collection.format = choice.and_then(|index| formats.get(index).copied());
                }
                "fields" => self.fields(item, at, collection),
                "transitions" => self.transitions(item, at, collection),
                "quota" => self.quotas(item, at, collection),
                _ => {}
            }
        }
        place_rows(collection);
    }

    fn life(&mut self, item: &Item, at: usize, key: &str) -> Option<Written<u64>> {
        self.written(item, at, &format!("`{key}`"), duration)
    }

    fn choice(&mut self, item: &Item, at: usize, key: &str, choices: &[&str]) -> Option<usize> {
        let text = self.string(item, at, &format!("`{key}`"))?;
        let found = choices.iter().position(|choice| *choice == text.value);
        if found.is_none() {
            let listed = format!(
                "Write {}.",
                choices.iter().map(|choice| format!("`{choice}`")).collect::<Vec<_>>().join(" or ")
            );
            let hint = did_you_mean(text.value, choices.iter().copied(), &listed);
            self.problem(text.at(0), "R0126", format!("`{key}` cannot be `{}`", text.value), hint);
        }
        found
    }

    fn place(&mut self, table: &dyn TableLike, at: usize, collection: &mut Collection) {
        let file = table.get("file").map(|item| self.templates(item, key_start(table, "file")));
        let inside = table.get("in").map(|item| self.strings(item, key_start(table, "in"), "`in`"));
        let view = table.get("view").and_then(|item| self.string(item, key_start(table, "view"), "`view`"));
        let name =
            table.get("table").and_then(|item| self.string(item, key_start(table, "table"), "`table`"));
        let refresh =
            table.get("refresh").and_then(|item| self.life(item, key_start(table, "refresh"), "refresh"));
        for (key, needs, there) in [("table", "file", file.is_some()), ("refresh", "view", view.is_some())] {
            if table.contains_key(key) && !there {
                self.problem(
                    key_start(table, key),
                    "R0125",
                    format!("`{key}` without `{needs}`"),
                    format!("Add `{needs}`, or leave `{key}` out."),
                );
            }
        }
        for (key, other) in [("view", "file"), ("view", "in"), ("in", "table")] {
            if table.contains_key(key) && table.contains_key(other) {
                self.problem(
                    key_start(table, key),
                    "R0125",
                    format!("`{key}` and `{other}` together"),
                    "Leave one of them out: a collection lives in one kind of place.",
                );
            }
        }
        match (file, inside) {
            (Some(templates), Some(texts)) => {
                let steps = self.steps_in_file(&texts, key_start(table, "in"));
                collection.place = Place::InFiles { templates, steps: steps.unwrap_or_default() };
            }
            (Some(templates), None) => {
                collection.place = match name {
                    Some(name) => {
                        Place::SqliteTable { templates, table: name.value.to_owned(), rows: Vec::new() }
                    }
                    None => Place::Files(templates),
                };
            }
            (None, Some(texts)) => {
                collection.place = Place::In(self.in_places(&texts, key_start(table, "in")));
            }
            (None, None) => match view {
                Some(view) => collection.place = Place::View { sql: view.value.to_owned(), refresh },
                None if table.contains_key("view") => {}
                None => self.problem(
                    at,
                    "R0125",
                    format!("`[{}]` does not say where its documents are", collection.name),
                    "Add `file = \"...\"`, `in = \"parent.list[]\"` or `view = \"select ...\"`.",
                ),
            },
        }
    }

    fn templates(&mut self, item: &Item, at: usize) -> Vec<Template> {
        let texts = self.strings(item, at, "`file`");
        if item.as_array().is_some_and(toml_edit::Array::is_empty) {
            self.problem(
                at,
                "R0125",
                "`file` without a template",
                "Write where the files are, such as `{id}.json`.",
            );
        }
        let mut templates = Vec::new();
        for text in &texts {
            match Template::parse(text.value) {
                Ok(template) => templates.push(template),
                Err(problem) => self.problem(text.at(problem.at), "R0127", problem.message, problem.hint),
            }
        }
        templates
    }

    fn steps_in_file(&mut self, texts: &[Text<'_>], at: usize) -> Option<Vec<Step>> {
        let [text] = texts else {
            self.problem(
                at,
                "R0125",
                "`in` beside `file` with more than one place or none",
                "Write one place, such as `users[]`; make a section for each list.",
            );
            return None;
        };
        match places::in_file(text.value) {
            Ok(steps) => Some(steps),
            Err(problem) => {
                self.problem(text.at(problem.at), "R0128", problem.message, problem.hint);
                None
            }
        }
    }

    fn in_places(&mut self, texts: &[Text<'_>], at: usize) -> Vec<super::InPlace> {
        let mut found = Vec::new();
        if texts.is_empty() {
            self.problem(
                at,
                "R0125",
                "`in` without a place",
                "Write for example `conversations.messages[]`.",
            );
        }
        for text in texts {
            match places::in_parent(text.value) {
                Ok(place) => found.push(place),
                Err(problem) => self.problem(text.at(problem.at), "R0128", problem.message, problem.hint),
            }
        }
        found
    }

    fn indexes(&mut self, item: &Item, at: usize, ordered: bool) -> Vec<Index> {
        let what = if ordered { "`index`" } else { "`unique`" };
        let texts = self.strings(item, at, what);
        texts.iter().map(|text| self.index(text, ordered)).collect()
    }

    fn index(&mut self, text: &Text<'_>, ordered: bool) -> Index {
        let (name, columns) = match text.value.split_once(':') {
            Some((name, columns)) => (Some(name.trim().to_owned()), columns),
            None => (None, text.value),
        };
        let mut index = Index { name, columns: Vec::new(), span: self.span(text.at(0)) };
        for column in columns.split(',') {
            let words: Vec<&str> = column.split_whitespace().collect();
            match words.as_slice() {
                [field] => index.columns.push(((*field).to_owned(), false)),
                [field, "desc"] if ordered => index.columns.push(((*field).to_owned(), true)),
                [field, "asc"] if ordered => index.columns.push(((*field).to_owned(), false)),
                _ => {
                    let hint = if ordered {
                        "Write field names with commas between, `desc` behind one to turn it round, as in `user_id, created_at desc`."
                    } else {
                        "Write field names with commas between, as in `service, external_id`."
                    };
                    self.problem(text.at(0), "R0126", format!("`{}` is no list of fields", text.value), hint);
                }
            }
        }
        index
    }

    fn queue(&mut self, item: &Item, at: usize) -> Option<Queue> {
        let table = self.table(item, at, "`queue`")?;
        self.unknown_keys(table, &["lease", "tries"], "`queue`");
        let lease = table.get("lease").and_then(|item| self.life(item, at, "lease"));
        let tries = table.get("tries").and_then(|item| self.count(item, at, "`tries`"));
        for key in ["lease", "tries"].into_iter().filter(|key| !table.contains_key(key)) {
            self.missing(at, "`queue`", key);
        }
        Some(Queue { lease: lease?, tries: tries? })
    }

    fn fields(&mut self, item: &Item, at: usize, collection: &mut Collection) {
        for (name, item, at) in self.entries(item, at, "`fields`") {
            let Some(text) = self.string(item, at, &format!("field `{name}`")) else { continue };
            // a field that cannot be read still has its name, so that what speaks of it is no second mistake
            let mut parsed = Field::new(name.clone(), FieldKind::Scalar(Scalar::Json));
            match field::parse(&name, text.value) {
                Ok(field) => parsed = field,
                Err(problems) => {
                    for problem in problems {
                        self.problem(
                            text.at(problem.at),
                            problem.code,
                            format!("{name}: {}", problem.message),
                            problem.hint,
                        );
                    }
                }
            }
            parsed.span = self.span(at);
            collection.fields.push(parsed);
        }
    }

    fn transitions(&mut self, item: &Item, at: usize, collection: &mut Collection) {
        for (field, item, at) in self.entries(item, at, "`transitions`") {
            let mut changes = std::collections::BTreeMap::new();
            for (from, item, at) in self.entries(item, at, &format!("`transitions.{field}`")) {
                if item.as_array().is_none() {
                    self.problem(
                        at,
                        "R0122",
                        format!("`{from}` is no list of words"),
                        "Write the words it may change to in brackets, `[]` for none.",
                    );
                }
                let texts = self.strings(item, at, &format!("`{from}`"));
                changes.insert(from, texts.iter().map(|text| text.value.to_owned()).collect());
            }
            collection.transitions.insert(field, changes);
        }
    }

    fn quotas(&mut self, item: &Item, at: usize, collection: &mut Collection) {
        for (name, item, at) in self.entries(item, at, "`quota`") {
            let Some(table) = self.table(item, at, &format!("`quota.{name}`")) else { continue };
            self.unknown_keys(table, &["used", "limit", "reset"], "a quota");
            let mut read =
                |key: &str| Some(self.string(table.get(key)?, at, &format!("`{key}`"))?.value.to_owned());
            let (used, limit, reset) = (read("used"), read("limit"), read("reset"));
            match used {
                Some(used) => drop(collection.quota.insert(name, Quota { used, limit, reset })),
                None if table.contains_key("used") => {}
                None => self.missing(at, &format!("quota `{name}`"), "used"),
            }
        }
    }
}

/// Says where rows of a table in SQLite files are while each is a document of its own: `u1/database.sqlite/games/7.json`. No
/// file can be there beside the one that the rows are in.
fn place_rows(collection: &mut Collection) {
    let keys: Vec<String> =
        collection.fields.iter().filter(|field| field.key).map(|field| field.name.clone()).collect();
    let Place::SqliteTable { templates, table, rows } = &mut collection.place else { return };
    let table = table.replace('{', "{{").replace('}', "}}");
    let row = |template: &Template| {
        let captured = |key: &str| template.captures().iter().any(|capture| capture.name == key);
        let mut steps = vec![template.text().to_owned(), table.clone()];
        steps.extend(keys.iter().filter(|key| !captured(key)).map(|key| format!("{{{key}}}")));
        Template::parse(&(steps.join("/") + ".json")).ok()
    };
    *rows = templates.iter().filter_map(row).collect();
}
