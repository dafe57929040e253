//! When to move documents to another kind of store, and where to: the thresholds that apps set themselves, as data, and
//! figures held against them. What was not measured is said, never guessed.

mod database;
mod metrics;
mod rules;
mod survey;

pub use database::Database;
pub use metrics::Metrics;
pub use rules::{
    AXES, Axis, Figure, Judged, Leads, Measured, Outcome, QUESTIONS, Question, RULES, Reading, Readings,
    Rule, Step, judge, step,
};
pub use survey::{Crowd, Survey, Tenants};
