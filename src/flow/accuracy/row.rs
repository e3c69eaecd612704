//! One settled outcome as the metrics see it.
//!
//! Not here: how it was settled.

/// What a baseline said of the same bar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BaselineForecast {
    /// Its probability that the price goes up, given that it moves.
    pub probability_up: f64,
    /// Its direction. It may differ from what `probability_up` says: a rule that was wrong most of the time keeps its
    /// direction and says how little it believes in it.
    pub up: bool,
}

/// One scorable outcome. Every number is finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// `p_up / (p_up + p_down)`, clipped ([`super::clip`]).
    pub probability_up: f64,
    /// Whether the price went up (`false`: down); none where it stayed within the dead band.
    pub moved: Option<bool>,
    /// Where it moved: whether the sign of `p_up - p_down` was right. A tie is a miss.
    pub hit: bool,
    /// The probability that the model gave to the class that happened, of down, flat and up.
    pub class_probability: f64,
    /// Whether that class was the likeliest one.
    pub class_hit: bool,
    /// Whether the decision was up or down.
    pub trades: bool,
    /// Profit after the fee, in basis points; only where it trades and an entry was possible.
    pub pnl_bps: Option<f64>,
    /// The fee within `pnl_bps`, in basis points: `pnl_bps + fee_bps` is the gross profit.
    pub fee_bps: f64,
    /// Majority, persistence and reversal, in this order: see [`super::trailing`].
    pub baselines: [BaselineForecast; 3],
}
