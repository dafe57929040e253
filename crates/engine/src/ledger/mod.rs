//! What a server remembers beside the documents, as facts of a store ([`repot_core::store::Ledger`]): API keys, requests
//! that came with a key of their own, rate limits. Exact among all processes on one database.

mod api_keys;
mod idempotency;
mod key_text;
mod rate_limits;

pub(crate) use api_keys::KIND as API_KEY;
pub use api_keys::{ApiKey, ApiKeys, CreatedKey, NewKey, Principal, Reach, Right, Rights, Tenants};
pub(crate) use idempotency::KIND as IDEMPOTENCY;
pub use idempotency::{Answer, Begin, Caller, Fingerprint, Hold, Idempotency, IdempotencyOptions, Ticket};
pub use key_text::KeyText;
pub(crate) use rate_limits::KIND as RATE_LIMIT;
pub use rate_limits::{RateLimits, Taken};
