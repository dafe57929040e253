//! Whole documents: `/v1/{collection}/{key}`.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use repot_core::store::{Change, Document, DocumentKey, Precondition, Write, Written};
use repot_core::{Error, Kind};

use super::{Asked, history, no_parameters};
use crate::address::path_of;
use crate::answer::{self, Preferences, media_type};
use crate::body;
use crate::conditions::Conditions;
use crate::problem::{Answered, Problem};

/// How often a write is decided again that others were quicker than.
const TRIES: usize = 16;

pub(super) async fn get(asked: &Asked<'_>, key: &DocumentKey) -> Answered {
    let conditions = Conditions::of(&asked.head.headers)?;
    if let Some(moment) = history::moment(asked)? {
        return history::at(asked, key, moment).await;
    }
    let Some(found) = asked.app.store().get(key).await? else { return gone(asked, key).await };
    conditions.check_read(key, &found.etag)?;
    if conditions.is_unchanged(&found.etag) {
        return Ok(modified(
            asked,
            answer::empty(StatusCode::NOT_MODIFIED, Some(&found.etag)),
            found.modified_ms,
        ));
    }
    Ok(document(asked, StatusCode::OK, found))
}

/// A document as it was found.
fn document(asked: &Asked<'_>, status: StatusCode, found: Document) -> Response {
    let media = media(asked, &found.key);
    modified(asked, answer::document(status, (media, &found.etag), found.body), found.modified_ms)
}

/// The answer, which says when its document was written last.
pub(super) fn modified(asked: &Asked<'_>, response: Response, modified_ms: Option<i64>) -> Response {
    answer::modified(response, modified_ms, asked.app.clock().now_ms())
}

/// 404, or 410 where it can be had back.
async fn gone(asked: &Asked<'_>, key: &DocumentKey) -> Answered {
    let deleted = match asked.app.store().trash() {
        Some(trash) => trash.deleted_at(key).await?,
        None => None,
    };
    if deleted.is_none() {
        return Err(Problem::missing(key));
    }
    let path = path_of(key);
    let error = Error::new(Kind::NotFound, "R0402", format!("{key} was deleted"))
        .hint(format!("Have it back with POST {path}:restore."));
    let mut response = Problem::with(StatusCode::GONE, error).answer(asked.head.uri.path());
    let link = HeaderValue::from_str(&format!("<{path}:restore>; rel=\"restore\""));
    response.headers_mut().extend(link.ok().map(|link| (header::LINK, link)));
    Ok(response)
}

pub(super) async fn put(asked: &Asked<'_>, key: DocumentKey, body: Body) -> Answered {
    no_parameters(asked.head)?;
    let conditions = Conditions::of(&asked.head.headers)?;
    let body = body::read(body, asked.app.options()).await?;
    // which of the two it was is told as of just before the write, where the write itself does not say it
    let was_there = match conditions.direct() {
        Some(Precondition::Absent) => false,
        Some(Precondition::Matches(_)) => true,
        _ => asked.app.store().exists(&key).await?,
    };
    let etag =
        write(asked, &conditions, &key, |when| Write::Put { key: key.clone(), body: body.clone(), when })
            .await?;
    let status = if was_there { StatusCode::OK } else { StatusCode::CREATED };
    written(asked, (status, &key), etag).await
}

pub(super) async fn patch(asked: &Asked<'_>, key: DocumentKey, body: Body) -> Answered {
    no_parameters(asked.head)?;
    let conditions = Conditions::of(&asked.head.headers)?;
    let change = change(asked, body).await?;
    let etag = write(asked, &conditions, &key, |when| Write::Patch {
        key: key.clone(),
        change: change.clone(),
        when,
    })
    .await?;
    written(asked, (StatusCode::OK, &key), etag).await
}

/// The change that a body asks for, by its media type.
async fn change(asked: &Asked<'_>, body: Body) -> Answered<Change> {
    let make = match body::media_type(&asked.head.headers).as_deref() {
        Some("application/merge-patch+json") => Change::Merge,
        Some("application/json-patch+json") => Change::Patch,
        other => return Err(no_patch(other)),
    };
    Ok(make(body::read(body, asked.app.options()).await?))
}

pub(super) fn no_patch(media: Option<&str>) -> Problem {
    Error::new(Kind::Invalid, "R0443", format!("`{}` is no patch", media.unwrap_or("no content type")))
        .hint("Send application/merge-patch+json (RFC 7396) or application/json-patch+json (RFC 6902).")
        .into()
}

pub(super) async fn delete(asked: &Asked<'_>, key: DocumentKey) -> Answered {
    no_parameters(asked.head)?;
    let conditions = Conditions::of(&asked.head.headers)?;
    let gone = write(asked, &conditions, &key, |when| Write::Delete { key: key.clone(), when }).await?;
    match gone {
        Written::Missing => Err(Problem::missing(&key)),
        _ => Ok(answer::empty(StatusCode::NO_CONTENT, None)),
    }
}

/// Writes under the conditions of the request. Those that the store cannot check by itself are decided on what is there, and
/// again when that changed before the write came.
pub(super) async fn write(
    asked: &Asked<'_>,
    conditions: &Conditions,
    key: &DocumentKey,
    make: impl Fn(Precondition) -> Write + Send + Sync,
) -> Answered<Written> {
    let store = asked.app.store();
    let changes = !matches!(make(Precondition::Any), Write::Put { .. });
    // no store deletes or changes what must not be there
    let direct = conditions.direct().filter(|when| !(changes && *when == Precondition::Absent));
    for tried in 1.. {
        let when = match direct.clone() {
            Some(when) => when,
            None => {
                let there = store.get(key).await?;
                let when = conditions.against(key, there.as_ref().map(|document| &document.etag))?;
                if changes && when == Precondition::Absent {
                    return Err(Problem::missing(key));
                }
                when
            }
        };
        let is_direct = direct.is_some();
        let work = asked.unit(vec![make(when)]);
        match store.apply(work).await {
            Ok(mut receipt) => {
                return receipt
                    .written
                    .pop()
                    .ok_or_else(|| Error::new(Kind::Internal, "R0901", "a write gave no receipt").into());
            }
            Err(error) if error.code() == "R0401" && !is_direct && tried < TRIES => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Problem::missing(key))
}

/// The answer to a write: the document, as it stands behind it, or nothing where that is preferred.
pub(super) async fn written(
    asked: &Asked<'_>,
    (status, key): (StatusCode, &DocumentKey),
    written: Written,
) -> Answered {
    let Written::Put(etag) = written else { return Err(Problem::missing(key)) };
    let created = status == StatusCode::CREATED;
    let mut response = if Preferences::of(&asked.head.headers).minimal {
        let mut response = answer::empty(StatusCode::NO_CONTENT, Some(&etag));
        Preferences::applied(&mut response, "return=minimal");
        response
    } else {
        match asked.app.store().get(key).await? {
            Some(found) => document(asked, status, found),
            // somebody deleted it since
            None => answer::empty(status, Some(&etag)),
        }
    };
    if created {
        located(&mut response, &path_of(key));
    }
    Ok(response)
}

pub(super) fn located(response: &mut Response, path: &str) {
    let location = HeaderValue::from_str(path);
    response.headers_mut().extend(location.ok().map(|path| (header::LOCATION, path)));
}

pub(super) fn media(asked: &Asked<'_>, key: &DocumentKey) -> &'static str {
    let shape = asked.app.shape(key.collection());
    shape.map_or("application/octet-stream", |shape| media_type(shape.format))
}
