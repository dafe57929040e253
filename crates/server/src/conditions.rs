//! `If-Match` and `If-None-Match` (RFC 9110, 13.1), and which of them hold.

use axum::http::{HeaderMap, HeaderName, header};
use repot_core::store::{ETag, Precondition};
use repot_core::{Error, Kind};

use crate::problem::{Answered, Problem};

/// One of the two headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tags {
    /// `*`: whatever is there.
    All,
    /// One of these states. Weak ones are left out: they name no state that can be written on.
    Some(Vec<ETag>),
}

/// What a request says about the state it expects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    pub matches: Option<Tags>,
    pub none_matches: Option<Tags>,
}

impl Conditions {
    /// From the headers. `If-Modified-Since` is passed over, as RFC 9110 allows: two writes in one second have the same time.
    ///
    /// # Errors
    /// 400 when one is no list of entity tags, and where a time alone is to guard a write.
    pub(crate) fn of(headers: &HeaderMap) -> Answered<Self> {
        if headers.contains_key(header::IF_UNMODIFIED_SINCE) && !headers.contains_key(header::IF_MATCH) {
            return Err(Problem::bad(
                "If-Unmodified-Since cannot tell two writes of one second apart".to_owned(),
                "Send If-Match with the ETag of what you read.",
            ));
        }
        Ok(Self {
            matches: tags(headers, &header::IF_MATCH, false)?,
            none_matches: tags(headers, &header::IF_NONE_MATCH, true)?,
        })
    }

    /// The precondition of a write that the store can check by itself; `None`: the state that is there must be read first.
    pub(crate) fn direct(&self) -> Option<Precondition> {
        match (&self.matches, &self.none_matches) {
            (None, None) => Some(Precondition::Any),
            (None, Some(Tags::All)) => Some(Precondition::Absent),
            (Some(Tags::Some(tags)), None) => match tags.as_slice() {
                [one] => Some(Precondition::Matches(one.clone())),
                _ => None,
            },
            _ => None,
        }
    }

    /// The precondition that a write must have when this is there now.
    ///
    /// # Errors
    /// 412 when they do not hold.
    pub(crate) fn against(
        &self,
        what: &dyn std::fmt::Display,
        current: Option<&ETag>,
    ) -> Answered<Precondition> {
        let is_there = |tags: &Tags| match (tags, current) {
            (Tags::All, current) => current.is_some(),
            (Tags::Some(tags), Some(current)) => tags.contains(current),
            (Tags::Some(_), None) => false,
        };
        let fails = self.matches.as_ref().is_some_and(|tags| !is_there(tags))
            || self.none_matches.as_ref().is_some_and(is_there);
        if fails {
            return Err(failed(what, current).into());
        }
        Ok(current.map_or(Precondition::Absent, |current| Precondition::Matches(current.clone())))
    }

    /// Whether a read answers 304.
    pub(crate) fn is_unchanged(&self, current: &ETag) -> bool {
        match &self.none_matches {
            None => false,
            Some(Tags::All) => true,
            Some(Tags::Some(tags)) => tags.contains(current),
        }
    }

    /// Checks `If-Match` of a read.
    ///
    /// # Errors
    /// 412 when another state is there.
    pub(crate) fn check_read(&self, what: &dyn std::fmt::Display, current: &ETag) -> Answered<()> {
        match &self.matches {
            Some(Tags::Some(tags)) if !tags.contains(current) => Err(failed(what, Some(current)).into()),
            _ => Ok(()),
        }
    }
}

fn failed(what: &dyn std::fmt::Display, current: Option<&ETag>) -> Error {
    let error = Error::new(Kind::Conflict, "R0401", format!("{what} is not in the state that was asked for"))
        .hint("Read it again, apply the change to what is there now, and write with its ETag.");
    match current {
        Some(current) => error.current(current.as_str()),
        None => error,
    }
}

/// `weak`: weak tags count too, as RFC 9110 has it for `If-None-Match`.
fn tags(headers: &HeaderMap, name: &HeaderName, weak: bool) -> Answered<Option<Tags>> {
    let mut found: Option<Vec<ETag>> = None;
    for value in headers.get_all(name) {
        let wrong = || {
            Problem::bad(
                format!("{name} is no list of entity tags"),
                "Write \"...\" as ETag gave it, with the quotes, or *.",
            )
        };
        let text = value.to_str().map_err(|_not_ascii| wrong())?.trim();
        if text == "*" {
            return Ok(Some(Tags::All));
        }
        if text.is_empty() {
            return Err(wrong());
        }
        let found = found.get_or_insert_with(Vec::new);
        let mut rest = text;
        while !rest.is_empty() {
            let (is_weak, tag) = rest.strip_prefix("W/").map_or((false, rest), |tag| (true, tag));
            let tag = tag.strip_prefix('"').ok_or_else(wrong)?;
            let (tag, behind) = tag.split_once('"').ok_or_else(wrong)?;
            if !is_weak || weak {
                found.push(ETag::new(plain(tag)));
            }
            rest = behind.trim_start().strip_prefix(',').unwrap_or_else(|| behind.trim_start()).trim_start();
        }
    }
    Ok(found.map(Tags::Some))
}

/// The tag of the document itself, where an answer was compressed and said so in its tag.
fn plain(tag: &str) -> &str {
    ["-gzip", "-zstd"].iter().find_map(|coding| tag.strip_suffix(coding)).unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::{Conditions, Tags};
    use axum::http::{HeaderMap, HeaderName, HeaderValue};
    use repot_core::store::{ETag, Precondition};

    fn of(pairs: &[(&'static str, &'static str)]) -> Option<Conditions> {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        Conditions::of(&HeaderMap::from_iter(pairs)).ok()
    }

    #[test]
    fn headers_are_read_as_http_says() {
        let some = |tags: &[&str]| Some(Tags::Some(tags.iter().map(|tag| ETag::new(tag)).collect()));
        assert_eq!(of(&[("if-match", "\"a\"")]).unwrap().matches, some(&["a"]));
        assert_eq!(of(&[("if-match", "\"a\" , \"b,c\",\"\"")]).unwrap().matches, some(&["a", "b,c", ""]));
        assert_eq!(of(&[("if-match", "W/\"a\"")]).unwrap().matches, some(&[]));
        assert_eq!(of(&[("if-none-match", "W/\"a\"")]).unwrap().none_matches, some(&["a"]));
        assert_eq!(of(&[("if-match", "\"a-gzip\"")]).unwrap().matches, some(&["a"]));
        assert_eq!(of(&[("if-none-match", "*")]).unwrap().none_matches, Some(Tags::All));
        for wrong in ["", "a", "\"a", "\"a\" b", "W/a"] {
            assert!(of(&[("if-match", wrong)]).is_none(), "{wrong}");
        }
    }

    #[test]
    fn what_holds_against_what_is_there() {
        let (a, b) = (ETag::new("a"), ETag::new("b"));
        let check = |pairs: &[(&'static str, &'static str)], current: Option<&ETag>| {
            of(pairs).unwrap().against(&"x", current).ok()
        };
        let matches = |tag: &ETag| Some(Precondition::Matches(tag.clone()));
        assert_eq!(check(&[("if-match", "*")], Some(&a)), matches(&a));
        assert_eq!(check(&[("if-match", "*")], None), None);
        assert_eq!(check(&[("if-match", "\"a\", \"b\"")], Some(&b)), matches(&b));
        assert_eq!(check(&[("if-match", "\"a\"")], Some(&b)), None);
        assert_eq!(check(&[("if-none-match", "\"a\"")], Some(&a)), None);
        assert_eq!(check(&[("if-none-match", "\"a\"")], Some(&b)), matches(&b));
        assert_eq!(check(&[("if-none-match", "\"a\"")], None), Some(Precondition::Absent));
        assert_eq!(of(&[]).unwrap().direct(), Some(Precondition::Any));
        assert_eq!(of(&[("if-none-match", "*")]).unwrap().direct(), Some(Precondition::Absent));
        assert_eq!(of(&[("if-match", "W/\"a\"")]).unwrap().direct(), None);
    }
}
