//! A document's text with what differs between two states of a typed value.

use repot_json::edit::Editor;
use repot_json::{Kind, Limits, SyntaxError, Tree, Value};

use super::align::{align, staying};
use super::same::{entries, same};
use super::shape::Shape;

/// The text `body` with the difference between `before`, which the type reads from it, and `after`. What is the same
/// in both stays as it is written, and so does what the type does not know. `None`: there is no difference.
pub(crate) fn changed(
    body: &[u8],
    (before, after): (&[u8], &[u8]),
    shape: &Shape,
    limits: Limits,
) -> Result<Option<Vec<u8>>, SyntaxError> {
    let trees = [Tree::parse(body, limits)?, Tree::parse(before, limits)?, Tree::parse(after, limits)?];
    let roots = (trees[0].root(body), trees[1].root(before), trees[2].root(after));
    let (Some(body), Some(before), Some(after)) = roots else { return Ok(None) };
    if same(before, after) {
        return Ok(None);
    }
    let mut editor = Editor::new(body);
    Merge { editor: &mut editor, limits }.value(body, (before, after), Some(shape));
    Ok(Some(editor.finish()))
}

/// Do two texts say the same?
pub(crate) fn says(one: &[u8], other: &[u8], limits: Limits) -> bool {
    let (Ok(left), Ok(right)) = (Tree::parse(one, limits), Tree::parse(other, limits)) else { return false };
    left.root(one).zip(right.root(other)).is_some_and(|(one, other)| same(one, other))
}

/// The depth of this recursion is that of the text, which serde has read with its own bound of 128 levels.
struct Merge<'e, 't> {
    editor: &'e mut Editor<'t>,
    limits: Limits,
}

impl Merge<'_, '_> {
    fn value(&mut self, body: Value<'_>, (before, after): (Value<'_>, Value<'_>), shape: Option<&Shape>) {
        if same(before, after) {
            return;
        }
        match (body.kind(), before.kind(), after.kind()) {
            (Kind::Object, Kind::Object, Kind::Object) => self.object(body, (before, after), shape),
            (Kind::Array, Kind::Array, Kind::Array) => self.list(body, (before, after), shape),
            _ => self.editor.replace(body.index(), after.raw()),
        }
    }

    fn object(&mut self, body: Value<'_>, (before, after): (Value<'_>, Value<'_>), shape: Option<&Shape>) {
        let (standing, old, new) = (entries(body), entries(before), entries(after));
        for (key, value) in after.entries() {
            let Some(content) = key.content() else { continue };
            match (old.get(&content), standing.get(&content)) {
                (Some(was), Some(stands)) => {
                    let inner = shape.and_then(|shape| shape.entry(&content));
                    self.value(*stands, (*was, value), inner);
                }
                (Some(was), None) if same(*was, value) => {}
                (None, Some(stands)) => {
                    if !same(*stands, value) {
                        self.editor.replace(stands.index(), value.raw());
                    }
                }
                (_, None) => self.editor.insert_quoted(body.index(), key.raw(), value.raw()),
            }
        }
        for (key, value) in body.entries() {
            let Some(content) = key.content() else { continue };
            if old.contains_key(&content) && !new.contains_key(&content) {
                self.editor.remove_entry(value.index());
            }
        }
    }

    fn list(&mut self, body: Value<'_>, (before, after): (Value<'_>, Value<'_>), shape: Option<&Shape>) {
        let standing: Vec<Value<'_>> = body.elements().collect();
        let (old, new): (Vec<_>, Vec<_>) = (before.elements().collect(), after.elements().collect());
        if standing.len() != old.len() {
            // the type does not read this list element by element
            self.editor.replace(body.index(), after.raw());
            return;
        }
        let element = shape.and_then(Shape::element);
        let inner = element.map(|element| &element.shape);
        let was = align(&old, &new, element);
        let stays = staying(&was);
        let mut kept = vec![false; old.len()];
        let mut next = usize::MAX;
        let mut inserts = Vec::new();
        for at in (0..new.len()).rev() {
            match was[at] {
                Some(from) if stays[at] => {
                    self.value(standing[from], (old[from], new[at]), inner);
                    kept[from] = true;
                    next = from;
                }
                Some(from) => {
                    let text = self.moved(standing[from], (old[from], new[at]), inner);
                    inserts.push((next, text));
                }
                None => inserts.push((next, new[at].raw().to_owned())),
            }
        }
        for (before, text) in inserts.into_iter().rev() {
            self.editor.insert_element(body.index(), before, &text);
        }
        for (element, _) in standing.iter().zip(kept).filter(|(_, kept)| !kept) {
            self.editor.remove_element(element.index());
        }
    }

    /// The text of an element that stands elsewhere from now on.
    fn moved(&self, body: Value<'_>, states: (Value<'_>, Value<'_>), shape: Option<&Shape>) -> String {
        let text = body.raw();
        let Ok(tree) = Tree::parse(text.as_bytes(), self.limits) else { return states.1.raw().to_owned() };
        let Some(root) = tree.root(text.as_bytes()) else { return states.1.raw().to_owned() };
        let mut editor = Editor::new(root);
        Merge { editor: &mut editor, limits: self.limits }.value(root, states, shape);
        String::from_utf8(editor.finish()).unwrap_or_else(|_| states.1.raw().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use repot_json::Limits;
    use repot_model::language::parse;

    use super::{Shape, changed, says};

    const MODEL: &str = r#"
[dramas]
file = "dramas/{id}.json"
[dramas.fields]
id = "text key"

[people]
in = "dramas.people[]"
[people.fields]
id       = "text key"
drama_id = "-> dramas cascade auto"
order    = "position"
"#;

    fn merged(body: &str, before: &str, after: &str) -> String {
        let model = parse(MODEL, "repot.toml", &|_| None).unwrap();
        let shape = Shape::of(&model, "dramas");
        let states = (before.as_bytes(), after.as_bytes());
        let text = changed(body.as_bytes(), states, &shape, Limits::default()).unwrap();
        text.map_or_else(|| body.to_owned(), |text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn only_what_differs_is_written() {
        let body = "{ \"n\":1.0, \"b\" : \"\\u0041\",\n\t\"x\":[1e2] }\n";
        let before = r#"{"n":1.0,"b":"A","absent":null}"#;
        assert_eq!(merged(body, before, r#"{"absent":null,"b":"\u0041","n":1.0}"#), body);
        assert_eq!(
            merged(body, before, r#"{"n":2.0,"b":"A","absent":null}"#),
            "{ \"n\":2.0, \"b\" : \"\\u0041\",\n\t\"x\":[1e2] }\n"
        );
        assert_eq!(merged(r#"{"a":1,"b":2}"#, r#"{"a":1,"b":2}"#, r#"{"b":2}"#), r#"{"b":2}"#);
        assert_eq!(merged(r#"{"a":1}"#, r#"{"a":1}"#, r#"{"a":1,"c":[2]}"#), r#"{"a":1,"c":[2]}"#);
    }

    #[test]
    fn elements_with_a_key_keep_what_the_type_does_not_know() {
        let body = r#"{"people":[{"id":"a","x":1},{"id":"b","x":2},{"id":"c","x":3}]}"#;
        let before = r#"{"people":[{"id":"a","n":0},{"id":"b","n":0},{"id":"c","n":0}]}"#;
        let after = r#"{"people":[{"id":"c","n":0},{"id":"b","n":5},{"id":"d","n":0}]}"#;
        let text = merged(body, before, after);
        let wanted = r#"{"people":[{"id":"c","x":3},{"id":"b","x":2,"n":5},{"id":"d","n":0}]}"#;
        assert!(says(text.as_bytes(), wanted.as_bytes(), Limits::default()), "{text}");
    }

    #[test]
    fn elements_without_a_key_go_by_their_place() {
        let body = r#"{"l":[{"w":"a","x":1},{"w":"b","x":2}]}"#;
        let before = r#"{"l":[{"w":"a"},{"w":"b"}]}"#;
        let cases = [
            (
                r#"{"l":[{"w":"a"},{"w":"b"},{"w":"c"}]}"#,
                r#"{"l":[{"w":"a","x":1},{"w":"b","x":2},{"w":"c"}]}"#,
            ),
            (r#"{"l":[{"w":"b"}]}"#, r#"{"l":[{"w":"b","x":2}]}"#),
            (r#"{"l":[{"w":"z"},{"w":"b"}]}"#, r#"{"l":[{"w":"z","x":1},{"w":"b","x":2}]}"#),
            (r#"{"l":[]}"#, r#"{"l":[]}"#),
            (r#"{"l":null}"#, r#"{"l":null}"#),
        ];
        for (after, wanted) in cases {
            let text = merged(body, before, after);
            assert!(says(text.as_bytes(), wanted.as_bytes(), Limits::default()), "{after}: {text}");
        }
    }
}
