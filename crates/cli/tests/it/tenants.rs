//! What the commands say where the database cannot hold tenants apart by itself.

use repot_testkit::postgres::postgres;

use crate::project::{Database, Project};

const MODEL: &str = r#"
[repot]
source = "./data"

[chats]
file   = "chats/{user_id}/{id}.json"
tenant = "user_id"

[chats.fields]
id      = "text key"
user_id = "text"
"#;

#[test]
fn a_user_who_may_make_no_roles_is_told_so() {
    let Some(server) = postgres() else { return };
    let url = server.fresh_database();
    let data: [(&str, &[u8]); 1] = [("chats/u1/a.json", br#"{"id": "a", "user_id": "u1"}"#)];
    let name = format!("lowly_{}", url.rsplit('/').next().unwrap().split('?').next().unwrap());
    let make = format!("create role {name} login; grant create on schema public to {name}");
    assert_eq!(server.query(&url, &make), "");
    let (scheme, rest) = url.split_once("://").unwrap();
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let project = Project::with(Database::Postgres(format!("{scheme}://{name}@{host}")), MODEL, &data);
    for command in ["check", "copy"] {
        let ran = project.run(&[command]).expect(0);
        assert!(ran.err.contains("R0420") && ran.err.contains("may not make roles"), "{command}: {ran:?}");
    }
    let able = Project::with(Database::Postgres(server.fresh_database()), MODEL, &data);
    for command in ["check", "copy", "check"] {
        let ran = able.run(&[command]).expect(0);
        assert!(!ran.err.contains("R0420"), "{command}: {ran:?}");
    }
}
