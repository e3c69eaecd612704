//! Which partition holds what cannot be committed: transactions fail as a whole, so after some failures records are taken one
//! at a time, until the partition has passed where it failed or the same place has failed too often.

/// Failures before records are taken one at a time, and again at one place before the lane gives up.
const PATIENCE: u32 = 5;

/// What failed of one partition. It outlives the restore that follows a failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Trouble {
    failures: u32,
    /// Offset after the last record that took part in a failure.
    until: i64,
}

impl Trouble {
    /// A transaction failed that would have committed this offset; it was not only the group that had moved on.
    pub fn failed(&mut self, next: i64) {
        self.failures += 1;
        self.until = self.until.max(next);
    }

    /// The offset was committed. Behind what failed all is well again; before it the next place starts to count anew.
    pub fn committed(&mut self, next: i64) {
        if next >= self.until {
            *self = Self::default();
        } else {
            self.failures = self.failures.min(PATIENCE);
        }
    }

    /// Whether records are to be taken one at a time.
    pub const fn is_suspect(&self) -> bool {
        self.failures >= PATIENCE
    }

    /// Whether there is no use in going on.
    pub const fn is_stuck(&self) -> bool {
        self.failures >= 2 * PATIENCE
    }

    /// How often it failed.
    pub const fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records of two partitions in one lane, one of which cannot be committed: gives where it gives up, and how many
    /// transactions it took. Good records come without end.
    fn work(bad: (usize, i64), batch: i64) -> (usize, i64, u32) {
        let (mut troubles, mut committed, mut transactions) = ([Trouble::default(); 2], [0i64; 2], 0);
        loop {
            assert!(transactions < 1_000, "it goes round in circles: {committed:?}");
            // Partition 0 always comes first, and each partition has a turn of its own when they are taken one by one.
            let alone = troubles.iter().any(Trouble::is_suspect);
            let turns: &[&[usize]] = if alone { &[&[0], &[1]] } else { &[&[0, 1]] };
            for turn in turns {
                transactions += 1;
                let next = |partition: usize| committed[partition] + if alone { 1 } else { batch };
                let fails = turn.contains(&bad.0) && next(bad.0) > bad.1;
                let nexts: Vec<_> = turn.iter().map(|&partition| (partition, next(partition))).collect();
                for (partition, next) in nexts {
                    if fails {
                        troubles[partition].failed(next);
                    } else {
                        troubles[partition].committed(next);
                        committed[partition] = next;
                    }
                }
                if let Some(partition) = troubles.iter().position(Trouble::is_stuck) {
                    return (partition, committed[partition], transactions);
                }
            }
        }
    }

    #[test]
    fn the_record_that_cannot_be_committed_is_found_beside_others_that_can() {
        for partition in 0..2 {
            for offset in [0, 1, 7, 49, 50, 99] {
                let (found, at, transactions) = work((partition, offset), 50);
                assert_eq!((found, at), (partition, offset));
                assert!(transactions <= 2 + 5 + 2 * (50 + 5), "{transactions} transactions");
            }
        }
    }

    #[test]
    fn failures_of_different_places_do_not_add_up() {
        let mut trouble = Trouble::default();
        (0..5).for_each(|_| trouble.failed(100));
        for next in 1..100 {
            (0..4).for_each(|_| trouble.failed(next));
            assert!(trouble.is_suspect() && !trouble.is_stuck());
            trouble.committed(next);
        }
        trouble.committed(100);
        assert_eq!(trouble, Trouble::default());
    }
}
