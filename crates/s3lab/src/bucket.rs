//! The one bucket: objects, planned faults and the requests that came, all under one lock, so that a condition and the
//! write it guards are one step.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use md5::{Digest, Md5};
use s3s::dto::{ETag, ETagCondition, Metadata};
use s3s::{S3Result, s3_error};

use crate::fault::{Condition, Fault, OVERTAKER, Op, Planned, Request};

/// A stored object.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) body: Bytes,
    pub(crate) etag: String,
    pub(crate) modified: SystemTime,
    pub(crate) content_type: Option<String>,
    pub(crate) metadata: Option<Metadata>,
}

impl Object {
    #[expect(clippy::disallowed_methods, reason = "a server stamps objects with its own time, as S3 does")]
    pub(crate) fn new(body: Bytes) -> Self {
        let etag = Md5::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { body, etag, modified: SystemTime::now(), content_type: None, metadata: None }
    }

    pub(crate) fn entity_tag(&self) -> ETag {
        ETag::Strong(self.etag.clone())
    }
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) objects: BTreeMap<String, Object>,
    pub(crate) planned: Vec<Planned>,
    pub(crate) requests: Vec<Request>,
    pub(crate) page: usize,
    pub(crate) ignored: Vec<Condition>,
    /// Writes that wait at the gate.
    pub(crate) held: usize,
    /// How much the lab's clock is before the machine's.
    pub(crate) ahead_seconds: i64,
}

/// A shared handle to the state.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    state: Arc<Mutex<State>>,
}

impl Bucket {
    pub(crate) fn new() -> Self {
        let state = State {
            objects: BTreeMap::new(),
            planned: Vec::new(),
            requests: Vec::new(),
            page: 1000,
            ignored: Vec::new(),
            held: 0,
            ahead_seconds: 0,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // No step leaves the state half changed, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Notes the request and takes the next fault planned for it.
    pub(crate) fn arrive(&mut self, op: Op, key: &str) -> Option<Fault> {
        self.requests.push(Request { op, key: key.to_owned() });
        let planned = self.planned.iter_mut().find(|planned| planned.op == op && planned.left > 0)?;
        planned.left -= 1;
        Some(planned.fault)
    }

    pub(crate) fn get(&self, key: &str) -> S3Result<&Object> {
        self.objects.get(key).ok_or_else(|| s3_error!(NoSuchKey))
    }

    /// The condition, unless this server is told to ignore it.
    pub(crate) fn minded(&self, which: Condition, given: Option<ETagCondition>) -> Option<ETagCondition> {
        given.filter(|_| !self.ignored.contains(&which))
    }

    /// Lets the other writer come, if that is planned.
    pub(crate) fn overtake(&mut self, fault: Option<Fault>, key: &str) {
        if fault == Some(Fault::Overtaken) {
            self.objects.insert(key.to_owned(), Object::new(Bytes::from_static(OVERTAKER)));
        }
    }

    /// Fails unless a write to `key` may happen under these conditions.
    pub(crate) fn allow_write(
        &self,
        key: &str,
        matches: Option<&ETagCondition>,
        matches_none: Option<&ETagCondition>,
    ) -> S3Result<()> {
        let current = self.objects.get(key);
        match (matches, current) {
            (Some(_), None) => return Err(s3_error!(NoSuchKey)),
            (Some(condition), Some(object)) if !holds(condition, object) => {
                return Err(s3_error!(PreconditionFailed));
            }
            _ => {}
        }
        match (matches_none, current) {
            (Some(condition), Some(object)) if holds(condition, object) => Err(s3_error!(PreconditionFailed)),
            _ => Ok(()),
        }
    }
}

/// Fails unless a read of `object` may happen under these conditions.
pub(crate) fn allow_read(
    object: &Object,
    matches: Option<&ETagCondition>,
    matches_none: Option<&ETagCondition>,
) -> S3Result<()> {
    if matches.is_some_and(|condition| !holds(condition, object)) {
        return Err(s3_error!(PreconditionFailed));
    }
    if matches_none.is_some_and(|condition| holds(condition, object)) {
        return Err(s3_error!(NotModified));
    }
    Ok(())
}

fn holds(condition: &ETagCondition, object: &Object) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(tag) => tag.value() == object.etag,
    }
}
