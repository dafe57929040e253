//! Tokens (JWT) of an issuer elsewhere: who comes in, who does not, and how often the issuer is asked.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use repot_core::Clock;
use repot_engine::SystemEntropy;
use repot_engine::ledger::{ApiKeys, NewKey, Right, Rights, Tenants};
use repot_server::{KeysAt, Log, Options, Outside, RequestLine, TokenOptions};
use repot_testkit::HandClock;
use serde_json::{Value, json};

use crate::kit::{Answer, COUNCIL, DRAMAS, Lab, TABLES, outside};
use crate::signer::{AUDIENCE, ISSUER, Issuer, Signer, encoded, set};

const ID: &str = "0190a000-0000-4000-8000-000000000001";
const NOW_S: i64 = 1_800_000_000;

/// What a token says that is in order.
fn claims(subject: &str) -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": subject,
        "iat": NOW_S, "nbf": NOW_S, "exp": NOW_S + 3_600,
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims("u1");
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims("u1");
    claims.as_object_mut().unwrap().remove(name);
    claims
}

async fn lab(kind: &'static str, model: &str, tokens: TokenOptions) -> Option<(Lab, HandClock)> {
    let clock = HandClock::at(NOW_S * 1_000);
    let outside = Outside { clock: Arc::new(clock.clone()), ..outside() };
    let options = Options { tokens: Some(tokens), ..Options::default() };
    Some((Lab::with(kind, model, (outside, options)).await?, clock))
}

async fn send(lab: &Lab, line: &str, token: &str, body: &str) -> Answer {
    lab.send(line, &[("authorization", &format!("Bearer {token}"))], body.to_owned()).await
}

#[tokio::test]
async fn a_token_is_its_holders_own_tenant() {
    let mut signers = vec![Signer::curve("a"), Signer::edwards("b")];
    signers.extend(Signer::rsa("c"));
    let issuer = Issuer::start(&signers.iter().collect::<Vec<_>>()).await;
    let mut labs = 0;
    for kind in TABLES {
        let Some((lab, _clock)) = lab(kind, COUNCIL, issuer.options()).await else { continue };
        labs += 1;
        let path = format!("/v1/conversations/{ID}");
        let get = format!("GET {path}");
        let none = lab.send(&get, &[], "").await.is(401);
        assert_eq!((none.code().as_str(), none.header("www-authenticate")), ("R0445", Some("Bearer")));
        for (number, signer) in signers.iter().enumerate() {
            let (one, two) = (signer.token(&claims("u1")), signer.token(&claims("u2")));
            let body = format!(r#"{{"id":"{ID}","user_id":"u1","messages":[]}}"#);
            send(&lab, &format!("PUT {path}"), &one, &body).await.is(if number == 0 { 201 } else { 200 });
            send(&lab, &get, &one, "").await.is(200);
            send(&lab, &get, &two, "").await.is(404);
            let other = [("authorization", format!("Bearer {two}"))];
            let other = [(other[0].0, other[0].1.as_str()), ("repot-tenant", "u1")];
            assert_eq!(lab.send(&get, &other, "").await.is(403).code(), "R0446");
        }
        // what one holder's idempotency key did is not told to another
        let added = |subject: &str| {
            let (lab, token) = (&lab, signers[0].token(&claims(subject)));
            let body = format!(r#"{{"user_id":"{subject}","messages":[]}}"#);
            async move {
                let token = format!("Bearer {token}");
                let headers = [("authorization", token.as_str()), ("idempotency-key", "k")];
                lab.send("POST /v1/conversations", &headers, body).await.is(201)
            }
        };
        let (first, second, again) = (added("u1").await, added("u2").await, added("u1").await);
        assert_ne!(first.header("location"), second.header("location"));
        assert_eq!((again.text(), again.header("idempotent-replayed")), (first.text(), Some("true")));
        // keys of the server go on beside tokens
        let store: Arc<dyn repot_core::store::Store> = Arc::clone(lab.app.store()) as _;
        let keys = ApiKeys::new(store, Arc::new(repot_core::SystemClock), Arc::new(SystemEntropy));
        let new = NewKey {
            name: "k".into(),
            rights: Rights::of(&[Right::Read], &[]),
            tenants: Tenants::One("u1".into()),
            expires_ms: None,
        };
        let key = keys.create(new).await.unwrap();
        send(&lab, &get, key.text.reveal(), "").await.is(200);
    }
    assert_eq!(issuer.asked(), labs, "once a server");
}

/// Whose tenant is in another claim than `sub`.
#[tokio::test]
async fn the_tenant_is_in_the_claim_that_was_named() {
    let signer = Signer::edwards("a");
    let issuer = Issuer::start(&[&signer]).await;
    let options = TokenOptions { tenant_claim: "org".to_owned(), ..issuer.options() };
    let (lab, _clock) = lab("sqlite", COUNCIL, options).await.unwrap();
    let path = format!("/v1/conversations/{ID}");
    let body = format!(r#"{{"id":"{ID}","user_id":"o1","messages":[]}}"#);
    send(&lab, &format!("PUT {path}"), &signer.token(&with("org", json!("o1"))), &body).await.is(201);
    let get = format!("GET {path}");
    send(&lab, &get, &signer.token(&with("org", json!("o2"))), "").await.is(404);
    for nobody in [claims("o1"), with("org", Value::Null)] {
        let refused = send(&lab, &get, &signer.token(&nobody), "").await.is(400);
        assert_eq!(refused.code(), "R0406", "without a tenant there is no way in");
        let named = format!("Bearer {}", signer.token(&nobody));
        let named = [("authorization", named.as_str()), ("repot-tenant", "o1")];
        assert_eq!(lab.send(&get, &named, "").await.is(403).code(), "R0446");
    }
    for odd in [json!(1), json!(["o1"]), json!({"o1": true}), json!("")] {
        let refused = send(&lab, &get, &signer.token(&with("org", odd)), "").await.is(401);
        assert_eq!(refused.code(), "R0438");
    }
}

/// Tokens that are not in order, and what is wrong.
fn bad(good: &Signer, sound: &str) -> Vec<(&'static str, String)> {
    let stranger = Signer::curve("a");
    let head = |more: Value| {
        let mut head = json!({"alg": "ES256", "kid": "a"});
        head.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        head
    };
    let (signed, signature) = sound.rsplit_once('.').unwrap();
    let other_payload =
        format!("{}.{}.{signature}", sound.split('.').next().unwrap(), encoded(claims("u2").to_string()));
    vec![
        ("another's key", stranger.token(&claims("u1"))),
        ("no signature", format!("{signed}.")),
        ("another payload", other_payload),
        ("none", format!("{}.{}.", encoded(r#"{"alg":"none"}"#), encoded(claims("u1").to_string()))),
        (
            "an algorithm the key is not for",
            good.token_with(&json!({"alg": "EdDSA", "kid": "a"}), &claims("u1")),
        ),
        (
            "a key that is not named by its name",
            good.token_with(&json!({"alg": "ES256", "kid": "e"}), &claims("u1")),
        ),
        ("an unknown extension", good.token_with(&head(json!({"crit": ["x"], "x": 1})), &claims("u1"))),
        ("unencoded", good.token_with(&head(json!({"b64": false})), &claims("u1"))),
        (
            "a key in the token",
            stranger.token_with(&head(json!({"kid": "z", "jwk": stranger.public()})), &claims("u1")),
        ),
        ("ended", good.token(&with("exp", json!(NOW_S - 60)))),
        ("without an end", good.token(&without("exp"))),
        ("an end that is no time", good.token(&with("exp", json!("2099-01-01")))),
        ("not yet", good.token(&with("nbf", json!(NOW_S + 61)))),
        ("made in the future", good.token(&with("iat", json!(NOW_S + 61)))),
        ("no issuer", good.token(&without("iss"))),
        ("another issuer", good.token(&with("iss", json!("https://issuer.test/other")))),
        ("no audience", good.token(&without("aud"))),
        ("another audience", good.token(&with("aud", json!("app2")))),
        ("other audiences", good.token(&with("aud", json!(["x", "app2"])))),
        ("audiences in one", good.token(&with("aud", json!("x app")))),
        ("nobody's", good.token(&without("sub"))),
        ("too large", good.token(&with("x", json!("x".repeat(8_000))))),
        ("no token", "x".to_owned()),
    ]
}

/// Every one of them is 401, whatever else is in order.
#[tokio::test]
async fn tokens_that_are_not_taken() {
    let (good, edwards) = (Signer::curve("a"), Signer::edwards("e"));
    let issuer = Issuer::start(&[&good, &edwards]).await;
    let (lab, clock) = lab("memory", DRAMAS, issuer.options()).await.unwrap();
    let sound = good.token(&claims("u1"));
    let get = "GET /v1/dramas";
    send(&lab, get, &sound, "").await.is(200);
    for (what, token) in bad(&good, &sound) {
        let refused = send(&lab, get, &token, "").await.is(401);
        assert_eq!(
            (refused.code().as_str(), refused.header("www-authenticate")),
            ("R0438", Some("Bearer")),
            "{what}"
        );
    }
    let well = [
        ("a minute's leeway", good.token(&with("exp", json!(NOW_S - 59)))),
        ("the same at its beginning", good.token(&with("nbf", json!(NOW_S + 60)))),
        ("parts of seconds", good.token(&with("exp", json!(1_800_000_000.5_f64)))),
        ("one of several audiences", good.token(&with("aud", json!(["x", AUDIENCE])))),
        (
            "without a name there is one key of its kind",
            good.token_with(&json!({"alg": "ES256"}), &claims("u1")),
        ),
    ];
    for (what, token) in well {
        assert_eq!(send(&lab, get, &token, "").await.status, 200, "{what}");
    }
    clock.turn(3_659_999);
    send(&lab, get, &sound, "").await.is(200);
    clock.turn(1);
    send(&lab, get, &sound, "").await.is(401);
}

/// Whoever knows a public key cannot use it as a secret.
#[tokio::test]
async fn a_public_key_is_no_secret() {
    let Some(rsa) = Signer::rsa("a") else { return };
    let secret = Signer::secret("s");
    // a secret that everybody can fetch is none either
    let issuer = Issuer::start(&[&rsa, &secret]).await;
    let (lab, _clock) = lab("memory", DRAMAS, issuer.options()).await.unwrap();
    send(&lab, "GET /v1/dramas", &rsa.token(&claims("u1")), "").await.is(200);
    let (public, text) = (rsa.public(), rsa.public().to_string());
    let number = public["n"].as_str().unwrap();
    for guess in [number.as_bytes(), text.as_bytes(), b"", b"a"] {
        let forged = Signer::of_secret("a", guess).token(&claims("u1"));
        assert_eq!(send(&lab, "GET /v1/dramas", &forged, "").await.is(401).code(), "R0438");
    }
    send(&lab, "GET /v1/dramas", &secret.token(&claims("u1")), "").await.is(401);
}

#[tokio::test]
async fn a_file_may_hold_secrets() {
    let (secret, edwards) = (Signer::secret("s"), Signer::edwards("e"));
    let folder = repot_testkit::TempTree::new();
    folder.write("keys.json", set(&[&secret, &edwards]).to_string());
    let keys = KeysAt::parse("keys.json", folder.path()).unwrap();
    let options = TokenOptions::new(keys, None);
    let (lab, clock) = lab("memory", DRAMAS, options).await.unwrap();
    for signer in [&secret, &edwards] {
        send(&lab, "GET /v1/dramas", &signer.token(&claims("u1")), "").await.is(200);
    }
    let short = Signer::of_secret("s", b"short");
    send(&lab, "GET /v1/dramas", &short.token(&claims("u1")), "").await.is(401);
    // another set is seen within a minute
    folder.write("keys.json", set(&[&edwards]).to_string());
    clock.turn(60_000);
    send(&lab, "GET /v1/dramas", &secret.token(&claims("u1")), "").await.is(401);
    send(&lab, "GET /v1/dramas", &edwards.token(&claims("u1")), "").await.is(200);
    // a file without a key that is of use is no reason to begin
    for text in ["", "{}", r#"{"keys":[]}"#, &set(&[&short]).to_string()] {
        folder.write("keys.json", text);
        let keys = KeysAt::parse("keys.json", folder.path()).unwrap();
        let options = Options { tokens: Some(TokenOptions::new(keys, None)), ..Options::default() };
        let opened =
            repot_server::App::new(Arc::clone(lab.app.store()), lab.app.layout().clone(), outside(), options);
        assert_eq!(opened.unwrap_err().code(), "R0447", "{text}");
    }
    for address in ["http://issuer.test/keys", "ftp://127.0.0.1/keys", "https://", "file:///keys.json"] {
        assert_eq!(KeysAt::parse(address, folder.path()).unwrap_err().code(), "R0447", "{address}");
    }
}

#[tokio::test]
async fn rights_of_a_token() {
    let signer = Signer::edwards("a");
    let issuer = Issuer::start(&[&signer]).await;
    let options = TokenOptions { rights_claim: Some("scope".to_owned()), ..issuer.options() };
    let (lab, _clock) = lab("memory", DRAMAS, options).await.unwrap();
    let put = ("PUT /v1/dramas/d1", r#"{"id":"d1","title":"a"}"#);
    let says = |scope: Value| signer.token(&with("scope", scope));
    for (scope, reads, writes) in [
        (json!("openid read write"), true, true),
        (json!(["read"]), true, false),
        (json!("write"), false, true),
        (json!("readwrite admin"), false, false),
        (Value::Null, false, false),
        (json!({"read": true}), false, false),
    ] {
        let token = says(scope.clone());
        let written = send(&lab, put.0, &token, put.1).await;
        assert_eq!(written.status.is_success(), writes, "{scope}");
        assert_eq!(send(&lab, "GET /v1/dramas", &token, "").await.status == 200, reads, "{scope}");
        if !writes {
            assert_eq!(written.is(403).code(), "R0446");
        }
    }
}

/// A key that is new is found, the one that is gone is not taken, and names that somebody invents cost the issuer nothing.
#[tokio::test]
async fn keys_change_and_the_issuer_is_asked_seldom() {
    let (old, new) = (Signer::edwards("old"), Signer::edwards("new"));
    let issuer = Issuer::start(&[&old]).await;
    let (lab, clock) = lab("memory", DRAMAS, issuer.options()).await.unwrap();
    let get = "GET /v1/dramas";
    let (first, second) = (old.token(&claims("u1")), new.token(&claims("u1")));
    // many at once, one question
    let all = futures_util::future::join_all((0..32).map(|_| send(&lab, get, &first, ""))).await;
    assert!(all.iter().all(|answer| answer.status == 200));
    assert_eq!(issuer.asked(), 1);
    issuer.give(&[&new]);
    send(&lab, get, &second, "").await.is(401);
    assert_eq!(issuer.asked(), 1, "it was asked just now");
    clock.turn(30_000);
    let all = futures_util::future::join_all((0..32).map(|_| send(&lab, get, &second, ""))).await;
    assert!(all.iter().all(|answer| answer.status == 200));
    assert_eq!(issuer.asked(), 2);
    send(&lab, get, &first, "").await.is(401);
    for minute in 1..=3 {
        for number in 0..50 {
            let invented = Signer::edwards(&format!("{minute}-{number}")).token(&claims("u1"));
            send(&lab, get, &invented, "").await.is(401);
        }
        assert_eq!(issuer.asked(), 1 + minute, "once in half a minute");
        clock.turn(30_000);
    }
    // a set ends with its time, also where nobody asks for another key
    clock.turn(300_000);
    issuer.give(&[&old]);
    send(&lab, get, &second, "").await.is(401);
}

/// While the issuer is away, what was fetched holds for a bounded time; then it cannot be told who somebody is.
#[tokio::test]
async fn an_issuer_may_be_away_for_a_while() {
    let signer = Signer::edwards("a");
    let issuer = Issuer::start(&[&signer]).await;
    issuer.is(503);
    let (lab, clock) = lab("memory", DRAMAS, issuer.options()).await.unwrap();
    let get = "GET /v1/dramas";
    let token = || {
        let mut claims = claims("u1");
        claims["exp"] = json!(NOW_S + 86_400);
        signer.token(&claims)
    };
    for _ in 0..20 {
        let unknown = send(&lab, get, &token(), "").await.is(503);
        assert_eq!((unknown.code().as_str(), unknown.header("retry-after")), ("R0439", Some("1")));
    }
    assert_eq!(issuer.asked(), 1, "nobody waits for it twice in ten seconds");
    issuer.is(200);
    clock.turn(10_000);
    send(&lab, get, &token(), "").await.is(200);
    assert_eq!(issuer.asked(), 2);
    issuer.is(500);
    clock.turn(300_000);
    for _ in 0..20 {
        send(&lab, get, &token(), "").await.is(200);
    }
    assert_eq!(issuer.asked(), 3);
    // an hour beyond its time it is used no more
    clock.turn(3_600_000 - 1);
    send(&lab, get, &token(), "").await.is(200);
    clock.turn(10_001);
    send(&lab, get, &token(), "").await.is(503);
    issuer.is(200);
    clock.turn(10_000);
    send(&lab, get, &token(), "").await.is(200);
    // keys of the server need no issuer, and what is no token is told at once
    issuer.is(500);
    clock.turn(10_000_000);
    assert_eq!(send(&lab, get, "rpt_x", "").await.is(401).code(), "R0432");
    assert_eq!(send(&lab, get, "x.y.z", "").await.is(401).code(), "R0438");
}

/// A clock that never shows the same time twice.
#[derive(Debug)]
struct Ticking(AtomicI64);

impl Clock for Ticking {
    fn now_ms(&self) -> i64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// Keys that are fetched while a request waits for them are not older or younger than the request.
#[tokio::test]
async fn time_goes_on_while_keys_are_fetched() {
    let (one, two) = (Signer::edwards("a"), Signer::edwards("b"));
    let issuer = Issuer::start(&[&one]).await;
    let clock = Arc::new(Ticking(AtomicI64::new(NOW_S * 1_000)));
    let outside = Outside { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..outside() };
    let options = Options { tokens: Some(issuer.options()), ..Options::default() };
    let lab = Lab::with("memory", DRAMAS, (outside, options)).await.unwrap();
    for _ in 0..3 {
        send(&lab, "GET /v1/dramas", &one.token(&claims("u1")), "").await.is(200);
    }
    assert_eq!(issuer.asked(), 1);
    issuer.give(&[&two]);
    clock.0.fetch_add(30_000, Ordering::SeqCst);
    send(&lab, "GET /v1/dramas", &two.token(&claims("u1")), "").await.is(200);
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test]
async fn nothing_of_a_token_is_told() {
    let signer = Signer::edwards("canary7f3a");
    let issuer = Issuer::start(&[&signer]).await;
    let lines: Arc<Mutex<Vec<RequestLine>>> = Arc::default();
    let kept = Arc::clone(&lines);
    let log = Log::new(move |line| kept.lock().unwrap().push(line.clone()));
    let options = Options { tokens: Some(issuer.options()), log: Some(log), ..Options::default() };
    let clock = Arc::new(HandClock::at(NOW_S * 1_000));
    let lab = Lab::with("memory", DRAMAS, (Outside { clock, ..outside() }, options)).await.unwrap();
    let sound = signer.token(&claims("canary7f3a"));
    let ended = signer.token(&json!({"sub": "canary7f3a", "exp": 1}));
    for token in [&sound, &ended, "canary7f3a.x.y"] {
        let answer = send(&lab, "GET /v1/dramas/d1", token, "").await;
        let told = format!("{:?}{}", answer.headers, answer.text());
        for secret in token.split('.').chain(["canary7f3a"]) {
            assert!(secret.len() < 2 || !told.contains(secret), "{told}");
        }
    }
    for line in lines.lock().unwrap().iter() {
        let told = format!("{line}{line:?}{}", line.json());
        assert!(!told.contains("canary7f3a") && sound.split('.').all(|part| !told.contains(part)), "{told}");
    }
    assert_eq!(lines.lock().unwrap().len(), 3);
}

/// What goes on after a request ends with the token, too.
#[tokio::test]
async fn a_wait_ends_with_its_token() {
    let signer = Signer::edwards("a");
    let issuer = Issuer::start(&[&signer]).await;
    let (lab, clock) = lab("sqlite", DRAMAS, issuer.options()).await.unwrap();
    let token = signer.token(&claims("u1"));
    // the issuer is known, so the next request is let in before it waits
    let path = "GET /v1:changes?since=0";
    send(&lab, path, &token, "").await.is(200);
    let waits = format!("{path}&wait=60s");
    let ends = async { clock.turn(3_660_000) };
    let (answer, _) = futures_util::future::join(send(&lab, &waits, &token, ""), ends).await;
    assert_eq!(answer.is(401).code(), "R0438");
}
