//! What a server does with the project that it was started in: the work of the commands plan, verify and copy.

use repot::Place;
use repot_core::{Clock as _, Error, Kind, Result, SystemClock};
use repot_engine::copy::{COPIED, PROOF};
use repot_engine::preview::preview;
use repot_engine::verify::{Scope, Verify};
use repot_engine::{Options, Progress, Tally};
use repot_model::plan::time::utc_text;
use repot_server::{Operator, Work};
use serde_json::{Map, Value, json};

use crate::args::{Bounds, Global};
use crate::commands::{copy, plan, verify};
use crate::errors::Failure;
use crate::variables::hidden;
use crate::wiring::{Project, seed};

/// The project of a running server; its files are read anew for each work, as a command would.
#[derive(Debug)]
pub(crate) struct ProjectOperator {
    global: Global,
    bounds: Bounds,
    /// Where the server's documents are.
    served: Place,
}

impl ProjectOperator {
    pub(crate) fn new(global: &Global, document_max: u64, served: Place) -> Self {
        let bounds = Bounds { jobs: None, document_max, batch: 4_096 };
        Self { global: global.clone(), bounds, served }
    }

    fn project(&self) -> Result<Project> {
        Project::open(&self.global).map_err(Failure::into_error)
    }
}

impl Operator for ProjectOperator {
    fn status(&self) -> Result<Map<String, Value>> {
        let project = self.project()?;
        let mut told = Map::new();
        told.insert("model".into(), json!(project.file));
        told.insert("source".into(), json!(project.source_name().0));
        told.insert("database".into(), json!(hidden(&project.database_url().0)));
        let mut target = project.target()?;
        let state = target.state()?;
        told.insert("made".into(), json!(state.is_some()));
        if state.is_none() {
            return Ok(told);
        }
        let mut reader = target.reader()?;
        let tally = Tally::of(&reader.count_objects()?);
        told.insert(
            "objects".into(),
            json!({"listed": tally.listed, "moved": tally.moved, "set_aside": tally.set_aside,
                "unmatched": tally.unmatched, "stays": tally.stays}),
        );
        let copied = reader.meta(COPIED)?.and_then(|at_ms| at_ms.parse().ok());
        told.insert("copied_at".into(), json!(copied.map(utc_text)));
        let proof = reader.meta(PROOF)?.as_deref().and_then(copy::Known::read);
        let proof = proof.map(|known| {
            let age = known.at_ms.map(|at_ms| SystemClock.now_ms().saturating_sub(at_ms) / 1_000);
            json!({"proved": known.proved, "objects": known.objects, "root": known.root,
                "at": known.at_ms.map(utc_text), "age_seconds": age})
        });
        // written over since, or never made
        told.insert("proof".into(), json!(proof));
        Ok(told)
    }

    fn check(&self, work: Work) -> Result<()> {
        if work != Work::Copy {
            return Ok(());
        }
        let project = self.project()?;
        if Place::parse(&project.database_url().0, &project.directory)? != self.served {
            return Ok(());
        }
        let message =
            "a copy needs the database to itself, and this server keeps its documents in that very one";
        Err(Error::new(Kind::Conflict, "R0455", message).hint(
            "Stop the server and run repot copy; or serve the files meanwhile (repot serve --store ./data); \
             or move while documents are written (repot rollout).",
        ))
    }

    fn run(&self, work: Work, progress: &dyn Progress) -> Result<Value> {
        let project = self.project()?;
        let options = project.options(&self.bounds);
        match work {
            Work::Plan => planned(&project, &options, progress),
            Work::Verify => {
                let target = project.copied()?;
                progress.step("settling what SQL changed");
                // where another copies, what SQL changed is left as it is, as the command does
                project.settle(&self.bounds)?;
                let engine = Verify {
                    model: &project.model,
                    plan: &project.plan,
                    options: &options,
                    progress,
                    seed: seed(),
                };
                Ok(verify::json(&engine.run(target.as_ref(), Scope::Everything)?))
            }
            Work::Copy => {
                let (source, mut target) = (project.source()?, project.target()?);
                let around = (&options, progress);
                let report = copy::engine(&project, (source.as_ref(), target.as_mut()), around, false)?;
                let proof = copy::prove(&project, target.as_mut(), around)?;
                Ok(copy::json(&target.to_string(), &report, &copy::Proven::Now(proof)))
            }
        }
    }
}

fn planned(project: &Project, options: &Options, progress: &dyn Progress) -> Result<Value> {
    let (source, mut target) = (project.source()?, project.target()?);
    let (state, shown) = (target.state()?, target.to_string());
    plan::of_this_model(project, state.as_ref(), &shown)?;
    let found = preview(source.as_ref(), &project.model, &project.plan, options, progress)?;
    Ok(plan::json(project, &found, (&source.to_string(), &shown)))
}
