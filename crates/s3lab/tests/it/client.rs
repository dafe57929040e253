//! The client that the tests look through: the one Repot itself uses.

use std::time::Duration;

use futures_util::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder, S3ConditionalPut};
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use repot_s3lab::S3Lab;

/// A laboratory and a client that tries each request `1 + retries` times.
pub(crate) fn lab(retries: usize) -> (S3Lab, AmazonS3) {
    let lab = S3Lab::start();
    let client = client(&lab, lab.secret_key(), retries);
    (lab, client)
}

pub(crate) fn client(lab: &S3Lab, secret: &str, retries: usize) -> AmazonS3 {
    let provider = rustls::crypto::ring::default_provider();
    // A second test of this process finds it installed.
    drop(provider.install_default());
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(1),
        max_backoff: Duration::from_millis(5),
        base: 2.0,
    };
    AmazonS3Builder::new()
        .with_endpoint(lab.endpoint())
        .with_bucket_name(lab.bucket())
        .with_region("auto")
        .with_access_key_id(lab.access_key())
        .with_secret_access_key(secret)
        .with_client_options(ClientOptions::new().with_allow_http(true))
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_retry(RetryConfig { max_retries: retries, backoff, retry_timeout: Duration::from_secs(5) })
        .build()
        .expect("the settings are complete")
}

pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("there are threads")
        .block_on(work)
}

/// The keys under a prefix, as the client lists them.
pub(crate) async fn keys(client: &AmazonS3, prefix: &str) -> Vec<String> {
    let prefix = Path::from(prefix);
    let listed: Vec<_> = client.list(Some(&prefix)).try_collect().await.expect("the listing comes through");
    listed.into_iter().map(|meta| meta.location.to_string()).collect()
}
