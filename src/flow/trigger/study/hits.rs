//! Hits of many symbols whose model has a known hit rate, one score at a time.

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand_distr::{Distribution as _, StandardNormal};

use super::normal::{cdf, density, quantile};

/// What is fed as one score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fed {
    /// A non-overlapping cohort: what the detector is made for.
    Cohorts,
    /// Each row of a cohort by itself.
    Rows,
    /// The cohort of every bar at this horizon: neighbours share all but one bar of what they forecast.
    EveryBar {
        /// In bars.
        horizon: u32,
    },
}

/// Whose hits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Symbols {
    /// How many; each has a row in every cohort.
    pub count: u32,
    /// Correlation of the latent normals whose sign makes two symbols of one cohort hit or miss: .6 is .41 between hits.
    pub correlation: f64,
}

/// A source of scores. A symbol hits when its normal is below the quantile of the hit rate; the normals of a cohort share a
/// common factor, those of overlapping cohorts their bars.
#[derive(Debug)]
pub(super) struct Hits {
    symbols: Symbols,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Distribution functions of a cohort's hits, one per hit rate.
    Cohorts(Vec<Vec<f64>>),
    Rows {
        tables: Vec<Vec<f64>>,
        rows: u32,
        hits: u32,
    },
    EveryBar {
        /// Quantiles of the hit rates, times the deviation of a sum.
        limits: Vec<f64>,
        /// A ring of bars; the normals of every symbol in each.
        bars: Vec<Vec<f64>>,
        oldest: usize,
        sums: Vec<f64>,
    },
}

impl Hits {
    /// A source with the hit rates `rates`, of which each score names one. Symbols of overlapping cohorts are independent.
    pub fn new(symbols: Symbols, fed: Fed, rates: &[f64]) -> Self {
        let tables = || rates.iter().map(|&rate| distribution(symbols, rate)).collect();
        let kind = match fed {
            Fed::Cohorts => Kind::Cohorts(tables()),
            Fed::Rows => Kind::Rows { tables: tables(), rows: 0, hits: 0 },
            Fed::EveryBar { horizon } => {
                let count = symbols.count as usize;
                Kind::EveryBar {
                    limits: rates.iter().map(|&rate| quantile(rate) * f64::from(horizon).sqrt()).collect(),
                    bars: vec![vec![0.0; count]; horizon as usize],
                    oldest: 0,
                    sums: vec![0.0; count],
                }
            }
        };
        Self { symbols, kind }
    }

    /// Forgets the past: overlapping cohorts begin with full horizons.
    pub fn restart(&mut self, rng: &mut StdRng) {
        match &mut self.kind {
            Kind::Cohorts(_) => {}
            Kind::Rows { rows, .. } => *rows = 0,
            Kind::EveryBar { bars, sums, .. } => {
                bars.iter_mut().flatten().for_each(|normal| *normal = StandardNormal.sample(rng));
                for (symbol, sum) in sums.iter_mut().enumerate() {
                    *sum = bars.iter().map(|bar| bar[symbol]).sum();
                }
            }
        }
    }

    /// Rows and hits of the next score, with the hit rate number `rate`.
    pub fn next(&mut self, rng: &mut StdRng, rate: usize) -> (u32, u32) {
        let count = self.symbols.count;
        match &mut self.kind {
            Kind::Cohorts(tables) => (count, draw(&tables[rate], rng)),
            Kind::Rows { tables, rows, hits } => {
                if *rows == 0 {
                    (*rows, *hits) = (count, draw(&tables[rate], rng));
                }
                // Rows of a cohort are exchangeable: any order of its hits is as likely.
                let hit = rng.random::<f64>() * f64::from(*rows) < f64::from(*hits);
                *rows -= 1;
                *hits -= u32::from(hit);
                (1, u32::from(hit))
            }
            Kind::EveryBar { limits, bars, oldest, sums } => {
                for (normal, sum) in bars[*oldest].iter_mut().zip(sums.iter_mut()) {
                    let new: f64 = StandardNormal.sample(rng);
                    *sum += new - *normal;
                    *normal = new;
                }
                *oldest = (*oldest + 1) % bars.len();
                (count, sums.iter().map(|&sum| u32::from(sum < limits[rate])).sum())
            }
        }
    }
}

fn draw(distribution: &[f64], rng: &mut StdRng) -> u32 {
    let uniform: f64 = rng.random();
    distribution.partition_point(|&p| p < uniform).min(distribution.len() - 1) as u32
}

/// Distribution function of the hits of one cohort: binomial given the common factor, averaged over it.
fn distribution(symbols: Symbols, rate: f64) -> Vec<f64> {
    const STEP: f64 = 0.02;
    let Symbols { count, correlation } = symbols;
    let mut hits = vec![0.0; count as usize + 1];
    if correlation == 0.0 {
        binomial(count, rate, 1.0, &mut hits);
    } else {
        let limit = quantile(rate);
        for step in -300..=300 {
            let factor = f64::from(step) * STEP;
            let given = cdf((limit - correlation.sqrt() * factor) / (1.0 - correlation).sqrt());
            binomial(count, given, density(factor) * STEP, &mut hits);
        }
    }
    let total: f64 = hits.iter().sum();
    let mut below = 0.0;
    hits.iter()
        .map(|p| {
            below += p / total;
            below
        })
        .collect()
}

/// Adds `weight` times the binomial probabilities.
fn binomial(count: u32, rate: f64, weight: f64, into: &mut [f64]) {
    let rate = rate.clamp(1e-12, 1.0 - 1e-12);
    let mut log = f64::from(count) * (1.0 - rate).ln();
    for (hits, into) in into.iter_mut().enumerate() {
        *into += weight * log.exp();
        log += ((f64::from(count) - hits as f64) / (hits as f64 + 1.0)).ln() + (rate / (1.0 - rate)).ln();
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    /// Mean of the scores, their deviation, and the correlation of neighbours.
    fn measure(symbols: Symbols, fed: Fed, rate: f64) -> (f64, f64, f64) {
        let mut rng = StdRng::seed_from_u64(3);
        let mut source = Hits::new(symbols, fed, &[0.1, rate]);
        source.restart(&mut rng);
        let scores: Vec<f64> =
            (0..40_000).map(|_| source.next(&mut rng, 1)).map(|(n, k)| f64::from(k) / f64::from(n)).collect();
        let n = scores.len() as f64;
        let mean = scores.iter().sum::<f64>() / n;
        let variance = scores.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / n;
        let next = scores.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum::<f64>() / n;
        (mean, variance.sqrt(), next / variance)
    }

    fn near(got: f64, expected: f64) {
        assert!((got - expected).abs() < 0.015, "{got} is not {expected}");
    }

    #[test]
    fn scores_are_what_they_are_said_to_be() {
        let independent = Symbols { count: 10, correlation: 0.0 };
        let (mean, deviation, next) = measure(independent, Fed::Cohorts, 0.55);
        near(mean, 0.55);
        near(deviation, (0.55_f64 * 0.45 / 10.0).sqrt());
        near(next, 0.0);
        let (mean, deviation, _) = measure(Symbols { count: 1_000, correlation: 0.0 }, Fed::Cohorts, 0.35);
        near(mean, 0.35);
        near(deviation, (0.35_f64 * 0.65 / 1_000.0).sqrt());
        // Two signs of normals correlated at .6 are correlated at 2 asin(.6) / pi = .41.
        let together = Symbols { count: 10, correlation: 0.6 };
        let (mean, deviation, _) = measure(together, Fed::Cohorts, 0.5);
        near(mean, 0.5);
        near(deviation, (0.25_f64 / 10.0 * (1.0 + 9.0 * 0.41)).sqrt());
        let (mean, deviation, next) = measure(together, Fed::Rows, 0.5);
        near(mean, 0.5);
        near(deviation, 0.5);
        near(next, 0.41 * 0.9);
        // Neighbours share 14 of 15 bars: 2 asin(14/15) / pi = .766.
        let (mean, deviation, next) = measure(independent, Fed::EveryBar { horizon: 15 }, 0.5);
        near(mean, 0.5);
        near(deviation, (0.25_f64 / 10.0).sqrt());
        near(next, 0.766);
    }
}
