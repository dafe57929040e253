//! The S3 protocol over the bucket.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::stream;
use hyper::StatusCode;
use hyper::header::HeaderValue;
use md5::{Digest as _, Md5};
use s3s::dto::{
    CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, DeleteObjectInput, DeleteObjectOutput,
    DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, GetObjectInput, GetObjectOutput, HeadBucketInput,
    HeadBucketOutput, HeadObjectInput, HeadObjectOutput, ListObjectsV2Input, ListObjectsV2Output,
    PutObjectInput, PutObjectOutput, StreamingBlob,
};
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use crate::bucket::{Bucket, Object, allow_read};
use crate::fault::{Condition, Fault, Op};
use crate::lab::{BUCKET, HANGUP};
use crate::listing;

impl Bucket {
    /// Notes a request and lets happen to it what is planned before it is carried out.
    async fn arrive(&self, op: Op, bucket: &str, key: &str) -> S3Result<Option<Fault>> {
        let fault = self.state().arrive(op, key);
        match fault {
            Some(Fault::Status(status)) => return Err(planned(status)),
            Some(Fault::Delay(time)) => tokio::time::sleep(time).await,
            _ => {}
        }
        if bucket == BUCKET { Ok(fault) } else { Err(s3_error!(NoSuchBucket)) }
    }
}

/// The last step of a request that may have lost its answer.
fn answer<T>(fault: Option<Fault>, output: T) -> S3Result<S3Response<T>> {
    match fault {
        Some(Fault::Hangup) => {
            let mut answer = S3Response::new(output);
            answer.headers.insert(HANGUP, HeaderValue::from_static("now"));
            Ok(answer)
        }
        Some(Fault::AckLoss | Fault::Overtaken) => {
            Err(s3_error!(InternalError, "carried out, but planned to say otherwise"))
        }
        _ => Ok(S3Response::new(output)),
    }
}

fn planned(status: u16) -> S3Error {
    let code = match status {
        403 => S3ErrorCode::AccessDenied,
        404 => S3ErrorCode::NoSuchKey,
        409 => S3ErrorCode::ConditionalRequestConflict,
        412 => S3ErrorCode::PreconditionFailed,
        429 | 503 => S3ErrorCode::SlowDown,
        _ => S3ErrorCode::InternalError,
    };
    let mut error = S3Error::with_message(code, "planned by the test");
    error.set_status_code(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    error
}

async fn collect(body: Option<StreamingBlob>, promised: Option<i64>) -> S3Result<Bytes> {
    let mut bytes = Vec::new();
    if let Some(mut body) = body {
        let broken = |error| S3Error::with_source(S3ErrorCode::IncompleteBody, error);
        while let Some(part) = body.try_next().await.map_err(broken)? {
            bytes.extend_from_slice(&part);
        }
    }
    if promised.is_some_and(|length| usize::try_from(length) != Ok(bytes.len())) {
        return Err(s3_error!(IncompleteBody));
    }
    Ok(bytes.into())
}

/// The body as it goes out, spoiled if that is planned.
fn outgoing(body: Bytes, fault: Option<Fault>) -> StreamingBlob {
    match fault {
        Some(Fault::Truncate(length)) => {
            let part = body.slice(..length.min(body.len()));
            let cut = std::io::Error::other("cut by the test");
            StreamingBlob::wrap(stream::iter([Ok(part), Err(cut)]))
        }
        Some(Fault::Flip) => {
            let mut bytes = body.to_vec();
            if let Some(first) = bytes.first_mut() {
                *first ^= 1;
            }
            StreamingBlob::from(s3s::Body::from(Bytes::from(bytes)))
        }
        _ => StreamingBlob::from(s3s::Body::from(body)),
    }
}

/// The body as it comes in, spoiled if that is planned.
fn arrived(body: Bytes, fault: Option<Fault>) -> Bytes {
    if fault != Some(Fault::Flip) {
        return body;
    }
    let mut bytes = body.to_vec();
    if let Some(first) = bytes.first_mut() {
        *first ^= 1;
    }
    bytes.into()
}

fn check_md5(body: &Bytes, promised: Option<&str>) -> S3Result<()> {
    let Some(promised) = promised else { return Ok(()) };
    let promised = STANDARD.decode(promised).map_err(|error| {
        let mut wrong = S3Error::with_source(S3ErrorCode::InvalidDigest, Box::new(error));
        wrong.set_message("Content-MD5 is no base64");
        wrong
    })?;
    if promised.as_slice() == Md5::digest(body).as_slice() { Ok(()) } else { Err(s3_error!(BadDigest)) }
}

fn length(body: &Bytes) -> Option<i64> {
    i64::try_from(body.len()).ok()
}

#[async_trait::async_trait]
impl S3 for Bucket {
    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        if request.input.bucket != BUCKET {
            return Err(s3_error!(NoSuchBucket));
        }
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let fault = self.arrive(Op::List, &input.bucket, input.prefix.as_deref().unwrap_or_default()).await?;
        let state = self.state();
        answer(fault, listing::list(&state.objects, input, state.page)?)
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let fault = self.arrive(Op::Get, &input.bucket, &input.key).await?;
        let object = self.state().get(&input.key)?.clone();
        allow_read(&object, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let whole = object.body.len();
        let (body, range) = match input.range {
            None => (object.body.clone(), None),
            Some(range) => {
                let asked = range.check(whole as u64)?;
                let shown = format!("bytes {}-{}/{whole}", asked.start, asked.end.saturating_sub(1));
                let place = |at: u64| usize::try_from(at).unwrap_or(whole);
                (object.body.slice(place(asked.start)..place(asked.end)), Some(shown))
            }
        };
        let output = GetObjectOutput {
            content_length: length(&body),
            content_range: range,
            e_tag: Some(object.entity_tag()),
            last_modified: Some(object.modified.into()),
            content_type: object.content_type.and_then(|text| text.parse().ok()),
            metadata: object.metadata,
            body: Some(outgoing(body, fault)),
            ..GetObjectOutput::default()
        };
        answer(fault, output)
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        let fault = self.arrive(Op::Head, &input.bucket, &input.key).await?;
        let object = self.state().get(&input.key)?.clone();
        allow_read(&object, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let output = HeadObjectOutput {
            content_length: length(&object.body),
            e_tag: Some(object.entity_tag()),
            last_modified: Some(object.modified.into()),
            content_type: object.content_type.and_then(|text| text.parse().ok()),
            metadata: object.metadata,
            ..HeadObjectOutput::default()
        };
        answer(fault, output)
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let input = request.input;
        let fault = self.arrive(Op::Put, &input.bucket, &input.key).await?;
        let body = arrived(collect(input.body, input.content_length).await?, fault);
        check_md5(&body, input.content_md5.as_deref())?;
        let mut object = Object::new(body);
        object.content_type = input.content_type.map(|kind| kind.to_string());
        object.metadata = input.metadata;
        let tag = object.entity_tag();
        {
            let mut state = self.state();
            let matches = state.minded(Condition::PutIfMatch, input.if_match);
            let matches_none = state.minded(Condition::PutIfNoneMatch, input.if_none_match);
            state.allow_write(&input.key, matches.as_ref(), matches_none.as_ref())?;
            state.objects.insert(input.key.clone(), object);
            state.overtake(fault, &input.key);
        }
        answer(fault, PutObjectOutput { e_tag: Some(tag), ..PutObjectOutput::default() })
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = request.input;
        let fault = self.arrive(Op::Delete, &input.bucket, &input.key).await?;
        {
            let mut state = self.state();
            let matches = state.minded(Condition::DeleteIfMatch, input.if_match);
            state.allow_write(&input.key, matches.as_ref(), None)?;
            state.objects.remove(&input.key);
            state.overtake(fault, &input.key);
        }
        answer(fault, DeleteObjectOutput::default())
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let input = request.input;
        let mut fault = None;
        for object in &input.delete.objects {
            fault = self.arrive(Op::Delete, &input.bucket, &object.key).await?;
        }
        let mut state = self.state();
        let deleted = input.delete.objects.into_iter().map(|object| {
            state.objects.remove(&object.key);
            DeletedObject { key: Some(object.key), ..DeletedObject::default() }
        });
        let deleted = deleted.collect();
        answer(fault, DeleteObjectsOutput { deleted: Some(deleted), ..DeleteObjectsOutput::default() })
    }

    async fn copy_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        let input = request.input;
        let fault = self.arrive(Op::Copy, &input.bucket, &input.key).await?;
        let CopySource::Bucket { bucket, key, .. } = input.copy_source else {
            return Err(s3_error!(NotImplemented));
        };
        if &*bucket != BUCKET {
            return Err(s3_error!(NoSuchBucket));
        }
        let mut state = self.state();
        let source = state.get(&key)?.clone();
        allow_read(&source, input.copy_source_if_match.as_ref(), input.copy_source_if_none_match.as_ref())?;
        let mut object = Object::new(source.body);
        object.content_type = source.content_type;
        object.metadata = source.metadata;
        let result = CopyObjectResult {
            e_tag: Some(object.entity_tag()),
            last_modified: Some(object.modified.into()),
            ..CopyObjectResult::default()
        };
        state.objects.insert(input.key, object);
        answer(fault, CopyObjectOutput { copy_object_result: Some(result), ..CopyObjectOutput::default() })
    }
}
