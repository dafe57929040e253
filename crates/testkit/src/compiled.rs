//! Models of tests.

use std::sync::Arc;

use repot_model::language::{Model, parse};
use repot_model::plan::Plan;

/// A model, its plan and its text, as stores are opened with.
///
/// # Panics
/// When the text is no model, with its problems.
#[must_use]
#[expect(clippy::panic, reason = "a test whose model is wrong has failed")]
pub fn compiled(text: &str) -> (Arc<Model>, Arc<Plan>, &str) {
    let model = parse(text, "repot.toml", &|_| None);
    let model = model.unwrap_or_else(|problems| panic!("the model is wrong: {problems:#?}"));
    let plan = Plan::compile(&model);
    let plan = plan.unwrap_or_else(|problems| panic!("the model cannot be compiled: {problems:#?}"));
    (Arc::new(model), Arc::new(plan), text)
}
