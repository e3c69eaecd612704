//! How often the model decided on a direction, and how often it was right then.
//!
//! Coverage = rows whose decision is up or down / all rows (R. El-Yaniv and Y. Wiener, "On the foundations of noise-free
//! selective classification", Journal of Machine Learning Research 11, 2010). Beside the hit rate over every row that moved,
//! not instead of it: a model may choose to speak only where it is easy.

use super::hit_rate::HitRate;
use super::mean;
use super::numbers::Numbers;
use super::row::Row;

/// All rows, those that trade, and the hits among those that trade and moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    rows: u64,
    trading: u64,
    decided: HitRate,
}

impl Coverage {
    /// Adds a row, moved or not.
    pub fn add(&mut self, row: &Row) {
        self.rows += 1;
        self.trading += u64::from(row.trades);
        if row.trades && row.moved.is_some() {
            self.decided.add(row.hit);
        }
    }

    /// Adds what `other` counted.
    pub fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        self.trading += other.trading;
        self.decided.merge(&other.decided);
    }

    /// All rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Trading rows per row; none without rows.
    pub fn value(&self) -> Option<f64> {
        mean(self.trading as f64, self.rows)
    }

    /// Rows that trade and moved, with their hits.
    pub fn decided(&self) -> &HitRate {
        &self.decided
    }

    pub(super) fn write(&self, out: &mut Vec<f64>) {
        out.extend([self.rows as f64, self.trading as f64]);
        self.decided.write(out);
    }

    pub(super) fn read(numbers: &mut Numbers<'_>) -> Option<Self> {
        let (rows, trading) = (numbers.count()?, numbers.count()?);
        let decided = HitRate::read(numbers)?;
        (decided.n() <= trading && trading <= rows).then_some(Self { rows, trading, decided })
    }
}

#[cfg(test)]
mod tests {
    use super::super::naive::row;
    use super::*;

    #[test]
    fn edges() {
        let mut coverage = Coverage::default();
        assert_eq!((coverage.value(), coverage.decided().value()), (None, None));
        let wait = Row { moved: Some(true), hit: true, trades: false, ..row() };
        let flat = Row { moved: None, hit: true, trades: true, ..row() };
        let missed = Row { moved: Some(false), hit: false, trades: true, ..row() };
        coverage.add(&wait);
        assert_eq!((coverage.value(), coverage.decided().n()), (Some(0.0), 0));
        [&flat, &flat, &missed].into_iter().for_each(|row| coverage.add(row));
        assert_eq!((coverage.value(), coverage.rows()), (Some(0.75), 4));
        assert_eq!((coverage.decided().n(), coverage.decided().value()), (1, Some(0.0)));
    }
}
