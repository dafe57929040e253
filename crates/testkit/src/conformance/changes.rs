//! The change log, for stores that say they keep one: `repot_testkit::conformance_changes!(sqlite, make())` makes one test
//! for each promise of [`ChangeFeed`].

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use repot_core::Kind;
use repot_core::change_log::{ChangeKind, ChangeRetention};
use repot_core::store::{
    ChangeEntry, ChangeFeed, ChangePosition, ChangeScope, DocumentKey, Precondition, Scope, StoreExt as _,
    UnitOfWork, Write,
};

use super::subject::{body, drive, note};

/// Opens the same documents once more, with this much of the log to be kept.
pub type Reopen = dyn Fn(ChangeRetention) -> Arc<dyn ChangeFeed> + Send + Sync;

/// A store with a change log under test, over [`super::layout`], empty at the beginning.
pub struct FeedSubject {
    /// The store.
    pub feed: Arc<dyn ChangeFeed>,
    /// Opens another one over the same documents.
    pub reopen: Arc<Reopen>,
    /// What must live as long as the store.
    pub keep: Box<dyn Any + Send>,
}

impl fmt::Debug for FeedSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.feed)
    }
}

/// Runs one promise on a runtime of its own; without a subject (its server is missing, and that was printed) nothing.
///
/// # Panics
/// When the promise is broken.
pub fn run_changes<F: Future<Output = ()>>(subject: Option<FeedSubject>, promise: fn(FeedSubject) -> F) {
    let Some(subject) = subject else { return };
    assert!(subject.feed.capabilities().change_log);
    drive(promise(subject));
}

/// Makes one test for each promise of the change log, in a module of this name.
#[macro_export]
macro_rules! conformance_changes {
    ($name:ident, $make:expr) => {
        mod $name {
            $crate::conformance_changes_tests! { $make;
                every_write_is_logged_once
                what_does_not_happen_is_not_logged
                the_log_follows_the_order_of_many_writers
                pages_of_changes_hold_everything_once
                a_tenant_reads_its_own_changes_only
                a_position_is_good_in_another_store_and_later
                what_is_kept_no_more_is_an_error
            }
        }
    };
}

/// One test for each name.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_changes_tests {
    ($make:expr; $($promise:ident)*) => {
        $(
            #[test]
            fn $promise() {
                $crate::conformance::run_changes(($make).into(), $crate::conformance::$promise);
            }
        )*
    };
}

/// The same documents in another store; opening waits.
async fn reopened(reopen: &Arc<Reopen>, keep: ChangeRetention) -> Arc<dyn ChangeFeed> {
    let reopen = Arc::clone(reopen);
    tokio::task::spawn_blocking(move || reopen(keep)).await.unwrap()
}

/// Everything after a position, in pages of `most`, and where the log ends.
async fn read_all(
    feed: &dyn ChangeFeed,
    scope: &ChangeScope,
    mut after: ChangePosition,
    most: usize,
) -> (Vec<ChangeEntry>, ChangePosition) {
    let mut entries = Vec::new();
    loop {
        let page = feed.changes(scope, after, most).await.unwrap();
        assert!(page.entries.len() <= most && page.next >= after, "{page:?}");
        assert!(
            page.entries.iter().all(|entry| entry.position > after && entry.position <= page.next),
            "{page:?} after {after:?}"
        );
        entries.extend(page.entries);
        after = page.next;
        if !page.more {
            return (entries, after);
        }
    }
}

fn shown(entries: &[ChangeEntry]) -> Vec<(String, ChangeKind)> {
    entries.iter().map(|entry| (entry.key.to_string(), entry.kind)).collect()
}

async fn shown_after(feed: &dyn ChangeFeed, after: ChangePosition) -> Vec<(String, ChangeKind)> {
    shown(&read_all(feed, &ChangeScope::Everything, after, 100).await.0)
}

fn put(key: DocumentKey, body: impl Into<bytes::Bytes>) -> Write {
    Write::Put { key, body: body.into(), when: Precondition::Any }
}

/// Each write that changes something has one entry: puts, changes of a part, deletes, units of several.
pub async fn every_write_is_logged_once(subject: FeedSubject) {
    let feed = subject.feed.as_ref();
    assert_eq!(feed.position().await.unwrap(), ChangePosition::START);
    feed.put(&note("a"), body("a", "one")).await.unwrap();
    feed.put(&note("a"), body("a", "two")).await.unwrap();
    let after = feed.position().await.unwrap();
    feed.put(&note("b"), r#"{"id": "b", "marks": []}"#).await.unwrap();
    feed.append(&note("b"), "/marks", r#"{"word": "x"}"#).await.unwrap();
    let unit = UnitOfWork::default()
        .with(put(note("c"), body("c", "one")))
        .with(Write::Delete { key: note("a"), when: Precondition::Any });
    feed.apply(unit).await.unwrap();
    let all = shown_after(feed, ChangePosition::START).await;
    let (of, is) = (|key: &str, kind| (format!("notes/{key}"), kind), ChangeKind::Put);
    assert_eq!(all[..4], [of("a", is), of("a", is), of("b", is), of("b", is)]);
    let mut last = all[4..].to_vec();
    last.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(last, [of("a", ChangeKind::Deleted), of("c", is)]);
    assert_eq!(shown_after(feed, after).await, all[2..]);
    let end = feed.position().await.unwrap();
    assert_eq!(shown_after(feed, end).await, []);
}

/// Writes that fail, and those that leave everything as it was, have no entry.
pub async fn what_does_not_happen_is_not_logged(subject: FeedSubject) {
    let feed = subject.feed.as_ref();
    feed.put(&note("a"), body("a", "one")).await.unwrap();
    let after = feed.position().await.unwrap();
    feed.put(&note("a"), body("a", "one")).await.unwrap();
    feed.create(&note("a"), body("a", "two")).await.unwrap_err();
    assert!(!feed.delete(&note("b"), Precondition::Any).await.unwrap());
    let unit = UnitOfWork::default().with(put(note("c"), body("c", "one"))).with(Write::Put {
        key: note("a"),
        body: body("a", "two").into(),
        when: Precondition::Absent,
    });
    feed.apply(unit).await.unwrap_err();
    assert_eq!(shown_after(feed, after).await, []);
}

/// 16 writers create and delete the same documents; a reader goes along. In the end it has seen each success once, and
/// for each document what was created was deleted before it was created again.
pub async fn the_log_follows_the_order_of_many_writers(subject: FeedSubject) {
    const WRITERS: usize = 16;
    const TIMES: usize = 12;
    let other = reopened(&subject.reopen, ChangeRetention::default()).await;
    let (created, deleted) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let feed = Arc::clone(if writer % 2 == 0 { &subject.feed } else { &other });
            let (created, deleted) = (Arc::clone(&created), Arc::clone(&deleted));
            tokio::spawn(async move {
                for time in 0..TIMES {
                    let id = ["a", "b", "c"][(writer + time) % 3];
                    match feed.create(&note(id), body(id, &format!("{writer} {time}"))).await {
                        Ok(_) => drop(created.fetch_add(1, Ordering::SeqCst)),
                        Err(error) => {
                            assert_eq!(error.code(), "R0401", "{error}");
                            if feed.delete(&note(id), Precondition::Any).await.unwrap() {
                                deleted.fetch_add(1, Ordering::SeqCst);
                            }
                        }
                    }
                }
            })
        })
        .collect();
    let (mut seen, mut after) = (Vec::new(), ChangePosition::START);
    while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
        let (entries, next) = read_all(other.as_ref(), &ChangeScope::Everything, after, 7).await;
        seen.extend(entries);
        after = next;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    seen.extend(read_all(other.as_ref(), &ChangeScope::Everything, after, 7).await.0);
    let mut of_each: BTreeMap<DocumentKey, Vec<ChangeKind>> = BTreeMap::new();
    for entry in &seen {
        of_each.entry(entry.key.clone()).or_default().push(entry.kind);
    }
    for (key, kinds) in &of_each {
        let turns = [ChangeKind::Put, ChangeKind::Deleted].into_iter().cycle();
        assert!(kinds.iter().copied().eq(turns.take(kinds.len())), "{key}: {kinds:?}");
    }
    let count = |kind| seen.iter().filter(|entry| entry.kind == kind).count();
    assert_eq!(count(ChangeKind::Put), created.load(Ordering::SeqCst));
    assert_eq!(count(ChangeKind::Deleted), deleted.load(Ordering::SeqCst));
    assert!(seen.windows(2).all(|pair| pair[0].position < pair[1].position));
}

/// However small the pages are, they hold all changes once, in one order.
pub async fn pages_of_changes_hold_everything_once(subject: FeedSubject) {
    let feed = subject.feed.as_ref();
    for number in 0..12 {
        feed.put(&note(&format!("n{}", number % 5)), body(&format!("n{}", number % 5), &number.to_string()))
            .await
            .unwrap();
        let chat = DocumentKey::new("chats", &format!("c{number}")).in_tenant("u");
        feed.put(&chat, format!(r#"{{"id": "c{number}", "user_id": "u"}}"#)).await.unwrap();
    }
    let scopes = [
        (ChangeScope::Everything, 24),
        (ChangeScope::Documents(Scope::of("notes")), 12),
        (ChangeScope::Tenant("u".to_owned()), 12),
    ];
    for (scope, count) in &scopes {
        let (whole, end) = read_all(feed, scope, ChangePosition::START, 1_000).await;
        assert_eq!(whole.len(), *count, "{scope:?}");
        for most in [1, 2, 5] {
            let (pages, last) = read_all(feed, scope, ChangePosition::START, most).await;
            assert_eq!((&pages, last), (&whole, end), "{scope:?}, pages of {most}");
        }
    }
}

/// A tenant's scope shows the tenant's documents and no other, with their keys as the store takes them.
pub async fn a_tenant_reads_its_own_changes_only(subject: FeedSubject) {
    let feed = subject.feed.as_ref();
    let chat = |id: &str, tenant: &str| DocumentKey::new("chats", id).in_tenant(tenant);
    feed.put(&note("a"), body("a", "one")).await.unwrap();
    for (id, tenant) in [("c1", "u1"), ("c2", "u2"), ("c3", "u1")] {
        feed.put(&chat(id, tenant), format!(r#"{{"id": "{id}", "user_id": "{tenant}"}}"#)).await.unwrap();
    }
    feed.delete(&chat("c1", "u1"), Precondition::Any).await.unwrap();
    let own = [
        (chat("c1", "u1"), ChangeKind::Put),
        (chat("c3", "u1"), ChangeKind::Put),
        (chat("c1", "u1"), ChangeKind::Deleted),
    ];
    let of_tenant = ChangeScope::Documents(Scope::of("chats").in_tenant("u1"));
    for scope in [ChangeScope::Tenant("u1".to_owned()), of_tenant] {
        let (entries, _) = read_all(feed, &scope, ChangePosition::START, 100).await;
        let seen: Vec<_> = entries.into_iter().map(|entry| (entry.key, entry.kind)).collect();
        assert_eq!(seen, own, "{scope:?}");
    }
    assert!(feed.get(&own[1].0).await.unwrap().is_some());
    let nobody = ChangeScope::Tenant("u".to_owned());
    assert_eq!(read_all(feed, &nobody, ChangePosition::START, 100).await.0, []);
    for scope in [Scope::of("chats"), Scope::of("notes").in_tenant("u1")] {
        let scope = ChangeScope::Documents(scope);
        let error = feed.changes(&scope, ChangePosition::START, 1).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Invalid, "R0406"), "{error}");
    }
}

/// A position that was kept leads to what came after it, in a store that was opened later.
pub async fn a_position_is_good_in_another_store_and_later(subject: FeedSubject) {
    let FeedSubject { feed, reopen, keep: _keep } = subject;
    feed.put(&note("a"), body("a", "one")).await.unwrap();
    let kept = feed.position().await.unwrap().number();
    feed.put(&note("b"), body("b", "one")).await.unwrap();
    drop(feed);
    let feed = reopened(&reopen, ChangeRetention::default()).await;
    feed.put(&note("c"), body("c", "one")).await.unwrap();
    let of = |key: &str| (format!("notes/{key}"), ChangeKind::Put);
    assert_eq!(shown_after(feed.as_ref(), ChangePosition::new(kept)).await, [of("b"), of("c")]);
}

/// Beyond what is to be kept the log goes, but not its end; a position before it, or of a log that went further, is an
/// error and never a gap.
pub async fn what_is_kept_no_more_is_an_error(subject: FeedSubject) {
    let feed = Arc::clone(&subject.feed);
    for number in 0..10 {
        feed.put(&note("a"), body("a", &number.to_string())).await.unwrap();
    }
    let end = feed.position().await.unwrap();
    let feed =
        reopened(&subject.reopen, ChangeRetention { entries_max: 3, ..ChangeRetention::default() }).await;
    // what is beyond the bound goes when the store is opened, in its own time
    while feed.changes(&ChangeScope::Everything, ChangePosition::START, 1).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let kept = ChangePosition::new(end.number() - 3);
    assert_eq!(shown_after(feed.as_ref(), kept).await.len(), 3);
    let before = ChangePosition::new(kept.number() - 1);
    for wrong in
        [ChangePosition::START, before, ChangePosition::new(end.number() + 1), ChangePosition::new(u64::MAX)]
    {
        let error = feed.changes(&ChangeScope::Everything, wrong, 1).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Refused, "R0604"), "{wrong:?}: {error}");
    }
    assert_eq!(feed.position().await.unwrap(), end);
}
