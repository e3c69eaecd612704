//! The interval around a hit rate.
//!
//! E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the American Statistical
//! Association 22 (1927): with z of the wanted level,
//! `(n p + z²/2 ± z sqrt(n p (1 - p) + z²/4)) / (n + z²)`.
//! `n` need not be whole: it is an effective number here ([`super::effective`]).

/// The standard normal quantile of 0.975: a two-sided interval of 95%.
pub const Z: f64 = 1.959_963_984_540_054;

/// Lower and upper bound at 95% for a share of `rate` among `n` observations. Without observations nothing is known: 0 to 1.
pub fn interval(rate: f64, n: f64) -> (f64, f64) {
    let z2 = Z * Z;
    let middle = (n * rate + z2 / 2.0) / (n + z2);
    let half = Z * (n * rate * (1.0 - rate) + z2 / 4.0).sqrt() / (n + z2);
    ((middle - half).max(0.0), (middle + half).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: (f64, f64), b: (f64, f64)) -> bool {
        (a.0 - b.0).abs() < 1e-12 && (a.1 - b.1).abs() < 1e-12
    }

    /// The interval is where a score test does not refuse: its bounds solve |rate - p| = z sqrt(p (1 - p) / n).
    #[test]
    fn bounds_are_where_the_score_test_turns() {
        for (rate, n) in [(0.5, 10.0), (0.81, 263.0), (0.02, 37.5), (1.0, 4.0), (0.0, 0.5)] {
            let (low, high) = interval(rate, n);
            for p in [low, high].into_iter().filter(|p| *p > 0.0 && *p < 1.0) {
                let z = (rate - p).abs() / (p * (1.0 - p) / n).sqrt();
                assert!((z - Z).abs() < 1e-6, "{rate} of {n}: z is {z} at {p}");
            }
        }
    }

    #[test]
    fn edges() {
        assert!(close(interval(0.7, 0.0), (0.0, 1.0)));
        let (low, high) = interval(1.0, 10.0);
        assert!((low - 10.0 / (10.0 + Z * Z)).abs() < 1e-12);
        assert_eq!(high, 1.0);
        assert_eq!(interval(0.0, 10.0).0, 0.0);
        let (low, high) = interval(0.5, 1e12);
        assert!(0.499 < low && high < 0.501);
        // 8 of 10, from the textbook form of the formula in Python.
        assert!(close(interval(0.8, 10.0), (0.490_162_471_536_641_7, 0.943_317_848_545_624_8)));
    }
}
