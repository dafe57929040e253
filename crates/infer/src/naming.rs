//! Names for collections and columns: from what stands in the documents and paths, made fit for SQL.

use std::collections::BTreeSet;

/// Longest name, in bytes: what PostgreSQL keeps.
const LENGTH_MAX: usize = 63;

/// Columns every PostgreSQL table has already.
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];

/// `Original Key` and `originalKey` become `original_key`.
pub(crate) fn snake(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 4);
    let mut before = ' ';
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let next_small = chars.peek().is_some_and(char::is_ascii_lowercase);
        if c.is_ascii_alphanumeric() {
            let starts = c.is_ascii_uppercase()
                && (before.is_ascii_lowercase()
                    || before.is_ascii_digit()
                    || (before.is_ascii_uppercase() && next_small));
            if starts && !out.ends_with('_') {
                out.push('_');
            }
            out.push(c.to_ascii_lowercase());
        } else if !out.ends_with('_') {
            out.push('_');
        }
        before = c;
    }
    let keep_front = text.starts_with('_') && text.chars().any(|c| c.is_ascii_alphanumeric());
    let trimmed = if keep_front { out.trim_end_matches('_') } else { out.trim_matches('_') };
    let mut name = match trimmed.chars().next() {
        None => "field".to_owned(),
        Some(first) if first.is_ascii_digit() => format!("_{trimmed}"),
        Some(_) => trimmed.to_owned(),
    };
    if SYSTEM_COLUMNS.contains(&name.as_str()) {
        name.push('_');
    }
    if name.starts_with("repot_") || name.starts_with("sqlite_") {
        name.insert(0, '_');
    }
    name.truncate(LENGTH_MAX);
    name
}

/// A guess at the singular, for names of keys.
pub(crate) fn singular(name: &str) -> String {
    for same in ["series", "news", "species", "status", "address", "process", "class", "analysis"] {
        if name.ends_with(same) {
            return name.to_owned();
        }
    }
    for (plural, single) in [
        ("movies", "movie"),
        ("cookies", "cookie"),
        ("indices", "index"),
        ("people", "person"),
        ("children", "child"),
    ] {
        if let Some(front) = name.strip_suffix(plural) {
            return format!("{front}{single}");
        }
    }
    if let Some(front) = name.strip_suffix("ies")
        && front.len() > 1
    {
        return format!("{front}y");
    }
    for ending in ["ches", "shes", "sses", "xes", "zes", "uses"] {
        if name.ends_with(ending) {
            return name.strip_suffix("es").unwrap_or(name).to_owned();
        }
    }
    match name.strip_suffix('s') {
        Some(front) if front.len() > 1 && !front.ends_with('s') => front.to_owned(),
        _ => name.to_owned(),
    }
}

/// A guess at the plural, for names of collections.
pub(crate) fn plural(name: &str) -> String {
    if singular(name) != name || name.ends_with('s') {
        return name.to_owned();
    }
    if let Some(front) = name.strip_suffix('y')
        && !front.ends_with(['a', 'e', 'o', 'u'])
    {
        return format!("{front}ies");
    }
    if name.ends_with("ch") || name.ends_with("sh") || name.ends_with('x') {
        return format!("{name}es");
    }
    format!("{name}s")
}

/// Names already given, ignoring case (all are lower case).
#[derive(Debug, Default, Clone)]
pub(crate) struct Names(BTreeSet<String>);

impl Names {
    /// Keeps a name from being given.
    pub(crate) fn reserve(&mut self, name: &str) {
        self.0.insert(name.to_owned());
    }

    /// Keeps all of these from being given again.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The first of the candidates that is free, or the last one with a number.
    pub(crate) fn give(&mut self, candidates: &[String]) -> String {
        for candidate in candidates {
            let name = snake(candidate);
            if self.0.insert(name.clone()) {
                return name;
            }
        }
        let base = candidates.last().map(|last| snake(last)).unwrap_or_default();
        let mut number = 2_u32;
        loop {
            let end = format!("_{number}");
            let mut name = base.clone();
            name.truncate(LENGTH_MAX - end.len());
            name.push_str(&end);
            if self.0.insert(name.clone()) {
                return name;
            }
            number += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snake_names() {
        for (text, name) in [
            ("createdAt", "created_at"),
            ("imdbID", "imdb_id"),
            ("HTTPServer", "http_server"),
            ("Original Key", "original_key"),
            ("__compat", "_compat"),
            ("1st", "_1st"),
            ("größe", "gr_e"),
            ("", "field"),
            ("repot_x", "_repot_x"),
            ("ctid", "ctid_"),
        ] {
            assert_eq!(snake(text), name, "{text}");
        }
        assert_eq!(snake(&"x".repeat(99)).len(), 63);
    }

    #[test]
    fn collisions_get_numbers() {
        let mut names = Names::default();
        assert_eq!(names.give(&["Title".into()]), "title");
        assert_eq!(names.give(&["title".into()]), "title_2");
        assert_eq!(names.give(&["title".into(), "doc_title".into()]), "doc_title");
    }

    #[test]
    fn plurals_both_ways() {
        for (one, many) in
            [("movie", "movies"), ("category", "categories"), ("batch", "batches"), ("user", "users")]
        {
            assert_eq!(singular(many), one);
            assert_eq!(plural(one), many);
        }
        assert_eq!(singular("series"), "series");
        assert_eq!(singular("status"), "status");
    }
}
