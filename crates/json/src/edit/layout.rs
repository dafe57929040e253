//! New values on paper: a compact JSON text printed in a document's style, without recursion.

use crate::edit::style::{Class, Style};
use crate::scan::{Kind, Limits, Node, Tree};

/// New structures are written on one line from this depth on: indentation costs the square of the depth.
const INDENTED_DEPTH_MAX: usize = 64;

/// The white space and separators of one container.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// After the opening bracket.
    pub(super) lead: String,
    /// Between two children.
    pub(super) comma: String,
    /// Before the closing bracket.
    pub(super) tail: String,
    /// Between key and value.
    pub(super) colon: String,
    /// Indentation of the lines the children stand on.
    pub(super) indent: String,
    /// Whether all of it stands on one line.
    pub(super) inline: bool,
}

/// A value to be written: its text, scanned.
#[derive(Debug)]
pub(super) struct Fresh<'j> {
    json: &'j str,
    tree: Tree,
}

impl<'j> Fresh<'j> {
    /// # Panics
    /// When `json` is no JSON: the caller of the editor promised it.
    pub(super) fn scan(json: &'j str) -> Self {
        let limits = Limits { depth_max: usize::MAX, nodes_max: usize::MAX };
        let tree = Tree::parse(json.as_bytes(), limits).expect("the editor's callers hand it JSON texts");
        Self { json, tree }
    }

    /// The class of a container that is not empty: only such a one has a layout.
    pub(super) fn class(&self) -> Option<Class> {
        if self.tree.nodes().len() > 1 { Class::of(self.tree.nodes()) } else { None }
    }

    /// Appends the value; `layout` is that of its outermost container.
    pub(super) fn print(&self, style: &Style<'_>, layout: Option<Layout>, out: &mut String) {
        let mut open: Vec<Open> = Vec::new();
        let mut layout = layout;
        let mut after_key = false;
        for (at, node) in self.tree.nodes().iter().enumerate() {
            close(&mut open, at, out);
            if let Some(top) = open.last_mut()
                && !after_key
            {
                out.push_str(if top.begun { &top.layout.comma } else { &top.layout.lead });
                top.begun = true;
            }
            after_key = node.kind == Kind::Key;
            match node.kind {
                Kind::String => style.escapes.write(self.raw(node), out),
                Kind::Key => {
                    style.escapes.write(self.raw(node), out);
                    out.push_str(open.last().map_or(style.colon, |top| &top.layout.colon));
                }
                Kind::Array | Kind::Object if node.next as usize > at + 1 => {
                    let chosen = layout.take().or_else(|| self.choose(style, at, &open));
                    if let Some(layout) = chosen {
                        out.push(if node.kind == Kind::Object { '{' } else { '[' });
                        open.push(Open { next: node.next as usize, kind: node.kind, layout, begun: false });
                    }
                }
                Kind::Array => out.push_str("[]"),
                Kind::Object => out.push_str("{}"),
                Kind::Null | Kind::False | Kind::True | Kind::Number => out.push_str(self.raw(node)),
            }
        }
        close(&mut open, usize::MAX, out);
    }

    fn choose(&self, style: &Style<'_>, at: usize, open: &[Open]) -> Option<Layout> {
        let next = self.tree.nodes()[at].next as usize;
        let class = self.tree.nodes().get(at..next).and_then(Class::of)?;
        let outer = open.last().map(|top| &top.layout);
        let inline = open.len() >= INDENTED_DEPTH_MAX || outer.is_some_and(|outer| outer.inline);
        Some(style.layout(class, outer.map_or("", |outer| &outer.indent), inline))
    }

    #[expect(clippy::string_slice, reason = "spans of the scanner begin and end at ASCII bytes")]
    fn raw(&self, node: &Node) -> &'j str {
        &self.json[node.start as usize..node.end as usize]
    }
}

#[derive(Debug)]
struct Open {
    next: usize,
    kind: Kind,
    layout: Layout,
    begun: bool,
}

/// Closes the containers that end before node `at`.
fn close(open: &mut Vec<Open>, at: usize, out: &mut String) {
    while let Some(top) = open.pop_if(|top| top.next <= at) {
        out.push_str(&top.layout.tail);
        out.push(if top.kind == Kind::Object { '}' } else { ']' });
    }
}
