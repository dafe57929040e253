//! Finding a document by its key: where its object may be, and what is there.

use repot_core::Result;
use repot_core::store::{DocumentKey, Layout, Whereabouts};

use super::desk::{Desk, Found};
use super::located::look_up;

/// What a search for a document gives.
pub(super) enum Sought {
    /// An object is there; the document may be gone from it.
    There(Box<Found>),
    /// Nothing is there; the stamp of the mark that something left.
    Nothing(i64),
    /// Plain SQL made a row, and no writer has made a document of it yet.
    Unsettled,
}

impl Desk<'_, '_> {
    /// The document with this key.
    pub(super) fn find(&mut self, layout: &Layout, key: &DocumentKey) -> Result<Sought> {
        match layout.within(key)? {
            Some(within) => self.find_within(layout, key, &within),
            None => {
                let paths = self.paths(layout, key)?;
                self.find_at(layout, key, &paths)
            }
        }
    }

    /// Where the object that is all of the document may be.
    pub(super) fn paths(&mut self, layout: &Layout, key: &DocumentKey) -> Result<Vec<String>> {
        let Whereabouts { mut paths, elsewhere } = layout.whereabouts(key)?;
        if elsewhere {
            paths.extend(look_up(layout, self.reader(), key)?);
        }
        Ok(paths)
    }

    /// The document at the first of its paths where it is.
    pub(super) fn find_at(&mut self, layout: &Layout, key: &DocumentKey, paths: &[String]) -> Result<Sought> {
        let mut gone = None;
        for path in paths {
            match self.at(path)? {
                Some(found) if found.etag.is_some() => return Ok(Sought::There(Box::new(found))),
                found => gone = gone.or(found),
            }
        }
        match gone {
            Some(found) => Ok(Sought::There(Box::new(found))),
            None => self.unsettled(layout, key),
        }
    }

    /// Whether there is a document with this key; its text is not read. `None`: not settled.
    pub(super) fn exists(&mut self, layout: &Layout, key: &DocumentKey) -> Result<Option<bool>> {
        if layout.is_shared(key.collection()) {
            return Ok(self.document(layout, key)?.map(|found| found.is_some()));
        }
        let Whereabouts { mut paths, elsewhere } = layout.whereabouts(key)?;
        if elsewhere {
            paths.extend(look_up(layout, self.reader(), key)?);
        }
        for path in paths {
            // no database holds a NUL in a text
            if !path.contains('\0')
                && let Some(stamp) = self.reader().exists(&path)?
            {
                if stamp == 0 {
                    return Ok(Some(true));
                }
                if elsewhere || key.place().is_some() {
                    return Ok(self.document(layout, key)?.map(|found| found.is_some()));
                }
                let rows = self.rows(key.collection(), key.text())?;
                let own = self.identity(key.collection(), key.text(), &rows);
                return Ok(Some(own.as_ref() == Some(key)));
            }
        }
        Ok(match self.unsettled(layout, key)? {
            Sought::Unsettled => None,
            _ => Some(false),
        })
    }

    /// No object is where the document would be: is there a row that plain SQL made?
    pub(super) fn unsettled(&mut self, layout: &Layout, key: &DocumentKey) -> Result<Sought> {
        if key.text().contains('\0') || key.place().is_some() {
            return Ok(Sought::Nothing(0));
        }
        let stamp = self.reader().stamp(key.collection(), key.text())?;
        if stamp == 0 {
            return Ok(Sought::Nothing(0));
        }
        let rows = self.rows(key.collection(), key.text())?;
        let own = self.identity(key.collection(), key.text(), &rows);
        let paths = layout.paths(key)?;
        Ok(match own {
            Some(own) if own == *key && !paths.is_empty() => Sought::Unsettled,
            _ => Sought::Nothing(stamp),
        })
    }
}
