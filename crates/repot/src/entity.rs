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

    /// The value of its key.
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

/// The value of a key: one part for each key field, in the order of the model.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Id(Vec<String>);

impl Id {
    /// A key of several fields.
    #[must_use]
    pub fn of_parts<P: fmt::Display>(parts: impl IntoIterator<Item = P>) -> Self {
        Self(parts.into_iter().map(|part| part.to_string()).collect())
    }

    /// The document of this collection with this key.
    pub(crate) fn key(&self, collection: &str, tenant: Option<&str>) -> DocumentKey {
        let parts: Vec<&str> = self.0.iter().map(String::as_str).collect();
        let key = DocumentKey::of_parts(collection, &parts);
        match tenant {
            Some(tenant) => key.in_tenant(tenant),
            None => key,
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("/"))
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
                    Self(vec![part.to_string()])
                }
            }
        )*
    };
}

id_from!(&str String &String i32 i64 u32 u64);

impl<A: fmt::Display, B: fmt::Display> From<(A, B)> for Id {
    fn from((first, second): (A, B)) -> Self {
        Self(vec![first.to_string(), second.to_string()])
    }
}
