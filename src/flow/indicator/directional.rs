//! Wilder's directional movement (Wilder 1978; TA-Lib `ADX`, `PLUS_DI`, `MINUS_DI`). On a flat series each is 0.

use super::average::Decay;
use super::ratio;

/// Average directional index, 0 to 100: the Wilder average over `n` of `100 |+DI - -DI| / (+DI + -DI)`, seeded with the mean
/// of the first `n`. Needs `2 n` bars.
pub fn adx(high: &[f64], low: &[f64], close: &[f64], n: usize) -> f64 {
    if n == 0 || close.len() < 2 * n || high.len() != close.len() || low.len() != close.len() {
        return f64::NAN;
    }
    // Both indicators are divided by the same true range, which so falls out of their ratio.
    let moves = Moves::new(high, low);
    let (mut plus, mut minus) = moves.seed(n);
    let keep = 1.0 - 1.0 / n as f64;
    let mut sum = 0.0;
    for i in n - 1..2 * n - 1 {
        let (up, down) = moves.at(i);
        plus = keep * plus + up;
        minus = keep * minus + down;
        sum += ratio((plus - minus).abs(), plus + minus, 0.0);
    }
    let mut index = Decay::wilder(n, sum);
    for i in 2 * n - 1..moves.len() {
        let (up, down) = moves.at(i);
        plus = keep * plus + up;
        minus = keep * minus + down;
        let both = plus + minus;
        // Without any movement the index stays where it is.
        if both != 0.0 {
            index.push((plus - minus).abs() / both);
        }
    }
    100.0 * index.value / n as f64
}

/// Plus directional indicator, 0 to 100: Wilder-smoothed rises of the high over the smoothed true range. Needs `n + 1` bars.
pub fn plus_di(high: &[f64], low: &[f64], close: &[f64], n: usize) -> f64 {
    indicator(high, low, close, n, |(up, _)| up)
}

/// Minus directional indicator, 0 to 100: Wilder-smoothed falls of the low over the smoothed true range. Needs `n + 1` bars.
pub fn minus_di(high: &[f64], low: &[f64], close: &[f64], n: usize) -> f64 {
    indicator(high, low, close, n, |(_, down)| down)
}

fn indicator(high: &[f64], low: &[f64], close: &[f64], n: usize, side: impl Fn((f64, f64)) -> f64) -> f64 {
    if n == 0 || close.len() <= n || high.len() != close.len() || low.len() != close.len() {
        return f64::NAN;
    }
    let moves = Moves::new(high, low);
    let (mut movement, mut range) = (Decay::wilder(n, 0.0), Decay::wilder(n, 0.0));
    for i in 0..moves.len() {
        let true_range = high[i + 1].max(close[i]) - low[i + 1].min(close[i]);
        if i + 1 < n {
            movement.value += side(moves.at(i));
            range.value += true_range;
        } else {
            movement.push(side(moves.at(i)));
            range.push(true_range);
        }
    }
    100.0 * ratio(movement.value, range.value, 0.0)
}

/// Directional movement from bar `i` to bar `i + 1`.
struct Moves<'a> {
    high: &'a [f64],
    low: &'a [f64],
}

impl<'a> Moves<'a> {
    fn new(high: &'a [f64], low: &'a [f64]) -> Self {
        Self { high, low: &low[..high.len()] }
    }

    fn len(&self) -> usize {
        self.high.len() - 1
    }

    /// `(up, down)`: the larger of the high's rise and the low's fall where it is positive, else 0; neither when equal.
    #[inline]
    fn at(&self, i: usize) -> (f64, f64) {
        let up = self.high[i + 1] - self.high[i];
        let down = self.low[i] - self.low[i + 1];
        (if up > down { up.max(0.0) } else { 0.0 }, if down > up { down.max(0.0) } else { 0.0 })
    }

    /// The sums of the first `n - 1` movements.
    fn seed(&self, n: usize) -> (f64, f64) {
        (0..n - 1).map(|i| self.at(i)).fold((0.0, 0.0), |sum, (up, down)| (sum.0 + up, sum.1 + down))
    }
}
