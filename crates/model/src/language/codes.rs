//! The problems a model file can have, for `repot explain`.

/// Code, title, explanation, how to mend.
pub const CODES: &[(&str, &str, &str, &str)] = &[
    (
        "R0120",
        "The model file is not valid TOML",
        "The file cannot be read as TOML, or one section stands twice (also in two files of one model).",
        "Mend the line that is named: strings in double quotes, sections in single brackets, every section and every key once.",
    ),
    (
        "R0121",
        "A section or key that the language does not have",
        "Nothing in a model file is ignored, so a misspelt key is an error. A section is a collection; only [repot] is not.",
        "Take the word from the hint, or remove the line. `repot gen schema` gives editors the list of keys.",
    ),
    (
        "R0122",
        "A value of the wrong kind",
        "A string stands where a number, list, table or true/false is meant, or the other way round.",
        "Write the kind of value that the message names.",
    ),
    (
        "R0123",
        "A field's type cannot be read",
        "A field is a type, `?` when it may be missing, words, then `= default`. Types are text, text(500), int, float, decimal, bool, time, \
         date, uuid, json, bytes, [text], words with `|` between them, `-> collection`, body, bytes body, json body, position.",
        "Write one of the types. A single allowed word stands in single quotes: 'movie'.",
    ),
    (
        "R0124",
        "A field's words cannot be read",
        "After the type come key, unique, auto, cascade, set null, `from NAME`, `was NAME`, each at most once, then the default.",
        "Take the word from the hint; put `?` right behind the type and the default last.",
    ),
    (
        "R0125",
        "A collection's place is missing or said twice",
        "A collection lives in files (`file`), at a place inside files (`file` and `in`), in a table of SQLite files (`file` and `table`), \
         inside another collection's documents (`in`), or is computed (`view`).",
        "Keep exactly one of these; leave out settings that belong to another kind of place.",
    ),
    (
        "R0126",
        "A setting's value cannot be read",
        "Durations are a whole number and s, m, h, d, w or y; sizes a whole number and B, KB, MB, GB, KiB, MiB or GiB; rates `500 per minute`; \
         `expire` and `archive` are `30d after field when field = word`. Variables are ${NAME} or ${NAME:-default} and must be set or have a default.",
        "Write the value as the hint shows.",
    ),
    (
        "R0127",
        "A path template cannot be read",
        "A template is a path relative to the source with {name}, {name...} or {name=this|that} in it. Two captures need a character between them, \
         or a path could be read in several ways. Braces that belong to the path are doubled.",
        "Correct the template at the character that is named.",
    ),
    (
        "R0128",
        "A place inside documents cannot be read",
        "A place is names with dots between them that end with [] for the elements of a list or {field} for the entries of a map whose keys fill \
         that field. [] stands only at the end.",
        "Write for example `conversations.messages[]`; put names with odd characters in single quotes.",
    ),
    (
        "R0130",
        "A name that a database cannot keep",
        "Names of collections, fields and indexes have letters, digits and _, at most 63 bytes (where PostgreSQL cuts), do not begin with a digit, \
         repot_ or sqlite_, do not differ only in upper and lower case, and are no system column of PostgreSQL. A reference to one of several \
         collections makes two columns, name_type and name_id.",
        "Choose another name and say the document's own with `from`.",
    ),
    (
        "R0131",
        "A reference to something that cannot be referred to",
        "The collection behind -> must exist, be a table of Repot's, and have one key field.",
        "Correct the name, or give the other collection a single key such as `id = \"uuid key auto\"`.",
    ),
    (
        "R0132",
        "A nested collection and its parent do not fit together",
        "A collection with `in` has exactly one `auto` reference that names every collection its rows are in and no other; it cannot be missing. \
         The parents exist, move, and are not in themselves.",
        "Add a line such as `conversation_id = \"-> conversations cascade auto\"`, or correct `in`.",
    ),
    (
        "R0133",
        "Nothing tells rows apart",
        "A collection in files needs a key; the elements of a list need a key or a position. A key that Repot makes is uuid, int or text and stands alone.",
        "Add `key` to a field, `id = \"uuid key auto\"`, or `position = \"position\"`.",
    ),
    (
        "R0134",
        "A path and the fields do not fit together",
        "Every {name} of a path is a field of the collection or of something it refers to, able to hold the value; and every field that must be there \
         is in the document, in the path, made by Repot, or has a default.",
        "Add the field, correct the name, or write ? behind the type.",
    ),
    (
        "R0135",
        "Words, type and place of a field contradict each other",
        "For example: position outside of a list, two bodies, `cascade` on something that is no reference, a key that may be missing, a body that is read as JSON.",
        "Leave out the word that the hint names.",
    ),
    (
        "R0136",
        "A default that is no value of its type",
        "A default must be one of the words of an enum, a number for int, and so on; `now` belongs to time, `today` to date.",
        "Correct the default. A text that reads like a word of the language stands in quotes: = 'now'.",
    ),
    (
        "R0137",
        "A setting names a field that is not there or cannot serve",
        "index, unique, search, tenant, expire, archive, transitions and quota name fields of their collection, of a type that fits.",
        "Correct the name or the type of the field.",
    ),
    (
        "R0138",
        "Two collections read the same values",
        "The same file can hold several collections only at different places in it (`in`) or in different tables.",
        "Change one of the templates or places, or join the collections.",
    ),
    (
        "R0139",
        "Transitions and words do not fit together",
        "[x.transitions.field] says for each word of the field what it may change to, `[]` for nothing.",
        "Name every word of the field once on the left and only such words on the right.",
    ),
    (
        "R0140",
        "Two templates can claim one path",
        "The more literal template wins: more literal characters, then fewer `...`, then fewer free captures, then fewer words. These two are equal, \
         and some path matches both.",
        "Make one of them more literal with a folder or with words, as in {kind=games|clips}, or join the sections.",
    ),
];

#[cfg(test)]
mod tests {
    use super::CODES;

    #[test]
    fn codes_are_sorted_unique_and_in_their_family() {
        for pair in CODES.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{} before {}", pair[0].0, pair[1].0);
        }
        for (code, title, explanation, mend) in CODES {
            assert!(code.starts_with("R012") || code.starts_with("R013") || *code == "R0140");
            assert!(!title.ends_with('.') && explanation.ends_with('.') && mend.ends_with('.'), "{code}");
        }
    }
}
