//! Typed documents of one collection.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use repot_core::store::{Change, Cursor, Document, DocumentKey, ETag, Precondition, Scope, StoreExt as _};
use repot_core::{Error as Cause, Kind, Retry};
use repot_model::language::{Collection as ModelCollection, Model, Place as ModelPlace};
use serde::Serialize;

use crate::config::NewText;
use crate::entity::{Entity, Id};
use crate::filters::Filters;
use crate::find::{Window, count, find};
use crate::open::Inside;
use crate::stored::{Stored, rewritten, write};
use crate::text::Shape;
use crate::{Error, Result};

/// Times that [`Collection::save`] and [`Collection::edit`] begin anew because somebody else was faster.
const TRIES_MAX: usize = 100;
/// Deepest nesting of collections followed.
const DEPTH_MAX: usize = 32;

/// The documents of a type: all of them, or one tenant's. Cheap to clone.
pub struct Collection<T> {
    pub(crate) inside: Arc<Inside>,
    tenant: Option<Arc<str>>,
    shape: Arc<Shape>,
    /// The model has values for fields that are not given: what was written is not all that is there.
    fills: bool,
    kind: PhantomData<fn() -> T>,
}

impl<T> Clone for Collection<T> {
    fn clone(&self) -> Self {
        Self {
            inside: Arc::clone(&self.inside),
            tenant: self.tenant.clone(),
            shape: Arc::clone(&self.shape),
            fills: self.fills,
            kind: PhantomData,
        }
    }
}

impl<T: Entity> fmt::Debug for Collection<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", T::COLLECTION, self.inside.store)?;
        self.tenant.as_ref().map_or(Ok(()), |tenant| write!(f, " of {tenant}"))
    }
}

/// A part of a listing.
#[derive(Debug, Clone)]
pub struct Listing<T> {
    /// In the store's order.
    pub items: Vec<Stored<T>>,
    /// Where the next part begins; `None` at the end.
    pub next: Option<Cursor>,
}

impl<T: Entity> Collection<T> {
    pub(crate) fn new(inside: Arc<Inside>, tenant: Option<Arc<str>>) -> Self {
        let shape = Arc::new(Shape::of(&inside.model, T::COLLECTION));
        let fills = fills(&inside.model, T::COLLECTION, 0);
        Self { inside, tenant, shape, fills, kind: PhantomData }
    }

    /// The key of the document with this id.
    #[must_use]
    pub fn key(&self, id: impl Into<Id>) -> DocumentKey {
        id.into().key(T::COLLECTION, self.tenant.as_deref())
    }

    /// The key of the document with this name, as text: known without reading it also where Repot makes the key from the
    /// place, as others refer to it; `None` when it stands in the document only.
    ///
    /// # Errors
    /// [`Error::Validation`] when the collection has no such place.
    pub fn key_text(&self, id: impl Into<Id>) -> Result<Option<String>> {
        Ok(self.inside.layout.id_of(&self.key(id))?)
    }

    /// All that can be reached from here.
    pub(crate) fn scope(&self) -> Scope {
        let scope = Scope::of(T::COLLECTION);
        match &self.tenant {
            Some(tenant) => scope.in_tenant(tenant),
            None => scope,
        }
    }

    /// The document, if it is there.
    ///
    /// # Errors
    /// [`Error::Validation`], code `R0404`, when it cannot be read as this type; when the store fails.
    pub async fn get(&self, id: impl Into<Id> + Send) -> Result<Option<Stored<T>>> {
        self.inside.store.get(&self.key(id)).await?.map(Stored::read).transpose()
    }

    /// The document, which must be there.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is not; else as [`Collection::get`].
    pub async fn require(&self, id: impl Into<Id> + Send) -> Result<Stored<T>> {
        Stored::read(self.inside.store.require(&self.key(id)).await?)
    }

    /// Whether the document is there; its text is not read.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn exists(&self, id: impl Into<Id> + Send) -> Result<bool> {
        Ok(self.inside.store.exists(&self.key(id)).await?)
    }

    /// Writes a new document.
    ///
    /// # Errors
    /// [`Error::Duplicate`] when there is one with this key, or a value that must be unique is taken;
    /// [`Error::Validation`] when the model refuses it.
    pub async fn create(&self, value: T) -> Result<Stored<T>> {
        self.create_at(value.id(), value).await
    }

    /// Writes a new document under this name, for values that do not say it ([`Id::outside`]).
    ///
    /// # Errors
    /// As [`Collection::create`].
    pub async fn create_at(&self, id: impl Into<Id> + Send, value: T) -> Result<Stored<T>> {
        let (key, body) = self.text_at(self.key(id), &value)?;
        let etag = self.inside.store.create(&key, body.clone()).await.map_err(Error::of_create)?;
        Ok(self.written(value, unread(key, etag, body)).await)
    }

    /// What is there after a write: where the model fills fields, it is read again. When that fails, the write
    /// has happened all the same, so it is no error.
    async fn written(&self, value: T, document: Document) -> Stored<T> {
        if !self.fills {
            return Stored { value, document, stale: false };
        }
        let now = self.inside.store.get(&document.key).await.ok().flatten();
        let now = now.and_then(|document| Stored::read(document).ok());
        now.unwrap_or(Stored { value, document, stale: true })
    }

    /// Key and text of a new document.
    pub(crate) fn new_text(&self, value: &T) -> Result<(DocumentKey, Vec<u8>)> {
        self.text_at(self.key(value.id()), value)
    }

    pub(crate) fn text_at(&self, key: DocumentKey, value: &T) -> Result<(DocumentKey, Vec<u8>)> {
        let body = match self.inside.new_text {
            NewText::Compact => write(&key, value)?,
            // a line of a file has no line breaks
            NewText::Indented if self.inside.layout.is_lines(T::COLLECTION) => write(&key, value)?,
            NewText::Indented => serde_json::to_vec_pretty(value).map_err(|error| {
                Cause::new(Kind::Invalid, "R0404", format!("the value for {key} has no JSON text: {error}"))
                    .hint("Give it a value that JSON can say.")
                    .cause(error)
            })?,
        };
        Ok((key, body))
    }

    /// The new text of a document that was read; `None` when it says this already.
    pub(crate) fn update_text(&self, stored: &Stored<T>) -> Result<Option<Vec<u8>>> {
        if stored.stale {
            let message = format!("{} could not be read after it was written", stored.key());
            let error = Cause::new(Kind::Conflict, "R0401", message);
            return Err(error.hint("Read it again, and change what is there now.").into());
        }
        self.changed_text(&stored.document, &stored.value)
    }

    /// The new text of a document; `None` when it says this already.
    fn changed_text(&self, document: &Document, value: &T) -> Result<Option<Vec<u8>>> {
        let id = value.id();
        let named = self.key(&id);
        if document.key != named && !id.is_outside() {
            let message = format!("the key of {} cannot become {named}", document.key);
            return Err(Cause::new(Kind::Invalid, "R0403", message)
                .hint("Create the other document, and delete this one.")
                .into());
        }
        rewritten(document, value, &self.shape, self.inside.limits)
    }

    /// Writes what was changed in a value that was read: its fields in the document's own text, every other byte as
    /// it was. Where nothing was changed nothing is written.
    ///
    /// # Errors
    /// [`Error::Conflict`] when somebody else changed the document since; [`Error::NotFound`] when it went;
    /// [`Error::Validation`] when the model refuses it.
    pub async fn update(&self, stored: Stored<T>) -> Result<Stored<T>> {
        let Some(text) = self.update_text(&stored)? else { return Ok(stored) };
        let Document { key, etag, .. } = &stored.document;
        match self.inside.store.replace(key, text.clone(), etag).await {
            Ok(etag) => {
                let document = unread(key.clone(), etag, text);
                Ok(self.written(stored.value, document).await)
            }
            Err(error) if error.code() == "R0401" && !self.inside.store.exists(key).await? => {
                Err(Error::NotFound(
                    Cause::new(Kind::NotFound, "R0402", format!("{key} went meanwhile")).cause(error),
                ))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the document say this, whether it is there or not and whatever others changed in it meanwhile. What
    /// the type does not know stays.
    ///
    /// # Errors
    /// As [`Collection::create`]; [`Error::Conflict`] when others were faster 100 times.
    pub async fn save(&self, value: T) -> Result<Stored<T>> {
        let key = self.key(value.id());
        for _ in 0..TRIES_MAX {
            let written = match self.inside.store.get(&key).await? {
                None => self.create_text(&value).await,
                Some(document) => self.replace_text(document, &value).await,
            };
            match written {
                Ok(document) => return Ok(self.written(value, document).await),
                Err(error) if error.code() == "R0401" => {}
                Err(error) => return Err(error),
            }
        }
        Err(too_often(&key))
    }

    async fn create_text(&self, value: &T) -> Result<Document> {
        let (key, body) = self.new_text(value)?;
        let etag = self.inside.store.create(&key, body.clone()).await?;
        Ok(unread(key, etag, body))
    }

    async fn replace_text(&self, document: Document, value: &T) -> Result<Document> {
        let Some(text) = self.changed_text(&document, value)? else { return Ok(document) };
        let when = Precondition::Matches(document.etag);
        let etag = self.inside.store.put_when(&document.key, text.clone(), when).await?;
        Ok(unread(document.key, etag, text))
    }

    /// Reads the document, lets `change` change it, and writes what differs; again when somebody else was faster. An
    /// error of `change` ends it, and nothing is written.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none; [`Error::Conflict`] when others were faster 100 times; what `change` gives.
    pub async fn edit<E: From<Error>>(
        &self,
        id: impl Into<Id> + Send,
        mut change: impl FnMut(&mut T) -> Result<(), E> + Send,
    ) -> Result<Stored<T>, E> {
        let key = self.key(id);
        for _ in 0..TRIES_MAX {
            let document = self.inside.store.require(&key).await.map_err(Error::from)?;
            let mut stored = Stored::<T>::read(document)?;
            change(&mut stored.value)?;
            match self.replace_text(stored.document, &stored.value).await {
                Ok(document) => return Ok(self.written(stored.value, document).await),
                Err(error) if error.code() == "R0401" => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(too_often(&key).into())
    }

    /// Adds an element at the end of a list of the document, such as `/messages`, whatever else changes meanwhile.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no document; [`Error::Validation`] when there is no list at that place.
    pub async fn append<E: Serialize + Sync>(
        &self,
        id: impl Into<Id> + Send,
        list: &str,
        element: &E,
    ) -> Result<ETag> {
        let key = self.key(id);
        let element = write(&key, element)?;
        Ok(self.inside.store.append(&key, list, element).await?)
    }

    /// Changes a part of the document, on its newest state.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no document; [`Error::Validation`] when the change cannot be made.
    pub async fn change(&self, id: impl Into<Id> + Send, change: Change) -> Result<ETag> {
        Ok(self.inside.store.change(&self.key(id), change, Precondition::Any).await?)
    }

    /// Removes the document; gives whether one was there.
    ///
    /// # Errors
    /// [`Error::Validation`] when others refer to it; when the store fails.
    pub async fn delete(&self, id: impl Into<Id> + Send) -> Result<bool> {
        Ok(self.inside.store.delete(&self.key(id), Precondition::Any).await?)
    }

    /// Removes the document in the state that was read.
    ///
    /// # Errors
    /// [`Error::Conflict`] when somebody else changed it since, or it went; else as [`Collection::delete`].
    pub async fn delete_unchanged(&self, stored: &Stored<T>) -> Result<()> {
        let when = Precondition::Matches(stored.etag().clone());
        self.inside.store.delete(stored.key(), when).await?;
        Ok(())
    }

    /// A part of all documents, in the store's order; goes on with [`Listing::next`]. What is there all the time is
    /// listed exactly once, whatever comes and goes.
    ///
    /// # Errors
    /// As [`Collection::get`].
    pub async fn list(&self, after: Option<&Cursor>, most: usize) -> Result<Listing<T>> {
        let page = self.inside.store.list(&self.scope(), after, most).await?;
        let mut items = Vec::new();
        for meta in page.items {
            if let Some(document) = self.inside.store.get(&meta.key).await? {
                items.push(Stored::read(document)?);
            }
        }
        Ok(Listing { items, next: page.next })
    }

    /// The documents that pass the filters, in their order: `limit` of them, without the first `offset`. With others
    /// coming and going meanwhile, pages by `offset` may repeat or miss some.
    ///
    /// A database answers by a query; elsewhere every document is read for it, and `limit` + `offset` of them are kept.
    /// So it is in a database too when a field is none of the model's.
    ///
    /// # Errors
    /// As [`Collection::get`].
    pub async fn find(&self, filters: &Filters, limit: usize, offset: usize) -> Result<Vec<Stored<T>>> {
        let beneath = (self.inside.store.as_ref(), self.inside.model.as_ref());
        let window = Window { limit, offset };
        let found = find(beneath, &self.scope(), filters, window, self.inside.limits).await?;
        found.into_iter().map(Stored::read).collect()
    }

    /// How many documents pass the filters, whose order does not matter. A database counts them by one statement; elsewhere,
    /// and when a field is none of the model's, every document is read for it.
    ///
    /// # Errors
    /// As [`Collection::get`].
    pub async fn count(&self, filters: &Filters) -> Result<u64> {
        let beneath = (self.inside.store.as_ref(), self.inside.model.as_ref());
        count(beneath, &self.scope(), filters, self.inside.limits).await
    }

    /// Whether the model's `transitions` let this field go from one word to another. Where there are none for the
    /// field, it may.
    #[must_use]
    pub fn allows(&self, field: &str, from: &str, to: &str) -> bool {
        let collection = self.inside.model.collection(T::COLLECTION);
        let table = collection.and_then(|collection| collection.transitions.get(field));
        table.is_none_or(|table| table.get(from).is_some_and(|next| next.iter().any(|word| word == to)))
    }
}

/// Whether the model has values for fields of this collection, or of those inside it, that are not given.
fn fills(model: &Model, collection: &str, depth: usize) -> bool {
    let own = model.collection(collection);
    let inner = |child: &ModelCollection| matches!(&child.place, ModelPlace::In(places) if places.iter().any(|place| place.parent == collection));
    own.is_some_and(|own| own.fields.iter().any(|field| field.default.is_some() && !field.auto))
        || depth < DEPTH_MAX
            && model.collections.iter().any(|child| inner(child) && fills(model, &child.name, depth + 1))
}

fn too_often(key: &DocumentKey) -> Error {
    let message = format!("others were faster {TRIES_MAX} times in writing {key}");
    let error = Cause::new(Kind::Conflict, "R0401", message).retry(Retry::Safe);
    error.hint("Try again later, or write less often to this one document.").into()
}

/// A document as it was written; what the store made of it was not read.
fn unread(key: DocumentKey, etag: ETag, body: Vec<u8>) -> Document {
    Document { key, etag, body: body.into(), modified_ms: None }
}

#[cfg(test)]
mod tests;
