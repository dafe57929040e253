//! Tells at once what others change in a directory. A hint only: the system's queue can overflow, a folder that was just
//! made is watched a moment too late, and a program that writes through a mapping or never closes its file is not noticed.
//! Whoever follows a directory lists it now and then, too.

use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RemoveKind, RenameMode};
use notify::{Config, ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use repot_core::moving::{Hinted, Hints};
use repot_core::{Error, Kind, Result, path_text};
use tokio::sync::Notify;

use crate::path_rules::is_unfinished;

/// Hints that are kept until somebody takes them; with more it is only known that something changed.
const HINTS_MAX: usize = 10_000;

/// A directory that is watched, with all folders in it.
pub struct DirectoryWatch {
    news: Arc<News>,
    _watcher: RecommendedWatcher,
}

/// What was noticed.
struct News {
    root: PathBuf,
    most: usize,
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Default)]
struct State {
    hinted: Hinted,
    /// Was moved away; where to, and so whether it is a folder, may be told next.
    moved: Option<PathBuf>,
    /// Some folder could not be watched.
    partial: bool,
}

impl DirectoryWatch {
    /// Watches a directory from now on. Links in it are not followed.
    ///
    /// # Errors
    /// `R0720` when it cannot be watched: it is gone, or the system's bound of watches is reached.
    pub fn open(path: &Path) -> Result<Self> {
        Self::with_room(path, HINTS_MAX)
    }

    /// The same, which keeps at most `most` hints.
    ///
    /// # Errors
    /// As [`DirectoryWatch::open`].
    pub fn with_room(path: &Path, most: usize) -> Result<Self> {
        let root = path.canonicalize().map_err(|error| unwatched(path).cause(error))?;
        let news = News { root, most, state: Mutex::default(), arrived: Notify::new() };
        let (news, told) = {
            let news = Arc::new(news);
            (Arc::clone(&news), news)
        };
        let config = Config::default().with_follow_symlinks(false);
        let watching =
            RecommendedWatcher::new(move |event| told.tell(event), config).and_then(|mut watcher| {
                watcher.watch(&news.root, RecursiveMode::Recursive)?;
                Ok(watcher)
            });
        let watcher = watching.map_err(|error| unwatched(path).cause(error))?;
        Ok(Self { news, _watcher: watcher })
    }
}

impl fmt::Debug for DirectoryWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectoryWatch").field("root", &self.news.root).finish_non_exhaustive()
    }
}

#[async_trait]
impl Hints for DirectoryWatch {
    async fn wait(&self) {
        loop {
            if !self.news.state().is_empty() {
                return;
            }
            // one that arrived since the look is kept for us
            self.news.arrived.notified().await;
        }
    }

    fn take(&self) -> Hinted {
        let mut state = self.news.state();
        self.news.settle(&mut state);
        std::mem::take(&mut state.hinted)
    }

    fn is_whole(&self) -> bool {
        !self.news.state().partial
    }
}

impl State {
    fn is_empty(&self) -> bool {
        self.hinted.is_empty() && self.moved.is_none()
    }
}

impl News {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called by the watcher's thread.
    fn tell(&self, event: notify::Result<Event>) {
        let mut state = self.state();
        match event {
            Ok(event) if event.need_rescan() => state.hinted.lost = true,
            Ok(event) => self.note(&mut state, &event),
            Err(error) => {
                state.partial |= matches!(error.kind, ErrorKind::MaxFilesWatch);
                state.hinted.lost = true;
            }
        }
        let wakes = !state.is_empty();
        drop(state);
        if wakes {
            self.arrived.notify_one();
        }
    }

    fn note(&self, state: &mut State, event: &Event) {
        let Some(path) = event.paths.first() else { return };
        match event.kind {
            EventKind::Create(CreateKind::Folder) | EventKind::Remove(RemoveKind::Folder) => {
                self.folder(state, path);
            }
            // how a rename begins; where it ends within the tree is told next
            EventKind::Modify(ModifyKind::Name(RenameMode::From)) => {
                self.settle(state);
                state.moved = Some(path.clone());
            }
            EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => {
                state.moved = None;
                let [from, to] = event.paths.as_slice() else { return };
                self.either(state, from, to);
            }
            EventKind::Modify(ModifyKind::Name(_)) => self.either(state, path, path),
            // a file that is still being written is of no use yet; its end is told
            EventKind::Access(AccessKind::Close(AccessMode::Write)) | EventKind::Remove(_) => {
                self.path(state, path);
            }
            EventKind::Create(_) | EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any)
                if !cfg!(target_os = "linux") =>
            {
                self.path(state, path);
            }
            _ => {}
        }
    }

    /// What was moved away and did not come back may have been a file or a folder.
    fn settle(&self, state: &mut State) {
        if let Some(moved) = state.moved.take() {
            self.path(state, &moved);
            self.folder(state, &moved);
        }
    }

    /// It is now what stands at `is`.
    fn either(&self, state: &mut State, path: &Path, is: &Path) {
        if is.symlink_metadata().is_ok_and(|found| found.is_dir()) {
            self.folder(state, path);
        } else {
            self.path(state, path);
        }
    }

    fn path(&self, state: &mut State, path: &Path) {
        match self.inside(path) {
            Some(inside) if inside.is_empty() => state.hinted.lost = true,
            Some(inside) if self.has_room(state) => {
                state.hinted.paths.insert(inside);
            }
            _ => {}
        }
    }

    fn folder(&self, state: &mut State, path: &Path) {
        match self.inside(path) {
            Some(inside) if inside.is_empty() => state.hinted.lost = true,
            Some(inside) if self.has_room(state) => {
                state.hinted.folders.insert(format!("{inside}/"));
            }
            _ => {}
        }
    }

    /// Its path as text within the directory; `None`: it is no data.
    fn inside(&self, path: &Path) -> Option<String> {
        let inside = path.strip_prefix(&self.root).ok()?.as_os_str().as_bytes();
        let own = inside.split(|&byte| byte == b'/').any(is_unfinished);
        (!own).then(|| path_text::encode(inside))
    }

    /// Whether one more is kept. When many wait, a listing is cheaper than looking at each.
    fn has_room(&self, state: &mut State) -> bool {
        let Hinted { paths, folders, lost } = &mut state.hinted;
        if paths.len() + folders.len() >= self.most {
            paths.clear();
            folders.clear();
            *lost = true;
        }
        !*lost
    }
}

fn unwatched(path: &Path) -> Error {
    Error::new(Kind::Failed, "R0720", format!("changes in {} cannot be watched", path.display())).hint(
        "Changes are found by listing, only later. On Linux, raise fs.inotify.max_user_watches above the number of folders.",
    )
}
