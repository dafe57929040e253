//! What makes a type one of documents: its collection, its key, and whether it is reached through a tenant.

use std::fmt;

use repot_core::store::DocumentKey;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A type whose values are documents of one collection.
///
/// Fields of a document that the type does not know stay in its text. Lists in an order of chance (`HashSet`) cannot
/// be told from lists that somebody sorted anew; use `BTreeSet` or `Vec`. Maps may be in any order.
pub trait Entity: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The section of the model.
    const COLLECTION: &'static str;

    /// [`PerTenant`] where the section says `tenant = ...`, else [`Shared`]. Saying it wrongly opens nothing: the
    /// store refuses every call (`R0406`).
    type Reach: Reach;

    /// The value of its key; [`Id::outside`] where the value does not know it.
    fn id(&self) -> Id;
}

/// How a collection is reached.
pub trait Reach: sealed::Sealed + Send + Sync + 'static {}

/// Documents of everybody.
#[derive(Debug, Clone, Copy)]
pub struct Shared;

/// Documents of one tenant each.
#[derive(Debug, Clone, Copy)]
pub struct PerTenant;

impl Reach for Shared {}
impl Reach for PerTenant {}

mod sealed {
    /// Nobody else decides how collections are reached.
    pub trait Sealed {}
    impl Sealed for super::Shared {}
    impl Sealed for super::PerTenant {}
}

/// What names a document: the value of its key, one part for each key field in the order of the model; or its place,
/// where the key is made by Repot or stands in the text only.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Id(Named);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Named {
    Key(Vec<String>),
    Place(Vec<(String, String)>),
}

impl Id {
    /// A key of several fields.
    #[must_use]
    pub fn of_parts<P: fmt::Display>(parts: impl IntoIterator<Item = P>) -> Self {
        Self(Named::Key(parts.into_iter().map(|part| part.to_string()).collect()))
    }

    /// A place: a value for each capture of one of the collection's templates. Every store finds it, and a new document
    /// goes there. The tenant need not be among them.
    #[must_use]
    pub fn at<V: fmt::Display>(place: impl IntoIterator<Item = (&'static str, V)>) -> Self {
        let place = place.into_iter().map(|(name, value)| (name.to_owned(), value.to_string()));
        Self(Named::Place(place.collect()))
    }

    /// For [`Entity::id`] of values that do not say where they are: they are written with
    /// [`crate::Collection::create_at`], and changed as what they were read from.
    #[must_use]
    pub const fn outside() -> Self {
        Self(Named::Place(Vec::new()))
    }

    /// The only document that a tenant has in the collection.
    #[must_use]
    pub const fn only() -> Self {
        Self::outside()
    }

    pub(crate) fn is_outside(&self) -> bool {
        matches!(&self.0, Named::Place(place) if place.is_empty())
    }

    /// The document of this collection with this key.
    pub(crate) fn key(&self, collection: &str, tenant: Option<&str>) -> DocumentKey {
        let key = match &self.0 {
            Named::Key(parts) => {
                let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
                DocumentKey::of_parts(collection, &parts)
            }
            Named::Place(place) => {
                let place: Vec<(&str, &str)> =
                    place.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                DocumentKey::at(collection, &place)
            }
        };
        match tenant {
            Some(tenant) => key.in_tenant(tenant),
            None => key,
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Named::Key(parts) => f.write_str(&parts.join("/")),
            Named::Place(place) => {
                let all: Vec<String> = place.iter().map(|(name, value)| format!("{name}={value}")).collect();
                f.write_str(&all.join("/"))
            }
        }
    }
}

impl From<&Self> for Id {
    fn from(id: &Self) -> Self {
        id.clone()
    }
}

macro_rules! id_from {
    ($($kind:ty)*) => {
        $(
            impl From<$kind> for Id {
                fn from(part: $kind) -> Self {
                    Self::of_parts([part])
                }
            }
        )*
    };
}

id_from!(&str String &String i32 i64 u32 u64);

impl<A: fmt::Display, B: fmt::Display> From<(A, B)> for Id {
    fn from((first, second): (A, B)) -> Self {
        Self::of_parts([first.to_string(), second.to_string()])
    }
}
