//! The error catalogue: what each code means and how to mend it. Families: R01 settings, reach and the model,
//! R02 reading the source, R03 data against the model, R04 documents in stores and who may reach them, R05 queues, quotas and limits, R06 following changes, R07 running at once, R08 backup and export, R09 our own
//! faults. The codes of the model language, of the bucket leaf, and of what watches a live move stand beside their code.

/// One code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Such as `R0311`.
    pub code: &'static str,
    /// A few words.
    pub title: &'static str,
    /// What it means.
    pub explanation: &'static str,
    /// What to do.
    pub mend: &'static str,
}

const fn entry(
    code: &'static str,
    title: &'static str,
    explanation: &'static str,
    mend: &'static str,
) -> Entry {
    Entry { code, title, explanation, mend }
}

/// Codes that no single leaf owns.
pub const CATALOGUE: &[Entry] = &[
    entry(
        "R0100",
        "A word of the command line is wrong",
        "A flag's value cannot be read.",
        "See repot COMMAND --help.",
    ),
    entry(
        "R0105",
        "DATABASE_URL cannot be read",
        "The URL names no database that Repot knows.",
        "Write sqlite:///file.db or postgresql://user@host/database.",
    ),
    entry(
        "R0106",
        "The database is out of reach",
        "It cannot be opened or connected to, or the connection was lost.",
        "Check DATABASE_URL and that the server runs, then run the same command again: it goes on where it stopped.",
    ),
    entry(
        "R0107",
        "There is no model here",
        "No repot.toml (and no repot/ folder) was found.",
        "Run repot init DIRECTORY, or name the file with --model.",
    ),
    entry(
        "R0108",
        "The database was made by a newer Repot",
        "Its own tables have a format that this version does not know.",
        "Use that version or a newer one.",
    ),
    entry(
        "R0109",
        "A table of that name is there already",
        "Repot never writes into tables it did not make.",
        "Copy into another database or schema, or rename the collection in the model.",
    ),
    entry(
        "R0110",
        "Two settings say opposite things",
        "CACHE_ENABLED and ENABLE_CACHE, or USE_DATABASE and USE_NEW_DATA_LAYER, are two names of one setting, and one says true, the other false.",
        "Set one of the two, or both to the same.",
    ),
    entry(
        "R0111",
        "The statement cannot be run",
        "The database refused it, or it is not a single statement that reads.",
        "Mend the SQL; query runs one reading statement.",
    ),
    entry(
        "R0112",
        "The disk is full",
        "The database could not write. What was loaded before is safe.",
        "Make space, then run the same command again: it goes on where it stopped.",
    ),
    entry(
        "R0113",
        "No right to do this",
        "The database or the file system refused access.",
        "Give the user the right to create and write tables, or the file's folder the right to be written.",
    ),
    entry(
        "R0114",
        "The database is busy",
        "Another program holds a lock, or all connections are taken.",
        "Wait for it or end it, then run the same command again.",
    ),
    entry(
        "R0115",
        "A connection pooler is in between",
        "Behind a transaction pooler locks of a session are shared silently, so two copies could run at once.",
        "Use the database's direct URL for copy.",
    ),
    entry(
        "R0116",
        "A model file is there already",
        "init does not write over what you may have edited.",
        "Look at it, or run repot init --force.",
    ),
    entry(
        "R0117",
        "A file cannot be read or written",
        "The operating system refused.",
        "Check the path and its permissions.",
    ),
    entry(
        "R0118",
        "Nothing was copied yet",
        "The database holds nothing that Repot made.",
        "Run repot copy first.",
    ),
    entry(
        "R0119",
        "No room in the temporary folder",
        "init keeps the files that hold JSON, packed, in a file without a name in the temporary folder until the model is made, and could not write or read it.",
        "Make space there, or set TMPDIR to a folder with enough of it, and run repot init again.",
    ),
    entry(
        "R0150",
        "Tables of SQLite files are not read yet",
        "The section reads a table in SQLite files, which this version does not do: nothing is copied, and no store is opened over such files. A fresh database is served with the model.",
        "Serve a fresh database with this model, leave the section out, or say `move = false`.",
    ),
    entry(
        "R0151",
        "The model changed since the copy",
        "The database was made from another model. Changing tables in place comes in a later version.",
        "Take back the change, or copy into a fresh database: the files still lead, so nothing is lost.",
    ),
    entry(
        "R0152",
        "Not done yet",
        "The model uses something that this version does not do.",
        "See the message for what; leave it out for now.",
    ),
    entry(
        "R0153",
        "The server is out of reach",
        "No answer came from the Repot server of REPOT_URL within the time there was (--timeout, 30 seconds).",
        "Check the address, and that repot serve runs there. Where the message says that the request may have been done, read before you send it again.",
    ),
    entry(
        "R0154",
        "The server cannot be asked so",
        "The address of the server (REPOT_URL) is none, or the key (REPOT_KEY) can be none.",
        "Mend REPOT_URL or REPOT_KEY; or name a store with --store.",
    ),
    entry(
        "R0155",
        "The answer is none of a Repot server",
        "Something answers at REPOT_URL, but not as the HTTP API does: another program, a proxy, or a Repot that is newer or older.",
        "Check the address, with the path where one stands before /v1, and that client and server are of one version.",
    ),
    entry(
        "R0203",
        "Two documents claim the same key",
        "A document has a key (or a unique value) that another one has. The first by path keeps it; the other is set aside, whole.",
        "Rename or merge one of them, or choose another key in the model; then repot copy takes it up.",
    ),
    entry(
        "R0205",
        "Something that is no file",
        "A symbolic link, socket, pipe or unreadable folder was found. It is listed, never followed.",
        "Put a real file there if it is data; otherwise nothing is to be done.",
    ),
    entry(
        "R0211",
        "Not JSON",
        "The file (or line) is torn or was never JSON. Its bytes are kept, listed, and exported like the rest.",
        "Mend the file; the next copy takes it up. If such files are meant to be there, give them a section with a body field.",
    ),
    entry(
        "R0212",
        "Not UTF-8",
        "JSON is UTF-8 text; this file has other bytes. They are kept and exported like the rest.",
        "Convert the file to UTF-8, or give it a section with `bytes body`.",
    ),
    entry(
        "R0213",
        "Too large for a document",
        "The file is larger than --document-max. It is kept whole, in pieces, and has no rows.",
        "Raise --document-max (memory grows with it), or give it a section with `move = false`.",
    ),
    entry(
        "R0214",
        "Too deep or too many values",
        "The JSON text is nested deeper than 5,000 levels or holds more than 4 million values. Its bytes are kept.",
        "Nothing, if it is no document; otherwise split it.",
    ),
    entry(
        "R0305",
        "Refers to nothing",
        "A reference names a document that is not there (or was set aside itself). The document is kept whole.",
        "Bring the missing document; the next copy tries again. Or give the field a plain type (such as `text?`) instead of the reference.",
    ),
    entry(
        "R0306",
        "The database refuses the row",
        "A constraint of the table does not hold for it.",
        "See the message; change the data or the model.",
    ),
    entry(
        "R0310",
        "Another kind of value than the model says",
        "For example a string where the model says int.",
        "Correct the value, or give the field a wider type (text, json).",
    ),
    entry(
        "R0311",
        "Longer than the model says",
        "A text has more characters than text(N) allows. Nothing is ever cut off.",
        "Raise N or write text, then copy again; or shorten the value.",
    ),
    entry(
        "R0312",
        "A field is missing or null",
        "The model says that it is always there.",
        "Write `?` behind its type, or give it a default.",
    ),
    entry(
        "R0313",
        "A word that the model does not list",
        "The value is none of the words of the enum.",
        "Add the word to the model, or correct the value.",
    ),
    entry(
        "R0314",
        "A value that no column can hold",
        "Such as a number beyond the column's range, or a text with NUL or half a surrogate pair, in a field that must not be null.",
        "Write `?` behind the field's type: the column is then null and the text keeps the value.",
    ),
    entry(
        "R0315",
        "A field that the model does not name",
        "The collection says unknown = \"refuse\".",
        "Name the field in the model, or leave unknown = \"keep\".",
    ),
    entry(
        "R0316",
        "The document has another shape",
        "The model expects an object (or a list, or a map) there.",
        "Check the place in the model; a body field (`json body`) takes any JSON.",
    ),
    entry(
        "R0317",
        "The key is too long",
        "A text of a key has more than 1,000 bytes; indexes of PostgreSQL end near 2,700.",
        "Choose another key, or let Repot make one (`auto`).",
    ),
    entry(
        "R0318",
        "Path and document disagree",
        "A capture of the path and the field of the same name in the document differ.",
        "Correct one of the two, or give the capture another name.",
    ),
    entry(
        "R0319",
        "Two collections claim one part of a file",
        "Their `in` paths lead to values that contain one another.",
        "Nest one collection in the other (`in = \"outer.list[]\"`).",
    ),
    entry(
        "R0401",
        "The document is not in the state that was asked for",
        "A write said what must be there (nothing, or the state with this ETag), and something else is there. Nothing was changed.",
        "Read it again, apply the change to what is there now, and write with its ETag.",
    ),
    entry(
        "R0402",
        "There is nothing of that name",
        "The model has no such collection, or the document is not there.",
        "Check the name; repot.toml lists the collections.",
    ),
    entry(
        "R0403",
        "The store cannot hold a document under this key",
        "The key gives no path that would be read back as the same key, or a path that the file system cannot hold.",
        "Use another key: without `/`, `.` and `..` as parts, at most 255 bytes a part.",
    ),
    entry(
        "R0404",
        "The document does not fit the model",
        "It is no JSON, a value has another type than the model says, or its key is another one than the one it is written under. Nothing was changed.",
        "Mend the document at the place named, or change the model.",
    ),
    entry(
        "R0405",
        "The store cannot do this",
        "The call needs something that this kind of store does not have, such as a unit of work over several documents on files.",
        "Use another store, or do it in steps that the store can do.",
    ),
    entry(
        "R0406",
        "A tenant is missing, or there is none",
        "The collection is reached through its tenant only, or it has no tenants and one was given.",
        "Give a tenant exactly where the collection says tenant = \"...\".",
    ),
    entry(
        "R0407",
        "The change of a part cannot be made",
        "The pointer or patch is wrong, or there is no such place in the document. Nothing was changed.",
        "Mend the change at the place named.",
    ),
    entry(
        "R0408",
        "A test of the patch failed",
        "The document does not hold the value that a test operation of the JSON Patch (RFC 6902) expects. Nothing was changed.",
        "Read the document again and decide on what is there now.",
    ),
    entry(
        "R0410",
        "A state may not become this one",
        "The model lists which words of the field may become which ([x.transitions.field]), and this change is not among them. Nothing was changed.",
        "Make one of the changes that the message names, or change the transitions in the model.",
    ),
    entry(
        "R0411",
        "A write was tried too often",
        "Others wrote the same documents each time, or the database gave the transaction up for theirs. Nothing was changed.",
        "Send it again; if that goes on, let fewer write the same documents at once.",
    ),
    entry(
        "R0412",
        "The query is wrong",
        "It names a field that the collection does not have, compares with a value of another type, or passes a bound.",
        "Mend the query at the place named; repot.toml lists the fields.",
    ),
    entry(
        "R0413",
        "The cursor is not of this query",
        "A cursor goes on with the very query that gave it: the same collection, tenant, filter and order. This one is of another query, or was changed on its way.",
        "Give the cursor with the query it came from, or start again without one.",
    ),
    entry(
        "R0414",
        "Two changes of one document cannot be merged",
        "Since the document was read, another writer changed the same places to something else. Nothing was changed.",
        "Show both to whoever knows which is right; the message names the places.",
    ),
    entry(
        "R0415",
        "A unit of work stands in the recovery journal",
        "Writes of several documents were decided and are not all done: something failed on the way, or a program that does not use the journal changed one of the documents meanwhile.",
        "Write or probe again: that finishes it. Where another program changed a document, look at it and say which state shall stay (Recovery).",
    ),
    entry(
        "R0416",
        "A write must say what it expects to find",
        "The collection says etag = \"required\": each write names the ETag that was read, or says that nothing may be there. Nothing was changed.",
        "Read the document and write with its ETag; create a new one with `create`.",
    ),
    entry(
        "R0417",
        "Others refer to the document",
        "Documents refer to it, or to a row in it, and the model does not say what shall become of them, or says what cannot be done here. Nothing was changed.",
        "Delete them first, or let them refer to another; `cascade` or `set null` in the model does that with each delete.",
    ),
    entry(
        "R0418",
        "No deleted document can be had back under this key",
        "It was not deleted, its collection does not keep what is deleted (soft_delete), or its time is over. Nothing was changed.",
        "Check the key and the tenant; the list of deleted documents shows what can be had back, and until when.",
    ),
    entry(
        "R0420",
        "The database does not hold tenants apart by itself",
        "Row level security needs a role that the user of the database URL may take, and policies on the tables; it may not make them. Repot's own statements name the tenant each time, as ever.",
        "Let a superuser make the role and grant it as the message says, then open the database again as the owner of the tables.",
    ),
    entry(
        "R0426",
        "A document cannot stand in its file",
        "It stands with others in one file, and its text would not be read back as it is (a line break in JSON Lines, white space around it), or the file is not what the model says.",
        "Write the document without line breaks and without white space around it; or mend the file.",
    ),
    entry(
        "R0427",
        "The documents of this collection cannot be told apart in their file",
        "They stand several in one file and are named by nothing but their place in it, which changes when others come or go: keys made by Repot, positions as keys, or no keys; or their tenant is no part of the file's place.",
        "Give the collection a key that stands in the documents, or is the key of the map; give each document a file of its own; or query the rows.",
    ),
    entry(
        "R0428",
        "No connection became free",
        "All connections that the store may have to its database were at work for as long as a call waits for one. Nothing was done.",
        "Send it again later, let fewer ask at once, or allow more connections: POSTGRES_MAX_CONNECTIONS, or the options of the pool.",
    ),
    entry(
        "R0430",
        "An idempotency key was used for another request",
        "A request under this key was taken within the last 24 hours, and it asked for something else. Nothing was done.",
        "Send another request under a key of its own, or this one exactly as it was sent first.",
    ),
    entry(
        "R0431",
        "A request with this idempotency key is being worked on",
        "It came a second time before the first one ended, or its own lease was over and another one took the key. Nothing was done for this one.",
        "Wait a moment and send the same request again; it gets the first one's answer.",
    ),
    entry(
        "R0432",
        "The API key cannot be used",
        "It is not known, was taken back or has expired, which is not told apart; or the text is no key at all.",
        "Check the text for typing errors; see repot key list, and make another with repot key create.",
    ),
    entry(
        "R0435",
        "The statement took too long",
        "A statement of /v1:query was at work longer than the server allows, and was cancelled in the database.",
        "Ask for less, or add a condition that an index covers; repot query waits longer.",
    ),
    entry(
        "R0436",
        "The statement calls what may do more than read",
        "Statements of /v1:query only read. PostgreSQL declares functions that may write, wait, or change something outside the tables as volatile; those are refused.",
        "Leave the function out, or declare one of your own that only reads as stable.",
    ),
    entry(
        "R0437",
        "Too many statements at the same time",
        "The server runs a bounded number of statements of /v1:query at once, so that they take no connection from documents.",
        "Try again when one has ended.",
    ),
    entry(
        "R0452",
        "The deadline of a write is over",
        "Somebody who writes only while they lead gave the write a deadline, and it reached the store later: the process was paused, or the request was held up. Nothing was written.",
        "Nothing is to be mended; it is decided again on what is there now.",
    ),
    entry(
        "R0453",
        "A write may still come",
        "Nobody may rely on a place before writes that were on their way have come or been refused. A process holds the lock of the object's folder, or the time is not over yet.",
        "Ask again. If it goes on, look for a process that is stopped (Ctrl-Z, a debugger, a frozen container) while it writes into this folder.",
    ),
    entry(
        "R0501",
        "A lease is lost",
        "A worker says that it holds a message of a queue, and does not: its lease ran out and somebody else has the message, or it is done, given up, or its document is deleted. Nothing was written.",
        "Stop working on the message. If work takes longer than the lease, extend it in time or claim for longer.",
    ),
    entry(
        "R0502",
        "A queue cannot do this",
        "Documents of a collection are claimed only where the model says `queue = { lease = \"60s\", tries = 5 }`; a lease or a delay is 30 days at most, a claim 1000 messages.",
        "Add `queue` to the collection, or claim within the bounds.",
    ),
    entry(
        "R0503",
        "A quota is used up",
        "A counter of the document has not enough left in this period, so nothing was counted in any of them. The details say which one, and when it begins anew.",
        "Wait until then, or raise the limit in the document.",
    ),
    entry(
        "R0504",
        "A rate limit is reached",
        "Not so many are left of the limit at this moment, or more were asked for at once than it ever has.",
        "Wait for as long as the answer says and ask again, or ask for fewer at once.",
    ),
    entry(
        "R0505",
        "There is no such rate limit",
        "[repot.limits] of the model has no limit of this name.",
        "Check the name, or add the limit to the model.",
    ),
    entry(
        "R0506",
        "There is no quota",
        "The model gives the collection no counters.",
        "Add [NAME.quota] to the model.",
    ),
    entry(
        "R0604",
        "The change log does not reach back that far",
        "Changes after this position are not kept any more, or the position is of another log: one that was restored from a backup ends before it.",
        "Take the log's position, read everything with a listing, and go on from that position.",
    ),
    entry(
        "R0701",
        "Another Repot is at work",
        "A copy writes a database alone: no other copy, and no store open on it. The lock goes with its process.",
        "Wait for it or end it; the message says which host and process.",
    ),
    entry(
        "R0702",
        "Documents are written in the database itself",
        "Since the last copy, documents were written through a store over this database. A copy of the files would take those writes back.",
        "Export the documents (repot export DIR), or copy the files into a fresh database.",
    ),
    entry(
        "R0703",
        "The first copy has not ended",
        "The database holds a part of the documents only.",
        "Run repot copy again; it goes on where it stopped.",
    ),
    entry(
        "R0710",
        "The database does not answer while documents move",
        "A question to the database took longer than a move waits for it.",
        "Look at the database and at the way to it. While the files lead, writes go on without it, by notes beside the files.",
    ),
    entry(
        "R0711",
        "A change of the lead, or the copying, takes too long",
        "The document is changing store, or its copy is not there yet.",
        "Send it again. `repot status` says what the change waits for.",
    ),
    entry(
        "R0712",
        "Documents of one unit of work are led by different stores",
        "Some of them are led by the files and some by the database, which cannot write together.",
        "Write them one by one, or roll out further, so that one store leads them all.",
    ),
    entry(
        "R0713",
        "The database leads a document, or answers its reads, and is out of reach",
        "What it leads may be newer than the files, so they are neither written nor read in its place. Where it only answers the reads, the files are read, but not written: those who reach it would not see that their copy is stale.",
        "Send it again when the database is back.",
    ),
    entry(
        "R0714",
        "A listing's documents changed store",
        "The place where it goes on is one of the other store.",
        "Begin the listing anew, without a cursor.",
    ),
    entry(
        "R0715",
        "No move is on its way",
        "The command is about a live move, and there is none in this database.",
        "Begin with `repot copy --follow`.",
    ),
    entry(
        "R0716",
        "A change of the lead was given up",
        "It waited for longer than it was allowed to.",
        "The leads are what they were. Mend what it waited for (`repot status`), and try again.",
    ),
    entry(
        "R0717",
        "The move cannot be finished yet",
        "The database does not lead everything.",
        "`repot rollout 100%` first.",
    ),
    entry(
        "R0718",
        "The end of a move is refused",
        "Files and database are not in step, or the database could not be proved.",
        "`repot status` and `repot verify` say what differs; `repot rollback` goes back to the files.",
    ),
    entry(
        "R0719",
        "The end of a move was not confirmed",
        "It ends the way back by `rollback`, so the app's name is asked for.",
        "Type the name of the app's folder, or give it with `--confirm`.",
    ),
    entry(
        "R0802",
        "A table or column is gone or changed",
        "The tables are not as the model says.",
        "Restore it, or copy into a fresh database.",
    ),
    entry(
        "R0803",
        "What is stored is damaged",
        "Bytes in the database are not those that were written.",
        "Restore a backup, or remove the damaged object's record and copy again.",
    ),
    entry(
        "R0901",
        "A fault of Repot's own",
        "Something happened that the code rules out.",
        "Please report it with the message and the command.",
    ),
];

#[cfg(test)]
mod tests {
    use super::CATALOGUE;

    #[test]
    fn codes_are_sorted_and_distinct() {
        let codes: Vec<_> = CATALOGUE.iter().map(|entry| entry.code).collect();
        let mut sorted = codes.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(codes, sorted);
        assert!(CATALOGUE.iter().all(|entry| entry.mend.ends_with('.') && entry.explanation.ends_with('.')));
    }
}
