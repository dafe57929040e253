//! Many claimers of one work queue, and many messages in it.

use std::collections::BTreeSet;
use std::sync::Arc;

use repot_core::combinator::{Acting, Reconcile, Strategy};
use repot_core::store::{
    DocumentKey, ETag, Layout, LeaseToken, Precondition, Scope, Store, StoreExt as _, UnitOfWork,
    WorkQueue as _, Write,
};
use repot_engine::store::RowStore;
use repot_model::sql::{Dialect, MessageStatement};
use repot_testkit::QuickPacing;

use crate::documents::{Database, block_on};
use crate::work_queue::{MODEL, Set, claim, fenced, ids, job, jobs, model_of, open, put, stats, wants};

/// What the database does for a step, before it knows anything of the table.
fn plan_of(database: &Database, statement: MessageStatement, values: &[&str]) -> String {
    let dialect = if matches!(database, Database::Sqlite(_)) { Dialect::Sqlite } else { Dialect::Postgres };
    let mut sql = statement.sql(dialect);
    for (at, value) in values.iter().enumerate().rev() {
        sql = sql.replace(&format!("${}", at + 1), value).replace(&format!("?{}", at + 1), value);
    }
    match database {
        Database::Sqlite(folder) => {
            let connection = rusqlite::Connection::open(Database::file(folder)).unwrap();
            let mut statement = connection.prepare(&format!("explain query plan {sql}")).unwrap();
            let lines = statement.query_map((), |row| row.get::<_, String>(3)).unwrap();
            lines.map(Result::unwrap).collect::<Vec<_>>().join("\n")
        }
        Database::Postgres(..) => {
            let settings = "set enable_seqscan = off; set enable_sort = off; set enable_bitmapscan = off";
            database.ask(&format!("{settings}; explain {sql}"))
        }
    }
}

#[test]
fn a_claim_goes_by_an_index_and_reads_nothing_that_is_done() {
    for database in Database::all() {
        let store = open(&database, &Set::new());
        let numbers = match database {
            Database::Sqlite(_) => {
                "with recursive n(i) as (select 1 union all select i + 1 from n where i < 10000) select i from n"
            }
            Database::Postgres(..) => "select i from generate_series(1, 10000) as n(i)",
        };
        database.sql(&format!("insert into jobs (id) select 'd' || i from ({numbers}) as numbers"));
        database.sql("update repot_queue set state = 3");
        let claiming = plan_of(&database, MessageStatement::Claim, &["'jobs'", "''", "10", "1", "'ann'"]);
        assert!(claiming.contains("repot_queue_ready"), "{claiming}");
        let sweep = plan_of(&database, MessageStatement::Sweep, &["'jobs'", "''", "1", "3"]);
        assert!(sweep.contains("repot_queue_due"), "{sweep}");
        for plan in [claiming, sweep] {
            for whole in ["SCAN repot_queue", "Seq Scan on repot_queue", "TEMP B-TREE FOR ORDER BY", "Sort"] {
                assert!(!plan.contains(whole), "{whole}: {plan}");
            }
        }
        block_on(async {
            put(&store, "new", None).await;
            assert_eq!(ids(&claim(&store, 10).await), ["new"]);
        });
    }
}

/// 64 claimers in two stores, some of whom lose their leases: each message has its effect exactly once.
#[test]
fn many_claimers_do_each_message_once() {
    const MESSAGES: usize = 1_000;
    for database in Database::all() {
        let clock = Set::new();
        let stores = [Arc::new(open(&database, &clock)), Arc::new(open(&database, &clock))];
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            for hundred in 0..MESSAGES / 100 {
                let writes = (0..100).map(|at| {
                    let id = format!("{}", hundred * 100 + at);
                    let body = format!("{{\"id\": \"{id}\"}}").into();
                    Write::Put { key: job(&id), body, when: Precondition::Absent }
                });
                let work = UnitOfWork { writes: writes.collect(), ..UnitOfWork::default() };
                stores[0].apply(work).await.unwrap();
            }
            let claimers: Vec<_> = (0..64)
                .map(|claimer| {
                    let store = Arc::clone(&stores[claimer % 2]);
                    tokio::spawn(async move { work_until_empty(&store, claimer).await })
                })
                .collect();
            let mut acked = BTreeSet::new();
            for claimer in claimers {
                for id in claimer.await.unwrap() {
                    assert!(acked.insert(id.clone()), "{id} was acknowledged twice");
                }
            }
            assert_eq!(acked.len(), MESSAGES);
            assert_eq!(stats(&stores[1]).await, [0, 0, 0, MESSAGES as u64, 0]);
            assert_eq!(claim(&stores[0], 9).await, []);
        });
    }
}

/// Gives back one message of each claim, and acknowledges the others.
async fn work_until_empty(store: &RowStore, claimer: usize) -> Vec<String> {
    let mut done = Vec::new();
    loop {
        let claimed = store.claim(&wants(jobs(), 1 + claimer % 16)).await.unwrap();
        if claimed.is_empty() {
            // what others give back is theirs or somebody's again
            let left = store.stats(&jobs()).await.unwrap();
            if left.ready + left.leased + left.delayed == 0 {
                return done;
            }
            tokio::task::yield_now().await;
            continue;
        }
        for (at, one) in claimed.into_iter().enumerate() {
            let key = one.document.key;
            if at == 0 && one.tries == 1 && claimer.is_multiple_of(3) {
                store.retry(&key, &one.token, 0, "again").await.unwrap();
            } else {
                store.ack(&key, &one.token).await.unwrap();
                fenced(&store.ack(&key, &one.token).await.unwrap_err());
                done.push(key.text().to_owned());
            }
        }
    }
}

/// Stores around a store hand on what a unit of work demands, also where they make it anew.
#[test]
fn combinators_keep_the_fence() {
    let (model, plan, _) = model_of(MODEL);
    let layout = Layout::new(model, plan, repot_json::Limits::default()).unwrap();
    for database in Database::all() {
        let inner = open(&database, &Set::new());
        block_on(async {
            put(&inner, "a", None).await;
            let token = claim(&inner, 1).await.remove(0).token;
            let store: Arc<dyn Store> = Arc::new(inner);
            let pacing = Arc::new(QuickPacing::default());
            let settles = Reconcile::new(store, &layout, pacing, 0).otherwise(Strategy::LastWriteWins);
            let store = Acting::new(Arc::new(settles), "ann");
            let key = DocumentKey::new("results", "r");
            store.create(&key, "{\"id\": \"r\"}").await.unwrap();
            let put = |count: usize| Write::Put {
                key: key.clone(),
                body: format!("{{\"id\": \"r\", \"count\": {count}}}").into(),
                when: Precondition::Matches(ETag::new("of another state")),
            };
            let other = LeaseToken::new("jobs", 1, 9);
            fenced(&store.apply(UnitOfWork::default().with(put(1)).holding(other, None)).await.unwrap_err());
            store.apply(UnitOfWork::default().with(put(2)).acking(token.clone(), None)).await.unwrap();
            fenced(
                &store
                    .apply(UnitOfWork::default().with(put(3)).acking(token.clone(), None))
                    .await
                    .unwrap_err(),
            );
            assert!(store.require(&key).await.unwrap().body.ends_with(b"\"count\": 2}"));
            let queue = store.work_queue().unwrap();
            fenced(&queue.ack(&job("a"), &token).await.unwrap_err());
            assert_eq!(queue.stats(&jobs()).await.unwrap().done, 1);
        });
    }
}

/// A tenant's own statements make messages of that tenant, by a role that has no right on our table.
#[test]
fn rows_of_a_tenants_role_are_messages_of_that_tenant() {
    let Some(database) = Database::postgres() else { return };
    let store = open(&database, &Set::new());
    let role = database
        .ask("select polname from pg_policy where polrelid = 'mails'::regclass and not polpermissive");
    let as_tenant = |sql: &str| {
        let tenant = "select from set_config('repot.tenant', 'u', true)";
        database.try_sql(&format!("begin; set local role {}; {tenant}; {sql}; commit", role.trim()))
    };
    as_tenant(
        "insert into mails (id, \"user\") values ('a', 'u'), ('b', 'u'); delete from mails where id = 'b'",
    )
    .unwrap();
    for sql in ["select * from repot_queue", "update repot_queue set state = 3", "delete from repot_queue"] {
        let refused = as_tenant(sql).unwrap_err();
        assert!(refused.contains("permission denied"), "{refused}");
    }
    let of = |tenant: &str| Scope::of("mails").in_tenant(tenant);
    block_on(async {
        assert_eq!(ids(&store.claim(&wants(of("u"), 9)).await.unwrap()), ["a"]);
        assert_eq!(store.claim(&wants(of("v"), 9)).await.unwrap(), []);
    });
}
