//! Prints how fast a directory of 100,000 small files is listed and read: `cargo run --release --example
//! throughput`. The second number in each line is that of the bare system calls in the same order.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use repot_bucket::DirectorySource;
use repot_core::{Listed, Source as _, SystemClock};

const FILES: usize = 100_000;

#[expect(clippy::print_stdout, reason = "an example prints its result")]
fn main() -> Result<(), Box<dyn Error>> {
    let tree = tempfile::tempdir()?;
    for number in 0..FILES {
        let folder = tree.path().join(format!("{:03}", number % 500));
        if number < 500 {
            fs::create_dir(&folder)?;
        }
        fs::write(folder.join(format!("{number}.json")), vec![b'x'; 4_000])?;
    }
    // young files are read twice
    std::thread::sleep(Duration::from_millis(2_100));
    let source = DirectorySource::open(tree.path(), Arc::new(SystemClock))?;
    for _ in 0..3 {
        let since = Instant::now();
        let mut paths = Vec::with_capacity(FILES);
        for entry in source.list()? {
            if let Listed::Object(object) = entry? {
                paths.push(object.path);
            }
        }
        let listing = since.elapsed();
        let since = Instant::now();
        let mut bytes = 0;
        for path in &paths {
            bytes += source.read(path, 1 << 20).map_err(|error| format!("{error:?}"))?.bytes.len();
        }
        let reading = since.elapsed();
        let (bare_listing, bare_reading) = (bare_list(tree.path())?, bare_read(tree.path(), &paths)?);
        println!("{} files listed in {listing:.2?} (bare: {bare_listing:.2?})", paths.len());
        println!("{} MB read in {reading:.2?} (bare: {bare_reading:.2?})", bytes / 1_000_000);
    }
    Ok(())
}

fn bare_list(root: &Path) -> Result<Duration, Box<dyn Error>> {
    let since = Instant::now();
    for folder in fs::read_dir(root)? {
        for file in fs::read_dir(folder?.path())? {
            file?.metadata()?;
        }
    }
    Ok(since.elapsed())
}

fn bare_read(root: &Path, paths: &[String]) -> Result<Duration, Box<dyn Error>> {
    let since = Instant::now();
    for path in paths {
        fs::read(root.join(path))?;
    }
    Ok(since.elapsed())
}
