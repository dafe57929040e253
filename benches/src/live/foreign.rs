//! A program that writes the old store past the move, as the app did before: a temporary file that takes the place of the old one,
//! or a server over the old database alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::runtime::{Builder, Runtime};

use super::eyes::Eyes;
use crate::random::Random;
use crate::serve::{Connection, Process};

/// How often it is looked whether what was written has arrived.
const LOOK: Duration = Duration::from_millis(1);
/// So many documents are waited for at once.
const WATCHED: usize = 4;
/// What never arrives is a fault, not a lag.
const PATIENCE: Duration = Duration::from_secs(60);
/// What every title of it begins with.
const TITLE: &str = "foreign ";

/// How a title stands in a file.
const TITLED: &str = "\"title\": \"";

/// Conversations that can be written.
#[derive(Debug)]
pub(crate) struct Foreign {
    chats: Vec<Chat>,
    hand: Hand,
    written: u64,
}

/// Who writes.
#[derive(Debug)]
enum Hand {
    /// By way of this temporary file.
    Files(PathBuf),
    Server {
        connection: Connection,
        runtime: Runtime,
        /// It runs as long.
        _process: Process,
    },
}

#[derive(Debug)]
struct Chat {
    user: String,
    id: String,
    file: Option<File>,
    written: u64,
}

/// What stands before and after the title.
#[derive(Debug)]
struct File {
    path: PathBuf,
    before: String,
    after: String,
}

impl Foreign {
    /// Reads the conversations below `source`; `scratch` is a folder of the same file system.
    pub(crate) fn open(source: &Path, scratch: &Path, chats: &[(String, String)]) -> Result<Self> {
        let mut found = Vec::new();
        for (user, id) in chats {
            let path = source.join(user).join(format!("{id}.json"));
            let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            // old ones have none
            let Some((before, rest)) = text.split_once(TITLED) else { continue };
            let (title, after) = rest.split_once('"').context("the end of a title")?;
            if title.ends_with('\\') {
                // it goes on
                continue;
            }
            let (before, after) = (format!("{before}{TITLED}"), format!("\"{after}"));
            let file = Some(File { path, before, after });
            found.push(Chat { user: user.clone(), id: id.clone(), file, written: 0 });
        }
        ensure!(!found.is_empty(), "no conversation has a title");
        Ok(Self { chats: found, hand: Hand::Files(scratch.join("foreign.tmp")), written: 0 })
    }

    /// Writes through a server.
    pub(crate) fn over(process: Process, chats: &[(String, String)]) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let connection = runtime.block_on(Connection::open(process.address))?;
        let chat = |(user, id): &(String, String)| Chat {
            user: user.clone(),
            id: id.clone(),
            file: None,
            written: 0,
        };
        let hand = Hand::Server { connection, runtime, _process: process };
        Ok(Self { chats: chats.iter().map(chat).collect(), hand, written: 0 })
    }

    fn write(&mut self, at: usize) -> Result<()> {
        self.written += 1;
        let (written, chat) = (self.written, &mut self.chats[at]);
        chat.written = written;
        match (&mut self.hand, &chat.file) {
            (Hand::Files(scratch), Some(file)) => {
                fs::write(&*scratch, format!("{}{TITLE}{written}{}", file.before, file.after))?;
                Ok(fs::rename(scratch, &file.path)?)
            }
            (Hand::Server { connection, runtime, .. }, _) => {
                let body = format!("{{\"title\":\"{TITLE}{written}\"}}");
                let request = format!(
                    "PATCH /v1/conversations/{} HTTP/1.1\r\nhost: 127.0.0.1\r\nrepot-tenant: {}\r\nprefer: return=minimal\r\n\
                     content-type: application/merge-patch+json\r\ncontent-length: {}\r\n\r\n{body}",
                    chat.id,
                    chat.user,
                    body.len()
                );
                runtime.block_on(connection.send(request.as_bytes())).map(drop)
            }
            (Hand::Files(_), None) => bail!("{} has no file", chat.id),
        }
    }

    fn random(&self, random: &mut Random) -> usize {
        usize::try_from(random.below(self.chats.len() as u64)).unwrap_or(0)
    }

    /// Writes `rate` conversations a second, and tells how long some of the writes took to arrive: seconds, for each that was
    /// watched. The second number is how many were written a second.
    pub(crate) fn follow(
        &mut self,
        eyes: &mut Eyes,
        rate: f64,
        seconds: f64,
        seed: u64,
    ) -> Result<(Vec<f64>, f64)> {
        let mut random = Random::new(seed);
        let mut waiting: Vec<(usize, u64, Instant)> = Vec::new();
        let mut lags = Vec::new();
        let (begin, first) = (Instant::now(), self.written);
        let mut looked = begin;
        loop {
            let now = Instant::now();
            let passed = now.duration_since(begin).as_secs_f64();
            let due = passed.min(seconds) * rate;
            if due > crate::report::float(self.written - first) && passed < seconds {
                let at = self.random(&mut random);
                self.write(at)?;
                if waiting.len() < WATCHED {
                    waiting.push((at, self.written, Instant::now()));
                }
            } else if passed >= seconds && waiting.is_empty() {
                let all = crate::report::float(self.written - first);
                return Ok((lags, all / seconds));
            } else {
                std::thread::sleep(LOOK / 4);
            }
            if looked.elapsed() >= LOOK {
                arrived(&self.chats, eyes, &mut waiting, &mut lags)?;
                looked = Instant::now();
            }
        }
    }

    /// Writes every conversation once; gives how many.
    pub(crate) fn write_all(&mut self) -> Result<usize> {
        (0..self.chats.len()).try_for_each(|at| self.write(at))?;
        Ok(self.chats.len())
    }

    /// Waits until the last state of every conversation has arrived.
    pub(crate) fn all_arrived(&self, eyes: &mut Eyes) -> Result<()> {
        let begin = Instant::now();
        for chat in &self.chats {
            while written(eyes.title(&chat.id)?.as_deref()) < chat.written {
                ensure!(begin.elapsed() < PATIENCE, "{} never arrived", chat.id);
                std::thread::sleep(LOOK);
            }
        }
        Ok(())
    }
}

/// Takes those out that have arrived, or that a later write replaced and that one has.
fn arrived(
    chats: &[Chat],
    eyes: &mut Eyes,
    waiting: &mut Vec<(usize, u64, Instant)>,
    lags: &mut Vec<f64>,
) -> Result<()> {
    let mut still = Vec::new();
    for (at, number, since) in waiting.drain(..) {
        if written(eyes.title(&chats[at].id)?.as_deref()) >= number {
            lags.push(since.elapsed().as_secs_f64());
        } else {
            ensure!(since.elapsed() < PATIENCE, "{} never arrived", chats[at].id);
            still.push((at, number, since));
        }
    }
    *waiting = still;
    Ok(())
}

/// The number of the write that left this title; 0 where it was none of ours.
fn written(title: Option<&str>) -> u64 {
    title.and_then(|title| title.strip_prefix(TITLE)?.parse().ok()).unwrap_or(0)
}
