//! Connections: accepted within bounds, served, and finished when the server is told to stop.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioExecutor;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use repot_core::{Error, Kind, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use crate::app::App;
use crate::reload::Models;
use crate::stalled::Stalling;

/// Pause after a connection could not be accepted, so that a lack of file descriptors is no busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A server that has its address.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    models: Models,
}

/// Where it listens.
pub type Bound = SocketAddr;

impl Server {
    /// Takes the address; nothing is answered yet.
    ///
    /// # Errors
    /// `R0124` when it cannot be had.
    pub async fn bind(app: App, address: &str) -> Result<Self> {
        let taken = |error: io::Error| {
            Error::new(Kind::Invalid, "R0124", format!("{address} cannot be listened on"))
                .hint("Name another address with --listen or REPOT_LISTEN, such as 127.0.0.1:7070.")
                .cause(error)
        };
        let listener = TcpListener::bind(address).await.map_err(taken)?;
        Ok(Self { listener, models: Models::new(app) })
    }

    /// What it answers from, to be replaced while it runs.
    #[must_use]
    pub fn models(&self) -> Models {
        self.models.clone()
    }

    /// Where it listens; the port is one that was free where 0 was asked for.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn address(&self) -> Result<Bound> {
        self.listener.local_addr().map_err(|error| {
            Error::new(Kind::Failed, "R0124", "the system does not tell the server's address").cause(error)
        })
    }

    /// Serves until `stop` comes back. Then no connection is accepted any more, and requests that came have the time of
    /// [`crate::Options::drain_ms`]; gives how many connections were cut off then.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) -> usize {
        let Self { listener, models } = self;
        let options = models.app().options().clone();
        let places = Arc::new(Semaphore::new(options.connections_max));
        let graceful = GracefulShutdown::new();
        let mut builder = Builder::new(TokioExecutor::new()).http1_only();
        builder.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_millis(options.head_ms));
        let mut stop = pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = accept(&listener, &places) => accepted,
            };
            let Some((stream, place)) = accepted else { continue };
            let models = models.clone();
            // each request gets what is in force when it comes
            let service = tower::service_fn(move |request| models.routes().oneshot(request));
            let service = TowerToHyperService::new(service);
            let stream = TokioIo::new(Stalling::new(stream, options.write_ms));
            let connection = builder.serve_connection_with_upgrades(stream, service).into_owned();
            let connection = graceful.watch(connection);
            tokio::spawn(async move {
                // what a client breaks is nobody's loss but its own
                let _ended = connection.await;
                drop(place);
            });
        }
        drop(listener);
        let app = models.app();
        // streams and waits have no end of their own
        app.feed().end();
        let finished = async {
            graceful.shutdown().await;
            // sockets are connections that were handed over
            app.feed().ended().await;
        };
        match tokio::time::timeout(Duration::from_millis(options.drain_ms), finished).await {
            Ok(()) => 0,
            Err(_elapsed) => options.connections_max.saturating_sub(places.available_permits()),
        }
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            // answers are small and whole: waiting to fill a packet only delays them
            let _without = stream.set_nodelay(true);
            Some((stream, place))
        }
        Err(_refused) => {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}
