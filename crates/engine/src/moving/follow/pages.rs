//! Something in byte order of the path that is read by the page.

use std::collections::VecDeque;

use repot_core::{Error, Kind, Result};

/// What is read of each kind at once.
pub(super) const PAGE: usize = 4_000;

/// A part of an ordered list, one page of it in memory.
#[derive(Debug)]
pub(super) struct Pages<T> {
    what: &'static str,
    /// Paths begin so.
    prefix: String,
    page: VecDeque<(String, T)>,
    after: Option<String>,
    ended: bool,
}

impl<T> Pages<T> {
    pub(super) fn below(prefix: &str, what: &'static str) -> Self {
        // no path is a folder's
        let after = (!prefix.is_empty()).then(|| prefix.to_owned());
        Self { what, prefix: prefix.to_owned(), page: VecDeque::new(), after, ended: false }
    }

    /// After which path the next page is to begin; `None`: nothing is to be read now.
    pub(super) fn wanted(&self) -> Option<Option<String>> {
        (self.page.is_empty() && !self.ended).then(|| self.after.clone())
    }

    /// Takes that page in.
    pub(super) fn fill(&mut self, page: Vec<(String, T)>) -> Result<()> {
        self.ended = page.len() < PAGE;
        for (path, item) in page {
            if self.after.as_ref().is_some_and(|after| *after >= path) {
                let message = format!("{} is out of order at {path}", self.what);
                return Err(Error::new(Kind::Unavailable, "R0204", message)
                    .hint("Going on could miss changes. Report it to the maker of the server."));
            }
            self.after = Some(path.clone());
            if path.starts_with(&self.prefix) {
                self.page.push_back((path, item));
            } else {
                self.ended = true;
                break;
            }
        }
        Ok(())
    }

    pub(super) fn head(&self) -> Option<&str> {
        self.page.front().map(|(path, _)| path.as_str())
    }

    /// The next one, where it has this path.
    pub(super) fn take(&mut self, path: &str) -> Option<T> {
        self.head().is_some_and(|head| head == path).then(|| self.page.pop_front())?.map(|(_, item)| item)
    }
}

#[cfg(test)]
mod tests {
    use super::{PAGE, Pages};

    fn page(paths: &[&str]) -> Vec<(String, ())> {
        paths.iter().map(|path| ((*path).to_owned(), ())).collect()
    }

    #[test]
    fn only_what_is_below_is_taken() {
        let mut pages = Pages::below("a/", "it");
        assert_eq!(pages.wanted(), Some(Some("a/".to_owned())));
        pages.fill(page(&["a/b", "a/c", "a0"])).unwrap();
        assert_eq!((pages.head(), pages.wanted()), (Some("a/b"), None));
        assert_eq!(pages.take("a/c"), None);
        assert_eq!((pages.take("a/b"), pages.take("a/c"), pages.wanted()), (Some(()), Some(()), None));
    }

    #[test]
    fn a_full_page_is_not_the_last_and_order_is_kept() {
        let mut pages = Pages::below("", "it");
        let full: Vec<String> = (0..PAGE).map(|at| format!("{at:05}")).collect();
        pages.fill(full.iter().map(|path| (path.clone(), ())).collect()).unwrap();
        assert!(full.iter().all(|path| pages.take(path).is_some()));
        assert_eq!(pages.wanted(), Some(full.last().cloned()));
        assert!(pages.fill(page(&["0"])).is_err());
    }
}
