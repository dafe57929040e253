//! What stands behind a field as a comment: counts, longest, words, the first counter-example.

use crate::shape::{Node, SORTS, Sort};

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 file`, `41 files`.
pub(crate) fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// `41 of 41`, or `in 3 of 41`.
pub(crate) fn presence(node: &Node, of: u64) -> String {
    let seen = node.seen().min(of);
    let nulls = node.count(Sort::Null);
    let mut out = if seen == of {
        format!("{} of {}", grouped(seen), grouped(of))
    } else {
        format!("in {} of {}", grouped(seen), grouped(of))
    };
    if nulls > 0 && nulls == node.seen() {
        out.push_str(", always null");
    } else if nulls > 0 {
        out.push_str(&format!(", {} null", grouped(nulls)));
    }
    out
}

/// What is worth knowing of texts.
pub(crate) fn texts(node: &Node) -> String {
    let Some(texts) = &node.texts else { return String::new() };
    let mut out = Vec::new();
    let all = node.count(Sort::Text);
    if texts.times == all {
        out.push(match texts.zoned {
            0 => "ISO 8601 without zone, read as UTC".to_owned(),
            zoned if zoned == all => "ISO 8601 with zone".to_owned(),
            zoned => format!("ISO 8601; {} without zone, read as UTC", grouped(all - zoned)),
        });
        return out.join("; ");
    }
    if texts.uuids == all || texts.dates == all {
        return String::new();
    }
    out.push(format!("longest {}", grouped(texts.longest)));
    if let Some(words) = texts.words()
        && all > words.len() as u64
        && words.len() <= 6
        && words.keys().all(|word| word.len() <= 24)
    {
        let list: Vec<_> =
            words.iter().map(|(word, count)| format!("{} {}", grouped(*count), quoted(word))).collect();
        out.push(list.join(", "));
    }
    if texts.unfit > 0 {
        out.push(format!("{} with NUL or half a character pair, null in the column", grouped(texts.unfit)));
    }
    out.join("; ")
}

/// `text 12, int 3; first int in u2/9f1c.json`: the sorts from the most frequent on, and where the rarest is.
pub(crate) fn sorts(node: &Node) -> String {
    let mut found: Vec<(u64, &str, Sort)> = SORTS
        .into_iter()
        .filter(|(sort, _)| *sort != Sort::Null && node.count(*sort) > 0)
        .map(|(sort, name)| (node.count(sort), name, sort))
        .collect();
    found.sort_by(|left, right| right.0.cmp(&left.0).then(left.1.cmp(right.1)));
    let list: Vec<_> = found.iter().map(|(count, name, _)| format!("{name} {}", grouped(*count))).collect();
    let mut out = list.join(", ");
    if let Some((_, name, sort)) = found.last().filter(|_| found.len() > 1)
        && let Some(path) = node.path(*sort)
    {
        out.push_str(&format!("; first {name} in {}", quoted_path(path)));
    }
    out
}

/// A path as a comment can hold it.
pub(crate) fn quoted_path(path: &str) -> String {
    path.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn quoted(word: &str) -> String {
    format!("\"{}\"", word.chars().map(|c| if c.is_control() { '?' } else { c }).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
