//! What the commands of a live move may say.

use clap::Args as ClapArgs;

use crate::args::Bounds;

#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:
  repot rollout 10%
  repot rollout --only user_id=u1
  repot rollout 50% --collection conversations")]
pub(crate) struct Rollout {
    /// The share of the tenants (of the documents, where there are none) that the database leads from now on, such as 10%.
    #[arg(required_unless_present = "only")]
    pub share: Option<String>,
    /// This tenant, whatever the share says; with 0% no longer.
    #[arg(long, value_name = "FIELD=VALUE", conflicts_with = "collection")]
    pub only: Vec<String>,
    /// The share is that of this collection alone.
    #[arg(long, value_name = "COLLECTION")]
    pub collection: Option<String>,
    #[command(flatten)]
    pub patience: Patience,
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
pub(crate) struct Finish {
    /// The app's name (that of its folder), instead of typing it.
    #[arg(long, value_name = "NAME")]
    pub confirm: Option<String>,
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
