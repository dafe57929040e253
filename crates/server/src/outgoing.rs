//! Requests that the server itself makes: only to addresses that whoever runs it has named, never to one from a request.

use std::net::IpAddr;
use std::time::Duration;

use repot_core::{Error, Kind, Result};
use reqwest::{Client, Url};

/// How long a connection may take to be there.
const CONNECT: Duration = Duration::from_secs(2);

/// A client for one address; a request takes `most` at the longest, with its answer. Follows nobody elsewhere.
///
/// # Errors
/// `R0901` when the system's certificates cannot be used.
pub(crate) fn client(url: &Url, most: Duration) -> Result<Client> {
    // another part of the program may have chosen a provider already; any will do
    let _chosen = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .connect_timeout(CONNECT)
        .timeout(most)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("repot/", env!("CARGO_PKG_VERSION")));
    let builder = if is_loopback(url) { builder.no_proxy() } else { builder };
    builder.build().map_err(|error| {
        Error::new(Kind::Failed, "R0901", "the network client cannot be made").cause(error.without_url())
    })
}

/// Whether it is on this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
