//! The error codes of this crate, for the catalogue: code, title, explanation, how to mend it.

/// Code, title, explanation, how to mend it.
pub const CODES: &[(&str, &str, &str, &str)] = &[
    (
        "R0101",
        "The source directory is not there",
        "The path is no directory, or it cannot be read.",
        "Check the path: it is relative to the folder of repot.toml.",
    ),
    (
        "R0102",
        "The source is out of reach",
        "The bucket or directory did not answer after several tries.",
        "Check the network and the endpoint, then run the same command again: it goes on where it stopped.",
    ),
    (
        "R0103",
        "Settings of the bucket are missing or wrong",
        "A key, the endpoint or the bucket's name is not set or cannot be used.",
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and R2_ACCOUNT_ID or REPOT_SOURCE_ENDPOINT; repot check shows what is used.",
    ),
    (
        "R0104",
        "The bucket refuses",
        "The keys are wrong or may not list and read this bucket.",
        "Give the key the right to list and to read.",
    ),
    (
        "R0201",
        "An object cannot be read",
        "The operating system or the bucket refused this one. It is listed; the others go on.",
        "Mend its permissions; the next copy reads it.",
    ),
    (
        "R0202",
        "An object kept changing",
        "Each time it was read it had changed before the end, so no whole state of it could be taken.",
        "Run repot copy again when its writer rests.",
    ),
    (
        "R0204",
        "The listing is out of order",
        "The bucket listed keys in another order than S3 promises; going on could lose objects.",
        "Report it to the maker of the server; copy from a directory meanwhile.",
    ),
    (
        "R0409",
        "An object cannot be written",
        "The operating system or the place of the documents refused this write. What was there is still there, unless the message says otherwise.",
        "Check space and permissions, then write again.",
    ),
    (
        "R0801",
        "The target of the export is not empty",
        "An export writes into an empty directory, so that nothing there is mixed up or written over.",
        "Name an empty directory, or say --into-existing.",
    ),
    (
        "R0804",
        "A path cannot be a file here",
        "The stored path leads out of the directory, is too long, or meets a file where a directory is needed.",
        "Export to a file system that can hold it; the document is safe in the database.",
    ),
    (
        "R0805",
        "The export cannot be written",
        "The operating system refused.",
        "Check space and permissions, then export again with --into-existing.",
    ),
    (
        "R0720",
        "Changes in a directory cannot be watched",
        "The directory is gone, or the system watches no more folders. What others change there is found by listing, only later.",
        "On Linux, raise fs.inotify.max_user_watches above the number of folders.",
    ),
    (
        "R0731",
        "The folder of a file is locked",
        "Another process writes in this folder and has held its lock up to the deadline of the write, or for 30 seconds. Nothing was written.",
        "Send it again. If that goes on, look for a process that is stopped (state T in `ps`): go on with it, or end it.",
    ),
];
