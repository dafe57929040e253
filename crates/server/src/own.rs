//! Requests of the process itself: the same routes, without a connection.

use axum::body::Body;
use axum::http::{Request, Response};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use repot_core::{Error, Kind, Result};
use tower::ServiceExt as _;

use crate::app::App;
use crate::routes::router;

impl App {
    /// What a server over this app would answer. With [`crate::Options::is_own`] no key is asked for.
    ///
    /// # Errors
    /// When the answer breaks off, as one does whose listing fails on the way.
    pub async fn answer(&self, request: Request<Bytes>) -> Result<Response<Bytes>> {
        let Ok(response) = router(self.clone()).oneshot(request.map(Body::from)).await;
        let (head, body) = response.into_parts();
        let body = body
            .collect()
            .await
            .map_err(|error| Error::new(Kind::Failed, "R0901", "the answer broke off").cause(error))?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}
