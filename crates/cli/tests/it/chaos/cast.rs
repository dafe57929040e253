//! The processes of a world: two servers and two followers, killed, paused and started again.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::world::{Lines, World};

/// How long a process may take to begin where nothing is broken.
const BEGINS: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Server,
    Follower,
}

/// Where a server can be reached, while it can.
pub(super) type Seat = Arc<Mutex<Option<String>>>;

/// A process, and what it is started as again. It is killed with the value.
#[derive(Debug)]
struct Actor {
    role: Role,
    name: String,
    lines: Arc<Lines>,
    seat: Seat,
    running: Option<(Child, Arc<AtomicBool>)>,
}

pub(super) fn signal(process: u32, name: &str) {
    // the child is not yet waited for, so its number cannot have gone to another process
    assert!(Command::new("kill").args([name, &process.to_string()]).status().unwrap().success());
}

impl Actor {
    fn start(&mut self, world: &World) {
        let words: &[&str] = match self.role {
            Role::Server => &["serve", "--json", "--listen", "127.0.0.1:0"],
            Role::Follower => &["copy", "--follow", "--json"],
        };
        let log = File::options().append(true).create(true).open(self.log(world)).unwrap();
        let mut command = world.command(Some(&self.lines), words);
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let (out, seat, begun) =
            (child.stdout.take().unwrap(), Arc::clone(&self.seat), Arc::new(AtomicBool::new(false)));
        let began = Arc::clone(&begun);
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let Ok(told) = serde_json::from_str::<Value>(&line) else { continue };
                if let Some(address) = told["address"].as_str() {
                    *seat.lock().unwrap() = Some(address.to_owned());
                }
                if ["listening", "following"].contains(&told["type"].as_str().unwrap_or_default()) {
                    began.store(true, Ordering::SeqCst);
                }
            }
        });
        self.running = Some((child, begun));
    }

    fn log(&self, world: &World) -> std::path::PathBuf {
        world.project.path(&format!("{}.log", self.name))
    }

    fn has_begun(&self) -> bool {
        self.running.as_ref().is_some_and(|(_, begun)| begun.load(Ordering::SeqCst))
    }

    fn kill(&mut self) {
        if let Some((mut child, _)) = self.running.take() {
            child.kill().unwrap();
            child.wait().unwrap();
            *self.seat.lock().unwrap() = None;
        }
    }

    /// Starts it again where it could not begin because something was broken; whoever began never ends by itself.
    fn tend(&mut self, world: &World) {
        let log = self.log(world);
        let Some((child, begun)) = &mut self.running else { return };
        let Some(how) = child.try_wait().unwrap() else { return };
        let said = std::fs::read_to_string(log).unwrap_or_default();
        assert!(!begun.load(Ordering::SeqCst), "{} ended by itself ({how}): {said}", self.name);
        assert_ne!(how.code(), Some(101), "{said}");
        self.start(world);
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.kill();
    }
}

#[derive(Debug)]
pub(super) struct Cast<'w> {
    world: &'w World,
    actors: Vec<Actor>,
}

impl<'w> Cast<'w> {
    /// Everybody is there: the documents are copied, and followed.
    pub(super) fn begin(world: &'w World, lines: &[Arc<Lines>]) -> Self {
        let roles = [Role::Follower, Role::Server, Role::Server, Role::Follower];
        let actors = roles.into_iter().zip(lines).enumerate().map(|(number, (role, lines))| Actor {
            role,
            name: format!("{role:?}{number}"),
            lines: Arc::clone(lines),
            seat: Seat::default(),
            running: None,
        });
        let mut cast = Self { world, actors: actors.collect() };
        // the first one copies
        cast.start(0);
        cast.wait(|actors| actors[0].has_begun());
        cast.all();
        cast
    }

    fn wait(&mut self, until: impl Fn(&[Actor]) -> bool) {
        let begun = Instant::now();
        while !until(&self.actors) {
            assert!(begun.elapsed() < BEGINS, "processes do not begin");
            self.tend();
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(super) fn seats(&self) -> Vec<Seat> {
        let servers = self.actors.iter().filter(|actor| actor.role == Role::Server);
        servers.map(|actor| Arc::clone(&actor.seat)).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.actors.len()
    }

    pub(super) fn kill(&mut self, at: usize) {
        self.actors[at].kill();
    }

    pub(super) fn start(&mut self, at: usize) {
        if self.actors[at].running.is_none() {
            self.actors[at].start(self.world);
        }
    }

    pub(super) fn signal(&self, at: usize, name: &str) {
        if let Some((child, _)) = &self.actors[at].running {
            signal(child.id(), name);
        }
    }

    pub(super) fn tend(&mut self) {
        for actor in &mut self.actors {
            actor.tend(self.world);
        }
    }

    /// Comes back when everybody is there.
    pub(super) fn all(&mut self) {
        (0..self.len()).for_each(|at| self.start(at));
        self.wait(|actors| actors.iter().all(Actor::has_begun));
    }

    /// Tells everybody to end, who then does.
    pub(super) fn end(mut self) {
        for actor in &mut self.actors {
            let (mut child, _) = actor.running.take().unwrap();
            signal(child.id(), "-TERM");
            let how = child.wait().unwrap();
            let said = std::fs::read_to_string(actor.log(self.world)).unwrap_or_default();
            assert!(how.success(), "{}: {how} {said}", actor.name);
        }
    }
}
