//! The sixteen features of the reference model over windows of 256 bars, for 1, 100 and 1000 symbols that close together: at
//! most 5 us a symbol is the aim.
//!
//! `cycle` is what a closing cycle pays: lending the columns, the view, and the feature SQL. `arithmetic` is the same indicators
//! by direct calls on the slices of one symbol: what is left between the two is the price of SQL and of windows that are not in
//! the cache. The last group is each function alone.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tickcast::flow::bar::Bar;
use tickcast::flow::features::FeatureSet;
use tickcast::flow::indicator as ta;
use tickcast::flow::symbol::Symbol;
use tickcast::flow::time::Interval;
use tickcast::flow::window::{Slot, WindowRow, Windows};

const WINDOW: usize = 256;
const SEQUENCE: usize = 64;

/// What the reference model computes.
const SQL: &str = include_str!("../onnx/features/reference.sql");

/// A bar of a walk that does not repeat: a small generator, so that runs compare.
fn bar(symbol: usize, i: usize, price: &mut f64) -> Bar {
    let mut state = (symbol as u64) << 32 | i as u64;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mixed = (state ^ (state >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    };
    let open = *price;
    *price *= 1.0 + 2e-3 * (uniform() - 0.5);
    let (high, low) = (open.max(*price) * (1.0 + 1e-4 * uniform()), open.min(*price) * (1.0 - 1e-4 * uniform()));
    let (buy_volume, sell_volume) = (uniform() * 10.0, uniform() * 10.0);
    Bar {
        symbol: Symbol::new("A").expect("a symbol"),
        interval: Interval::from_seconds(1).expect("an interval"),
        open_time: 0,
        close_time: 0,
        open,
        high,
        low,
        close: *price,
        volume: buy_volume + sell_volume,
        vwap: (high + low) / 2.0,
        trades: 17,
        buy_volume,
        sell_volume,
        complete: true,
        synthetic: false,
        last_event_time: 0,
    }
}

fn windows(symbols: usize) -> (Windows, Vec<Slot>) {
    let mut windows = Windows::new(WINDOW, SEQUENCE);
    let slots: Vec<Slot> = (0..symbols).map(|_| windows.insert()).collect();
    let mut prices = vec![100.0; symbols];
    // As live: the symbols grow together, and have rolled over their slots more than once.
    for i in 0..2 * WINDOW + SEQUENCE {
        for (symbol, &slot) in slots.iter().enumerate() {
            windows.push(slot, &bar(symbol, i, &mut prices[symbol]));
        }
    }
    (windows, slots)
}

fn cycle(criterion: &mut Criterion) {
    let set = FeatureSet::plan(SQL).expect("the bench's features");
    let mut group = criterion.benchmark_group("cycle");
    for symbols in [1, 100, 1000] {
        let (mut windows, slots) = windows(symbols);
        group.throughput(Throughput::Elements(symbols as u64));
        group.bench_function(BenchmarkId::from_parameter(symbols), |bencher| {
            bencher.iter(|| {
                let rows = slots.iter().map(|&slot| WindowRow { slot, back: 0, symbol: "A", close_time: 0 });
                windows.view(rows, |batch| black_box(set.evaluate(batch).expect("features").len())).expect("a view")
            });
        });
    }
    group.finish();
    criterion.bench_function("plan", |bencher| bencher.iter(|| FeatureSet::plan(black_box(SQL)).expect("a plan")));
}

/// High, low, close, volume, and what takers bought and sold.
type Columns = [Vec<f64>; 6];

fn columns() -> Columns {
    let mut price = 100.0;
    let bars: Vec<Bar> = (0..WINDOW).map(|i| bar(7, i, &mut price)).collect();
    let column = |field: fn(&Bar) -> f64| bars.iter().map(field).collect::<Vec<f64>>();
    [
        column(|b| b.high),
        column(|b| b.low),
        column(|b| b.close),
        column(|b| b.volume),
        column(|b| b.buy_volume),
        column(|b| b.sell_volume),
    ]
}

type Call = fn(&Columns) -> f64;

const CALLS: [(&str, Call); 17] = [
    ("lag_1", |c| ta::lag(&c[2], 1)),
    ("lag_5", |c| ta::lag(&c[2], 5)),
    ("lag_15", |c| ta::lag(&c[2], 15)),
    ("realised_vol", |c| ta::realised_vol(&c[2], 60)),
    ("ema_12", |c| ta::ema(&c[2], 12)),
    ("ema_20", |c| ta::ema(&c[2], 20)),
    ("ema_50", |c| ta::ema(&c[2], 50)),
    ("rsi", |c| ta::rsi(&c[2], 14)),
    ("macd_hist", |c| ta::macd_hist(&c[2], 12, 26, 9)),
    ("atr", |c| ta::atr(&c[0], &c[1], &c[2], 14)),
    ("bb_z", |c| ta::bb_z(&c[2], 20)),
    ("adx", |c| ta::adx(&c[0], &c[1], &c[2], 14)),
    ("stoch_k", |c| ta::stoch_k(&c[0], &c[1], &c[2], 14)),
    ("cci", |c| ta::cci(&c[0], &c[1], &c[2], 20)),
    ("mfi", |c| ta::mfi(&c[0], &c[1], &c[2], &c[3], 14)),
    ("trade_imbalance", |c| ta::trade_imbalance(&c[4], &c[5], 20)),
    ("parkinson", |c| ta::parkinson(&c[0], &c[1], 20)),
];

fn arithmetic(criterion: &mut Criterion) {
    let columns = columns();
    criterion.bench_function("arithmetic/all", |bencher| {
        bencher.iter(|| CALLS.iter().map(|(_, call)| call(black_box(&columns))).sum::<f64>());
    });
    for (name, call) in CALLS {
        let id = format!("arithmetic/{name}");
        criterion.bench_function(&id, |bencher| bencher.iter(|| call(black_box(&columns))));
    }
}

criterion_group! { name = benches; config = Criterion::default().sample_size(20); targets = cycle, arithmetic }
criterion_main!(benches);
