//! How many independent rows the hit rate is worth.
//!
//! Symbols move together, so the rows of one cohort are no independent evidence; rows whose spans overlap in time are none
//! either. Counted are therefore only cohorts that do not overlap (the caller says which), and these are discounted by the
//! correlation within them: the effective number is the size of a sample of independent rows whose hit rate would vary as
//! much. With clusters c of `n_c` rows that moved and `y_c` hits, C clusters, `N = Σ n_c`, `p = Σ y_c / N`,
//!
//! ```text
//! V     = C / (C - 1) · Σ (y_c - p n_c)² / N²      variance of a ratio over clusters
//! n_eff = min(N, p (1 - p) / V)
//! ```
//!
//! (W. G. Cochran, Sampling Techniques, 3rd ed. 1977, ratio estimates of clusters; K.-Y. Liang and S. Zeger, Biometrika 73,
//! 1986, the cluster-robust variance; N / n_eff is the design effect of L. Kish, Survey Sampling, 1965.)
//!
//! Where V cannot be estimated (fewer than two clusters) or is zero (all rows hit, all missed, or every cluster has the very
//! same rate) the correlation cannot be seen. Then the answer is the cautious one: as if each cluster were one row, C.
//! Clusters without a row that moved are none. Clusters of one row each (one symbol) give N - 1, and N where V is zero.
//!
//! All sums are whole numbers and V is formed without rounding, so "zero" is exact and the order of adding does not matter.

use super::numbers::Numbers;

/// Most rows that may be added up: the products of the sums stay exact.
const MAX_ROWS: u64 = i32::MAX as u64;

/// The sums over clusters from which the effective number follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effective {
    clusters: u64,
    n: u64,
    y: u64,
    yy: u64,
    yn: u64,
    nn: u64,
}

impl Effective {
    /// Adds a cluster of `n` rows that moved, `hits` of them hits.
    pub fn add(&mut self, n: u32, hits: u32) {
        let (n, y) = (u64::from(n), u64::from(hits));
        self.clusters += u64::from(n > 0);
        self.n += n;
        self.y += y;
        self.yy += y * y;
        self.yn += y * n;
        self.nn += n * n;
    }

    /// Adds the clusters of `other`; none is in both.
    pub fn merge(&mut self, other: &Self) {
        self.clusters += other.clusters;
        self.n += other.n;
        self.y += other.y;
        self.yy += other.yy;
        self.yn += other.yn;
        self.nn += other.nn;
    }

    /// How many clusters.
    pub fn clusters(&self) -> u64 {
        self.clusters
    }

    /// The effective number; 0 without clusters.
    pub fn value(&self) -> f64 {
        let [n, y, yy, yn, nn] = [self.n, self.y, self.yy, self.yn, self.nn].map(i128::from);
        // N² Σ (y_c - p n_c)², in whole numbers.
        let spread = n * n * yy - 2 * n * y * yn + y * y * nn;
        if self.clusters < 2 || spread <= 0 {
            return self.clusters as f64;
        }
        let clusters = self.clusters as f64;
        // p (1 - p) / V with p = y / N: every N² but one has gone.
        let independent = (y * (n - y)) as f64 * (n * n) as f64 * (clusters - 1.0) / (clusters * spread as f64);
        independent.min(n as f64)
    }

    pub(super) fn write(&self, out: &mut Vec<f64>) {
        out.extend([self.clusters, self.n, self.y, self.yy, self.yn, self.nn].map(|count| count as f64));
    }

    pub(super) fn read(numbers: &mut Numbers<'_>) -> Option<Self> {
        let mut count = || numbers.count();
        let (clusters, n, y, yy, yn, nn) = (count()?, count()?, count()?, count()?, count()?, count()?);
        let fits = n <= MAX_ROWS && clusters <= n && y <= n && yy <= yn && yn <= nn && nn <= n * n;
        fits.then_some(Self { clusters, n, y, yy, yn, nn })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(clusters: &[(u32, u32)]) -> f64 {
        let mut effective = Effective::default();
        clusters.iter().for_each(|(n, y)| effective.add(*n, *y));
        effective.value()
    }

    #[test]
    fn unseen_correlation_counts_clusters() {
        assert_eq!(of(&[]), 0.0);
        assert_eq!(of(&[(0, 0), (0, 0)]), 0.0, "nothing moved");
        assert_eq!(of(&[(9, 4)]), 1.0, "one cluster");
        assert_eq!(of(&[(9, 4), (0, 0)]), 1.0, "one cluster and an empty one");
        assert_eq!(of(&[(9, 9), (5, 5), (7, 7)]), 3.0, "all hit");
        assert_eq!(of(&[(9, 0), (5, 0), (7, 0)]), 3.0, "all missed");
        assert_eq!(of(&[(9, 3), (6, 2), (3, 1)]), 3.0, "no spread at all");
    }

    #[test]
    fn symbols_that_always_agree_are_worth_one() {
        let cohorts: Vec<_> = (0..100).map(|i| if i % 2 == 0 { (10, 10) } else { (10, 0) }).collect();
        assert!((of(&cohorts) - 99.0).abs() < 1e-9);
    }

    #[test]
    fn single_rows_are_independent() {
        let rows: Vec<_> = (0..100).map(|i| (1, u32::from(i % 3 == 0))).collect();
        assert!((of(&rows) - 99.0).abs() < 1e-9);
    }

    #[test]
    fn never_more_than_there_are() {
        let rows: Vec<_> = (0..100).map(|i| (10, 5 + u32::from(i == 0))).collect();
        assert_eq!(of(&rows), 1_000.0);
    }

    #[test]
    fn the_largest_sums_do_not_overflow() {
        let mut effective = Effective::default();
        (0..199_999).for_each(|i| effective.add(10_000, if i % 2 == 0 { 4_000 } else { 6_000 }));
        // Var(rate) = 0.01 / (C - 1): p (1 - p) / V is 25 of the clusters.
        assert!((effective.value() / (25.0 * 199_998.0) - 1.0).abs() < 1e-6, "{}", effective.value());
    }

    #[test]
    fn refuses_sums_that_no_clusters_have() {
        let read = |numbers: &[f64]| Effective::read(&mut Numbers::new(numbers));
        assert!(read(&[1.0, 2.0, 1.0, 1.0, 2.0, 4.0]).is_some());
        for bad in [[3.0, 2.0, 1.0, 1.0, 2.0, 4.0], [1.0, 2.0, 3.0, 1.0, 2.0, 4.0], [1.0, 2.0, 1.0, 1.0, 2.0, 5.0]] {
            assert_eq!(read(&bad), None, "{bad:?}");
        }
        assert_eq!(read(&[1.0, 1e10, 1.0, 1.0, 1e10, 1e15]), None);
    }
}
