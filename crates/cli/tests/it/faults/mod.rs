//! `repot serve` as processes while their database or they themselves fail: what was acknowledged is there, once, and what was
//! sent again under an `Idempotency-Key` was done once.

mod between;
mod client;
mod database;
mod killed;
mod listener;
mod server;
mod world;

pub(crate) use server::{Answer, Server, send_within};

const MODEL: &str = r#"
[repot]
source = "./data"

[notes]
file = "notes/{id}.json"

[notes.fields]
id = "text key"
n  = "int?"

[marks]
in = "notes.marks[]"

[marks.fields]
id      = "int key auto"
note_id = "-> notes cascade auto"
order   = "position"
word    = "text"

[plans]
file = "plans/{id}.json"

[plans.fields]
id   = "text key"
used = "int = 0"

[plans.quota]
total = { used = "used" }

[kept]
file        = "kept/{id}.json"
audit       = "1y"
soft_delete = "30d"

[kept.fields]
id = "text key"
n  = "int?"

[jobs]
file  = "jobs/{id}.json"
queue = { lease = "1s", tries = 1000 }

[jobs.fields]
id = "text key"
"#;
