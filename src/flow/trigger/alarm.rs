//! What a detector says when a model is degraded.

use crate::flow::time::Micros;

/// A degraded model, with the figures behind it. [`super::Guards`] decide whether it becomes a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Alarm {
    /// `cusum`, `threshold` or `model_age`.
    pub detector: &'static str,
    /// The CUSUM in deviations; the window's Wilson upper bound; the model's age in seconds.
    pub statistic: f64,
    /// What it passed, in the same unit: upwards, except for `threshold`.
    pub threshold: f64,
    /// The hit rate that the CUSUM measures against.
    pub reference: Option<f64>,
    /// Deviation of one cohort's score in the reference; CUSUM only.
    pub deviation: Option<f64>,
    /// Target time of the last cohort at which the CUSUM stood at zero: the model was well until about then, and training
    /// data from before may be cut off.
    pub change_point: Option<Micros>,
    /// The same in words.
    pub reason: String,
}
