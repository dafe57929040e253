//! The server as a test holds it.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::sync::{oneshot, watch};

use crate::bucket::{Bucket, Object};
use crate::fault::{Condition, Fault, Op, Planned, Request};
use crate::gate::Gate;

pub(crate) const BUCKET: &str = "lab";
/// Marks an answer that never leaves.
pub(crate) const HANGUP: &str = "x-lab-hangup";
const ACCESS_KEY: &str = "labaccesskey";
const SECRET_KEY: &str = "labsecretkey";

/// A running server with one bucket; it stops with the value.
#[derive(Debug)]
pub struct S3Lab {
    bucket: Bucket,
    closed: watch::Sender<bool>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl S3Lab {
    /// Starts a server on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// If there is no free port or thread.
    #[must_use]
    pub fn start() -> Self {
        Self::start_on(0).expect("the loopback has a free port")
    }

    /// Starts a server on this port of 127.0.0.1.
    ///
    /// # Errors
    /// If the port is taken.
    pub fn start_on(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let bucket = Bucket::new();
        let mut builder = S3ServiceBuilder::new(bucket.clone());
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let closed = watch::Sender::new(false);
        let gate = Gate::new(bucket.clone(), closed.subscribe(), builder.build());
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new().name("s3lab".to_owned()).spawn(move || {
            runtime.block_on(async move {
                tokio::select! {
                    () = serve(listener, gate) => {}
                    // An error means that the sender is gone, which is the same word.
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { bucket, closed, address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where the server is, without the bucket: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The name of the one bucket.
    #[must_use]
    pub fn bucket(&self) -> &'static str {
        BUCKET
    }

    /// The access key that requests must be signed with.
    #[must_use]
    pub fn access_key(&self) -> &'static str {
        ACCESS_KEY
    }

    /// The secret key that requests must be signed with.
    #[must_use]
    pub fn secret_key(&self) -> &'static str {
        SECRET_KEY
    }

    /// Puts an object into the bucket, past all faults.
    pub fn put(&self, key: impl Into<String>, body: impl AsRef<[u8]>) {
        let object = Object::new(Bytes::copy_from_slice(body.as_ref()));
        self.bucket.state().objects.insert(key.into(), object);
    }

    /// The body of an object, past all faults.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.bucket.state().objects.get(key).map(|object| object.body.to_vec())
    }

    /// Removes an object, past all faults; says whether it was there.
    pub fn remove(&self, key: &str) -> bool {
        self.bucket.state().objects.remove(key).is_some()
    }

    /// All keys in order.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.bucket.state().objects.keys().cloned().collect()
    }

    /// All objects.
    #[must_use]
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.bucket.state();
        state.objects.iter().map(|(key, object)| (key.clone(), object.body.to_vec())).collect()
    }

    /// Lets the next `count` requests of this kind meet this fault. Faults of one kind of request are used up in the
    /// order they were planned.
    pub fn fail(&self, op: Op, fault: Fault, count: usize) {
        self.bucket.state().planned.push(Planned { op, fault, left: count });
    }

    /// Forgets the faults that have not happened yet.
    pub fn heal(&self) {
        self.bucket.state().planned.clear();
    }

    /// From now on accepts this condition and ignores it, as some servers do.
    pub fn ignore(&self, condition: Condition) {
        self.bucket.state().ignored.push(condition);
    }

    /// From now on writes wait before anything of them is looked at, until [`S3Lab::release`].
    pub fn hold(&self) {
        self.closed.send_replace(true);
    }

    /// How many writes wait.
    #[must_use]
    pub fn held(&self) -> usize {
        self.bucket.state().held
    }

    /// Lets the writes go on that wait, and those that come.
    pub fn release(&self) {
        self.closed.send_replace(false);
    }

    /// Turns the clock by which the time of a signed address is over; the machine's own is looked at too.
    pub fn turn_clock(&self, seconds: i64) {
        self.bucket.state().ahead_seconds += seconds;
    }

    /// Lists at most this many entries in a page, so that few objects make many pages.
    pub fn limit_pages(&self, entries: usize) {
        self.bucket.state().page = entries.max(1);
    }

    /// The requests that came so far, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.bucket.state().requests.clone()
    }
}

impl Drop for S3Lab {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has already been printed, and a second one here would end the test process.
            drop(thread.join());
        }
    }
}

async fn serve(listener: TcpListener, gate: Gate) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("this runs inside the runtime");
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let gate = gate.clone();
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let answer = gate.clone().pass(request);
            async move {
                let answer = answer.await?;
                if answer.headers().contains_key(HANGUP) {
                    return Err(io::Error::other("hung up by the test"));
                }
                Ok(answer)
            }
        });
        tokio::spawn(async move {
            if stream.set_nodelay(true).is_err() {
                return;
            }
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            // A client that goes away, or a body that is cut on purpose, ends the connection with an error.
            drop(connection.await);
        });
    }
}
