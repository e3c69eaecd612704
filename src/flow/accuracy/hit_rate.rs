//! How often the direction was right: hits / rows that moved (accuracy of a binary classifier).
//!
//! Its interval is [`super::wilson`] on the effective number of [`super::effective`].

use super::mean;
use super::numbers::Numbers;

/// Rows and hits among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HitRate {
    n: u64,
    hits: u64,
}

impl HitRate {
    /// Counts a row.
    pub fn add(&mut self, hit: bool) {
        self.n += 1;
        self.hits += u64::from(hit);
    }

    /// Adds what `other` counted.
    pub fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.hits += other.hits;
    }

    /// How many rows.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Hits per row; none without rows.
    pub fn value(&self) -> Option<f64> {
        mean(self.hits as f64, self.n)
    }

    pub(super) fn write(&self, out: &mut Vec<f64>) {
        out.extend([self.n as f64, self.hits as f64]);
    }

    pub(super) fn read(numbers: &mut Numbers<'_>) -> Option<Self> {
        let (n, hits) = (numbers.count()?, numbers.count()?);
        (hits <= n).then_some(Self { n, hits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges() {
        let mut rate = HitRate::default();
        assert_eq!(rate.value(), None);
        rate.add(true);
        assert_eq!(rate.value(), Some(1.0));
        rate.add(false);
        rate.merge(&rate.clone());
        assert_eq!((rate.n(), rate.value()), (4, Some(0.5)));
        assert_eq!(HitRate::read(&mut Numbers::new(&[2.0, 3.0])), None, "more hits than rows");
    }
}
