//! What becomes of a request before the protocol sees it: writes are held for as long as a test wants, and what is signed in its address is
//! refused when its time is over by the lab's own clock, which a test can turn.

use std::io;
use std::time::UNIX_EPOCH;

use hyper::body::Incoming;
use hyper::service::Service;
use hyper::{Method, Request, Response, StatusCode, Uri};
use s3s::Body;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::sync::watch;

use crate::bucket::Bucket;
use crate::fault::Condition;

/// The protocol behind the gate.
#[derive(Clone)]
pub(crate) struct Gate {
    bucket: Bucket,
    closed: watch::Receiver<bool>,
    signed: S3Service,
    /// Believes everybody; for a lab that does not mind the time of a signature.
    open: S3Service,
}

impl Gate {
    pub(crate) fn new(bucket: Bucket, closed: watch::Receiver<bool>, signed: S3Service) -> Self {
        let open = S3ServiceBuilder::new(bucket.clone()).build();
        Self { bucket, closed, signed, open }
    }

    /// Answers one request.
    pub(crate) async fn pass(mut self, mut request: Request<Incoming>) -> io::Result<Response<Body>> {
        if matches!(*request.method(), Method::PUT | Method::DELETE) {
            self.bucket.state().held += 1;
            // the lab is gone: so is whoever wanted it held
            drop(self.closed.wait_for(|closed| !closed).await);
            self.bucket.state().held -= 1;
        }
        if let Some(end) = end(request.uri()) {
            if self.bucket.state().ignored.contains(&Condition::Expiry) {
                *request.uri_mut() = unsigned(request.uri());
                return Service::call(&self.open, request).await.map_err(io::Error::other);
            }
            if self.now() > end {
                return Ok(expired());
            }
        }
        Service::call(&self.signed, request).await.map_err(io::Error::other)
    }

    /// Seconds since 1970 by the lab's clock.
    #[expect(clippy::disallowed_methods, reason = "a server has its own time")]
    fn now(&self) -> i64 {
        let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX) + self.bucket.state().ahead_seconds
    }
}

/// The value of a parameter of an address.
fn parameter<'u>(uri: &'u Uri, name: &str) -> Option<&'u str> {
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// The second in which an address that is signed was good for the last time.
fn end(uri: &Uri) -> Option<i64> {
    let from = parameter(uri, "X-Amz-Date")?;
    let seconds: i64 = parameter(uri, "X-Amz-Expires")?.parse().ok()?;
    let number = |range: std::ops::Range<usize>| from.get(range).and_then(|text| text.parse::<i64>().ok());
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    let (hour, minute, second) = (number(9..11)?, number(11..13)?, number(13..15)?);
    // a year begins in March, so that a leap day is its last
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second + seconds)
}

/// The same address without its signature.
fn unsigned(uri: &Uri) -> Uri {
    let kept: Vec<&str> =
        uri.query().unwrap_or_default().split('&').filter(|pair| !pair.starts_with("X-Amz-")).collect();
    let mark = if kept.is_empty() { "" } else { "?" };
    format!("{}{mark}{}", uri.path(), kept.join("&")).parse().unwrap_or_else(|_| uri.clone())
}

fn expired() -> Response<Body> {
    let text = "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>";
    let mut answer = Response::new(Body::from(text.to_owned()));
    *answer.status_mut() = StatusCode::FORBIDDEN;
    answer
}

#[cfg(test)]
mod tests {
    use super::{end, unsigned};

    #[test]
    fn an_address_says_when_its_time_is_over() {
        for (date, seconds) in [
            ("19700101T000000Z", 0),
            ("20130524T000000Z", 1_369_353_600),
            ("20240229T235959Z", 1_709_251_199),
            ("20240301T000000Z", 1_709_251_200),
            ("20261231T120102Z", 1_798_718_462),
        ] {
            let uri = format!("/lab/a?X-Amz-Date={date}&X-Amz-Expires=7").parse().unwrap();
            assert_eq!(end(&uri), Some(seconds + 7), "{date}");
        }
        assert_eq!(end(&"/lab/a?list-type=2".parse().unwrap()), None);
    }

    #[test]
    fn a_signature_is_taken_out() {
        let uri = "/lab/a%20b?X-Amz-Date=1&x-id=PutObject&X-Amz-Signature=2".parse().unwrap();
        assert_eq!(unsigned(&uri), "/lab/a%20b?x-id=PutObject");
        assert_eq!(unsigned(&"/lab/a?X-Amz-Date=1".parse().unwrap()), "/lab/a");
    }
}
