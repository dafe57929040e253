//! `repot init`: looks at everything and writes the model.

use std::time::Instant;

use repot_core::{Error, Kind};
use repot_engine::look::SourceCorpus;
use repot_engine::{Options, Progress as _};
use repot_infer::Inferred;
use repot_model::language;
use serde_json::json;

use crate::args::{Global, Init};
use crate::errors::{Exit, Failure};
use crate::output::{Output, count, number, size};
use crate::progress::Shown;
use crate::settings::Environment;
use crate::wiring::open_source;

pub(crate) fn run(global: &Global, init: &Init, output: &Output) -> Result<Exit, Failure> {
    let environment = Environment::read(&global.dir);
    let name = init
        .source
        .clone()
        .or_else(|| environment.value("REPOT_SOURCE"))
        .unwrap_or_else(|| "./data".to_owned());
    let file = global.dir.join(global.model.as_deref().unwrap_or("repot.toml".as_ref()));
    if file.exists() && !init.force && !init.dry_run {
        let shown = file.display();
        return Err(Error::new(Kind::Refused, "R0116", format!("{shown} is there already"))
            .hint("Look at it, or write over it with repot init --force.")
            .into());
    }
    let source = open_source(&name, &global.dir, &environment, &[global.dir.join("repot.db")])?;
    output.hello();
    let progress = Shown::new(output);
    progress.step("looking");
    let began = Instant::now();
    let bytes_max = Options::default().document_bytes_max;
    let corpus = SourceCorpus::new(source.as_ref(), bytes_max, &environment.temporary());
    let inferred = repot_infer::infer(&corpus, &repot_infer::Options::new(&name))?;
    progress.end();
    let comments = inferred
        .comments
        .iter()
        .flat_map(|(name, lines)| lines.iter().map(move |line| format!("{name}: {line}")));
    let header: Vec<String> = inferred.header.iter().cloned().chain(comments).collect();
    let text = language::print_with_header(&inferred.model, &header.join("\n"));
    if let Err(problems) = language::parse(&text, "repot.toml", &|_| None) {
        return Err(Failure::Model(problems));
    }
    let lines = text.lines().count() as u64;
    tell(&inferred, &name, began.elapsed().as_secs_f64(), output);
    if init.dry_run {
        output.print_raw(text.as_bytes());
        return Ok(Exit::Done);
    }
    write(&file, &text)?;
    output.say(&format!("Wrote {} ({lines} lines). Every guess in it carries its evidence.", file.display()));
    output.done(
        json!({
            "type": "result",
            "objects": inferred.objects,
            "bytes": inferred.bytes,
            "model": file.display().to_string(),
            "collections": inferred.found.iter().map(|found| json!({
                "name": found.collection, "count": found.count, "files": found.files, "place": found.place,
            })).collect::<Vec<_>>(),
            "notices": inferred.notices,
        }),
        &["repot plan"],
    );
    Ok(Exit::Done)
}

fn tell(inferred: &Inferred, name: &str, seconds: f64, output: &Output) {
    let files = count(inferred.objects, "file", "files");
    output.say(&format!("Looked at {files} in {name} ({}, {seconds:.1} s)", size(inferred.bytes)));
    let widest = inferred.found.iter().map(|found| found.collection.len()).max().unwrap_or(0);
    for found in &inferred.found {
        let unit = if found.files { "files" } else { "rows" };
        output.say(&format!(
            "  {:widest$}  {:>9} {unit:5}  {}",
            found.collection,
            number(found.count),
            found.place
        ));
    }
    for notice in &inferred.notices {
        output.say(&format!("Look at this: {notice}"));
    }
}

/// Writes the model beside and renames it, so that it is there whole or not at all.
fn write(file: &std::path::Path, text: &str) -> Result<(), Error> {
    let failed = |error| {
        Error::new(Kind::Failed, "R0117", format!("{} cannot be written", file.display())).cause(error)
    };
    let beside = file.with_extension("toml.new");
    std::fs::write(&beside, text).map_err(failed)?;
    std::fs::rename(&beside, file).map_err(failed)
}
