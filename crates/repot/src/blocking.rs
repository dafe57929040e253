//! The same for programs without a runtime: each call waits for its end. Calls from within a runtime are refused
//! (`R0405`), because they would stop its thread; use the calls that wait there.

mod history;

use std::fmt;
use std::sync::Arc;

use repot_core::{Error as Cause, Kind};
use serde::Serialize;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::collection::Listing;
use crate::entity::{Entity, Id, PerTenant, Shared};
use crate::filters::Filters;
use crate::stored::Stored;
use crate::{Capabilities, Change, Config, Cursor, ETag, Error, Result};

/// An app's documents. Cheap to clone; clones share the store.
#[derive(Debug, Clone)]
pub struct Repot {
    beneath: crate::Repot,
    waiter: Waiter,
}

/// Runs what the calls wait for.
#[derive(Debug, Clone)]
struct Waiter(Arc<Threads>);

#[derive(Debug)]
struct Threads(Option<Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // waiting for its threads is forbidden where another runtime drops us
            runtime.shutdown_background();
        }
    }
}

impl Waiter {
    fn new() -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("repot").enable_all().build();
        let runtime = runtime.map_err(|error| {
            Cause::new(Kind::Failed, "R0409", "no thread could be started to wait on").cause(error)
        })?;
        Ok(Self(Arc::new(Threads(Some(runtime)))))
    }

    fn wait<T, E: From<Error>>(&self, future: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        if Handle::try_current().is_ok() {
            let message = "a blocking call was made on a thread of a runtime";
            let error = Cause::new(Kind::Unsupported, "R0405", message)
                .hint("Use repot::Repot there, whose calls can be awaited.");
            return Err(Error::from(error).into());
        }
        self.0.0.as_ref().expect("it is only taken at the end").block_on(future)
    }
}

impl Repot {
    /// Opens the documents, as [`crate::Repot::open`].
    ///
    /// # Errors
    /// As there; [`Error::Unsupported`] on a thread of a runtime.
    pub fn open(config: Config) -> Result<Self> {
        let waiter = Waiter::new()?;
        let beneath = waiter.wait(crate::Repot::open(config))?;
        Ok(Self { beneath, waiter })
    }

    /// The documents of a type that everybody shares.
    #[must_use]
    pub fn collection<T: Entity<Reach = Shared>>(&self) -> Collection<T> {
        Collection { beneath: self.beneath.collection(), waiter: self.waiter.clone() }
    }

    /// One tenant's documents.
    #[must_use]
    pub fn tenant(&self, name: &str) -> Tenant {
        Tenant { beneath: self.beneath.tenant(name), waiter: self.waiter.clone() }
    }

    /// Writes that happen together or not at all.
    pub fn unit(&self) -> Unit {
        Unit { beneath: self.beneath.unit(), waiter: self.waiter.clone() }
    }

    /// What the store can do.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.beneath.capabilities()
    }

    /// The time of the config's clock, as [`crate::Repot::now`].
    #[must_use]
    pub fn now(&self) -> String {
        self.beneath.now()
    }

    /// Can the store be reached, read and written?
    ///
    /// # Errors
    /// When it cannot.
    pub fn probe(&self) -> Result<()> {
        self.waiter.wait(self.beneath.probe())
    }
}

/// Where the documents live, without passwords.
impl fmt::Display for Repot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.beneath.fmt(f)
    }
}

/// One tenant's documents.
#[derive(Debug, Clone)]
pub struct Tenant {
    beneath: crate::Tenant,
    waiter: Waiter,
}

impl Tenant {
    /// This tenant's documents of a type.
    #[must_use]
    pub fn collection<T: Entity<Reach = PerTenant>>(&self) -> Collection<T> {
        Collection { beneath: self.beneath.collection(), waiter: self.waiter.clone() }
    }

    /// Who it is.
    #[must_use]
    pub fn name(&self) -> &str {
        self.beneath.name()
    }
}

/// The documents of a type: all of them, or one tenant's. What each call does, [`crate::Collection`] says.
pub struct Collection<T> {
    beneath: crate::Collection<T>,
    waiter: Waiter,
}

impl<T> Clone for Collection<T> {
    fn clone(&self) -> Self {
        Self { beneath: self.beneath.clone(), waiter: self.waiter.clone() }
    }
}

impl<T: Entity> fmt::Debug for Collection<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.beneath.fmt(f)
    }
}

impl<T: Entity> Collection<T> {
    /// The document, if it is there.
    ///
    /// # Errors
    /// As [`crate::Collection::get`].
    pub fn get(&self, id: impl Into<Id> + Send) -> Result<Option<Stored<T>>> {
        self.waiter.wait(self.beneath.get(id))
    }

    /// The document, which must be there.
    ///
    /// # Errors
    /// As [`crate::Collection::require`].
    pub fn require(&self, id: impl Into<Id> + Send) -> Result<Stored<T>> {
        self.waiter.wait(self.beneath.require(id))
    }

    /// Whether the document is there.
    ///
    /// # Errors
    /// As [`crate::Collection::exists`].
    pub fn exists(&self, id: impl Into<Id> + Send) -> Result<bool> {
        self.waiter.wait(self.beneath.exists(id))
    }

    /// Writes a new document.
    ///
    /// # Errors
    /// As [`crate::Collection::create`].
    pub fn create(&self, value: T) -> Result<Stored<T>> {
        self.waiter.wait(self.beneath.create(value))
    }

    /// Writes a new document under this name.
    ///
    /// # Errors
    /// As [`crate::Collection::create_at`].
    pub fn create_at(&self, id: impl Into<Id> + Send, value: T) -> Result<Stored<T>> {
        self.waiter.wait(self.beneath.create_at(id, value))
    }

    /// The key of the document with this name, as text.
    ///
    /// # Errors
    /// As [`crate::Collection::key_text`].
    pub fn key_text(&self, id: impl Into<Id>) -> Result<Option<String>> {
        self.beneath.key_text(id)
    }

    /// Writes what was changed in a value that was read.
    ///
    /// # Errors
    /// As [`crate::Collection::update`].
    pub fn update(&self, stored: Stored<T>) -> Result<Stored<T>> {
        self.waiter.wait(self.beneath.update(stored))
    }

    /// Makes the document say this, whether it is there or not.
    ///
    /// # Errors
    /// As [`crate::Collection::save`].
    pub fn save(&self, value: T) -> Result<Stored<T>> {
        self.waiter.wait(self.beneath.save(value))
    }

    /// Reads, changes and writes, again when somebody else was faster.
    ///
    /// # Errors
    /// As [`crate::Collection::edit`].
    pub fn edit<E: From<Error>>(
        &self,
        id: impl Into<Id> + Send,
        change: impl FnMut(&mut T) -> Result<(), E> + Send,
    ) -> Result<Stored<T>, E> {
        self.waiter.wait(self.beneath.edit(id, change))
    }

    /// Adds an element at the end of a list of the document.
    ///
    /// # Errors
    /// As [`crate::Collection::append`].
    pub fn append<E: Serialize + Sync>(
        &self,
        id: impl Into<Id> + Send,
        list: &str,
        element: &E,
    ) -> Result<ETag> {
        self.waiter.wait(self.beneath.append(id, list, element))
    }

    /// Changes a part of the document.
    ///
    /// # Errors
    /// As [`crate::Collection::change`].
    pub fn change(&self, id: impl Into<Id> + Send, change: Change) -> Result<ETag> {
        self.waiter.wait(self.beneath.change(id, change))
    }

    /// Removes the document; gives whether one was there.
    ///
    /// # Errors
    /// As [`crate::Collection::delete`].
    pub fn delete(&self, id: impl Into<Id> + Send) -> Result<bool> {
        self.waiter.wait(self.beneath.delete(id))
    }

    /// Removes the document in the state that was read.
    ///
    /// # Errors
    /// As [`crate::Collection::delete_unchanged`].
    pub fn delete_unchanged(&self, stored: &Stored<T>) -> Result<()> {
        self.waiter.wait(self.beneath.delete_unchanged(stored))
    }

    /// A part of all documents, in the store's order.
    ///
    /// # Errors
    /// As [`crate::Collection::list`].
    pub fn list(&self, after: Option<&Cursor>, most: usize) -> Result<Listing<T>> {
        self.waiter.wait(self.beneath.list(after, most))
    }

    /// The documents that pass the filters, in their order.
    ///
    /// # Errors
    /// As [`crate::Collection::find`].
    pub fn find(&self, filters: &Filters, limit: usize, offset: usize) -> Result<Vec<Stored<T>>> {
        self.waiter.wait(self.beneath.find(filters, limit, offset))
    }

    /// How many documents pass the filters.
    ///
    /// # Errors
    /// As [`crate::Collection::count`].
    pub fn count(&self, filters: &Filters) -> Result<u64> {
        self.waiter.wait(self.beneath.count(filters))
    }

    /// Whether the model allows this field to go from one word to another.
    #[must_use]
    pub fn allows(&self, field: &str, from: &str, to: &str) -> bool {
        self.beneath.allows(field, from, to)
    }
}

/// A repository of one type, as [`crate::Repository`].
pub trait Repository<T: Entity> {
    /// Where the documents are.
    fn documents(&self) -> &Collection<T>;

    /// The document, if it is there.
    ///
    /// # Errors
    /// As [`crate::Collection::get`].
    fn get_by_id(&self, id: impl Into<Id> + Send) -> Result<Option<Stored<T>>> {
        self.documents().get(id)
    }

    /// A page of the documents that pass.
    ///
    /// # Errors
    /// As [`crate::Collection::find`].
    fn get_all(&self, filters: &Filters, limit: usize, offset: usize) -> Result<Vec<Stored<T>>> {
        self.documents().find(filters, limit, offset)
    }

    /// Writes a new document and gives it back.
    ///
    /// # Errors
    /// As [`crate::Collection::create`].
    fn create(&self, entity: T) -> Result<Stored<T>> {
        self.documents().create(entity)
    }

    /// Writes what was changed and gives it back.
    ///
    /// # Errors
    /// As [`crate::Collection::update`].
    fn update(&self, entity: Stored<T>) -> Result<Stored<T>> {
        self.documents().update(entity)
    }

    /// Removes the document; gives whether one was there.
    ///
    /// # Errors
    /// As [`crate::Collection::delete`].
    fn delete(&self, id: impl Into<Id> + Send) -> Result<bool> {
        self.documents().delete(id)
    }
}

impl<T: Entity> Repository<T> for Collection<T> {
    fn documents(&self) -> &Self {
        self
    }
}

/// Writes that happen together or not at all, as [`crate::Unit`].
#[derive(Debug)]
#[must_use = "nothing is written before `commit`"]
pub struct Unit {
    beneath: crate::Unit,
    waiter: Waiter,
}

impl Unit {
    /// A new document.
    ///
    /// # Errors
    /// As [`crate::Unit::create`].
    pub fn create<T: Entity>(&mut self, within: &Collection<T>, value: &T) -> Result<&mut Self> {
        self.beneath.create(&within.beneath, value)?;
        Ok(self)
    }

    /// What was changed in a value that was read.
    ///
    /// # Errors
    /// As [`crate::Unit::update`].
    pub fn update<T: Entity>(&mut self, within: &Collection<T>, stored: &Stored<T>) -> Result<&mut Self> {
        self.beneath.update(&within.beneath, stored)?;
        Ok(self)
    }

    /// The document goes, if it is there.
    pub fn delete<T: Entity>(&mut self, within: &Collection<T>, id: impl Into<Id>) -> &mut Self {
        self.beneath.delete(&within.beneath, id);
        self
    }

    /// Writes everything.
    ///
    /// # Errors
    /// As [`crate::Unit::commit`].
    pub fn commit(self) -> Result<Vec<Option<ETag>>> {
        self.waiter.wait(self.beneath.commit())
    }
}
