//! What the codes of the guard, of differences and of the source after `finish` mean, for `repot explain`.

use repot_core::catalogue::Entry;

/// In order.
pub const CODES: &[Entry] = &[
    Entry {
        code: "R0721",
        title: "The guard stopped a rollout",
        explanation: "A limit of the rollout was crossed, or a document was found to differ; so the old store leads again.",
        mend: "`repot status` names the limit and the figure, `repot mismatches` the documents. Mend it and roll out again, with other limits (`--guard-errors`, `--guard-p99`, `--guard-lag`) or none (`--no-guard`) if these were wrong.",
    },
    Entry {
        code: "R0722",
        title: "No such difference is known",
        explanation: "Only a document that was found to differ can be ignored.",
        mend: "`repot mismatches` lists them, with collection, key and tenant.",
    },
    Entry {
        code: "R0723",
        title: "Source and database are the same",
        explanation: "Documents were to be copied from a database into itself.",
        mend: "Name the old database with REPOT_SOURCE, and the new one with DATABASE_URL.",
    },
    Entry {
        code: "R0724",
        title: "The source database holds no documents of Repot",
        explanation: "REPOT_SOURCE names a database in which Repot made no tables, or a file that is not there. Tables of an app are no source.",
        mend: "Check the name. Name the database that `repot copy` or `repot serve` filled.",
    },
    Entry {
        code: "R0725",
        title: "This server takes no part in the move",
        explanation: "The documents of this database move into another one, which leads some of them already. A server or command that was started with this database alone knows nothing of that, so its writes are refused (503, with `Retry-After`). Its reads go on; they may be a moment behind.",
        mend: "Start it with the new database as DATABASE_URL and this one as REPOT_SOURCE; its clients may go to another server meanwhile. After `repot rollback` everybody may write again.",
    },
    Entry {
        code: "R0726",
        title: "The old database has what a move does not take along",
        explanation: "Documents, API keys, rate limits and answers kept for an `Idempotency-Key` go into the new database. Deleted documents in the trash, the record of changes, and what became of messages of work queues stay in the old one.",
        mend: "Empty the trash and the queues first, or say that they may stay behind: `repot move URL --leave trash,history,queues`. The old database is kept, with all of it.",
    },
    Entry {
        code: "R0727",
        title: "The documents do not move from there",
        explanation: "A move from one database into another is on its way, and what was named as the source is not the database that it began from: files of before, for example, because REPOT_SOURCE is not set.",
        mend: "Set REPOT_SOURCE to the old database, as `repot move` said when it began.",
    },
    Entry {
        code: "R0740",
        title: "The source is still kept",
        explanation: "`repot finish` promised to keep the source until this time (`--keep-source`).",
        mend: "Wait until then. `repot finish --remove-source --dry-run` says at any time what would be removed.",
    },
    Entry {
        code: "R0741",
        title: "There is no source to be removed",
        explanation: "Only the source of a move that was finished here, with a receipt of what was proved, can be removed; not while a move is on its way.",
        mend: "`repot status` says how far a move is. Where a move was finished by a version of Repot that kept no receipt, remove the source by hand.",
    },
    Entry {
        code: "R0742",
        title: "The receipt is not the one of this database",
        explanation: "What `repot finish` wrote beside the source says what may be removed, and the database has its hash. It is gone, was changed, or the source is another one.",
        mend: "Look whether `REPOT_SOURCE` names the source of the move. Where the receipt is lost, remove by hand what you do not need: nothing was removed.",
    },
    Entry {
        code: "R0743",
        title: "The source was removed",
        explanation: "A move that begins takes the source for the truth, and the source of this database was removed, or its removal has begun.",
        mend: "To move again, write the documents with `repot export DIR`, and copy them into a fresh database.",
    },
    Entry {
        code: "R0744",
        title: "The bucket removes nothing on a condition",
        explanation: "An object is removed only while it is what was proved, and this bucket was not seen to refuse `If-Match` when it removes.",
        mend: "Remove what the receipt names by other means: `.repot/finished` beside the source has it in the form of `sha256sum`.",
    },
];
