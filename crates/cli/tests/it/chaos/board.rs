//! The documents of a world, what was done to each of them, and what all that take part share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use repot_testkit::history::{List, Register};

const USERS: usize = 4;
/// Chats of a user that are in use at once.
const CHATS: usize = 2;
/// Messages in a chat until another one takes its place: what is read and checked stays small.
const MESSAGES: usize = 60;
/// Writes of a draft that nobody knows the outcome of, until another one takes its place: each doubles what is checked.
const UNKNOWN: usize = 5;

/// A chat that is only appended to.
#[derive(Debug)]
pub(super) struct Chat {
    pub user: String,
    pub id: String,
    pub list: List,
}

/// A chat without messages whose title is replaced, and that goes and comes again.
#[derive(Debug)]
pub(super) struct Draft {
    pub user: String,
    pub id: String,
    pub register: Register,
}

/// Documents that are in use, and all that ever were.
#[derive(Debug)]
struct Used<T> {
    now: Vec<Arc<T>>,
    ever: Vec<Arc<T>>,
}

impl<T> Used<T> {
    /// The one at this place, or another one where it has had enough.
    fn take(&mut self, at: usize, enough: impl Fn(&T) -> bool, make: impl FnOnce(usize) -> T) -> Arc<T> {
        if enough(&self.now[at]) {
            let next = Arc::new(make(self.ever.len()));
            self.ever.push(Arc::clone(&next));
            self.now[at] = next;
        }
        Arc::clone(&self.now[at])
    }

    fn new(count: usize, make: impl Fn(usize) -> T) -> Mutex<Self> {
        let ever: Vec<Arc<T>> = (0..count).map(|number| Arc::new(make(number))).collect();
        Mutex::new(Self { now: ever.clone(), ever })
    }
}

#[derive(Debug)]
pub(super) struct Board {
    chats: Mutex<Used<Chat>>,
    drafts: Mutex<Used<Draft>>,
    /// Chats that were there once, by user; they are never removed.
    there: Mutex<BTreeMap<String, BTreeSet<String>>>,
    next: AtomicU64,
    /// What another program wrote last into each of its files.
    pub foreign: Mutex<BTreeMap<String, String>>,
    /// Held for writing by who wants the leads to stay what they are.
    pub leads: RwLock<()>,
    /// Changes of the leads that were done.
    pub changes: AtomicUsize,
    /// How often each answer came.
    tally: Mutex<BTreeMap<String, usize>>,
}

fn user(number: usize) -> String {
    format!("u{}", number % USERS)
}

fn chat(number: usize, at: usize) -> Chat {
    Chat { user: user(at), id: format!("chat-{number}"), list: List::default() }
}

fn draft(number: usize, at: usize) -> Draft {
    Draft { user: user(at), id: format!("draft-{number}"), register: Register::default() }
}

impl Board {
    pub(super) fn new() -> Self {
        Self {
            chats: Used::new(USERS * CHATS, |number| chat(number, number)),
            drafts: Used::new(USERS, |number| draft(number, number)),
            there: Mutex::default(),
            next: AtomicU64::new(1),
            foreign: Mutex::default(),
            leads: RwLock::default(),
            changes: AtomicUsize::new(0),
            tally: Mutex::default(),
        }
    }

    /// A chat in use.
    pub(super) fn chat(&self, dice: &mut super::Dice) -> Arc<Chat> {
        let at = dice.at(USERS * CHATS);
        let enough = |chat: &Chat| chat.list.acknowledged() >= MESSAGES;
        self.chats.lock().unwrap().take(at, enough, |number| chat(number, at))
    }

    /// A draft in use.
    pub(super) fn draft(&self, dice: &mut super::Dice) -> Arc<Draft> {
        let at = dice.at(USERS);
        let enough = |draft: &Draft| draft.register.unknown() >= UNKNOWN;
        self.drafts.lock().unwrap().take(at, enough, |number| draft(number, at))
    }

    pub(super) fn all_chats(&self) -> Vec<Arc<Chat>> {
        self.chats.lock().unwrap().ever.clone()
    }

    pub(super) fn all_drafts(&self) -> Vec<Arc<Draft>> {
        self.drafts.lock().unwrap().ever.clone()
    }

    /// A number that nobody else gets.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::SeqCst)
    }

    pub(super) fn saw(&self, user: &str, chat: &str) {
        self.there.lock().unwrap().entry(user.to_owned()).or_default().insert(chat.to_owned());
    }

    /// The chats of a user that somebody saw.
    pub(super) fn seen(&self, user: &str) -> BTreeSet<String> {
        self.there.lock().unwrap().get(user).cloned().unwrap_or_default()
    }

    pub(super) fn count(&self, what: &str) {
        *self.tally.lock().unwrap().entry(what.to_owned()).or_default() += 1;
    }

    pub(super) fn tally(&self) -> String {
        format!("{:?}", self.tally.lock().unwrap())
    }

    /// Messages that were acknowledged.
    pub(super) fn acknowledged(&self) -> usize {
        self.all_chats().iter().map(|chat| chat.list.acknowledged()).sum()
    }
}
