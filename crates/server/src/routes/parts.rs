//! Parts of documents: `/v1/{collection}/{key}/{way...}`.
//!
//! A way that passes through a list of rows by the key of a row is followed in the very state that is changed. One of plain
//! names and places is a JSON Pointer, which a store can change without reading the document.

use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use repot_core::store::{Change, DocumentKey, Edit, Pointer, Precondition, Write, Written};
use repot_core::{Error, Kind, Result};
use repot_json::patch::{Found, Lists, WayStep, find};
use repot_json::{Limits, Tree};

use super::documents::{located, modified, no_patch, write};
use super::{Asked, no_parameters};
use crate::address::path_of;
use crate::answer::{self, Preferences};
use crate::app::App;
use crate::body;
use crate::conditions::Conditions;
use crate::problem::{Answered, Problem};

/// A part of a document.
#[derive(Debug, Clone)]
pub(super) struct PartOf {
    pub key: DocumentKey,
    pub way: Vec<WayStep>,
}

/// What is done with it; JSON texts.
#[derive(Debug, Clone)]
pub(super) enum Work {
    Set(Bytes),
    Merge(Bytes),
    Append(Bytes),
    Remove,
}

pub(super) async fn get(asked: &Asked<'_>, part: &PartOf) -> Answered {
    no_parameters(asked.head)?;
    let conditions = Conditions::of(&asked.head.headers)?;
    let document = asked.app.store().get(&part.key).await?.ok_or_else(|| Problem::missing(&part.key))?;
    let lists = asked.app.layout().lists(part.key.collection())?;
    let value = look(&document.body, part, (&lists, asked.app.layout().limits()), |found| {
        Ok(found.value.map(|value| Bytes::copy_from_slice(value.raw().as_bytes())))
    })?;
    let value = value.ok_or_else(|| absent(part))?;
    conditions.check_read(&part.key, &document.etag)?;
    if conditions.is_unchanged(&document.etag) {
        let unchanged = answer::empty(StatusCode::NOT_MODIFIED, Some(&document.etag));
        return Ok(modified(asked, unchanged, document.modified_ms));
    }
    let found = answer::document(StatusCode::OK, ("application/json", &document.etag), value);
    Ok(modified(asked, found, document.modified_ms))
}

pub(super) async fn put(asked: &Asked<'_>, part: PartOf, body: Body) -> Answered {
    let value = body::read(body, asked.app.options()).await?;
    change(asked, part, Work::Set(value)).await
}

pub(super) async fn patch(asked: &Asked<'_>, part: PartOf, body: Body) -> Answered {
    match body::media_type(&asked.head.headers).as_deref() {
        Some("application/merge-patch+json") => {}
        other => return Err(no_patch(other)),
    }
    let patch = body::read(body, asked.app.options()).await?;
    change(asked, part, Work::Merge(patch)).await
}

pub(super) async fn remove(asked: &Asked<'_>, part: PartOf) -> Answered {
    change(asked, part, Work::Remove).await
}

/// Adds an element at the end of a list, whatever else changes meanwhile.
pub(super) async fn append(asked: &Asked<'_>, part: PartOf, body: Body) -> Answered {
    let element = body::read(body, asked.app.options()).await?;
    let path = path_of(&part.key);
    let mut response = change(asked, part, Work::Append(element)).await?;
    *response.status_mut() = StatusCode::CREATED;
    located(&mut response, &path);
    Ok(response)
}

async fn change(asked: &Asked<'_>, part: PartOf, work: Work) -> Answered {
    no_parameters(asked.head)?;
    let conditions = Conditions::of(&asked.head.headers)?;
    let key = part.key.clone();
    let removed = matches!(work, Work::Remove).then(|| part.clone());
    let made = make_write(asked.app, part, work)?;
    let written = write(asked, &conditions, &key, |when| made.clone().when(when)).await;
    let written = written.map_err(|problem| match &removed {
        Some(part) if problem.error().code() == "R0407" => absent(part).into(),
        _ => problem,
    })?;
    let Written::Put(etag) = written else { return Err(Problem::missing(&key)) };
    let mut response = answer::empty(StatusCode::NO_CONTENT, Some(&etag));
    if Preferences::of(&asked.head.headers).minimal {
        Preferences::applied(&mut response, "return=minimal");
    }
    Ok(response)
}

/// The write of a part.
///
/// # Errors
/// When the collection has no documents.
pub(super) fn make_write(app: &App, part: PartOf, work: Work) -> Result<Made> {
    let key = part.key.clone();
    let change = match (pointer(&part.way), work) {
        (Some(at), Work::Set(value)) => Change::Set { at, value },
        (Some(list), Work::Append(element)) => Change::Append { list, element },
        (Some(at), Work::Remove) => Change::Remove { at },
        (_, work) => return edit(app, part, work).map(|edit| Made::Edit(key, edit)),
    };
    Ok(Made::Change(key, change))
}

/// A change that stores know, or a function of the document's text.
#[derive(Debug, Clone)]
pub(super) enum Made {
    Change(DocumentKey, Change),
    Edit(DocumentKey, Edit),
}

impl Made {
    pub(super) fn when(self, when: Precondition) -> Write {
        match self {
            Self::Change(key, change) => Write::Patch { key, change, when },
            Self::Edit(key, edit) => Write::Update { key, edit, when },
        }
    }
}

/// The way as a JSON Pointer, where it is the same in every state: no list is passed by the key of a row. A name of digits
/// may be one.
fn pointer(way: &[WayStep]) -> Option<Pointer> {
    let [first, rest @ ..] = way else { return None };
    let WayStep::Name(first) = first else { return None };
    // below the first name a list may stand
    rest.is_empty().then(|| Pointer::from_parts([first.as_str()]))
}

fn edit(app: &App, part: PartOf, work: Work) -> Result<Edit> {
    let (lists, limits) = (app.layout().lists(part.key.collection())?, app.layout().limits());
    Ok(Edit::new(move |text| {
        let text = text.ok_or_else(|| nothing(&part.key))?;
        let change = look(text, &part, (&lists, limits), |found| step(found, &work, limits))?;
        change.apply(text, limits).map(|changed| Some(changed.into()))
    }))
}

/// What is to be done at the place where a way led.
fn step(found: &Found<'_>, work: &Work, limits: Limits) -> Result<Change> {
    let at = found.pointer.clone();
    Ok(match work {
        Work::Set(value) => Change::Set { at, value: value.clone() },
        Work::Append(element) => Change::Append { list: at, element: element.clone() },
        Work::Remove => Change::Remove { at },
        Work::Merge(patch) => {
            let before = found.value.map_or("null", |value| value.raw());
            let merged = Change::Merge(patch.clone()).apply(before.as_bytes(), limits)?;
            Change::Set { at, value: merged.into() }
        }
    })
}

/// Follows the way in this text.
fn look<T>(
    text: &[u8],
    part: &PartOf,
    (lists, limits): (&Lists, Limits),
    seen: impl FnOnce(&Found<'_>) -> Result<T>,
) -> Result<T> {
    let tree = Tree::parse(text, limits).map_err(|error| {
        Error::new(Kind::Invalid, "R0407", format!("{} is no JSON, so it has no parts", part.key))
            .hint("Read and write it whole.")
            .cause(error)
    })?;
    let found = tree.root(text).and_then(|root| find(root, &part.way, lists));
    seen(&found.ok_or_else(|| absent(part))?)
}

fn absent(part: &PartOf) -> Error {
    let way = part.way.iter().map(|step| match step {
        WayStep::Name(name) => format!("/{name}"),
        WayStep::Place(place) => format!("/@{place}"),
    });
    Error::new(Kind::NotFound, "R0402", format!("{}{} is not there", part.key, way.collect::<String>()))
        .hint("Read the document; elements of a list are named by their key, or @3 for the place.")
}

fn nothing(key: &DocumentKey) -> Error {
    Error::new(Kind::NotFound, "R0402", format!("{key} is not there"))
        .hint("Check the key; a listing shows what is there.")
}
