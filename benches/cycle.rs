//! A closing cycle (bars, windows, features, scoring, predictions) of 1, 100 and 1000 symbols through warm windows of the
//! reference model, beside the bare run of ONNX Runtime on a batch of the same size; and the features alone.
//!
//! `cargo bench --bench cycle`: needs ONNX Runtime (`make bench` sets its place), no Kafka. Cycle and bare run alternate, so that
//! both see the same machine; figures are medians.

use std::hint::black_box;
use std::time::{Duration, Instant};

use tickcast::flow::model::Scorer;
use tickcast::flow::rules::Rules;
use tickcast::flow::tick::{Record, Side, Trade, TradeId};
use tickcast::flow::time::{Interval, Micros, SECOND};
use tickcast::io::inference::{self, Model};
use tickcast::machine::forecaster::{Champion, Cycle, Forecaster, Position};

/// 2024-01-01, a bar's start.
const BEGIN: Micros = 1_704_067_200 * SECOND;
const TRADES_A_BAR: i64 = 3;

fn main() {
    println!("closing cycle beside the bare run (aim: at most 1.25 times), medians");
    for (symbols, rounds) in [(1, 400), (100, 100), (1_000, 30)] {
        let mut market = Market::new(symbols);
        market.warm();
        let mut bare = Bare::new(symbols);
        let (mut cycles, mut runs) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            cycles.push(market.cycle());
            runs.push(bare.run());
        }
        let (cycle, run) = (median(cycles), median(runs));
        let each = |time: Duration| time.as_secs_f64() * 1e6 / symbols as f64;
        println!(
            "  {symbols:>4} symbols: cycle {:>9.1} us ({:.1} us a symbol), bare run {:>9.1} us ({:.1}), {:.2} times",
            cycle.as_secs_f64() * 1e6,
            each(cycle),
            run.as_secs_f64() * 1e6,
            each(run),
            cycle.as_secs_f64() / run.as_secs_f64()
        );
    }
    println!("the sixteen features alone: cargo bench --bench features");
}

/// One partition whose symbols all trade in every bar.
struct Market {
    symbols: Vec<String>,
    prices: Vec<f64>,
    champion: Champion,
    forecaster: Forecaster,
    out: Cycle,
    bar: i64,
    offset: i64,
    state: u64,
}

impl Market {
    fn new(symbols: usize) -> Self {
        let rules = Rules {
            interval: Interval::from_seconds(1).expect("an interval"),
            lateness: 0,
            max_fill: 60,
            future_skew: 60 * SECOND,
            max_symbols: symbols,
            assets: None,
            max_staleness: None,
            min_confidence: 0.0,
            max_model_age: None,
        };
        let champion = Champion::new(Box::new(reference())).expect("the reference model's features");
        let forecaster = Forecaster::new(rules, &champion);
        Self {
            symbols: (0..symbols).map(|n| format!("SYM{n:04}-USDT.BENCH")).collect(),
            prices: vec![100.0; symbols],
            champion,
            forecaster,
            out: Cycle::default(),
            bar: 0,
            offset: 0,
            state: 1,
        }
    }

    /// Fills every window, and a little more: slots that have been rolled over once are what a running lane has.
    fn warm(&mut self) {
        for _ in 0..self.champion.spec().bars_needed() + 70 {
            self.cycle();
        }
        assert_eq!(self.out.scored, self.symbols.len(), "windows are warm");
        assert!(self.out.problems.is_empty(), "{:?}", self.out.problems);
    }

    /// Trades of one bar, then the cycle that closes it; gives the cycle's time.
    fn cycle(&mut self) -> Duration {
        for n in 0..TRADES_A_BAR {
            for symbol in 0..self.symbols.len() {
                self.trade(symbol, BEGIN + self.bar * SECOND + n * SECOND / TRADES_A_BAR);
            }
        }
        self.bar += 1;
        self.apply(&Record::Watermark(BEGIN + self.bar * SECOND));
        let end = self.forecaster.next_cycle().expect("a cycle is due");
        let began = Instant::now();
        self.forecaster.close(end, &mut self.champion, &mut self.out);
        let took = began.elapsed();
        assert_eq!(self.out.bars.len(), self.symbols.len(), "every symbol has traded");
        took
    }

    fn trade(&mut self, symbol: usize, event_time: Micros) {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let uniform = (self.state >> 11) as f64 / (1_u64 << 53) as f64;
        self.prices[symbol] *= 1.0 + 2e-3 * (uniform - 0.5);
        let trade = Trade {
            symbol: self.symbols[symbol].clone().into(),
            price: self.prices[symbol],
            size: 0.5 + uniform,
            side: if uniform > 0.5 { Side::Buy } else { Side::Sell },
            trade_id: Some(TradeId::Number(self.offset as u64)),
            event_time,
        };
        self.apply(&Record::Trade(trade));
    }

    fn apply(&mut self, record: &Record<'_>) {
        let at = Position { offset: self.offset, kafka_time: BEGIN + (self.bar + 1) * SECOND };
        self.forecaster.apply(at, record);
        self.offset += 1;
    }
}

/// ONNX Runtime alone, with a batch that is in place.
struct Bare {
    model: Model,
    rows: usize,
}

impl Bare {
    fn new(rows: usize) -> Self {
        let mut model = reference();
        for (n, value) in model.input(rows).iter_mut().enumerate() {
            *value = ((n * 7_919) % 2_003) as f32 / 1_001.5 - 1.0;
        }
        Self { model, rows }
    }

    fn run(&mut self) -> Duration {
        let began = Instant::now();
        black_box(self.model.run(self.rows).expect("scores").len());
        began.elapsed()
    }
}

fn reference() -> Model {
    inference::reference(1).expect("ONNX Runtime and the reference model: set ORT_DYLIB_PATH, or use `make bench`")
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
