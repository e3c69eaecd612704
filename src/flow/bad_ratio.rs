//! How many of a partition's records cannot be decoded: a topic that holds something else must not be emptied into the dead
//! letters.

/// Records in a block.
pub const BLOCK: u32 = 10_000;

/// Counts of the current block of [`BLOCK`] records; part of the checkpoint, so that a restart does not forget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BadRatio {
    /// Records seen.
    pub seen: u32,
    /// Undecodable ones among them.
    pub bad: u32,
}

impl BadRatio {
    /// Whether one more bad record would be more than `max_ratio` of a block.
    pub fn is_spent(&self, max_ratio: f64) -> bool {
        // A full block is behind us: the next record begins a new one.
        let bad = if self.seen >= BLOCK { 0 } else { self.bad };
        f64::from(bad + 1) > max_ratio * f64::from(BLOCK)
    }

    /// Counts a record.
    pub fn observe(&mut self, bad: bool) {
        if self.seen >= BLOCK {
            *self = Self::default();
        }
        self.seen += 1;
        self.bad += u32::from(bad);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spent_after_the_ratio_of_a_block() {
        let mut ratio = BadRatio::default();
        for _ in 0..9_500 {
            assert!(!ratio.is_spent(0.95));
            ratio.observe(true);
        }
        assert!(ratio.is_spent(0.95));
        assert!(!ratio.is_spent(1.0));
        for _ in 0..500 {
            assert!(ratio.is_spent(0.95));
            ratio.observe(false);
        }
        assert!(!ratio.is_spent(0.95) && ratio.is_spent(0.0));
        ratio.observe(false);
        assert_eq!(ratio, BadRatio { seen: 1, bad: 0 });
    }
}
