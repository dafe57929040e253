//! Who refers to rows that are about to go.

use repot_core::{Referred, Referrer, Result};
use repot_model::sql::quote;

use crate::rows::{Access, pick};
use crate::statements::selected;

impl Access<'_> {
    /// Rows that refer to one of these values, each with its document.
    pub(crate) fn referrers(&self, referred: &Referred<'_>) -> Result<Vec<Referrer>> {
        let table = &self.plan.tables[referred.table];
        let column = quote(&table.columns[referred.column].name);
        let sql = format!(
            "select {} from {} as r where r.{column} = ?1 limit {}",
            selected(table),
            quote(&table.name),
            referred.most
        );
        let mut found = Vec::new();
        for value in referred.values {
            for row in self.select(referred.table, &sql, value)? {
                found.push(Referrer {
                    document: self.root_of(referred.table, &row)?,
                    row: pick(&row, &table.identity),
                    value: pick(&row, &[referred.column]),
                });
            }
            if found.len() >= referred.most {
                break;
            }
        }
        found.truncate(referred.most);
        Ok(found)
    }
}
