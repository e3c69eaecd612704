//! The three classes, down, flat and up, over all rows: accuracy (the share whose likeliest class happened) and log-loss (the
//! mean of `-ln` of the probability of the class that happened, in nats, clipped at [`super::clip`]; Good 1952).
//!
//! Secondary figures: a model that calls "flat" from volatility does well here and knows no direction.

use super::numbers::Numbers;
use super::row::Row;
use super::{clip, mean};

/// Hits and log-losses. Its owner counts the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Classes {
    hits: u64,
    losses: f64,
}

impl Classes {
    /// Adds a row, moved or not.
    pub fn add(&mut self, row: &Row) {
        self.hits += u64::from(row.class_hit);
        self.losses -= clip(row.class_probability).ln();
    }

    /// Adds what `other` summed.
    pub fn merge(&mut self, other: &Self) {
        self.hits += other.hits;
        self.losses += other.losses;
    }

    /// Accuracy over `rows` rows; none without rows.
    pub fn accuracy(&self, rows: u64) -> Option<f64> {
        mean(self.hits as f64, rows)
    }

    /// Log-loss over `rows` rows; none without rows.
    pub fn log_loss(&self, rows: u64) -> Option<f64> {
        mean(self.losses, rows)
    }

    pub(super) fn write(&self, out: &mut Vec<f64>) {
        out.extend([self.hits as f64, self.losses]);
    }

    pub(super) fn read(numbers: &mut Numbers<'_>) -> Option<Self> {
        Some(Self { hits: numbers.count()?, losses: numbers.real()? })
    }
}

#[cfg(test)]
mod tests {
    use super::super::naive::row;
    use super::*;

    #[test]
    fn edges() {
        let mut classes = Classes::default();
        assert_eq!((classes.accuracy(0), classes.log_loss(0)), (None, None));
        classes.add(&Row { class_probability: 0.0, class_hit: false, ..row() });
        assert_eq!((classes.accuracy(1), classes.log_loss(1)), (Some(0.0), Some(-(1e-6_f64.ln()))));
        classes.add(&Row { class_probability: 0.5, class_hit: true, moved: None, ..row() });
        assert_eq!(classes.accuracy(2), Some(0.5));
        assert!((classes.log_loss(2).unwrap() - (2e6_f64).ln() / 2.0).abs() < 1e-12);
    }
}
