//! What the committed offset carries: everything a restore needs besides the log itself.
//!
//! Kafka keeps it as the offset's metadata, text of at most [`MAX_LEN`] bytes.

use std::str::FromStr;

use crate::flow::time::Micros;

/// Longest text; brokers take 4096 bytes by default, but metadata is read back with every assignment.
pub const MAX_LEN: usize = 256;

/// Version of the text's shape.
const VERSION: &str = "1";

/// The state of one partition at a committed offset C.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Hash of what shapes bars and of the cluster's and topic's identity.
    pub config_hash: u64,
    /// W: end of the last closed cycle; none before the first record.
    pub closed: Option<Micros>,
    /// The watermark; none before the first record.
    pub watermark: Option<Micros>,
    /// R: offset of the earliest record that bears on a bar ending after W, else C.
    pub resume: i64,
    /// [B, E): offsets in `bars` from the oldest bar that a live symbol's window needs to the last bar + 1.
    pub bars: (i64, i64),
    /// Records seen in the current block of 10,000.
    pub seen: u32,
    /// Undecodable ones among them.
    pub bad: u32,
}

/// Metadata that is not a checkpoint of this version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("offset metadata `{0}` is not a tickcast checkpoint of version {VERSION}")]
pub struct CheckpointError(String);

impl std::fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let time = |time: Option<Micros>| time.map_or_else(|| "-".to_owned(), |t| t.to_string());
        let (begin, end) = self.bars;
        write!(
            f,
            "{VERSION}|{:016x}|{}|{}|{}|{begin}|{end}|{}|{}",
            self.config_hash,
            time(self.closed),
            time(self.watermark),
            self.resume,
            self.seen,
            self.bad
        )
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| CheckpointError(text.chars().take(80).collect()))
    }
}

fn parse(text: &str) -> Option<Checkpoint> {
    let fields: Vec<&str> = text.split('|').collect();
    let &[VERSION, hash, closed, watermark, resume, begin, end, seen, bad] = fields.as_slice() else { return None };
    let time = |field: &str| if field == "-" { Some(None) } else { field.parse().ok().map(Some) };
    Some(Checkpoint {
        config_hash: u64::from_str_radix(hash, 16).ok()?,
        closed: time(closed)?,
        watermark: time(watermark)?,
        resume: resume.parse().ok()?,
        bars: (begin.parse().ok()?, end.parse().ok()?),
        seen: seen.parse().ok()?,
        bad: bad.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn comes_back_and_fits(
            config_hash: u64, closed: Option<i64>, watermark: Option<i64>, resume: i64, bars: (i64, i64), seen: u32, bad: u32,
        ) {
            let checkpoint = Checkpoint { config_hash, closed, watermark, resume, bars, seen, bad };
            let text = checkpoint.to_string();
            prop_assert!(text.len() <= MAX_LEN);
            prop_assert_eq!(text.parse(), Ok(checkpoint));
        }
    }

    #[test]
    fn foreign_metadata_is_refused() {
        for text in ["", "1", "2|0000000000000000|-|-|0|0|0|0|0", "1|0|-|-|0|0|0|0|0|0", "hello|x"] {
            assert!(text.parse::<Checkpoint>().is_err(), "{text}");
        }
    }
}
