//! End to end on real Kafka: ticks a second of one lane, beside a bare consumer that only counts the same records.
//!
//! `cargo bench --bench lane -- [throughput|mix|latency]`, with `TICKCAST__KAFKA__BROKERS` set (`make bench` sets it).
//! Every figure is printed with its reference of the same run and their ratio.

#[allow(dead_code, reason = "each bench uses its part of it")]
mod support;

use std::time::Duration;

use support::{Bench, LaneRun, Load};

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let run = |name: &str| wanted.is_empty() || wanted.iter().any(|arg| arg == name);
    let Some(bench) = Bench::from_environment() else {
        println!("lane: SKIPPED, TICKCAST__KAFKA__BROKERS is not set (use `make bench`)");
        return;
    };
    if run("throughput") {
        throughput(&bench, "1000 symbols, 3000 ticks a bar (1000 a prediction)", 1_000, 3_000, 6_000_000);
        throughput(&bench, "1000 symbols, 39 ticks a bar (13 a prediction)", 1_000, 39, 1_560_000);
    }
    if run("mix") {
        mix(&bench);
    }
}

/// Windows are warm: the lane restores them, then reads a backlog of `ticks`.
fn throughput(bench: &Bench, title: &str, symbols: usize, per_bar: i64, ticks: i64) {
    let topic = bench.topic(title);
    let warm = Load { symbols, ticks_per_bar: 1, first_bar: 0 };
    topic.produce(&warm, 330 * i64::try_from(symbols).unwrap_or(0));
    topic.run_lane();
    let load = Load { symbols, ticks_per_bar: per_bar, first_bar: 330 };
    let before = topic.high();
    let bytes = topic.produce(&load, ticks);
    let bare = rate(ticks, topic.count_bare(before));
    println!("{title}: {} bytes a record", bytes / u64::try_from(ticks).unwrap_or(1));
    report(bare, ticks, &topic.run_lane());
}

/// The peers' job: 20 symbols, 10 s bars, 300,000 ticks spaced 50 ms, cold.
fn mix(bench: &Bench) {
    let topic = bench.topic("mix");
    let ticks = 300_000;
    let load = Load { symbols: 20, ticks_per_bar: 10, first_bar: 0 };
    topic.produce(&load, ticks);
    let bare = rate(ticks, topic.count_bare(0));
    println!("20 symbols, 10 s bars, 300,000 ticks, 10 a bar:");
    report(bare, ticks, &topic.run_lane());
}

fn report(bare: f64, ticks: i64, lane: &LaneRun) {
    let rate = rate(ticks, lane.elapsed);
    println!("  bare consumer  {bare:>10.0} ticks/s");
    println!("  lane           {rate:>10.0} ticks/s, {:.0}% of it", 100.0 * rate / bare);
    println!(
        "  {} bars, {} predictions, {} scored; closing cycles took {:.2} s, commits {:.2} s of {:.2} s",
        lane.bars,
        lane.predictions,
        lane.scored,
        lane.cycle_seconds,
        lane.commit_seconds,
        lane.elapsed.as_secs_f64()
    );
}

fn rate(ticks: i64, elapsed: Duration) -> f64 {
    ticks as f64 / elapsed.as_secs_f64()
}
