//! What is said about a symbol at a bar's close, abstentions included.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::bar::Bar;
use super::hex::Hex;
use super::symbol::Symbol;
use super::time::{Interval, Micros};

/// Probabilities of the classes, in the order of the model's output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probabilities {
    /// Below minus the dead band.
    pub down: f32,
    /// Within the dead band.
    pub flat: f32,
    /// Above the dead band.
    pub up: f32,
}

/// The likeliest class, or no opinion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Price is likeliest to fall beyond the dead band.
    Down,
    /// Price is likeliest to stay within it.
    Flat,
    /// Price is likeliest to rise beyond it.
    Up,
    /// Not to be acted on; [`Prediction::abstain_reasons`] says why.
    Abstain,
}

impl Decision {
    /// Its name in a record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Flat => "flat",
            Self::Up => "up",
            Self::Abstain => "abstain",
        }
    }
}

impl std::str::FromStr for Decision {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Down, Self::Flat, Self::Up, Self::Abstain]
            .into_iter()
            .find(|decision| decision.as_str() == text)
            .ok_or(())
    }
}

impl Probabilities {
    /// The likeliest class; a tie goes to `flat`, a tie of the outer two as well: no direction is known then.
    pub fn decision(self) -> Decision {
        if self.up > self.down && self.up > self.flat {
            Decision::Up
        } else if self.down > self.up && self.down > self.flat {
            Decision::Down
        } else {
            Decision::Flat
        }
    }

    /// Whether these are three probabilities that sum to one within 1e-3.
    pub fn is_valid(self) -> bool {
        let all = [self.down, self.flat, self.up];
        all.iter().all(|p| (-1e-6..=1.0 + 1e-6).contains(p)) && (all.iter().sum::<f32>() - 1.0).abs() <= 1e-3
    }
}

/// Why a prediction abstains. None depends on a clock or on the watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AbstainReason {
    /// Fewer bars than the model's window and sequence need.
    WarmingUp,
    /// The window holds an incomplete bar.
    GapInWindow,
    /// No trade for longer than `bars.max_fill` bars: the symbol's last record until it trades again.
    Silent,
    /// The last trade is further back than `forecast.max_staleness`.
    Stale,
    /// No class is as likely as `forecast.min_confidence`.
    LowConfidence,
    /// The model's training ended further back than `forecast.max_model_age`.
    ModelExpired,
    /// A feature is not a number, or the model failed on this row.
    ScoringFailed,
}

impl AbstainReason {
    /// Every reason, in the order of the schema.
    pub const ALL: &[Self] = &[
        Self::WarmingUp,
        Self::GapInWindow,
        Self::Silent,
        Self::Stale,
        Self::LowConfidence,
        Self::ModelExpired,
        Self::ScoringFailed,
    ];

    /// Its name in a record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WarmingUp => "warming_up",
            Self::GapInWindow => "gap_in_window",
            Self::Silent => "silent",
            Self::Stale => "stale",
            Self::LowConfidence => "low_confidence",
            Self::ModelExpired => "model_expired",
            Self::ScoringFailed => "scoring_failed",
        }
    }
}

/// Who said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The model in charge: what a bot may trade on.
    Champion,
}

impl Role {
    /// Its name in a record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Champion => "champion",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text == "champion" { Ok(Self::Champion) } else { Err(()) }
    }
}

/// The bar's facts that every prediction of it repeats, so that it can be settled from predictions alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reference {
    /// The bar's close.
    pub price: f64,
    /// The bar's vwap.
    pub vwap: f64,
    /// Whether the bar was complete.
    pub complete: bool,
    /// Whether the bar was synthetic.
    pub synthetic: bool,
}

impl From<&Bar> for Reference {
    fn from(bar: &Bar) -> Self {
        Self { price: bar.close, vwap: bar.vwap, complete: bar.complete, synthetic: bar.synthetic }
    }
}

/// One record per symbol, closed bar and horizon.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// See [`PredictionId`].
    pub prediction_id: PredictionId,
    /// The instrument.
    pub symbol: Symbol,
    /// Length of its bars.
    pub interval: Interval,
    /// How many bars ahead.
    pub horizon: u32,
    /// The bar's close: everything before it is known, nothing after it.
    pub as_of: Micros,
    /// `as_of` plus the horizon's bars.
    pub target_time: Micros,
    /// The next bar's close plus the lateness: act later and you act on a stale view.
    pub valid_until: Micros,
    /// `as_of / interval`: a jump is a gap.
    pub sequence: i64,
    /// The bar's facts.
    pub reference: Reference,
    /// Half-width of the model's `flat`, in basis points: what the outcome is measured with.
    pub dead_band_bps: f64,
    /// What the model says; absent when it was not asked.
    pub probabilities: Option<Probabilities>,
    /// The likeliest class, or abstain.
    pub decision: Decision,
    /// Why it abstains; empty otherwise.
    pub abstain_reasons: Vec<AbstainReason>,
    /// Name of the model.
    pub model: Arc<str>,
    /// Version of the model.
    pub model_version: Arc<str>,
    /// Who said it.
    pub role: Role,
    /// XXH3-64 of the model's input row (f32, little endian); absent when there was none.
    pub feature_digest: Option<Hex<16>>,
    /// Latest trade time in the window.
    pub max_event_time: Micros,
}

/// The first 16 bytes of the SHA-256 of `symbol|interval|as_of|horizon|model|version`, in hexadecimal.
///
/// The same bar scored again by the same model has the same id, so a consumer can drop what it has seen.
pub type PredictionId = Hex<32>;

/// Makes the ids of one model's predictions at one bar end: what all of them share is written once.
pub struct PredictionIds {
    close: String,
    /// One a horizon.
    models: Vec<String>,
}

impl PredictionIds {
    /// For the bars of `interval` that end at `as_of`, and a model that looks `horizons` bars ahead.
    pub fn new(interval: Interval, as_of: Micros, horizons: &[u32], model: &str, version: &str) -> Self {
        let models = horizons.iter().map(|horizon| format!("{horizon}|{model}|{version}")).collect();
        Self { close: format!("|{interval}|{as_of}|"), models }
    }

    /// The id for `symbol` at the horizon of this index.
    ///
    /// # Panics
    /// When there is no such horizon.
    pub fn id(&self, symbol: &str, horizon: usize) -> PredictionId {
        let hash = Sha256::new().chain_update(symbol).chain_update(&self.close).chain_update(&self.models[horizon]);
        Hex::of(&hash.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stable() {
        let minute = Interval::from_seconds(60).unwrap();
        let ids = PredictionIds::new(minute, 1_700_000_040_000_000, &[1, 5], "reference", "1.0.0");
        // printf '%s' 'BTC-USDT.BINANCE-SPOT|1m|1700000040000000|5|reference|1.0.0' | sha256sum | cut -c1-32
        assert_eq!(&*ids.id("BTC-USDT.BINANCE-SPOT", 1), "6a75deabb706991c651b74e01fe669e3");
    }

    #[test]
    fn ties_know_no_direction() {
        let decide = |down, flat, up| Probabilities { down, flat, up }.decision();
        assert_eq!(decide(0.4, 0.2, 0.4), Decision::Flat);
        assert_eq!(decide(0.5, 0.1, 0.4), Decision::Down);
        assert_eq!(decide(0.1, 0.4, 0.5), Decision::Up);
        assert_eq!(decide(0.1, 0.45, 0.45), Decision::Flat);
    }

    #[test]
    fn probabilities_are_checked() {
        let valid = |down, flat, up| Probabilities { down, flat, up }.is_valid();
        assert!(valid(0.2, 0.3, 0.5));
        assert!(!valid(0.2, 0.3, 0.6));
        assert!(!valid(f32::NAN, 0.5, 0.5));
        assert!(!valid(-0.5, 1.0, 0.5));
    }
}
