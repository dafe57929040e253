//! The translation app's four repositories, on whatever `DATABASE_URL` names, else on the files in `./data`:
//! `DATABASE_URL=sqlite:///i18n.db cargo run -p repot --example translation -- apps/translation/repot.toml`

#![expect(clippy::print_stdout, reason = "this program prints what it did")]

pub(crate) mod repositories;

use repositories::{Batch, BatchRepository, File, FileRepository, Job, JobRepository, SessionRepository};
use repot::{Config, Filters, Repot};

const SENDER: &str = "example-sender";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = std::env::args().nth(1).unwrap_or_else(|| "repot.toml".to_owned());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    Ok(runtime.block_on(run(Config::from_env(model)?))?)
}

/// What the program does; leaves nothing behind.
pub(crate) async fn run(config: Config) -> Result<(), repot::Error> {
    let repot = Repot::open(config).await?;
    println!("Using {repot}");
    let sessions = SessionRepository::new(&repot);
    let session = sessions.create_session(SENDER).await?;
    println!("session {} of {:?}", sessions.session_id(SENDER)?, session.created_at);
    save_files(&repot).await?;
    do_jobs(&repot).await?;
    send_batch(&repot).await?;
    sessions.update_session(SENDER, "done").await?;
    if let Some(session) = sessions.get_session(SENDER).await? {
        println!("now {:?}", session.status);
    }
    let done = sessions.list_sessions(&Filters::all().eq("status", "done")).await?;
    println!("{} sessions are done; deleted: {}", done.len(), sessions.delete_session(SENDER).await?);
    Ok(())
}

async fn save_files(repot: &Repot) -> Result<(), repot::Error> {
    let files = FileRepository::new(repot);
    let file = File {
        file_type: "uploads",
        content_type: "content",
        locale: "en",
        relative_path: "docs/hello.md",
        content: "# Hello\r\n",
    };
    files.save_file(SENDER, &file).await?;
    files.update_file_content(SENDER, &file, "# Hello, world\r\n").await?;
    for path in files.get_files_by_session(SENDER, Some("en")).await? {
        println!("file {path}");
    }
    if let Some(bytes) = files.get_file(SENDER, &file).await? {
        println!("{} bytes", bytes.len());
    }
    files.delete_file(SENDER, &file).await?;
    Ok(())
}

async fn do_jobs(repot: &Repot) -> Result<(), repot::Error> {
    let jobs = JobRepository::new(repot);
    jobs.create_job(SENDER, &Job::new("example-job", "en", "de")).await?;
    jobs.update_job(SENDER, "example-job", "running").await?;
    if let Some(job) = jobs.get_job(SENDER, "example-job").await? {
        println!("{} to {} is {}", job.source_locale, job.target_locale, job.status);
    }
    Ok(())
}

async fn send_batch(repot: &Repot) -> Result<(), repot::Error> {
    let batches = BatchRepository::new(repot);
    batches.create_batch(SENDER, "example-batch", Batch::pending()).await?;
    batches.update_batch_status(SENDER, "example-batch", "submitted").await?;
    batches.update_batch_progress(SENDER, "example-batch", 3).await?;
    if let Some(batch) = batches.get_batch(SENDER, "example-batch").await? {
        println!("batch {} after {} requests", batch.status, batch.requests);
    }
    batches.delete_batch(SENDER, "example-batch").await?;
    Ok(())
}
