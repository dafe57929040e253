//! `repot rollout`, `rollback`, `finish`: documents change store while they are read and written.

use std::time::Duration;

use repot::{Move, Repot};
use repot_core::moving::Lead;
use repot_core::store::DocumentKey;
use repot_core::{Clock as _, Error, Kind, SystemClock};
use repot_engine::Tally;
use repot_engine::moving::{ChangeProgress, Leads, Limits, Moving, SLOTS, Stage, Terms, percent};
use repot_engine::verify::ProvedObject;
use repot_model::plan::time::utc_text;
use serde_json::json;
use tokio::runtime::Runtime;

use super::move_status::told;
use super::old_side::OldSide;
use super::{inner, runtime, source};
use crate::args::Global;
use crate::errors::{Exit, Failure};
use crate::move_args::{Finish, Patience, Rollback, Rollout};
use crate::output::{self, Output, count};
use crate::progress::Shown;
use crate::serving;
use crate::wiring::Project;

/// Of a thousand reads so many are compared where nobody says.
const COMPARED: u16 = 100;
/// How often `rollout --watch` looks.
const WATCHES_A_SECOND: u64 = 4;
/// Marks whose age is known.
const MARKS_SEEN: u64 = 1_000;

/// A move that is on its way, and who takes part in it.
pub(super) fn opened(project: &Project, runtime: &Runtime) -> Result<Repot, Failure> {
    // nothing is made where nothing was copied
    if project.target()?.state()?.is_some() {
        let repot = runtime.block_on(Repot::open(serving::config(project, None)?)).map_err(inner)?;
        if repot.part().is_some() {
            return Ok(repot);
        }
    }
    Err(none().into())
}

/// Nothing was begun, or it is finished.
pub(crate) fn none() -> Error {
    Error::new(Kind::Refused, "R0715", "no move is on its way in this database")
        .hint("Begin with repot copy --follow.")
}

pub(super) fn part(repot: &Repot) -> Result<&Move, Failure> {
    repot.part().ok_or_else(|| Error::new(Kind::Internal, "R0901", "a move is gone").into())
}

pub(crate) fn rollout(global: &Global, rollout: &Rollout, output: &Output) -> Result<Exit, Failure> {
    let project = Project::open(global)?;
    let wanted = Wanted::read(&project, rollout)?;
    let runtime = runtime()?;
    let repot = opened(&project, &runtime)?;
    runtime.block_on(async {
        let moving = part(&repot)?.moving();
        let status = moving.status().await?.ok_or_else(no_move)?;
        let leads = wanted.of(status.control.leads);
        wanted.check(&leads)?;
        let led = !leads.is_old_alone();
        let terms = terms(rollout, led)?;
        moving.roll_out(&leads, terms, &wanted.why(), bound_ms(rollout.patience)).await?;
        let database = repot_name(&project)?;
        let old = OldSide::of(&project);
        output.say(&wanted.told(database, old));
        guarded(terms, led, old, output);
        if let Some(seconds) = rollout.watch {
            watch(moving, seconds).await?;
        }
        let status = moving.status().await?.ok_or_else(no_move)?;
        let next: &[&str] = match status.control.stage() {
            Stage::Database => &["repot status", "repot finish", "repot rollback"],
            Stage::RollingOutReads(_) => &["repot status --watch", "repot rollout 10%", "repot rollback"],
            _ => &["repot status --watch", "repot rollout 100%", "repot rollback"],
        };
        output.done(told(&status), next);
        Ok(Exit::Done)
    })
}

pub(crate) fn rollback(global: &Global, rollback: &Rollback, output: &Output) -> Result<Exit, Failure> {
    let project = Project::open(global)?;
    let runtime = runtime()?;
    let repot = opened(&project, &runtime)?;
    runtime.block_on(async {
        let moving = part(&repot)?.moving();
        // what others wrote into the files until now is looked for first
        part(&repot)?.follower().scan().await?;
        moving.change(&Leads::default(), "rollback", bound_ms(rollback.patience)).await?;
        moving.compare_share(0).await?;
        let database = repot_name(&project)?;
        output.say(&format!("0 % from {database}; {}", OldSide::of(&project).has_it_all()));
        if moving.let_outsiders_in().await? {
            output.say("Servers over the old database alone may write again.");
        }
        let status = moving.status().await?.ok_or_else(no_move)?;
        output.done(told(&status), &["repot status --why", "repot rollout 10%"]);
        Ok(Exit::Done)
    })
}

fn bound_ms(patience: Patience) -> i64 {
    i64::try_from(patience.timeout).unwrap_or(i64::MAX).saturating_mul(1_000)
}

/// On what terms a rollout is asked for.
fn terms(rollout: &Rollout, led: bool) -> Result<Terms, Failure> {
    let compared = match rollout.compare.as_deref() {
        Some(share) => read_share(share)?,
        None if led => COMPARED,
        None => 0,
    };
    let flags = &rollout.guard;
    let limits = Limits {
        errors: read_share(&flags.guard_errors)?,
        slower_percent: read_times(&flags.guard_p99)?,
        lag_ms: read_time(&flags.guard_lag)?,
    };
    Ok(Terms { compared: Some(compared), limits: (!flags.no_guard).then_some(limits) })
}

fn guarded(terms: Terms, led: bool, old: OldSide, output: &Output) {
    if let Some(share @ 1..) = terms.compared {
        output.say(&format!("{} of the reads are also compared with the other store.", percent(share)));
    }
    if let (Some(limits), true) = (terms.limits, led) {
        output.say(&format!(
            "Guard: back to 0 % by itself at the first mismatch, or if errors pass {}, p99 {}x that of the {}, or copies are behind for {} s.",
            percent(limits.errors),
            f64::from(limits.slower_percent) / 100.0,
            old.name(),
            limits.lag_ms / 1_000
        ));
    }
}

/// Stays until the time is over, or the guard stops the rollout.
async fn watch(moving: &Moving, seconds: u64) -> Result<(), Failure> {
    for _ in 0..seconds.saturating_mul(WATCHES_A_SECOND) {
        let status = moving.status().await?.ok_or_else(no_move)?;
        if let Some(stopped) = &status.control.guard.stopped {
            return Err(stopped.error().into());
        }
        tokio::time::sleep(Duration::from_millis(1_000 / WATCHES_A_SECOND)).await;
    }
    Ok(())
}

/// The kind of the database, for people.
fn repot_name(project: &Project) -> Result<&'static str, Failure> {
    Ok(match project.database()? {
        crate::database_url::Database::Sqlite(_) => "SQLite",
        crate::database_url::Database::Postgres(_) => "PostgreSQL",
    })
}

/// What `rollout` is asked for.
struct Wanted {
    share: Option<u16>,
    tenants: Vec<String>,
    collection: Option<String>,
    /// Only their reads.
    reads: bool,
}

impl Wanted {
    fn read(project: &Project, rollout: &Rollout) -> Result<Self, Failure> {
        let share = rollout.share.as_deref().map(read_share).transpose()?;
        if let Some(name) = &rollout.collection
            && project.model.collection(name).is_none()
        {
            return Err(Error::new(Kind::NotFound, "R0402", format!("there is no collection {name}"))
                .hint("Check the name; repot.toml lists the collections.")
                .into());
        }
        if rollout.reads_only && share.is_none() && rollout.only.is_empty() {
            return Err(Error::new(Kind::Invalid, "R0100", "--reads-only names no share")
                .hint("Say whose reads: repot rollout 10% --reads-only")
                .into());
        }
        let mut tenants = Vec::new();
        for only in &rollout.only {
            let (field, value) = only.split_once('=').unwrap_or(("", only));
            let fields: Vec<&str> = project
                .model
                .collections
                .iter()
                .filter_map(|collection| collection.tenant.as_deref())
                .collect();
            if !fields.contains(&field) || value.is_empty() {
                let message = format!("{only} names no tenant");
                let hint = fields.first().map_or_else(
                    || "The model has no tenants; roll out a share of the documents.".to_owned(),
                    |field| format!("Write it as {field}=VALUE."),
                );
                return Err(Error::new(Kind::Invalid, "R0406", message).hint(hint).into());
            }
            tenants.push(value.to_owned());
        }
        Ok(Self { share, tenants, collection: rollout.collection.clone(), reads: rollout.reads_only })
    }

    /// What is named is led, or read, from the database from now on, and no longer the other way.
    fn of(&self, mut leads: Leads) -> Leads {
        if self.is_terms_only() {
            return leads;
        }
        let slots = self.share.unwrap_or(SLOTS);
        if self.collection.is_none() && self.tenants.is_empty() {
            // the whole, whatever single ones had
            return if self.reads { Leads::reads(slots) } else { Leads::share(slots) };
        }
        let Leads { led, reads } = &mut leads;
        let (on, off) = if self.reads { (reads, led) } else { (led, reads) };
        if let Some(collection) = &self.collection {
            on.collections.insert(collection.clone(), slots);
            off.set_collection(collection, 0);
        }
        for tenant in &self.tenants {
            off.tenants.remove(tenant);
            if slots == 0 {
                on.tenants.remove(tenant);
            } else {
                on.tenants.insert(tenant.clone());
            }
        }
        leads
    }

    /// A tenant of whom only the reads are wanted may be led by the share all the same.
    fn check(&self, leads: &Leads) -> Result<(), Failure> {
        let is_led = |tenant: &&String| {
            let mut collections = std::iter::once("").chain(leads.led.collections.keys().map(String::as_str));
            collections.any(|name| leads.of(&DocumentKey::new(name, "").in_tenant(tenant)) == Lead::New)
        };
        match self.tenants.iter().find(is_led).filter(|_| self.reads && self.share != Some(0)) {
            None => Ok(()),
            Some(tenant) => {
                let message = format!("the share that the database leads has {tenant} in it");
                Err(Error::new(Kind::Invalid, "R0100", message)
                    .hint("Say it of the whole share, such as repot rollout 10% --reads-only, or roll out less first.")
                    .into())
            }
        }
    }

    /// The leads stay as they are.
    const fn is_terms_only(&self) -> bool {
        self.share.is_none() && self.tenants.is_empty() && self.collection.is_none()
    }

    fn why(&self) -> String {
        let share = percent(self.share.unwrap_or(SLOTS));
        let only = if self.reads { ", reads only" } else { "" };
        match (&self.collection, self.tenants.as_slice()) {
            (Some(collection), _) => format!("rollout {share} of {collection}{only}"),
            (None, []) => format!("rollout {share}{only}"),
            (None, tenants) => format!("rollout {share} of {}{only}", tenants.join(", ")),
        }
    }

    fn told(&self, database: &str, old: OldSide) -> String {
        if self.is_terms_only() {
            return "Who leads stays as it is.".to_owned();
        }
        if self.reads {
            return self.told_of_reads(database, old);
        }
        let share = percent(self.share.unwrap_or(SLOTS));
        match (&self.collection, self.tenants.as_slice()) {
            (Some(collection), _) => format!("{share} of {collection} is now served from {database}."),
            (None, tenants @ [_, ..]) if self.share == Some(0) => {
                format!("{} is served by the share again.", tenants.join(", "))
            }
            (None, tenants @ [_, ..]) => format!("{} is now served from {database}.", tenants.join(", ")),
            (None, []) => match self.share {
                Some(0) => old.leads_everything().to_owned(),
                Some(SLOTS) => {
                    format!("Everything is now served from {database}; {}.", old.is_kept_in_step())
                }
                _ => format!("{share} of users (always the same ones) are now served from {database}."),
            },
        }
    }

    fn told_of_reads(&self, database: &str, old: OldSide) -> String {
        let share = percent(self.share.unwrap_or(SLOTS));
        let of = match (&self.collection, self.tenants.as_slice()) {
            (Some(collection), _) => format!("{share} of {collection}"),
            (None, tenants @ [_, ..]) if self.share == Some(0) => {
                return format!("{} is served by the share again.", tenants.join(", "));
            }
            (None, tenants @ [_, ..]) => tenants.join(", "),
            (None, []) if self.share == Some(0) => return old.leads_everything().to_owned(),
            (None, []) => format!("{share} of users (always the same ones)"),
        };
        format!("Reads of {of} are now served from {database}. {}", old.leads_them())
    }
}

/// Reads `10%`, `0.5%`: so many of a thousand.
fn read_share(text: &str) -> Result<u16, Failure> {
    let wrong = || {
        Error::new(Kind::Invalid, "R0100", format!("`{text}` is no share"))
            .hint("Write a percentage from 0% to 100%, with one decimal at most, such as 10%.")
    };
    let number = text.strip_suffix('%').ok_or_else(wrong)?.trim();
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let whole: u16 = whole.parse().map_err(|_no_number| wrong())?;
    let part: u16 = part.parse().map_err(|_no_number| wrong())?;
    let part = Some(part).filter(|_| number.split_once('.').is_none_or(|(_, part)| part.len() == 1));
    let share = whole.checked_mul(10).zip(part).and_then(|(share, part)| share.checked_add(part));
    Ok(share.filter(|share| *share <= SLOTS).ok_or_else(wrong)?)
}

/// Reads `2x`, `1.5x`: so many percent.
fn read_times(text: &str) -> Result<u32, Failure> {
    let number = text.strip_suffix('x').and_then(|number| number.trim().parse::<f64>().ok());
    let percent =
        number.map(|number| (number * 100.0).round()).filter(|percent| (100.0..=1e6).contains(percent));
    let wrong = || {
        Error::new(Kind::Invalid, "R0100", format!("`{text}` is no number of times"))
            .hint("Write it as 2x or 1.5x, at least 1x.")
    };
    // it is whole and in bounds
    Ok(percent.and_then(|percent| format!("{percent:.0}").parse().ok()).ok_or_else(wrong)?)
}

/// Reads `60s`, `5m`: milliseconds.
fn read_time(text: &str) -> Result<i64, Failure> {
    let unit = |unit: char, ms: i64| {
        let number: i64 = text.strip_suffix(unit)?.trim().parse().ok()?;
        number.checked_mul(ms).filter(|ms| *ms > 0)
    };
    let wrong = || {
        Error::new(Kind::Invalid, "R0100", format!("`{text}` is no time"))
            .hint("Write seconds or minutes, such as 60s or 5m.")
    };
    Ok(unit('s', 1_000).or_else(|| unit('m', 60_000)).ok_or_else(wrong)?)
}

pub(crate) fn no_move() -> Error {
    Error::new(Kind::Refused, "R0715", "the move is over").hint("repot status says more.")
}

pub(crate) fn finish(global: &Global, finish: &Finish, output: &Output) -> Result<Exit, Failure> {
    let project = Project::open(global)?;
    if finish.remove_source {
        return source::remove(&project, finish, output);
    }
    let kept_ms = source::read_days(&finish.keep_source)?;
    let runtime = runtime()?;
    let repot = opened(&project, &runtime)?;
    let moving = part(&repot)?.moving();
    let status = runtime.block_on(moving.status())?.ok_or_else(no_move)?;
    if status.control.stage() != Stage::Database {
        return Err(Error::new(Kind::Refused, "R0717", "the database does not lead everything yet")
            .hint("repot rollout 100% first.")
            .into());
    }
    let old = OldSide::of(&project);
    runtime.block_on(in_step(part(&repot)?, old, finish.patience))?;
    // a fresh proof of the database itself, and what it covers
    let progress = Shown::new(output);
    let mut target = project.copied()?;
    let options = project.options(&finish.bounds);
    let mut draft = moving.draft();
    let mut each = |object: ProvedObject| {
        let written = draft.add(&object.path, object.size, &object.sha256);
        if written.is_empty() { Ok(()) } else { runtime.block_on(moving.write_down(written)) }
    };
    let proof = super::copy::prove_listing(&project, target.as_mut(), (&options, &progress), &mut each)?;
    progress.end();
    source::check(&proof, "repot verify shows each difference; repot rollback goes back to the old side.")?;
    let tally = Tally::of(&target.reader()?.count_objects()?);
    output.say(&format!(
        "Proved {} of {}; {}.",
        output::number(proof.proved),
        output::number(proof.objects),
        old.in_step()
    ));
    for (number, what) in [
        (tally.set_aside, "set aside: kept whole in the database, not as rows"),
        (tally.unmatched, "matched by no section of the model: only where they are now"),
        (tally.stays, "that the model leaves where they are"),
    ] {
        if number > 0 {
            output.say(&format!("Not covered: {} {what}", count(number, "file", "files")));
        }
    }
    source::confirm(&project, finish, &source::ends(old), output)?;
    // from now on no copy of what is left of the files may take the place of what is here
    source::leads(target.as_mut())?;
    let about = source::about(&project, SystemClock.now_ms(), kept_ms);
    let (written, receipt) = draft.end(&about);
    runtime.block_on(async {
        moving.write_down(written).await?;
        moving.finish("finished", Some(&receipt)).await?;
        // what an earlier end left that was refused or died; nobody needs it
        let _left = moving.forget_receipts(Some(&receipt)).await;
        Ok::<(), Error>(())
    })?;
    let (until, named) = (utc_text(about.kept_until_ms), receipt.counted());
    output.say("Finished. To go back later: repot export DIR");
    output.say(&format!("The source is kept until {until}; repot status says when it is no longer needed."));
    let result = json!({"type": "result", "stage": "finished", "proved": proof.proved, "objects": proof.objects,
        "set_aside": tally.set_aside, "unmatched": tally.unmatched, "stays": tally.stays,
        "source": {"kept_until": until, "objects": named.0, "bytes": named.1}});
    output.done(result, &["repot export DIR"]);
    Ok(Exit::Done)
}

/// Comes back when every document that either store has was found to be the same in both since the call.
async fn in_step(part: &Move, old: OldSide, patience: Patience) -> Result<(), Failure> {
    part.follower().mark_everything().await?;
    let moving = part.moving();
    let begun_ms = SystemClock.now_ms();
    let bound_ms = bound_ms(patience);
    loop {
        moving.mend().await?;
        while moving.read_log().await? {}
        moving.copy_marked().await?;
        let status = moving.status().await?.ok_or_else(no_move)?;
        // what is written all the time is marked all the time; what was marked before is copied
        let is_new = |lag_ms: i64| SystemClock.now_ms() - lag_ms >= begun_ms;
        let is_copied = status.marked <= MARKS_SEEN && status.lag_ms.is_none_or(is_new);
        if is_copied && status.stuck.is_empty() && moving.step().await? == ChangeProgress::Nothing {
            return Ok(());
        }
        if SystemClock.now_ms() - begun_ms > bound_ms {
            let error = Error::new(
                Kind::Refused,
                "R0718",
                format!(
                    "{} not in step with the {}",
                    count(status.marked, "document is", "documents are"),
                    old.name()
                ),
            );
            let stuck = status.stuck.iter().map(|stuck| format!("{}: {}", stuck.key, stuck.why));
            return Err(stuck
                .fold(error, Error::detail)
                .hint("repot status says what they wait for.")
                .into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[cfg(test)]
mod tests {
    use repot_engine::moving::{Leads, SLOTS, Share};

    use super::{Wanted, read_share, read_time, read_times};

    #[test]
    fn a_rollout_says_the_whole_of_what_it_names() {
        let wanted = |share: u16, tenants: &[&str], collection: Option<&str>, reads: bool| Wanted {
            share: Some(share),
            tenants: tenants.iter().map(|tenant| (*tenant).to_owned()).collect(),
            collection: collection.map(str::to_owned),
            reads,
        };
        let mut leads = wanted(100, &[], None, true).of(Leads::share(500));
        assert_eq!(leads, Leads::reads(100));
        leads = wanted(SLOTS, &["u1"], None, false).of(leads);
        assert!(leads.led.tenants.contains("u1") && leads.reads == Share::of_slots(100));
        leads = wanted(SLOTS, &["u1"], None, true).of(leads);
        assert!(leads.led.is_none() && leads.reads.tenants.contains("u1"));
        leads = wanted(0, &["u1"], None, false).of(leads);
        assert_eq!(leads, Leads::reads(100));
        leads = wanted(200, &[], Some("notes"), false).of(leads);
        assert_eq!((leads.led.collections["notes"], leads.reads.collections["notes"]), (200, 0));
        leads = wanted(300, &[], Some("notes"), true).of(leads);
        assert_eq!((leads.led.collections.get("notes"), leads.reads.collections["notes"]), (None, 300));
        assert_eq!(wanted(50, &[], None, false).of(leads.clone()), Leads::share(50));
        let one = wanted(SLOTS, &["u1"], None, true);
        assert!(one.check(&one.of(leads.clone())).is_ok());
        assert!(one.check(&one.of(Leads::share(SLOTS))).is_err());
        let terms = Wanted { share: None, ..wanted(0, &[], None, true) };
        assert_eq!(terms.of(leads.clone()), leads);
    }

    #[test]
    fn shares_are_percentages() {
        let read = |text: &str| read_share(text).ok();
        assert_eq!(
            (read("10%"), read("0.5%"), read("100%"), read("0%")),
            (Some(100), Some(5), Some(1_000), Some(0))
        );
        for wrong in ["10", "101%", "%", "-1%", "1.05%", "1.x%", "100.1%"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn limits_are_times_and_numbers_of_times() {
        assert_eq!((read_times("2x").ok(), read_times("1.5x").ok()), (Some(200), Some(150)));
        assert_eq!((read_time("60s").ok(), read_time("5m").ok()), (Some(60_000), Some(300_000)));
        for wrong in ["2", "x", "0.5x", "-2x", "NaNx", "infx"] {
            assert!(read_times(wrong).is_err(), "{wrong}");
        }
        for wrong in ["60", "s", "0s", "-1m", "1h", "99999999999999999s"] {
            assert!(read_time(wrong).is_err(), "{wrong}");
        }
    }
}
