//! The wall clock. Only stamps what is produced; no decision depends on it, but that `store.retention` spares what it might drop.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::flow::time::Micros;

/// A time as RFC 3339 writes it, UTC.
pub fn rfc3339(time: Micros) -> String {
    jiff::Timestamp::from_microsecond(time).map_or_else(|_| time.to_string(), |time| time.to_string())
}

/// Now, in microseconds since the epoch.
pub fn now() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Micros::try_from(since.as_micros()).unwrap_or(Micros::MAX)
}
