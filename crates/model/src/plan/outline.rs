//! What documents look like: for each table, where in the element's object its columns and the rows below it stand. For
//! those who describe documents to others; splitting has its own program.

use super::Plan;
use super::program::{Op, Shape};

/// Entries of an object that mean something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// By name.
    pub entries: Vec<OutlineEntry>,
    /// Rows that begin at this very value.
    pub rows: Vec<OutlineRows>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlineEntry {
    /// Its name.
    pub name: String,
    /// Columns that are filled from it.
    pub columns: Vec<usize>,
    /// What stands deeper.
    pub inner: Outline,
}

/// Rows of another table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlineRows {
    /// Their table.
    pub table: usize,
    /// From the value to them.
    pub way: Vec<OutlineStep>,
}

/// A step to rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutlineStep {
    /// Into the entry of this name.
    Name(String),
    /// Over the entries of an object that is used as a map.
    Entries,
    /// Over the elements of a list.
    Elements,
}

impl Plan {
    /// What the objects look like that give rows of this table.
    ///
    /// # Panics
    /// When there is no such table.
    #[must_use]
    pub fn outline(&self, table: usize) -> Outline {
        outline(&self.programs[table].shape)
    }

    /// Whether documents that do not give this column a value are refused: it has no default, and nothing else fills it
    /// but, for some, the place.
    ///
    /// # Panics
    /// When there is no such table or column.
    #[must_use]
    pub fn is_demanded(&self, table: usize, column: usize) -> bool {
        let column = &self.programs[table].columns[column];
        column.required && column.default.is_none()
    }

    /// Whether a value that no column can hold (a text with NUL, a number beyond 64 bits) is refused here.
    ///
    /// # Panics
    /// When there is no such table or column.
    #[must_use]
    pub fn is_held_to_column(&self, table: usize, column: usize) -> bool {
        self.programs[table].columns[column].required
    }

    /// Whether elements of this table are values themselves, rather than objects with entries.
    ///
    /// # Panics
    /// When there is no such table.
    #[must_use]
    pub fn is_whole(&self, table: usize) -> bool {
        !self.programs[table].whole.is_empty()
    }

    /// Whether documents may have no entries but those that the model names.
    ///
    /// # Panics
    /// When there is no such table.
    #[must_use]
    pub fn refuses_unknown(&self, table: usize) -> bool {
        self.programs[table].refuse_unknown
    }
}

fn outline(shape: &Shape) -> Outline {
    let entry = |entry: &super::program::ShapeEntry| OutlineEntry {
        name: entry.name.clone(),
        columns: entry.columns.clone(),
        inner: outline(&entry.inner),
    };
    let step = |op: &Op| match op {
        Op::Name(name) => OutlineStep::Name(name.clone()),
        Op::Entry(_) => OutlineStep::Entries,
        Op::Each => OutlineStep::Elements,
    };
    let rows = |child: &super::program::Child| OutlineRows {
        table: child.table,
        way: child.ops.iter().map(step).collect(),
    };
    Outline {
        entries: shape.entries.iter().map(entry).collect(),
        rows: shape.children.iter().map(rows).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::OutlineStep;
    use crate::language::parse;
    use crate::plan::Plan;

    #[test]
    fn columns_and_rows_stand_where_the_model_says() {
        let text = r#"
            [users]
            file = "users/{id}.json"
            unknown = "refuse"
            [users.fields]
            id = "text key"
            city = "text from address.city"
            level = "int = 1"
            [notes]
            in = "users.lists.notes{name}[]"
            [notes.fields]
            user_id = "-> users cascade auto"
            name = "text"
            order = "position"
            text = "text from ."
        "#;
        let plan = Plan::compile(&parse(text, "repot.toml", &|_| None).unwrap()).unwrap();
        let users = plan.table("users").unwrap();
        let outline = plan.outline(users);
        let names: Vec<&str> = outline.entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["id", "address", "level", "lists"]);
        assert_eq!(outline.entries[1].inner.entries[0].name, "city");
        let rows = &outline.entries[3].inner.entries[0].inner.rows[0];
        assert_eq!(rows.way, [OutlineStep::Entries, OutlineStep::Elements]);
        assert!(plan.is_whole(rows.table) && plan.refuses_unknown(users) && !plan.is_whole(users));
        let demanded: Vec<bool> = (0..3).map(|column| plan.is_demanded(users, column)).collect();
        assert_eq!(demanded, [true, true, false]);
        assert!(plan.is_held_to_column(users, 2));
    }
}
