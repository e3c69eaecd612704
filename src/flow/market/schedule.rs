//! The rule of the returns, and when it changes.

use std::sync::Arc;

/// The rule of the returns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Regime {
    /// R: +1 for trends, -1 for reversals.
    pub direction: f64,
    /// k: half of the largest drift, in deviations of a bar.
    pub strength: f64,
}

impl Regime {
    /// The reference market: trends, k = 0.2.
    pub const TREND: Self = Self { direction: 1.0, strength: 0.2 };
    /// What it flips to: reversals, k = 0.8.
    pub const REVERSAL: Self = Self { direction: -1.0, strength: 0.8 };
}

impl Default for Regime {
    fn default() -> Self {
        Self::TREND
    }
}

/// A rule and where it begins to hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    /// The first bar whose return follows the rule; bars are counted from 0.
    pub from_bar: u64,
    /// The rule.
    pub regime: Regime,
}

/// Which rule holds when. The state that returns depend on is carried across a change: only the rule is new.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule(Arc<[Stretch]>);

/// A list of changes that says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// No rule for the first bar.
    #[error("no rule holds at bar 0: the first rule begins there")]
    Start,
    /// Changes out of order.
    #[error(
        "the rule cannot change at bar {0} when it has changed at bar {1}: write bar numbers from 1, ascending, such as 500,1000"
    )]
    Order(u64, u64),
}

impl Schedule {
    /// The rules in the order in which they hold.
    ///
    /// # Errors
    /// When the first does not begin at bar 0, or one does not begin after the one before it.
    pub fn new(stretches: &[Stretch]) -> Result<Self, ScheduleError> {
        if stretches.first().is_none_or(|first| first.from_bar != 0) {
            return Err(ScheduleError::Start);
        }
        match stretches.windows(2).find(|pair| pair[1].from_bar <= pair[0].from_bar) {
            Some(pair) => Err(ScheduleError::Order(pair[1].from_bar, pair[0].from_bar)),
            None => Ok(Self(stretches.into())),
        }
    }

    /// The reference market, whose rule flips at each of `bars`: to [`Regime::REVERSAL`], back to [`Regime::TREND`] and so on.
    ///
    /// # Errors
    /// When `bars` do not ascend from 1.
    pub fn flipping(bars: &[u64]) -> Result<Self, ScheduleError> {
        let regimes = [Regime::TREND, Regime::REVERSAL].into_iter().cycle();
        let stretches: Vec<_> =
            [0].iter().chain(bars).zip(regimes).map(|(&from_bar, regime)| Stretch { from_bar, regime }).collect();
        Self::new(&stretches)
    }

    /// The rules in the order in which they hold: at least one.
    pub fn stretches(&self) -> &[Stretch] {
        &self.0
    }

    /// The bars at which the rule changes.
    pub fn flips(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().skip(1).map(|stretch| stretch.from_bar)
    }

    /// The rule that makes the return of `bar`.
    pub fn regime(&self, bar: u64) -> Regime {
        let next = self.0.partition_point(|stretch| stretch.from_bar <= bar);
        self.0[next.saturating_sub(1)].regime
    }
}

impl From<Regime> for Schedule {
    /// One rule, for ever.
    fn from(regime: Regime) -> Self {
        Self(Arc::new([Stretch { from_bar: 0, regime }]))
    }
}

impl Default for Schedule {
    /// The reference market, for ever.
    fn default() -> Self {
        Regime::default().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_hold_from_their_bar_on() {
        let schedule = Schedule::flipping(&[3, 5]).unwrap();
        let rules: Vec<_> = (0..7).map(|bar| schedule.regime(bar)).collect();
        let (trend, reversal) = (Regime::TREND, Regime::REVERSAL);
        assert_eq!(rules, [trend, trend, trend, reversal, reversal, trend, trend]);
        assert_eq!(schedule.flips().collect::<Vec<_>>(), [3, 5]);
        assert_eq!(Schedule::flipping(&[]), Ok(Schedule::default()));
        assert_eq!(Schedule::from(Regime::REVERSAL).regime(u64::MAX), Regime::REVERSAL);
    }

    #[test]
    fn changes_ascend() {
        assert_eq!(Schedule::new(&[]), Err(ScheduleError::Start));
        assert_eq!(Schedule::new(&[Stretch { from_bar: 1, regime: Regime::TREND }]), Err(ScheduleError::Start));
        assert_eq!(Schedule::flipping(&[0]), Err(ScheduleError::Order(0, 0)));
        assert_eq!(Schedule::flipping(&[500, 500]), Err(ScheduleError::Order(500, 500)));
        assert_eq!(Schedule::flipping(&[500, 400]), Err(ScheduleError::Order(400, 500)));
    }
}
