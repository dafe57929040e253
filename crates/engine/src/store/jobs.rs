//! What a writing thread is asked for.

use super::parts::steps;
use bytes::Bytes;
use repot_core::Result;
use repot_core::store::{DocumentKey, FactChange, FactDemand, Layout, Step, UnitOfWork, Write};

use super::facts::noted_bytes;
use super::objects::Replacing;
use super::tend::Tend;

/// Something to do in one transaction, whole or not at all.
#[derive(Debug)]
pub(super) enum Job {
    /// What a caller wants written.
    Unit {
        work: UnitOfWork,
        /// What each write does step by step, when all of them may be done to rows without a text.
        steps: Option<Vec<Vec<Step>>>,
        /// A copy of what another store leads: texts are stored as they are.
        is_copy: bool,
    },
    /// Deleted documents that come back.
    Restore {
        documents: Vec<Restored>,
        /// Who does it, for the record of changes.
        actor: Option<String>,
        /// What is noted in the same transaction.
        facts: Vec<FactChange>,
    },
    /// A file with several documents is put in order.
    Tend(Tend),
    /// An object becomes other bytes as a whole.
    Replace(Replacing),
    /// Deleted documents whose time is over go for good.
    Purge {
        /// Milliseconds since 1970.
        now_ms: i64,
        most: usize,
    },
}

/// A deleted document that comes back.
#[derive(Debug)]
pub(super) struct Restored {
    /// Its number among what is kept.
    pub id: i64,
    /// What it was deleted with.
    pub unit: i64,
    pub key: DocumentKey,
    pub path: String,
    pub body: Bytes,
}

impl Job {
    /// What a caller wants written. Whether it changes nothing but parts is decided here, once.
    pub(super) fn unit(work: UnitOfWork, layout: &Layout) -> Result<Self> {
        let mut all = Vec::with_capacity(work.writes.len());
        for write in &work.writes {
            let Write::Patch { key, change, .. } = write else { break };
            if !may_keep(layout, key)? {
                break;
            }
            let Some(steps) = steps(change) else { break };
            all.push(steps);
        }
        let steps = Some(all).filter(|all| !all.is_empty() && all.len() == work.writes.len());
        Ok(Self::Unit { work, steps, is_copy: false })
    }

    /// Whether somebody wants it who need not take part in a move; what copies, settles and clears away is of those who do.
    pub(super) const fn is_direct(&self) -> bool {
        matches!(self, Self::Unit { is_copy: false, .. } | Self::Restore { .. })
    }

    /// Who does it, for the record of changes.
    pub(super) fn actor(&self) -> Option<&str> {
        match self {
            Self::Unit { work, .. } => work.actor.as_deref(),
            Self::Restore { actor, .. } => actor.as_deref(),
            Self::Tend(_) | Self::Replace(_) | Self::Purge { .. } => None,
        }
    }

    /// What it notes beside the documents.
    pub(super) fn facts(&self) -> &[FactChange] {
        match self {
            Self::Unit { work, .. } => &work.facts,
            Self::Restore { facts, .. } => facts,
            Self::Tend(_) | Self::Replace(_) | Self::Purge { .. } => &[],
        }
    }

    /// What must stay as it is beside the documents.
    pub(super) fn demands(&self) -> &[FactDemand] {
        match self {
            Self::Unit { work, .. } => &work.demands,
            Self::Restore { .. } | Self::Tend(_) | Self::Replace(_) | Self::Purge { .. } => &[],
        }
    }

    /// From when on it is not done any more, milliseconds since 1970.
    pub(super) fn until_ms(&self) -> Option<i64> {
        match self {
            Self::Unit { work, .. } => work.until_ms,
            Self::Replace(replacing) => replacing.until_ms,
            Self::Restore { .. } | Self::Tend(_) | Self::Purge { .. } => None,
        }
    }

    /// The document, when all it does is to change a part of one that may be changed together with other parts.
    pub(super) fn part(&self) -> Option<&DocumentKey> {
        match self {
            // what it notes or holds may be refused, and then the change is too, alone
            Self::Unit { work, steps: Some(_), .. } if work.facts.is_empty() && work.holding.is_empty() => {
                match work.writes.as_slice() {
                    [write] => Some(write.key()),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The documents it writes.
    pub(super) fn keys(&self) -> Vec<&DocumentKey> {
        match self {
            Self::Unit { work, .. } => work.writes.iter().map(Write::key).collect(),
            Self::Restore { documents, .. } => documents.iter().map(|one| &one.key).collect(),
            Self::Tend(tend) => vec![&tend.key],
            Self::Replace(replacing) => vec![&replacing.key],
            Self::Purge { .. } => Vec::new(),
        }
    }

    /// Where its documents may be, as far as their keys say, each document with its paths.
    pub(super) fn paths(&self, layout: &Layout) -> Result<Vec<(&DocumentKey, Vec<String>)>> {
        if let Self::Restore { documents, .. } = self {
            return Ok(documents.iter().map(|one| (&one.key, vec![one.path.clone()])).collect());
        }
        if let Self::Tend(Tend { key, path, .. }) | Self::Replace(Replacing { key, path, .. }) = self {
            return Ok(vec![(key, vec![path.clone()])]);
        }
        self.keys().into_iter().map(|key| Ok((key, layout.whereabouts(key)?.paths))).collect()
    }

    /// About how many bytes it writes.
    pub(super) fn size_bytes(&self) -> usize {
        match self {
            Self::Unit { work, .. } => {
                let size =
                    |write: &Write| if let Write::Put { body, .. } = write { body.len() } else { 1_024 };
                work.writes.iter().map(size).sum::<usize>() + noted_bytes(&work.facts)
            }
            Self::Restore { documents, .. } => documents.iter().map(|one| one.body.len()).sum(),
            Self::Tend(_) => 0,
            Self::Replace(replacing) => replacing.body.as_ref().map_or(0, Bytes::len),
            Self::Purge { most, .. } => *most,
        }
    }
}

/// Changes may be kept beside the text of this document: it has a file of its own, whose path follows from its key, and
/// its texts are not on record.
fn may_keep(layout: &Layout, key: &DocumentKey) -> Result<bool> {
    let own = key.place().is_none() && !layout.is_shared(key.collection());
    Ok(own && !layout.whereabouts(key)?.elsewhere && layout.audit(key.collection())?.is_none())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use repot_core::store::{Change, DocumentKey, Layout, Pointer, Precondition, UnitOfWork, Write};
    use repot_json::Limits;
    use repot_model::language::parse;
    use repot_model::plan::Plan;

    use super::Job;

    const MODEL: &str = r#"
[notes]
file = "notes/{id}.json"

[notes.fields]
id = "text key"

[kept]
file  = "kept/{id}.json"
audit = "1y"

[kept.fields]
id = "text key"

[lines]
file = "lines/{day}.jsonl"

[lines.fields]
day = "text key"
id  = "text key"

[shelves]
file = "shelves/{room}.json"

[shelves.fields]
id   = "int key"
room = "text"
"#;

    fn job(keys: &[DocumentKey], change: &Change) -> Job {
        let model = Arc::new(parse(MODEL, "repot.toml", &|_| None).unwrap());
        let plan = Arc::new(Plan::compile(&model).unwrap());
        let layout = Layout::new(model, plan, Limits::default()).unwrap();
        let patch = |key: &DocumentKey| Write::Patch {
            key: key.clone(),
            change: change.clone(),
            when: Precondition::Any,
        };
        let work = UnitOfWork { writes: keys.iter().map(patch).collect(), ..UnitOfWork::default() };
        Job::unit(work, &layout).unwrap()
    }

    #[test]
    fn only_what_can_be_kept_beside_a_text_is_gathered() {
        let append = Change::Append { list: Pointer::default(), element: "1".into() };
        let gathers = |key: DocumentKey, change: &Change| job(&[key], change).part().is_some();
        assert!(gathers(DocumentKey::new("notes", "a"), &append));
        assert!(gathers(DocumentKey::new("notes", "a"), &Change::Merge(r#"{"title": "x"}"#.into())));
        assert!(!gathers(DocumentKey::new("notes", "a"), &Change::Merge(r#"{"title": null}"#.into())));
        // its texts are on record; others stand in its file; an index knows where it is; named by its place
        assert!(!gathers(DocumentKey::new("kept", "a"), &append));
        assert!(!gathers(DocumentKey::of_parts("lines", &["d", "a"]), &append));
        assert!(!gathers(DocumentKey::new("shelves", "7"), &append));
        assert!(!gathers(DocumentKey::at("shelves", &[("room", "a")]), &append));
    }

    #[test]
    fn several_parts_are_one_unit_that_is_not_gathered() {
        let append = Change::Append { list: Pointer::default(), element: "1".into() };
        let notes = ["a", "b"].map(|id| DocumentKey::new("notes", id));
        let both = job(&notes, &append);
        assert!(both.part().is_none());
        assert!(matches!(both, Job::Unit { steps: Some(steps), .. } if steps.len() == 2));
        let mixed = job(&[DocumentKey::new("notes", "a"), DocumentKey::new("kept", "a")], &append);
        assert!(matches!(mixed, Job::Unit { steps: None, .. }));
    }
}
