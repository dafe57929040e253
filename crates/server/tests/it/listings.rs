//! Listings: filters, order, pages.

use crate::kit::{ALL, COUNCIL, DRAMAS, Lab, TABLES, labs};

async fn filled(lab: &Lab) {
    for n in 0..7 {
        let genre = if n % 2 == 0 { "noir" } else { "opera" };
        let metadata = format!(r#"{{"size":{n},"name":"{n}","genre":"{genre}"}}"#);
        let body = format!(
            r#"{{"id":"d{n}","title":"T {n}","metadata":{metadata},"created_at":"2025-01-0{}T00:00:00Z","characters":[{{"id":"c{n}","name":"C{n}"}}]}}"#,
            n + 1,
        );
        lab.send(&format!("PUT /v1/dramas/d{n}"), &[], body).await.is(201);
    }
}

/// What a row tells of its document, as `If-Match` takes it.
fn state(row: &serde_json::Value) -> String {
    format!("\"{}\"", row["_etag"].as_str().unwrap())
}

fn ids(answer: &crate::kit::Answer) -> String {
    let body = answer.json();
    let items = body["items"].as_array().unwrap().iter();
    items.map(|item| item["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn filters_and_order() {
    for lab in labs(TABLES, DRAMAS).await {
        filled(&lab).await;
        for (query, wanted) in [
            ("genre=noir&sort=-created_at", "d6 d4 d2 d0"),
            ("genre[ne]=noir&sort=id", "d1 d3 d5"),
            ("created_at[gte]=2025-01-06", "d5 d6"),
            ("created_at[lt]=2025-01-02T00:00:00Z", "d0"),
            ("id[in]=d1,d3,dx", "d1 d3"),
            ("title[like]=%25+3", "d3"),
            ("description[null]=1&limit=2", "d0 d1"),
            ("description[null]=0", ""),
            ("metadata.size=5", "d5"),
            ("metadata.size[gt]=4", "d5 d6"),
            ("metadata.name=\"5\"", "d5"),
            ("metadata.name=5", ""),
            ("characters.name=C2", "d2"),
            ("characters[count]=gt.1", ""),
            ("title[length]=3&limit=1", "d0"),
            ("q=5", "d5"),
            ("sort=-id&limit=2&offset=1", "d5 d4"),
        ] {
            let query = query.replace('"', "%22");
            let answer = lab.get(&format!("/v1/dramas?{query}")).await.is(200);
            assert_eq!(ids(&answer), wanted, "{} {query}", lab.kind);
        }
        for wrong in
            ["nothing=1", "created_at=soon", "sort=nothing", "fields=nothing", "after=x", "expand=title"]
        {
            let answer = lab.get(&format!("/v1/dramas?{wrong}")).await.is(400);
            assert!(["R0412", "R0413"].contains(&answer.code().as_str()), "{wrong}");
        }
        let helped = lab.get("/v1/dramas?genre=noir&sort=-created_at").await;
        assert_eq!(helped.header("warning"), None);
        let unhelped = lab.get("/v1/dramas?url=x").await;
        assert!(unhelped.header("warning").unwrap().contains("url"), "{}", lab.kind);
    }
}

#[tokio::test]
async fn all_that_a_listing_would_give_is_counted() {
    let prefer = ("prefer", "return=minimal, count=exact");
    for lab in labs(TABLES, DRAMAS).await {
        filled(&lab).await;
        for (query, wanted) in [
            ("limit=2", "7"),
            ("limit=2&offset=6", "7"),
            ("genre=noir&sort=-id&limit=1", "4"),
            ("metadata.size[gt]=4&full=1", "2"),
            ("q=5", "1"),
            ("id=nothing", "0"),
        ] {
            let answer = lab.send(&format!("GET /v1/dramas?{query}"), &[prefer], "").await.is(200);
            let told = (answer.header("x-total-count"), answer.header("preference-applied"));
            assert_eq!(told, (Some(wanted), Some("count=exact")), "{} {query}", lab.kind);
        }
        // the same on each page, also of rows that documents hold, and beside lines
        let first = lab.send("GET /v1/characters?limit=3", &[prefer], "").await.is(200);
        let next = first.header("link").unwrap().strip_prefix('<').unwrap().split_once('>').unwrap().0;
        let next = lab.send(&format!("GET {next}"), &[prefer], "").await.is(200);
        assert_eq!((first.header("x-total-count"), next.header("x-total-count")), (Some("7"), Some("7")));
        let accept = ("accept", "application/x-ndjson");
        let lines = lab.send("GET /v1/dramas?limit=2", &[prefer, accept], "").await.is(200);
        assert_eq!((lines.header("x-total-count"), lines.text().lines().count()), (Some("7"), 7));
        assert_eq!(lab.get("/v1/dramas").await.header("x-total-count"), None);
    }
    // of a tenant's, only
    for lab in labs(TABLES, COUNCIL).await {
        for (n, user) in ["u1", "u2", "u1"].into_iter().enumerate() {
            let id = format!("0190a000-0000-4000-8000-00000000000{n}");
            let body = format!(r#"{{"id":"{id}","user_id":"{user}","messages":[]}}"#);
            let path = format!("PUT /v1/conversations/{id}");
            lab.send(&path, &[("repot-tenant", user)], body).await.is(201);
        }
        for (user, wanted) in [("u1", "2"), ("u2", "1"), ("u3", "0")] {
            let headers = [prefer, ("repot-tenant", user)];
            let answer = lab.send("GET /v1/conversations?limit=1", &headers, "").await.is(200);
            assert_eq!(answer.header("x-total-count"), Some(wanted), "{}", lab.kind);
        }
    }
    for lab in labs(&["memory", "directory"], DRAMAS).await {
        let refused = lab.send("GET /v1/dramas", &[prefer], "").await.is(501);
        assert_eq!(refused.code(), "R0405", "{}", lab.kind);
    }
}

#[tokio::test]
async fn pages_follow_each_other() {
    for lab in labs(ALL, DRAMAS).await {
        filled(&lab).await;
        let (mut path, mut seen, mut pages) = ("/v1/dramas?limit=3".to_owned(), Vec::new(), 0);
        loop {
            let page = lab.get(&path).await.is(200);
            pages += 1;
            seen.extend(ids(&page).split(' ').filter(|id| !id.is_empty()).map(str::to_owned));
            let Some(link) = page.header("link") else {
                assert!(page.json()["next"].is_null());
                break;
            };
            assert!(page.json()["next"].is_string());
            path = link.strip_prefix('<').unwrap().split_once('>').unwrap().0.to_owned();
        }
        seen.sort();
        assert_eq!(seen.join(" "), "d0 d1 d2 d3 d4 d5 d6", "{}", lab.kind);
        assert!(pages >= 3);
    }
}

#[tokio::test]
async fn rows_have_their_tag_and_whole_documents_are_as_they_are() {
    for lab in labs(TABLES, DRAMAS).await {
        filled(&lab).await;
        let one = lab.get("/v1/dramas/d3").await;
        let rows = lab.get("/v1/dramas?id=d3").await.json();
        assert!(rows["items"][0].get("characters").is_none());
        assert_eq!(state(&rows["items"][0]), one.etag());
        let full = lab.get("/v1/dramas?id=d3&full=1").await;
        assert!(full.text().contains(one.text()), "{}", full.text());
        assert_eq!(format!("\"{}\"", full.json()["etags"][0].as_str().unwrap()), one.etag());
        let fields = lab.get("/v1/dramas?id=d3&fields=id,title").await.json();
        assert_eq!(fields["items"][0]["title"], "T 3");
        assert!(fields["items"][0].get("genre").is_none());
        // it is told to who asks for it
        assert!(fields["items"][0].get("_etag").is_none());
        let fields = lab.get("/v1/dramas?id=d3&fields=_etag,title").await.is(200).json();
        assert_eq!(state(&fields["items"][0]), one.etag());
        assert_eq!(fields["items"][0].as_object().unwrap().len(), 2);
        assert_eq!(lab.get("/v1/dramas?id=d3&fields=").await.is(200).json(), rows);
        lab.get("/v1/dramas?fields=_etag").await.is(400);
        let expanded = lab.get("/v1/characters?name=C2&expand=drama_id").await.is(200).json();
        assert_eq!(expanded["items"][0]["drama_id"]["title"], "T 2", "{expanded}");
        // a row that a document holds has none, nor does one that came along
        assert!(expanded["items"][0].get("_etag").is_none(), "{expanded}");
        assert!(expanded["items"][0]["drama_id"].get("_etag").is_none(), "{expanded}");
        let lines = lab
            .send("GET /v1/dramas?sort=id&limit=2", &[("accept", "application/x-ndjson")], "")
            .await
            .is(200);
        let found: Vec<serde_json::Value> =
            lines.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((found.len(), found[6]["id"].as_str()), (7, Some("d6")), "{}", lab.kind);
        assert_eq!(state(&found[3]), one.etag());
    }
}

#[tokio::test]
async fn a_row_is_written_on_in_the_state_that_it_tells() {
    for lab in labs(TABLES, DRAMAS).await {
        filled(&lab).await;
        // changed beside its text
        lab.send("POST /v1/dramas/d2/characters", &[], r#"{"id":"more","name":"M"}"#).await.is(201);
        let rows = lab.get("/v1/dramas").await.is(200).json();
        let rows = rows["items"].as_array().unwrap();
        assert_eq!(rows.len(), 7);
        for row in rows {
            let line = format!("PATCH /v1/dramas/{}", row["id"].as_str().unwrap());
            let headers = [("if-match", &*state(row)), ("content-type", "application/merge-patch+json")];
            lab.send(&line, &headers, r#"{"genre":"new"}"#).await.is(200);
            lab.send(&line, &headers, r#"{"genre":"newer"}"#).await.is(412);
        }
    }
    // of a tenant, by keys and by places
    for lab in labs(TABLES, COUNCIL).await {
        for user in ["u1", "u2"] {
            let tenant = [("repot-tenant", user)];
            let body = format!(r#"{{"user_id":"{user}","daily_used":0}}"#);
            lab.send("PUT /v1/usage/@", &tenant, body).await.is(201);
            let one = lab.send("GET /v1/usage/@", &tenant, "").await.is(200);
            let rows = lab.send("GET /v1/usage", &tenant, "").await.is(200).json();
            assert_eq!(rows["items"].as_array().unwrap().len(), 1);
            assert_eq!(state(&rows["items"][0]), one.etag(), "{}", lab.kind);
        }
    }
    // a field of the documents' own that has the name stays what it is
    let own = "[repot]\nsource = \"./data\"\n[notes]\nfile = \"notes/{id}.json\"\n[notes.fields]\nid = \"text key\"\n_etag = \"text?\"\n";
    for lab in labs(TABLES, own).await {
        lab.send("PUT /v1/notes/a", &[], r#"{"id":"a","_etag":"mine"}"#).await.is(201);
        let rows = lab.get("/v1/notes?fields=id,_etag").await;
        assert_eq!(rows.text(), r#"{"items":[{"id":"a","_etag":"mine"}]}"#);
        let rows = lab.get("/v1/notes").await.json();
        assert_eq!(
            (&rows["items"][0]["_etag"], rows["items"][0]["_updated"].is_string()),
            (&"mine".into(), true)
        );
    }
}

#[tokio::test]
async fn answers_are_compressed_where_asked_with_a_tag_of_their_own() {
    let lab = Lab::open("memory", DRAMAS).await.unwrap();
    let body = format!(r#"{{"id":"d1","title":"{}"}}"#, "x".repeat(4_000));
    lab.send("PUT /v1/dramas/d1", &[], body).await.is(201);
    let plain = lab.get("/v1/dramas/d1").await;
    for coding in ["gzip", "zstd"] {
        let small = lab.send("GET /v1/dramas/d1", &[("accept-encoding", coding)], "").await.is(200);
        assert_eq!(small.header("content-encoding"), Some(coding));
        assert!(small.body.len() < 500);
        assert_eq!(small.etag(), format!("{}-{coding}\"", plain.etag().strip_suffix('"').unwrap()));
        lab.send("GET /v1/dramas/d1", &[("if-none-match", &small.etag())], "").await.is(304);
    }
    assert_eq!(plain.header("x-content-type-options"), Some("nosniff"));
}
