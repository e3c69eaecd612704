//! What the statistics say, as plain numbers. A figure without rows to stand on is absent, never zero.

/// All figures of one set of rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Rows that could be scored.
    pub scored: u64,
    /// Rows that moved beyond the dead band: what the figures of direction are over.
    pub n: u64,
    /// Independent rows that `hit_rate` is worth ([`super::effective`]); never more than `n`.
    pub n_effective: f64,
    /// Share of the `n` whose direction was right ([`super::hit_rate`]).
    pub hit_rate: Option<f64>,
    /// Lower bound of its 95% interval on `n_effective` ([`super::wilson`]).
    pub hit_low: Option<f64>,
    /// Upper bound of its 95% interval on `n_effective`.
    pub hit_high: Option<f64>,
    /// Mean log-loss of the direction in nats ([`super::log_loss`]).
    pub log_loss: Option<f64>,
    /// Mean Brier score of the direction ([`super::brier`]).
    pub brier: Option<f64>,
    /// Expected calibration error of the probability of up ([`super::calibration`]).
    pub calibration_error: Option<f64>,
    /// Share of `scored` on which the model decided for up or down ([`super::coverage`]).
    pub coverage: Option<f64>,
    /// Rows that it decided on and that moved.
    pub decided_n: u64,
    /// Hit rate over these.
    pub decided_hit_rate: Option<f64>,
    /// Three-class accuracy over `scored` ([`super::classes`]).
    pub class_accuracy: Option<f64>,
    /// Three-class log-loss over `scored` in nats.
    pub class_log_loss: Option<f64>,
    /// Rows that it decided on and could enter.
    pub trades: u64,
    /// Sum of their profits after fees in basis points ([`super::pnl`]).
    pub pnl_bps: f64,
    /// Mean of their profits after fees in basis points.
    pub pnl_mean_bps: Option<f64>,
    /// The hit rate at which a trade would earn nothing; above 1 where fees are beyond every gain.
    pub break_even: Option<f64>,
    /// The likelier direction of late, on the same `n` rows ([`super::trailing`]).
    pub majority: BaselineFigures,
    /// The direction of the last return, on the same `n` rows.
    pub persistence: BaselineFigures,
    /// The direction against the last return, on the same `n` rows.
    pub reversal: BaselineFigures,
}

/// The figures of one baseline.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BaselineFigures {
    /// Share whose direction was right.
    pub hit_rate: Option<f64>,
    /// Mean log-loss in nats.
    pub log_loss: Option<f64>,
    /// Mean Brier score.
    pub brier: Option<f64>,
}
