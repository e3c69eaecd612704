//! The `store` role: a projector of bars, predictions and dead letters into PostgreSQL.
//!
//! ```text
//!  Kafka (read_committed) ─► polling thread ─► batch (bounded) ─► writer thread ─► one PostgreSQL transaction:
//!     ▲        one batch fills here ▲   one is being written there ▲                  offsets by compare-and-set, rows
//!     └── assign at the offsets that PostgreSQL holds ◄────────────┘
//! ```
//!
//! PostgreSQL's `sink_offsets` are the truth about what is stored; the group's offsets in Kafka follow them for the sake of
//! tools that show lag. While PostgreSQL is away two batches are held, consumption is paused, and polling goes on, so that the
//! member stays in its group. Whoever writes from offsets that are no longer true (a stale owner, or a commit whose answer was
//! lost) is turned away, reads the offsets again and goes on from there: nothing is lost, nothing stored twice.

mod batch;
mod consumer;
mod locate;
mod positions;
mod projector;
mod status;
mod writer;

pub use batch::{Added, MAX_DAYS, Unusable, add};
pub use projector::run;
pub use status::{Snapshot, Status};
