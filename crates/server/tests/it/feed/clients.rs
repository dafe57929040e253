//! Clients of streams, on plain sockets: server-sent events in chunks, and WebSocket frames.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpSocket, TcpStream};

/// Something that was sent.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Event {
    pub id: Option<u64>,
    pub name: Option<String>,
    pub data: Option<Value>,
    pub comment: Option<String>,
}

/// A stream of server-sent events.
pub(crate) struct Events {
    stream: BufReader<TcpStream>,
    pub status: u16,
    text: String,
}

impl Events {
    /// `None`: nobody answers there.
    pub(crate) async fn try_open(address: SocketAddr, query: &str, headers: &str) -> Option<Self> {
        Self::over(TcpStream::connect(address).await.ok()?, query, headers).await
    }

    /// With little room for what comes.
    pub(crate) async fn open_narrow(address: SocketAddr, query: &str, headers: &str) -> Self {
        Self::over(narrow(address).await, query, headers).await.unwrap()
    }

    async fn over(mut stream: TcpStream, query: &str, headers: &str) -> Option<Self> {
        let head = format!(
            "GET /v1:changes{query} HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n{headers}\r\n"
        );
        stream.write_all(head.as_bytes()).await.ok()?;
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let status = line.split(' ').nth(1)?.parse().ok()?;
        while line != "\r\n" {
            line.clear();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
        }
        Some(Self { stream, status, text: String::new() })
    }

    pub(crate) async fn open(address: SocketAddr, query: &str, headers: &str) -> Self {
        let opened = Self::try_open(address, query, headers).await.unwrap();
        assert_eq!(opened.status, 200);
        opened
    }

    /// The next event; `None` when the stream ended or broke.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let event = parse(event);
                self.text = rest.to_owned();
                return Some(event);
            }
            let mut line = String::new();
            self.stream.read_line(&mut line).await.ok()?;
            let size = usize::from_str_radix(line.trim(), 16).ok()?;
            let mut chunk = vec![0; size + 2];
            self.stream.read_exact(&mut chunk).await.ok()?;
            if size == 0 {
                return None;
            }
            self.text.push_str(std::str::from_utf8(&chunk).unwrap().strip_suffix("\r\n").unwrap());
        }
    }

    /// The next change.
    pub(crate) async fn change(&mut self) -> Option<Value> {
        loop {
            let event = self.next().await?;
            if let Some(data) = event.data {
                assert_eq!(event.name, None, "{data}");
                assert_eq!(event.id, data["seq"].as_u64());
                return Some(data);
            }
        }
    }
}

async fn narrow(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    socket.connect(address).await.unwrap()
}

fn parse(text: &str) -> Event {
    let mut event = Event::default();
    for line in text.lines() {
        match line.split_once(':').unwrap() {
            ("", comment) => event.comment = Some(comment.trim().to_owned()),
            ("id", id) => event.id = Some(id.trim().parse().unwrap()),
            ("event", name) => event.name = Some(name.trim().to_owned()),
            ("data", data) => event.data = Some(serde_json::from_str(data).unwrap()),
            ("retry", ms) => assert_eq!(ms.trim(), "1000"),
            other => unreachable!("{other:?}"),
        }
    }
    event
}

/// A WebSocket.
pub(crate) struct Socket(BufReader<TcpStream>);

/// A frame of a server.
#[derive(Debug, PartialEq)]
pub(crate) enum Frame {
    Text(Value),
    Pong(Vec<u8>),
    /// Why it ends.
    Close(u16),
}

impl Socket {
    /// The status that answers the handshake, and the socket; `None`: nobody answers there.
    pub(crate) async fn try_open(address: SocketAddr, query: &str, headers: &str) -> Option<(u16, Self)> {
        Self::over(TcpStream::connect(address).await.ok()?, query, headers).await
    }

    /// With little room for what comes.
    pub(crate) async fn open_narrow(address: SocketAddr, query: &str) -> (u16, Self) {
        Self::over(narrow(address).await, query, "").await.unwrap()
    }

    async fn over(mut stream: TcpStream, query: &str, headers: &str) -> Option<(u16, Self)> {
        let head = format!(
            "GET /v1:changes{query} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        stream.write_all(head.as_bytes()).await.ok()?;
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let status = line.split(' ').nth(1)?.parse().ok()?;
        while line != "\r\n" {
            line.clear();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
        }
        Some((status, Self(stream)))
    }

    pub(crate) async fn open(address: SocketAddr, query: &str, headers: &str) -> (u16, Self) {
        Self::try_open(address, query, headers).await.unwrap()
    }

    /// Sends a ping, masked with nothing.
    pub(crate) async fn ping(&mut self, text: &str) {
        let mut frame = vec![0x89, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
        frame.extend_from_slice(text.as_bytes());
        self.0.write_all(&frame).await.unwrap();
    }

    /// The next frame; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let first = self.0.read_u8().await.ok()?;
        let size = match self.0.read_u8().await.ok()? {
            126 => usize::from(self.0.read_u16().await.ok()?),
            127 => usize::try_from(self.0.read_u64().await.ok()?).unwrap(),
            small => usize::from(small),
        };
        let mut body = vec![0; size];
        self.0.read_exact(&mut body).await.ok()?;
        Some(match first {
            0x81 => Frame::Text(serde_json::from_slice(&body).unwrap()),
            0x8a => Frame::Pong(body),
            0x88 => Frame::Close(u16::from_be_bytes([body[0], body[1]])),
            other => unreachable!("{other:x}"),
        })
    }

    pub(crate) async fn text(&mut self) -> Value {
        match self.next().await {
            Some(Frame::Text(text)) => text,
            other => unreachable!("{other:?}"),
        }
    }
}
