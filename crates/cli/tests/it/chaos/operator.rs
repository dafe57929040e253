//! Operators who change the leads all the time, and whose commands are killed and paused.

use std::io::Read as _;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Dice;
use super::board::Board;
use super::cast::signal;
use super::world::{Lines, Past, World};

pub(super) struct Operator<'w> {
    pub world: &'w World,
    pub lines: Arc<Lines>,
    pub dice: Dice,
}

impl Operator<'_> {
    pub(super) fn work(mut self, board: &Board, ends: &AtomicBool) {
        while !ends.load(Ordering::SeqCst) {
            if self.dice.roll(5) == 0 {
                self.write_past(board);
            } else {
                let _changing = board.leads.read().unwrap();
                self.change(board);
            }
            std::thread::sleep(self.dice.ms(1, 300));
        }
    }

    /// Changes the leads, unless the command is killed on the way.
    fn change(&mut self, board: &Board) {
        let (share, user) = (format!("{}%", self.dice.roll(101)), format!("user_id=u{}", self.dice.roll(4)));
        let words: &[&str] = match self.dice.roll(11) {
            0 => &["rollout", "--only", &user],
            1 => &["rollout", "0%", "--only", &user],
            2 => &["rollout", &share, "--collection", "conversations"],
            3 => &["rollout", &share],
            4 | 5 => &["rollout", "100%"],
            6 => &["rollout", &share, "--reads-only"],
            7 => &["rollout", "100%", "--reads-only"],
            8 => &["rollout", "--only", &user, "--reads-only"],
            _ => &["rollback"],
        };
        let mut command = self.world.command(Some(&self.lines), words);
        command.args(["--json", "--timeout", "15"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (mut child, begun) = (command.spawn().unwrap(), Instant::now());
        let (mut dies, mut stops) = (None, None);
        match self.dice.roll(6) {
            0 => dies = Some(self.dice.ms(1, 3_000)),
            1 => stops = Some((self.dice.ms(1, 2_000), self.dice.ms(500, 9_000))),
            _ => {}
        }
        let how = loop {
            if let Some(how) = child.try_wait().unwrap() {
                break how;
            }
            if dies.is_some_and(|after| begun.elapsed() > after) {
                child.kill().unwrap();
            }
            if let Some((after, long)) = stops
                && begun.elapsed() > after
            {
                stops = None;
                signal(child.id(), "-STOP");
                std::thread::sleep(long);
                signal(child.id(), "-CONT");
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        assert_ne!(how.code(), Some(101), "{words:?} panicked");
        board.changes.fetch_add(usize::from(how.success()), Ordering::SeqCst);
        let mut said = String::new();
        child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        let why = said.lines().find(|line| line.contains("R0")).unwrap_or_default();
        board.count(&format!("{}: {how} {why}", words[0]));
    }

    /// A program that knows nothing of the move writes past it: a file while the files lead and stay so; into an old database at any
    /// moment, since that one refuses what it must.
    fn write_past(&mut self, board: &Board) {
        let _stays = (!self.world.keeps_out()).then(|| board.leads.write().unwrap());
        if !self.world.keeps_out() && !self.is_led_by_files() {
            return;
        }
        let id = format!("foreign-{}", self.dice.roll(3));
        let text = format!(
            "{{ \"id\": \"{id}\", \"user_id\": \"u_past\", \"title\": \"{}\", \"messages\": [] }}\n",
            board.number()
        );
        let path = format!("u_past/{id}.json");
        let mut foreign = board.foreign.lock().unwrap();
        let past = self.world.put_past(&path, &text);
        match past {
            Past::Written => drop(foreign.insert(path, text)),
            Past::Refused => {}
            Past::Unknown => drop(foreign.remove(&path)),
        }
        board.count(&format!("past the move: {past:?}"));
    }

    fn is_led_by_files(&self) -> bool {
        let status = self.world.run(&["status", "--json"]);
        status.code == 0 && status.result()["stage"] == "following" && status.result()["change"].is_null()
    }
}
