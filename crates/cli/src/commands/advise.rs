//! `repot advise`: real figures, held against the thresholds that apps set themselves.

use std::fmt::Write as _;
use std::sync::Arc;

use http::Method;
use repot_core::store::Layout;
use repot_core::{Error, Kind, Result};
use repot_engine::advice::{
    AXES, Database, Figure, Judged, Leads, Measured, Metrics, Outcome, QUESTIONS, Reading, Readings, Step,
    Survey, judge, step,
};
use repot_json::Limits;
use serde_json::{Value, json};

use crate::args::Global;
use crate::asking::{Asking, server_of};
use crate::document_args::At;
use crate::errors::{Exit, Failure};
use crate::output::{Output, count, number, size};
use crate::paths;
use crate::wiring::Project;

/// How long a server that is away is tried again, seconds.
const PATIENCE_S: u64 = 5;

pub(crate) fn run(global: &Global, output: &Output) -> Result<Exit, Failure> {
    let project = Project::open(global)?;
    let found = Found::of(global, &project)?;
    let judged = judge(found.leads, &found.readings);
    let step = step(&judged);
    if !output.json {
        output.print_raw(found.text(&judged, step).as_bytes());
    }
    let copies = found.leads == Leads::Files && step >= Step::Beside;
    let next: &[&str] = if copies { &["repot plan", "repot copy"] } else { &[] };
    output.done(found.json(&judged, step), next);
    Ok(Exit::Done)
}

/// What was measured.
struct Found {
    leads: Leads,
    /// In words: what was asked, or why it could not be.
    lines: Vec<(&'static str, String)>,
    readings: Readings,
    survey: Option<Survey>,
    database: Option<Database>,
    metrics: Option<Metrics>,
}

impl Found {
    fn of(global: &Global, project: &Project) -> Result<Self> {
        let mut found = Self {
            leads: Leads::Files,
            lines: Vec::new(),
            readings: Readings::new(),
            survey: None,
            database: None,
            metrics: None,
        };
        found.list(project)?;
        found.ask_database(project);
        found.ask_server(global, project);
        Ok(found)
    }

    /// Takes figures in; those of where the documents are written come last and win.
    fn take(&mut self, readings: Readings) {
        self.readings.extend(readings);
    }

    fn list(&mut self, project: &Project) -> Result<()> {
        let (model, plan) = (Arc::new(project.model.clone()), Arc::new(project.plan.clone()));
        let layout = Layout::new(model, plan, Limits::default())?;
        let source = project.source_shown();
        match project.source().and_then(|source| Survey::of(source.as_ref(), &layout)) {
            Ok(survey) => {
                self.take(survey.readings(&source));
                let files = count(survey.all.count, "file", "files");
                self.lines.push(("source", format!("{source}: {files}, {}", size(survey.all.bytes))));
                self.lines.extend(survey.shared.iter().map(|(name, found)| {
                    let files = count(found.count, "file", "files");
                    (
                        "shared",
                        format!("{name}: {files} with several documents, which a listing does not count"),
                    )
                }));
                self.lines.extend(survey.tenants.as_ref().map(|tenants| {
                    let (name, most) = &tenants.largest;
                    let more = if tenants.more { "more than " } else { "" };
                    let files = count(most.count, "file", "files");
                    let number = number(tenants.count);
                    ("tenants", format!("{more}{number}; largest: {name}, {files}, {}", size(most.bytes)))
                }));
                self.survey = Some(survey);
            }
            Err(error) => {
                let why = format!("{source} could not be listed: {}", error.message());
                for figure in [Figure::Documents, Figure::LargestObject, Figure::SqliteFile] {
                    self.readings.insert(figure, Reading::Unknown(why.clone()));
                }
                self.lines.push(("source", why));
            }
        }
        Ok(())
    }

    fn ask_database(&mut self, project: &Project) {
        let asked = project.copied().and_then(|target| {
            let name = target.to_string();
            let database = Database::of(target.reader()?.as_mut(), &project.plan, &name)?;
            Ok((name, database))
        });
        let (name, database) = match asked {
            Ok(asked) => asked,
            Err(error) => {
                self.lines.push(("database", format!("not asked: {}", error.message())));
                return;
            }
        };
        let rows: u64 = database.rows.iter().map(|(_, rows)| rows).sum();
        let bytes = database.size_bytes.map_or_else(|| "of a size that is not known".to_owned(), size);
        let role =
            if database.leads == Leads::Files { "a copy of the source" } else { "written in by itself" };
        let rows = count(rows, "row", "rows");
        self.lines.push(("database", format!("{name}: {rows}, {bytes}, {role}")));
        self.leads = database.leads;
        self.take(database.readings.clone());
        self.database = Some(database);
    }

    fn ask_server(&mut self, global: &Global, project: &Project) {
        let Some(url) = server_of(&project.environment, None) else {
            let why = "no server was asked; set REPOT_URL to a running one".to_owned();
            self.lines.push(("server", why.clone()));
            self.readings.insert(Figure::ConflictRate, Reading::Unknown(why));
            return;
        };
        match metrics(global) {
            Ok(metrics) => {
                let took = |p95: &Option<String>| {
                    p95.as_ref()
                        .map_or_else(|| "not known".to_owned(), |seconds| format!("at most {seconds} s"))
                };
                let Metrics { writes, conflicts, waiting, .. } = &metrics;
                let (reads, applied) = (took(&metrics.read_p95_s), took(&metrics.write_p95_s));
                self.lines.push((
                    "server",
                    format!(
                        "{url}: {writes} writes, {conflicts} in conflict; 95 % of the reads took {reads}, of the writes {applied}; {waiting} calls wait"
                    ),
                ));
                self.take(metrics.readings(&url));
                self.metrics = Some(metrics);
            }
            Err(error) => {
                let why = format!("{url} did not say: {}", error.message());
                self.lines.push(("server", why.clone()));
                self.readings.insert(Figure::ConflictRate, Reading::Unknown(why));
            }
        }
    }

    fn text(&self, judged: &[Judged], step: Step) -> String {
        let mut text = String::new();
        let mut add = |line: String| writeln!(text, "{line}").expect("a String takes everything");
        for (what, line) in &self.lines {
            add(format!("{what:9} {line}"));
        }
        let mut unknown: Vec<(Figure, &str, Vec<String>)> = Vec::new();
        for judged in judged {
            let rule = judged.rule;
            let (app, says) = rule.from;
            let (named, most) = (name(rule.figure), shown(rule.figure, rule.over));
            match &judged.outcome {
                Outcome::Crossed(found) => {
                    let value = shown(rule.figure, found.value);
                    add(format!("look {named}: {value}, more than {most} ({}; {})", found.of, found.from));
                    add(format!("     {app}: {says}"));
                    add(format!("     This means {}. {}", rule.means, rule.advice));
                }
                Outcome::Within(found) => {
                    let value = shown(rule.figure, found.value);
                    add(format!("ok   {named}: {value}, not more than {most} ({}; {app})", found.of));
                }
                Outcome::Unknown(why) => match unknown.last_mut() {
                    Some((figure, _, bounds)) if *figure == rule.figure => bounds.push(most),
                    _ => unknown.push((rule.figure, why, vec![most])),
                },
            }
        }
        for (figure, why, bounds) in unknown {
            add(format!("?    {}: not measured (threshold {}): {why}", name(figure), bounds.join(", ")));
        }
        add(step.sentence().to_owned());
        add("No figure tells this; a yes speaks for what stands behind it:".to_owned());
        for question in QUESTIONS {
            add(format!("     {} ({})", question.question, question.yes));
        }
        text
    }

    fn json(&self, judged: &[Judged], step: Step) -> Value {
        let survey = self.survey.as_ref().map(|survey| {
            let crowd =
                |crowd: &repot_engine::advice::Crowd| json!({"files": crowd.count, "bytes": crowd.bytes});
            let crowds = |all: &std::collections::BTreeMap<String, _>| {
                let named = all.iter().map(|(name, found)| (name.clone(), crowd(found)));
                Value::Object(named.collect())
            };
            json!({
                "all": crowd(&survey.all),
                "documents": crowds(&survey.documents),
                "shared": crowds(&survey.shared),
                "tenants": survey.tenants.as_ref().map(|tenants| json!({
                    "count": tenants.count,
                    "more": tenants.more,
                    "largest": tenants.largest.0,
                    "largest_bytes": tenants.largest.1.bytes,
                })),
            })
        });
        let database = self.database.as_ref().map(|database| {
            let rows = database.rows.iter().map(|(table, rows)| (table.clone(), json!(rows)));
            json!({"bytes": database.size_bytes, "rows": Value::Object(rows.collect())})
        });
        let server = self.metrics.as_ref().map(|found| {
            json!({
                "writes": found.writes, "conflicts": found.conflicts, "waiting": found.waiting,
                "read_p95_s": found.read_p95_s, "write_p95_s": found.write_p95_s,
            })
        });
        let questions = QUESTIONS
            .map(|question| json!({"question": question.question, "yes": question.yes, "app": question.app}));
        let axes =
            AXES.map(|axis| json!({"axis": axis.axis, "files": axis.files, "database": axis.database}));
        json!({
            "type": "result",
            "leads": match self.leads { Leads::Files => "files", Leads::Sqlite => "sqlite", Leads::Postgres => "postgres" },
            "source": survey, "database": database, "server": server,
            "rules": judged.iter().map(rule_json).collect::<Vec<_>>(),
            "step": step.name(), "advice": step.sentence(),
            "questions": questions, "axes": axes,
        })
    }
}

/// What a running server counted.
fn metrics(global: &Global) -> Result<Metrics> {
    let at = At { store: None, tenant: None, timeout: PATIENCE_S };
    let asking = Asking::open(global, &at).map_err(Failure::into_error)?;
    let answer = asking.ask(paths::request(Method::GET, "/metrics")?)?;
    Metrics::of(&String::from_utf8_lossy(answer.body())).ok_or_else(|| {
        Error::new(Kind::Failed, "R0155", "the answer is none of a Repot server")
            .hint("Check REPOT_URL, with the path where one stands before /v1.")
    })
}

const fn name(figure: Figure) -> &'static str {
    match figure {
        Figure::Documents => "documents",
        Figure::ConflictRate => "conflict rate",
        Figure::LargestObject => "largest object",
        Figure::SqliteFile => "largest SQLite file",
    }
}

/// With its unit.
fn shown(figure: Figure, value: u64) -> String {
    match figure {
        Figure::Documents => number(value),
        // from millionths to percent, two places
        Figure::ConflictRate => format!("{}.{:02} %", value / 10_000, value % 10_000 / 100),
        Figure::LargestObject | Figure::SqliteFile => format!("{} bytes", number(value)),
    }
}

fn rule_json(judged: &Judged) -> Value {
    let rule = judged.rule;
    let (state, found, why): (_, Option<&Measured>, _) = match &judged.outcome {
        Outcome::Crossed(found) => ("crossed", Some(found), None),
        Outcome::Within(found) => ("within", Some(found), None),
        Outcome::Unknown(why) => ("unknown", None, Some(why)),
    };
    json!({
        "figure": name(rule.figure), "over": rule.over, "unit": unit(rule.figure), "state": state,
        "value": found.map(|found| found.value), "of": found.map(|found| &found.of), "from": found.map(|found| &found.from),
        "why": why, "means": rule.means, "advice": rule.advice, "step": rule.step.name(),
        "app": rule.from.0, "says": rule.from.1,
    })
}

const fn unit(figure: Figure) -> &'static str {
    match figure {
        Figure::Documents => "documents",
        Figure::ConflictRate => "millionths",
        Figure::LargestObject | Figure::SqliteFile => "bytes",
    }
}
