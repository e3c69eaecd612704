//! An accuracy report: what the referee says of a model at one horizon.
//!
//! Not here: when one is made ([`crate::machine::judge`]).

use std::sync::Arc;

use super::figures::Figures;
use crate::flow::symbol::Symbol;
use crate::flow::time::{Interval, Micros};
use crate::flow::trigger::State;

/// Which stream of cohorts: everything one model version says at one horizon.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// Name of the model.
    pub model: Arc<str>,
    /// Version of the model.
    pub model_version: Arc<str>,
    /// Length of the bars.
    pub interval: Interval,
    /// Bars ahead.
    pub horizon: u32,
}

/// What the detector thinks of the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// The state.
    pub state: State,
    /// Target time of the cohort that brought it.
    pub since: Micros,
    /// Why, in words.
    pub reason: String,
}

/// How right a model was over the rolling window, for all symbols or for one.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Whose.
    pub subject: Subject,
    /// The symbol; none for all together.
    pub symbol: Option<Symbol>,
    /// Target time of the newest cohort in the window.
    pub as_of: Micros,
    /// Target time of the oldest cohort in the window.
    pub window_start: Micros,
    /// Cohorts in the window.
    pub cohorts: u64,
    /// Cohorts since the model's first.
    pub cohorts_total: u64,
    /// Rows in the window that could not be settled; not told by symbol.
    pub unscorable: u64,
    /// Rows that came after their cohort was closed, since the model's first; not told by symbol.
    pub late: u64,
    /// The figures.
    pub figures: Figures,
    /// The detector's state; not told by symbol.
    pub standing: Option<Standing>,
}
