//! The plan that a model compiles to takes the documents it was inferred from: no misfit, no key twice.

use std::collections::BTreeSet;

use repot_json::{Limits, Tree};
use repot_model::language::{Model, Place};
use repot_model::place::Router;
use repot_model::plan::{self, Plan, SplitDocument, Splitter};
use repot_model::row::RowBuffer;

use crate::corpora::Files;

/// Documents of all files as the model splits them: (path, document).
fn split(model: &Model, files: &Files) -> Vec<(String, SplitDocument)> {
    let plan = Plan::compile(model).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    });
    let lists = model.collections.iter().enumerate().map(|(index, collection)| match &collection.place {
        Place::Files(templates) | Place::InFiles { templates, .. } => (index, templates.iter().collect()),
        _ => (index, Vec::new()),
    });
    let router = Router::new(lists.collect()).expect("no two templates tie");
    let mut splitter = Splitter::new(&plan, Limits::default());
    let mut out = Vec::new();
    for (path, bytes) in &files.0 {
        let route = router.route(path).unwrap_or_else(|| panic!("no place for {path}"));
        let places: Vec<_> = route
            .collections
            .iter()
            .zip(route.templates)
            .map(|(collection, template)| plan::Place {
                root: plan.roots.iter().position(|root| root.collection == *collection).expect("a root"),
                template: *template,
                values: &route.values,
            })
            .collect();
        let mut found = Vec::new();
        splitter.split(&places, path, bytes, &mut RowBuffer::new(), &mut found);
        out.extend(found.into_iter().map(|document| (path.clone(), document)));
    }
    out
}

/// Everything is taken but what is no JSON.
pub(crate) fn takes_all(set: &str, model: &Model, files: &Files) {
    let mut keys = BTreeSet::new();
    let mut misfits = 0;
    for (path, document) in split(model, files) {
        if let Some(misfit) = &document.misfit {
            misfits += 1;
            let bytes = &files.0.iter().find(|file| file.0 == path).expect("it was split").1;
            let part = bytes.get(document.span.clone()).unwrap_or(bytes);
            assert!(
                Tree::parse(part, Limits::default()).is_err(),
                "{set}: {path}: {} {}",
                misfit.code,
                misfit.reason
            );
        } else {
            let key = (document.root, document.key.clone());
            assert!(keys.insert(key), "{set}: {path}: the key {:?} twice", document.key);
        }
    }
    println!("{set}: {} documents, {misfits} are no JSON", keys.len());
    assert!(!keys.is_empty(), "{set}: no document at all");
}
