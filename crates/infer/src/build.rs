//! From drafts to the model's own words.

use repot_model::language::{
    Collection, DefaultValue, Field, FieldKind, InPlace, Index, Model, OnDelete, Place, Settings, Span,
    Written,
};
use repot_model::place::Template;

use crate::body::{Reading, format};
use crate::corpus::Options;
use crate::draft::{Column, Draft, Home, Source};
use crate::paths::{Leaf, Part, PathTree};

/// The model that says what the drafts say.
pub(crate) fn model(drafts: &[Draft], tree: &PathTree, readings: &[Reading], options: &Options) -> Model {
    let source = Written { text: options.source.clone(), value: options.source.clone() };
    let settings = Settings { source: Some(source), ..Settings::default() };
    let collections = drafts.iter().map(|draft| collection(draft, drafts, tree, readings)).collect();
    Model { settings, collections }
}

fn collection(draft: &Draft, drafts: &[Draft], tree: &PathTree, readings: &[Reading]) -> Collection {
    let leaf = &tree.leaves[draft.leaf];
    let place = match &draft.home {
        Home::Files => Place::Files(templates(draft, leaf)),
        Home::InFiles(steps) => Place::InFiles { templates: templates(draft, leaf), steps: steps.clone() },
        Home::In(places) => Place::In(
            places
                .iter()
                .map(|(parent, steps)| InPlace { parent: drafts[*parent].name.clone(), steps: steps.clone() })
                .collect(),
        ),
    };
    let mut out = Collection::new(draft.name.clone(), place);
    if !matches!(draft.home, Home::In(_)) {
        out.format = format(leaf.extension.as_deref(), readings[draft.leaf]);
    }
    out.fields = draft.columns.iter().map(field).collect();
    for columns in &draft.unique {
        let columns = columns.iter().map(|name| (name.clone(), false)).collect();
        out.unique.push(Index { name: None, columns, span: Span::default() });
    }
    out
}

fn field(column: &Column) -> Field {
    let mut field = Field::new(column.name.clone(), column.kind.clone());
    field.optional = column.optional;
    field.key = column.key;
    field.auto = matches!(column.source, Source::Parent | Source::Made);
    if column.source == Source::Parent {
        field.on_delete = OnDelete::Cascade;
    }
    field.from = match &column.source {
        Source::Document(path) if path.as_slice() != [column.name.clone()] => Some(path.clone()),
        Source::Itself => Some(Vec::new()),
        _ => None,
    };
    field.default = None::<DefaultValue>;
    let evidence: Vec<&str> =
        column.evidence.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
    field.evidence = (!evidence.is_empty()).then(|| evidence.join("; "));
    debug_assert!(!matches!(&field.kind, FieldKind::Enum(words) if words.is_empty()), "an enum has words");
    field
}

/// The template's text with this draft's column names.
pub(crate) fn template_text(draft: &Draft, leaf: &Leaf) -> String {
    let mut at = 0;
    let mut parts = Vec::with_capacity(leaf.parts.len());
    for part in &leaf.parts {
        let mut capture = |rest: &str| {
            let name = draft
                .columns
                .iter()
                .find(|column| column.capture == Some(at) || column.source == Source::Capture(at));
            at += 1;
            format!("{{{}{rest}}}", name.map_or("path", |column| column.name.as_str()))
        };
        parts.push(match part {
            Part::Literal(name) => name.replace('{', "{{").replace('}', "}}"),
            Part::Capture(end) => capture("") + end,
            Part::Rest => capture("..."),
        });
    }
    parts.join("/")
}

fn templates(draft: &Draft, leaf: &Leaf) -> Vec<Template> {
    Template::parse(&template_text(draft, leaf)).into_iter().collect()
}
