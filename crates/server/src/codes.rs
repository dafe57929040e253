//! The error codes of the HTTP API.

use repot_core::catalogue::{CATALOGUE, Entry};

/// Codes that only the server gives.
pub const CODES: &[Entry] = &[
    Entry {
        code: "R0124",
        title: "The server cannot listen there",
        explanation: "The address is no address, or another program listens on it.",
        mend: "Name another one with --listen or REPOT_LISTEN, such as 127.0.0.1:7070; port 0 takes a free one.",
    },
    Entry {
        code: "R0125",
        title: "The server would be open to other machines",
        explanation: "Without keys everybody who reaches the server may read and write everything, so it listens on this machine only.",
        mend: "Listen on 127.0.0.1, or make a key first.",
    },
    Entry {
        code: "R0433",
        title: "The database does not answer in time",
        explanation: "The server asked its database whether it can be read, and heard nothing for five seconds: it is cut off, overloaded, or waits for something itself.",
        mend: "Look at the database and at the way to it; /readyz?verbose and /metrics say more. The server goes on by itself.",
    },
    Entry {
        code: "R0438",
        title: "The token cannot be used",
        explanation: "It is no JSON Web Token that this server takes: not signed by a key of its issuer, ended, not valid yet, without `exp` or `sub`, or meant for another service.",
        mend: "Get a new token from the issuer; whoever runs the server compares issuer and audience with `repot check`.",
    },
    Entry {
        code: "R0439",
        title: "The keys of the tokens' issuer cannot be had",
        explanation: "The server needs the issuer's public keys to check a token. The issuer does not answer, and what was kept of it is too old. Nothing was done.",
        mend: "Send it again later; whoever runs the server looks whether it reaches the address of the keys (REPOT_JWKS).",
    },
    Entry {
        code: "R0440",
        title: "The request is wrong in itself",
        explanation: "A parameter, header or path of the request is none that the API has, or cannot be read. Nothing was changed.",
        mend: "Mend what the message names; docs/api.md lists what each route takes.",
    },
    Entry {
        code: "R0441",
        title: "This is not done with that method",
        explanation: "The route is there, but not for this HTTP method.",
        mend: "Use one of the methods that the message names.",
    },
    Entry {
        code: "R0442",
        title: "The body is too large",
        explanation: "The request's body has more bytes than the server takes at once. Nothing was changed.",
        mend: "Change parts of the document instead of all of it, or let the server take more (--body-max).",
    },
    Entry {
        code: "R0443",
        title: "The body is of a type that is not taken here",
        explanation: "Content-Type names no patch that the route knows.",
        mend: "Send application/merge-patch+json (RFC 7396) or application/json-patch+json (RFC 6902).",
    },
    Entry {
        code: "R0444",
        title: "The request took too long to arrive",
        explanation: "Its body did not come within the time that the server waits. Nothing was changed.",
        mend: "Send it again, faster, or in parts.",
    },
    Entry {
        code: "R0445",
        title: "A key is missing",
        explanation: "The server has keys, and the request shows none.",
        mend: "Send it as `Authorization: Bearer rpt_...`; repot key create makes one.",
    },
    Entry {
        code: "R0446",
        title: "The key may not do this",
        explanation: "The key is known, but has not the right for this collection, or may not speak for this tenant. Nothing was changed.",
        mend: "Use a key with that right; repot key list shows what each may.",
    },
    Entry {
        code: "R0447",
        title: "The settings of tokens cannot be used",
        explanation: "`auth` in `[repot]`, or the variables and flags in its place, do not say whose tokens are taken: keys without an audience, an address that is not https, a file without keys.",
        mend: "Say where the issuer's keys are and for whom its tokens are made; `*` as the audience takes those for others too. See docs/keys.md.",
    },
    Entry {
        code: "R0448",
        title: "The cache keeps nothing now",
        explanation: "The server was started without a cache (501), or the cache's server is out of reach (503). What was to be kept or forgotten may be so, or not.",
        mend: "Do without the cache for now. Set CACHE_ENABLED=true, or check REDIS_URL and that its server runs.",
    },
    Entry {
        code: "R0449",
        title: "The server is at work already",
        explanation: "Plans, proofs and copies are done one at a time. The message says which is being done, the details how far it is.",
        mend: "Wait for it to end; GET /admin/plan, /admin/verify or /admin/copy tells how far it is.",
    },
    Entry {
        code: "R0450",
        title: "The server knows no project",
        explanation: "It was given a store without the project around it, so it cannot plan, prove or copy.",
        mend: "Start it with repot serve in the folder of the model.",
    },
    Entry {
        code: "R0451",
        title: "The changed model is not taken over",
        explanation: "The model's file changed while the server runs, in a way that is not only an addition which the store can take at once. The server goes on with the model that it has.",
        mend: "Mend or take back the change; or restart the server, with documents copied into a fresh database where the message says that tables would change.",
    },
    Entry {
        code: "R0455",
        title: "The copy would go into the database that is served",
        explanation: "A copy writes a database alone, and this server keeps its documents in the very database of the project.",
        mend: "Stop the server and run repot copy; or serve the files meanwhile with repot serve --store ./data; or move while documents are written with repot rollout.",
    },
    Entry {
        code: "R0456",
        title: "The flags of a command do not go together",
        explanation: "What is wanted of /admin is a JSON object of the command's flags. Each of these has a value that it takes, but not all of them together.",
        mend: "Leave one of them out, or add what the other one needs; the command with --help says which go together.",
    },
    Entry {
        code: "R0610",
        title: "Too many clients listen to changes",
        explanation: "The server holds a bounded number of streams and waits of the change feed at the same time.",
        mend: "Try again later, ask for pages without `wait` from time to time, or start another server over the same database.",
    },
    Entry {
        code: "R0730",
        title: "Nobody knows whether the request was done",
        explanation: "It came with an Idempotency-Key, was to change a file, and the server that worked on it ended just then; somebody else has changed the file since, so nothing tells whether the change was made. It is not made again under this key.",
        mend: "Read the document. Where the change is not in it, send the request under a new key.",
    },
];

/// The entry of a code, also of those that every program gives.
pub(crate) fn find(code: &str) -> Option<&'static Entry> {
    CODES.iter().chain(CATALOGUE).chain(repot_engine::moving::CODES).find(|entry| entry.code == code)
}
