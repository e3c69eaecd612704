//! Long series in bounded room: sums in buckets of time that grow wider, and points of which every second one goes.

use std::collections::BTreeMap;

use crate::flow::time::{Interval, Micros};

/// Buckets or points, at most: more than a picture has pixels for.
pub const MOST: usize = 1_500;

/// Profits of one bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Earned {
    /// After fees, in basis points.
    pub net: f64,
    /// Before fees.
    pub gross: f64,
}

/// Profits by time. Exact as long as there are at most [`MOST`] target times; then by buckets of several bars.
#[derive(Clone, Debug)]
pub struct Equity {
    interval: Interval,
    width: Micros,
    buckets: BTreeMap<i64, Earned>,
}

impl Equity {
    /// Nothing was earned yet.
    pub fn new(interval: Interval) -> Self {
        Self { interval, width: interval.micros(), buckets: BTreeMap::new() }
    }

    /// Adds a profit at a target time.
    pub fn add(&mut self, time: Micros, net: f64, fee: f64) {
        let bucket = self.buckets.entry(time.div_euclid(self.width)).or_default();
        bucket.net += net;
        bucket.gross += net + fee;
        while self.buckets.len() > MOST {
            self.width *= 2;
            for (key, old) in std::mem::take(&mut self.buckets) {
                let bucket = self.buckets.entry(key.div_euclid(2)).or_default();
                bucket.net += old.net;
                bucket.gross += old.gross;
            }
        }
    }

    /// Bars of one bucket.
    pub fn bars(&self) -> i64 {
        self.width / self.interval.micros()
    }

    /// Time, and what was earned up to then.
    pub fn curve(&self) -> Vec<(Micros, Earned)> {
        let mut sum = Earned::default();
        let step = |(key, earned): (&i64, &Earned)| {
            sum = Earned { net: sum.net + earned.net, gross: sum.gross + earned.gross };
            (key * self.width, sum)
        };
        self.buckets.iter().map(step).collect()
    }

    /// Time, and how far the profit after fees lies under its highest so far, zero at the beginning.
    pub fn drawdown(&self) -> Vec<(Micros, f64)> {
        let mut highest = 0.0_f64;
        let below = |(time, sum): (Micros, Earned)| {
            highest = highest.max(sum.net);
            (time, sum.net - highest)
        };
        self.curve().into_iter().map(below).collect()
    }
}

/// Points in order, of which at most [`MOST`] are kept, evenly, and the last one.
#[derive(Clone, Debug)]
pub struct Thinned<T> {
    kept: Vec<T>,
    every: usize,
    seen: usize,
    last: Option<T>,
}

impl<T> Default for Thinned<T> {
    fn default() -> Self {
        Self { kept: Vec::new(), every: 1, seen: 0, last: None }
    }
}

impl<T: Clone> Thinned<T> {
    /// Adds a point.
    pub fn push(&mut self, point: T) {
        if self.seen.is_multiple_of(self.every) {
            self.kept.push(point.clone());
            if self.kept.len() > MOST {
                let mut index = 0;
                self.kept.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
                self.every *= 2;
            }
        }
        self.seen += 1;
        self.last = Some(point);
    }

    /// What was kept.
    pub fn points(&self) -> Vec<T> {
        let mut points = self.kept.clone();
        if self.seen > 0 && !(self.seen - 1).is_multiple_of(self.every) {
            points.extend(self.last.clone());
        }
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equity_is_exact_while_it_fits_and_adds_up_when_it_does_not() {
        let interval: Interval = "1s".parse().unwrap();
        let mut equity = Equity::new(interval);
        for (time, net) in [(3, 2.0), (1, 1.0), (2, -4.0), (3, 1.0)] {
            equity.add(time * interval.micros(), net, 0.5);
        }
        let nets: Vec<f64> = equity.curve().iter().map(|(_, sum)| sum.net).collect();
        assert_eq!(nets, [1.0, -3.0, 0.0]);
        assert_eq!(equity.curve().last().unwrap().1.gross, 2.0);
        assert_eq!(equity.drawdown().iter().map(|(_, below)| *below).collect::<Vec<_>>(), [0.0, -4.0, -1.0]);
        for bar in 0..10_000 {
            equity.add(bar * interval.micros(), 1.0, 0.0);
        }
        assert_eq!(equity.bars(), 8);
        assert_eq!(equity.curve().len(), 1_250);
        assert_eq!(equity.curve().last().unwrap().1.net, 10_000.0);
    }

    #[test]
    fn points_are_thinned_evenly_and_end_with_the_last() {
        let mut points = Thinned::default();
        (0..10_000).for_each(|point| points.push(point));
        let kept = points.points();
        assert!(kept.len() <= MOST + 1 && kept.len() > MOST / 2);
        assert_eq!((kept[0], kept[1], kept[2], *kept.last().unwrap()), (0, 8, 16, 9_999));
    }
}
