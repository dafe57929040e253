//! What a server does with the project that it was started in: the work of the commands.

use std::sync::Arc;

use repot::Place;
use repot_core::store::Recorded;
use repot_core::{Clock as _, Error, Kind, Result, SystemClock};
use repot_engine::copy::{COPIED, PROOF};
use repot_engine::moving::{Journal, Moving};
use repot_engine::preview::preview;
use repot_engine::verify::{Scope, Verify};
use repot_engine::{Progress, Tally};
use repot_model::plan::time::utc_text;
use repot_server::{Operator, Own, Question, Task, Work};
use serde_json::{Map, Value, json};
use tokio::runtime::Handle;

use crate::args::{Bounds, Global};
use crate::commands::{advise, copy, mismatches, move_status, moving, plan, verify};
use crate::errors::{Exit, Failure};
use crate::move_args::{Finish, Mismatches, Rollback, Rollout, Status};
use crate::output::Output;
use crate::variables::hidden;
use crate::wiring::{Project, seed};

/// What is told of what is recorded, in this order.
const RECORDED: [&str; 2] = [COPIED, PROOF];
/// The flag that is written without its name.
const SHARE: &str = "share";
/// The flag with two values.
const IGNORE: &str = "ignore";

/// The project of a running server; its files are read anew for each work, as a command would.
#[derive(Debug, Clone)]
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
    fn status(&self, own: &Own) -> Result<Map<String, Value>> {
        let project = self.project()?;
        let mut told = Map::new();
        told.insert("model".into(), json!(project.file));
        told.insert("source".into(), json!(project.source_shown()));
        told.insert("database".into(), json!(hidden(&project.database_url().0)));
        let is_served = self.is_served(&project)?;
        let recorded = if is_served { self.recorded_here(own)? } else { recorded(&project)? };
        told.insert("made".into(), json!(recorded.is_some()));
        let Some(Recorded { objects, values }) = recorded else { return Ok(told) };
        let mut values = values.into_iter();
        let mut value = || values.next().flatten();
        let tally = Tally::of(&objects);
        told.insert(
            "objects".into(),
            json!({"listed": tally.listed, "moved": tally.moved, "set_aside": tally.set_aside,
                "unmatched": tally.unmatched, "stays": tally.stays}),
        );
        let copied = value().and_then(|at_ms| at_ms.parse().ok());
        told.insert("copied_at".into(), json!(copied.map(utc_text)));
        let proof = value().as_deref().and_then(copy::Known::read);
        let proof = proof.map(|known| {
            let age = known.at_ms.map(|at_ms| SystemClock.now_ms().saturating_sub(at_ms) / 1_000);
            json!({"proved": known.proved, "objects": known.objects, "root": known.root,
                "at": known.at_ms.map(utc_text), "age_seconds": age})
        });
        // written over since, or never made
        told.insert("proof".into(), json!(proof));
        let asked = Status { watch: false, why: false };
        let moving = result(|output| match self.part(own, is_served)? {
            Part::Own(moving, journal) => {
                let seen = move_status::seen(moving.as_deref(), &journal, &asked, output);
                Handle::current().block_on(seen)
            }
            Part::Others => move_status::status(&self.global, &asked, output),
        });
        told.insert("move".into(), moving?);
        Ok(told)
    }

    fn prepare(&self, work: Work, wanted: &Map<String, Value>) -> Result<Task> {
        let own = self.clone();
        Ok(match work {
            Work::Plan => {
                flags::<Nothing>(wanted)?;
                Box::new(move |progress| own.plan(progress))
            }
            Work::Verify => {
                flags::<Nothing>(wanted)?;
                Box::new(move |progress| own.verify(progress))
            }
            Work::Copy => {
                flags::<Nothing>(wanted)?;
                self.leaves_alone()?;
                Box::new(move |progress| own.copy(progress))
            }
            Work::Rollout => {
                let wanted: Rollout = flags(wanted)?;
                Box::new(move |_| result(|output| moving::rollout(&own.global, &wanted, output)))
            }
            Work::Rollback => {
                let wanted: Rollback = flags(wanted)?;
                Box::new(move |_| result(|output| moving::rollback(&own.global, &wanted, output)))
            }
            Work::Finish => {
                let mut wanted: Finish = flags(wanted)?;
                // nobody is asked at the terminal of a server
                wanted.confirm.get_or_insert_default();
                Box::new(move |_| result(|output| moving::finish(&own.global, &wanted, output)))
            }
        })
    }

    fn answer(&self, question: Question, wanted: &Map<String, Value>, own: &Own) -> Result<Value> {
        match question {
            Question::Advice => {
                flags::<Nothing>(wanted)?;
                result(|output| advise::run(&self.global, output))
            }
            Question::Mismatches => {
                let wanted: Mismatches = flags(wanted)?;
                let is_served = self.is_served(&self.project()?)?;
                let mut lines = lines(|output| match self.part(own, is_served)? {
                    Part::Own(Some(moving), journal) if !moving.is_finished() => {
                        Handle::current().block_on(mismatches::of_move(&journal, &wanted, output))
                    }
                    Part::Own(..) => Err(moving::none().into()),
                    Part::Others => mismatches::run(&self.global, &wanted, output),
                })?;
                let mut told = lines.pop().unwrap_or_default();
                if wanted.ignore.is_none() && !wanted.clear {
                    told["differences"] = Value::Array(lines);
                }
                Ok(told)
            }
        }
    }
}

/// Who knows of the move.
enum Part {
    /// This server: its part in it, or none where no move is on its way.
    Own(Option<Arc<Moving>>, Journal),
    /// Another process has to be asked, or a part taken for the question: the database is not the one that is served, or a move began after the
    /// server did.
    Others,
}

/// What is recorded in the project's database; `None`: it was not made yet.
fn recorded(project: &Project) -> Result<Option<Recorded>> {
    let mut target = project.target()?;
    if target.state()?.is_none() {
        return Ok(None);
    }
    let mut reader = target.reader()?;
    let values = RECORDED.iter().map(|name| reader.meta(name)).collect::<Result<_>>()?;
    Ok(Some(Recorded { objects: reader.count_objects()?, values }))
}

impl ProjectOperator {
    /// Whether the project's database is the one that is served.
    fn is_served(&self, project: &Project) -> Result<bool> {
        Ok(Place::parse(&project.database_url().0, &project.directory)? == self.served)
    }

    /// What is recorded in the database that is served.
    fn recorded_here(&self, own: &Own) -> Result<Option<Recorded>> {
        match own.store.vitals() {
            Some(vitals) => Handle::current().block_on(vitals.recorded(&RECORDED)).map(Some),
            None => recorded(&self.project()?),
        }
    }

    fn part(&self, own: &Own, is_served: bool) -> Result<Part> {
        if !is_served {
            return Ok(Part::Others);
        }
        let journal = Journal::new(Arc::clone(&own.store), Arc::new(SystemClock));
        if own.moving.is_none() && Handle::current().block_on(journal.control())?.is_some() {
            return Ok(Part::Others);
        }
        Ok(Part::Own(own.moving.clone(), journal))
    }

    /// A copy into the database that is served is refused before it begins.
    fn leaves_alone(&self) -> Result<()> {
        if !self.is_served(&self.project()?)? {
            return Ok(());
        }
        let message =
            "a copy needs the database to itself, and this server keeps its documents in that very one";
        Err(Error::new(Kind::Conflict, "R0455", message).hint(
            "Stop the server and run repot copy; or serve the files meanwhile (repot serve --store ./data); \
             or move while documents are written (repot rollout).",
        ))
    }

    fn plan(&self, progress: &dyn Progress) -> Result<Value> {
        let project = self.project()?;
        let options = project.options(&self.bounds);
        let (source, mut target) = (project.source()?, project.target()?);
        let (state, shown) = (target.state()?, target.to_string());
        plan::of_this_model(&project, state.as_ref(), &shown)?;
        let found = preview(source.as_ref(), &project.model, &project.plan, &options, progress)?;
        Ok(plan::json(&project, &found, (&source.to_string(), &shown)))
    }

    fn verify(&self, progress: &dyn Progress) -> Result<Value> {
        let project = self.project()?;
        let options = project.options(&self.bounds);
        let target = project.copied()?;
        progress.step("settling what SQL changed");
        // where another copies, what SQL changed is left as it is, as the command does
        project.settle(&self.bounds)?;
        let engine =
            Verify { model: &project.model, plan: &project.plan, options: &options, progress, seed: seed() };
        Ok(verify::json(&engine.run(target.as_ref(), Scope::Everything)?))
    }

    fn copy(&self, progress: &dyn Progress) -> Result<Value> {
        let project = self.project()?;
        let options = project.options(&self.bounds);
        let (source, mut target) = (project.source()?, project.target()?);
        let around = (&options, progress);
        let report = copy::engine(&project, (source.as_ref(), target.as_mut()), around, false)?;
        let proof = copy::prove(&project, target.as_mut(), around)?;
        Ok(copy::json(&target.to_string(), &report, &copy::Proven::Now(proof)))
    }
}

/// A command that takes nothing.
#[derive(Debug, clap::Args)]
struct Nothing {}

/// Flags of a command, without its name.
#[derive(Debug, clap::Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct Flags<F: clap::Args> {
    #[command(flatten)]
    flags: F,
}

/// Reads the flags of a command from JSON of the right types: `{"share": "10%", "no_guard": true}` is `10% --no-guard`.
fn flags<F: clap::Args>(wanted: &Map<String, Value>) -> Result<F> {
    let (mut words, mut last) = (Vec::new(), Vec::new());
    for (name, value) in wanted {
        let flag = format!("--{}", name.replace('_', "-"));
        match value {
            Value::Bool(false) => {}
            Value::Bool(true) => words.push(flag),
            Value::String(share) if name == SHARE => last = vec!["--".to_owned(), share.clone()],
            Value::Array(all) if name == IGNORE => {
                words.push(flag);
                words.extend(all.iter().map(word));
            }
            Value::Array(all) => {
                for one in all {
                    words.push(format!("{flag}={}", word(one)));
                }
            }
            one => words.push(format!("{flag}={}", word(one))),
        }
    }
    words.append(&mut last);
    let read = <Flags<F> as clap::Parser>::try_parse_from(words);
    read.map(|read| read.flags).map_err(|error| {
        let said = error.to_string();
        let said = said.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        Error::new(Kind::Invalid, "R0456", said)
            .hint("Leave one of the flags out, or add what another one needs.")
    })
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What the command would have printed as JSON.
fn lines(run: impl FnOnce(&Output) -> Result<Exit, Failure>) -> Result<Vec<Value>> {
    let output = Output::gathering();
    // differences that were found are part of the result
    run(&output).map_err(Failure::into_error)?;
    Ok(output.gathered())
}

/// Its result.
fn result(run: impl FnOnce(&Output) -> Result<Exit, Failure>) -> Result<Value> {
    Ok(lines(run)?.pop().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Nothing, flags};
    use crate::move_args::{Finish, Mismatches, Rollout};

    fn map(value: Value) -> serde_json::Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn flags_are_read_from_json() {
        let wanted = json!({"share": "10%", "only": ["u=-1", "u=b c"], "guard_lag": "5m", "timeout": 3, "no_guard": false});
        let rollout: Rollout = flags(&map(wanted)).unwrap();
        assert_eq!((rollout.share.as_deref(), rollout.only.len()), (Some("10%"), 2));
        assert_eq!((rollout.guard.guard_lag.as_str(), rollout.patience.timeout), ("5m", 3));
        assert_eq!(rollout.only, ["u=-1", "u=b c"]);
        // what would be a flag of its own is a value
        let share: Rollout = flags(&map(json!({"share": "--no-guard"}))).unwrap();
        assert_eq!((share.share.as_deref(), share.guard.no_guard), (Some("--no-guard"), false));
        let ignored: Mismatches = flags(&map(json!({"ignore": ["notes", "a"], "reason": "known"}))).unwrap();
        assert_eq!(ignored.ignore.unwrap(), ["notes", "a"]);
        let finish: Finish = flags(&map(json!({}))).unwrap();
        assert_eq!(finish.confirm, None);
        for wrong in [json!({"dir": "/"}), json!({"share": "1%", "json": true}), json!({})] {
            assert_eq!(flags::<Rollout>(&map(wrong.clone())).unwrap_err().code(), "R0456", "{wrong}");
        }
        assert_eq!(flags::<Nothing>(&map(json!({"x": 1}))).unwrap_err().code(), "R0456");
    }
}
