//! The media app's repositories, on whatever `DATABASE_URL` names, else on the files in `./data`:
//! `DATABASE_URL=sqlite:///researcharr.db cargo run -p repot --example media -- apps/media/repot.toml`

#![expect(clippy::print_stdout, reason = "this program prints what it did")]

pub(crate) mod repositories;

use repositories::{
    Job, JobError, JobRepository, Media, MediaRepository, QueueItem, QueueRepository, Status,
};
use repot::blocking::{Repository as _, Repot};
use repot::{Config, Error};

fn main() -> Result<(), JobError> {
    let model = std::env::args().nth(1).unwrap_or_else(|| "repot.toml".to_owned());
    run(Config::from_env(model)?)
}

/// What the program does; leaves nothing behind.
pub(crate) fn run(config: Config) -> Result<(), JobError> {
    let repot = Repot::open(config)?;
    println!("Using {repot}");
    let media = MediaRepository(repot.collection());
    let jobs = JobRepository(repot.collection());
    let queue = QueueRepository(repot.collection());
    let movie = Media {
        id: 1001,
        kind: "movie".to_owned(),
        service: "radarr".to_owned(),
        external_id: "tt-1001".to_owned(),
        parent_id: None,
        title: "The Long Pier".to_owned(),
        year: Some(2024),
    };
    match media.create(movie) {
        Ok(_) => {}
        Err(Error::Duplicate(_)) => println!("the movie is there from an earlier run"),
        Err(error) => return Err(error.into()),
    }
    jobs.0.save(Job { id: 1001, media_id: 1001, status: Status::Queued, error: None })?;
    queue.0.save(QueueItem { id: 1001, job_id: 1001, priority: 9, payload: None })?;
    if let Some(item) = queue.next()? {
        jobs.set_status(item.job_id, Status::Running)?;
        jobs.fail(item.job_id, "no space left")?;
        if let Err(error) = jobs.set_status(item.job_id, Status::Completed) {
            println!("refused: {error}");
        }
        jobs.set_status(item.job_id, Status::Queued)?;
        queue.delete(item.id)?;
    }
    println!("waiting: {}", jobs.get_pending_jobs(10)?.len());
    let found = media.get_by_external_id("radarr", "tt-1001")?;
    println!("found: {}", found.map_or_else(String::new, |movie| movie.title.clone()));
    jobs.delete(1001)?;
    media.delete(1001)?;
    Ok(())
}
