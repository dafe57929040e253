//! A page of items that a server or a store gave: each item keeps its own text.

use bytes::Bytes;
use repot_core::{Error, Kind, Result};
use repot_json::{Limits, Tree, Value};

/// `{"items": [...], "next": ...}`.
pub(crate) struct Page {
    body: Bytes,
    tree: Tree,
}

impl Page {
    /// Reads an answer's body.
    ///
    /// # Errors
    /// `R0155` when it is no JSON.
    pub(crate) fn read(body: Bytes) -> Result<Self> {
        // as many documents as it likes, each within the bounds of the server
        let limits = Limits { nodes_max: usize::MAX, ..Limits::default() };
        match Tree::parse(&body, limits) {
            Ok(tree) => Ok(Self { body, tree }),
            Err(error) => Err(no_page().cause(error)),
        }
    }

    /// Gives each item, with what stands beside it: the state of its document, and when that was written last. Gives how many there were.
    ///
    /// # Errors
    /// `R0155` when there are no items.
    pub(crate) fn each(&self, mut take: impl FnMut(Value<'_>, [Option<&str>; 2])) -> Result<usize> {
        let items = self.field("items").ok_or_else(no_page)?;
        let mut beside = ["etags", "updated"].map(|name| self.field(name).map(Value::elements));
        let mut count = 0;
        for item in items.elements() {
            let said = beside.each_mut().map(|all| all.as_mut().and_then(|all| all.next()?.as_str()));
            take(item, said.each_ref().map(Option::as_deref));
            count += 1;
        }
        Ok(count)
    }

    /// What stands beside the items.
    pub(crate) fn field(&self, name: &str) -> Option<Value<'_>> {
        self.tree.root(&self.body)?.get(name)
    }
}

/// An item's text on one line: a line break can only be white space in JSON.
pub(crate) fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

fn no_page() -> Error {
    Error::new(Kind::Failed, "R0155", "the answer is no page of items")
        .hint("Check REPOT_URL, and that client and server are of one version.")
}
