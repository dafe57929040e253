//! A document's formatting, read off its own white space: what new values are laid out by.

use crate::edit::escapes::Escapes;
use crate::edit::layout::Layout;
use crate::scan::{Kind, Node};
use crate::value::Value;

/// Variants of one habit told apart; further ones (aligned columns, say) are hand-made and tell nothing.
const VARIANTS_MAX: usize = 16;

/// A scanned text as the editor sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page<'t> {
    pub(super) text: &'t str,
    pub(super) nodes: &'t [Node],
}

/// An entry or element: where it begins (an entry at its key), its value node, where it ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Child {
    pub(super) head: u32,
    pub(super) value: u32,
    pub(super) end: u32,
}

impl<'t> Page<'t> {
    pub(super) const fn of(value: Value<'t>) -> Self {
        Self { text: value.document(), nodes: value.nodes() }
    }

    pub(super) fn node(self, at: u32) -> Node {
        self.nodes[at as usize]
    }

    #[expect(clippy::string_slice, reason = "spans of the scanner begin and end at ASCII bytes")]
    pub(super) fn cut(self, start: u32, end: u32) -> &'t str {
        &self.text[start as usize..end as usize]
    }

    pub(super) fn children(self, container: u32) -> impl Iterator<Item = Child> + use<'t> {
        let Node { next: end, kind, .. } = self.node(container);
        let mut at = container + 1;
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let head = self.node(at).start;
            let value = if kind == Kind::Object { at + 1 } else { at };
            let Node { end, next, .. } = self.node(value);
            at = next;
            Some(Child { head, value, end })
        })
    }

    /// The white space before the first child; of an empty container, all there is between its brackets.
    pub(super) fn lead(self, container: u32) -> &'t str {
        let Node { start, end, .. } = self.node(container);
        self.cut(start + 1, self.children(container).next().map_or(end - 1, |child| child.head))
    }

    pub(super) fn is_empty(self, container: u32) -> bool {
        self.node(container).next == container + 1
    }
}

/// Whether a container holds no further containers: such ones are often kept on one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) object: bool,
    pub(super) leaf: bool,
}

impl Class {
    /// The class of the container whose subtree `nodes` are; `None` for a scalar.
    pub(super) fn of(nodes: &[Node]) -> Option<Self> {
        let (first, inner) = nodes.split_first()?;
        Self::with(first.kind, inner.iter().all(|node| !matches!(node.kind, Kind::Array | Kind::Object)))
    }

    pub(super) const fn with(kind: Kind, leaf: bool) -> Option<Self> {
        match kind {
            Kind::Array => Some(Self { object: false, leaf }),
            Kind::Object => Some(Self { object: true, leaf }),
            _ => None,
        }
    }

    pub(super) const fn slot(self) -> usize {
        (self.object as usize) * 2 + self.leaf as usize
    }
}

/// The habits of one document.
#[derive(Debug)]
pub(super) struct Style<'t> {
    pub(super) escapes: Escapes,
    /// What stands between key and value.
    pub(super) colon: &'t str,
    /// What stands between values of one line.
    comma: &'t str,
    /// What stands before the line break between values on lines of their own.
    comma_line: &'t str,
    /// What stands inside the brackets of an array, an object on one line.
    padding: [&'t str; 2],
    /// `None`: the document stands on one line.
    newline: Option<&'t str>,
    unit: &'t str,
    /// Of each class, whether the document keeps such containers on one line.
    inline: [bool; 4],
    line_starts: Vec<u32>,
    text: &'t str,
}

impl<'t> Style<'t> {
    pub(super) fn detect(page: Page<'t>) -> Self {
        let census = Census::take(page);
        let colon = census.colon.best();
        let comma = census.comma.best();
        let newline = census.newline.best();
        // What was not seen follows from what was: writers put a space after both or after neither.
        let spaced = match (colon, comma) {
            (Some(colon), _) => colon.ends_with(' '),
            (None, Some(comma)) => comma.ends_with(' '),
            (None, None) => newline.is_some(),
        };
        let line_starts = if newline.is_some() {
            memchr::memchr_iter(b'\n', page.text.as_bytes())
                .filter_map(|at| u32::try_from(at + 1).ok())
                .collect()
        } else {
            Vec::new()
        };
        Self {
            escapes: Escapes::detect(page.text),
            colon: colon.unwrap_or(if spaced { ": " } else { ":" }),
            comma: comma.unwrap_or(if spaced { ", " } else { "," }),
            comma_line: census.comma_line.best().unwrap_or(","),
            padding: [0, 1].map(|kind| census.padding[kind].best().unwrap_or("")),
            newline,
            unit: census.unit.best().unwrap_or("  "),
            inline: census.votes.map(|[lines, inline]| inline > lines),
            line_starts,
            text: page.text,
        }
    }

    /// The indentation of the line that byte `at` stands on.
    pub(super) fn line_indent(&self, at: u32) -> &'t str {
        let line = self.line_starts.partition_point(|&start| start <= at);
        let start = line.checked_sub(1).map_or(0, |line| self.line_starts[line]);
        let rest = self.text.get(start as usize..).unwrap_or_default();
        indent(rest.strip_prefix('\u{feff}').unwrap_or(rest))
    }

    /// How the document would lay out a new container on a line indented by `base`.
    pub(super) fn layout(&self, class: Class, base: &str, inline: bool) -> Layout {
        match self.newline {
            Some(newline) if !inline && !self.inline[class.slot()] => {
                let indent = format!("{base}{}", self.unit);
                Layout {
                    lead: format!("{newline}{indent}"),
                    comma: format!("{}{newline}{indent}", self.comma_line),
                    tail: format!("{newline}{base}"),
                    colon: self.colon.to_owned(),
                    indent,
                    inline: false,
                }
            }
            _ => {
                let padding = self.padding[usize::from(class.object)];
                Layout {
                    lead: padding.to_owned(),
                    comma: self.comma.to_owned(),
                    tail: padding.to_owned(),
                    colon: self.colon.to_owned(),
                    indent: base.to_owned(),
                    inline: true,
                }
            }
        }
    }

    /// How the container at `at`, which is not empty, is laid out.
    pub(super) fn sample(&self, page: Page<'t>, at: u32) -> Layout {
        let node = page.node(at);
        let lead = page.lead(at);
        let mut children = page.children(at);
        let first = children.next();
        let second = children.next();
        let last = children.last().or(second).or(first);
        let comma = first.zip(second).map(|(first, second)| page.cut(first.end, second.head));
        let broken = last_line(lead);
        Layout {
            lead: lead.to_owned(),
            comma: comma.map_or_else(|| self.comma_after(lead), str::to_owned),
            tail: last.map_or("", |last| page.cut(last.end, node.end - 1)).to_owned(),
            colon: first.map_or(self.colon, |first| self.colon_of(page, first)).to_owned(),
            indent: broken.map_or_else(|| self.line_indent(node.start), indent).to_owned(),
            inline: broken.is_none(),
        }
    }

    /// The separator of a container with a single child, which has none to show.
    pub(super) fn comma_after(&self, lead: &str) -> String {
        match last_line(lead) {
            Some(line) => {
                let newline = if lead.contains("\r\n") { "\r\n" } else { "\n" };
                format!("{}{newline}{}", self.comma_line, indent(line))
            }
            None => self.comma.to_owned(),
        }
    }

    /// What stands between the key and the value of `entry`, unless it is aligned by hand.
    pub(super) fn colon_of(&self, page: Page<'t>, entry: Child) -> &'t str {
        let key = page.node(entry.value - 1);
        let value = page.node(entry.value);
        if key.kind != Kind::Key {
            return self.colon;
        }
        let colon = page.cut(key.end, value.start);
        if colon.len() > 3 || colon.contains('\n') { self.colon } else { colon }
    }
}

/// The blanks a line begins with.
pub(super) fn indent(line: &str) -> &str {
    line.split_once(|character| character != ' ' && character != '\t').map_or(line, |(blanks, _)| blanks)
}

/// What follows the last line break; `None` when there is none.
pub(super) fn last_line(gap: &str) -> Option<&str> {
    gap.rsplit_once('\n').map(|(_, line)| line)
}

#[derive(Debug, Default)]
struct Tally<'t>(Vec<(&'t str, usize)>);

impl<'t> Tally<'t> {
    fn add(&mut self, variant: &'t str) {
        if let Some((_, count)) = self.0.iter_mut().find(|(known, _)| *known == variant) {
            *count += 1;
        } else if self.0.len() < VARIANTS_MAX {
            self.0.push((variant, 1));
        }
    }

    /// The most frequent variant; the first seen among equals.
    fn best(&self) -> Option<&'t str> {
        self.0.iter().rev().max_by_key(|(_, count)| *count).map(|(variant, _)| *variant)
    }
}

#[derive(Debug, Default)]
struct Census<'t> {
    colon: Tally<'t>,
    comma: Tally<'t>,
    comma_line: Tally<'t>,
    padding: [Tally<'t>; 2],
    newline: Tally<'t>,
    unit: Tally<'t>,
    votes: [[usize; 2]; 4],
}

impl<'t> Census<'t> {
    fn take(page: Page<'t>) -> Self {
        let mut census = Self::default();
        let mut open: Vec<(u32, bool)> = Vec::new();
        let count = u32::try_from(page.nodes.len()).unwrap_or(u32::MAX);
        for at in 0..count {
            while open.last().is_some_and(|&(next, _)| next <= at) {
                open.pop();
            }
            let node = page.node(at);
            if !matches!(node.kind, Kind::Array | Kind::Object) {
                continue;
            }
            let lead = page.lead(at);
            let inline = !lead.contains('\n');
            if !inline {
                census.newline.add(if lead.contains("\r\n") { "\r\n" } else { "\n" });
            }
            if page.is_empty(at) {
                continue;
            }
            let leaf = census.gaps(page, at, lead, inline);
            if let Some(class) = Class::with(node.kind, leaf)
                && open.last().is_none_or(|&(_, inline)| !inline)
            {
                census.votes[class.slot()][usize::from(inline)] += 1;
            }
            open.push((node.next, inline));
        }
        census
    }

    /// Counts the white space of one container that is not empty; tells whether it holds only scalars.
    fn gaps(&mut self, page: Page<'t>, at: u32, lead: &'t str, inline: bool) -> bool {
        let node = page.node(at);
        let mut leaf = true;
        let mut end = None;
        for child in page.children(at) {
            leaf &= !matches!(page.node(child.value).kind, Kind::Array | Kind::Object);
            if node.kind == Kind::Object {
                let colon = page.cut(page.node(child.value - 1).end, page.node(child.value).start);
                if !colon.contains('\n') {
                    self.colon.add(colon);
                }
            }
            if let Some(end) = end {
                let gap = page.cut(end, child.head);
                match gap.split_once('\n') {
                    None => self.comma.add(gap),
                    Some((before, _)) if before.contains(',') => {
                        self.comma_line.add(before.strip_suffix('\r').unwrap_or(before));
                    }
                    Some(_) => {}
                }
            }
            end = Some(child.end);
        }
        if inline {
            self.padding[usize::from(node.kind == Kind::Object)].add(lead);
        } else if let Some(end) = end
            && let (Some(inner), Some(outer)) = (last_line(lead), last_line(page.cut(end, node.end - 1)))
            && let Some(unit) = inner.strip_prefix(outer)
        {
            self.unit.add(unit);
        }
        leaf
    }
}
