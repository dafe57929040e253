//! `repot copy`: makes the tables, copies, proves.

use std::time::Instant;

use repot_core::{Clock as _, Result, RowSecurity, Source, SystemClock, Target};
use repot_engine::copy::{Copy as EngineCopy, PROOF, Report};
use repot_engine::verify::{Proof, ProvedObject, Scope, Verify};
use repot_engine::{Options, Progress};
use serde_json::{Value, json};

use super::move_to::Extra;
use super::old_side::OldSide;
use super::verify::{differences_json, tell_differences};
use crate::args::{Copy, Global};
use crate::database_url::Database;
use crate::errors::{Exit, Failure};
use crate::output::{Output, count, number};
use crate::progress::Shown;
use crate::wiring::{Project, me, seed};

pub(crate) fn run(global: &Global, copy: &Copy, output: &Output) -> Result<Exit, Failure> {
    let project = Project::open(global)?;
    if copy.dry_run {
        return super::plan::show(&project, &copy.bounds, false, output);
    }
    run_in(&project, (copy, &[]), output)
}

/// The same in a project that is open; `leave`: what may stay in an old database.
pub(super) fn run_in(
    project: &Project,
    (copy, leave): (&Copy, &[Extra]),
    output: &Output,
) -> Result<Exit, Failure> {
    output.hello();
    if !copy.follow {
        super::move_to::leaves_alone(project)?;
    } else if super::follow::is_begun(project)? {
        output.say("A move is on its way; nothing is copied anew.");
        return super::follow::run(project, output);
    }
    // opened first: it says what is wrong with the names of the two
    let source = project.source()?;
    if project.is_from_database() {
        super::move_to::check(project, copy.follow.then_some(leave), output)?;
    }
    let mut target = project.target()?;
    let options = project.options(&copy.bounds);
    let progress = Shown::new(output);
    if output.draws() {
        progress.count(source.as_ref())?;
    }
    let began = Instant::now();
    let report = engine(project, (source.as_ref(), target.as_mut()), (&options, &progress), copy.retry)?;
    progress.end();
    let seconds = began.elapsed().as_secs_f64();
    tell(&report, seconds, copy.retry, output);
    if let RowSecurity::Missing(why) = target.row_security(&project.plan)? {
        output.say(&format!("look {why}"));
    }
    let known = if report.wrote { None } else { target.reader()?.meta(PROOF)? };
    let proof = match known.as_deref().map(Known::read) {
        _ if copy.no_verify => Proven::Not,
        Some(Some(known)) => Proven::Before(known),
        _ => {
            let proof = prove(project, target.as_mut(), (&options, &progress))?;
            progress.end();
            tell_proof(&proof, began.elapsed().as_secs_f64() - seconds, output);
            Proven::Now(proof)
        }
    };
    if matches!(proof, Proven::Before(_)) {
        output.say("Nothing was copied since the last proof; repot verify proves it again.");
    }
    if copy.follow {
        drop(target);
        if matches!(&proof, Proven::Now(proof) if !proof.holds()) {
            return Ok(Exit::Differences);
        }
        return super::follow::run(project, output);
    }
    finish(project, target.as_ref(), copy, &report, &proof, output)
}

/// Copies.
pub(crate) fn engine(
    project: &Project,
    (source, target): (&dyn Source, &mut dyn Target),
    (options, progress): (&Options, &dyn Progress),
    retry: bool,
) -> Result<Report> {
    let copy = EngineCopy {
        source,
        model: &project.model,
        model_text: &project.text,
        plan: &project.plan,
        options,
        progress,
        clock: &SystemClock,
        me: me(&SystemClock),
    };
    copy.run(target, retry)
}

/// Proves everything, and keeps that it holds.
pub(crate) fn prove(
    project: &Project,
    target: &mut dyn Target,
    (options, progress): (&Options, &dyn Progress),
) -> Result<Proof> {
    let verify = Verify { model: &project.model, plan: &project.plan, options, progress, seed: seed() };
    let proof = verify.run(target, Scope::Everything)?;
    proved(target, proof)
}

/// The same, and shows `each` what was proved, where all of it is.
pub(super) fn prove_listing(
    project: &Project,
    target: &mut dyn Target,
    (options, progress): (&Options, &dyn Progress),
    each: &mut dyn FnMut(ProvedObject) -> Result<()>,
) -> Result<Proof> {
    let verify = Verify { model: &project.model, plan: &project.plan, options, progress, seed: seed() };
    let proof = verify.run_listing(target, each)?;
    proved(target, proof)
}

fn proved(target: &mut dyn Target, proof: Proof) -> Result<Proof> {
    if proof.holds() {
        target.set_meta(PROOF, Some(&Known::of(&proof).write()))?;
    }
    Ok(proof)
}

/// What is known of the proof.
#[derive(Debug)]
pub(crate) enum Proven {
    /// It was left out.
    Not,
    /// Nothing was written since it was made.
    Before(Known),
    /// It was made just now.
    Now(Proof),
}

/// What is kept of a proof that held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) root: String,
    pub(crate) proved: u64,
    pub(crate) objects: u64,
    /// When it was made, milliseconds since 1970; older versions did not say.
    pub(crate) at_ms: Option<i64>,
}

impl Known {
    pub(crate) fn of(proof: &Proof) -> Self {
        let at_ms = Some(SystemClock.now_ms());
        Self { root: proof.root.clone(), proved: proof.proved, objects: proof.objects, at_ms }
    }

    pub(crate) fn write(&self) -> String {
        let at = self.at_ms.map_or_else(String::new, |at_ms| format!(" {at_ms}"));
        format!("{} {} {}{at}", self.root, self.proved, self.objects)
    }

    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let root = words.next()?.to_owned();
        let (proved, objects) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Self { root, proved, objects, at_ms: words.next().and_then(|at_ms| at_ms.parse().ok()) })
    }
}

fn finish(
    project: &Project,
    target: &dyn Target,
    copy: &Copy,
    report: &Report,
    proof: &Proven,
    output: &Output,
) -> Result<Exit, Failure> {
    let undo = match project.database()? {
        Database::Sqlite(file) => format!(" Undo: rm {}*", file.display()),
        Database::Postgres(_) => String::new(),
    };
    output.say(&format!("{}{undo}", OldSide::of(project).is_untouched()));
    let holds = !matches!(proof, Proven::Now(proof) if !proof.holds());
    let next: &[&str] = match (holds, report.aside.is_empty()) {
        (false, _) => &["repot verify"],
        (true, false) => &["repot explain CODE", "mend the documents set aside and run repot copy again"],
        (true, true) => &["repot query \"select ...\"", "repot export DIR"],
    };
    output.done(json(&target.to_string(), report, proof), next);
    Ok(match (holds, report.aside.is_empty() || copy.set_aside) {
        (false, _) => Exit::Differences,
        (true, false) => Exit::SetAside,
        (true, true) => Exit::Done,
    })
}

/// What a copy did, and what is known of its proof.
pub(crate) fn json(target: &str, report: &Report, proof: &Proven) -> Value {
    let tally = report.tally;
    let (known, differences) = match proof {
        Proven::Not => (None, None),
        Proven::Before(known) => (Some(known.clone()), Some(Vec::new())),
        Proven::Now(proof) => (Some(Known::of(proof)), Some(differences_json(proof))),
    };
    json!({
        "type": "result",
        "target": target,
        "listed": tally.listed, "moved": tally.moved, "set_aside": tally.set_aside,
        "unmatched": tally.unmatched, "stays": tally.stays,
        "documents": report.documents, "rows": report.rows, "bytes": report.bytes,
        "unchanged": report.unchanged, "changed": report.changed, "removed": report.removed,
        "busy": report.busy,
        "set_aside_documents": aside_json(report),
        "proved": known.as_ref().map(|known| known.proved),
        "objects_checked": known.as_ref().map(|known| known.objects),
        "differences": differences,
        "root": known.as_ref().map(|known| &known.root),
    })
}

fn aside_json(report: &Report) -> Vec<Value> {
    let line = |(path, ordinal, code, reason): &(String, u32, String, String)| json!({"path": path, "document": ordinal, "code": code, "reason": reason});
    report.aside.iter().map(line).collect()
}

fn tell(report: &Report, seconds: f64, retry: bool, output: &Output) {
    let tally = report.tally;
    if retry {
        output.say(&format!(
            "Tried what was set aside again: {} moved now.",
            count(report.documents, "document", "documents")
        ));
    } else {
        let rows = count(report.rows, "row", "rows");
        output.say(&format!(
            "Copied {}, {rows}   {seconds:.1} s",
            count(report.documents, "document", "documents")
        ));
        let mut seen = Vec::new();
        for (value, word) in
            [(report.unchanged, "unchanged"), (report.changed, "changed"), (report.removed, "removed")]
        {
            if value > 0 {
                seen.push(format!("{} {word}", number(value)));
            }
        }
        if !seen.is_empty() {
            output.say(&format!("  objects: {}", seen.join(", ")));
        }
        output.say(&format!(
            "{} listed = {} moved + {} set aside + {} unmatched + {} stay",
            number(tally.listed),
            number(tally.moved),
            number(tally.set_aside),
            number(tally.unmatched),
            number(tally.stays)
        ));
    }
    for path in report.busy.iter().take(10) {
        output.say(&format!("  {path} changed while it was read, or went; the next copy takes it up"));
    }
    if !report.aside.is_empty() {
        output.say("Set aside, kept whole in the database:");
        for (path, ordinal, code, reason) in report.aside.iter().take(20) {
            let document = if *ordinal == 0 { String::new() } else { format!(" document {ordinal}") };
            output.say(&format!("  {code}  {path}{document}: {reason}"));
        }
    }
}

fn tell_proof(proof: &Proof, seconds: f64, output: &Output) {
    if proof.holds() {
        output.say(&format!(
            "Proved {} of {}: rebuilt from the database, each is the same, byte for byte.   {seconds:.1} s",
            number(proof.proved),
            number(proof.objects)
        ));
    } else {
        tell_differences(proof, output);
    }
}
