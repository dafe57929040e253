//! A bucket as the source, on a real S3 server in this process.

use repot_s3lab::{Fault, Op, S3Lab};

use crate::project::{Project, Ran, databases, ran};

fn run(project: &Project, lab: &S3Lab, words: &[&str]) -> Ran {
    let mut command = project.command(words);
    command
        .env("REPOT_SOURCE", format!("s3://{}/app", lab.bucket()))
        .env("REPOT_SOURCE_ENDPOINT", lab.endpoint())
        .env("AWS_ACCESS_KEY_ID", lab.access_key())
        .env("AWS_SECRET_ACCESS_KEY", lab.secret_key());
    ran(&command.output().unwrap())
}

#[test]
fn a_bucket_is_copied_followed_and_exported() {
    for database in databases() {
        let lab = S3Lab::start();
        let project = Project::app("council", database);
        let tree = repot_testkit::read_tree(&project.path("data")).unwrap();
        for (path, bytes) in &tree {
            lab.put(format!("app/{}", path.display()), bytes.clone());
        }
        lab.put("elsewhere/x.json", b"{}");
        // more keys than one page of a listing holds
        for number in 0..1_100 {
            lab.put(
                format!("app/u_many/{number:04}.json"),
                format!("{{\"id\": \"{number:04}\", \"messages\": []}}").into_bytes(),
            );
        }
        lab.fail(Op::List, Fault::Status(503), 2);
        lab.fail(Op::Get, Fault::Status(500), 3);
        lab.fail(Op::Get, Fault::Truncate(10), 2);
        let copied = run(&project, &lab, &["copy", "--json"]).expect(0).result();
        assert_eq!(copied["moved"].as_u64(), Some(tree.len() as u64 + 1_100), "{copied}");
        let before = lab.requests().len();
        let again = run(&project, &lab, &["copy", "--json"]).expect(0).result();
        assert_eq!(again["unchanged"], copied["listed"]);
        assert!(lab.requests().len() - before < 20, "an unchanged bucket is only listed");
        lab.put("app/u_many/0007.json", br#"{"id": "0007", "title": "seven", "messages": []}"#);
        let changed = run(&project, &lab, &["copy", "--json"]).expect(0).result();
        assert_eq!(changed["changed"].as_u64(), Some(1), "{changed}");
        let exported = run(&project, &lab, &["export", "back"]).expect(0);
        assert!(!exported.err.contains("diff"), "no program compares a bucket with files: {}", exported.err);
        for (path, bytes) in repot_testkit::read_tree(&project.path("back")).unwrap() {
            assert_eq!(
                lab.get(&format!("app/{}", path.display())).as_deref(),
                Some(bytes.as_slice()),
                "{}",
                path.display()
            );
        }
    }
}

#[test]
fn a_model_is_inferred_from_a_bucket() {
    let lab = S3Lab::start();
    let project = Project::new(crate::project::Database::Sqlite);
    for number in 0..30 {
        lab.put(
            format!("app/notes/{number}.json"),
            format!("{{\"id\": \"{number}\", \"tags\": [{{\"t\": 1}}]}}").into_bytes(),
        );
    }
    lab.limit_pages(10);
    run(&project, &lab, &["init"]).expect(0);
    let requests = lab.requests();
    let asked = |op| requests.iter().filter(|request| request.op == op).count();
    // Three pages and perhaps an empty one: each is asked for once, and so is each object.
    assert!(asked(Op::List) <= 4 && asked(Op::Get) == 30, "{requests:?}");
    let copied = run(&project, &lab, &["copy", "--json"]).expect(0).result();
    assert_eq!((copied["moved"].as_u64(), copied["rows"].as_u64()), (Some(30), Some(60)), "{copied}");
}

#[test]
fn a_bucket_out_of_reach_or_refusing_is_said_without_secrets() {
    let lab = S3Lab::start();
    let project = Project::app("council", crate::project::Database::Sqlite);
    let mut command = project.command(&["copy"]);
    command
        .env("REPOT_SOURCE", format!("s3://{}", lab.bucket()))
        .env("REPOT_SOURCE_ENDPOINT", lab.endpoint())
        .env("AWS_ACCESS_KEY_ID", lab.access_key())
        .env("AWS_SECRET_ACCESS_KEY", "canary-secret");
    let refused = ran(&command.output().unwrap()).expect(13);
    assert!(refused.err.contains("R0104") && !refused.err.contains("canary-secret"), "{}", refused.err);
    let mut command = project.command(&["copy"]);
    command.env("REPOT_SOURCE", "s3://bucket").env_remove("AWS_SECRET_ACCESS_KEY");
    let missing = ran(&command.output().unwrap()).expect(1);
    assert!(missing.err.contains("R0103"), "{}", missing.err);
}
