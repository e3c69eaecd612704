//! JSON of the `accuracy` topic.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::WireError;
use crate::flow::accuracy::{BaselineFigures, Report};
use crate::flow::time::Micros;

/// An accuracy report: how right a model was at one horizon over a rolling window of cohorts, for all symbols or for one.
///
/// Rates and losses are over the rows that moved beyond the dead band, unless said; a figure that no row supports is null.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub struct AccuracyRecord<'a> {
    /// Name of the model.
    #[serde(borrow)]
    pub model: Cow<'a, str>,
    /// Version of the model.
    #[serde(borrow)]
    pub model_version: Cow<'a, str>,
    /// Length of the bars.
    #[serde(borrow)]
    pub interval: Cow<'a, str>,
    /// Bars ahead.
    pub horizon: u32,
    /// The symbol; null for all together.
    #[serde(borrow)]
    pub symbol: Option<Cow<'a, str>>,
    /// Target time of the newest cohort in the window.
    pub as_of: Micros,
    /// Target time of the oldest cohort in the window.
    pub window_start: Micros,
    /// Cohorts in the window.
    pub cohorts: u32,
    /// Cohorts since the model's first.
    pub cohorts_total: u64,
    /// Settled rows in the window, whether they moved or not.
    pub scored: u64,
    /// Rows in the window that could not be settled.
    pub unscorable: u64,
    /// Rows that came after their cohort was closed, since the model's first; they are counted here and nowhere else.
    pub late: u64,
    /// Rows that moved.
    pub n: u64,
    /// Rows that moved in cohorts that do not overlap, discounted by the correlation within them.
    pub n_effective: f64,
    /// Share of right directions.
    pub hit_rate: Option<f64>,
    /// Lower end of its Wilson 95% interval on `n_effective`.
    pub hit_low: Option<f64>,
    /// Upper end.
    pub hit_high: Option<f64>,
    /// Mean binary log-loss.
    pub log_loss: Option<f64>,
    /// Mean binary Brier score.
    pub brier: Option<f64>,
    /// Expected calibration error in ten bins of equal mass.
    pub calibration_error: Option<f64>,
    /// Share of the scored rows whose decision was up or down.
    pub coverage: Option<f64>,
    /// Rows that moved among those.
    pub decided_n: u64,
    /// Share of right directions among them.
    pub decided_hit_rate: Option<f64>,
    /// Share of the scored rows whose likeliest class came.
    pub class_accuracy: Option<f64>,
    /// Mean three-class log-loss of the scored rows.
    pub class_log_loss: Option<f64>,
    /// Rows whose decision could be traded.
    pub trades: u64,
    /// Sum of what they earned, after fees.
    pub pnl_bps: f64,
    /// Mean of it.
    pub pnl_mean_bps: Option<f64>,
    /// The hit rate at which they would have earned nothing, given how much they won and lost.
    pub break_even: Option<f64>,
    /// The same rows by rules that know nothing.
    pub baselines: Baselines,
    /// cold, ok, warning or degraded; null in the report of one symbol.
    #[serde(borrow)]
    pub state: Option<Cow<'a, str>>,
    /// Target time of the cohort that brought the state.
    pub since: Option<Micros>,
    /// Why the state is what it is.
    #[serde(borrow)]
    pub reason: Option<Cow<'a, str>>,
    /// When it was made; the only field that depends on a clock.
    pub produced_at: Micros,
}

/// The baselines, each a probability from its own trailing frequency.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, PartialEq)]
pub struct Baselines {
    /// The direction that came more often.
    pub majority: Baseline,
    /// The direction of the last move.
    pub persistence: Baseline,
    /// The opposite direction.
    pub reversal: Baseline,
}

/// One baseline's figures.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, PartialEq)]
#[allow(missing_docs, reason = "as in the report")]
pub struct Baseline {
    pub hit_rate: Option<f64>,
    pub log_loss: Option<f64>,
    pub brier: Option<f64>,
}

impl From<BaselineFigures> for Baseline {
    fn from(figures: BaselineFigures) -> Self {
        Self { hit_rate: figures.hit_rate, log_loss: figures.log_loss, brier: figures.brier }
    }
}

/// A report made at `produced_at` as it stands on the topic.
pub fn record(report: &Report, produced_at: Micros) -> AccuracyRecord<'_> {
    let (subject, figures) = (&report.subject, &report.figures);
    let standing = report.standing.as_ref();
    AccuracyRecord {
        model: Cow::Borrowed(&subject.model),
        model_version: Cow::Borrowed(&subject.model_version),
        interval: subject.interval.to_string().into(),
        horizon: subject.horizon,
        symbol: report.symbol.as_ref().map(|symbol| Cow::Borrowed(symbol.as_str())),
        as_of: report.as_of,
        window_start: report.window_start,
        cohorts: u32::try_from(report.cohorts).unwrap_or(u32::MAX),
        cohorts_total: report.cohorts_total,
        scored: figures.scored,
        unscorable: report.unscorable,
        late: report.late,
        n: figures.n,
        n_effective: figures.n_effective,
        hit_rate: figures.hit_rate,
        hit_low: figures.hit_low,
        hit_high: figures.hit_high,
        log_loss: figures.log_loss,
        brier: figures.brier,
        calibration_error: figures.calibration_error,
        coverage: figures.coverage,
        decided_n: figures.decided_n,
        decided_hit_rate: figures.decided_hit_rate,
        class_accuracy: figures.class_accuracy,
        class_log_loss: figures.class_log_loss,
        trades: figures.trades,
        pnl_bps: figures.pnl_bps,
        pnl_mean_bps: figures.pnl_mean_bps,
        break_even: figures.break_even,
        baselines: Baselines {
            majority: figures.majority.into(),
            persistence: figures.persistence.into(),
            reversal: figures.reversal.into(),
        },
        state: standing.map(|standing| standing.state.as_str().into()),
        since: standing.map(|standing| standing.since),
        reason: standing.map(|standing| Cow::Borrowed(standing.reason.as_str())),
        produced_at,
    }
}

/// Writes `report`, made at `produced_at`, to the end of `out`.
pub fn encode(report: &Report, produced_at: Micros, out: &mut Vec<u8>) {
    serde_json::to_writer(out, &record(report, produced_at))
        .expect("a record of plain fields is always JSON, and a Vec takes every byte");
}

/// Reads a record of the `accuracy` topic.
///
/// # Errors
/// When it is none.
pub fn decode(bytes: &[u8]) -> Result<AccuracyRecord<'_>, WireError> {
    serde_json::from_slice(bytes).map_err(|source| WireError::Json { what: "accuracy", source })
}
