//! Documents that stand with others in one file or object: the file is read, one document in it is changed, and the file
//! is written if nobody wrote it meanwhile. Every other byte stays.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use futures_util::lock::Mutex as Turn;
use repot_model::plan::{Gaps, Place, SplitDocument, Splitter};
use repot_model::row::RowBuffer;

use super::shelf::Shelf;
use super::{LISTED_AT_ONCE, On, TRIES_MAX, absent};
use crate::error::{Error, Kind, Result, Retry};
use crate::store::deadline::check_deadline;
use crate::store::document::{Cursor, Document, DocumentMeta, Page, Write, Written};
use crate::store::etag::Precondition;
use crate::store::key::{DocumentKey, Scope};
use crate::store::layout::Layout;
use crate::store::objects::ObjectBody;
use crate::store::within::{Within, stuck, text_etag};

/// Stands between path and key in the mark of a listing; no path has it.
const BETWEEN: char = '\0';
/// Stands before the last key that was listed; without, the file begins.
const AFTER: char = '=';

/// Files that are being written: writers of this process take turns, so that they do not overtake each other.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<String, Weak<Turn<()>>>>);

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turns")
    }
}

impl Turns {
    fn of(&self, path: &str) -> Arc<Turn<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(path).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::new(Turn::new(()));
        turns.insert(path.to_owned(), Arc::downgrade(&turn));
        turn
    }
}

/// A document as it stands in a file.
struct Held {
    root: usize,
    /// `None`: it does not fit the model.
    key: Option<String>,
    text: Bytes,
}

/// A file that holds documents.
struct File {
    /// What stands around them.
    gaps: Gaps,
    documents: Vec<Held>,
    /// There is such a file.
    exists: bool,
}

impl File {
    /// Takes a file apart.
    fn read(layout: &Layout, path: &str, bytes: Option<&Bytes>) -> Result<Self> {
        let Some(bytes) = bytes else {
            return Ok(Self { gaps: Vec::new(), documents: Vec::new(), exists: false });
        };
        let found = split(layout, path, bytes);
        if let [only] = found.as_slice()
            && let Some(misfit) = &only.misfit
            && only.span == (0..bytes.len())
            && !layout.plan.roots[only.root].is_lines()
        {
            return Err(stuck(path, &misfit.reason));
        }
        let (mut gaps, mut documents, mut at) = (Vec::with_capacity(found.len() + 1), Vec::new(), 0);
        for document in found {
            gaps.push(bytes.get(at..document.span.start).unwrap_or_default().to_vec());
            at = document.span.end;
            documents.push(Held { root: document.root, key: document.key, text: bytes.slice(document.span) });
        }
        gaps.push(bytes.get(at..).unwrap_or_default().to_vec());
        Ok(Self { gaps, documents, exists: true })
    }

    fn position(&self, within: &Within) -> Option<usize> {
        self.documents
            .iter()
            .position(|held| held.root == within.root && held.key.as_deref() == Some(within.id.as_str()))
    }

    fn put(&mut self, layout: &Layout, path: &str, within: &Within, text: Bytes) -> Result<()> {
        if let Some(at) = self.position(within) {
            self.documents[at].text = text;
            return Ok(());
        }
        let held = Held { root: within.root, key: Some(within.id.clone()), text };
        if !self.exists {
            self.gaps = layout.plan.first_inside(within.root, &within.keys);
            self.documents.push(held);
            self.exists = true;
            return Ok(());
        }
        let gaps: Vec<Cow<'_, [u8]>> = self.gaps.iter().map(|gap| Cow::Borrowed(gap.as_slice())).collect();
        let roots = layout.roots_at(path);
        let entered = layout.plan.enter((within.root, &roots), &gaps, &within.keys, layout.limits());
        let (number, gaps) = entered.map_err(|why| stuck(path, why))?;
        self.gaps = gaps;
        self.documents.insert(number, held);
        Ok(())
    }

    fn remove(&mut self, layout: &Layout, path: &str, number: usize) -> Result<()> {
        let gaps: Vec<Cow<'_, [u8]>> = self.gaps.iter().map(|gap| Cow::Borrowed(gap.as_slice())).collect();
        let left = layout.plan.leave(&layout.roots_at(path), &gaps, number, layout.limits());
        self.gaps = left.map_err(|why| stuck(path, why))?;
        self.documents.remove(number);
        Ok(())
    }

    fn bytes(&self) -> Bytes {
        let mut out = Vec::new();
        let mut gaps = self.gaps.iter();
        // in this order, or the last gap would be lost
        for (held, gap) in self.documents.iter().zip(gaps.by_ref()) {
            out.extend_from_slice(gap);
            out.extend_from_slice(&held.text);
        }
        out.extend(gaps.flatten());
        out.into()
    }
}

/// The documents of a file, as the model sees them.
pub(in crate::store) fn split(layout: &Layout, path: &str, bytes: &[u8]) -> Vec<SplitDocument> {
    let mut found = Vec::new();
    let Some(route) = layout.router.route(path) else { return found };
    let root = |at: &usize| layout.plan.roots.iter().position(|root| root.collection == *at);
    let places: Vec<Place<'_>> = route
        .collections
        .iter()
        .zip(route.templates)
        .filter_map(|(at, &template)| Some(Place { root: root(at)?, template, values: &route.values }))
        .filter(|place| layout.plan.roots[place.root].table.is_some())
        .collect();
    Splitter::new(&layout.plan, layout.limits()).split(
        &places,
        path,
        bytes,
        &mut RowBuffer::new(),
        &mut found,
    );
    found
}

/// What writes of documents in one file make of it.
pub(super) struct Edited {
    /// The file; `None`: it stays as it is.
    pub(super) bytes: Option<Bytes>,
    /// What became of each write.
    pub(super) written: Vec<Written>,
}

/// The file after these writes, in their order.
pub(super) fn edit(
    shelf: &Shelf,
    path: &str,
    before: Option<&Bytes>,
    writes: &[(&Within, &Write)],
) -> Result<Edited> {
    let mut file = File::read(&shelf.layout, path, before)?;
    let mut written = Vec::with_capacity(writes.len());
    for (within, write) in writes {
        written.push(one(shelf, path, &mut file, within, write)?);
    }
    let bytes = Some(file).filter(|file| file.exists).map(|file| file.bytes());
    let bytes = bytes.filter(|bytes| before != Some(bytes));
    if let (Some(bytes), Some((_, write))) = (&bytes, writes.first())
        && bytes.len() as u64 > shelf.document_bytes_max
    {
        let message = format!("{path}, where {} stands, would have {} bytes", write.key(), bytes.len());
        return Err(Error::new(Kind::Unsupported, "R0213", message)
            .hint("Raise the bound with --document-max, or spread the documents over more files."));
    }
    Ok(Edited { bytes, written })
}

fn one(shelf: &Shelf, path: &str, file: &mut File, within: &Within, write: &Write) -> Result<Written> {
    let key = write.key();
    let at = file.position(within);
    let before = at.map(|at| file.documents[at].text.clone());
    let etag = before.as_ref().map(|text| text_etag(text));
    write.when().check(key, etag.as_ref())?;
    let body = match write {
        Write::Put { body, .. } => Some(body.clone()),
        Write::Update { edit, .. } => {
            edit.apply(before.as_deref())?.filter(|body| before.as_ref() != Some(body))
        }
        Write::Patch { change, .. } => {
            let before = before.as_ref().ok_or_else(|| absent(key))?;
            Some(change.apply(before, shelf.layout.limits())?.into())
        }
        Write::Delete { .. } => {
            let Some(at) = at else { return Ok(Written::Missing) };
            file.remove(&shelf.layout, path, at)?;
            return Ok(Written::Deleted);
        }
    };
    let Some(body) = body else { return Ok(etag.map_or(Written::Missing, Written::Put)) };
    let body = shelf.revise((key, path), &body, before.as_deref())?;
    let etag = text_etag(&body);
    file.put(&shelf.layout, path, within, body)?;
    Ok(Written::Put(etag))
}

/// The path of a file, and writes of documents in it.
pub(super) type OneFile<'w> = (String, Vec<(Within, &'w Write)>);

/// Writes that all go into one file; `None` when they do not. `R0405` when a document is written twice.
pub(super) fn of_one_file<'w>(shelf: &Shelf, writes: &'w [Write]) -> Result<Option<OneFile<'w>>> {
    let mut all: Option<OneFile<'_>> = None;
    for write in writes {
        if let Write::Patch { when, .. } | Write::Delete { when, .. } = write {
            when.check_present()?;
        }
        let Some((path, within)) = find(shelf, write.key())? else { return Ok(None) };
        match &mut all {
            None => all = Some((path, vec![(within, write)])),
            Some((known, _)) if *known != path => return Ok(None),
            Some((_, list)) => list.push((within, write)),
        }
    }
    if let Some((_, list)) = &all {
        refuse_twice(list)?;
    }
    Ok(all)
}

/// Checks that these writes are of different documents of one file.
pub(super) fn refuse_twice(writes: &[(Within, &Write)]) -> Result<()> {
    let mut seen = HashSet::new();
    match writes.iter().find(|(within, _)| !seen.insert((within.root, within.id.as_str()))) {
        Some((_, write)) => Err(super::unit::twice(write.key())),
        None => Ok(()),
    }
}

/// The file in which a document stands, or would stand, with others; `None` where each has its own.
pub(super) fn find(shelf: &Shelf, key: &DocumentKey) -> Result<Option<(String, Within)>> {
    let Some(within) = shelf.layout.within(key)? else { return Ok(None) };
    let path = shelf.layout.paths(key)?.into_iter().next();
    // what no path can hold is nowhere
    Ok(Some((path.unwrap_or_default(), within)))
}

/// What must hold before anything is read.
pub(super) fn check(shelf: &Shelf, write: &Write) -> Result<()> {
    let layout = &shelf.layout;
    let key = write.key();
    match write {
        Write::Patch { when, .. } | Write::Delete { when, .. } => when.check_present()?,
        Write::Put { body, .. } if layout.has_rules(key)? => {
            layout.check_size(key, body.len(), shelf.document_bytes_max)?;
        }
        Write::Put { body, .. } => {
            layout.check_put(key, body, shelf.document_bytes_max)?;
        }
        Write::Update { .. } if layout.paths(key)?.is_empty() => return Err(layout.cannot_hold(key)),
        Write::Update { .. } => {}
    }
    layout.check_precondition(key, write.when())
}

impl Shelf {
    /// The file's documents, none where there is no file, and when it was written last, milliseconds since 1970.
    async fn file(&self, path: &str) -> Result<(File, Option<i64>)> {
        let found = match path {
            "" => None,
            path => self.objects.get(path, self.document_bytes_max).await?,
        };
        let file = File::read(&self.layout, path, found.as_ref().map(|object| &object.bytes))?;
        Ok((file, found.as_ref().and_then(ObjectBody::modified_ms)))
    }

    pub(super) async fn get_within(
        &self,
        key: &DocumentKey,
        (path, within): (&str, &Within),
    ) -> Result<Option<Document>> {
        let (file, modified_ms) = self.file(path).await?;
        let Some(at) = file.position(within) else { return Ok(None) };
        // a copy of its own, so that the file does not stay in memory with it
        let body = Bytes::copy_from_slice(&file.documents[at].text);
        Ok(Some(Document { key: key.clone(), etag: text_etag(&body), body, modified_ms }))
    }

    /// Writes documents of one file together; again when somebody else wrote the file meanwhile.
    pub(super) async fn write_within(
        &self,
        turns: &Turns,
        path: &str,
        (writes, on): (&[(Within, &Write)], On<'_>),
    ) -> Result<Vec<Written>> {
        self.demand_conditions("write a document that stands with others in one file")?;
        for (_, write) in writes {
            check(self, write)?;
        }
        let Some((_, first)) = writes.first() else { return Ok(Vec::new()) };
        let named: Vec<(&Within, &Write)> = writes.iter().map(|(within, write)| (within, *write)).collect();
        let turn = turns.of(path);
        let _mine = turn.lock().await;
        for _ in 0..TRIES_MAX {
            check_deadline(on.until_ms, self.clock.now_ms())?;
            let found = match path {
                "" => None,
                path => self.objects.get(path, self.document_bytes_max).await?,
            };
            let edited = edit(self, path, found.as_ref().map(|object| &object.bytes), &named)?;
            let Some(bytes) = edited.bytes else { return Ok(edited.written) };
            let still = found.map_or(Precondition::Absent, |object| Precondition::Matches(object.etag));
            match self.put(path, bytes, On { when: &still, ..on }).await {
                Ok(_) => return Ok(edited.written),
                Err(error) if on.was_overtaken(&error) => {}
                Err(error) => return Err(error.detail(format!("document: {}", first.key()))),
            }
        }
        Err(Error::new(
            Kind::Unavailable,
            "R0411",
            format!("others wrote {path}, where {} stands, {TRIES_MAX} times meanwhile", first.key()),
        )
        .retry(Retry::Safe)
        .hint("Send it again; if that goes on, let fewer write this file at once."))
    }

    /// By path, and within a file by key.
    pub(super) async fn list_within(
        &self,
        scope: &Scope,
        after: Option<&Cursor>,
        most: usize,
    ) -> Result<Page> {
        let prefix = self.layout.prefix(scope)?;
        let mark = after.map(Cursor::as_str);
        let mut items = Vec::new();
        let Some((path, key)) = mark.and_then(|mark| mark.split_once(BETWEEN)) else {
            return self.list_files(scope, (&prefix, None), most, items).await;
        };
        // the file that the last page ended in
        if let Some(next) = self.page(scope, (path, key.strip_prefix(AFTER)), most, &mut items).await? {
            return Ok(Page { items, next: Some(next) });
        }
        self.list_files(scope, (&prefix, Some(path.to_owned())), most, items).await
    }

    async fn list_files(
        &self,
        scope: &Scope,
        (prefix, mut after): (&str, Option<String>),
        most: usize,
        mut items: Vec<DocumentMeta>,
    ) -> Result<Page> {
        loop {
            let listed = self.objects.list(prefix, after.as_deref(), LISTED_AT_ONCE).await?;
            let ends = listed.len() < LISTED_AT_ONCE;
            for object in listed {
                if let Some(next) = self.page(scope, (&object.path, None), most, &mut items).await? {
                    return Ok(Page { items, next: Some(next) });
                }
                after = Some(object.path);
            }
            if ends {
                return Ok(Page { items, next: None });
            }
        }
    }

    /// The documents of one file after a key; where the next page begins, when it is full.
    async fn page(
        &self,
        scope: &Scope,
        (path, after): (&str, Option<&str>),
        most: usize,
        items: &mut Vec<DocumentMeta>,
    ) -> Result<Option<Cursor>> {
        if !self.layout.belongs(scope, path)? {
            return Ok(None);
        }
        let mut last = after.map(str::to_owned);
        let (file, _) = self.file(path).await?;
        let root = self.layout.plan.roots.iter().position(|root| root.name == scope.collection);
        let mut sizes: BTreeMap<&str, u64> = BTreeMap::new();
        for held in file.documents.iter().filter(|held| Some(held.root) == root) {
            if let Some(key) = &held.key {
                sizes.entry(key).or_insert(held.text.len() as u64);
            }
        }
        for (id, size_bytes) in sizes {
            if after.is_some_and(|after| id <= after) {
                continue;
            }
            if items.len() >= most {
                let key = last.map_or(String::new(), |last| format!("{AFTER}{last}"));
                return Ok(Some(Cursor::new(format!("{path}{BETWEEN}{key}"))));
            }
            if let Some(key) = self.layout.identify_within(scope, path, id)? {
                items.push(DocumentMeta { key, size_bytes });
            }
            last = Some(id.to_owned());
        }
        Ok(None)
    }
}
