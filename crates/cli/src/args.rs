//! What the command line may say.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use repot_engine::ledger::Right;

use crate::document_args::{At, Get, Ls, Patch, Put, Rm};
use crate::log::LogStyle;
use crate::move_args::{Finish, Mismatches, MoveTo, Rollback, Rollout, Status};

/// Moves an app's JSON files into SQLite or PostgreSQL, proves that nothing was lost, and gives them back.
#[derive(Debug, Parser)]
#[command(
    name = "repot",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Global {
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        help = "The model file [default: REPOT_MODEL, else repot.toml, or all of repot/*.toml]"
    )]
    pub model: Option<PathBuf>,
    /// Work as if started in this directory.
    #[arg(
        short = 'C',
        long,
        global = true,
        value_name = "DIR",
        default_value = ".",
        hide_default_value = true
    )]
    pub dir: PathBuf,
    /// Print JSON: one object, or one object a line for long work.
    #[arg(long, global = true)]
    pub json: bool,
    /// Print results only, no talk and no progress.
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Look at files or a bucket and write repot.toml, with evidence.
    Init(Init),
    /// Can source and target be reached, read and written?
    Check,
    /// What a copy would do; changes nothing.
    Plan(Plan),
    /// Make the tables, copy, prove; goes on where it stopped.
    Copy(Copy),
    /// Prove again, from the database, that nothing was lost.
    Verify(Verify),
    /// Ask the database; read-only.
    Query(Query),
    /// A document, or a part of one, exactly as it is stored.
    Get(Get),
    /// Write a document, or a part of one.
    Put(Put),
    /// Change a document by a merge patch or a JSON Patch.
    Patch(Patch),
    /// Remove a document, or a part of one.
    Rm(Rm),
    /// List documents and rows.
    Ls(Ls),
    /// What waits in a work queue, and what was given up.
    Queue(Queue),
    /// The documents back as files, in the old layout.
    Export(Export),
    /// When to move to another kind of store, and where to, by real figures.
    Advise,
    /// Serve the documents over HTTP.
    Serve(Serve),
    #[command(about = "Move live from the project's database into another one")]
    Move(MoveTo),
    #[command(about = "Let the database lead a share of the documents, while they are in use")]
    Rollout(Rollout),
    #[command(about = "The files lead again; nothing is lost")]
    Rollback(Rollback),
    #[command(about = "End the move: the files are kept in step no longer")]
    Finish(Finish),
    #[command(about = "How far the move is, and what it waits for")]
    Status(Status),
    #[command(about = "Documents that were found to differ between files and database")]
    Mismatches(Mismatches),
    /// Keys for the HTTP API: make, list, take back.
    Key(Key),
    /// What changes, one JSON line a change.
    Watch(Watch),
    /// What an error code means and how to mend it.
    Explain(Explain),
    /// Print what can be made from the model.
    Gen(Gen),
    /// Take a sample app through everything, on embedded SQLite.
    Demo(Demo),
    #[command(about = "Print a script that completes commands and flags in a shell")]
    Completion(Completion),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Init {
    #[arg(help = "A directory or s3://bucket/prefix [default: REPOT_SOURCE, or ./data]")]
    pub source: Option<String>,
    /// Write over a model file that is there.
    #[arg(long)]
    pub force: bool,
    /// Print the model instead of writing it.
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Plan {
    /// Print the DDL.
    #[arg(long)]
    pub sql: bool,
    /// Exit with 4 when there is something to do or to look at.
    #[arg(long)]
    pub check: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Copy {
    /// Take up only the documents that are set aside.
    #[arg(long)]
    pub retry: bool,
    /// Then follow the source until interrupted: the live move begins.
    #[arg(long, conflicts_with_all = ["retry", "dry_run"])]
    pub follow: bool,
    /// Leave the proof for later (`repot verify`).
    #[arg(long)]
    pub no_verify: bool,
    /// Exit with 0, not 3, when documents were set aside.
    #[arg(long)]
    pub set_aside: bool,
    /// Say what would be done, like `repot plan`.
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub bounds: Bounds,
}

/// Bounds of the bulk paths.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Bounds {
    /// Threads that read and split [default: one a core].
    #[arg(long, value_name = "N")]
    pub jobs: Option<usize>,
    /// Largest document in MiB; larger ones are set aside whole.
    #[arg(long, value_name = "MIB", default_value_t = 16)]
    pub document_max: u64,
    /// Objects applied in one transaction, at the most.
    #[arg(long, value_name = "N", default_value_t = 4_096)]
    pub batch: usize,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Verify {
    /// Only a share of the objects, such as 1% or 0.5%.
    #[arg(long, value_name = "SHARE", conflicts_with = "since")]
    pub sample: Option<String>,
    /// Only objects modified since, such as 2026-11-01 or 2026-11-01T10:00:00Z.
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Write a certificate, and the list of objects beside it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["sample", "since"])]
    pub certificate: Option<PathBuf>,
    #[command(flatten)]
    pub bounds: Bounds,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Query {
    /// One statement that reads.
    pub sql: String,
    /// Comma-separated values (RFC 4180).
    #[arg(long, conflicts_with = "table")]
    pub csv: bool,
    /// An aligned table (the default).
    #[arg(long)]
    pub table: bool,
    /// Rows at the most.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub limit: usize,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:
  repot queue stats requests
  repot queue revive requests --all")]
pub(crate) struct Queue {
    #[command(subcommand)]
    pub command: QueueCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// How many messages are ready, leased, delayed, done and dead.
    Stats(Scoped),
    /// Messages that were given up, and why.
    Dead {
        #[command(flatten)]
        scoped: Scoped,
        /// Messages at the most.
        #[arg(long, value_name = "N", default_value_t = 1_000)]
        limit: usize,
    },
    /// Make a dead message ready as if it were new.
    Revive {
        #[command(flatten)]
        scoped: Scoped,
        /// The document's key, as `dead` shows it.
        key: Option<String>,
        /// All that are dead.
        #[arg(long, conflicts_with = "key")]
        all: bool,
    },
}

/// Documents of one collection, or of one tenant in it.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Scoped {
    /// A collection with `queue`.
    pub collection: String,
    #[command(flatten)]
    pub at: At,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Export {
    /// Where to; made if need be, must be empty.
    pub directory: PathBuf,
    /// Write into a directory that is not empty; files that are the same are left alone.
    #[arg(long)]
    pub into_existing: bool,
    #[command(flatten)]
    pub bounds: Bounds,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Serve {
    #[arg(
        long,
        value_name = "HOST:PORT",
        help = "Where to listen; port 0 takes a free one [default: REPOT_LISTEN, or 127.0.0.1:7070]"
    )]
    pub listen: Option<String>,
    #[arg(
        long,
        value_name = "STYLE",
        help = "A line for each request, to stderr [default: REPOT_LOG, or text on a terminal, else json]"
    )]
    pub log: Option<LogStyle>,
    #[arg(
        long,
        value_name = "URL",
        help = "Serve this store instead of the database: ./data, s3://bucket/prefix, sqlite:///app.db, ..."
    )]
    pub store: Option<String>,
    #[command(flatten)]
    pub tokens: Tokens,
    /// Largest body of a request in MiB; also the largest document.
    #[arg(long, value_name = "MIB", default_value_t = 16)]
    pub body_max: u64,
    /// Connections at the same time.
    #[arg(long, value_name = "N", default_value_t = 4_096)]
    pub connections: usize,
    /// Seconds that a statement of /v1:query may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub query_time: u64,
    /// Memory for values of /cache in MiB, where they are not on a Redis server.
    #[arg(long, value_name = "MIB", default_value_t = 32)]
    pub cache_mb: usize,
    /// Memory for texts of documents that were read of late, in MiB; 0: none are kept.
    #[arg(long, value_name = "MIB", default_value_t = 16)]
    pub recent_mb: usize,
    /// With less of the disk of the store free than this, /readyz?verbose fails; 0: never.
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub disk_low: u8,
}

/// Tokens (JWT) that are taken beside keys; each flag wins over its variable and over `auth` in the model.
#[derive(Debug, Default, ClapArgs)]
pub(crate) struct Tokens {
    #[arg(long, value_name = "URL", help = "Keys of the tokens' issuer, or a file [default: REPOT_JWKS]")]
    pub jwks: Option<String>,
    #[arg(long, value_name = "ISS", help = "The tokens' issuer [default: REPOT_JWT_ISSUER]")]
    pub jwt_issuer: Option<String>,
    #[arg(
        long,
        value_name = "AUD",
        help = "For whom tokens are made; * for anybody [default: REPOT_JWT_AUDIENCE]"
    )]
    pub jwt_audience: Option<String>,
    #[arg(
        long,
        value_name = "CLAIM",
        help = "The claim that names the tenant [default: REPOT_JWT_TENANT_CLAIM, or sub]"
    )]
    pub jwt_tenant_claim: Option<String>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:
  repot key create web --rights read,write --any-tenant --expires 90d
  repot key list")]
pub(crate) struct Key {
    #[command(subcommand)]
    pub what: KeyCommand,
    #[arg(
        long,
        global = true,
        value_name = "URL",
        help = "A database or http://127.0.0.1:7070 [default: REPOT_URL, else the project's database]"
    )]
    pub store: Option<String>,
    /// How long a server that is away is tried again, in seconds.
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 30)]
    pub timeout: u64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key and print it, this once.
    Create(KeyCreate),
    /// All keys, without their secrets.
    List,
    /// Take a key back.
    Revoke {
        /// Its public name, as `repot key list` shows it.
        id: String,
    },
}

#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct KeyCreate {
    /// Who will use it.
    pub name: String,
    /// What it lets its holder do: read, write, admin.
    #[arg(long, value_name = "RIGHT", value_delimiter = ',', default_value = "read,write")]
    pub rights: Vec<Right>,
    /// Only on these collections.
    #[arg(long, value_name = "COLLECTION", value_delimiter = ',', num_args = 1..)]
    pub only: Vec<String>,
    /// Only documents of this tenant.
    #[arg(long, value_name = "TENANT", conflicts_with = "any_tenant")]
    pub tenant: Option<String>,
    /// Documents of any tenant: for a service that acts for its users.
    #[arg(long)]
    pub any_tenant: bool,
    /// It ends after this time, such as 12h, 90d or 1y.
    #[arg(long, value_name = "TIME")]
    pub expires: Option<String>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:
  repot watch conversations --since 0 --once
  REPOT_URL=http://127.0.0.1:7070 repot watch --tenant u1")]
pub(crate) struct Watch {
    #[arg(value_name = "COLLECTION", help = "Of these collections only")]
    pub collections: Vec<String>,
    /// What came after this position, which a line or an earlier run gave [default: from now on].
    #[arg(long, value_name = "SEQ")]
    pub since: Option<u64>,
    /// End where the log ends now.
    #[arg(long)]
    pub once: bool,
    #[command(flatten)]
    pub at: At,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Explain {
    /// Such as R0311; without, all codes are listed.
    pub code: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Gen {
    /// What to print.
    pub what: Generated,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Generated {
    /// The JSON Schema of model files, for editors.
    Schema,
    /// The DDL of the target's database.
    Sql,
    /// The model, in canonical form.
    Model,
    #[value(help = "The OpenAPI document of the HTTP API")]
    Openapi,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Demo {
    /// Keep the folder, for a look around.
    #[arg(long)]
    pub keep: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:
  repot completion bash > /etc/bash_completion.d/repot
  repot completion fish > ~/.config/fish/completions/repot.fish")]
pub(crate) struct Completion {
    /// The shell that it is for.
    pub shell: clap_complete::Shell,
}
