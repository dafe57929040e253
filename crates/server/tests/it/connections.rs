//! Connections: bounds, and the end.

use std::time::Duration;

use repot::{Config, Repot};
use repot_server::{App, Options, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::kit::{DRAMAS, outside};

async fn serve(options: Options) -> (std::net::SocketAddr, oneshot::Sender<()>, JoinHandle<usize>) {
    let repot = Repot::open(Config::with_model_text("memory:", DRAMAS)).await.unwrap();
    let app = App::new(repot.store(), repot.layout().clone(), outside(), options).unwrap();
    let server = Server::bind(app, "127.0.0.1:0").await.unwrap();
    let address = server.address().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async {
        let _dropped = stopped.await;
    }));
    (address, stop, running)
}

async fn all(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn requests_that_came_are_finished_and_then_it_ends() {
    let (address, stop, running) = serve(Options::default()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"PUT /v1/dramas/d1 HTTP/1.1\r\nhost: x\r\ncontent-length: 23\r\n\r\n{\"id\":\"d1\"")
        .await
        .unwrap();
    // the server has begun to read it once it answers another one
    let mut other = TcpStream::connect(address).await.unwrap();
    other.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    assert!(all(&mut other).await.starts_with("HTTP/1.1 200"));
    stop.send(()).unwrap();
    stream.write_all(b",\"title\":\"a\"}").await.unwrap();
    assert!(all(&mut stream).await.starts_with("HTTP/1.1 201"));
    assert_eq!(running.await.unwrap(), 0);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn slow_clients_lose_their_connection() {
    let options = Options { head_ms: 100, body_ms: 100, body_bytes_max: 1_000, ..Options::default() };
    let (address, _stop, _running) = serve(options).await;
    let mut head = TcpStream::connect(address).await.unwrap();
    head.write_all(b"GET /healthz HT").await.unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(30), all(&mut head)).await.unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    let mut body = TcpStream::connect(address).await.unwrap();
    body.write_all(
        b"PUT /v1/dramas/d1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 20\r\n\r\n{",
    )
    .await
    .unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(30), all(&mut body)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("R0444"), "{answer}");
    let mut large = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "PUT /v1/dramas/d1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2000\r\n\r\n{}",
        "x".repeat(2_000)
    );
    large.write_all(request.as_bytes()).await.unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(30), all(&mut large)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("R0442"), "{answer}");
}
