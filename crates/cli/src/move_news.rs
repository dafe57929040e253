//! What people hear of a live move from a process that takes part in it: work that fails in the background and goes on again,
//! and a guard that stops a rollout, or wants to.

use std::collections::BTreeMap;

use repot_engine::moving::{Loop, MoveSeen, Moving, Trouble};

/// One thing to hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct News {
    /// Its name in the log.
    pub event: &'static str,
    pub message: String,
}

/// What was told already.
#[derive(Debug, Default)]
pub(crate) struct MoveNews {
    over: BTreeMap<Loop, bool>,
    guard: Option<News>,
}

impl MoveNews {
    /// What is new since the last call.
    pub(crate) fn of(&mut self, moving: &Moving) -> Vec<News> {
        let mut news = self.troubles(&moving.troubles());
        news.extend(self.guard(moving.seen().as_ref()));
        news
    }

    /// Troubles that began or are over.
    fn troubles(&mut self, troubles: &[Trouble]) -> Vec<News> {
        let mut news = Vec::new();
        for Trouble { what, why, is_over, .. } in troubles {
            let message = match (self.over.insert(*what, *is_over), is_over) {
                (None | Some(true), false) => format!("{what} fails: {why}"),
                (Some(false), true) => format!("{what} goes on"),
                _ => continue,
            };
            news.push(News { event: "move", message });
        }
        news
    }

    fn guard(&mut self, seen: Option<&MoveSeen>) -> Option<News> {
        let stopped = seen.and_then(|seen| seen.control.guard.stopped.as_ref());
        let now = match (stopped, seen.and_then(|seen| seen.wants_back.as_ref())) {
            (Some(stopped), _) => Some(News {
                event: "rollout_stopped",
                message: format!("The guard stopped the rollout: {}", stopped.why),
            }),
            (None, Some(why)) => Some(News {
                event: "rollout_stop_waits",
                message: format!("The rollout is to stop, and the database is away: {why}"),
            }),
            (None, None) => None,
        };
        if now == self.guard {
            return None;
        }
        self.guard.clone_from(&now);
        now
    }
}

#[cfg(test)]
mod tests {
    use repot_engine::moving::{Loop, Trouble};

    use super::MoveNews;

    #[test]
    fn a_trouble_is_told_once_and_so_is_its_end() {
        let (mut told, mut troubles) = (MoveNews::default(), Vec::new());
        let mut news = |troubles: &[Trouble]| -> Vec<String> {
            told.troubles(troubles).into_iter().map(|news| news.message).collect()
        };
        assert!(news(&troubles).is_empty());
        troubles.push(Trouble {
            what: Loop::Copying,
            why: "R0".into(),
            since_ms: 1,
            at_ms: 2,
            is_over: false,
        });
        assert_eq!(news(&troubles), ["copying fails: R0"]);
        troubles[0].at_ms = 3;
        assert!(news(&troubles).is_empty());
        troubles[0].is_over = true;
        assert_eq!(news(&troubles), ["copying goes on"]);
        assert!(news(&troubles).is_empty());
    }
}
