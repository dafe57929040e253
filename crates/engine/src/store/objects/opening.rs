//! Opening the database that documents come from: it is there already, and of the same model.

use std::sync::Arc;

use repot_core::{Error, Kind, Result, Target};
use repot_model::language::Model;
use repot_model::plan::Plan;

use crate::store::row_store::{RowStore, RowStoreOptions};

/// Opens a database from which documents are read as objects. As with every database that is opened, what plain SQL changed in it
/// becomes texts; nothing else is written.
///
/// # Errors
/// `R0724` when Repot made nothing in it; `R0151` when it is of another model; else as [`RowStore::open`].
pub fn open_source_database(
    mut target: Box<dyn Target>,
    (model, plan, model_text): (Arc<Model>, Arc<Plan>, &str),
    options: RowStoreOptions,
) -> Result<RowStore> {
    match target.state()? {
        None => Err(Error::new(Kind::Invalid, "R0724", format!("{target} holds no documents of Repot"))
            .hint("Name the database that `repot copy` or `repot serve` filled, with REPOT_SOURCE.")),
        Some(state) if state.plan_hash != plan.hash => {
            let message = format!("{target} was made from another model");
            Err(Error::new(Kind::Unsupported, "R0151", message)
                .hint("Documents go from one database to another under one model: take back what was changed in it."))
        }
        Some(_) => RowStore::open(target, (model, plan, model_text), options),
    }
}
