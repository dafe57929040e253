//! Runs a step in a process of its own and measures it: wall time, processor time, peak memory.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How often the process is looked at; its peak memory is known up to this long before its end.
const LOOK_EVERY: Duration = Duration::from_millis(4);
/// Clock ticks a second in `/proc/PID/stat`, the same on every Linux that Rust runs on.
const TICKS: f64 = 100.0;

/// What one run of a step took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample {
    /// Wall time, from start to end of the process.
    pub(crate) seconds: f64,
    /// Processor time of the process; the database server's is not in it.
    pub(crate) cpu_seconds: f64,
    /// Peak resident memory of the process; 0 where the system does not tell.
    pub(crate) peak_kib: u64,
}

/// Runs `command` to its end; its output goes to files in `scratch`. Gives back what it printed.
pub(crate) fn measure(command: &mut Command, scratch: &Path) -> Result<(Sample, String)> {
    let (out, err) = (scratch.join("stdout"), scratch.join("stderr"));
    let shown = format!("{command:?}");
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(File::create(&out)?)
        .stderr(File::create(&err)?)
        .spawn()
        .with_context(|| format!("starting {shown}"))?;
    let directory = format!("/proc/{}", child.id());
    let mut sample = Sample::default();
    let (sender, ended) = mpsc::channel();
    // waiting and looking are apart, so that the time does not depend on when the last look was
    let waiter = thread::spawn(move || {
        let status = child.wait();
        // the other side waits for exactly this
        drop(sender.send((status, start.elapsed())));
    });
    let (status, took) = loop {
        // the peak never sinks, so the last look before the end is the one that counts
        sample.peak_kib = peak_kib(&directory).unwrap_or(sample.peak_kib);
        sample.cpu_seconds = cpu_seconds(&directory).unwrap_or(sample.cpu_seconds);
        match ended.recv_timeout(LOOK_EVERY) {
            Err(RecvTimeoutError::Timeout) => {}
            other => break other.context("waiting for a step")?,
        }
    };
    drop(waiter);
    let status = status?;
    sample.seconds = took.as_secs_f64();
    if !status.success() {
        bail!("{shown} ended with {status}:\n{}", fs::read_to_string(&err)?);
    }
    Ok((sample, fs::read_to_string(&out)?))
}

/// Peak resident memory of this process.
pub(crate) fn own_peak_kib() -> Option<u64> {
    peak_kib("/proc/self")
}

fn peak_kib(directory: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("{directory}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Processor time of a process so far, in steps of 10 ms.
pub(crate) fn cpu_seconds(directory: &str) -> Option<f64> {
    let stat = fs::read_to_string(format!("{directory}/stat")).ok()?;
    // the name in parentheses may hold blanks; user and system time are the 12th and 13th field behind it
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(f64::from(user + system) / TICKS)
}
