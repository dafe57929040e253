//! What apps may be told: one register that each operation takes effect on at one instant between its begin and its
//! answer (linearizability, Herlihy and Wing 1990). All orders that are still possible are kept side by side.

/// A document: the digits of the appends it took, newest last; 0 is the empty document.
pub type Text = u32;

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Puts a digit from 1 to 7 at the end.
    Append(u8),
    /// Empties the document, so that an earlier text can come back (ABA).
    Clear,
    /// Reads it.
    Read,
}

impl Action {
    /// The document after the operation.
    #[must_use]
    pub fn on(self, text: Text) -> Text {
        match self {
            Self::Append(digit) => text * 8 + u32::from(digit),
            Self::Clear => 0,
            Self::Read => text,
        }
    }
}

/// One order of the operations that explains all answers so far.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct World {
    value: Text,
    /// Operations without an answer that took effect in this order, and what reads among them saw.
    done: Vec<(u8, Text)>,
}

/// The orders of operations that explain all answers so far.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Register {
    open: Vec<(u8, Action)>,
    worlds: Vec<World>,
}

impl Default for Register {
    fn default() -> Self {
        Self { open: Vec::new(), worlds: vec![World { value: 0, done: Vec::new() }] }
    }
}

impl Register {
    /// An app asks for something; `operation` is a number that no other open operation has.
    pub fn begin(&mut self, operation: u8, action: Action) {
        self.open.push((operation, action));
        let mut next = 0;
        while let Some(world) = self.worlds.get(next).cloned() {
            next += 1;
            for &(number, action) in &self.open {
                if world.done.iter().any(|&(done, _)| done == number) {
                    continue;
                }
                let mut after = world.clone();
                after.value = action.on(world.value);
                after.done.push((number, after.value));
                after.done.sort_unstable();
                if !self.worlds.contains(&after) {
                    self.worlds.push(after);
                }
            }
        }
        self.worlds.sort_unstable();
    }

    /// The app is told that its write was done.
    pub fn succeed(&mut self, operation: u8) {
        self.keep(operation, |world| world.done.iter().any(|&(done, _)| done == operation));
    }

    /// The app is told what it read.
    pub fn answer(&mut self, operation: u8, text: Text) {
        self.keep(operation, |world| world.done.contains(&(operation, text)));
    }

    /// The app is told that nothing was done.
    pub fn fail(&mut self, operation: u8) {
        self.keep(operation, |world| world.done.iter().all(|&(done, _)| done != operation));
    }

    /// Whether some order of the operations explains every answer.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        !self.worlds.is_empty()
    }

    /// Whether the register may hold `text` now.
    #[must_use]
    pub fn may_hold(&self, text: Text) -> bool {
        self.worlds.iter().any(|world| world.value == text)
    }

    fn keep(&mut self, operation: u8, fits: impl Fn(&World) -> bool) {
        self.open.retain(|&(open, _)| open != operation);
        self.worlds.retain(fits);
        for world in &mut self.worlds {
            world.done.retain(|&(done, _)| done != operation);
        }
        self.worlds.sort_unstable();
        self.worlds.dedup();
    }
}
