//! Ending a bulk load: rows that refer to nothing, then the steps that build keys, references and indexes. Each
//! step is committed by itself and looks first whether it is done, so a stopped run goes on where it was.

use std::collections::BTreeSet;

use repot_core::{Result, Violation};
use repot_model::plan::{ForeignKey, Plan, key_text};
use repot_model::sql::quote;

use crate::chain::chains;
use crate::error::failed;
use crate::stored::cells;
use crate::transaction::Writer;

/// Memory for building an index and sorting for it.
pub(crate) const BUILD_MEMORY: &str = "64MB";

impl Writer {
    /// Rows that refer to nothing, at most `most`.
    pub(crate) async fn violations(&mut self, plan: &Plan, most: usize) -> Result<Vec<Violation>> {
        self.ready().await?;
        let enforced = self.constraints().await?;
        let mut found = Vec::new();
        for table in 0..plan.tables.len() {
            for key in &plan.tables[table].foreign_keys {
                if key.may_dangle && !enforced.contains(&key.name) {
                    self.dangling_rows(plan, table, key, most, &mut found).await?;
                }
            }
        }
        Ok(found)
    }

    async fn dangling_rows(
        &mut self,
        plan: &Plan,
        table: usize,
        key: &ForeignKey,
        most: usize,
        found: &mut Vec<Violation>,
    ) -> Result<()> {
        let own = &plan.tables[table];
        let column = &own.columns[key.column];
        let target = &plan.tables[key.table];
        let name = quote(&column.name);
        let target_column = quote(&target.columns[key.target_column].name);
        for chain in chains(plan, table) {
            let room = most.saturating_sub(found.len());
            if room == 0 {
                return Ok(());
            }
            let root = &plan.tables[chain.root()];
            let root_key = if root.key.is_empty() { "null".to_owned() } else { chain.root_key(plan) };
            let sql = format!(
                "select t0.{name}, {root_key} from {} where t0.{name} is not null \
                 and not exists (select from {} x where x.{target_column} = t0.{name}) limit {room}",
                chain.from(plan),
                quote(&target.name)
            );
            let rows = self.client().query_typed(&sql, &[]).await.map_err(|error| {
                failed(&format!("look for rows of {} that refer to nothing", own.name), error)
            })?;
            for row in rows {
                let (mut value, mut of_root) = (Vec::new(), Vec::new());
                cells(&row, 0, std::iter::once(column.kind), &mut value)?;
                cells(&row, 1, root.key.iter().map(|&column| root.columns[column].kind), &mut of_root)?;
                let reason = format!(
                    "{}.{} refers to {} {}, which is not there",
                    own.name,
                    column.name,
                    target.name,
                    key_text(&value)
                );
                found.push(Violation { collection: root.name.clone(), key: key_text(&of_root), reason });
            }
        }
        Ok(())
    }

    /// Names of all constraints in the schema.
    pub(crate) async fn constraints(&self) -> Result<BTreeSet<String>> {
        let rows = self
            .client()
            .query_typed(
                "select conname::text from pg_constraint where connamespace = quote_ident(current_schema())::regnamespace",
                &[],
            )
            .await
            .map_err(|error| failed("read the catalogue", error))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Tables that have a primary key.
    pub(crate) async fn keyed(&self) -> Result<BTreeSet<String>> {
        let rows = self
            .client()
            .query_typed(
                "select relname::text from pg_constraint join pg_class on pg_class.oid = conrelid \
                 where contype = 'p' and connamespace = quote_ident(current_schema())::regnamespace",
                &[],
            )
            .await
            .map_err(|error| failed("read the catalogue", error))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}
