//! What is known of a generated market before a model has seen it: when which rule holds, and how right a forecast can be.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cli::feed::utc;
use crate::flow::market::{self, HORIZONS, MarketSpec, Stretch};
use crate::flow::time::Micros;

/// How often the direction is called right, by bars ahead.
pub type HitRates = BTreeMap<usize, f64>;

/// A rule of the market and what can be hoped for while it holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rule {
    /// The first bar whose return follows it, counted from 0.
    pub from_bar: u64,
    /// When that bar opens, in microseconds.
    pub from_time: Micros,
    /// R: +1 for trends, -1 for reversals.
    pub direction: f64,
    /// k: half of the largest drift, in deviations of a bar.
    pub strength: f64,
    /// What the best forecast of this rule reaches.
    pub optimum: HitRates,
    /// What the best forecast of the first rule reaches while this one holds.
    pub frozen: HitRates,
}

/// The rules of a market in the order in which they hold.
pub fn rules(spec: &MarketSpec) -> Vec<Rule> {
    spec.schedule.stretches().iter().map(|stretch| Rule::of(spec, stretch)).collect()
}

impl Rule {
    /// The rule of one stretch of the market.
    pub fn of(spec: &MarketSpec, stretch: &Stretch) -> Self {
        let learned = spec.schedule.stretches()[0].regime;
        let optimum: HitRates = HORIZONS.into_iter().zip(market::known(stretch.regime)).collect();
        // Rounded like the optimum: a difference of doubles prints long.
        let frozen = |rate| (market::frozen(learned, stretch.regime, rate) * 1e4).round() / 1e4;
        Self {
            from_bar: stretch.from_bar,
            from_time: spec.open_of(stretch.from_bar),
            direction: stretch.regime.direction,
            strength: stretch.regime.strength,
            frozen: optimum.iter().map(|(&ahead, &rate)| (ahead, frozen(rate))).collect(),
            optimum,
        }
    }

    /// For people, in a line.
    pub fn text(&self) -> String {
        let rates = |rates: &HitRates| {
            let rates: Vec<_> = rates.iter().map(|(ahead, rate)| format!("{:.1}% at {ahead}", rate * 100.0)).collect();
            rates.join(", ")
        };
        let first = self.from_bar == 0;
        format!(
            "{} {} ({} us, bar {}): R = {:+}, k = {}; the best forecast is right {} bars ahead{}",
            if first { "from" } else { "rule flips at" },
            utc(self.from_time),
            self.from_time,
            self.from_bar,
            self.direction,
            self.strength,
            rates(&self.optimum),
            if first { String::new() } else { format!("; one frozen on the first rule {}", rates(&self.frozen)) }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::market::Schedule;

    #[test]
    fn a_flip_is_told_with_its_time_and_what_it_costs() {
        let spec = MarketSpec {
            symbols: 1,
            interval: "10s".parse().unwrap(),
            start: 1_700_000_000_000_000,
            bars: None,
            seed: 1,
            ticks_per_bar: 1.0,
            schedule: Schedule::flipping(&[6, 12]).unwrap(),
            correlation: 0.0,
        };
        let rules = rules(&spec);
        let [first, flipped, back] = &rules[..] else { panic!("{rules:?}") };
        assert_eq!((&first.frozen, &back.optimum, &back.frozen), (&first.optimum, &first.optimum, &first.optimum));
        assert_eq!((flipped.from_bar, flipped.from_time), (6, 1_700_000_060_000_000));
        for (ahead, rates) in [(1, (0.6222, 0.3778)), (5, (0.681, 0.319)), (15, (0.6717, 0.3283))] {
            assert_eq!((flipped.optimum[&ahead], flipped.frozen[&ahead]), rates);
        }
        assert!(
            first
                .text()
                .contains("R = +1, k = 0.2; the best forecast is right 58.1% at 1, 65.1% at 5, 67.9% at 15 bars"),
            "{}",
            first.text()
        );
        let text = flipped.text();
        assert!(text.contains("flips at 2023-11-14T22:14:20Z (1700000060000000 us, bar 6): R = -1, k = 0.8"), "{text}");
        assert!(text.contains("frozen on the first rule 37.8% at 1, 31.9% at 5, 32.8% at 15"), "{text}");
    }
}
