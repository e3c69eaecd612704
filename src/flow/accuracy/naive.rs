//! The same figures from the raw rows, in the plainest way: test code.

use super::calibration::cell_of;
use super::figures::{BaselineFigures, Figures};
use super::row::{BaselineForecast, Row};

/// A row like any other, to be changed where a test cares.
pub fn row() -> Row {
    Row {
        probability_up: 0.5,
        moved: Some(true),
        hit: false,
        class_probability: 0.25,
        class_hit: false,
        trades: false,
        pnl_bps: None,
        fee_bps: 0.0,
        baselines: [BaselineForecast { probability_up: 0.5, up: true }; 3],
    }
}

/// The rows of a cohort, and whether it counts as one that overlaps no other.
pub type Cohort<'a> = (bool, Vec<&'a Row>);

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    if values.is_empty() { None } else { Some(values.iter().sum::<f64>() / values.len() as f64) }
}

fn share(values: impl Iterator<Item = bool>) -> Option<f64> {
    mean(values.map(|value| if value { 1.0 } else { 0.0 }))
}

fn log_loss(forecasts: impl Iterator<Item = (f64, bool)>) -> Option<f64> {
    mean(forecasts.map(|(p, up)| if up { -p.ln() } else { -(1.0 - p).ln() }))
}

fn brier(forecasts: impl Iterator<Item = (f64, bool)>) -> Option<f64> {
    mean(forecasts.map(|(p, up)| (p - if up { 1.0 } else { 0.0 }).powi(2)))
}

fn calibration(mut forecasts: Vec<(f64, bool)>) -> Option<f64> {
    if forecasts.is_empty() {
        return None;
    }
    forecasts.sort_by(|a, b| a.0.total_cmp(&b.0));
    let n = forecasts.len() as f64;
    let (mut error, mut bin, mut tenth) = (0.0, Vec::new(), 1.0);
    for (i, (p, up)) in forecasts.iter().enumerate() {
        bin.push(p - if *up { 1.0 } else { 0.0 });
        let cell_ends = forecasts.get(i + 1).is_none_or(|next| cell_of(next.0) != cell_of(*p));
        if cell_ends && (i + 1) as f64 * 10.0 >= tenth * n {
            error += bin.iter().sum::<f64>().abs();
            bin.clear();
            while (i + 1) as f64 * 10.0 >= tenth * n {
                tenth += 1.0;
            }
        }
    }
    assert!(bin.is_empty(), "the last bin closes with the last row");
    Some(error / n)
}

fn n_effective(cohorts: &[Cohort<'_>]) -> f64 {
    let clusters: Vec<Vec<f64>> = cohorts
        .iter()
        .filter(|(counts, _)| *counts)
        .map(|(_, rows)| rows.iter().filter(|row| row.moved.is_some()).map(|row| f64::from(row.hit as u8)).collect())
        .filter(|hits: &Vec<f64>| !hits.is_empty())
        .collect();
    let c = clusters.len() as f64;
    let n: f64 = clusters.iter().map(|hits| hits.len() as f64).sum();
    let p = clusters.iter().flatten().sum::<f64>() / n;
    let spread: f64 = clusters.iter().map(|hits| hits.iter().map(|hit| hit - p).sum::<f64>().powi(2)).sum();
    if clusters.len() < 2 || spread < 1e-12 {
        return c;
    }
    let variance = c / (c - 1.0) * spread / n.powi(2);
    (p * (1.0 - p) / variance).min(n)
}

fn baseline(moved: &[(&Row, bool)], which: usize) -> BaselineFigures {
    let forecasts = || moved.iter().map(move |(row, up)| (row.baselines[which], *up));
    BaselineFigures {
        hit_rate: share(forecasts().map(|(forecast, up)| forecast.up == up)),
        log_loss: log_loss(forecasts().map(|(forecast, up)| (forecast.probability_up, up))),
        brier: brier(forecasts().map(|(forecast, up)| (forecast.probability_up, up))),
    }
}

fn break_even(rows: &[&Row]) -> Option<f64> {
    let trades: Vec<_> =
        rows.iter().filter_map(|row| row.pnl_bps.map(|pnl| (pnl + row.fee_bps, row.fee_bps))).collect();
    let gain = mean(trades.iter().map(|trade| trade.0).filter(|gross| *gross > 0.0))?;
    let loss = mean(trades.iter().map(|trade| -trade.0).filter(|gross| *gross > 0.0))?;
    let fee = mean(trades.iter().map(|trade| trade.1))?;
    // What a trade earns is a straight line in the hit rate: where it crosses zero.
    let earns = |p: f64| p * gain - (1.0 - p) * loss - fee;
    Some(-earns(0.0) / (earns(1.0) - earns(0.0)))
}

pub fn figures(cohorts: &[Cohort<'_>]) -> Figures {
    let rows: Vec<&Row> = cohorts.iter().flat_map(|(_, rows)| rows).copied().collect();
    let moved: Vec<(&Row, bool)> = rows.iter().filter_map(|row| row.moved.map(|up| (*row, up))).collect();
    let forecasts = || moved.iter().map(|(row, up)| (row.probability_up, *up));
    let hit_rate = share(moved.iter().map(|(row, _)| row.hit));
    let n_effective = n_effective(cohorts);
    let interval = hit_rate.map(|p| {
        if n_effective == 0.0 {
            return (0.0, 1.0);
        }
        let (n, z) = (n_effective, 1.959963984540054_f64);
        let middle = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
        let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
        (middle - half, middle + half)
    });
    let decided: Vec<&Row> = rows.iter().copied().filter(|row| row.trades && row.moved.is_some()).collect();
    Figures {
        scored: rows.len() as u64,
        n: moved.len() as u64,
        n_effective,
        hit_rate,
        hit_low: interval.map(|bounds| bounds.0),
        hit_high: interval.map(|bounds| bounds.1),
        log_loss: log_loss(forecasts()),
        brier: brier(forecasts()),
        calibration_error: calibration(forecasts().collect()),
        coverage: share(rows.iter().map(|row| row.trades)),
        decided_n: decided.len() as u64,
        decided_hit_rate: share(decided.iter().map(|row| row.hit)),
        class_accuracy: share(rows.iter().map(|row| row.class_hit)),
        class_log_loss: mean(rows.iter().map(|row| -row.class_probability.clamp(1e-6, 1.0 - 1e-6).ln())),
        trades: rows.iter().filter(|row| row.pnl_bps.is_some()).count() as u64,
        pnl_bps: rows.iter().filter_map(|row| row.pnl_bps).sum(),
        pnl_mean_bps: mean(rows.iter().filter_map(|row| row.pnl_bps)),
        break_even: break_even(&rows),
        majority: baseline(&moved, 0),
        persistence: baseline(&moved, 1),
        reversal: baseline(&moved, 2),
    }
}

/// Panics where two figures differ by more than rounding.
pub fn assert_equal(a: &Figures, b: &Figures) {
    let baselines = |f: &Figures| {
        [f.majority, f.persistence, f.reversal].into_iter().flat_map(|x| [x.hit_rate, x.log_loss, x.brier]).collect()
    };
    let optional = |f: &Figures| -> Vec<Option<f64>> {
        let own = [f.hit_rate, f.hit_low, f.hit_high, f.log_loss, f.brier, f.calibration_error, f.coverage];
        let more = [f.decided_hit_rate, f.class_accuracy, f.class_log_loss, f.pnl_mean_bps, f.break_even];
        let sums = [Some(f.n_effective), Some(f.pnl_bps)];
        let baselines: Vec<Option<f64>> = baselines(f);
        [&own[..], &more, &sums, &baselines].concat()
    };
    let counts = |f: &Figures| [f.scored, f.n, f.decided_n, f.trades];
    let close = |x: f64, y: f64| (x - y).abs() <= 1e-9 * (1.0 + x.abs().max(y.abs()));
    let same = optional(a).into_iter().zip(optional(b)).all(|pair| match pair {
        (Some(x), Some(y)) => close(x, y),
        (x, y) => x == y,
    });
    assert!(same && counts(a) == counts(b), "{a:#?}\nis not\n{b:#?}");
}
