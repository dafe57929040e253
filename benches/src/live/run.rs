//! All places, one report.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::runtime::{Builder, Runtime};

use super::eyes::Eyes;
use super::foreign::Foreign;
use super::paced::{Paced, WARM, call};
use super::project::{Old, Origin, Project};
use super::report::{self, Section};
use crate::args::LiveArguments;
use crate::corpus::Corpus;
use crate::ground::Ground;
use crate::serve::Process;
use crate::store::{PER_USER, Place};

struct Runner<'a> {
    arguments: &'a LiveArguments,
    program: PathBuf,
    ground: &'a Ground,
    runtime: Runtime,
}

/// Measures and writes the report to `out`; how far it is goes to standard error.
pub(crate) fn run(arguments: &LiveArguments, out: &mut impl Write) -> Result<()> {
    let routes = [
        (Origin::Directory, Place::Sqlite),
        (Origin::Directory, Place::Postgres),
        (Origin::Sqlite, Place::Postgres),
    ];
    let is_wanted = |(from, to): &(Origin, Place)| {
        arguments.only.is_none_or(|only| only == *to) && arguments.from.is_none_or(|only| only == *from)
    };
    let routes: Vec<(Origin, Place)> = routes.into_iter().filter(is_wanted).collect();
    ensure!(
        !routes.is_empty(),
        "documents move from a directory to SQLite or PostgreSQL, or from SQLite to PostgreSQL here"
    );
    // held until the end: dropping it stops the server
    let ground = Ground::prepare(&arguments.ground, routes.iter().any(|(_, to)| *to == Place::Postgres))?;
    let runner = Runner {
        arguments,
        program: ground.program(arguments.ground.repot.as_deref())?,
        ground: &ground,
        runtime: Builder::new_multi_thread().enable_all().build()?,
    };
    let mut sections = Vec::new();
    for route in routes {
        sections.push(runner.section(route)?);
    }
    if arguments.ground.json {
        report::json(&ground.machine, arguments, &sections, out)
    } else {
        report::tables(&ground.machine, arguments, &sections, out)
    }
}

impl Runner<'_> {
    fn section(&self, (from, place): (Origin, Place)) -> Result<Section> {
        let mut section = Section::new((from, place));
        // one corpus stays where it is; the other one moves
        let (scratch, program) = (self.ground.scratch(), &self.program);
        let folder = |name: &str| scratch.join(format!("{name}-{from}-{place}"));
        let (stays, _) = Corpus::chats(self.arguments.size, PER_USER, &folder("stays"))?;
        let (moved, chats) = Corpus::chats(self.arguments.size, PER_USER, &folder("moved"))?;
        let chats: Arc<[(String, String)]> = chats.into();
        let server = if place == Place::Postgres { self.ground.url.as_deref() } else { None };
        let old = Old::make(program, (from, "old"), scratch, &moved.path)?;
        let project = Project::make(program, scratch, server, old)?;
        let stays = Old::make(program, (from, "stays"), scratch, &stays.path)?;
        drop(project.follow()?);
        let serving = [stays.serve(program, &project.target.directory)?, project.serve()?];
        self.say(place, "dual write")?;
        self.dual_write(&serving, &chats, &mut section)?;
        let [_, serving] = serving;
        self.say(place, "comparing")?;
        self.comparing(&project, &serving, &chats, &mut section)?;
        self.say(place, "changes of the lead")?;
        self.changes(&project, &serving, &chats, &mut section)?;
        let mut foreign = match from {
            Origin::Directory => Foreign::open(&moved.path, scratch, &chats)?,
            Origin::Sqlite => Foreign::over(project.old.serve(program, &project.target.directory)?, &chats)?,
        };
        let mut eyes = Eyes::open(&project.target)?;
        for (seed, &rate) in (1..).zip(&self.arguments.rates) {
            self.say(place, &format!("following {rate} writes/s"))?;
            let (lags, written) = foreign.follow(&mut eyes, rate, self.arguments.seconds, seed)?;
            section.lags.push((rate, written, lags));
            foreign.all_arrived(&mut eyes)?;
        }
        self.say(place, "catching up")?;
        drop(serving);
        section.catch_up = catch_up(&project, &mut foreign, &mut eyes)?;
        remove(&[&folder("stays"), &folder("moved")]);
        Ok(section)
    }

    fn say(&self, place: Place, what: &str) -> Result<()> {
        Ok(writeln!(std::io::stderr(), "{place}: {what}, {} conversations", self.arguments.size)?)
    }

    fn round(&self, process: &Process, chats: &Arc<[(String, String)]>, round: u16) -> Result<Paced> {
        let time = Duration::from_secs_f64(self.arguments.seconds / f64::from(self.arguments.rounds));
        let over = async {
            tokio::time::sleep(time).await;
            Ok(())
        };
        let seed = u64::from(round) + 1;
        self.runtime.block_on(call(process.address, chats, self.arguments.calls, seed, over))
    }

    /// The old store alone, and one that is followed, in turns.
    fn dual_write(
        &self,
        serving: &[Process; 2],
        chats: &Arc<[(String, String)]>,
        section: &mut Section,
    ) -> Result<()> {
        for round in 0..self.arguments.rounds {
            section.alone.add(self.round(&serving[0], chats, round)?);
            section.following.add(self.round(&serving[1], chats, round)?);
        }
        Ok(())
    }

    /// Followed, with and without reads that are compared, in turns.
    fn comparing(
        &self,
        project: &Project<'_>,
        serving: &Process,
        chats: &Arc<[(String, String)]>,
        section: &mut Section,
    ) -> Result<()> {
        for round in 0..self.arguments.rounds {
            project.run(&["rollout", "0%", "--compare", "0%"])?;
            section.not_comparing.add(self.round(serving, chats, round)?);
            project.run(&["rollout", "0%", "--compare", "10%"])?;
            section.comparing.add(self.round(serving, chats, round)?);
        }
        project.run(&["rollout", "0%", "--compare", "0%"])?;
        Ok(())
    }

    /// Everything to the database and back, again and again, under calls that never stop.
    fn changes(
        &self,
        project: &Project<'_>,
        serving: &Process,
        chats: &Arc<[(String, String)]>,
        section: &mut Section,
    ) -> Result<()> {
        let changed = async {
            // calls count from then on
            tokio::time::sleep(WARM).await;
            for _ in 0..self.arguments.changes {
                for command in [&["rollout", "100%", "--no-guard"][..], &["rollback"]] {
                    section.changes.push(tokio::task::block_in_place(|| project.run(command))?);
                }
            }
            Ok(())
        };
        section.changing =
            self.runtime.block_on(call(serving.address, chats, self.arguments.calls, 99, changed))?;
        Ok(())
    }
}

/// Documents that were written while nobody followed, and seconds until all of them were in the database, from the follower's
/// start on.
fn catch_up(project: &Project<'_>, foreign: &mut Foreign, eyes: &mut Eyes) -> Result<(usize, f64)> {
    let written = foreign.write_all()?;
    let begin = Instant::now();
    let follower = project.follow()?;
    foreign.all_arrived(eyes)?;
    let took = begin.elapsed().as_secs_f64();
    drop(follower);
    Ok((written, took))
}

fn remove(folders: &[&Path]) {
    for folder in folders {
        // what stays behind goes with the scratch directory
        drop(std::fs::remove_dir_all(folder));
    }
}
