//! New documents: `POST /v1/{collection}`. The key stands in the body, or Repot makes it.

use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use repot_core::store::{Change, DocumentKey, Pointer, Precondition, Shape, Write};
use repot_core::{Entropy, Error, Kind, Result};
use repot_json::Kind as JsonKind;
use repot_json::{Limits, Tree, Value};
use repot_model::language::Format;
use repot_model::plan::uuid_text;

use super::Asked;
use super::documents::{write, written};
use crate::ask::pairs;
use crate::body;
use crate::conditions::Conditions;
use crate::problem::{Answered, Problem};

pub(super) async fn create(asked: &Asked<'_>, collection: &str, body: Body) -> Answered {
    let shape = asked.app.shape(collection).ok_or_else(|| {
        match asked.app.layout().model().collection(collection) {
            Some(_) => Problem::method(&asked.head.method, "GET, HEAD"),
            None => Problem::missing(&format!("a collection {collection} with documents of its own")),
        }
    })?;
    let conditions = Conditions::of(&asked.head.headers)?;
    let given = pairs(asked.head)?;
    let body = body::read(body, asked.app.options()).await?;
    let (key, body) = named(asked, (collection, shape), &given, body)?;
    let key = asked.caller.key(asked.app, key);
    let etag = match conditions.direct() {
        Some(Precondition::Any | Precondition::Absent) => {
            let make = |_| Write::Put { key: key.clone(), body: body.clone(), when: Precondition::Absent };
            write(asked, &Conditions::default(), &key, make).await.map_err(exists)?
        }
        _ => {
            return Err(Problem::bad(
                "a new document has no state to be matched",
                "Leave out If-Match, or PUT to the document itself.",
            ));
        }
    };
    // the key that everybody knows it by, where it follows from the place
    let key = match asked.app.layout().id_of(&key)? {
        Some(id) if asked.app.store().capabilities().found_by_key => {
            asked.caller.key(asked.app, DocumentKey::of_text(collection, &id))
        }
        _ => key,
    };
    written(asked, (StatusCode::CREATED, &key), etag).await
}

/// A `POST` did not ask for a state, so what stands in its way is a conflict, not a failed precondition.
pub(super) fn exists(problem: Problem) -> Problem {
    match problem.error().code() {
        "R0401" => Problem::with(StatusCode::CONFLICT, problem.error().clone()),
        _ => problem,
    }
}

/// The name of the new document, and its body with a key that was made.
pub(super) fn named(
    asked: &Asked<'_>,
    (collection, shape): (&str, &Shape),
    given: &[(String, String)],
    body: Bytes,
) -> Answered<(DocumentKey, Bytes)> {
    check_names(shape, given)?;
    let limits = asked.app.layout().limits();
    let tree = match shape.format {
        Format::Json | Format::JsonLines => Some(parsed(&body, limits)?),
        Format::Text | Format::Bytes => None,
    };
    let root = tree.as_ref().and_then(|tree| tree.root(&body));
    let is_shared =
        asked.app.layout().plan().roots.iter().any(|other| other.name == collection && other.is_container());
    let mut known = Known { root, tenant: asked.caller.tenant(), shape, given, is_shared, own: Vec::new() };
    let mut made = None;
    let mut parts = Vec::new();
    for column in &shape.key {
        let found = known.value(&column.name, &column.path);
        let found = match (found, column.path.as_slice()) {
            (None, [name]) if column.takes_uuid && !shape.makes_key && root.is_some() => {
                let id = uuid(asked.app.entropy())?;
                made = Some((Pointer::from_parts([name.as_str()]), id.clone()));
                Some(id)
            }
            (found, _) => found,
        };
        known.own.extend(found.iter().map(|value| (column.name.clone(), value.clone())));
        parts.extend(found);
    }
    let by_key = shape.key_of(collection, &parts.iter().map(String::as_str).collect::<Vec<_>>());
    let by_key = by_key.filter(|_| !shape.makes_key);
    let reaches = |key: &DocumentKey| {
        let key = asked.caller.key(asked.app, key.clone());
        asked.app.layout().paths(&key).is_ok_and(|paths| !paths.is_empty())
    };
    let key = match by_key.filter(reaches) {
        Some(key) => key,
        None => place(collection, &known, reaches).ok_or_else(|| unnamed(collection, shape))?,
    };
    let body = match made {
        None => body,
        Some((at, id)) => {
            let value = Bytes::from(format!("\"{id}\""));
            Change::Set { at, value }.apply(&body, limits)?.into()
        }
    };
    Ok((key, body))
}

/// Parameters are what the name of a document is made of, each once.
fn check_names(shape: &Shape, given: &[(String, String)]) -> Answered<()> {
    for (at, (name, _)) in given.iter().enumerate() {
        let is_known = shape.key.iter().any(|column| column.name == *name)
            || shape.places.iter().any(|names| names.contains(name));
        if !is_known || given.iter().take(at).any(|(other, _)| other == name) {
            return Err(Problem::bad(
                format!("there is no parameter `{name}` here, or it is given twice"),
                "Leave it out; a new document takes what its key and its place are made of.",
            ));
        }
    }
    Ok(())
}

/// Where values of a new document's name come from.
struct Known<'k> {
    root: Option<Value<'k>>,
    tenant: Option<&'k str>,
    shape: &'k Shape,
    given: &'k [(String, String)],
    /// Several documents stand in one file, so a place needs the key too.
    is_shared: bool,
    /// The columns of the key that are known, also one that was made.
    own: Vec<(String, String)>,
}

impl Known<'_> {
    fn value(&self, name: &str, path: &[String]) -> Option<String> {
        if self.shape.tenant.as_deref() == Some(name)
            && let Some(tenant) = self.tenant
        {
            return Some(tenant.to_owned());
        }
        let given = self.given.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone());
        given.or_else(|| self.in_body(path))
    }

    fn in_body(&self, path: &[String]) -> Option<String> {
        let root = self.root.filter(|_| !path.is_empty())?;
        let value = path.iter().try_fold(root, |value, name| value.get(name))?;
        match value.kind() {
            JsonKind::String => value.as_str().map(std::borrow::Cow::into_owned),
            JsonKind::Number => Some(value.raw().to_owned()),
            _ => None,
        }
    }
}

/// The first of the collection's places whose captures are all known and may be so, those with the most of them first.
fn place(collection: &str, known: &Known<'_>, reaches: impl Fn(&DocumentKey) -> bool) -> Option<DocumentKey> {
    let mut places: Vec<&Vec<String>> = known.shape.places.iter().collect();
    places.sort_by_key(|names| std::cmp::Reverse(names.len()));
    places.into_iter().find_map(|names| {
        let of_key = known.shape.key.iter().map(|column| &column.name);
        let names = names.iter().chain(of_key.filter(|name| known.is_shared && !names.contains(name)));
        let value = |name: &String| {
            let own = known.own.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone());
            Some((name.clone(), own.or_else(|| known.value(name, std::slice::from_ref(name)))?))
        };
        let place = names.map(value).collect::<Option<Vec<_>>>()?;
        let place: Vec<(&str, &str)> =
            place.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Some(DocumentKey::at(collection, &place)).filter(&reaches)
    })
}

fn unnamed(collection: &str, shape: &Shape) -> Problem {
    let places: Vec<String> = shape.places.iter().map(|names| names.join(", ")).collect();
    let keys: Vec<&str> = shape.key.iter().map(|column| column.name.as_str()).collect();
    Error::new(Kind::Invalid, "R0404", format!("the new document of {collection} has no name"))
        .hint(format!(
            "Let its body say {}, or give what its place needs ({}) as parameters.",
            keys.join(" and "),
            places.join("; or ")
        ))
        .into()
}

fn parsed(body: &[u8], limits: Limits) -> Answered<Tree> {
    Tree::parse(body, limits).map_err(|error| {
        Error::new(Kind::Invalid, "R0404", format!("the body is no JSON: {error}"))
            .hint("Send one JSON value.")
            .into()
    })
}

/// A UUID of version 4 (RFC 9562) that nobody can guess.
fn uuid(entropy: &dyn Entropy) -> Result<String> {
    let mut bytes = [0; 16];
    entropy.fill(&mut bytes)?;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    Ok(uuid_text(&bytes))
}

#[cfg(test)]
mod tests {
    use repot_core::{Entropy, Result};

    use super::uuid;

    #[derive(Debug)]
    struct Same(u8);

    impl Entropy for Same {
        fn fill(&self, bytes: &mut [u8]) -> Result<()> {
            bytes.fill(self.0);
            Ok(())
        }
    }

    #[test]
    fn uuids_are_of_version_4() {
        assert_eq!(uuid(&Same(0)).unwrap(), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid(&Same(255)).unwrap(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
