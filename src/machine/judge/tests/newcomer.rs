//! A model with a new name that speaks from its first bar on, in partitions that have not come equally far: settlers and judge.

use super::*;
use crate::flow::outcome::Settled;
use crate::flow::prediction::{Reference, Role};
use crate::flow::said::Said;
use crate::machine::settler::Settler;

/// The first bar that is scored by the new model.
const SWAP: i64 = 10;
const LAST: i64 = 20;

/// One partition with one symbol, and the bar that was settled last.
struct Partition {
    settler: Settler,
    number: i32,
    at: i64,
}

impl Partition {
    fn new(number: i32) -> Self {
        Self { settler: Settler::new(number, 1.0, 1_000), number, at: 0 }
    }

    /// Settles the bars up to `end`; gives how many rows came too late for the judge.
    fn go_on(&mut self, end: i64, judge: &mut Judge) -> usize {
        let (mut out, mut late) = (Vec::new(), 0);
        while self.at < end {
            self.at += 1;
            for horizon in [1, 3] {
                let (id, symbol) = (format!("{}-{}-{horizon}", self.number, self.at), format!("S{}", self.number));
                let price = 100.0 + (self.at % 3) as f64;
                let said = Said {
                    prediction_id: &id,
                    symbol: &symbol,
                    interval: "10s".parse().unwrap(),
                    horizon,
                    as_of: self.at * STEP,
                    target_time: (self.at + i64::from(horizon)) * STEP,
                    reference: Reference { price, vwap: price, complete: true, synthetic: false },
                    dead_band_bps: 0.0,
                    probabilities: Some(Probabilities { down: 0.4, flat: 0.0, up: 0.6 }),
                    decision: Decision::Up,
                    silent: false,
                    model: if self.at < SWAP { "old" } else { "new" },
                    model_version: "1",
                    role: Role::Champion,
                };
                assert_eq!(self.settler.apply(self.at, &said, &mut out), crate::machine::settler::Verdict::Used);
            }
        }
        for settled in out {
            match settled {
                Settled::Outcome(outcome) => {
                    late += usize::from(judge.apply(0, &Evidence::from(&outcome)) == Verdict::Late);
                }
                Settled::Progress(passage) => judge.progress(&passage),
                Settled::Left(passage) => judge.left(&passage),
            }
        }
        late
    }
}

/// Closes what is due. All that was written is settled; a partition that is alive has nothing to say up to where it has come.
fn close(judge: &mut Judge, partitions: &[Partition]) {
    for question in judge.questions() {
        let alive = partitions.iter().filter(|partition| question.absent.contains(&partition.number));
        if alive.map(|partition| partition.at * STEP).all(|at| at >= question.frontier) {
            judge.answer(&question);
        }
    }
    while judge.close(&mut Vec::new()) {}
}

#[test]
fn its_first_rows_are_not_late_however_far_apart_the_partitions_are() {
    for ahead in SWAP - 2..=SWAP + 6 {
        for behind in SWAP - 6..=ahead {
            let (mut judge, mut partitions) = (Judge::new(settings(2)), [0, 1].map(Partition::new));
            let mut late = 0;
            // Both have the old model, then one goes ahead; the other follows bar by bar.
            for (partition, end) in [(0, 2), (1, 2), (0, behind), (1, behind), (0, ahead)] {
                late += partitions[partition].go_on(end, &mut judge);
                close(&mut judge, &partitions);
            }
            for end in behind + 1..=LAST {
                late += partitions[1].go_on(end, &mut judge);
                close(&mut judge, &partitions);
            }
            late += partitions[0].go_on(LAST, &mut judge);
            close(&mut judge, &partitions);
            assert_eq!(late, 0, "one at bar {ahead}, the other at {behind}");
            // All that both have passed is judged: what is open are the targets of the last bar and later.
            assert!(judge.models["new"].first_open() >= Some(LAST * STEP), "it waits for nobody in the end");
        }
    }
}
