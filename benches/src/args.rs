//! What the command line may say.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::corpus::Kind;
use crate::live::Origin;
use crate::serve::Load;
use crate::store::Place;
use crate::target::Engine;

/// Benchmarks of Repot against the limit of the machine.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Copy, proof, repeated copy and export beside the limit, on SQLite and PostgreSQL.
    Copy(CopyArguments),
    /// Documents read and written one by one, beside the same by hand, on a directory, SQLite and PostgreSQL.
    Store(StoreArguments),
    /// `repot serve` beside a minimal handler by hand, over HTTP, on SQLite and PostgreSQL.
    Serve(ServeArguments),
    /// A move under calls: what it adds to them, how far copies are behind, how long a change of the lead holds writes up.
    Live(LiveArguments),
    /// `repot serve` beside Kinto, a server of JSON records in Python, over PostgreSQL.
    Peer(PeerArguments),
    /// The minimal handler, over a database that was made by hand.
    #[command(hide = true)]
    LimitServe {
        /// A PostgreSQL URL, or the path of a SQLite file.
        place: String,
        /// Connections to it.
        connections: usize,
    },
    /// Write one corpus and stop.
    Generate {
        /// Which.
        kind: Kind,
        /// How many conversations or dramas.
        size: usize,
        /// Below this directory.
        directory: PathBuf,
    },
    /// One run of the limit, in a process of its own.
    #[command(hide = true)]
    Limit {
        /// Which corpus.
        kind: Kind,
        /// Where it is.
        source: PathBuf,
        /// A PostgreSQL URL, or the path of a SQLite file to make.
        target: String,
        /// Threads that read, scan and split.
        threads: usize,
    },
    /// The bare listing: path, size and time of every file, sorted.
    #[command(hide = true)]
    List {
        /// Of this directory.
        source: PathBuf,
    },
}

/// Settings of `copy`.
#[derive(Debug, Args)]
pub(crate) struct CopyArguments {
    /// Corpora of so many conversations; 0: none.
    #[arg(long, value_delimiter = ',', default_value = "10000,100000")]
    pub(crate) conversations: Vec<usize>,
    /// Corpora of so many dramas; 0: none.
    #[arg(long, value_delimiter = ',', default_value = "5000")]
    pub(crate) dramas: Vec<usize>,
    /// Runs of each step; the median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=99))]
    pub(crate) runs: u16,
    /// Only this database.
    #[arg(long)]
    pub(crate) only: Option<Engine>,
    /// Only the limit, not Repot.
    #[arg(long)]
    pub(crate) limit_only: bool,
    /// Where it runs, and what.
    #[command(flatten)]
    pub(crate) ground: Ground,
    /// Threads of the limit that read, scan and split [default: as many as cores].
    #[arg(long)]
    pub(crate) threads: Option<usize>,
}

/// Settings of `store`.
#[derive(Debug, Args)]
pub(crate) struct StoreArguments {
    /// So many conversations; each is measured.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000")]
    pub(crate) sizes: Vec<usize>,
    /// Clients at once; each is measured.
    #[arg(long, value_delimiter = ',', default_value = "1,16")]
    pub(crate) clients: Vec<usize>,
    /// How long each kind of work is done, by each way and number of clients, over all rounds.
    #[arg(long, default_value_t = 1.5)]
    pub(crate) seconds: f64,
    /// The ways take turns so often.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=99))]
    pub(crate) rounds: u16,
    /// Connections of a Repot store that read, and as many that write; by hand each client has its own.
    #[arg(long, default_value_t = 5)]
    pub(crate) connections: usize,
    /// Only this place.
    #[arg(long)]
    pub(crate) only: Option<Place>,
    /// Where it runs, and what.
    #[command(flatten)]
    pub(crate) ground: Ground,
}

/// Settings of `serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// So many conversations.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) size: usize,
    /// Connections that ask at once; each is measured.
    #[arg(long, value_delimiter = ',', default_value = "1,16,128")]
    pub(crate) connections: Vec<usize>,
    /// How long each load is kept up, by each server and number of connections, over all rounds.
    #[arg(long, default_value_t = 3.0)]
    pub(crate) seconds: f64,
    /// Only these loads.
    #[arg(long, value_delimiter = ',')]
    pub(crate) loads: Vec<Load>,
    /// The servers take turns so often.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=99))]
    pub(crate) rounds: u16,
    /// Connections of each server to its database, at the most.
    #[arg(long, default_value_t = 15)]
    pub(crate) pool: usize,
    /// Only this place.
    #[arg(long)]
    pub(crate) only: Option<Place>,
    /// Where it runs, and what.
    #[command(flatten)]
    pub(crate) ground: Ground,
}

/// Settings of `live`.
#[derive(Debug, Args)]
pub(crate) struct LiveArguments {
    /// So many conversations.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) size: usize,
    /// Reads and as many appends a second.
    #[arg(long, default_value_t = 100.0)]
    pub(crate) calls: f64,
    /// Writes a second past Repot; each is measured.
    #[arg(long, value_delimiter = ',', default_value = "100,1000")]
    pub(crate) rates: Vec<f64>,
    /// How long each is kept up, over all rounds.
    #[arg(long, default_value_t = 9.0)]
    pub(crate) seconds: f64,
    /// What is compared takes turns so often.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=99))]
    pub(crate) rounds: u16,
    /// The lead goes to the database and back so often.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) changes: u16,
    /// Only from there.
    #[arg(long)]
    pub(crate) from: Option<Origin>,
    /// Only to this place.
    #[arg(long)]
    pub(crate) only: Option<Place>,
    /// Where it runs, and what.
    #[command(flatten)]
    pub(crate) ground: Ground,
}

/// Settings of `peer`.
#[derive(Debug, Args)]
pub(crate) struct PeerArguments {
    /// So many conversations.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) size: usize,
    /// Connections that ask at once; each is measured.
    #[arg(long, value_delimiter = ',', default_value = "1,16")]
    pub(crate) connections: Vec<usize>,
    /// How long each load is kept up, by each server and number of connections, over all rounds.
    #[arg(long, default_value_t = 3.0)]
    pub(crate) seconds: f64,
    /// The servers take turns so often.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=99))]
    pub(crate) rounds: u16,
    /// The script that installs and starts Kinto.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/kinto.py"))]
    pub(crate) script: PathBuf,
    /// Where Kinto is installed; it stays there for the next time.
    #[arg(long)]
    pub(crate) installed: PathBuf,
    /// Where it runs, and what.
    #[command(flatten)]
    pub(crate) ground: Ground,
}

/// Settings that all of them have.
#[derive(Debug, Args)]
pub(crate) struct Ground {
    /// A PostgreSQL server to use instead of a throw-away one; databases are made and dropped there.
    #[arg(long, env = "REPOT_BENCH_POSTGRES", hide_env_values = true)]
    pub(crate) url: Option<String>,
    /// Corpora and databases go below this directory, and are removed at the end [default: the system's].
    #[arg(long)]
    pub(crate) directory: Option<PathBuf>,
    /// The `repot` to measure, or that fills the databases, instead of building this workspace's.
    #[arg(long)]
    pub(crate) repot: Option<PathBuf>,
    /// JSON instead of tables.
    #[arg(long)]
    pub(crate) json: bool,
}
