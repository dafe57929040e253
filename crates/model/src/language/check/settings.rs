//! Whether settings name what is there and fit its type.

use super::checker::{At, Checker, Finding};
use crate::language::names::is_identifier;
use crate::language::suggest::did_you_mean;
use crate::language::{After, Body, Collection, Field, FieldKind, Index, Period, Place, Scalar, Span};

/// Longest name, in bytes: what PostgreSQL keeps.
const NAME_MAX: usize = 63;

impl<'m> Checker<'m> {
    pub(super) fn repot(&mut self) {
        let settings = &self.model.settings;
        let mut find = |key: &str, message: &str, hint: &str| {
            self.found.push(Finding {
                code: "R0126",
                collection: None,
                span: Span { line: 1, column: 1 },
                key: Some(key.to_owned()),
                word: None,
                message: message.to_owned(),
                hint: hint.to_owned(),
            });
        };
        if settings.source.as_ref().is_some_and(|source| source.value.trim().is_empty()) {
            find("source", "`source` is empty", "Name a directory, or `s3://bucket/prefix`.");
        }
        if let Some(target) = &settings.target {
            let schemes = ["sqlite:", "postgres://", "postgresql://"];
            if !schemes.iter().any(|scheme| target.value.starts_with(scheme)) {
                find(
                    "target",
                    "`target` is no database URL",
                    "Write `sqlite:repot.db`, `postgresql://...`, or leave it out for ./repot.db.",
                );
            }
        }
        if settings
            .blobs
            .as_ref()
            .is_some_and(|blobs| !blobs.at.contains("{sha256}") || blobs.at.contains("${"))
        {
            find(
                "blobs",
                "`at` of `blobs` must hold `{sha256}` and no variable",
                "Write for example `s3://blobs/{sha256}`.",
            );
        }
    }

    pub(super) fn collection_settings(&mut self, index: usize, collection: &'m Collection) {
        let at = At::new(index, collection.span);
        self.only_views(at, collection);
        for (entries, key) in [(&collection.index, "index"), (&collection.unique, "unique")] {
            for entry in entries {
                self.index(index, collection, entry, key);
            }
        }
        for name in &collection.search {
            if let Some(field) = self.named(at.key("search"), collection, name, "`search`") {
                let text =
                    matches!(field.kind, FieldKind::Scalar(Scalar::Text(_)) | FieldKind::Body(Body::Text));
                self.unfit(
                    !text,
                    at.key("search").word(name),
                    &format!("`search` in {} names `{name}`, which is no text", collection.name),
                    "Search works on `text` and `body`.",
                );
            }
        }
        if let Some(name) = &collection.tenant
            && let Some(field) = self.named(at.key("tenant"), collection, name, "`tenant`")
        {
            let fits = matches!(
                field.kind,
                FieldKind::Scalar(Scalar::Text(_) | Scalar::Int | Scalar::Uuid) | FieldKind::Ref(_)
            );
            self.unfit(
                !fits || field.optional,
                at.key("tenant").word(name),
                &format!("`tenant` in {} names `{name}`, which cannot be a tenant", collection.name),
                "A tenant is `text`, `int`, `uuid` or a reference, and never missing.",
            );
        }
        for (setting, key) in [(&collection.expire, "expire"), (&collection.archive, "archive")] {
            if let Some(setting) = setting {
                self.after(index, collection, &setting.value, key);
            }
        }
        self.transitions(index, collection);
        self.quota(index, collection);
        self.queue(index, collection);
    }

    fn unfit(&mut self, wrong: bool, at: At<'_>, message: &str, hint: &str) {
        if wrong {
            self.find(at, "R0137", message.to_owned(), hint);
        }
    }

    fn only_views(&mut self, at: At<'_>, collection: &Collection) {
        if !matches!(collection.place, Place::View { .. }) {
            return;
        }
        let set = [
            ("fields", !collection.fields.is_empty()),
            ("index", !collection.index.is_empty()),
            ("unique", !collection.unique.is_empty()),
            ("search", !collection.search.is_empty()),
            ("tenant", collection.tenant.is_some()),
            ("expire", collection.expire.is_some()),
            ("archive", collection.archive.is_some()),
            ("soft_delete", collection.soft_delete.is_some()),
            ("audit", collection.audit.is_some()),
            ("mirror", collection.mirror.is_some()),
            ("queue", collection.queue.is_some()),
            ("watch", collection.watch),
            ("etag", collection.etag_required),
            ("unknown", collection.refuse_unknown),
            ("move", !collection.moves),
            ("transitions", !collection.transitions.is_empty()),
            ("quota", !collection.quota.is_empty()),
        ];
        for (key, _) in set.iter().filter(|(_, set)| *set) {
            let message = format!("{} is a view, which has no `{key}`", collection.name);
            self.find(at.key(key), "R0125", message, "A view has `view`, `refresh` and `cache` only.");
        }
    }

    fn index(&mut self, index: usize, collection: &'m Collection, entry: &Index, key: &str) {
        let at = At::new(index, entry.span);
        if let Some(name) = &entry.name
            && (!is_identifier(name)
                || name.len() > NAME_MAX
                || name.to_ascii_lowercase().starts_with("sqlite_"))
        {
            let message = format!("`{name}` is no name for an index");
            self.find(at.word(name), "R0130", message, "Names have letters, digits and `_`, at most 63.");
        }
        for (count, (name, _)) in entry.columns.iter().enumerate() {
            let what = format!("`{key}`");
            let Some(field) = self.named(at, collection, name, &what) else { continue };
            let whole = matches!(
                field.kind,
                FieldKind::List(_) | FieldKind::Body(_) | FieldKind::Scalar(Scalar::Json)
            );
            self.unfit(
                whole,
                at.word(name),
                &format!("{what} in {} names `{name}`, which is a list, json or body", collection.name),
                "Index a scalar; for words inside a text there is `search`.",
            );
            let twice = entry.columns.iter().take(count).any(|(earlier, _)| earlier == name);
            self.unfit(
                twice,
                at.word(name),
                &format!("{what} in {} names `{name}` twice", collection.name),
                "Leave one of them out.",
            );
        }
    }

    fn after(&mut self, index: usize, collection: &'m Collection, after: &After, key: &str) {
        let at = At::new(index, collection.span).key(key);
        let (owner, name) = match after.field.split_once('.') {
            None => (Some(collection), after.field.as_str()),
            Some((other, name)) => (self.referred(at, collection, other, key), name),
        };
        let Some(owner) = owner else { return };
        if let Some(field) = self.named(at, owner, name, &format!("`{key}`")) {
            let time = matches!(field.kind, FieldKind::Scalar(Scalar::Time | Scalar::Date));
            self.unfit(
                !time,
                at.word(name),
                &format!("`{key}` in {} names `{name}`, which is no time", collection.name),
                "Name a `time` or `date`.",
            );
        }
        if let Some((name, value)) = &after.when
            && let Some(field) = self.named(at, collection, name, &format!("`{key}`"))
            && let FieldKind::Enum(words) = &field.kind
            && !words.contains(value)
        {
            let hint = did_you_mean(
                value,
                words.iter().map(String::as_str),
                &format!("Words are {}.", words.join(", ")),
            );
            self.unfit(true, at.word(value), &format!("`{value}` is no word of `{name}`"), &hint);
        }
    }

    fn referred(
        &mut self,
        at: At<'_>,
        collection: &'m Collection,
        name: &str,
        key: &str,
    ) -> Option<&'m Collection> {
        let refers = |field: &Field| matches!(&field.kind, FieldKind::Ref(targets) if targets.iter().any(|target| target == name));
        let found = self.model.collection(name).filter(|_| collection.fields.iter().any(refers));
        if found.is_none() {
            let message =
                format!("`{key}` in {} names `{name}`, to which nothing here refers", collection.name);
            self.find(
                at.word(name),
                "R0137",
                message,
                "Name a field, or `collection.field` of a collection that a field refers to.",
            );
        }
        found.filter(|_| !self.broken.contains(name))
    }

    fn transitions(&mut self, index: usize, collection: &'m Collection) {
        for (name, changes) in &collection.transitions {
            let header = format!("[{}.transitions.{name}", collection.name);
            let at = At::new(index, collection.span).key(&header);
            let Some(field) = self.named(at, collection, name, "`transitions`") else { continue };
            let FieldKind::Enum(words) = &field.kind else {
                let message =
                    format!("`transitions` in {} names `{name}`, which is no list of words", collection.name);
                self.find(at.word(name), "R0139", message, "Give the field its words, as in `open | done`.");
                continue;
            };
            for word in changes
                .iter()
                .flat_map(|(from, to)| std::iter::once(from).chain(to))
                .filter(|word| !words.contains(word))
            {
                let hint = did_you_mean(
                    word,
                    words.iter().map(String::as_str),
                    &format!("Words are {}.", words.join(", ")),
                );
                self.find(
                    at.word(word),
                    "R0139",
                    format!("`{word}` is no word of `{}.{name}`", collection.name),
                    hint,
                );
            }
            if let Some(word) = words.iter().find(|word| !changes.contains_key(*word)) {
                let message = format!(
                    "`transitions.{name}` in {} does not say what `{word}` may change to",
                    collection.name
                );
                self.find(at, "R0139", message, format!("Add `{word} = []`, or the words it may change to."));
            }
        }
    }

    fn quota(&mut self, index: usize, collection: &'m Collection) {
        for (counter, quota) in &collection.quota {
            let at = At::new(index, collection.span).key(counter);
            for name in std::iter::once(&quota.used).chain(&quota.limit) {
                if let Some(field) = self.named(at, collection, name, "`quota`") {
                    self.unfit(
                        field.kind != FieldKind::Scalar(Scalar::Int),
                        at.word(name),
                        &format!("`quota` in {} names `{name}`, which is no `int`", collection.name),
                        "Counters and limits are `int`.",
                    );
                }
            }
            if let Some(name) = &quota.reset
                && let Some(field) = self.named(at, collection, name, "`quota`")
            {
                let time = matches!(field.kind, FieldKind::Scalar(Scalar::Time | Scalar::Date));
                self.unfit(
                    !time,
                    at.word(name),
                    &format!("`quota` in {} names `{name}`, which is no time", collection.name),
                    "`reset` names a `date` or `time`.",
                );
                if let Some((message, hint)) = Period::wrong(collection, counter, quota).filter(|_| time) {
                    self.find(at, "R0137", message, hint);
                }
            }
        }
    }

    fn queue(&mut self, index: usize, collection: &'m Collection) {
        let Some(queue) = &collection.queue else { return };
        let at = At::new(index, collection.span).key("queue");
        let own = matches!(collection.place, Place::Files(_) | Place::InFiles { .. }) && collection.moves;
        if !own && !matches!(collection.place, Place::View { .. }) {
            let message =
                format!("{} has no documents of its own, so nobody can claim them", collection.name);
            self.find(at, "R0135", message, "Give `queue` to a collection with `file` that moves.");
        } else if own && !collection.fields.iter().any(|field| field.key) {
            let message = format!("documents of {} have no key, so nobody can claim them", collection.name);
            self.find(at, "R0135", message, "Say which field is the key.");
        }
        if queue.tries == 0 || queue.lease.value == 0 {
            let message = format!("`queue` in {} has a `lease` or `tries` of nothing", collection.name);
            self.find(at, "R0135", message, "Write for example `{ lease = \"60s\", tries = 5 }`.");
        }
    }
}
