//! Documents of an app, typed, on a directory of files, an S3 bucket, SQLite or PostgreSQL.
//!
//! [`Repot::open`] opens what a [`Config`] names. A type that is an [`Entity`] has a [`Collection`] of its documents;
//! where the model gives them a tenant, it is reached through [`Repot::tenant`] only. What an app changes in a typed
//! value changes those fields of the document's text and leaves every other byte alone. Programs without a runtime
//! use [`blocking`]. `docs/rust.md` is the guide.
//!
//! Nothing here prints, and nothing but [`Config::from_env`] reads the environment.

pub mod blocking;
mod collection;
mod config;
mod entity;
mod error;
mod filters;
mod find;
mod history;
mod moving;
mod open;
mod place;
mod repository;
mod stored;
mod text;
mod unit;

pub use async_trait::async_trait;
pub use collection::{Collection, Listing};
pub use config::{Config, NewText};
pub use entity::{Entity, Id, PerTenant, Reach, Shared};
pub use error::{Error, Result};
pub use filters::{Filters, Operand};
pub use moving::Move;
pub use open::{Repot, Tenant};
pub use place::Place;
pub use repository::Repository;
pub use repot_core::change_log::ChangeKind;
pub use repot_core::store::{
    Capabilities, Change, ChangeEntry, ChangePage, ChangePosition, Cursor, DocumentKey, ETag, EntryId, Event,
    FieldChange, Filter, HistoryEntry, HistoryPage, HistoryQuery, Moment, Op, Pointer, Precondition, Query,
    QueryItem, QueryPage, QueryValue, Queryable, QueryableExt, Scope, Store, StoreExt,
};
pub use repot_core::{Clock, Echo, FixedClock, Retry, SystemClock};
pub use stored::Stored;
pub use unit::Unit;

/// The guide's examples are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/rust.md")]
struct Guide;
