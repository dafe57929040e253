//! `repot copy --follow`: the live move begins, and what others write into the source is copied until somebody stops it.

use std::time::Duration;

use repot::{Config, Repot};
use repot_core::{Error, Kind};
use repot_engine::moving::Trouble;
use repot_model::plan::time::utc_text;
use serde_json::{Value, json};

use super::old_side::OldSide;
use super::{inner, runtime, serve};
use crate::errors::{Exit, Failure};
use crate::move_news::MoveNews;
use crate::output::Output;
use crate::serving;
use crate::variables::hidden;
use crate::wiring::Project;

/// How often what is behind is told to programs.
const TOLD: Duration = Duration::from_secs(10);

/// Whether a move is on its way in the project's database.
pub(super) fn is_begun(project: &Project) -> Result<bool, Failure> {
    // nothing is made where nothing was copied
    if project.target()?.state()?.is_none() {
        return Ok(false);
    }
    let config = serving::config(project, None)?;
    runtime()?.block_on(async { Ok(Repot::open(config).await.map_err(inner)?.part().is_some()) })
}

pub(super) fn run(project: &Project, output: &Output) -> Result<Exit, Failure> {
    let config = Config { follows: true, begins_move: true, ..serving::config(project, None)? };
    runtime()?.block_on(async {
        let stop = serve::stopped()?;
        let repot = Repot::open(config).await.map_err(inner)?;
        let part = repot.part().ok_or_else(|| Error::new(Kind::Internal, "R0901", "no move has begun"))?;
        let status = part.moving().status().await?.ok_or_else(super::moving::no_move)?;
        let name = project.source_shown();
        output.say(&format!("Following {name}.    Stage: {}.", status.control.stage()));
        if OldSide::of(project) == OldSide::Database {
            let new = hidden(&project.database_url().0);
            output.say(&format!("From now on servers are to be started with DATABASE_URL={new} and REPOT_SOURCE={name}, and so is each command."));
            output.say("Those over the old database alone may go on until the first rollout.");
        }
        output.say("Next: repot serve, then repot rollout 10%");
        tokio::select! {
            () = stop => {}
            never = tell(&repot, output) => match never? {},
        }
        // where the database is away, the lease ends by itself
        let _away = part.leave().await;
        output.done(json!({"type": "result", "followed": name}), &["repot serve", "repot rollout 10%"]);
        Ok(Exit::Done)
    })
}

/// Tells programs how far it is, and everybody what goes wrong.
async fn tell(repot: &Repot, output: &Output) -> Result<std::convert::Infallible, Failure> {
    let mut told = MoveNews::default();
    loop {
        if let Some(part) = repot.part() {
            let troubles = part.moving().troubles();
            told.of(part.moving()).iter().for_each(|news| output.say(&format!("look {}", news.message)));
            // a database that is away is tried again by those who copy
            let status = part.moving().status().await.ok().flatten();
            let follower = part.follower().status();
            output.line(&json!({"type": "following",
                "stage": status.as_ref().map(|status| status.control.stage().to_string()),
                "behind": status.as_ref().map(|status| status.marked),
                "lag_ms": status.and_then(|status| status.lag_ms),
                "listed": follower.listed, "watching": follower.watching,
                "troubles": troubles.iter().map(as_json).collect::<Vec<_>>()}));
        }
        tokio::time::sleep(TOLD).await;
    }
}

fn as_json(trouble: &Trouble) -> Value {
    json!({"what": trouble.what.to_string(), "why": trouble.why, "since": utc_text(trouble.since_ms),
        "last": utc_text(trouble.at_ms), "over": trouble.is_over})
}
