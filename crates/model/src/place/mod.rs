//! Places: path templates such as `dramas/{id}/drama.json`, read in both directions, and the router that finds
//! which collection a path belongs to.

mod overlap;
mod router;
mod template;

pub use router::{Overlap, Route, Router};
pub use template::{Capture, Template, TemplateProblem};
