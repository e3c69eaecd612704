//! How right the forecasts were: each metric in one file, with its formula, its source and the tests of its edges.
//!
//! A metric is a sum that can be added to: rows into it, and two of it into one, so that a window of blocks is the sum of its
//! blocks. [`statistics::Statistics`] bundles them, [`figures::Figures`] is what they say, [`window::Window`] keeps them
//! over the last cohorts, and [`trailing::Trailing`] makes the forecasts of the baselines that stand beside them.
//!
//! Not here: how a prediction is settled, what a cohort is and when it is complete, and what is made of the figures.

pub mod baselines;
pub mod brier;
pub mod calibration;
pub mod classes;
pub mod coverage;
pub mod effective;
pub mod figures;
pub mod hit_rate;
pub mod log_loss;
mod numbers;
pub mod pnl;
pub mod report;
pub mod row;
pub mod statistics;
pub mod trailing;
pub mod wilson;
pub mod window;

use super::outcome::CLIP;

pub use figures::{BaselineFigures, Figures};
pub use report::{Report, Standing, Subject};
pub use row::{BaselineForecast, Row};
pub use statistics::Statistics;
pub use trailing::Trailing;
pub use window::{Block, Window, WindowFigures};

#[cfg(test)]
mod naive;
#[cfg(test)]
mod tests;

/// `probability` within `[CLIP, 1 - CLIP]`: one forecast that was sure and wrong must not make a mean infinite.
pub fn clip(probability: f64) -> f64 {
    probability.clamp(CLIP, 1.0 - CLIP)
}

/// `sum / n`; nothing where there is nothing to divide by.
fn mean(sum: f64, n: u64) -> Option<f64> {
    (n > 0).then(|| sum / n as f64)
}
