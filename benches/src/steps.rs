//! The steps, each in a process of its own, and one round of all of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use repot_model::plan::Plan;

use crate::check::same_tree;
use crate::child::{Sample, measure};
use crate::corpus::Corpus;
use crate::target::{Engine, Target};

/// What is measured, in the order of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The straight pipeline.
    Limit,
    /// `repot copy --no-verify` into a new database.
    Copy,
    /// `repot copy` into a new database.
    Proof,
    /// The bare listing of the source.
    List,
    /// `repot copy` again, of the unchanged source.
    Again,
    /// `repot export`.
    Export,
}

impl Step {
    /// What it is called in the tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Limit => "(a) the limit",
            Self::Copy => "(b) copy without proof",
            Self::Proof => "(c) copy with proof",
            Self::List => "bare listing",
            Self::Again => "(d) repeated copy",
            Self::Export => "(e) export",
        }
    }

    /// What it is called in the JSON.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Copy => "copy",
            Self::Proof => "copy_with_proof",
            Self::List => "list",
            Self::Again => "repeated_copy",
            Self::Export => "export",
        }
    }
}

/// What one corpus on one database gave.
#[derive(Debug)]
pub(crate) struct Section {
    /// Which corpus.
    pub(crate) corpus: Corpus,
    /// Which database.
    pub(crate) engine: Engine,
    /// In all of the user's tables.
    pub(crate) rows: u64,
    /// Bytes of the database after the limit, and after a copy.
    pub(crate) sizes: (u64, u64),
    /// Each step with its runs.
    pub(crate) steps: Vec<(Step, Vec<Sample>)>,
}

impl Section {
    /// Nothing measured yet.
    pub(crate) const fn new(corpus: Corpus, engine: Engine) -> Self {
        Self { corpus, engine, rows: 0, sizes: (0, 0), steps: Vec::new() }
    }

    fn add(&mut self, step: Step, sample: Sample) {
        match self.steps.iter_mut().find(|(known, _)| *known == step) {
            Some((_, samples)) => samples.push(sample),
            None => self.steps.push((step, vec![sample])),
        }
    }
}

/// How steps are run.
#[derive(Debug)]
pub(crate) struct Runner {
    /// This program.
    pub(crate) own: PathBuf,
    /// The `repot` to measure; none: only the limit.
    pub(crate) repot: Option<PathBuf>,
    /// Databases and exports go here.
    pub(crate) scratch: PathBuf,
    /// The PostgreSQL server, when one is needed.
    pub(crate) server: Option<String>,
    /// Threads of the limit.
    pub(crate) threads: usize,
}

impl Runner {
    /// Runs every step once and adds what it took to `section`.
    pub(crate) fn round(&self, plan: &Plan, section: &mut Section) -> Result<()> {
        let counts = self.limit(plan, section)?;
        let Some(repot) = &self.repot else { return Ok(()) };
        let target = self.target(section, "copy")?;
        self.repot(repot, section, Step::Copy, &target, &["copy", "--no-verify"])?;
        ensure!(
            target.counts(plan)? == counts,
            "the limit and copy --no-verify made different numbers of rows"
        );
        drop(target);
        let target = self.target(section, "proof")?;
        self.repot(repot, section, Step::Proof, &target, &["copy"])?;
        ensure!(target.counts(plan)? == counts, "the limit and copy made different numbers of rows");
        section.sizes.1 = target.size()?;
        self.list(section)?;
        self.repot(repot, section, Step::Again, &target, &["copy"])?;
        ensure!(target.counts(plan)? == counts, "a repeated copy changed the number of rows");
        self.export(repot, section, &target)
    }

    fn limit(&self, plan: &Plan, section: &mut Section) -> Result<Vec<u64>> {
        let target = self.target(section, "limit")?;
        let mut command = Command::new(&self.own);
        command.arg("limit").arg(section.corpus.kind.to_string()).arg(&section.corpus.path);
        command.arg(target.text()).arg(self.threads.to_string());
        let (mut sample, printed) = self.measure(&mut command)?;
        let mut words = printed.split_whitespace();
        let mut number =
            || words.next().and_then(|word| word.parse().ok()).context("the limit prints two numbers");
        let (rows, peak_kib) = (number()?, number()?);
        sample.peak_kib = sample.peak_kib.max(peak_kib);
        let counts = target.counts(plan)?;
        ensure!(counts.iter().sum::<u64>() == rows, "the limit lost rows on the way");
        section.rows = rows;
        section.sizes.0 = target.size()?;
        section.add(Step::Limit, sample);
        Ok(counts)
    }

    fn list(&self, section: &mut Section) -> Result<()> {
        let (sample, printed) =
            self.measure(Command::new(&self.own).arg("list").arg(&section.corpus.path))?;
        ensure!(printed.trim() == section.corpus.documents.to_string(), "the listing missed files");
        section.add(Step::List, sample);
        Ok(())
    }

    fn export(&self, repot: &Path, section: &mut Section, target: &Target) -> Result<()> {
        let directory = self.scratch.join("export");
        let path = directory.to_string_lossy().into_owned();
        self.repot(repot, section, Step::Export, target, &["export", &path])?;
        let files = same_tree(&section.corpus.path, &directory)?;
        ensure!(files as u64 == section.corpus.documents, "the export has {files} files");
        fs::remove_dir_all(&directory).with_context(|| format!("removing {path}"))
    }

    fn repot(
        &self,
        repot: &Path,
        section: &mut Section,
        step: Step,
        target: &Target,
        words: &[&str],
    ) -> Result<()> {
        let mut command = Command::new(repot);
        command.arg("--quiet").arg("-C").arg(&target.directory).args(words);
        // settings of the person at the keyboard are not part of the measurement
        for name in ["REPOT_MODEL", "REPOT_SOURCE", "DATABASE_URL"] {
            command.env_remove(name);
        }
        if let Some(url) = target.url() {
            command.env("DATABASE_URL", url);
        }
        let (sample, _) = self.measure(&mut command)?;
        section.add(step, sample);
        Ok(())
    }

    fn target(&self, section: &Section, name: &str) -> Result<Target> {
        let server = match section.engine {
            Engine::Sqlite => None,
            Engine::Postgres => {
                Some(self.server.as_deref().context("there is a server when it is measured")?)
            }
        };
        let target = Target::make(&self.scratch, name, server)?;
        let source = section.corpus.path.to_string_lossy();
        let model = section.corpus.kind.model().replace("{source}", &source);
        fs::write(target.directory.join("repot.toml"), model)?;
        Ok(target)
    }

    fn measure(&self, command: &mut Command) -> Result<(Sample, String)> {
        // what the step before left to be written is not this step's work
        let status = Command::new("sync").status().context("running sync")?;
        ensure!(status.success(), "sync failed");
        measure(command, &self.scratch)
    }
}
