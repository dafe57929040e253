//! The type of a column from the statistics of its values: proven by all of them, or something wider.

use repot_model::language::{FieldKind, Scalar};

use crate::evidence;
use crate::shape::{Node, Sort};

/// Fields whose few words are a choice, not chance.
const CHOICES: [&str; 10] =
    ["status", "state", "type", "kind", "role", "tier", "level", "category", "outcome", "mode"];
/// Words the language gives a meaning.
const RESERVED: [&str; 28] = [
    "null", "key", "unique", "auto", "cascade", "set", "from", "was", "position", "body", "now", "today",
    "text", "int", "float", "decimal", "bool", "time", "date", "uuid", "json", "bytes", "true", "false",
    "on", "write", "in", "file",
];

/// A column's type, and whether its values can be absent for the type's own reasons.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Typed {
    pub(crate) kind: FieldKind,
    /// Some values cannot be held: they are null in the column.
    pub(crate) unfit: bool,
    pub(crate) note: String,
}

impl Typed {
    fn new(kind: Scalar, note: impl Into<String>) -> Self {
        Self { kind: FieldKind::Scalar(kind), unfit: false, note: note.into() }
    }
}

/// The type for values none of which is an object; lists of one sort of scalar stay lists.
pub(crate) fn typed(name: &str, node: &Node) -> Typed {
    if node.filled() == 0 {
        return Typed::new(Scalar::Json, "");
    }
    if node.deep {
        return Typed::new(Scalar::Json, "nested too deeply for columns");
    }
    if node.only(&[Sort::List]) {
        return list(node);
    }
    if node.only(&[Sort::Object]) {
        return Typed::new(Scalar::Json, "objects, kept whole");
    }
    scalar(name, node).unwrap_or_else(|| Typed::new(Scalar::Json, evidence::sorts(node)))
}

/// The type of scalars of one sort.
pub(crate) fn scalar(name: &str, node: &Node) -> Option<Typed> {
    if node.only(&[Sort::Bool]) {
        return Some(Typed::new(Scalar::Bool, ""));
    }
    if node.only(&[Sort::Int]) {
        return Some(Typed::new(Scalar::Int, ""));
    }
    if node.only(&[Sort::Int, Sort::Float]) {
        let note = if node.count(Sort::Int) > 0 { evidence::sorts(node) } else { String::new() };
        return Some(Typed::new(Scalar::Float, note));
    }
    if node.only(&[Sort::Int, Sort::Decimal]) {
        return Some(Typed::new(Scalar::Decimal, evidence::sorts(node)));
    }
    let texts = node.texts.as_ref().filter(|_| node.only(&[Sort::Text]))?;
    let all = node.count(Sort::Text);
    let kind = if texts.unfit > 0 {
        Scalar::Text(None)
    } else if texts.uuids == all {
        Scalar::Uuid
    } else if texts.times == all {
        Scalar::Time
    } else if texts.dates == all {
        Scalar::Date
    } else if let Some(words) = words(name, node) {
        let note = evidence::texts(node);
        return Some(Typed { kind: FieldKind::Enum(words), unfit: false, note });
    } else {
        Scalar::Text(None)
    };
    Some(Typed { kind: FieldKind::Scalar(kind), unfit: texts.unfit > 0, note: evidence::texts(node) })
}

/// The words of a choice, when the name says it is one and the counts bear it out.
fn words(name: &str, node: &Node) -> Option<Vec<String>> {
    let name = name.to_ascii_lowercase();
    let choice = CHOICES.iter().any(|choice| name == *choice || name.ends_with(&format!("_{choice}")));
    let words = node.texts.as_ref()?.words()?;
    let all = node.count(Sort::Text);
    let fit = |word: &str| {
        crate::look::is_word(word)
            && word.starts_with(|c: char| c.is_ascii_alphabetic())
            && !RESERVED.contains(&word.to_ascii_lowercase().as_str())
    };
    (choice
        && words.len() >= 2
        && all >= 20
        && all >= 5 * words.len() as u64
        && words.keys().all(|word| fit(word)))
    .then(|| words.keys().map(|word| word.to_string()).collect())
}

fn list(node: &Node) -> Typed {
    let Some(items) = &node.items else { return Typed::new(Scalar::Json, "always empty") };
    if items.count(Sort::Null) == 0
        && let Some(typed) = scalar("", items)
        && !typed.unfit
        && let FieldKind::Scalar(kind @ (Scalar::Text(_) | Scalar::Int | Scalar::Float | Scalar::Bool)) =
            texted(&typed.kind)
    {
        let note = format!("{} in all", evidence::grouped(items.seen()));
        return Typed { kind: FieldKind::List(kind), unfit: false, note };
    }
    Typed::new(Scalar::Json, format!("lists of {}", evidence::sorts(items)))
}

/// Lists keep texts as texts, whatever they look like.
fn texted(kind: &FieldKind) -> FieldKind {
    match kind {
        FieldKind::Scalar(Scalar::Uuid | Scalar::Time | Scalar::Date) | FieldKind::Enum(_) => {
            FieldKind::Scalar(Scalar::Text(None))
        }
        other => other.clone(),
    }
}
