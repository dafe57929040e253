//! What the commands of a live move may say.

use clap::Args as ClapArgs;

use crate::args::Bounds;
use crate::commands::move_to::Extra;

#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:
  repot move postgresql://app@db.example/app
  repot move sqlite:///app.db --leave history,trash")]
pub(crate) struct MoveTo {
    /// The new database: empty, or one that this move has begun to fill.
    pub url: String,
    /// What a move does not take along may stay in the old database.
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    pub leave: Vec<Extra>,
    #[command(flatten)]
    pub bounds: Bounds,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:
  repot rollout 10%
  repot rollout --only user_id=u1
  repot rollout 50% --collection conversations
  repot rollout 10% --reads-only
  repot rollout 0% --compare 10%")]
pub(crate) struct Rollout {
    /// The share of the tenants (of the documents, where there are none) that the database leads from now on, such as 10%.
    #[arg(required_unless_present_any = ["only", "compare"])]
    pub share: Option<String>,
    /// This tenant, whatever the share says; with 0% no longer.
    #[arg(long, value_name = "FIELD=VALUE", conflicts_with = "collection")]
    pub only: Vec<String>,
    /// The share is that of this collection alone.
    #[arg(long, value_name = "COLLECTION", requires = "share")]
    pub collection: Option<String>,
    /// Serve only the reads of that share from the database; its writes go to the files, which lead it.
    #[arg(long)]
    pub reads_only: bool,
    /// Compare this share of the reads with the other store [default: 10%, and 0% where the files lead everything].
    #[arg(long, value_name = "SHARE")]
    pub compare: Option<String>,
    #[command(flatten)]
    pub guard: GuardFlags,
    /// Stay for so long, and end with 4 if the guard stops the rollout.
    #[arg(long, value_name = "SECONDS")]
    pub watch: Option<u64>,
    #[command(flatten)]
    pub patience: Patience,
}

/// What makes a rollout go back by itself.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct GuardFlags {
    /// Nothing makes it go back by itself.
    #[arg(long, conflicts_with_all = ["guard_errors", "guard_p99", "guard_lag"])]
    pub no_guard: bool,
    /// Go back when more of the calls of the database fail.
    #[arg(long, value_name = "SHARE", default_value = "1%")]
    pub guard_errors: String,
    /// Go back when the slowest hundredth of its calls takes so many times what it takes in the files.
    #[arg(long, value_name = "TIMES", default_value = "2x")]
    pub guard_p99: String,
    /// Go back when a copy is behind for longer.
    #[arg(long, value_name = "TIME", default_value = "60s")]
    pub guard_lag: String,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:
  repot mismatches
  repot mismatches --ignore conversations c1 --tenant u_bela --reason \"written by the importer\"
  repot mismatches --clear")]
pub(crate) struct Mismatches {
    /// This one is known: it counts no more, and stops no rollout.
    #[arg(long, num_args = 2, value_names = ["COLLECTION", "KEY"], requires = "reason", allow_hyphen_values = true)]
    pub ignore: Option<Vec<String>>,
    /// Whose document it is, where the collection has tenants.
    #[arg(long, value_name = "TENANT", requires = "ignore")]
    pub tenant: Option<String>,
    /// Why it is known.
    #[arg(long, value_name = "TEXT", requires = "ignore")]
    pub reason: Option<String>,
    /// Forget all of them, also those that are ignored.
    #[arg(long, conflicts_with = "ignore")]
    pub clear: bool,
    /// List so many at the most.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: usize,
}

/// How long a command waits.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub(crate) struct Patience {
    /// Give up after so many seconds; the leads are then what they were.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub timeout: u64,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Rollback {
    #[command(flatten)]
    pub patience: Patience,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:
  repot finish
  repot finish --keep-source 90d
  repot finish --remove-source --dry-run
  repot finish --remove-source --confirm=council")]
pub(crate) struct Finish {
    /// The app's name (that of its folder), instead of typing it.
    #[arg(long, value_name = "NAME")]
    pub confirm: Option<String>,
    /// Keep the source for so many days before its removal is offered.
    #[arg(long, value_name = "DAYS", default_value = "30d", conflicts_with = "remove_source")]
    pub keep_source: String,
    /// After that time: remove from the source what the end of the move proved and nobody changed since.
    #[arg(long)]
    pub remove_source: bool,
    /// Say what would be removed, and remove nothing; also before that time.
    #[arg(short = 'n', long, requires = "remove_source")]
    pub dry_run: bool,
    #[command(flatten)]
    pub patience: Patience,
    #[command(flatten)]
    pub bounds: Bounds,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Status {
    /// Print it anew each second.
    #[arg(long)]
    pub watch: bool,
    /// Also what happened so far, and why.
    #[arg(long)]
    pub why: bool,
}
