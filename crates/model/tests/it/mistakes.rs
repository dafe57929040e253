//! Typical mistakes and what is said about them.

use repot_model::language::{CODES, Problem, check, parse, parse_files};

fn problems(text: &str) -> Vec<Problem> {
    parse(text, "repot.toml", &|_| None).err().unwrap_or_default()
}

fn said(text: &str) -> String {
    let problems = problems(text);
    for problem in &problems {
        assert!(CODES.iter().any(|code| code.0 == problem.code), "{} is in no table", problem.code);
        assert!(
            problem.span.line > 0
                && !problem.message.ends_with('.')
                && problem.hint.ends_with(['.', '?', '`', ')']),
            "{problem:?}"
        );
    }
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A sound collection with one more field and one more setting.
fn with(setting: &str, field: &str) -> String {
    said(&format!(
        "[users]\nfile = \"users/{{id}}.json\"\n{setting}\n[users.fields]\nid = \"text key\"\nname = \"text\"\n{field}\n"
    ))
}

#[test]
fn toml() {
    insta::assert_snapshot!(said("[users\nfile = \"x\"\n"), @r"
    error[R0120]: not valid TOML: unclosed table, expected `]`
      repot.toml:1:7
    help: Mend the TOML here; strings stand in double quotes, sections in single brackets.
    ");
    insta::assert_snapshot!(said("[users]\nfile = \"{id}.json\"\n[users]\n"), @r"
    error[R0120]: not valid TOML: duplicate key
      repot.toml:3:2
    help: Every section and every key may stand once; join the two.
    ");
    insta::assert_snapshot!(said("[[users]]\nfile = \"{id}.json\"\n"), @r"
    error[R0121]: `[[users]]` in double brackets
      repot.toml:1:3
    help: Write `[users]`; the language has no arrays of tables.
    ");
    insta::assert_snapshot!(said("source = \"./data\"\n"), @r"
    error[R0121]: `source` outside of any section
      repot.toml:1:1
    help: Settings such as `source` belong under `[repot]`, everything else into the section of a collection.
    ");
}

#[test]
fn keys_and_kinds() {
    insta::assert_snapshot!(with("indx = [\"name\"]", ""), @r"
    error[R0121]: `indx` is no setting of a collection
      repot.toml:3:1
    help: Did you mean `index`?
    ");
    insta::assert_snapshot!(with("watch = \"yes\"", ""), @r"
    error[R0122]: `watch` is a string, not true or false
      repot.toml:3:9
    help: Write `true` or `false` without quotes.
    ");
    insta::assert_snapshot!(with("cache = 300", ""), @r"
    error[R0122]: `cache` is an integer, not a string
      repot.toml:3:9
    help: Put the value in double quotes.
    ");
    insta::assert_snapshot!(with("cache = \"5 min\"\netag = \"always\"", ""), @r"
    error[R0126]: `cache`: `5 min` is no duration
      repot.toml:3:10
    help: Write a whole number and a unit: `5s`, `10m`, `24h`, `30d`, `2w` or `1y`.
    error[R0126]: `etag` cannot be `always`
      repot.toml:4:9
    help: Write `required`.
    ");
    insta::assert_snapshot!(said("[repot]\nsouce = \"./data\"\ntarget = \"${NOWHERE}\"\nbackup = { at = \"2:00\", daily = 0 }\n"), @r"
    error[R0121]: `souce` is no setting of `[repot]`
      repot.toml:2:1
    help: Did you mean `source`?
    error[R0126]: `target`: the variable `NOWHERE` is not set
      repot.toml:3:11
    help: Set NOWHERE, or give it a default: `${NOWHERE:-...}`.
    error[R0121]: `backup` without `monthly`
      repot.toml:4:1
    help: Add `monthly` to it.
    error[R0126]: `at`: `2:00` is no time of day
      repot.toml:4:18
    help: Write hours and minutes in UTC, such as `02:00`.
    error[R0122]: `daily` is no whole number from 1
      repot.toml:4:33
    help: Write a number without quotes, such as `5`.
    ");
}

#[test]
fn fields() {
    insta::assert_snapshot!(with("", "age = \"integer\""), @r"
    error[R0123]: age: `integer` is no type
      repot.toml:7:8
    help: Repot calls it `int`.
    ");
    insta::assert_snapshot!(with("", "age = \"itn? unique\""), @r"
    error[R0123]: age: `itn` is no type
      repot.toml:7:8
    help: Did you mean `int`?
    ");
    insta::assert_snapshot!(with("", "age = \"int uniqe\""), @r"
    error[R0124]: age: `uniqe` is no word of the language
      repot.toml:7:12
    help: Did you mean `unique`?
    ");
    insta::assert_snapshot!(with("", "age = \"int unique ?\""), @r"
    error[R0124]: age: `?` is not expected here
      repot.toml:7:19
    help: Put `?` right behind the type.
    ");
    insta::assert_snapshot!(with("", "tags = \"[[text]]\"\nbio = \"text(many)\""), @r"
    error[R0123]: tags: a list that is not closed after one type
      repot.toml:7:10
    help: Write a list of scalars as `[text]`; lists of lists or of objects are `json` or a collection of their own.
    error[R0123]: bio: a length that is no number of characters
      repot.toml:8:13
    help: Write it as in `text(500)`.
    ");
    insta::assert_snapshot!(with("", "state = \"open | | done\"\nkind = \"'a' | a\""), @r"
    error[R0123]: state: a `|` without a word beside it
      repot.toml:7:17
    help: Write words with `|` between them, as in `open | done`; put odd ones in single quotes.
    error[R0123]: kind: `a` twice among the words
      repot.toml:8:15
    help: Leave one of them out.
    ");
    insta::assert_snapshot!(with("", "age = \"int = ten\"\nstate = \"open | done = opne\"\nborn = \"date = now\"\nnick = \"text(3) = long\""), @r"
    error[R0136]: age: `ten` is no value of this type
      repot.toml:7:14
    help: Write a value of the type, or leave the default out.
    error[R0136]: state: `opne` is no value of this type
      repot.toml:8:24
    help: Did you mean `open`?
    error[R0136]: born: `now` is a default of `time` only
      repot.toml:9:16
    help: Write a value of the type, or leave the default out.
    error[R0136]: nick: `long` is no value of this type
      repot.toml:10:19
    help: Shorten it, or allow more characters.
    ");
    insta::assert_snapshot!(with("", "place = \"position\"\nage = \"int cascade\""), @r"
    error[R0135]: users: `place` is a position, but its documents are in no list
      repot.toml:7:10
    help: Only elements of a list (`[]`) and lines of JSON Lines have a position; leave it out.
    error[R0135]: age: only a reference can have `cascade` or `set null`
      repot.toml:8:12
    help: Leave it out, or make the field a reference: `-> collection`.
    ");
    insta::assert_snapshot!(with("", "seen = \"time auto\"\nage = \"int? key\""), @r"
    error[R0134]: users: nothing fills in `seen`
      repot.toml:7:14
    help: Put `{seen}` into `file`, give it a default such as `= now`, or leave `auto` out.
    error[R0135]: age: a key that may be missing
      repot.toml:8:13
    help: Leave out `?` or `key`.
    ");
}

#[test]
fn names() {
    insta::assert_snapshot!(with("", "Name = \"text\"\n\"first name\" = \"text\"\nrepot_x = \"int\"\nxmin = \"int\""), @r"
    error[R0130]: users: `Name` and `name` make one column `Name`
      repot.toml:7:1
    help: Databases fold upper and lower case; rename one and say `from` with the document's name.
    error[R0130]: `first name` is no name for a field
      repot.toml:8:1
    help: Names have letters, digits and `_` and do not begin with a digit; another name in the document goes behind `from`.
    error[R0130]: `repot_x` begins with `repot_`
      repot.toml:9:1
    help: Such names are Repot's own; choose another.
    error[R0130]: `xmin` is a column that every PostgreSQL table has already
      repot.toml:10:1
    help: Choose another name, and `from` with the document's name.
    ");
}

#[test]
fn references() {
    insta::assert_snapshot!(with("", "boss = \"-> user?\""), @r"
    error[R0131]: boss refers to `user`, which is no collection
      repot.toml:7:12
    help: Did you mean `users`?
    ");
    insta::assert_snapshot!(said("[pairs]\nfile = \"{a}-{b}.json\"\n[pairs.fields]\na = \"text key\"\nb = \"text key\"\nother = \"-> pairs? set null\"\n"), @r#"
    error[R0131]: other refers to `pairs`, which has the key a, b together
      repot.toml:6:13
    help: A reference needs one key field: give pairs a single one, such as `id = "uuid key auto"`, and make the others `unique`.
    "#);
    insta::assert_snapshot!(with("", "[posts]\nin = \"user.posts[]\"\n[posts.fields]\nid = \"int key\""), @r"
    error[R0132]: posts is in `user`, which is no collection
      repot.toml:8:7
    help: Did you mean `users`?
    ");
    insta::assert_snapshot!(with("", "[posts]\nin = \"users.posts[]\"\n[posts.fields]\ntext = \"text\""), @r#"
    error[R0133]: posts has neither `key` nor `position`
      repot.toml:7:2
    help: Add a line `position = "position"`, or `key` to the field that tells rows apart.
    error[R0132]: posts has no `auto` reference to where its rows are (users)
      repot.toml:8:1
    help: Add a line such as `users_id = "-> users cascade auto"`.
    "#);
    insta::assert_snapshot!(with("", "[posts]\nin = \"users.posts\"\n[posts.fields]\nid = \"int key\"\nuser_id = \"-> users auto\""), @r"
    error[R0128]: `users.posts` ends at a name
      repot.toml:8:18
    help: End it with `[]` for a list, or with `{field}` for a map whose keys fill that field.
    ");
    insta::assert_snapshot!(said("[a]\nin = \"b.x[]\"\n[a.fields]\nid = \"int key\"\nb = \"-> b cascade auto\"\n[b]\nin = \"a.x[]\"\n[b.fields]\nid = \"int key\"\na = \"-> a cascade auto\"\n"), @r"
    error[R0132]: a is, through its parents, in itself
      repot.toml:2:1
    help: Keep what nests in itself in a `json` field of the outermost collection.
    ");
}

#[test]
fn places() {
    insta::assert_snapshot!(said("[users]\nfile = \"./users/{id.json\"\n[users.fields]\nid = \"int key\"\n"), @r"
    error[R0127]: a `{` without its `}`
      repot.toml:2:17
    help: Close the capture, or write `{{` for the character itself.
    ");
    insta::assert_snapshot!(said("[users]\nfile = \"{group}/{idd}.json\"\n[users.fields]\nid = \"int key\"\n"), @r#"
    error[R0134]: {group} is no field of users nor of what it refers to
      repot.toml:2:10
    help: Add a field, such as `group = "text"`, to [users.fields].
    error[R0134]: {idd} is no field of users nor of what it refers to
      repot.toml:2:18
    help: Did you mean `id`?
    "#);
    insta::assert_snapshot!(said("[a]\nfile = \"{x}/{id}.json\"\n[a.fields]\nid = \"int key\"\nx = \"text\"\n[b]\nfile = \"{id}/{y}.json\"\n[b.fields]\nid = \"int key\"\ny = \"text\"\n"), @r"
    error[R0140]: `{x}/{id}.json` and `{id}/{y}.json` can match the same path and neither is more literal
      repot.toml:7:9
    help: Make one of them more literal, with a folder or with words as in `{kind=games|clips}`, or join the two sections.
    ");
    insta::assert_snapshot!(said("[a]\nfile = \"db.json\"\nin = \"list[]\"\n[a.fields]\nid = \"int key\"\n[b]\nfile = \"db.json\"\nin = \"list[]\"\n[b.fields]\nid = \"int key\"\n"), @r"
    error[R0138]: b and a both read `db.json`
      repot.toml:7:9
    help: Files can be shared only by lists or maps at different places in them; change one of the two.
    ");
    insta::assert_snapshot!(said("[notes]\nfile = \"{id}.md\"\n[notes.fields]\nid = \"text key\"\n"), @r#"
    error[R0135]: notes: `{id}.md` does not look like JSON, and no field holds the file's content
      repot.toml:2:9
    help: Add a field such as `content = "body"` (`bytes body` for what is no text), or say `format = "json"`.
    "#);
    insta::assert_snapshot!(said("[notes]\nfile = \"{id}.md\"\n[notes.fields]\nid = \"text key\"\ntitle = \"text\"\ncontent = \"body\"\n"), @r"
    error[R0134]: notes: nothing in `{id}.md` fills in `title`
      repot.toml:5:1
    help: Put `{title}` into the path, write `?` behind its type, or give it a default.
    ");
    insta::assert_snapshot!(said("[stats]\nrefresh = \"30s\"\n"), @r#"
    error[R0125]: `[stats]` does not say where its documents are
      repot.toml:1:2
    help: Add `file = "..."`, `in = "parent.list[]"` or `view = "select ..."`.
    error[R0125]: `refresh` without `view`
      repot.toml:2:1
    help: Add `view`, or leave `refresh` out.
    "#);
    insta::assert_snapshot!(said("[lines]\nfile = \"log.jsonl\"\n[lines.fields]\ntext = \"text\"\n"), @r#"
    error[R0133]: lines has no key
      repot.toml:1:2
    help: Add `key` to the field that tells rows apart, or a line `id = "uuid key auto"`.
    "#);
}

#[test]
fn settings() {
    insta::assert_snapshot!(with("index = [\"name, agee desc\"]\nsearch = [\"nam\"]\ntenant = \"owner\"", "age = \"int\""), @r"
    error[R0137]: `index` names `agee`, which is no field of users
      repot.toml:3:17
    help: Did you mean `age`?
    error[R0137]: `search` names `nam`, which is no field of users
      repot.toml:4:12
    help: Did you mean `name`?
    error[R0137]: `tenant` names `owner`, which is no field of users
      repot.toml:5:11
    help: Fields of users are id, name, age.
    ");
    insta::assert_snapshot!(with("expire = \"30d after created when state = gone\"", "state = \"open | done\"\ncreated = \"text\""), @r"
    error[R0137]: `expire` in users names `created`, which is no time
      repot.toml:3:21
    help: Name a `time` or `date`.
    error[R0137]: `gone` is no word of `state`
      repot.toml:3:42
    help: Did you mean `done`?
    ");
    insta::assert_snapshot!(with("", "state = \"open | done\"\n[users.transitions.state]\nopen = [\"dnoe\"]"), @r"
    error[R0139]: `transitions.state` in users does not say what `done` may change to
      repot.toml:8:1
    help: Add `done = []`, or the words it may change to.
    error[R0139]: `dnoe` is no word of `users.state`
      repot.toml:9:10
    help: Did you mean `done`?
    ");
    insta::assert_snapshot!(with("", "used = \"text\"\n[users.quota]\ndaily = { used = \"used\", limit = \"most\" }"), @r"
    error[R0137]: `quota` in users names `used`, which is no `int`
      repot.toml:9:11
    help: Counters and limits are `int`.
    error[R0137]: `quota` names `most`, which is no field of users
      repot.toml:9:35
    help: Fields of users are id, name, used.
    ");
}

#[test]
fn a_model_in_several_files() {
    let users = "[users]\nfile = \"users/{id}.json\"\n[users.fields]\nid = \"text key\"\n";
    let posts =
        "[posts]\nfile = \"posts/{id}.json\"\n[posts.fields]\nid = \"text key\"\nuser = \"-> users\"\n";
    let model =
        parse_files(&[("repot/users.toml", users), ("repot/posts.toml", posts)], &|_| None).expect("sound");
    assert_eq!(model.collections.len(), 2);
    let wrong = posts.replace("-> users", "-> usres");
    let found =
        parse_files(&[("repot/a.toml", users), ("repot/b.toml", &wrong), ("repot/c.toml", users)], &|_| None);
    let found: Vec<String> = found.expect_err("two problems").iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(found.join("\n"), @r"
    error[R0131]: user refers to `usres`, which is no collection
      repot/b.toml:5:12
    help: Did you mean `users`?
    error[R0120]: `[users]` a second time; the first is in repot/a.toml:1:2
      repot/c.toml:1:2
    help: Join the two sections, or rename one.
    ");
}

#[test]
fn all_problems_are_found_at_once_and_one_mistake_is_one_message() {
    let text = "[repot]\nsource = 5\n[users]\nfile = \"users/{id}.json\"\nindex = [\"nme\"]\n[users.fields]\nid = \"text kye\"\nname = \"txt\"\n\
                [posts]\nfile = \"posts/{id}.json\"\nindex = [\"user_i\"]\n[posts.fields]\nid = \"int key\"\nuser_id = \"-> users\"\n";
    let found = problems(text);
    let places: Vec<(usize, &str)> = found.iter().map(|problem| (problem.span.line, problem.code)).collect();
    assert_eq!(places, [(2, "R0122"), (7, "R0124"), (8, "R0123"), (11, "R0137")]);
}

#[test]
fn what_parse_accepts_check_accepts() {
    for app in crate::apps::APPS {
        assert_eq!(check(&crate::apps::model(app), "repot.toml"), []);
    }
}

#[test]
fn no_text_makes_it_panic() {
    let whole = crate::apps::text("translation");
    for (at, _) in whole.char_indices().step_by(3) {
        let cut = whole.get(..at).expect("a boundary");
        let swapped =
            format!("{cut}?{}", whole.get(at..).expect("a boundary").chars().skip(1).collect::<String>());
        problems(cut);
        problems(&swapped);
    }
}
