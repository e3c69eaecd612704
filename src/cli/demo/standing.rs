//! Where the model stands at a horizon: the newest report, beside what can be hoped for.

use serde::Serialize;

use crate::cli::feed::utc;
use crate::flow::time::Micros;
use crate::wire::accuracy::Baselines;

/// The newest report of a horizon, over all symbols, beside what can be hoped for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Standing {
    /// Share of right directions in the window.
    pub hit_rate: Option<f64>,
    /// Lower end of its 95% interval.
    pub hit_low: Option<f64>,
    /// Upper end.
    pub hit_high: Option<f64>,
    /// Rows that moved.
    pub n: u64,
    /// What they are worth.
    pub n_effective: f64,
    /// cold, ok, warning or degraded.
    pub state: String,
    /// What the best forecast of the rule of that time reaches; null at horizons for which it is not known.
    pub optimum: Option<f64>,
    /// What the best forecast of the first rule reaches.
    pub frozen: Option<f64>,
    /// The same rows by rules that know nothing.
    pub baselines: Baselines,
    /// Target time of the newest cohort, in microseconds.
    pub as_of: Micros,
}

/// How far ahead, in words.
pub fn bars(horizon: u32) -> String {
    format!("{horizon} {} ahead", if horizon == 1 { "bar" } else { "bars" })
}

/// A share in percent.
pub fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.1}%", share * 100.0))
}

impl Standing {
    /// The hit rate and its interval.
    pub fn hits(&self) -> String {
        match (self.hit_low, self.hit_high) {
            (Some(low), Some(high)) => {
                format!("{} ({:.1} to {:.1})", percent(self.hit_rate), low * 100.0, high * 100.0)
            }
            _ => percent(self.hit_rate),
        }
    }

    /// The baseline that was right most often.
    pub fn best_baseline(&self) -> (&'static str, Option<f64>) {
        let Baselines { majority, persistence, reversal } = self.baselines;
        let all = [("majority", majority), ("persistence", persistence), ("reversal", reversal)];
        let rates = all.map(|(name, figures)| (name, figures.hit_rate));
        rates.into_iter().max_by(|a, b| a.1.unwrap_or(0.0).total_cmp(&b.1.unwrap_or(0.0))).unwrap_or(("-", None))
    }

    /// For people, in a line.
    pub fn text(&self, horizon: u32) -> String {
        let (name, rate) = self.best_baseline();
        format!(
            "  {:<14} right {:<21} optimum {:>5}  frozen {:>5}  best baseline {:>5} {name:<11}  {:<8}  at {}",
            bars(horizon),
            self.hits(),
            percent(self.optimum),
            percent(self.frozen),
            percent(rate),
            self.state,
            utc(self.as_of)
        )
    }
}
