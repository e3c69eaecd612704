//! The threshold rule: the whole Wilson interval of the window's hit rate below a floor.

use super::state::Ladder;

/// A warning when three quarters of the interval lie below the floor; over when half of it does not, which also ends
/// degraded: entered when the upper bound is below the floor, left when the middle is not.
pub(super) const LADDER: Ladder = Ladder { warn: 0.75, calm: 0.5, leave: 0.5 };

/// Hit rate over a window: its Wilson 95% interval on `n_effective`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WindowHit {
    /// Independent outcomes that the window is worth.
    pub n_effective: f64,
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

impl WindowHit {
    /// The share of the interval that lies below `floor`, from 0 to 1: 1 when all of it does.
    pub(super) fn below(&self, floor: f64) -> f64 {
        if self.high < floor {
            return 1.0;
        }
        // Not quite 1: the upper bound is not below the floor.
        let share = (floor - self.low) / (self.high - self.low);
        if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0 - f64::EPSILON) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_below_the_floor() {
        let window = |low, high| WindowHit { n_effective: 100.0, low, high };
        assert_eq!(window(0.3, 0.49).below(0.5), 1.0);
        assert!(window(0.3, 0.5).below(0.5) < 1.0);
        assert!((window(0.4, 0.6).below(0.5) - 0.5).abs() < 1e-12);
        assert_eq!(window(0.51, 0.6).below(0.5), 0.0);
        assert_eq!(window(0.5, 0.5).below(0.5), 0.0);
        assert_eq!(window(f64::NAN, f64::NAN).below(0.5), 0.0);
    }
}
