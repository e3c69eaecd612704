//! From the tick that moves the watermark past a bar's end (the moment it is handed to its producer) to the committed predictions
//! of that bar as a `read_committed` consumer sees them, at 1,000 and 10,000 ticks/s; beside a bare loop that consumes the same
//! ticks and makes as many transactions of as many records.
//!
//! `cargo bench --bench latency [-- SECONDS [BARS_A_SECOND]]`, with `TICKCAST__KAFKA__BROKERS` set (`make bench` sets it). Lane and
//! bare loop take turns of ten seconds, so that both see the same machine. Event time runs BARS_A_SECOND times as fast as the
//! clock.

#[path = "latency/bare.rs"]
mod bare;
#[path = "latency/feed.rs"]
mod feed;
#[allow(dead_code, reason = "each bench uses its part of it")]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use feed::{Feed, Watch};
use support::{Bench, sum};
use tickcast::service::health::{Health, Stop};
use tickcast::service::run::{Role, Running};
use tickcast::telemetry::metrics::{Metrics, ResultLabel};

/// Symbols of the market.
pub const SYMBOLS: usize = 20;
/// Predictions a cycle: three horizons a symbol.
pub const PREDICTIONS: usize = 3 * SYMBOLS;
const TURN: Duration = Duration::from_secs(10);
const SETTINGS: [&str; 2] = ["bars.interval=1s", "bars.allowed_lateness=1s"];

fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let seconds = Duration::from_secs(numbers.first().copied().unwrap_or(60));
    let pace = numbers.get(1).copied().unwrap_or(1);
    let Some(bench) = Bench::from_environment() else {
        println!("latency: SKIPPED, TICKCAST__KAFKA__BROKERS is not set (use `make bench`)");
        return;
    };
    println!("closing tick to committed predictions, {SYMBOLS} symbols, {pace} cycles/s (aim: at most 1.5 times)");
    for rate in [1_000, 10_000] {
        measure(&bench, rate, pace, seconds);
    }
}

fn measure(bench: &Bench, rate: u64, pace: u64, seconds: Duration) {
    let (topic, other) = (bench.topic_with("lane", &SETTINGS), bench.topic_with("bare", &SETTINGS));
    let (metrics, health, stop) = (Arc::new(Metrics::default()), Health::default(), Stop::default());
    let running = Running::start(topic.config(), &[Role::Forecast], &metrics, &health, &stop).expect("the lane starts");
    let mut lane = Feed::new(topic.config(), rate, pace);
    lane.warm();
    let predictions = |result| metrics.predictions.get_or_create(&ResultLabel { result }).get();
    while predictions("scored") == 0 && !running.over() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut seen = Watch::open(topic.config());
    let mut bare = Feed::new(other.config(), rate, pace);
    let ended = Arc::new(AtomicBool::new(false));
    let looping = bare::start(other.config(), &bare, &ended);
    let mut bare_seen = Watch::open(other.config());
    let before = (sum(&metrics, "tickcast_cycle_seconds_sum"), metrics.bars.get());
    let began = Instant::now();
    while began.elapsed() < 2 * seconds {
        lane.run(TURN, &mut seen);
        bare.run(TURN, &mut bare_seen);
    }
    let cycles = (metrics.bars.get() - before.1) as f64 / SYMBOLS as f64;
    let cycle = (sum(&metrics, "tickcast_cycle_seconds_sum") - before.0) / cycles;
    ended.store(true, Ordering::Release);
    running.finish().expect("the lane ends well");
    looping.join().expect("the loop ends");
    let (lane, bare) = (seen.latencies(&lane), bare_seen.latencies(&bare));
    println!("{rate} ticks/s: {} cycles by the lane, {} by the bare loop", lane.len(), bare.len());
    for (name, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)] {
        let (lane, bare) = (quantile(&lane, share), quantile(&bare, share));
        println!("  {name}: lane {lane:>6.1} ms, bare loop {bare:>6.1} ms: {:.2} times", lane / bare);
    }
    let transactions = |result| metrics.transactions.get_or_create(&ResultLabel { result }).get();
    println!(
        "  (a cycle of {SYMBOLS} symbols took {:.1} ms; {} transactions, {} aborted, {:.1} ms each)",
        cycle * 1e3,
        transactions("committed"),
        transactions("aborted"),
        sum(&metrics, "tickcast_commit_seconds_sum") * 1e3 / transactions("committed") as f64
    );
}

/// In milliseconds.
fn quantile(sorted: &[Duration], share: f64) -> f64 {
    let index = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(index).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}
