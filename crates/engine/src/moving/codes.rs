//! What the codes of the guard and of differences mean, for `repot explain`.

use repot_core::catalogue::Entry;

/// In order.
pub const CODES: &[Entry] = &[
    Entry {
        code: "R0721",
        title: "The guard stopped a rollout",
        explanation: "A limit of the rollout was crossed, or a document was found to differ; so the files lead again.",
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
];
