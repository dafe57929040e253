//! What the path of a request names: `/v1/{collection}/{key}/{part...}`, with `:verb` behind the last segment.
//!
//! A key of several columns takes as many segments. A segment that begins with `@` is no key: behind a collection it names a
//! document by its place (`@sender_id=u1&session_type=upload`; `@` alone where the tenant says it all), inside a document an element of a list (`@3`). A `@` or `:`
//! that belongs to a key is written `%40`, `%3A`.

use percent_encoding::percent_decode_str;
use repot_core::store::DocumentKey;
use repot_json::patch::WayStep;

use crate::app::App;
use crate::problem::{Answered, Problem};

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// The collection.
    pub collection: String,
    /// The document, without its tenant; `None`: the collection itself.
    pub key: Option<DocumentKey>,
    /// The way to a part of it; empty: the whole document.
    pub part: Vec<WayStep>,
    /// What is to be done with it, other than what the method says.
    pub verb: Option<String>,
}

/// Verbs that may stand behind a path.
const VERBS: [&str; 12] = [
    "restore", "history", "revert", "claim", "ack", "retry", "extend", "fail", "dead", "stats", "revive",
    "spend",
];

impl Address {
    /// The template of such paths, for figures and the log.
    pub(crate) fn route(&self) -> &'static str {
        match (&self.key, self.verb.as_deref()) {
            (None, None) => "/v1/{c}",
            (None, Some(_)) => "/v1/{c}:{verb}",
            (Some(_), None) if self.part.is_empty() => "/v1/{c}/{key}",
            (Some(_), None) => "/v1/{c}/{key}/{way}",
            (Some(_), Some(_)) => "/v1/{c}/{key}:{verb}",
        }
    }

    /// Reads what stands behind `/v1/`, as it was sent.
    ///
    /// # Errors
    /// 400 when it is no UTF-8 or a segment is empty, 404 when the model has no such collection.
    pub(crate) fn parse(app: &App, path: &str) -> Answered<Self> {
        let (path, verb) = match path.rsplit_once(':') {
            Some((path, verb)) if VERBS.contains(&verb) => (path, Some(verb.to_owned())),
            _ => (path, None),
        };
        let mut segments = path.split('/');
        let collection = decoded(segments.next().unwrap_or_default())?;
        let shape = app.shape(&collection);
        let segments: Vec<&str> = segments.collect();
        if segments.iter().any(|segment| segment.is_empty()) {
            return Err(Problem::bad(
                "the path has an empty segment",
                "Leave out the `/` too many; write an empty key as the store names it.",
            ));
        }
        if segments.is_empty() {
            // rows of other documents can be asked too, so the store says whether there is such a collection
            return Ok(Self { collection, key: None, part: Vec::new(), verb });
        }
        let Some(shape) = shape else {
            return Err(Problem::missing(&format!("a collection {collection} with documents")));
        };
        let (key, rest) = match segments.first().and_then(|first| first.strip_prefix('@')) {
            Some(place) => (place_key(&collection, place)?, segments.get(1..)),
            None => {
                let own = segments.get(..shape.key.len()).unwrap_or(&segments);
                let parts = own.iter().map(|part| decoded(part)).collect::<Answered<Vec<_>>>()?;
                let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
                let key = shape.key_of(&collection, &parts).ok_or_else(|| {
                    let names: Vec<&str> = shape.key.iter().map(|column| column.name.as_str()).collect();
                    Problem::missing(&format!("{collection} by less than its key ({})", names.join("/")))
                })?;
                (key, segments.get(shape.key.len()..))
            }
        };
        let part = rest.unwrap_or_default().iter().map(|segment| step(segment)).collect::<Answered<_>>()?;
        Ok(Self { collection, key: Some(key), part, verb })
    }
}

/// A segment of a path as it is meant.
///
/// # Errors
/// 400 when it is no UTF-8.
pub(crate) fn decoded(segment: &str) -> Answered<String> {
    let text = percent_decode_str(segment).decode_utf8();
    text.map(std::borrow::Cow::into_owned).map_err(|_utf8| {
        Problem::bad(format!("`{segment}` is no UTF-8"), "Write names in UTF-8, percent-encoded.")
    })
}

/// `name=value&name=value`, each percent-encoded.
fn place_key(collection: &str, text: &str) -> Answered<DocumentKey> {
    let mut place = Vec::new();
    // nothing but its tenant may say where a document is
    for pair in text.split('&').filter(|_| !text.is_empty()) {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(Problem::bad(
                format!("`@{text}` names no place"),
                "Write @name=value&name=value with the names in the template of the collection; a key that begins with @ is written %40.",
            ));
        };
        place.push((decoded(name)?, decoded(value)?));
    }
    let place: Vec<(&str, &str)> =
        place.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Ok(DocumentKey::at(collection, &place))
}

fn step(segment: &str) -> Answered<WayStep> {
    match segment.strip_prefix('@') {
        None => Ok(WayStep::Name(decoded(segment)?)),
        Some(place) => place.parse().map(WayStep::Place).map_err(|_no_number| {
            Problem::bad(
                format!("`{segment}` is no place in a list"),
                "Write @0 for the first element; a name that begins with @ is written %40.",
            )
        }),
    }
}

/// The path of a document under `/v1`, as clients write it.
pub(crate) fn path_of(key: &DocumentKey) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    let encoded = |text: &str| utf8_percent_encode(text, KEPT).to_string();
    let named = match key.place() {
        Some(place) => {
            let pairs = place.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
            format!("@{}", pairs.collect::<Vec<_>>().join("&"))
        }
        None => key.parts().iter().map(|part| encoded(part)).collect::<Vec<_>>().join("/"),
    };
    format!("/v1/{}/{named}", key.collection())
}
