//! Which lists of a collection's documents are rows, and what tells the rows of one list apart.

use repot_json::patch::{Lists, Part};

use super::Plan;
use super::program::{Op, Shape};

impl Plan {
    /// The lists of rows in the documents of a root, by its index in [`Plan::roots`]: at any depth, with the key fields
    /// that the documents hold. Rows whose key is made from their place have none.
    #[must_use]
    pub fn lists(&self, root: usize) -> Lists {
        let mut lists = Lists::default();
        let Some(table) = self.roots.get(root).and_then(|root| root.table) else { return lists };
        let mut open: Vec<(Vec<Part>, &Shape)> = vec![(Vec::new(), &self.programs[table].shape)];
        while let Some((at, shape)) = open.pop() {
            for entry in &shape.entries {
                let inner = at.iter().cloned().chain([Part::Name(entry.name.clone())]);
                open.push((inner.collect(), &entry.inner));
            }
            for child in &shape.children {
                let mut way = at.clone();
                for op in &child.ops {
                    match op {
                        Op::Name(name) => way.push(Part::Name(name.clone())),
                        Op::Entry(_) => way.push(Part::Entry),
                        Op::Each => {
                            lists = lists.with(way.clone(), self.key_paths(child.table));
                            way.push(Part::Each);
                        }
                    }
                }
                open.push((way, &self.programs[child.table].shape));
            }
        }
        lists
    }

    /// Where the key of a table stands in its element. Columns that are not of the element, such as its parent's key,
    /// are the same for a whole list; a key that Repot makes says nothing.
    fn key_paths(&self, table: usize) -> Vec<Vec<String>> {
        let program = &self.programs[table];
        if program.auto_key.is_some() {
            return Vec::new();
        }
        let columns = self.tables[table].key.iter().map(|&column| &program.columns[column]);
        columns.filter_map(|column| column.path.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use repot_json::patch::{Lists, Part};

    use crate::language::parse;
    use crate::plan::Plan;

    const MODEL: &str = r#"
[repot]
source = "./data"

[dramas]
file = "dramas/{id}.json"

[dramas.fields]
id   = "text key"
tags = "json"

[characters]
in = "dramas.cast.characters[]"

[characters.fields]
code     = "text key from meta.code"
drama_id = "-> dramas cascade auto"

[lines]
in = "characters.lines[]"

[lines.fields]
id           = "int key auto"
character_id = "-> characters cascade auto"
order        = "position"
text         = "text"

[props]
in = "dramas.scenes{scene}[]"

[props.fields]
id       = "text key"
drama_id = "-> dramas cascade auto"
scene    = "text"
"#;

    #[test]
    fn rows_at_any_depth_with_the_keys_that_documents_hold() {
        let model = parse(MODEL, "repot.toml", &|_| None).unwrap();
        let plan = Plan::compile(&model).unwrap();
        let name = |name: &str| Part::Name(name.to_owned());
        let key = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let cast = vec![name("cast"), name("characters")];
        let lines = [cast.clone(), vec![Part::Each, name("lines")]].concat();
        let expected = [
            (cast, vec![key(&["meta", "code"])]),
            (lines, Vec::new()),
            (vec![name("scenes"), Part::Entry], vec![key(&["id"])]),
        ];
        let shown = format!("{:?}", plan.lists(0));
        for (at, key) in expected {
            let one = format!("{:?}", Lists::default().with(at, key));
            let one = one.trim_start_matches("Lists([").trim_end_matches("])");
            assert!(shown.contains(one), "{one}\n{shown}");
        }
        assert_eq!(shown.matches("at: ").count(), 3);
    }
}
