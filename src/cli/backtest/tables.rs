//! The tables of the page.

use std::fmt::Write as _;

use super::charts::second;
use super::figures::{DECISIONS, Horizon, Run};
use super::svg::escape;
use crate::flow::accuracy::{BaselineFigures, Report};
use crate::flow::outcome::{Realised, Unscorable};

/// A table: the first column is a heading, the others are numbers. Without rows it is a word.
pub fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut rows = rows.into_iter().peekable();
    if rows.peek().is_none() {
        return "<p>None.</p>\n".to_owned();
    }
    let mut html = String::from("<div class=\"wide\"><table><thead><tr>");
    head.iter().for_each(|cell| {
        let _ = write!(html, "<th>{cell}</th>");
    });
    html.push_str("</tr></thead><tbody>\n");
    for row in rows {
        html.push_str("<tr>");
        for (index, cell) in row.iter().enumerate() {
            let tag = if index == 0 { "th" } else { "td" };
            let _ = write!(html, "<{tag}>{cell}</{tag}>");
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n");
    html
}

/// A cell of words, which may take several lines.
pub fn prose(text: &str) -> String {
    format!("<span class=\"text\">{}</span>", escape(text))
}

/// `1 bar`, `5 bars`.
pub fn many(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn share(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{:.1}%", 100.0 * value))
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

fn mean(sum: f64, n: u64) -> Option<f64> {
    (n > 0).then(|| sum / n as f64)
}

/// The whole run, a row for each horizon.
pub fn whole_run(run: &Run) -> String {
    let row = |(horizon, h): (&u32, &Horizon)| {
        let net = h.equity.curve().last().map_or(0.0, |(_, sum)| sum.net);
        let deepest = h.equity.drawdown().iter().map(|(_, below)| -below).fold(0.0, f64::max);
        vec![
            format!("{horizon}"),
            h.settled.to_string(),
            h.unscorable.iter().sum::<u64>().to_string(),
            h.moved.to_string(),
            share(mean(h.hits as f64, h.moved)),
            number(mean(h.log_loss, h.moved), 4),
            number(mean(h.brier, h.moved), 4),
            h.trades.to_string(),
            number(mean(net, h.trades), 2),
            number(Some(net), 0),
            number(Some(deepest), 0),
        ]
    };
    let head = [
        "horizon, bars",
        "settled",
        "unscorable",
        "moved",
        "hit rate",
        "log-loss",
        "Brier",
        "trades",
        "mean, bps",
        "total, bps",
        "drawdown, bps",
    ];
    table(&head, run.horizons.iter().map(row))
}

/// The last reports over all symbols: the rolling window as it stood at the end.
pub fn last_reports(reports: &[Report]) -> String {
    let head = [
        "horizon, bars",
        "state",
        "cohorts",
        "n",
        "n effective",
        "hit rate",
        "95% interval",
        "log-loss",
        "calibration error",
        "coverage",
        "mean, bps",
        "break-even",
    ];
    let row = |report: &Report| {
        let f = &report.figures;
        vec![
            report.subject.horizon.to_string(),
            report.standing.as_ref().map_or_else(|| "-".to_owned(), |standing| standing.state.to_string()),
            format!("{} of {}", report.cohorts, report.cohorts_total),
            f.n.to_string(),
            number(Some(f.n_effective), 1),
            share(f.hit_rate),
            format!("{} to {}", share(f.hit_low), share(f.hit_high)),
            number(f.log_loss, 4),
            share(f.calibration_error),
            share(f.coverage),
            number(f.pnl_mean_bps, 2),
            share(f.break_even),
        ]
    };
    let mut html = table(&head, reports.iter().map(row));
    for standing in reports.iter().filter_map(|report| Some((report.subject.horizon, report.standing.as_ref()?))) {
        let (horizon, standing) = standing;
        let _ = writeln!(
            html,
            "<p class=\"note\">{} ahead: {} since {} UTC: {}</p>",
            many(u64::from(horizon), "bar"),
            standing.state,
            second(standing.since),
            escape(&standing.reason)
        );
    }
    html
}

/// Model and baselines on the same rows.
pub fn baselines(reports: &[Report]) -> String {
    let head = ["horizon, bars", "", "hit rate", "log-loss", "Brier"];
    let rows = reports.iter().flat_map(|report| {
        let f = &report.figures;
        let model = BaselineFigures { hit_rate: f.hit_rate, log_loss: f.log_loss, brier: f.brier };
        let all =
            [("model", model), ("majority", f.majority), ("persistence", f.persistence), ("reversal", f.reversal)];
        all.map(|(name, figures)| {
            vec![
                report.subject.horizon.to_string(),
                name.to_owned(),
                share(figures.hit_rate),
                number(figures.log_loss, 4),
                number(figures.brier, 4),
            ]
        })
    });
    table(&head, rows)
}

/// What was decided against what came.
pub fn confusion(horizon: &Horizon) -> String {
    let most = horizon.confusion.iter().flatten().copied().max().unwrap_or(0).max(1) as f64;
    let row = |(index, counts): (usize, &[u64; 3])| {
        let total: u64 = counts.iter().sum();
        let cell = |count: &u64| {
            let (shade, part) = (*count as f64 / most, share(mean(*count as f64, total)));
            format!("<span class=\"cell\" style=\"--shade:{shade:.3}\">{count}<small>{part}</small></span>")
        };
        let name = DECISIONS[index].as_str().to_owned();
        std::iter::once(name).chain(counts.iter().map(cell)).chain([total.to_string()]).collect()
    };
    let head = Realised::ALL.map(|class| format!("came {}", class.as_str()));
    let head: Vec<&str> = ["decided"].into_iter().chain(head.iter().map(String::as_str)).chain(["together"]).collect();
    let mut html = table(&head, horizon.confusion.iter().enumerate().map(row));
    let unscorable: Vec<String> = Unscorable::ALL
        .iter()
        .zip(horizon.unscorable)
        .filter(|(_, count)| *count > 0)
        .map(|(why, count)| format!("{count} {}", why.as_str()))
        .collect();
    if !unscorable.is_empty() {
        let _ = writeln!(html, "<p class=\"note\">Besides them not scorable: {}.</p>", unscorable.join(", "));
    }
    html
}

/// The requests.
pub fn requests(run: &Run, total: u64, held: u64) -> String {
    if run.requests.is_empty() {
        return "<p>None.</p>\n".to_owned();
    }
    let row = |request: &crate::flow::retrain::Request| {
        vec![
            second(request.as_of),
            request.subject.horizon.to_string(),
            request.alarm.detector.to_owned(),
            number(Some(request.alarm.statistic), 3),
            number(Some(request.alarm.threshold), 3),
            request.alarm.change_point.map_or_else(|| "-".to_owned(), second),
            prose(&request.alarm.reason),
        ]
    };
    let reason = prose("reason");
    let head = ["as of, UTC", "horizon, bars", "detector", "statistic", "threshold", "change point", &reason];
    let mut html = table(&head, run.requests.iter().map(row));
    let _ = writeln!(
        html,
        "<p class=\"note\">{}; {} held back. Nobody answers a request here, so one stays open to the end.</p>",
        many(total, "request"),
        many(held, "further alarm")
    );
    html
}
