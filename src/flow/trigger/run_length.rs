//! How long a CUSUM runs until it passes its threshold: Siegmund's approximation, and what follows from it.
//!
//! D. Siegmund, *Sequential Analysis* (1985): the sum of unit normals with mean `drift`, cut at zero, first passes `h` after
//! `(exp(-2 drift b) + 2 drift b - 1) / (2 drift^2)` steps on average, where `b = h + 1.166` makes up for the overshoot. In
//! control the drift is `-k`, which gives the form `(exp(2kb) - 2kb - 1) / (2k^2)`.

/// What the overshoot over both borders adds to the threshold: twice 0.583.
const OVERSHOOT: f64 = 1.166;
/// No lower threshold: the approximation is not meant for sums that pass in one step, and one bad cohort is no trend.
const LEAST: f64 = 1.0;

/// Mean number of cohorts until a CUSUM from zero reaches `threshold`; `drift` is the mean of its increments. Both are in
/// deviations of a cohort's score.
pub fn run_length(drift: f64, threshold: f64) -> f64 {
    let b = threshold + OVERSHOOT;
    let y = -2.0 * drift * b;
    // The series, where the closed form would subtract equals.
    if y.abs() < 1e-3 { b * b * (1.0 + y / 3.0 + y * y / 12.0) } else { (y.exp_m1() - y) / (2.0 * drift * drift) }
}

/// The threshold at which a CUSUM with `slack` (k: half of the drop it is tuned for, in deviations) runs `in_control` cohorts
/// on average while nothing is wrong; at least 1.
pub fn threshold_for(slack: f64, in_control: f64) -> f64 {
    // Without slack the run length is b^2, with slack it is longer: the square root is above the answer.
    let (mut low, mut high) = (0.0, in_control.max(1.0).sqrt() + 1.0);
    while high - low > 1e-9 * high {
        let middle = f64::midpoint(low, high);
        if run_length(-slack, middle) < in_control {
            low = middle;
        } else {
            high = middle;
        }
    }
    high.max(LEAST)
}

/// Mean number of cohorts from a fall of the hit rate by `drop` below the CUSUM's reference to the alarm, counted from a
/// statistic of zero: about `threshold / (drop / deviation - slack)`. One that is smaller than the slack takes as long as the
/// false alarm that ends it.
pub fn expected_delay(drop: f64, deviation: f64, slack: f64, threshold: f64) -> f64 {
    run_length(drop / deviation - slack, threshold)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D. C. Montgomery, *Introduction to Statistical Quality Control*, chapter 9: h = 5, k = 1/2 gives 938.2 in control and
    /// 10.34 after a shift of one deviation (one-sided, by this formula).
    #[test]
    fn as_in_the_textbook() {
        assert!((run_length(-0.5, 5.0) - 938.2).abs() < 0.1, "{}", run_length(-0.5, 5.0));
        assert!((run_length(0.5, 5.0) - 10.34).abs() < 0.01, "{}", run_length(0.5, 5.0));
        assert!((threshold_for(0.5, 938.2) - 5.0).abs() < 1e-3);
    }

    #[test]
    fn the_threshold_gives_the_run_length() {
        for slack in [0.01, 0.05, 0.15, 0.5, 1.0] {
            for stated in [100.0, 10_000.0, 1e8] {
                let threshold = threshold_for(slack, stated);
                assert!((run_length(-slack, threshold) / stated - 1.0).abs() < 1e-6 || threshold == LEAST);
            }
        }
    }

    #[test]
    fn smooth_at_no_drift_and_monotone() {
        let around: Vec<f64> = [-2e-5, -1e-5, 0.0, 1e-5, 2e-5].iter().map(|&drift| run_length(drift, 30.0)).collect();
        assert!(around.windows(2).all(|pair| pair[0] > pair[1] && pair[0] / pair[1] < 1.001), "{around:?}");
        let slacks: Vec<f64> = (1..50).map(|i| threshold_for(f64::from(i) * 0.02, 10_000.0)).collect();
        assert!(slacks.is_sorted_by(|a, b| a > b));
        let delays: Vec<f64> = (0..40).map(|i| expected_delay(f64::from(i) * 0.01, 0.17, 0.15, 20.0)).collect();
        assert!(delays.is_sorted_by(|a, b| a > b));
    }

    #[test]
    fn a_threshold_is_never_below_one() {
        assert_eq!(threshold_for(50.0, 10_000.0), LEAST);
        assert_eq!(threshold_for(f64::INFINITY, 10_000.0), LEAST);
    }
}
