//! The media example on every store: repositories, and the state machine of jobs.

use repot::Error;
use repot::blocking::{Repository as _, Repot};

use crate::media_example::repositories::{
    Job, JobError, JobRepository, Media, MediaRepository, QueueItem, QueueRepository, Status,
};
use crate::media_example::run;
use crate::stores::{all, model};

const STATES: [Status; 6] =
    [Status::Queued, Status::Running, Status::Paused, Status::Completed, Status::Failed, Status::Cancelled];

fn movie(id: i64, external_id: &str) -> Media {
    Media {
        id,
        kind: "movie".to_owned(),
        service: "radarr".to_owned(),
        external_id: external_id.to_owned(),
        parent_id: None,
        title: "A \"movie\"".to_owned(),
        year: None,
    }
}

fn job(id: i64, status: Status) -> Job {
    Job { id, media_id: 1, status, error: None }
}

#[test]
fn repositories() {
    for made in all(&model("media")) {
        let name = made.name;
        let repot = Repot::open(made.config).unwrap();
        let media = MediaRepository(repot.collection());
        assert!(media.get_by_id(1).unwrap().is_none(), "{name}");
        media.create(movie(1, "tt1")).unwrap();
        media.create(movie(2, "tt2")).unwrap();
        assert!(matches!(media.create(movie(1, "tt3")), Err(Error::Duplicate(_))), "{name}");
        let mut stored = media.get_by_external_id("radarr", "tt2").unwrap().unwrap();
        let stale = stored.clone();
        stored.title = "Another".to_owned();
        let updated = media.update(stored).unwrap();
        assert_eq!(updated.title, "Another", "{name}");
        let mut stale = stale;
        stale.title = "A third".to_owned();
        assert!(matches!(media.update(stale.clone()), Err(Error::Conflict(_))), "{name}");
        assert!(media.delete(2).unwrap() && !media.delete(2).unwrap(), "{name}");
        assert!(matches!(media.update(stale), Err(Error::NotFound(_))), "{name}");
        let wrong = Media { kind: "song".to_owned(), ..movie(3, "tt3") };
        assert!(matches!(media.create(wrong), Err(Error::Validation(_))), "{name}");
        let titles = media.get_all(&repot::Filters::all().gte("id", 1), 10, 0).unwrap();
        assert_eq!(titles.len(), 1, "{name}");

        let jobs = JobRepository(repot.collection());
        for (id, status) in [(10, Status::Queued), (9, Status::Queued), (8, Status::Running)] {
            jobs.create(job(id, status)).unwrap();
        }
        let pending: Vec<i64> = jobs.get_pending_jobs(5).unwrap().iter().map(|job| job.id).collect();
        assert_eq!(pending, [9, 10], "{name}");
        let failed = jobs.fail(8, "no space").unwrap();
        assert_eq!((failed.status, failed.error.as_deref()), (Status::Failed, Some("no space")), "{name}");

        let queue = QueueRepository(repot.collection());
        for (id, priority) in [(1, 0), (2, 7), (3, 7)] {
            queue.create(QueueItem { id, job_id: 9, priority, payload: None }).unwrap();
        }
        assert_eq!(queue.next().unwrap().unwrap().id, 2, "{name}");
    }
}

#[test]
fn exactly_nine_of_36_steps_are_allowed() {
    for made in all(&model("media")) {
        let name = made.name;
        let repot = Repot::open(made.config).unwrap();
        let media = MediaRepository(repot.collection());
        media.create(movie(1, "tt1")).unwrap();
        let jobs = JobRepository(repot.collection());
        let mut allowed = Vec::new();
        let mut id = 0;
        for from in STATES {
            for to in STATES {
                id += 1;
                jobs.create(job(id, from)).unwrap();
                match jobs.set_status(id, to) {
                    Ok(done) => {
                        assert_eq!(done.status, to, "{name}");
                        allowed.push(format!("{}>{}", from.word(), to.word()));
                    }
                    Err(JobError::NotAllowed { from: was, to: wanted }) => {
                        assert_eq!((was, wanted), (from, to), "{name}");
                        assert_eq!(jobs.get_by_id(id).unwrap().unwrap().status, from, "{name}");
                    }
                    Err(JobError::Repository(error)) => panic!("{name}: {error}"),
                }
            }
        }
        let wanted = [
            "queued>running",
            "queued>cancelled",
            "running>paused",
            "running>completed",
            "running>failed",
            "paused>running",
            "paused>cancelled",
            "failed>queued",
            "failed>cancelled",
        ];
        assert_eq!(allowed, wanted, "{name}");
    }
}

#[test]
fn the_program_runs_twice() {
    for made in all(&model("media")) {
        run(made.config.clone()).unwrap();
        run(made.config).unwrap();
    }
}
