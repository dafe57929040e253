//! Random operations, compared with a store in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use repot_core::Kind;
use repot_core::store::{
    BucketStore, DocumentKey, ETag, MemoryObjects, Precondition, Scope, Store, StoreExt as _,
};

use super::listing::all;
use super::subject::{DOCUMENT_BYTES_MAX, Subject, body, layout, note};

/// Operations of a run; a hundred times as many where `REPOT_FULL=1`.
const OPERATIONS: usize = 1_000;

/// `xorshift64*`: the same numbers on every machine.
pub(super) struct Numbers(pub u64);

impl Numbers {
    pub(super) fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).unwrap() % most
    }
}

/// A store, and the `ETags` it gave for each document: the newest last.
struct Side {
    store: Arc<dyn Store>,
    etags: BTreeMap<DocumentKey, Vec<ETag>>,
}

impl Side {
    fn new(store: Arc<dyn Store>) -> Self {
        Self { store, etags: BTreeMap::new() }
    }

    /// The state that was given `back` states ago, or one that never was.
    fn state(&self, key: &DocumentKey, back: usize) -> Precondition {
        let given = self.etags.get(key).and_then(|given| given.iter().rev().nth(back).cloned());
        Precondition::Matches(given.unwrap_or_else(|| ETag::new("never-given")))
    }

    /// Does it; gives what can be compared: the outcome or the kind and code of the error.
    async fn run(&mut self, operation: &Operation) -> Result<String, (Kind, &'static str)> {
        let Operation { key, body, action, back } = operation;
        let when = match action % 4 {
            0 => Precondition::Any,
            1 => Precondition::Absent,
            _ => self.state(key, *back),
        };
        let outcome = match action {
            0..4 => self.store.put_when(key, body.clone(), when).await.map(|etag| {
                self.etags.entry(key.clone()).or_default().push(etag);
                "put".to_owned()
            }),
            4..8 => self.store.delete(key, when).await.map(|deleted| format!("deleted {deleted}")),
            8 => self.store.exists(key).await.map(|there| format!("there {there}")),
            _ => self.store.get(key).await.map(|found| match found {
                Some(found) => {
                    let known = self.etags.get(key).and_then(|given| given.last()) == Some(&found.etag);
                    format!("{known} {:?}", found.body)
                }
                None => "none".to_owned(),
            }),
        };
        outcome.map_err(|error| (error.kind(), error.code()))
    }
}

struct Operation {
    key: DocumentKey,
    body: Vec<u8>,
    action: usize,
    back: usize,
}

/// States never come back: what an `ETag` given again means is the store's own business.
fn operation(numbers: &mut Numbers, at: usize) -> Operation {
    let id = ["a", "b", "c", "..", "d/e", "%"][numbers.below(6)];
    let key = match numbers.below(9) {
        8 => DocumentKey::at("shelves", &[("room", id), ("slot", "s")]),
        0 => DocumentKey::new("nothing", id),
        1 => note(id).in_tenant("u"),
        2 => {
            // not the same key in two tenants: whether that works is a capability
            let (tenant, id) = [("u", "a"), ("u", "b"), ("v", "c"), ("v", "%")][numbers.below(4)];
            DocumentKey::new("chats", id).in_tenant(tenant)
        }
        _ => note(id),
    };
    let body = match (key.collection(), numbers.below(10)) {
        (_, 0) => b"{".to_vec(),
        (_, 1) => body("other", "x"),
        ("shelves", _) => {
            format!(r#"{{"id": {}, "count": {at}}}"#, id.len() * 256 + usize::from(id.as_bytes()[0]))
                .into_bytes()
        }
        ("chats", _) => format!(
            r#"{{"id": "{}", "user_id": "{}", "title": "{at}"}}"#,
            key.parts().concat(),
            key.tenant().unwrap_or_default()
        )
        .into_bytes(),
        _ => body(id, &format!("t{at}")),
    };
    Operation { key, body, action: numbers.below(10), back: numbers.below(3) }
}

/// The same operations on the store and on one in memory give the same results and the same kinds of errors.
pub async fn random_operations_give_what_memory_gives(subject: Subject) {
    let memory = BucketStore::new(Arc::new(MemoryObjects::new()), layout(), DOCUMENT_BYTES_MAX);
    let capabilities = subject.store.capabilities();
    let (mut ours, mut theirs) = (Side::new(subject.store), Side::new(Arc::new(memory)));
    let full = crate::full();
    let seed = 0x5eed_0000_0000_0001;
    let mut numbers = Numbers(seed);
    for at in 0..OPERATIONS * if full { 100 } else { 1 } {
        let operation = operation(&mut numbers, at);
        let conditional = !operation.action.is_multiple_of(4);
        if conditional
            && (operation.action < 4 && !capabilities.conditional_put
                || (4..8).contains(&operation.action) && !capabilities.conditional_delete)
        {
            continue;
        }
        let expected = theirs.run(&operation).await;
        let found = ours.run(&operation).await;
        let Operation { key, action, .. } = &operation;
        assert_eq!(found, expected, "operation {at} of seed {seed:x}: action {action} on {key}");
    }
    for scope in [
        Scope::of("notes"),
        Scope::of("shelves"),
        Scope::of("chats").in_tenant("u"),
        Scope::of("chats").in_tenant("v"),
    ] {
        let (mut found, mut expected) =
            (all(&ours.store, &scope, 2).await, all(&theirs.store, &scope, 1_000).await);
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
    }
}
