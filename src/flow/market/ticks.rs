//! Trades that make a symbol's bars.

use std::collections::VecDeque;
use std::convert::Infallible;

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand_distr::{Distribution as _, LogNormal, Poisson, StandardNormal};

use super::{MarketSpec, Path, name, rng, streams};
use crate::flow::symbol::Symbol;
use crate::flow::tick::{Side, Trade, TradeId};
use crate::flow::time::{Interval, Micros};

/// Noise of a step between two trades, in log price: a fraction of a bar's deviation.
const STEP_NOISE: f64 = 1.5e-4;
/// Prices and sizes have this many decimals: at a price of 100, a ten-thousandth of a ten-thousandth of a bar's deviation.
const PRICE_UNIT: f64 = 1e-8;
const SIZE_UNIT: f64 = 1e-4;

/// One generated trade.
#[derive(Clone, Debug, PartialEq)]
pub struct MarketTick {
    /// The instrument.
    pub symbol: Symbol,
    /// Price.
    pub price: f64,
    /// Size.
    pub size: f64,
    /// The taker's side: likelier a buy on an uptick.
    pub side: Side,
    /// Counts up from 1 for each symbol.
    pub trade_id: u64,
    /// When it happened.
    pub event_time: Micros,
}

impl MarketTick {
    /// As the forecaster takes it.
    pub fn trade(&self) -> Trade<'_> {
        Trade {
            symbol: self.symbol.as_str().into(),
            price: self.price,
            size: self.size,
            side: self.side,
            trade_id: Some(TradeId::Number(self.trade_id)),
            event_time: self.event_time,
        }
    }
}

/// The trades of one symbol, a bar at a time.
#[derive(Debug)]
pub(super) struct TickBars {
    symbol: Symbol,
    interval: Interval,
    /// Where the next bar opens.
    open_time: Micros,
    bars_left: Option<u64>,
    path: Path,
    noise: StdRng,
    counts: Option<Poisson<f64>>,
    sizes: LogNormal<f64>,
    /// The log price of the last close, not rounded.
    log_close: f64,
    last_price: f64,
    next_id: u64,
    bar: VecDeque<MarketTick>,
}

impl TickBars {
    pub fn new(spec: &MarketSpec, number: u32) -> Self {
        let mut noise = rng(spec.seed, number, streams::TRADES);
        let log_close = (50.0 + 100.0 * noise.random::<f64>()).ln();
        Self {
            symbol: name(number),
            interval: spec.interval,
            open_time: spec.interval.open_of(spec.start),
            bars_left: spec.bars,
            path: Path::new(spec.seed, number, &spec.schedule, spec.correlation),
            noise,
            // One trade a bar is certain; no further ones where the mean is 1.
            counts: Poisson::new(spec.ticks_per_bar - 1.0).ok(),
            sizes: LogNormal::new(0.0, 1.0).expect("the deviation is finite"),
            log_close,
            last_price: rounded(log_close.exp(), PRICE_UNIT),
            next_id: 1,
            bar: VecDeque::new(),
        }
    }

    /// Makes the next bar's trades: a bridge from the last close to this one.
    fn fill(&mut self) {
        let step = self.path.next().unwrap_or_default();
        let more = self.counts.map_or(0.0, |counts| counts.sample(&mut self.noise));
        let count = 1 + more as usize;
        let times = self.times(count);
        let walk = self.bridge(count, step);
        let from = self.log_close;
        self.log_close += step;
        for (time, offset) in times.into_iter().zip(walk) {
            let price = rounded((from + offset).exp(), PRICE_UNIT);
            let side = self.side(price);
            let size = self.sizes.sample(&mut self.noise);
            self.bar.push_back(MarketTick {
                symbol: self.symbol.clone(),
                price,
                size: rounded(size, SIZE_UNIT).max(SIZE_UNIT),
                side,
                trade_id: self.next_id,
                event_time: time,
            });
            self.next_id += 1;
            self.last_price = price;
        }
        self.open_time += self.interval.micros();
    }

    /// Ascending times strictly inside the bar, the last one in its last hundredth.
    fn times(&mut self, count: usize) -> Vec<Micros> {
        let length = self.interval.micros();
        let tail = length / 100;
        let mut times: Vec<Micros> =
            (1..count).map(|_| self.open_time + self.noise.random_range(1..length - tail)).collect();
        times.sort_unstable();
        times.push(self.open_time + self.noise.random_range(length - tail..length));
        times
    }

    /// Log prices over the last close: a random walk, bent so that it ends at `step`.
    fn bridge(&mut self, count: usize, step: f64) -> Vec<f64> {
        let mut walk = Vec::with_capacity(count);
        let mut level = 0.0;
        for _ in 0..count {
            let normal: f64 = StandardNormal.sample(&mut self.noise);
            level += STEP_NOISE * normal;
            walk.push(level);
        }
        for (i, level_at) in walk.iter_mut().enumerate() {
            *level_at += (step - level) * (i + 1) as f64 / count as f64;
        }
        // Bending leaves a rounding error; the close is exact.
        if let Some(last) = walk.last_mut() {
            *last = step;
        }
        walk
    }

    /// Takers push the price their way four times in five.
    fn side(&mut self, price: f64) -> Side {
        let with_step = self.noise.random_bool(0.8);
        if (price > self.last_price) == with_step { Side::Buy } else { Side::Sell }
    }
}

fn rounded(value: f64, unit: f64) -> f64 {
    // Dividing by the inverse gives the double nearest to the decimal, which prints short.
    let inverse = (1.0 / unit).round();
    (value * inverse).round() / inverse
}

impl Iterator for TickBars {
    type Item = Result<MarketTick, Infallible>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.bar.is_empty() {
            match &mut self.bars_left {
                Some(0) => return None,
                Some(left) => *left -= 1,
                None => {}
            }
            self.fill();
        }
        self.bar.pop_front().map(Ok)
    }
}
