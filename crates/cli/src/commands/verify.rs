//! `repot verify`: both halves of the proof, and the certificate.

use std::io::Write as _;
use std::path::Path;

use repot_core::{Clock as _, Error, Kind, SystemClock, Target};
use repot_engine::certificate::{Heading, certificate, object_line};
use repot_engine::verify::{Difference, Proof, Scope, Verify as EngineVerify};
use repot_model::plan::time;
use serde_json::{Value, json};

use crate::args::{Global, Verify};
use crate::errors::{Exit, Failure};
use crate::output::{Output, number};
use crate::progress::Shown;
use crate::wiring::{Project, seed};

/// Set-aside documents that a certificate names.
const ASIDE: usize = 1_000_000;

pub(crate) fn run(global: &Global, verify: &Verify, output: &Output) -> Result<Exit, Failure> {
    let project = Project::open(global)?;
    let scope = scope(verify)?;
    let target = project.copied()?;
    output.hello();
    project.settle_aloud(&verify.bounds, output)?;
    let progress = Shown::new(output);
    let options = project.options(&verify.bounds);
    let engine = EngineVerify {
        model: &project.model,
        plan: &project.plan,
        options: &options,
        progress: &progress,
        seed: seed(),
    };
    let proof = match &verify.certificate {
        Some(file) => certified(&project, target.as_ref(), &engine, &global.dir.join(file))?,
        None => engine.run(target.as_ref(), scope)?,
    };
    progress.end();
    tell(&proof, scope, output);
    if let Some(file) = &verify.certificate {
        output.say(&format!(
            "Wrote {} and {}.objects. Check them against the files: python3 tools/check_certificate.py",
            file.display(),
            file.display()
        ));
    }
    let exit = if !proof.holds() {
        Exit::Differences
    } else if proof.aside > 0 {
        Exit::SetAside
    } else {
        Exit::Done
    };
    let next: &[&str] = if proof.holds() {
        &["repot export DIR"]
    } else {
        &["repot export DIR (it writes changes made with SQL into the files)", "repot explain R0803"]
    };
    output.done(json(&proof), next);
    Ok(exit)
}

/// What a proof found.
pub(crate) fn json(proof: &Proof) -> Value {
    let tally = proof.tally;
    json!({
            "type": "result",
            "proved": proof.proved, "objects": proof.objects, "documents": proof.documents, "set_aside_documents": proof.aside,
            "listed": tally.listed, "moved": tally.moved, "set_aside": tally.set_aside,
            "unmatched": tally.unmatched, "stays": tally.stays,
            "rows_differing": proof.rows_differing,
            "differences": differences_json(proof),
            "collections": proof.collections.iter().map(|(name, one)| json!({
                "name": name, "objects": one.objects, "rows": one.rows, "root": one.root,
            })).collect::<Vec<_>>(),
            "root": proof.root,
    })
}

pub(crate) fn differences_json(proof: &Proof) -> Vec<Value> {
    proof
        .differences
        .iter()
        .map(|one| json!({"path": one.path, "document": one.document, "table": one.table, "what": one.what}))
        .collect()
}

fn tell(proof: &Proof, scope: Scope, output: &Output) {
    if !proof.holds() {
        tell_differences(proof, output);
        return;
    }
    let part = if scope == Scope::Everything { "" } else { " (of those chosen)" };
    output.say(&format!(
        "Proved {} of {}{part}: rebuilt from the database, each is the same, byte for byte.",
        number(proof.proved),
        number(proof.objects)
    ));
    for (name, one) in &proof.collections {
        output.say(&format!(
            "  {name}: {} objects, {} rows  {}",
            number(one.objects),
            number(one.rows),
            one.root
        ));
    }
    if !proof.root.is_empty() {
        output.say(&format!("  root {}", proof.root));
    }
}

pub(crate) fn tell_differences(proof: &Proof, output: &Output) {
    output.say(&format!(
        "NOT the same: {} of {} objects proved, {} rows differ.",
        number(proof.proved),
        number(proof.objects),
        number(proof.rows_differing)
    ));
    for one in &proof.differences {
        output.say(&format!("  {}", difference(one)));
    }
}

/// A difference on one line.
pub(crate) fn difference(one: &Difference) -> String {
    let table = one.table.as_ref().map_or_else(String::new, |table| format!("{table}: "));
    format!("{}  {table}{}", one.path.as_deref().unwrap_or("(no document)"), one.what)
}

fn scope(verify: &Verify) -> Result<Scope, Error> {
    let wrong =
        |what: &str, hint: &str| Error::new(Kind::Invalid, "R0100", what.to_owned()).hint(hint.to_owned());
    if let Some(share) = &verify.sample {
        let number: f64 = share.trim_end_matches('%').trim().parse().unwrap_or(-1.0);
        if !(number > 0.0 && number <= 100.0) {
            return Err(wrong(&format!("`{share}` is no share"), "Write a percentage, such as --sample 1%."));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and a million"
        )]
        return Ok(Scope::Sample((number * 10_000.0) as u32));
    }
    if let Some(since) = &verify.since {
        let micros = time::parse_time(since)
            .or_else(|| time::parse_date(since).map(|days| i64::from(days) * 86_400_000_000));
        let micros = micros.ok_or_else(|| {
            wrong(&format!("`{since}` is no time"), "Write --since 2026-11-01 or 2026-11-01T10:00:00Z.")
        })?;
        return Ok(Scope::Since(micros.saturating_mul(1_000)));
    }
    Ok(Scope::Everything)
}

/// Verifies, and writes the certificate and the list of objects.
fn certified(
    project: &Project,
    target: &dyn Target,
    engine: &EngineVerify<'_>,
    file: &Path,
) -> Result<Proof, Error> {
    let mut list_name = file.as_os_str().to_owned();
    list_name.push(".objects");
    let list_path = Path::new(&list_name);
    let failed = |error| {
        Error::new(Kind::Failed, "R0117", format!("{} cannot be written", file.display())).cause(error)
    };
    let mut list = std::io::BufWriter::new(std::fs::File::create(list_path).map_err(failed)?);
    let proof = engine.run_with(target, Scope::Everything, &mut |object| {
        list.write_all(object_line(object).as_bytes()).map_err(failed)
    })?;
    list.flush().map_err(failed)?;
    let aside = target.reader()?.set_aside(None, ASIDE)?;
    let text = certificate(
        &proof,
        &Heading {
            model_hash: &project.plan.hash,
            source: &project.source_shown(),
            target: &target.to_string(),
            made_ms: SystemClock.now_ms(),
            objects_file: &list_path.file_name().unwrap_or_default().display().to_string(),
            aside: &aside,
        },
    );
    std::fs::write(file, text).map_err(failed)?;
    Ok(proof)
}
