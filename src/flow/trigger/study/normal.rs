//! The normal distribution function and its inverse, as exact as a simulation of hit rates needs.

/// Phi(x), to 1e-7 (M. Abramowitz and I. Stegun, *Handbook of Mathematical Functions*, 26.2.17).
pub(super) fn cdf(x: f64) -> f64 {
    const TERMS: [f64; 5] = [0.319381530, -0.356563782, 1.781477937, -1.821255978, 1.330274429];
    let t = 1.0 / (1.0 + 0.2316419 * x.abs());
    let polynomial = TERMS.iter().rev().fold(0.0, |sum, term| (sum + term) * t);
    let tail = density(x) * polynomial;
    if x < 0.0 { tail } else { 1.0 - tail }
}

pub(super) fn density(x: f64) -> f64 {
    (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt()
}

/// The x between -8 and 8 with Phi(x) = `p`, by bisection.
pub(super) fn quantile(p: f64) -> f64 {
    let (mut low, mut high) = (-8.0, 8.0);
    for _ in 0..50 {
        let middle = f64::midpoint(low, high);
        if cdf(middle) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        for (x, p) in [(0.0, 0.5), (1.0, 0.8413447), (-1.959964, 0.025), (3.0, 0.9986501)] {
            assert!((cdf(x) - p).abs() < 2e-7, "{x}");
            assert!((quantile(p) - x).abs() < 1e-4, "{p}");
        }
    }
}
