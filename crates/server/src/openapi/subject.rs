//! A collection as the document needs it: its table, how its documents are named, who may reach it.

use repot_core::store::{Layout, Shape};
use repot_model::language::{Collection, FieldKind, Format, OnDelete, Place};
use repot_model::place::Capture;
use repot_model::plan::{Plan, Table};
use serde_json::{Value, json};

use super::schemas::{self, bounded, named};

/// A collection that has routes.
pub(super) struct Subject<'a> {
    pub layout: &'a Layout,
    pub collection: &'a Collection,
    /// Its table in the plan.
    pub table: usize,
    /// How its documents are named; `None`: its rows stand in other documents.
    pub shape: Option<Shape>,
}

/// Headers of a write that is done under a message.
pub(super) const LEASES: [&str; 2] = ["RepotLease", "RepotAck"];

/// The collections whose documents are messages.
pub(super) fn queues(layout: &Layout) -> Vec<&str> {
    let queues = layout.model().collections.iter().filter(|one| one.queue.is_some());
    queues.map(|one| one.name.as_str()).collect()
}

/// Whether there are any.
pub(super) fn has_queues(layout: &Layout) -> bool {
    !queues(layout).is_empty()
}

/// A path that names documents of a collection.
pub(super) struct Door {
    /// `/v1/dramas/{id}`.
    pub path: String,
    /// Its parameters.
    pub parameters: Vec<Value>,
    /// What names of operations end with.
    pub suffix: String,
    /// The path by a key that does not tell where a document is, so that none can be made there.
    pub is_closed: bool,
}

impl<'a> Subject<'a> {
    /// All that have routes, in the order of the model.
    pub(super) fn all(layout: &'a Layout) -> Vec<Self> {
        let subject = |collection: &'a Collection| {
            let table = layout.plan().table(&collection.name)?;
            Some(Self { layout, collection, table, shape: layout.shape(&collection.name).ok() })
        };
        layout.model().collections.iter().filter_map(subject).collect()
    }

    pub(super) fn name(&self) -> &'a str {
        &self.collection.name
    }

    pub(super) fn plan(&self) -> &'a Plan {
        self.layout.plan()
    }

    pub(super) fn columns(&self) -> &'a Table {
        &self.plan().tables[self.table]
    }

    pub(super) fn is_tenants(&self) -> bool {
        self.layout.is_tenants(self.name())
    }

    /// Its documents are JSON, so they have parts.
    pub(super) fn is_json(&self) -> bool {
        let format = self.shape.as_ref().map(|shape| shape.format);
        matches!(format, Some(Format::Json | Format::JsonLines))
    }

    /// A document is one value that the model does not look into.
    pub(super) fn is_body(&self) -> bool {
        self.collection.fields.iter().any(|field| matches!(field.kind, FieldKind::Body(_)))
    }

    fn captures(&self) -> Vec<&'a [Capture]> {
        self.collection.templates().iter().map(repot_model::place::Template::captures).collect()
    }

    /// The path of a document fills this field, where the document does not have it.
    pub(super) fn is_captured(&self, name: &str) -> bool {
        self.captures().iter().any(|list| list.iter().any(|capture| capture.name == name))
    }

    /// Fields that every new document must be given, beside what all documents have: for its name.
    pub(super) fn name_fields(&self) -> Vec<&'a str> {
        let Some(shape) = &self.shape else { return Vec::new() };
        let is_tenant = |name: &str| shape.tenant.as_deref() == Some(name);
        if self.follows_from_key(shape) {
            let columns = shape.key.iter().filter(|column| !column.takes_uuid && !column.path.is_empty());
            let names: Vec<&str> = columns.map(|column| column.name.as_str()).collect();
            let fields = self.collection.fields.iter().map(|field| field.name.as_str());
            return fields.filter(|name| names.contains(name) && !is_tenant(name)).collect();
        }
        let lists = self.captures();
        let Some((first, others)) = lists.split_first() else { return Vec::new() };
        let names = first.iter().map(|capture| capture.name.as_str());
        let in_all =
            |name: &&str| others.iter().all(|list| list.iter().any(|capture| capture.name == **name));
        names.filter(in_all).filter(|name| !is_tenant(name)).collect()
    }

    fn follows_from_key(&self, shape: &Shape) -> bool {
        let in_key = |name: &str| shape.key.iter().any(|column| column.name == name);
        let known = |name: &String| in_key(name) || shape.tenant.as_ref() == Some(name);
        !shape.makes_key && shape.places.iter().all(|names| names.iter().all(known))
    }

    /// The paths that name its documents.
    pub(super) fn doors(&self) -> Vec<Door> {
        let Some(shape) = &self.shape else { return Vec::new() };
        let by_key = self.follows_from_key(shape);
        let names: Vec<&str> = shape.key.iter().map(|column| column.name.as_str()).collect();
        let segments: Vec<String> = names.iter().map(|name| format!("{{{name}}}")).collect();
        let key = Door {
            path: format!("/v1/{}/{}", self.name(), segments.join("/")),
            parameters: names.iter().map(|name| self.path_parameter(name, None)).collect(),
            suffix: String::new(),
            is_closed: !by_key,
        };
        let mut doors = vec![key];
        if !by_key {
            doors.extend(self.captures().into_iter().map(|captures| self.place_door(shape, captures)));
        }
        doors
    }

    fn place_door(&self, shape: &Shape, captures: &[Capture]) -> Door {
        let mut parameters: Vec<(String, Value)> = captures
            .iter()
            .map(|capture| (capture.name.clone(), self.path_parameter(&capture.name, Some(capture))))
            .collect();
        let is_container =
            matches!(self.collection.place, Place::InFiles { .. }) || shape.format == Format::JsonLines;
        for column in shape.key.iter().filter(|_| is_container) {
            if parameters.iter().all(|(name, _)| *name != column.name) {
                parameters.push((column.name.clone(), self.path_parameter(&column.name, None)));
            }
        }
        let names: Vec<&str> = parameters.iter().map(|(name, _)| name.as_str()).collect();
        let pairs: Vec<String> = names.iter().map(|name| format!("{name}={{{name}}}")).collect();
        Door {
            path: format!("/v1/{}/@{}", self.name(), pairs.join("&")),
            suffix: format!("_by_{}", names.join("_")),
            parameters: parameters.into_iter().map(|(_, parameter)| parameter).collect(),
            is_closed: false,
        }
    }

    fn path_parameter(&self, name: &str, capture: Option<&Capture>) -> Value {
        let words = capture.map_or(&[][..], |capture| capture.words.as_slice());
        let rest = capture.is_some_and(|capture| capture.rest);
        let column = self.columns().columns.iter().find(|column| column.name == name);
        let schema = match column {
            _ if !words.is_empty() => json!({"type": "string", "enum": words}),
            Some(column) if !column.words.is_empty() => json!({"type": "string", "enum": column.words}),
            Some(column) => match schemas::plain(column.kind) {
                schema if schema["type"] != "string" => bounded(schema, column.kind),
                schema if schema.get("format").is_some() => schema,
                schema => named(schema, rest),
            },
            None => named(json!({"type": "string"}), rest),
        };
        json!({"name": name, "in": "path", "required": true, "schema": schema})
    }

    /// The schema of a field in a new document that gives it its name.
    pub(super) fn name_schema(&self, name: &str) -> Option<Value> {
        let mut captures = self.captures().into_iter().flatten();
        let capture = captures.find(|capture| capture.name == name);
        let mut parameter = self.path_parameter(name, capture.filter(|capture| capture.rest));
        Some(parameter.get_mut("schema")?.take())
    }

    /// Captures of its places, for new documents that cannot say them.
    pub(super) fn place_names(&self) -> Vec<&'a str> {
        let mut names: Vec<&str> = Vec::new();
        for capture in self.captures().into_iter().flatten() {
            if !names.contains(&capture.name.as_str()) {
                names.push(&capture.name);
            }
        }
        names
    }

    /// Whether something else can hold a document of this collection back from being deleted.
    pub(super) fn can_be_held(&self) -> bool {
        holds(self.layout, self.name(), &mut Vec::new())
    }
}

/// Whether a reference refuses that rows of this collection, or what goes with them, are deleted.
fn holds<'m>(layout: &'m Layout, name: &'m str, seen: &mut Vec<&'m str>) -> bool {
    if seen.contains(&name) {
        return false;
    }
    seen.push(name);
    // documents that share a file do not go with another one
    let is_shared =
        |other: &str| layout.plan().roots.iter().any(|root| root.name == other && root.is_container());
    layout.model().collections.iter().any(|other| {
        let refers = |kind: &FieldKind| matches!(kind, FieldKind::Ref(to) if to.iter().any(|to| to == name));
        let mut references = other.fields.iter().filter(|field| refers(&field.kind));
        references.any(|field| match field.on_delete {
            OnDelete::Refuse => true,
            OnDelete::Cascade => is_shared(&other.name) || holds(layout, &other.name, seen),
            OnDelete::SetNull => false,
        })
    })
}
