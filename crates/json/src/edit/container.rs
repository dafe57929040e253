//! One container whose children come and go: which white space and commas stay, and what new ones look like.

use std::collections::HashMap;

use crate::edit::layout::{Fresh, Layout};
use crate::edit::style::{Child, Class, Page, Style, indent, last_line};
use crate::scan::{Kind, Node};

/// A child to be inserted before child number `before`.
#[derive(Debug)]
pub(super) struct Insert {
    pub(super) before: usize,
    /// In its quotes.
    pub(super) key: Option<String>,
    pub(super) json: String,
}

/// What happens to the children of one container.
#[derive(Debug, Default)]
pub(super) struct Change {
    pub(super) parent: Option<u32>,
    /// Value nodes, ascending.
    pub(super) removed: Vec<u32>,
    /// In the order of their calls.
    pub(super) inserted: Vec<Insert>,
}

/// Bytes `start..end` of the text become `text`.
#[derive(Debug)]
pub(super) struct Splice {
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) text: String,
}

/// Writes the splices of one document.
#[derive(Debug)]
pub(super) struct Writer<'t> {
    page: Page<'t>,
    style: Style<'t>,
    splices: Vec<Splice>,
    /// Of containers that got new structures: how their children of each [`Class`] are laid out.
    samples: HashMap<u32, [Option<Layout>; 4]>,
}

/// A stretch between two children that stay (or a bracket), with what is to be written into it.
struct Region<'a> {
    /// The child that stays before it, by number.
    prev: Option<usize>,
    /// The child that stays after it, by number.
    next: Option<usize>,
    inserted: &'a [Insert],
}

impl<'t> Writer<'t> {
    pub(super) fn new(page: Page<'t>) -> Self {
        Self { page, style: Style::detect(page), splices: Vec::new(), samples: HashMap::new() }
    }

    /// Replaces the value at `at`, which stands in `parent`.
    pub(super) fn replace(&mut self, at: u32, parent: Option<u32>, json: &str) {
        let Node { start, end, kind, .. } = self.page.node(at);
        if json == self.page.cut(start, end) {
            return;
        }
        let fresh = Fresh::scan(json);
        let layout = fresh.class().map(|class| {
            let same_kind =
                class.object == (kind == Kind::Object) && matches!(kind, Kind::Array | Kind::Object);
            if same_kind && !self.page.is_empty(at) {
                return self.style.sample(self.page, at);
            }
            let inline = parent.is_some_and(|parent| !self.page.lead(parent).contains('\n'));
            let base = self.style.line_indent(start);
            self.layout(parent, class, base, inline)
        });
        let mut text = String::with_capacity(json.len());
        fresh.print(&self.style, layout, &mut text);
        self.splices.push(Splice { start, end, text });
    }

    /// Removes and inserts children of the container at `at`.
    pub(super) fn change(&mut self, at: u32, change: Change) {
        let Change { parent, removed, mut inserted } = change;
        inserted.sort_by_key(|insert| insert.before);
        let children: Vec<Child> = self.page.children(at).collect();
        let mut rest = inserted.as_slice();
        let mut removed = removed.into_iter().peekable();
        let mut prev = None;
        for (number, child) in children.iter().enumerate() {
            if removed.next_if_eq(&child.value).is_some() {
                continue;
            }
            let (here, later) = rest.split_at(rest.partition_point(|insert| insert.before <= number));
            rest = later;
            self.region(at, parent, &children, &Region { prev, next: Some(number), inserted: here });
            prev = Some(number);
        }
        self.region(at, parent, &children, &Region { prev, next: None, inserted: rest });
    }

    fn region(&mut self, at: u32, parent: Option<u32>, children: &[Child], region: &Region<'_>) {
        let Region { prev, next, inserted } = *region;
        let Node { start: open, end: close, .. } = self.page.node(at);
        let start = prev.map_or(open + 1, |prev| children[prev].end);
        let end = next.map_or(close - 1, |next| children[next].head);
        let first = prev.map_or(0, |prev| prev + 1);
        let last = next.unwrap_or(children.len());
        if inserted.is_empty() {
            if first < last {
                self.splices.push(self.removal(children, region, start, end));
            }
            return;
        }
        let frame = if children.is_empty() {
            self.first_layout(at, parent, inserted)
        } else {
            self.frame(at, children, region)
        };
        let gap_before = match prev {
            None => frame.lead.as_str(),
            Some(prev) => {
                children.get(prev + 1).map_or(frame.comma.as_str(), |next| self.page.cut(start, next.head))
            }
        };
        let gap_after = match next {
            None => frame.tail.as_str(),
            Some(next) => next.checked_sub(1).map_or(frame.comma.as_str(), |before| {
                self.page.cut(children[before].end, children[next].head)
            }),
        };
        let mut text = gap_before.to_owned();
        for (number, insert) in inserted.iter().enumerate() {
            if number > 0 {
                text.push_str(&frame.comma);
            }
            if let Some(key) = &insert.key {
                self.style.escapes.write(key, &mut text);
                text.push_str(&frame.colon);
            }
            let fresh = Fresh::scan(&insert.json);
            let layout = fresh.class().map(|class| self.layout(Some(at), class, &frame.indent, frame.inline));
            fresh.print(&self.style, layout, &mut text);
        }
        text.push_str(gap_after);
        self.splices.push(Splice { start, end, text });
    }

    /// Closes the hole that removed children leave. Of the two gaps around it one stays.
    fn removal(&self, children: &[Child], region: &Region<'_>, start: u32, end: u32) -> Splice {
        let (start, end) = match (region.prev, region.next) {
            (None, None) => (start, end),
            (None, Some(_)) => (children[0].head, end),
            (Some(_), None) => (start, children.last().map_or(start, |last| last.end)),
            (Some(prev), Some(next)) => {
                let head = children[prev + 1].head;
                let tail = children[next - 1].end;
                let breaks = |gap: &str| gap.contains('\n');
                if breaks(self.page.cut(start, head)) && !breaks(self.page.cut(tail, end)) {
                    (head, end)
                } else {
                    (start, tail)
                }
            }
        };
        Splice { start, end, text: String::new() }
    }

    /// How the children around `region` of a container that is not empty are laid out.
    fn frame(&self, at: u32, children: &[Child], region: &Region<'_>) -> Layout {
        let lead = self.page.lead(at);
        let near = region.prev.map_or(1, |prev| prev + 1).min(children.len() - 1);
        let before = near.checked_sub(1).map(|before| children[before]);
        let comma = before.map_or_else(
            || self.style.comma_after(lead),
            |before| self.page.cut(before.end, children[near].head).to_owned(),
        );
        let position = region.prev.map_or(self.page.node(at).start, |prev| children[prev].end);
        let line = last_line(&comma).or_else(|| last_line(lead));
        let blanks = line.map_or_else(|| self.style.line_indent(position), indent);
        let last = children.last().map_or(position, |last| last.end);
        Layout {
            lead: lead.to_owned(),
            tail: self.page.cut(last, self.page.node(at).end - 1).to_owned(),
            colon: self.style.colon_of(self.page, children[region.prev.unwrap_or(0)]).to_owned(),
            indent: blanks.to_owned(),
            inline: line.is_none(),
            comma,
        }
    }

    /// How a container that was empty is laid out with its first children.
    fn first_layout(&mut self, at: u32, parent: Option<u32>, inserted: &[Insert]) -> Layout {
        let Node { start, kind, .. } = self.page.node(at);
        let leaf = !inserted.iter().any(|insert| insert.json.trim_start().starts_with(['[', '{']));
        let class = Class { object: kind == Kind::Object, leaf };
        let inline = parent.is_some_and(|parent| !self.page.lead(parent).contains('\n'));
        let base = self.style.line_indent(start);
        self.layout(parent, class, base, inline)
    }

    /// The layout for a new container in `parent`: a sibling's, else what the document does elsewhere.
    fn layout(&mut self, parent: Option<u32>, class: Class, base: &str, inline: bool) -> Layout {
        let Some(parent) = parent else { return self.style.layout(class, base, inline) };
        let (page, style) = (self.page, &self.style);
        let samples = self.samples.entry(parent).or_insert_with(|| samples(page, style, parent));
        let other = Class { leaf: !class.leaf, ..class };
        // Elements of an array are alike; entries of an object are so only where they hold the same.
        let alike = page.node(parent).kind == Kind::Array;
        let sample =
            samples[class.slot()].as_ref().or(if alike { samples[other.slot()].as_ref() } else { None });
        sample.map_or_else(|| style.layout(class, base, inline), Layout::clone)
    }

    /// The new text.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.splices.sort_by_key(|splice| (splice.start, splice.end));
        let added: usize = self.splices.iter().map(|splice| splice.text.len()).sum();
        let bytes = self.page.text.as_bytes();
        let mut out = Vec::with_capacity(bytes.len() + added);
        let mut at = 0;
        for Splice { start, end, text } in &self.splices {
            out.extend_from_slice(&bytes[at..*start as usize]);
            out.extend_from_slice(text.as_bytes());
            at = *end as usize;
        }
        out.extend_from_slice(&bytes[at..]);
        out
    }
}

/// The layout of the last child of each class.
fn samples(page: Page<'_>, style: &Style<'_>, container: u32) -> [Option<Layout>; 4] {
    let mut last = [None; 4];
    for child in page.children(container) {
        let nodes = page.nodes.get(child.value as usize..page.node(child.value).next as usize);
        if let Some(class) = nodes.filter(|nodes| nodes.len() > 1).and_then(Class::of) {
            last[class.slot()] = Some(child.value);
        }
    }
    last.map(|child| Some(style.sample(page, child?)))
}
