//! When a model has become worse: detectors on cohort scores, and the guards that keep a retrain rare.
//!
//! A [`Detector`] watches one model version at one horizon and is fed one score per non-overlapping cohort: hits over rows
//! that moved. A cohort is one score, however many symbols it holds, because they move together; cohorts that overlap in
//! time share what they measure. [`study`] shows what feeding rows or overlapping cohorts would do.
//!
//! [`Guards`] decide, per model, whether an [`Alarm`] may become a retrain request.
//!
//! Not here: which outcomes make a cohort, the window that the threshold rule looks at, and the request itself.

mod alarm;
mod baseline;
mod cusum;
mod detector;
mod floor;
mod guards;
mod run_length;
mod settings;
mod state;
pub mod study;

pub use alarm::Alarm;
pub use cusum::Cusum;
pub use detector::{CohortScore, Detector, Step};
pub use floor::WindowHit;
pub use guards::{Closed, Guards, Held};
pub use run_length::{expected_delay, run_length, threshold_for};
pub use settings::{Kind, Settings};
pub use state::State;

#[cfg(test)]
mod tests;
