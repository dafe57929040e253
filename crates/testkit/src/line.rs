//! A line between a program and a server that a test can cut, silence, or make lose answers.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Bytes that go through at once.
const PIECE_BYTES: usize = 64 << 10;

/// What becomes of what is sent over a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// All of it arrives.
    Flows,
    /// Connections are reset, those that are there and those that come.
    Cut,
    /// Nothing arrives, and nobody is told: connections stay, and go on when this is over.
    Silent,
    /// What is asked arrives, what is answered does not; connections that lost an answer are reset when this is over.
    LosesAnswers,
}

/// A line to one server, at an address of its own. It ends with the value.
#[derive(Debug)]
pub struct Line {
    address: SocketAddr,
    traffic: Option<watch::Sender<Traffic>>,
    thread: Option<JoinHandle<()>>,
}

impl Line {
    /// A line to the server at this address.
    ///
    /// # Panics
    /// If there is no free port or thread.
    #[must_use]
    pub fn to(server: SocketAddr) -> Self {
        let (traffic, watched) = watch::channel(Traffic::Flows);
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = listener.expect("the loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        listener.set_nonblocking(true).expect("a listener need not block");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        let thread = thread::Builder::new().name("line".to_owned()).spawn(move || {
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).expect("this runs inside the runtime");
                let mut ended = watched.clone();
                tokio::select! {
                    () = accept(listener, server, watched) => {}
                    () = gone(&mut ended) => {}
                }
            });
        });
        Self { address, traffic: Some(traffic), thread: Some(thread.expect("a thread can be started")) }
    }

    /// Where it begins.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on this becomes of what is sent.
    pub fn set(&self, traffic: Traffic) {
        if let Some(sender) = &self.traffic {
            sender.send_replace(traffic);
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        drop(self.traffic.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has already been printed, and a second one here would end the test process.
            drop(thread.join());
        }
    }
}

/// Comes back when the line is over.
async fn gone(watched: &mut watch::Receiver<Traffic>) {
    while watched.changed().await.is_ok() {}
}

async fn accept(listener: TcpListener, server: SocketAddr, watched: watch::Receiver<Traffic>) {
    loop {
        match listener.accept().await {
            Ok((from, _)) => {
                tokio::spawn(carry(from, server, watched.clone()));
            }
            // too many open files, or one that went before it was met
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Carries one connection; both ends are reset where it is cut, and closed where an end closes it.
async fn carry(from: TcpStream, server: SocketAddr, mut watched: watch::Receiver<Traffic>) {
    let _quick = from.set_nodelay(true);
    let cut = |stream: &TcpStream| stream.set_zero_linger().is_ok();
    if watched.wait_for(|traffic| *traffic != Traffic::Silent).await.is_ok_and(|now| *now == Traffic::Cut) {
        cut(&from);
        return;
    }
    let Ok(to) = TcpStream::connect(server).await else {
        cut(&from);
        return;
    };
    let _quick = to.set_nodelay(true);
    let ((asks, answers), (replies, asked)) = (from.into_split(), to.into_split());
    // each end is held until both ways are done with it, so that a reset reaches both
    let mut up = Way { reads: asks, writes: asked, watched: watched.clone(), answers: false };
    let mut down = Way { reads: replies, writes: answers, watched, answers: true };
    let broken = tokio::select! {
        ended = up.carry() => ended,
        ended = down.carry() => ended,
    };
    if broken.is_err() {
        cut(up.reads.as_ref());
        cut(down.reads.as_ref());
    }
}

/// One way of a connection.
struct Way {
    reads: OwnedReadHalf,
    writes: OwnedWriteHalf,
    watched: watch::Receiver<Traffic>,
    /// From the server.
    answers: bool,
}

impl Way {
    /// Comes back when an end closed it; an error says that it is to be reset.
    async fn carry(&mut self) -> io::Result<()> {
        let reset = || Err(io::Error::from(io::ErrorKind::ConnectionReset));
        let (mut piece, mut lost) = (vec![0; PIECE_BYTES], false);
        loop {
            let traffic = *self.watched.borrow_and_update();
            let loses = traffic == Traffic::LosesAnswers && self.answers;
            if traffic == Traffic::Cut || (lost && !loses) {
                return reset();
            }
            tokio::select! {
                // what was said before the answer came counts for it
                biased;
                changed = self.watched.changed() => if changed.is_err() {
                    return reset();
                },
                read = self.reads.read(&mut piece), if traffic != Traffic::Silent => match read? {
                    0 => return Ok(()),
                    _ if loses => lost = true,
                    bytes => self.writes.write_all(piece.get(..bytes).unwrap_or_default()).await?,
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc;
    use std::thread;

    use super::{Line, Traffic};

    /// A server that says back what it is told, and tells the test.
    fn echo() -> (std::net::SocketAddr, mpsc::Receiver<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, (sender, told)) = (listener.local_addr().unwrap(), mpsc::channel());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, sender) = (stream.unwrap(), sender.clone());
                thread::spawn(move || {
                    let mut byte = [0];
                    while stream.read_exact(&mut byte).is_ok() {
                        if sender.send(byte[0]).is_err() || stream.write_all(&byte).is_err() {
                            break;
                        }
                    }
                });
            }
        });
        (address, told)
    }

    fn answer(stream: &mut TcpStream) -> Option<u8> {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok().map(|()| byte[0])
    }

    #[test]
    fn a_line_flows_falls_silent_loses_answers_and_is_cut() {
        let (server, told) = echo();
        let line = Line::to(server);
        let connect = || TcpStream::connect(line.address()).unwrap();
        let mut stream = connect();
        stream.write_all(b"a").unwrap();
        assert_eq!((told.recv().unwrap(), answer(&mut stream)), (b'a', Some(b'a')));
        line.set(Traffic::Silent);
        stream.write_all(b"b").unwrap();
        assert!(told.try_recv().is_err());
        line.set(Traffic::Flows);
        assert_eq!((told.recv().unwrap(), answer(&mut stream)), (b'b', Some(b'b')));
        line.set(Traffic::LosesAnswers);
        stream.write_all(b"c").unwrap();
        assert_eq!(told.recv().unwrap(), b'c', "it was done");
        // who asks on another connection meanwhile is not answered either
        let mut other = connect();
        other.write_all(b"d").unwrap();
        assert_eq!(told.recv().unwrap(), b'd');
        line.set(Traffic::Cut);
        assert_eq!((answer(&mut stream), answer(&mut other)), (None, None));
        assert_eq!(answer(&mut connect()), None);
        line.set(Traffic::Flows);
        let mut again = connect();
        again.write_all(b"e").unwrap();
        assert_eq!((told.recv().unwrap(), answer(&mut again)), (b'e', Some(b'e')));
        drop(line);
        assert_eq!(answer(&mut again), None);
    }
}
