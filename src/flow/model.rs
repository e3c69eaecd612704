//! What a model declares about itself, and how it is asked.
//!
//! Not here: reading the declaration out of an ONNX file ([`crate::wire::model`]) and running it ([`crate::io::inference`]).

use super::time::{Interval, Micros};

/// The declaration that travels inside the artefact.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSpec {
    /// Name: the identity under which its accuracy is kept.
    pub name: String,
    /// Version of that name.
    pub version: String,
    /// The feature SQL: the artefact carries its own features.
    pub features: String,
    /// Bars that one feature row looks at.
    pub window: usize,
    /// Feature rows in one input.
    pub sequence: usize,
    /// The bar length it was made for; none for any.
    pub bar_interval: Option<Interval>,
    /// How many bars ahead each output row speaks, in the order of the output.
    pub horizons: Vec<u32>,
    /// Half-width of `flat`, in basis points of return.
    pub dead_band_bps: f64,
    /// First and last event time of its training data.
    pub training_range: (Micros, Micros),
    /// What it scored when it was accepted, and the baselines beside it; JSON, for people.
    pub acceptance: String,
    /// Inputs with the outputs they must give.
    pub golden: Golden,
}

/// Inputs with the outputs they must give, row-major.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Golden {
    /// Rows.
    pub rows: usize,
    /// `rows x sequence x features`.
    pub features: Vec<f32>,
    /// `rows x horizons x 3`.
    pub probabilities: Vec<f32>,
}

/// Outputs may differ from the golden ones by this much.
pub const GOLDEN_TOLERANCE: f32 = 1e-4;

/// Largest window, in bars.
pub const MAX_WINDOW: usize = 4_096;
/// Longest sequence, in feature rows.
pub const MAX_SEQUENCE: usize = 1_024;
/// Most horizons.
pub const MAX_HORIZONS: usize = 16;

/// The three classes of a horizon, in the order of the output: down, flat, up.
pub const CLASSES: usize = 3;

impl ModelSpec {
    /// Bars needed before every feature row of one input is there.
    pub fn bars_needed(&self) -> usize {
        self.window + self.sequence - 1
    }

    /// Everything wrong with the declaration, in words; empty when it can be served.
    pub fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut require = |holds: bool, text: String| {
            if !holds {
                found.push(text);
            }
        };
        let name = |text: &str| {
            (1..=64).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'+'))
        };
        require(name(&self.name), format!("name `{}` must be 1 to 64 letters, digits and .-_+", self.name));
        require(name(&self.version), format!("version `{}` must be 1 to 64 letters, digits and .-_+", self.version));
        require(
            (2..=MAX_WINDOW).contains(&self.window),
            format!("window {} must lie between 2 and {MAX_WINDOW} bars", self.window),
        );
        require(
            (1..=MAX_SEQUENCE).contains(&self.sequence),
            format!("sequence {} must lie between 1 and {MAX_SEQUENCE} rows", self.sequence),
        );
        require(
            (1..=MAX_HORIZONS).contains(&self.horizons.len()),
            format!("there must be 1 to {MAX_HORIZONS} horizons, not {}", self.horizons.len()),
        );
        require(
            self.horizons.iter().all(|h| (1..=10_000).contains(h)) && self.horizons.windows(2).all(|w| w[0] < w[1]),
            format!("horizons {:?} must ascend and lie between 1 and 10000 bars", self.horizons),
        );
        require(
            self.dead_band_bps.is_finite() && self.dead_band_bps >= 0.0,
            format!("dead_band_bps {} must be a number of basis points, 0 or more", self.dead_band_bps),
        );
        require(
            self.training_range.0 <= self.training_range.1,
            format!("training_range {:?} ends before it begins", self.training_range),
        );
        require(self.golden.rows >= 1, "golden holds no rows: at least one input with its output is needed".to_owned());
        found
    }
}

/// A failure to score.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("model {model} failed on {rows} rows: {why}")]
pub struct ScoreError {
    /// Name and version.
    pub model: String,
    /// Size of the batch.
    pub rows: usize,
    /// What the runtime said.
    pub why: String,
}

/// A loaded model. Implemented over ONNX Runtime, and by fakes in unit tests of machines.
pub trait Scorer: Send {
    /// Its declaration.
    fn spec(&self) -> &ModelSpec;

    /// The input buffer for a batch, `rows x sequence x features`, to be filled before [`Scorer::run`].
    fn input(&mut self, rows: usize) -> &mut [f32];

    /// Scores the first `rows` rows of the input: `rows x horizons x 3` probabilities.
    ///
    /// # Errors
    /// When the runtime fails; the input stays as it was.
    fn run(&mut self, rows: usize) -> Result<&[f32], ScoreError>;
}
