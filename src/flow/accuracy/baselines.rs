//! The scores of the simplest rules on the same rows: what a model must beat to be worth its electricity.
//!
//! Hit rate, log-loss and Brier as for the model. Their forecasts come from [`super::trailing`].

use super::brier::Brier;
use super::figures::BaselineFigures;
use super::log_loss::LogLoss;
use super::mean;
use super::numbers::Numbers;
use super::row::BaselineForecast;

/// One rule's sums. Its owner counts the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Baseline {
    hits: u64,
    log_loss: LogLoss,
    brier: Brier,
}

impl Baseline {
    /// Adds a row that moved.
    pub fn add(&mut self, forecast: &BaselineForecast, up: bool) {
        self.hits += u64::from(forecast.up == up);
        self.log_loss.add(forecast.probability_up, up);
        self.brier.add(forecast.probability_up, up);
    }

    /// Adds what `other` summed.
    pub fn merge(&mut self, other: &Self) {
        self.hits += other.hits;
        self.log_loss.merge(&other.log_loss);
        self.brier.merge(&other.brier);
    }

    /// Its figures over `n` rows.
    pub fn figures(&self, n: u64) -> BaselineFigures {
        BaselineFigures {
            hit_rate: mean(self.hits as f64, n),
            log_loss: self.log_loss.value(n),
            brier: self.brier.value(n),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<f64>) {
        out.push(self.hits as f64);
        self.log_loss.write(out);
        self.brier.write(out);
    }

    pub(super) fn read(numbers: &mut Numbers<'_>) -> Option<Self> {
        Some(Self { hits: numbers.count()?, log_loss: LogLoss::read(numbers)?, brier: Brier::read(numbers)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_direction_need_not_be_the_likelier_one() {
        let mut baseline = Baseline::default();
        assert_eq!(baseline.figures(0), BaselineFigures::default());
        baseline.add(&BaselineForecast { probability_up: 0.25, up: true }, true);
        let figures = baseline.figures(1);
        assert_eq!((figures.hit_rate, figures.brier), (Some(1.0), Some(0.5625)));
        assert_eq!(figures.log_loss, Some(4.0_f64.ln()));
    }
}
