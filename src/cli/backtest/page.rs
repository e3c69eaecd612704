//! The page: one file that needs nothing else, no script, legible in light and dark.

use std::fmt::Write as _;

use super::charts::{self, legend, second};
use super::figures::Run;
use super::svg::escape;
use super::tables::{self, many};
use crate::config::Config;
use crate::flow::accuracy::Report;
use crate::flow::model::ModelSpec;
use crate::flow::time::Micros;
use crate::machine::backtest::Counts;

const STYLE: &str = include_str!("page.css");

/// What was run over what.
pub struct About {
    model: String,
    bars_needed: usize,
    trained: (Micros, Micros),
    facts: Vec<(&'static str, String)>,
    counts: Counts,
    ticks: u64,
    span: (Micros, Micros),
}

impl About {
    /// A run of `spec` under `config` over `files`.
    pub fn new(config: &Config, spec: &ModelSpec, files: impl Iterator<Item = String>, partitions: i32) -> Self {
        let horizons: Vec<String> = spec.horizons.iter().map(u32::to_string).collect();
        let (bars, judge) = (&config.bars, &config.judge);
        let facts = vec![
            ("model", format!("{} {}", spec.name, spec.version)),
            ("looks at", format!("{} bars of {}", spec.bars_needed(), bars.interval)),
            ("horizons", format!("{} bars, dead band {} bps", horizons.join(", "), spec.dead_band_bps)),
            ("trained on", format!("{} to {} UTC", second(spec.training_range.0), second(spec.training_range.1))),
            ("fee", format!("{} bps for going in and out", config.fees.bps)),
            ("bars", format!("allowed_lateness {}, max_fill {}", bars.allowed_lateness, bars.max_fill)),
            (
                "judge",
                format!(
                    "report_every {}, window {}, detector {}, baseline_n {}",
                    judge.report_every, judge.window, judge.detector, judge.baseline_n
                ),
            ),
            ("partitions", partitions.to_string()),
            ("files", files.collect::<Vec<_>>().join(", ")),
        ];
        Self {
            model: format!("{} {}", spec.name, spec.version),
            bars_needed: spec.bars_needed(),
            trained: spec.training_range,
            facts,
            counts: Counts::default(),
            ticks: 0,
            span: (0, 0),
        }
    }

    /// Adds what the run gave.
    pub fn done(&mut self, counts: &Counts, ticks: u64, span: (Micros, Micros)) {
        (self.counts, self.ticks, self.span) = (counts.clone(), ticks, span);
    }

    /// What to do where nothing was scored.
    pub fn why_nothing(&self) -> String {
        format!(
            "model {} looks at {} complete bars of a symbol before its first word; give longer recordings, or shorter bars \
             (bars.interval) where the model allows them",
            self.model, self.bars_needed
        )
    }
}

/// The page of a run; `reports` are the last words of the judge.
pub fn html(about: &About, run: &Run, reports: &[Report]) -> String {
    let title = format!("Backtest of {}", escape(&about.model));
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><title>{title}</title>\n<style>\n{STYLE}</style></head><body>\n\
         <h1>{title}</h1>\n<p>{} to {} UTC. All times are UTC; profits are sums of basis points, one unit a trade.</p>\n",
        second(about.span.0),
        second(about.span.1)
    );
    warnings(&mut page, about);
    let facts = about.facts.iter().map(|(name, value)| vec![(*name).to_owned(), tables::prose(value)]);
    page.push_str("<section class=\"two\"><div><h2>Settings</h2>\n");
    page.push_str(&tables::table(&[], facts));
    page.push_str("</div><div><h2>Counts</h2>\n");
    page.push_str(&tables::table(&[], counts(about)));
    page.push_str("</div></section>\n<h2>The whole run</h2>\n");
    page.push_str(&tables::whole_run(run));
    page.push_str(
        "<p class=\"note\">Hit rate, log-loss and Brier are of the direction, over every row that moved beyond the dead band, \
         whatever was decided. A trade goes in at the next bar's vwap and out at the target's close. Rows of one time, and \
         trades that overlap, are correlated: the intervals below count them for what they are worth.</p>\n\
         <h2>The last window</h2>\n",
    );
    page.push_str(&tables::last_reports(reports));
    page.push_str("<h2>Beside the baselines</h2>\n");
    page.push_str(&tables::baselines(reports));
    page.push_str(
        "<p class=\"note\">The same rows by rules that know nothing, each from its own trailing frequency.</p>\n",
    );
    page.push_str("<h2>Retrain requests</h2>\n");
    page.push_str(&tables::requests(run, about.counts.requests, about.counts.held));
    horizons(&mut page, about, run);
    page.push_str("</body></html>\n");
    page
}

fn warnings(page: &mut String, about: &About) {
    let mut warn = |text: String| {
        let _ = writeln!(page, "<p class=\"warning\">{text}</p>");
    };
    if about.counts.scored == 0 {
        warn(format!("Nothing was scored: {}.", escape(&about.why_nothing())));
    }
    // Two ranges meet where each begins before the other ends.
    if about.trained.0 < about.span.1 && about.span.0 < about.trained.1 {
        warn(format!(
            "These trades lie within the model's training data ({} to {}): what it has learnt by heart looks like skill here.",
            second(about.trained.0),
            second(about.trained.1)
        ));
    }
    if about.counts.late > 0 {
        warn(format!(
            "{} outcomes came after their cohort was closed and are in no figure: a partition lay behind the others.",
            about.counts.late
        ));
    }
    if about.counts.skipped > 0 {
        warn(format!("{} predictions could not be settled as they are and were skipped.", about.counts.skipped));
    }
    if about.counts.problems > 0 {
        warn(format!("In {} cycles features or scoring failed for some rows, which abstained.", about.counts.problems));
    }
}

fn counts(about: &About) -> Vec<Vec<String>> {
    let counts = &about.counts;
    let row = |name: &str, count: u64| vec![name.to_owned(), count.to_string()];
    let mut rows = vec![
        row("trades", about.ticks),
        row("used", counts.used),
        row("duplicates", counts.duplicates),
        row("bars", counts.bars),
        row("predictions", counts.predictions),
        row("scored", counts.scored),
        row("outcomes", counts.outcomes),
        row("reports", counts.reports),
    ];
    rows.extend(counts.dead.iter().map(|(reason, count)| row(&format!("dead: {reason}"), *count)));
    rows
}

fn horizons(page: &mut String, about: &About, run: &Run) {
    for (bars, horizon) in &run.horizons {
        let _ = writeln!(page, "<h2>{} ahead</h2>\n<h3>Equity and drawdown</h3>", many(u64::from(*bars), "bar"));
        page.push_str(&legend(&[("main", "after fees"), ("faint", "before fees")]));
        // One above the other in time, so they move together where the page is narrower than they are.
        let (equity, drawdown) = (charts::equity(horizon, about.span), charts::drawdown(horizon, about.span));
        let _ = write!(page, "<div class=\"wide\">\n{equity}{drawdown}</div>\n");
        let width = match horizon.equity.bars() {
            1 => "a point a bar".to_owned(),
            several => format!("a point for {several} bars, so a drawdown within them does not show"),
        };
        let _ = writeln!(
            page,
            "<p class=\"note\">Basis points, all symbols together, by target time; {width}.</p>\n<h3>Rolling accuracy</h3>"
        );
        let points = horizon.rolling.points();
        if points.is_empty() {
            page.push_str("<p>No report was due: give more trades, or a smaller judge.report_every.</p>\n");
        } else {
            page.push_str(&legend(&[
                ("main", "model, with its 95% interval"),
                ("majority", "majority"),
                ("persistence", "persistence"),
                ("reversal", "reversal"),
                ("mark", "retrain requested"),
            ]));
            let marks: Vec<_> = run.requests.iter().filter(|r| r.subject.horizon == *bars).map(|r| r.as_of).collect();
            let _ = write!(page, "<div class=\"wide\">\n{}</div>\n", charts::rolling(&points, &marks, about.span));
        }
        page.push_str("<section class=\"two\"><div><h3>Calibration</h3>\n");
        page.push_str(&charts::calibration(horizon));
        page.push_str(
            "<p class=\"note\">Share that went up against the probability of up, given a move; bars at the bottom are row counts, \
             whiskers 95% as if rows were independent.</p></div><div><h3>Confusion</h3>\n",
        );
        page.push_str(&tables::confusion(horizon));
        page.push_str("</div></section>\n");
    }
}
