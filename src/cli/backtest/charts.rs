//! The pictures of one horizon.

use super::figures::{BINS, Horizon, Rolling};
use super::svg::{Plot, clock, range};
use crate::flow::accuracy::wilson;
use crate::flow::time::Micros;

const WIDE: (f64, f64) = (920.0, 260.0);
const LOW: (f64, f64) = (920.0, 150.0);
const SQUARE: (f64, f64) = (440.0, 360.0);

fn percent(value: f64) -> String {
    format!("{:.0}%", 100.0 * value)
}

fn points(value: f64) -> String {
    // Not minus zero.
    format!("{:.0}", value + 0.0)
}

/// A bucket begins before its first trade, and the last target lies behind the last trade.
fn within(at: Micros, span: (Micros, Micros)) -> f64 {
    at.clamp(span.0, span.1.max(span.0)) as f64
}

/// Profits after and before fees.
pub fn equity(horizon: &Horizon, span: (Micros, Micros)) -> String {
    let curve = horizon.equity.curve();
    let values = curve.iter().flat_map(|(_, sum)| [sum.net, sum.gross]).chain([0.0]);
    let mut plot = Plot::new("Equity in basis points", WIDE, (span.0 as f64, span.1 as f64), range(values));
    plot.y_axis(points);
    plot.x_times();
    plot.level("zero", 0.0);
    let begin = [(span.0 as f64, 0.0)];
    plot.line("faint", begin.into_iter().chain(curve.iter().map(|(at, sum)| (within(*at, span), sum.gross))));
    plot.line("main", begin.into_iter().chain(curve.iter().map(|(at, sum)| (within(*at, span), sum.net))));
    plot.finish()
}

/// How far the profit lies under its highest so far.
pub fn drawdown(horizon: &Horizon, span: (Micros, Micros)) -> String {
    let below = horizon.equity.drawdown();
    let values = below.iter().map(|(_, below)| *below).chain([0.0]);
    let mut plot = Plot::new("Drawdown in basis points", LOW, (span.0 as f64, span.1 as f64), range(values));
    plot.y_axis(points);
    plot.x_times();
    let area: Vec<_> = below.iter().map(|(at, below)| (within(*at, span), *below, 0.0)).collect();
    plot.band("bad", &area);
    plot.line("bad", below.iter().map(|(at, below)| (within(*at, span), *below)));
    plot.finish()
}

/// Hit rate of the rolling window with its interval, baselines beside it; `marks` are the times of retrain requests.
pub fn rolling(rolling: &[Rolling], marks: &[Micros], span: (Micros, Micros)) -> String {
    let all = |point: &Rolling| {
        let (hit, low, high) = point.hit;
        [Some(hit), Some(low), Some(high), point.baselines[0], point.baselines[1], point.baselines[2]]
    };
    let (low, high) = range(rolling.iter().flat_map(all).flatten().chain([0.45, 0.55]));
    let mut plot = Plot::new("Rolling hit rate", WIDE, (span.0 as f64, span.1 as f64), (low - 0.01, high + 0.01));
    plot.y_axis(percent);
    plot.x_times();
    plot.level("zero", 0.5);
    let band: Vec<_> = rolling.iter().map(|point| (point.at as f64, point.hit.1, point.hit.2)).collect();
    plot.band("main", &band);
    for (index, class) in ["majority", "persistence", "reversal"].into_iter().enumerate() {
        plot.line(class, rolling.iter().filter_map(|p| Some((p.at as f64, p.baselines[index]?))));
    }
    plot.line("main", rolling.iter().map(|point| (point.at as f64, point.hit.0)));
    marks.iter().for_each(|at| plot.upright("mark", *at as f64));
    plot.finish()
}

/// Said against happened, in bins of equal width, with 95% intervals, and below it how many rows each bin has.
pub fn calibration(horizon: &Horizon) -> String {
    let mut plot = Plot::new("Calibration", SQUARE, (0.0, 1.0), (0.0, 1.0));
    plot.y_axis(percent);
    plot.x_axis(percent);
    plot.line("zero", [(0.0, 0.0), (1.0, 1.0)]);
    let most = horizon.bins.iter().map(|bin| bin.count).max().unwrap_or(0).max(1) as f64;
    for (index, bin) in horizon.bins.iter().enumerate().filter(|(_, bin)| bin.count > 0) {
        let (left, right) = (index as f64 / BINS as f64, (index + 1) as f64 / BINS as f64);
        let count = bin.count as f64;
        let title = format!("{} rows between {} and {}", bin.count, percent(left), percent(right));
        plot.bar("count", (left, 0.0), (right, 0.2 * count / most), &title);
    }
    let mut curve = Vec::new();
    for bin in horizon.bins.iter().filter(|bin| bin.count > 0) {
        let count = bin.count as f64;
        let (said, came) = (bin.sum / count, bin.ups as f64 / count);
        let (low, high) = wilson::interval(came, count);
        plot.line("whisker", [(said, low), (said, high)]);
        let title = format!("said {:.1}%, came {:.1}%, {} rows", 100.0 * said, 100.0 * came, bin.count);
        curve.push(((said, came), title));
    }
    plot.line("main", curve.iter().map(|(point, _)| *point));
    curve.iter().for_each(|(point, title)| plot.dot("main", *point, 4.0, title));
    plot.finish()
}

/// The lines of the pictures over time, explained.
pub fn legend(entries: &[(&str, &str)]) -> String {
    let entry = |(class, words): &(&str, &str)| {
        format!(
            "<span><svg class=\"key\" viewBox=\"0 0 24 8\"><path class=\"line {class}\" d=\"M0 4L24 4\"/></svg>{words}</span>"
        )
    };
    format!("<p class=\"legend\">{}</p>\n", entries.iter().map(entry).collect::<String>())
}

/// A time to the second.
pub fn second(time: Micros) -> String {
    clock(time, "%Y-%m-%d %H:%M:%S")
}
