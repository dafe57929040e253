//! The translation app's four repositories, on whatever `DATABASE_URL` names, else on the files in `./data`:
//! `DATABASE_URL=sqlite:///i18n.db cargo run -p repot --example translation -- apps/translation/repot.toml`

#![expect(clippy::print_stdout, reason = "this program prints what it did")]

pub(crate) mod repositories;

use repositories::{Batch, BatchRepository, File, FileRepository, Job, JobRepository, SessionRepository};
use repot::{Config, Filters, Repot};

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
    let (files, jobs, batches) =
        (FileRepository::new(&repot), JobRepository::new(&repot), BatchRepository::new(&repot));
    let session = sessions.create_session("example-sender").await?;
    println!("session {}", sessions.session_id("example-sender")?);

    let file = File {
        file_type: "uploads",
        content_type: "content",
        locale: "en",
        relative_path: "docs/hello.md",
        content: "# Hello\r\n",
    };
    files.save_file("example-sender", &file).await?;
    files.update_file_content("example-sender", &file, "# Hello, world\r\n").await?;
    if let Some(bytes) = files.get_file("example-sender", &file).await? {
        println!("{} has {} bytes", file.relative_path, bytes.len());
    }
    for path in files.get_files_by_session("example-sender", Some("en")).await? {
        println!("file {path}");
    }

    jobs.create_job("example-sender", &Job::new("example-job", "en", "de")).await?;
    jobs.update_job("example-sender", "example-job", "running").await?;
    if let Some(job) = jobs.get_job("example-sender", "example-job").await? {
        println!("{} to {} is {}", job.source_locale, job.target_locale, job.status);
    }
    batches.create_batch("example-sender", "example-batch", Batch::pending()).await?;
    batches.update_batch_status("example-sender", "example-batch", "submitted").await?;
    batches.update_batch_progress("example-sender", "example-batch", 3).await?;
    if let Some(batch) = batches.get_batch("example-sender", "example-batch").await? {
        println!("batch {} after {} requests", batch.status, batch.requests);
    }
    for job in jobs.list_jobs("example-sender").await? {
        println!("job {} {}", job.id, job.status);
    }
    let active = sessions.list_sessions(&Filters::all().eq("status", "active")).await?;
    println!("{} of the active sessions began at {:?}", active.len(), session.created_at);

    sessions.update_session("example-sender", "done").await?;
    if let Some(session) = sessions.get_session("example-sender").await? {
        println!("now {:?}", session.status);
    }
    batches.delete_batch("example-sender", "example-batch").await?;
    files.delete_file("example-sender", &file).await?;
    println!("deleted: {}", sessions.delete_session("example-sender").await?);
    Ok(())
}
