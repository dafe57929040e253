//! What a writing thread is asked for.

use super::parts::steps;
use bytes::Bytes;
use repot_core::Result;
use repot_core::store::{DocumentKey, Layout, UnitOfWork, Write};

use super::facts::noted_bytes;
use super::tend::Tend;

/// Something to do in one transaction, whole or not at all.
#[derive(Debug)]
pub(super) enum Job {
    /// What a caller wants written.
    Unit(UnitOfWork),
    /// Deleted documents that come back.
    Restore {
        documents: Vec<Restored>,
        /// Who does it, for the record of changes.
        actor: Option<String>,
    },
    /// A file with several documents is put in order.
    Tend(Tend),
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
    /// Who does it, for the record of changes.
    pub(super) fn actor(&self) -> Option<&str> {
        match self {
            Self::Unit(work) => work.actor.as_deref(),
            Self::Restore { actor, .. } => actor.as_deref(),
            Self::Tend(_) | Self::Purge { .. } => None,
        }
    }

    /// The document, when all it does is to change a part of one that may be changed together with other parts.
    pub(super) fn part(&self) -> Option<&DocumentKey> {
        match self {
            // what it notes may be refused, and then the change is too, alone
            Self::Unit(work) if !work.facts.is_empty() => None,
            Self::Unit(work) => match work.writes.as_slice() {
                [Write::Patch { key, change, .. }] => steps(change).map(|_| key),
                _ => None,
            },
            _ => None,
        }
    }

    /// The documents it writes.
    pub(super) fn keys(&self) -> Vec<&DocumentKey> {
        match self {
            Self::Unit(work) => work.writes.iter().map(Write::key).collect(),
            Self::Restore { documents, .. } => documents.iter().map(|one| &one.key).collect(),
            Self::Tend(tend) => vec![&tend.key],
            Self::Purge { .. } => Vec::new(),
        }
    }

    /// Where its documents may be, as far as their keys say, each document with its paths.
    pub(super) fn paths(&self, layout: &Layout) -> Result<Vec<(&DocumentKey, Vec<String>)>> {
        if let Self::Restore { documents, .. } = self {
            return Ok(documents.iter().map(|one| (&one.key, vec![one.path.clone()])).collect());
        }
        if let Self::Tend(tend) = self {
            return Ok(vec![(&tend.key, vec![tend.path.clone()])]);
        }
        self.keys().into_iter().map(|key| Ok((key, layout.whereabouts(key)?.paths))).collect()
    }

    /// About how many bytes it writes.
    pub(super) fn size_bytes(&self) -> usize {
        match self {
            Self::Unit(work) => {
                let size =
                    |write: &Write| if let Write::Put { body, .. } = write { body.len() } else { 1_024 };
                work.writes.iter().map(size).sum::<usize>() + noted_bytes(&work.facts)
            }
            Self::Restore { documents, .. } => documents.iter().map(|one| one.body.len()).sum(),
            Self::Tend(_) => 0,
            Self::Purge { most, .. } => *most,
        }
    }
}
