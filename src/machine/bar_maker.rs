//! Bars without predictions: the forecaster itself, asked for its bars only. What trains a model must be what it will see.

use super::forecaster::{Champion, Cycle, Forecaster, Position, Verdict};
use crate::flow::bar::Bar;
use crate::flow::features::FeatureError;
use crate::flow::model::{CLASSES, Golden, ModelSpec, ScoreError, Scorer};
use crate::flow::rules::Rules;
use crate::flow::tick::Record;
use crate::flow::time::Micros;

/// Closes bars as a lane over one partition does.
pub struct BarMaker {
    forecaster: Forecaster,
    champion: Champion,
    cycle: Cycle,
    next_offset: i64,
}

impl BarMaker {
    /// A maker of bars under `rules`.
    ///
    /// # Errors
    /// When the feature code refuses the simplest feature there is: a mistake of ours.
    pub fn new(rules: Rules) -> Result<Self, FeatureError> {
        let champion = Champion::new(Box::new(Indifferent::new()))?;
        let forecaster = Forecaster::new(rules, &champion);
        Ok(Self { forecaster, champion, cycle: Cycle::default(), next_offset: 0 })
    }

    /// Applies a checked record as if it had been logged at `time`, and gives the bars that it closes to `bars`.
    pub fn apply(&mut self, record: &Record<'_>, time: Micros, mut bars: impl FnMut(Bar)) -> Verdict {
        let at = Position { offset: self.next_offset, kafka_time: time };
        self.next_offset += 1;
        let verdict = self.forecaster.apply(at, record);
        while let Some(end) = self.forecaster.next_cycle() {
            self.forecaster.close(end, &mut self.champion, &mut self.cycle);
            self.cycle.bars.drain(..).for_each(&mut bars);
        }
        verdict
    }
}

/// Stands where the forecaster wants a model: finds everything equally likely.
struct Indifferent {
    spec: ModelSpec,
    input: Vec<f32>,
    output: Vec<f32>,
}

impl Indifferent {
    fn new() -> Self {
        let spec = ModelSpec {
            name: "none".to_owned(),
            version: "0".to_owned(),
            features: r#"SELECT last(close) AS close FROM "window""#.to_owned(),
            window: 2,
            sequence: 1,
            bar_interval: None,
            horizons: vec![1],
            dead_band_bps: 0.0,
            training_range: (0, 0),
            acceptance: String::new(),
            golden: Golden::default(),
        };
        Self { spec, input: Vec::new(), output: Vec::new() }
    }
}

impl Scorer for Indifferent {
    fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    fn input(&mut self, rows: usize) -> &mut [f32] {
        self.input.resize(rows, 0.0);
        &mut self.input
    }

    fn run(&mut self, rows: usize) -> Result<&[f32], ScoreError> {
        self.output.resize(rows * CLASSES, 1.0 / 3.0);
        Ok(&self.output)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::flow::features::FeatureSet;
    use crate::flow::market::{Market, MarketSpec, MarketTick, Schedule};
    use crate::flow::time::SECOND;
    use crate::flow::training_set;

    const START: Micros = 1_700_000_000 * SECOND;

    fn rules() -> Rules {
        Rules {
            interval: "10s".parse().unwrap(),
            lateness: SECOND,
            max_fill: 60,
            future_skew: SECOND,
            max_symbols: 10,
            assets: None,
            max_staleness: None,
            min_confidence: 0.0,
            max_model_age: None,
        }
    }

    fn ticks(symbols: u32, bars: u64) -> Vec<MarketTick> {
        let spec = MarketSpec {
            symbols,
            interval: rules().interval,
            start: START,
            bars: Some(bars),
            seed: 1,
            ticks_per_bar: 4.0,
            schedule: Schedule::default(),
            correlation: 0.0,
        };
        Market::new(&spec).collect()
    }

    fn bars(ticks: &[MarketTick], end: Micros) -> Vec<Bar> {
        let (mut maker, mut bars) = (BarMaker::new(rules()).unwrap(), Vec::new());
        for tick in ticks {
            let verdict = maker.apply(&Record::Trade(tick.trade()), tick.event_time, |bar| bars.push(bar));
            assert_eq!(verdict, Verdict::Used);
        }
        maker.apply(&Record::Watermark(end), end, |bar| bars.push(bar));
        bars
    }

    #[test]
    fn a_generated_market_gives_its_bars() {
        let (ticks, end) = (ticks(2, 30), START + 300 * SECOND);
        let bars = bars(&ticks, end);
        assert_eq!(bars.len(), 60);
        assert_eq!(bars.iter().map(|bar| bar.trades).sum::<u64>(), ticks.len() as u64);
        assert_eq!(bars.iter().filter(|bar| !bar.complete).count(), 2, "the first bar of each symbol");
        assert_eq!(bars.last().unwrap().close_time, end);
    }

    /// Writes down what it is asked about.
    struct Recording {
        quiet: Indifferent,
        asked: Arc<Mutex<Vec<Vec<f32>>>>,
    }

    impl Scorer for Recording {
        fn spec(&self) -> &ModelSpec {
            self.quiet.spec()
        }
        fn input(&mut self, rows: usize) -> &mut [f32] {
            let width = 3;
            self.quiet.input.resize(rows * width, 0.0);
            &mut self.quiet.input
        }
        fn run(&mut self, rows: usize) -> Result<&[f32], ScoreError> {
            self.asked.lock().unwrap().push(self.quiet.input.clone());
            self.quiet.run(rows)
        }
    }

    #[test]
    fn what_is_trained_on_is_what_a_live_cycle_scores() {
        let sql = r#"SELECT ema(close, 12) AS a, rsi(close, 14) AS b, last(volume) AS c FROM "window""#;
        let (ticks, end) = (ticks(1, 200), START + 2_000 * SECOND);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut quiet = Indifferent::new();
        (quiet.spec.features, quiet.spec.window) = (sql.to_owned(), 32);
        let mut champion = Champion::new(Box::new(Recording { quiet, asked: Arc::clone(&asked) })).unwrap();
        let (mut live, mut cycle) = (Forecaster::new(rules(), &champion), Cycle::default());
        let mark = Record::Watermark(end);
        let records = ticks.iter().map(|tick| (Record::Trade(tick.trade()), tick.event_time)).chain([(mark, end)]);
        for (offset, (record, kafka_time)) in (0..).zip(records) {
            live.apply(Position { offset, kafka_time }, &record);
            while let Some(end) = live.next_cycle() {
                live.close(end, &mut champion, &mut cycle);
            }
        }
        let features = FeatureSet::plan(sql).unwrap();
        let rows = training_set::rows(&bars(&ticks, end), 32, &[1], &features).unwrap();
        // The first bar is incomplete, so windows are whole from the 33rd on.
        assert_eq!(rows.close.len(), 200 - 32);
        let trained: Vec<Vec<f32>> =
            (0..rows.close.len()).map(|row| rows.features.iter().map(|column| column[row]).collect()).collect();
        assert_eq!(*asked.lock().unwrap(), trained);
    }
}
