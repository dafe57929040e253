//! Row level security: a role for each database and schema that a transaction takes to see and change one tenant's rows
//! only. The role has no login, and no right on our own tables.

use repot_core::{Result, RowSecurity};
use repot_model::plan::Plan;
use repot_model::sql::query::{Policed, has_tenants, policed, settle_policies};
use repot_model::sql::{quote, text_literal};
use tokio_postgres::types::Type;

use crate::error::failed;
use crate::rules::MAKING;
use crate::transaction::Writer;

/// Roles are of the whole server: one that two databases shared would let who may use one of them into the other.
const FACTS: &str = "\
with own as (
  select 'repot_tenant_' || left(encode(sha256(convert_to(quote_ident(current_database()) || '.' || quote_ident(current_schema()), 'UTF8')), 'hex'), 16) as role
)
select own.role, current_schema()::text, session_user::text, r.oid is not null,
  case when current_setting('server_version_num')::int >= 160000 then pg_has_role(session_user, r.oid, 'set')
       else pg_has_role(session_user, r.oid, 'member') end,
  (select rolsuper or rolcreaterole and (r.oid is null or current_setting('server_version_num')::int < 160000
     or pg_has_role(current_user, r.oid, 'member with admin option')) from pg_roles where rolname = current_user)
from own left join pg_roles r on r.rolname = own.role";

const THERE: &str = "\
select c.relname::text, c.relrowsecurity, has_table_privilege($2, c.oid, 'select'),
  has_table_privilege($2, c.oid, 'insert') and has_table_privilege($2, c.oid, 'update') and has_table_privilege($2, c.oid, 'delete'),
  obj_description(c.oid, 'pg_class'),
  array(select polname::text from pg_policy where polrelid = c.oid order by polname),
  array(select obj_description(oid, 'pg_policy') from pg_policy where polrelid = c.oid order by polname)
from pg_class c
where c.relnamespace = quote_ident(current_schema())::regnamespace and c.relname = any($1::text[])";

/// What the server says of the role.
struct Facts {
    role: String,
    schema: String,
    user: String,
    exists: bool,
    /// The user of the URL may take it.
    is_ours: bool,
    /// That user may make it, or have it granted.
    may_make: bool,
}

impl Facts {
    /// What keeps the role from being taken, as a sentence.
    fn missing(&self, said: &str) -> RowSecurity {
        let Self { role, user, .. } = self;
        let make = if self.exists { String::new() } else { format!("create role {} nologin; ", quote(role)) };
        RowSecurity::Missing(format!(
            "The database does not hold tenants apart by itself (R0420): {said}. Statements of Repot's still name the tenant each \
             time. A superuser can mend it: `{make}grant {} to {};`",
            quote(role),
            quote(user)
        ))
    }
}

impl Writer {
    /// Makes role, grants and policies, as far as the user of the URL may; gives the role that can be taken.
    ///
    /// # Errors
    /// When the server is out of reach. What it refuses for want of a right is no error: [`Writer::row_security`] says it.
    pub(crate) async fn enforce_tenants(&mut self, plan: &Plan) -> Result<Option<String>> {
        if !has_tenants(plan) {
            return Ok(None);
        }
        self.ready().await?;
        let mut facts = self.facts().await?;
        if !facts.is_ours && facts.may_make {
            let made =
                self.committed(&make_role(&facts.role, &facts.user), "make the role for tenants").await;
            facts = self.facts().await?;
            // another process may have made it
            if !facts.is_ours && made.as_ref().is_err_and(|error| error.code() != DENIED) {
                made?;
            }
        }
        if !facts.is_ours {
            return Ok(None);
        }
        let statements =
            settle_policies(plan, &facts.role, &facts.schema, &self.policed(plan, &facts).await?);
        if !statements.is_empty() {
            // of two that open the database at once the second waits, and does the same again
            let lock = format!("select pg_advisory_xact_lock({MAKING}, hashtext(current_schema()))");
            let all = format!("{lock};\n{}", statements.join(";\n"));
            match self.committed(&all, "make the policies for tenants").await {
                Err(error) if error.code() == DENIED => return Ok(None),
                done => done?,
            }
        }
        Ok(Some(facts.role))
    }

    /// How it stands, without changing anything.
    pub(crate) async fn row_security(&mut self, plan: &Plan) -> Result<RowSecurity> {
        if !has_tenants(plan) {
            return Ok(RowSecurity::NotNeeded);
        }
        self.ready().await?;
        let facts = self.facts().await?;
        if !facts.is_ours {
            return Ok(match (facts.may_make, facts.exists) {
                (true, _) => RowSecurity::Coming,
                (false, true) => {
                    facts.missing(&format!("{} may not take the role {}", facts.user, facts.role))
                }
                (false, false) => facts.missing(&format!("{} may not make roles", facts.user)),
            });
        }
        let there = self.policed(plan, &facts).await?;
        if settle_policies(plan, &facts.role, &facts.schema, &there).is_empty() {
            return Ok(RowSecurity::Enforced);
        }
        if plan.tables.iter().all(|table| there.iter().all(|one| one.name != table.name)) {
            return Ok(RowSecurity::Coming);
        }
        let owned = "select coalesce(bool_and(pg_has_role(current_user, relowner, 'usage')), true) from pg_class \
                     where relnamespace = quote_ident(current_schema())::regnamespace and relname = any($1::text[])";
        let row = self.client().query_typed_one(owned, &[(&policed(plan), Type::TEXT_ARRAY)]).await;
        if row.map_err(|error| failed("read the catalogue", error))?.get(0) {
            return Ok(RowSecurity::Coming);
        }
        Ok(RowSecurity::Missing(format!(
            "The database does not hold tenants apart by itself (R0420): {} does not own the tables, so it cannot make \
             policies. Open the database once as their owner.",
            facts.user
        )))
    }

    async fn facts(&self) -> Result<Facts> {
        let row = self.client().query_typed_one(FACTS, &[]).await;
        let row = row.map_err(|error| failed("read the catalogue", error))?;
        Ok(Facts {
            role: row.get(0),
            schema: row.get(1),
            user: row.get(2),
            exists: row.get(3),
            is_ours: row.get::<_, Option<bool>>(4) == Some(true),
            may_make: row.get::<_, Option<bool>>(5) == Some(true),
        })
    }

    async fn policed(&self, plan: &Plan, facts: &Facts) -> Result<Vec<Policed>> {
        let rows = self
            .client()
            .query_typed(THERE, &[(&policed(plan), Type::TEXT_ARRAY), (&facts.role, Type::TEXT)])
            .await
            .map_err(|error| failed("read the catalogue", error))?;
        let one = |row: &tokio_postgres::Row| {
            let (names, comments): (Vec<String>, Vec<Option<String>>) = (row.get(5), row.get(6));
            Policed {
                name: row.get(0),
                secured: row.get(1),
                may_read: row.get(2),
                may_write: row.get(3),
                policies: names.into_iter().zip(comments).collect(),
                mark: row.get(4),
            }
        };
        Ok(rows.iter().map(one).collect())
    }
}

/// The code of a right that is missing.
const DENIED: &str = "R0113";

/// Made by two at once, or there already, is as well. Who makes a role on PostgreSQL 16 may grant it, but not take it yet.
pub(crate) fn make_role(role: &str, user: &str) -> String {
    let (role, user) = (text_literal(role), text_literal(user));
    format!(
        "do $repot$ begin\n  \
         begin execute format('create role %I nologin noinherit', {role}); exception when duplicate_object or unique_violation then null; end;\n  \
         if not coalesce((select rolsuper from pg_roles where rolname = {user}), false) then\n    \
         execute format('grant %I to %I', {role}, {user})\n      \
         || case when current_setting('server_version_num')::int >= 160000 then ' with inherit false, set true' else '' end;\n  \
         end if;\nend $repot$"
    )
}
