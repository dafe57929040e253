//! From a checked model to its plan.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::part::PartRules;
use super::program::{Child, ColumnProgram, Op, Shape, TableProgram, column_kind, constant, list_kind};
use super::references::{covered, has_rows, path_reference, referring_kind, table_order, unique_name};
use super::rules::TableRules;
use super::{Column, ColumnKind, ForeignKey, IndexPlan, Parent, Plan, Root, SqlDefault, Table};
use crate::language::{
    Body, Collection, DefaultValue, Field, FieldKind, Format, InPlace, Index, Model, Place, Problem, Step,
};
use crate::sql::SearchIndex;

impl Plan {
    /// Compiles a model that [`crate::language::check`] found no fault with.
    ///
    /// # Errors
    /// What the check cannot see or what this version does not do yet.
    pub fn compile(model: &Model) -> Result<Self, Vec<Problem>> {
        let mut compiler = Compiler::new(model);
        for at in compiler.order.clone() {
            compiler.table(&model.collections[at]);
        }
        for at in compiler.order.clone() {
            compiler.children(&model.collections[at]);
        }
        for (at, collection) in model.collections.iter().enumerate() {
            compiler.root(at, collection);
        }
        if compiler.problems.is_empty() { Ok(compiler.finish()) } else { Err(compiler.problems) }
    }
}

struct Compiler<'m> {
    model: &'m Model,
    order: Vec<usize>,
    /// Table index by collection name.
    indexes: BTreeMap<String, usize>,
    tables: Vec<Table>,
    programs: Vec<TableProgram>,
    roots: Vec<Root>,
    views: Vec<(String, String)>,
    names: Vec<String>,
    problems: Vec<Problem>,
}

/// A column to be added.
#[derive(Clone)]
struct New<'f> {
    field: &'f Field,
    name: String,
    kind: ColumnKind,
    words: Vec<String>,
    path: Option<Vec<String>>,
    required: bool,
}

impl New<'_> {
    /// Adds it to both sides; gives its index.
    fn add(self, table: &mut Table, program: &mut TableProgram) -> usize {
        let default = self.field.default.as_ref();
        let filled = default.and_then(|default| match default {
            DefaultValue::Constant(text) => constant(text, self.kind),
            _ => None,
        });
        table.columns.push(Column {
            name: self.name.clone(),
            kind: self.kind,
            nullable: !self.required,
            default: default.and_then(|default| sql_default(default, self.kind)),
            words: self.words.clone(),
        });
        program.columns.push(ColumnProgram {
            name: self.name,
            kind: self.kind,
            required: self.required,
            key: self.field.key,
            default: filled,
            words: self.words,
            path: self.path,
        });
        table.columns.len() - 1
    }
}

impl<'m> Compiler<'m> {
    fn new(model: &'m Model) -> Self {
        let order = table_order(model);
        let indexes =
            order.iter().enumerate().map(|(at, &of)| (model.collections[of].name.clone(), at)).collect();
        Self {
            model,
            order,
            indexes,
            tables: Vec::new(),
            programs: Vec::new(),
            roots: Vec::new(),
            views: Vec::new(),
            names: Vec::new(),
            problems: Vec::new(),
        }
    }

    fn problem(&mut self, code: &'static str, span: crate::language::Span, message: String, hint: &str) {
        self.problems.push(Problem {
            code,
            file: "repot.toml".to_owned(),
            span,
            message,
            hint: hint.to_owned(),
        });
    }

    fn table(&mut self, collection: &Collection) {
        let mut table = Table {
            name: collection.name.clone(),
            columns: Vec::new(),
            key: Vec::new(),
            key_is_auto: false,
            identity: Vec::new(),
            unique: Vec::new(),
            indexes: Vec::new(),
            foreign_keys: Vec::new(),
            position: None,
            parents: Vec::new(),
            tenant: None,
        };
        let mut program = TableProgram {
            columns: Vec::new(),
            shape: Shape::default(),
            whole: Vec::new(),
            refuse_unknown: collection.refuse_unknown,
            auto_key: None,
        };
        for field in &collection.fields {
            self.field(collection, field, &mut table, &mut program);
        }
        for (at, column) in program.columns.iter().enumerate() {
            match column.path.as_deref() {
                Some([]) => program.whole.push(at),
                Some([names @ .., last]) => program.shape.descend(names).entry(last).columns.push(at),
                None => {}
            }
        }
        let auto = |name: &str| collection.field(name).is_some_and(|field| field.auto);
        table.key_is_auto = table.key.len() == 1
            && table.key.iter().all(|&at| auto(&table.columns[at].name))
            && program.auto_key.is_some();
        self.indexes(collection, &mut table);
        let tenant = |name: &String| table.columns.iter().position(|column| column.name == *name);
        table.tenant = collection.tenant.as_ref().and_then(tenant);
        self.tables.push(table);
        self.programs.push(program);
    }

    fn field(
        &mut self,
        collection: &Collection,
        field: &Field,
        table: &mut Table,
        program: &mut TableProgram,
    ) {
        let parent = self.is_parent_reference(collection, field);
        let entry = entry_fields(collection).contains(&field.name);
        let path = self.document_path(field, parent, entry);
        let timed =
            matches!(field.default, Some(DefaultValue::Now | DefaultValue::NowOnWrite | DefaultValue::Today));
        let made = field.auto && !field.key && !matches!(field.kind, FieldKind::Ref(_));
        let plain = New {
            field,
            name: field.name.clone(),
            kind: ColumnKind::Json,
            words: Vec::new(),
            path,
            required: !(field.optional || timed || made),
        };
        let new = match &field.kind {
            FieldKind::Scalar(scalar) => New { kind: column_kind(*scalar), ..plain },
            FieldKind::List(scalar) => New { kind: list_kind(*scalar), ..plain },
            FieldKind::Enum(words) => New { kind: ColumnKind::Text(None), words: words.clone(), ..plain },
            FieldKind::Body(Body::Text) => New { kind: ColumnKind::Text(None), required: false, ..plain },
            FieldKind::Body(Body::Bytes) => New { kind: ColumnKind::Bytes, required: true, ..plain },
            FieldKind::Body(Body::Json) => New { required: true, ..plain },
            FieldKind::Position => {
                table.position = Some(table.columns.len());
                New { kind: ColumnKind::Int, required: !position_may_lack(collection), ..plain }
            }
            FieldKind::Ref(targets) => {
                match self.reference(collection, field, targets, plain, (table, program)) {
                    Some(new) => new,
                    None => return,
                }
            }
        };
        let column = new.add(table, program);
        if field.key {
            table.key.push(column);
            if field.auto && !matches!(field.kind, FieldKind::Ref(_)) {
                program.auto_key = Some(column);
            }
        }
        if let FieldKind::Ref(targets) = &field.kind
            && let [target] = targets.as_slice()
            && let Some(&other) = self.indexes.get(target)
        {
            let key = self.foreign_key(collection, field, column, other);
            table.foreign_keys.push(key);
        }
    }

    /// The column of a reference; a polymorphic one has the column with the other's name before it.
    fn reference<'f>(
        &mut self,
        collection: &Collection,
        field: &'f Field,
        targets: &[String],
        plain: New<'f>,
        (table, program): (&mut Table, &mut TableProgram),
    ) -> Option<New<'f>> {
        let name = &field.name;
        let Some(kind) = referring_kind(self.model, targets, 0) else {
            self.problem(
                "R0131",
                field.span,
                format!("{}.{name} refers to a collection without a single key", collection.name),
                "Give that collection one key field.",
            );
            return None;
        };
        if targets.len() < 2 {
            return Some(New { kind, ..plain });
        }
        let beside = |suffix: &str| plain.path.is_some().then(|| vec![format!("{name}_{suffix}")]);
        let of_type = New {
            name: format!("{name}_type"),
            kind: ColumnKind::Text(None),
            words: targets.to_vec(),
            path: beside("type"),
            ..plain.clone()
        };
        of_type.add(table, program);
        Some(New { name: format!("{name}_id"), kind, path: beside("id"), ..plain })
    }

    /// The constraint for a column that refers to table number `other`.
    fn foreign_key(
        &mut self,
        collection: &Collection,
        field: &Field,
        column: usize,
        other: usize,
    ) -> ForeignKey {
        let target = &self.model.collections[self.order[other]];
        ForeignKey {
            name: unique_name(&format!("fk_{}_{}", collection.name, field.name), &mut self.names),
            column,
            table: other,
            target_column: columns_before(target, |field| field.key),
            on_delete: field.on_delete,
            may_dangle: !self.is_parent_reference(collection, field),
        }
    }

    /// The one reference to the row that holds this one.
    fn is_parent_reference(&self, collection: &Collection, field: &Field) -> bool {
        let (Place::In(places), FieldKind::Ref(targets)) = (&collection.place, &field.kind) else {
            return false;
        };
        field.auto && places.iter().all(|place| targets.contains(&place.parent))
    }

    fn document_path(&self, field: &Field, parent: bool, entry: bool) -> Option<Vec<String>> {
        let of_document =
            !field.auto && !parent && !matches!(field.kind, FieldKind::Body(_) | FieldKind::Position);
        match &field.from {
            Some(names) => of_document.then(|| names.clone()),
            None => (of_document && !entry).then(|| vec![field.name.clone()]),
        }
    }

    fn indexes(&mut self, collection: &Collection, table: &mut Table) {
        for field in collection.fields.iter().filter(|field| field.unique && !field.key) {
            let spec = Index { name: None, columns: vec![(field.name.clone(), false)], span: field.span };
            let unique = self.index(collection, table, &spec, "uq");
            table.unique.push(unique);
        }
        for spec in &collection.unique {
            let unique = self.index(collection, table, spec, "uq");
            let columns: Vec<usize> = unique.columns.iter().map(|column| column.0).collect();
            if columns != table.key {
                table.unique.push(unique);
            }
        }
        for spec in &collection.index {
            let index = self.index(collection, table, spec, "idx");
            table.indexes.push(index);
        }
        let references = collection.fields.iter().filter(|field| matches!(field.kind, FieldKind::Ref(_)));
        for field in references {
            let spec = Index { name: None, columns: vec![(field.name.clone(), false)], span: field.span };
            let columns = expand(collection, &spec);
            if let Some(&(first, _)) = columns.first()
                && !covered(table, first)
            {
                let index = self.index(collection, table, &spec, "idx");
                table.indexes.push(index);
            }
        }
    }

    fn index(&mut self, collection: &Collection, table: &Table, spec: &Index, prefix: &str) -> IndexPlan {
        let columns = expand(collection, spec);
        let wanted = spec.name.clone().unwrap_or_else(|| {
            columns.iter().fold(format!("{prefix}_{}", collection.name), |mut name, column| {
                write!(name, "_{}", table.columns[column.0].name).expect("a String takes everything");
                name
            })
        });
        IndexPlan { name: unique_name(&wanted, &mut self.names), columns }
    }

    /// Ties a child collection to its parents.
    fn children(&mut self, collection: &'m Collection) {
        let own = self.indexes[&collection.name];
        if let Place::In(places) = &collection.place {
            let reference =
                collection.fields.iter().find(|field| self.is_parent_reference(collection, field));
            let Some(reference) = reference else {
                self.problem(
                    "R0132",
                    collection.span,
                    format!("{} has no field that refers to its parent", collection.name),
                    "Add a line such as `parent_id = \"-> parent cascade auto\"`.",
                );
                return;
            };
            let column = columns_before(collection, |field| std::ptr::eq(field, reference));
            let several = matches!(&reference.kind, FieldKind::Ref(targets) if targets.len() > 1);
            let (key_column, type_column) = if several { (column + 1, Some(column)) } else { (column, None) };
            for place in places {
                self.child(collection, own, place, (key_column, type_column));
            }
        }
        let table = &mut self.tables[own];
        table.identity.clone_from(&table.key);
        if table.identity.is_empty() {
            let parent =
                table.parents.iter().flat_map(|parent| parent.type_column.into_iter().chain([parent.column]));
            let mut identity: Vec<usize> = parent.chain(table.position).collect();
            identity.extend(
                entry_fields(collection)
                    .iter()
                    .map(|name| columns_before(collection, |field| field.name == *name)),
            );
            identity.sort_unstable();
            identity.dedup();
            table.identity = identity;
        }
    }

    fn child(
        &mut self,
        collection: &Collection,
        own: usize,
        place: &InPlace,
        columns: (usize, Option<usize>),
    ) {
        let Some(&parent) = self.indexes.get(&place.parent) else { return };
        let Some(&parent_column) = self.tables[parent].key.first() else { return };
        let (names, ops) = steps(collection, &place.steps);
        self.tables[own].parents.push(Parent {
            table: parent,
            column: columns.0,
            parent_column,
            type_column: columns.1,
        });
        self.programs[parent].shape.descend(&names).children.push(Child {
            table: own,
            ops,
            key: (columns.0, parent_column),
            type_column: columns.1,
            parent_name: place.parent.clone(),
        });
    }

    fn root(&mut self, at: usize, collection: &Collection) {
        let inside = match &collection.place {
            Place::Files(_) | Place::SqliteTable { .. } => None,
            Place::InFiles { steps: way, .. } => {
                let (names, ops) = steps(collection, way);
                Some(names.into_iter().map(Op::Name).chain(ops).collect())
            }
            Place::View { sql, .. } => return self.views.push((collection.name.clone(), sql.clone())),
            Place::In(_) => return,
        };
        let table = has_rows(collection).then(|| self.indexes[&collection.name]);
        let body = collection.fields.iter().find_map(|field| match field.kind {
            FieldKind::Body(body) => {
                Some((columns_before(collection, |other| std::ptr::eq(other, field)), body))
            }
            _ => None,
        });
        let column = |name: &str| {
            let field = collection.field(name)?;
            Some(columns_before(collection, |other| std::ptr::eq(other, field)))
        };
        let own = collection.templates();
        let name_list = |template: &crate::place::Template| {
            template.captures().iter().map(|capture| capture.name.clone()).collect::<Vec<_>>()
        };
        let path_references = collection
            .fields
            .iter()
            .filter_map(|field| match &field.kind {
                FieldKind::Ref(targets) if field.auto => {
                    path_reference(self.model, targets.first()?, column(&field.name)?)
                }
                _ => None,
            })
            .filter(|_| table.is_some())
            .collect();
        self.roots.push(Root {
            collection: at,
            name: collection.name.clone(),
            table,
            format: collection.format.unwrap_or_else(|| default_format(own, body.map(|body| body.1))),
            body,
            inside,
            captures: own
                .iter()
                .map(|template| name_list(template).iter().map(|name| column(name)).collect())
                .collect(),
            capture_names: own.iter().map(name_list).collect(),
            path_references,
        });
    }

    fn finish(self) -> Plan {
        let described = format!("{:?}{:?}{:?}{:?}", self.tables, self.programs, self.roots, self.views);
        let hash = Sha256::digest(described.as_bytes()).iter().fold(String::new(), |mut hash, byte| {
            write!(hash, "{byte:02x}").expect("a String takes everything");
            hash
        });
        let collections = self.order.iter().map(|&at| &self.model.collections[at]);
        let rules =
            collections.zip(&self.programs).map(|(collection, program)| TableRules::of(collection, program));
        let mut plan = Plan {
            rules: rules.collect(),
            tables: self.tables,
            roots: self.roots,
            views: self.views,
            hash,
            programs: self.programs,
            parts: Vec::new(),
            searches: Vec::new(),
        };
        plan.parts = (0..plan.tables.len()).map(|table| PartRules::of(&plan, table)).collect();
        plan.searches = SearchIndex::all(&plan);
        plan
    }
}

/// Number of columns that the fields before the first match make.
pub(super) fn columns_before(collection: &Collection, matches: impl Fn(&Field) -> bool) -> usize {
    let width = |field: &Field| match &field.kind {
        FieldKind::Ref(targets) if targets.len() > 1 => 2,
        _ => 1,
    };
    collection.fields.iter().take_while(|field| !matches(field)).map(width).sum()
}

/// The columns of an index; a polymorphic reference stands for both of its columns.
fn expand(collection: &Collection, spec: &Index) -> Vec<(usize, bool)> {
    let mut columns = Vec::new();
    for (name, descending) in &spec.columns {
        let Some(field) = collection.field(name) else { continue };
        let at = columns_before(collection, |other| std::ptr::eq(other, field));
        columns.push((at, *descending));
        if matches!(&field.kind, FieldKind::Ref(targets) if targets.len() > 1) {
            columns.push((at + 1, *descending));
        }
    }
    columns
}

/// Leading names, and the steps over data after them.
fn steps(collection: &Collection, steps: &[Step]) -> (Vec<String>, Vec<Op>) {
    let leading = steps.iter().take_while(|step| matches!(step, Step::Name(_))).count();
    let (names, rest) = steps.split_at(leading);
    let names = names.iter().filter_map(|step| match step {
        Step::Name(name) => Some(name.clone()),
        Step::Each | Step::Entry(_) => None,
    });
    let ops = rest.iter().map(|step| match step {
        Step::Name(name) => Op::Name(name.clone()),
        Step::Each => Op::Each,
        Step::Entry(name) => Op::Entry(columns_before(collection, |field| field.name == *name)),
    });
    (names.collect(), ops.collect())
}

/// Fields that keys of maps fill.
pub(super) fn entry_fields(collection: &Collection) -> Vec<String> {
    let all: Vec<&Step> = match &collection.place {
        Place::In(places) => places.iter().flat_map(|place| &place.steps).collect(),
        Place::InFiles { steps, .. } => steps.iter().collect(),
        _ => Vec::new(),
    };
    let mut names: Vec<String> = all
        .into_iter()
        .filter_map(|step| match step {
            Step::Entry(name) => Some(name.clone()),
            _ => None,
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Some place of the collection is no list, so a row may have no position.
fn position_may_lack(collection: &Collection) -> bool {
    let listed = |steps: &[Step]| matches!(steps.last(), Some(Step::Each));
    match &collection.place {
        Place::In(places) => !places.iter().all(|place| listed(&place.steps)),
        Place::InFiles { steps, .. } => !listed(steps),
        _ => false,
    }
}

fn default_format(templates: &[crate::place::Template], body: Option<Body>) -> Format {
    let ends = |ending: &str| templates.iter().any(|template| template.text().ends_with(ending));
    match body {
        Some(Body::Text) => Format::Text,
        Some(Body::Bytes) => Format::Bytes,
        _ if ends(".jsonl") || ends(".ndjson") => Format::JsonLines,
        _ => Format::Json,
    }
}

fn sql_default(default: &DefaultValue, kind: ColumnKind) -> Option<SqlDefault> {
    Some(match (default, kind) {
        (DefaultValue::Now | DefaultValue::NowOnWrite, ColumnKind::Date) | (DefaultValue::Today, _) => {
            SqlDefault::Today
        }
        (DefaultValue::Now | DefaultValue::NowOnWrite, _) => SqlDefault::Now,
        (
            DefaultValue::Constant(text),
            ColumnKind::Int | ColumnKind::Float | ColumnKind::Decimal | ColumnKind::Bool,
        ) => SqlDefault::Plain(text.clone()),
        (DefaultValue::Constant(text), _) => SqlDefault::Text(text.clone()),
    })
}
