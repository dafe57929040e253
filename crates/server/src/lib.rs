//! The HTTP API: documents of any store, in the app's own JSON, for apps in any language.
//!
//! [`App`] is what requests are answered from; [`router`] makes the routes, [`Server`] serves them until it is told to stop;
//! [`App::answer`] gives the answer to one request of the process itself, without any connection.
//! Status codes, headers and bodies follow RFC 9110 (conditional requests), RFC 9457 (problems), RFC 7396 and RFC 6902
//! (patches), RFC 7240 (`Prefer`).

mod access;
mod address;
mod admin;
mod answer;
mod app;
mod ask;
mod body;
mod caller;
mod codes;
mod conditions;
mod feed;
mod idempotent;
mod jwt;
mod openapi;
mod operate;
mod outgoing;
mod own;
mod problem;
mod reload;
mod routes;
mod serve;
mod stalled;
mod trace;

pub use admin::{KeyWanted, Operator, Own, Question, Task, Work, key_json, key_made};
pub use app::{App, Options, Outside};
pub use codes::CODES;
pub use jwt::{KeysAt, TokenOptions};
pub use openapi::document as openapi;
pub use operate::{Log, RequestLine, Room, RoomOf};
pub use reload::{Ended, Models};
pub use routes::router;
pub use serve::{Bound, Server};
pub use trace::{TraceOptions, Traces};
