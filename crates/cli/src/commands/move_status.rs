//! `repot status`: how far a move is, what it waits for, and what its servers saw.

use std::sync::Arc;
use std::time::Duration;

use repot::Repot;
use repot_core::moving::Lead;
use repot_core::{Clock as _, SystemClock};
use repot_engine::moving::{Control, Journal, MoveStatus, Moving, Share, Stage, Times, percent};
use repot_model::plan::time::utc_text;
use serde_json::{Value, json};

use super::old_side::OldSide;
use super::{inner, runtime, source};
use crate::args::Global;
use crate::errors::{Exit, Failure};
use crate::move_args::Status;
use crate::output::{self, Output, count};
use crate::serving;
use crate::wiring::Project;

/// Events told by `status --why`.
const EVENTS: usize = 100;

pub(crate) fn status(global: &Global, wanted: &Status, output: &Output) -> Result<Exit, Failure> {
    let project = Project::open(global)?;
    if project.target()?.state()?.is_none() {
        output.say("Stage      files: nothing was copied yet");
        output.done(json!({"type": "result", "stage": "files"}), &["repot copy --follow"]);
        return Ok(Exit::Done);
    }
    runtime()?.block_on(async {
        let repot = Repot::open(serving::config(&project, None)?).await.map_err(inner)?;
        let journal = Journal::new(repot.store(), Arc::new(SystemClock));
        seen(repot.part().map(|part| part.moving().as_ref()), &journal, wanted, output).await
    })
}

/// Tells how far a move is, as somebody sees it who has the stores open.
pub(crate) async fn seen(
    moving: Option<&Moving>,
    journal: &Journal,
    wanted: &Status,
    output: &Output,
) -> Result<Exit, Failure> {
    let Some(moving) = moving else { return without_move(journal, output).await };
    loop {
        let Some(status) = moving.status().await? else {
            return without_move(journal, output).await;
        };
        tell(&status, OldSide::of_move(moving), output);
        if wanted.why {
            for event in journal.events(EVENTS).await? {
                output.say(&format!("{}   {}", utc_text(event.at_ms), event.what));
            }
        }
        if !wanted.watch {
            output.done(told(&status), next(&status));
            let is_stopped = status.control.guard.stopped.is_some();
            return Ok(if is_stopped { Exit::Differences } else { Exit::Done });
        }
        output.line(&told(&status));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// A database without a move: nothing is on its way, or it is finished.
async fn without_move(journal: &Journal, output: &Output) -> Result<Exit, Failure> {
    match journal.events(1).await?.last() {
        Some(event) => {
            output.say(&format!("Stage      finished, {}: {}", utc_text(event.at_ms), event.what));
            let left = journal.left().await?;
            if let Some(left) = &left {
                output.say(&source::status_line(left));
            }
            let is_removable = left.as_ref().is_some_and(|left| left.is_removable(SystemClock.now_ms()));
            let next: &[&str] = if is_removable {
                &[
                    "repot finish --remove-source --dry-run",
                    "repot finish --remove-source",
                    "repot export DIR",
                ]
            } else {
                &["repot export DIR"]
            };
            let left = left.as_ref().map(source::status_json);
            output.done(json!({"type": "result", "stage": "finished", "source": left}), next);
        }
        None => {
            output.say("Stage      files: a copy of them is in the database");
            output.done(json!({"type": "result", "stage": "files"}), &["repot copy --follow"]);
        }
    }
    Ok(Exit::Done)
}

fn tell(status: &MoveStatus, old: OldSide, output: &Output) {
    let control = &status.control;
    let since_s = SystemClock.now_ms().saturating_sub(control.since_ms) / 1_000;
    let leads = match control.stage() {
        Stage::Following | Stage::Comparing | Stage::RollingOutReads(_) => old.leads().to_owned(),
        Stage::RollingOut(_) => old.lead_by_share().to_owned(),
        Stage::Database => format!("the database leads, {}", old.is_kept_in_step()),
    };
    output.say(&format!("Stage      {}: {leads}, for {since_s} s", control.stage()));
    tell_shares(control, old, output);
    let lag = status.lag_ms.map_or_else(String::new, |ms| format!(", the oldest for {ms} ms"));
    output.say(&format!("Behind     {}{lag}", count(status.marked, "document", "documents")));
    for stuck in &status.stuck {
        output.say(&format!("Stuck      {}: {} (tried {} times)", stuck.key, stuck.why, stuck.tries));
    }
    output.say(&format!("Servers    {}", status.servers));
    tell_watched(status, old, output);
    output.say(&match status.change() {
        Some(change) => format!("Waiting    {change}"),
        None => "Waiting    for you".to_owned(),
    });
}

/// What the database leads beside the share, and whose reads it answers.
fn tell_shares(control: &Control, old: OldSide, output: &Output) {
    let (led, reads) = (&control.leads.led, &control.leads.reads);
    let names = |share: &Share| share.tenants.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    if !led.tenants.is_empty() {
        output.say(&format!("Tenants    {} from the database", names(led)));
    }
    for (collection, share) in &led.collections {
        output.say(&format!("Share      {} of {collection}", percent(*share)));
    }
    if reads.is_none() {
        return;
    }
    output.say(&format!("Reads      {} from the database, where {}", percent(reads.slots), old.leads()));
    if !reads.tenants.is_empty() {
        output.say(&format!("Reads      of {} from the database", names(reads)));
    }
    for (collection, share) in &reads.collections {
        output.say(&format!("Reads      {} of {collection}", percent(*share)));
    }
}

/// What the servers saw: reads that were compared, the last half minute of calls, and the guard.
fn tell_watched(status: &MoveStatus, old: OldSide, output: &Output) {
    let (control, compared) = (&status.control, &status.figures.compared);
    if control.compared > 0 || compared.compared() > 0 {
        let mut line = format!(
            "Compared   {}, {} different",
            count(compared.compared(), "read", "reads"),
            output::number(compared.different)
        );
        for (number, what) in [
            (compared.text_only, "written otherwise"),
            (compared.stale, "copied late"),
            (compared.dropped, "not compared"),
        ] {
            if number > 0 {
                line.push_str(&format!(", {} {what}", output::number(number)));
            }
        }
        output.say(&line);
    }
    if status.differences > 0 {
        output.say(&format!(
            "Differ     {}: repot mismatches",
            count(status.differences, "document", "documents")
        ));
    }
    for (lead, name) in [(Lead::New, "database"), (Lead::Old, old.name())] {
        let times = status.figures.watched.all(lead);
        if let Some([p50, p95, p99]) = quantiles(&times) {
            output.say(&format!(
                "Latency    {name}: p50 {p50:.1} ms   p95 {p95:.1} ms   p99 {p99:.1} ms   errors {:.2} %   (30 s, {})",
                errors_percent(&times),
                count(times.calls(), "call", "calls")
            ));
        }
    }
    let guard = &control.guard;
    match (&guard.stopped, guard.limits) {
        (Some(stopped), _) => {
            output.say(&format!(
                "Guard      stopped the rollout, {}: {}",
                utc_text(stopped.at_ms),
                stopped.why
            ));
        }
        (None, Some(limits)) if !control.leads.is_old_alone() => output.say(&format!(
            "Guard      watches: first mismatch, errors {}, p99 {}x, behind {} s",
            percent(limits.errors),
            f64::from(limits.slower_percent) / 100.0,
            limits.lag_ms / 1_000
        )),
        _ => {}
    }
}

/// Milliseconds that half, 95 and 99 of 100 calls took at the most; `None`: there were none.
fn quantiles(times: &Times) -> Option<[f64; 3]> {
    let ms =
        |of_thousand| times.quantile(of_thousand).map(|us| Duration::from_micros(us).as_secs_f64() * 1e3);
    Some([ms(500)?, ms(950)?, ms(990)?])
}

fn errors_percent(times: &Times) -> f64 {
    // in hundredths of a percent, which is exact enough
    let hundredths = (times.failed() * 10_000).checked_div(times.calls()).unwrap_or_default();
    f64::from(u32::try_from(hundredths).unwrap_or(u32::MAX)) / 100.0
}

fn watched(times: &Times) -> Value {
    let [p50, p95, p99] = quantiles(times).map_or([None; 3], |ms| ms.map(Some));
    json!({"calls": times.calls(), "failed": times.failed(), "errors_percent": errors_percent(times),
        "p50_ms": p50, "p95_ms": p95, "p99_ms": p99})
}

fn guard(control: &Control) -> Value {
    let guard = &control.guard;
    let limits = guard.limits.map(|limits| {
        json!({"errors_percent": f64::from(limits.errors) / 10.0,
            "p99_times": f64::from(limits.slower_percent) / 100.0, "lag_ms": limits.lag_ms})
    });
    let stopped = guard.stopped.as_ref().map(|stopped| {
        json!({"at": utc_text(stopped.at_ms), "why": stopped.why,
            "share_percent": f64::from(stopped.share) / 10.0})
    });
    json!({"limits": limits, "stopped": stopped})
}

fn next(status: &MoveStatus) -> &'static [&'static str] {
    if status.control.guard.stopped.is_some() {
        return &["repot mismatches", "repot status --why", "repot rollout 10%"];
    }
    match status.control.stage() {
        Stage::Following | Stage::Comparing => &["repot rollout 10%"],
        Stage::RollingOutReads(_) => &["repot rollout 10%", "repot rollback"],
        Stage::RollingOut(_) => &["repot rollout 100%", "repot rollback"],
        Stage::Database => &["repot finish", "repot rollback"],
    }
}

/// Shares of collections, percent.
fn collections(share: &Share) -> Value {
    share.collections.iter().map(|(name, slots)| (name.clone(), json!(f64::from(*slots) / 10.0))).collect()
}

pub(super) fn told(status: &MoveStatus) -> Value {
    let control = &status.control;
    let stage = match control.stage() {
        Stage::RollingOutReads(_) => "rolling out reads".to_owned(),
        Stage::RollingOut(_) => "rolling out".to_owned(),
        stage => stage.to_string(),
    };
    let stuck: Vec<Value> = status
        .stuck
        .iter()
        .map(|stuck| json!({"document": stuck.key.to_string(), "why": stuck.why, "tries": stuck.tries}))
        .collect();
    let (compared, all) = (&status.figures.compared, &status.figures.watched);
    let (led, reads) = (&control.leads.led, &control.leads.reads);
    json!({
        "type": "result",
        "stage": stage,
        "share_percent": f64::from(led.slots) / 10.0,
        "tenants": led.tenants,
        "collections": collections(led),
        "reads": {"share_percent": f64::from(reads.slots) / 10.0, "tenants": reads.tenants,
            "collections": collections(reads)},
        "behind": status.marked,
        "lag_ms": status.lag_ms,
        "stuck": stuck,
        "servers": status.servers,
        "change": status.change(),
        "since": utc_text(control.since_ms),
        "compared": {"share_percent": f64::from(control.compared) / 10.0, "reads": compared.compared(),
            "different": compared.different, "text_only": compared.text_only, "stale": compared.stale,
            "in_motion": compared.in_motion, "dropped": compared.dropped},
        "differences": status.differences,
        "database": watched(&all.all(Lead::New)),
        "files": watched(&all.all(Lead::Old)),
        "guard": guard(control),
    })
}
