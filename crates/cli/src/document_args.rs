//! What the command line may say of documents: `get`, `put`, `patch`, `rm`, `ls`.

use clap::Args as ClapArgs;

/// Where documents are, and whose.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(crate) struct At {
    #[arg(
        long,
        value_name = "URL",
        help = "./data, sqlite:///app.db, postgresql://..., http://127.0.0.1:7070 [default: REPOT_URL, else the project's database]"
    )]
    pub store: Option<String>,
    /// Whose documents, where the collection has tenants.
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,
    /// How long a server that is away is tried again, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub timeout: u64,
}

/// A document, or a part of one.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Named {
    /// A collection of the model.
    pub collection: String,
    /// Its key, as in the HTTP API: `41`; `u1/41` for a key of two fields; `41/messages/m1` or `41/messages/@0` for a part.
    pub key: String,
}

/// The state that a write expects.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(crate) struct Expects {
    /// Only if it is in this state, as `get --json` and writes print it; `*`: only if it is there.
    #[arg(long, value_name = "ETAG")]
    pub if_match: Option<String>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:
  repot get conversations 41 --tenant u1
  repot get conversations 41/messages/@0/content --tenant u1")]
pub(crate) struct Get {
    #[command(flatten)]
    pub named: Named,
    #[command(flatten)]
    pub at: At,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Prints the ETag of the new state.

Example:
  repot put conversations 41 --tenant u1 < 41.json
  repot put conversations 41 41.json --tenant u1 --if-match \"$ETAG\"
  echo '\"New title\"' | repot put conversations 41/title --tenant u1")]
pub(crate) struct Put {
    #[command(flatten)]
    pub named: Named,
    /// The text to write; `-` is what comes in.
    #[arg(default_value = "-")]
    pub file: String,
    #[command(flatten)]
    pub expects: Expects,
    /// Only if nothing is there.
    #[arg(long, conflicts_with = "if_match")]
    pub if_none_match: bool,
    /// Check it, and write nothing.
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub at: At,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Prints the ETag of the new state.

Example:
  echo '{\"title\": \"New title\"}' | repot patch conversations 41 --tenant u1
  echo '[{\"op\": \"remove\", \"path\": \"/title\"}]' | repot patch conversations 41 --json-patch --tenant u1")]
pub(crate) struct Patch {
    #[command(flatten)]
    pub named: Named,
    /// The patch; `-` is what comes in.
    #[arg(default_value = "-")]
    pub file: String,
    /// It is a JSON Patch (RFC 6902), not a merge patch (RFC 7396).
    #[arg(long)]
    pub json_patch: bool,
    #[command(flatten)]
    pub expects: Expects,
    /// Check it, and write nothing.
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub at: At,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:
  repot rm conversations 41 --tenant u1
  repot rm conversations 41/messages/@0 --tenant u1")]
pub(crate) struct Rm {
    #[command(flatten)]
    pub named: Named,
    #[command(flatten)]
    pub expects: Expects,
    /// Check it, and remove nothing.
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub at: At,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:
  repot ls jobs --where status=running --where 'created_at[gte]=2025-01-01' --sort=-created_at
  repot ls conversations --tenant u1 --all --json | jq .item.title")]
pub(crate) struct Ls {
    /// A collection of the model, also one whose rows stand inside documents.
    pub collection: String,
    #[arg(
        long = "where",
        value_name = "FIELD=VALUE",
        help = "FIELD=VALUE, FIELD[gte]=VALUE and others, as in the HTTP API; all of them hold"
    )]
    pub wheres: Vec<String>,
    /// Words to look for, where the model has `search`.
    #[arg(long, value_name = "WORDS")]
    pub search: Option<String>,
    /// Fields to order by; `-` before one turns its order around.
    #[arg(long, value_name = "FIELDS", allow_hyphen_values = true)]
    pub sort: Option<String>,
    /// These fields only.
    #[arg(long, value_name = "FIELDS")]
    pub fields: Option<String>,
    /// Whole documents instead of rows.
    #[arg(long)]
    pub full: bool,
    /// As many at the most.
    #[arg(long, value_name = "N", default_value_t = 50, conflicts_with = "all")]
    pub limit: usize,
    /// Behind the place where an earlier list ended.
    #[arg(long, value_name = "CURSOR")]
    pub after: Option<String>,
    /// To the end.
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub at: At,
}
