//! Another model under a running server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use repot::{Config, Repot};
use repot_core::store::{DocumentKey, StoreExt as _};
use repot_core::{Error, Kind};
use repot_server::{App, Options, Server};
use repot_testkit::{TempTree, postgres};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::kit::outside;

const OLD: &str =
    "[notes]\nfile = \"notes/{id}.json\"\nwatch = true\n[notes.fields]\nid = \"text key\"\nn = \"int\"\n";
const NEW: &str = "\n[tags]\nfile = \"tags/{id}.json\"\nindex = [\"label\"]\n[tags.fields]\nid = \"text key\"\nnote_id = \"-> notes?\"\nlabel = \"text?\"\n";

/// Documents of tenants, which a database holds apart itself.
const OWN: &str = "\n[own]\nfile = \"{user_id}/own/{id}.json\"\ntenant = \"user_id\"\n[own.fields]\nid = \"text key\"\nuser_id = \"text\"\nn = \"int\"\n";

/// Sends one request over a connection of its own.
async fn send(address: &str, line: &str, body: &str) -> String {
    send_with(address, (line, ""), body).await
}

async fn send_with(address: &str, (line, headers): (&str, &str), body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nhost: x\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn stores() -> Vec<(String, TempTree)> {
    let mut urls = Vec::new();
    for kind in ["sqlite", "directory", "postgres"] {
        let folder = TempTree::new();
        let url = match kind {
            "sqlite" => format!("sqlite:///{}", folder.path().join("repot.db").display()),
            "directory" => folder.path().join("data").display().to_string(),
            _ => match postgres::fresh_database() {
                Some(url) => url,
                None => continue,
            },
        };
        urls.push((url, folder));
    }
    urls
}

/// Clients write and read all the time while new collections come, one after the other: no request fails, and nothing that was
/// acknowledged is lost. The store of the old model goes when its last request has ended, and no sooner.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_request_is_dropped_when_a_model_is_taken_over() {
    for (url, _folder) in stores().await {
        let mut model = format!("{OLD}{OWN}");
        let mut repot = Repot::open(Config::with_model_text(&url, &model)).await.unwrap();
        let app = App::new(repot.store(), repot.layout().clone(), outside(), Options::default()).unwrap();
        let server = Server::bind(app, "127.0.0.1:0").await.unwrap();
        let (address, models) = (server.address().unwrap().to_string(), server.models());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let served = tokio::spawn(server.run(async { drop(stopped.await) }));
        // what the new documents refer to
        send(&address, "PUT /v1/notes/c0", r#"{"id":"c0","n":0}"#).await;
        let is_over = Arc::new(AtomicBool::new(false));
        let mut clients = tokio::task::JoinSet::new();
        for client in 0..4 {
            let (address, is_over) = (address.clone(), Arc::clone(&is_over));
            clients.spawn(async move {
                let mut n = 0;
                while !is_over.load(Ordering::SeqCst) {
                    let (path, body) =
                        (format!("/v1/notes/c{client}"), format!("{{\"id\":\"c{client}\",\"n\":{n}}}"));
                    let put = send(&address, &format!("PUT {path}"), &body).await;
                    assert!(put.starts_with("HTTP/1.1 20"), "{put}");
                    let got = send(&address, &format!("GET {path}"), "").await;
                    assert!(got.starts_with("HTTP/1.1 200") && got.ends_with(&body), "{got} is not {body}");
                    let (own, tenant) =
                        (format!("/v1/own/c{client}"), format!("repot-tenant: u{client}\r\n"));
                    let body = format!("{{\"id\":\"c{client}\",\"user_id\":\"u{client}\",\"n\":{n}}}");
                    let put = send_with(&address, (&format!("PUT {own}"), &tenant), &body).await;
                    assert!(put.starts_with("HTTP/1.1 20"), "{put}");
                    let listed = send_with(&address, ("GET /v1/own?limit=9&full=1", &tenant), "").await;
                    let items = listed.matches("\"id\"").count();
                    let is_there = listed.contains(&format!("\"n\":{n}"));
                    assert!(items == 1 && is_there, "{listed} is not {body}");
                    n += 1;
                }
                n
            });
        }
        assert!(send(&address, "GET /v1/tags", "").await.starts_with("HTTP/1.1 404"));
        for round in 0..3 {
            model.push_str(&NEW.replace("tags", &format!("tags{round}")));
            let new = repot.with_model(Config::with_model_text(&url, &model)).await.unwrap();
            let ended = models.replace(new.store(), new.layout().clone()).unwrap();
            let tags = format!("/v1/tags{round}");
            let made =
                send(&address, &format!("POST {tags}"), r#"{"id":"t1","note_id":"c0","label":"x"}"#).await;
            assert!(made.starts_with("HTTP/1.1 201"), "{made}");
            // its requests end, so it does
            ended.wait().await;
            let old = std::mem::replace(&mut repot, new);
            tokio::task::spawn_blocking(move || drop(old)).await.unwrap();
        }
        is_over.store(true, Ordering::SeqCst);
        while let Some(rounds) = clients.join_next().await {
            assert!(rounds.unwrap() > 0);
        }
        let described = send(&address, "GET /openapi.json", "").await;
        assert!(described.contains("/v1/tags2"), "the new routes are described");
        stop.send(()).unwrap();
        assert_eq!(served.await.unwrap(), 0);
        drop((repot, models));
        // the database is of the new model from now on
        let again = Repot::open(Config::with_model_text(&url, &model)).await.unwrap();
        again.probe().await.unwrap();
    }
}

/// A stream of the old model ends; whoever comes back with its last position misses nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_end_and_go_on_over_the_new_model() {
    let folder = TempTree::new();
    let url = format!("sqlite:///{}", folder.path().join("repot.db").display());
    let repot = Repot::open(Config::with_model_text(&url, OLD)).await.unwrap();
    let app = App::new(repot.store(), repot.layout().clone(), outside(), Options::default()).unwrap();
    let server = Server::bind(app, "127.0.0.1:0").await.unwrap();
    let (address, models) = (server.address().unwrap().to_string(), server.models());
    let served = tokio::spawn(server.run(std::future::pending()));
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let ask = "GET /v1:changes?since=0 HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\nconnection: close\r\n\r\n";
    stream.write_all(ask.as_bytes()).await.unwrap();
    send(&address, "PUT /v1/notes/n1", r#"{"id":"n1","n":1}"#).await;
    let model = format!("{OLD}{NEW}");
    let new = repot.with_model(Config::with_model_text(&url, &model)).await.unwrap();
    let ended = models.replace(new.store(), new.layout().clone()).unwrap();
    let mut told = String::new();
    stream.read_to_string(&mut told).await.unwrap();
    ended.wait().await;
    assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    send(&address, "PUT /v1/tags/t1", r#"{"id":"t1"}"#).await;
    let page = send(&address, "GET /v1:changes?since=0", "").await;
    assert!(page.contains("\"notes\"") && page.contains("\"tags\""), "{page}");
    served.abort();
}

#[tokio::test]
async fn a_model_that_is_no_addition_is_refused_and_the_server_goes_on() {
    for (url, _folder) in stores().await {
        let repot = Repot::open(Config::with_model_text(&url, OLD)).await.unwrap();
        let is_files = !url.contains("://");
        for (change, refused) in [
            (OLD.replace("n = \"int\"", "n = \"text\""), true),
            (OLD.replace("notes/{id}", "texts/{id}"), true),
            (NEW.trim_start().replace("note_id = \"-> notes?\"\n", ""), true),
            (OLD.replace("n = \"int\"", "n = \"int\"\nmore = \"text?\""), !is_files),
            (OLD.replace("watch = true", "watch = true\netag = \"required\""), false),
            (OLD.replace("watch = true", "watch = true\nindex = [\"n\"]"), false),
        ] {
            match repot.with_model(Config::with_model_text(&url, &change)).await {
                Ok(_) => assert!(!refused, "{change}"),
                Err(error) => assert!(refused && error.code() == "R0451", "{error} for {change}"),
            }
            if change.contains("index = [\"n\"]") && !is_files {
                // the old one goes on writing, though it could not be opened anew
                let key = DocumentKey::new("notes", "n1");
                repot.store().put(&key, r#"{"id":"n1","n":1}"#).await.unwrap();
                let reopened = Repot::open(Config::with_model_text(&url, OLD)).await.unwrap_err();
                assert_eq!(reopened.code(), "R0151");
            }
        }
        let app = App::new(repot.store(), repot.layout().clone(), outside(), Options::default()).unwrap();
        let server = Server::bind(app, "127.0.0.1:0").await.unwrap();
        let (address, models) = (server.address().unwrap().to_string(), server.models());
        let served = tokio::spawn(server.run(std::future::pending()));
        models.refuse(Some(Error::new(Kind::Refused, "R0451", "notes.n is another field")));
        let ready = send(&address, "GET /readyz?verbose", "").await;
        let line = "look reload: the changed model is not taken over: notes.n is another field";
        assert!(ready.contains(line), "{ready}");
        let status = send(&address, "GET /admin/status", "").await;
        assert!(status.contains("\"code\":\"R0451\""), "{status}");
        models.refuse(None);
        assert!(!send(&address, "GET /readyz?verbose", "").await.contains("reload"));
        served.abort();
    }
}

/// A server that was locked once stays so, also where its keys are gone by the time that a model comes.
#[tokio::test]
async fn a_lock_outlives_the_model() {
    let folder = TempTree::new();
    let open = async |name: &str| {
        let url = format!("sqlite:///{}", folder.path().join(name).display());
        Repot::open(Config::with_model_text(&url, OLD)).await.unwrap()
    };
    let repot = open("one.db").await;
    let app = App::new(repot.store(), repot.layout().clone(), outside(), Options::default()).unwrap();
    let server = Server::bind(app, "127.0.0.1:0").await.unwrap();
    let (address, models) = (server.address().unwrap().to_string(), server.models());
    let served = tokio::spawn(server.run(std::future::pending()));
    let body = r#"{"name":"a","rights":["read"]}"#;
    assert!(send(&address, "POST /admin/keys", body).await.starts_with("HTTP/1.1 201"));
    assert!(send(&address, "GET /v1/notes", "").await.starts_with("HTTP/1.1 401"));
    let new = open("other.db").await;
    models.replace(new.store(), new.layout().clone()).unwrap().wait().await;
    assert!(models.app().is_locked().await.unwrap());
    assert!(send(&address, "GET /v1/notes", "").await.starts_with("HTTP/1.1 401"));
    served.abort();
}
