//! Restore of 1000 symbols (319 bars each) from real Kafka: from assignment to windows and feature rows, and the memory a symbol
//! takes afterwards.
//!
//! `cargo bench --bench restore`, with `TICKCAST__KAFKA__BROKERS` set (`make bench` sets it). The lane is restored in processes of
//! its own, as after a crash: with one symbol, with 1000 and with 3000. From the last two comes what a further symbol takes:
//! what does not grow with symbols (the fetch queue, the runtime) is in both.

#[allow(dead_code, reason = "each bench uses its part of it")]
mod support;

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use support::{Bench, Load, Topic, sum};
use tickcast::config;
use tickcast::flow::window::Windows;
use tickcast::service::health::{Health, Stop};
use tickcast::service::run::{Role, Running};
use tickcast::telemetry::metrics::Metrics;

/// The reference model's.
const WINDOW: usize = 256;
const SEQUENCE: usize = 64;
const BARS: i64 = 319;
const SYMBOLS: usize = 1_000;
const MORE_SYMBOLS: usize = 3_000;
const RUNS: usize = 3;
/// Where a process finds what to restore: prefix and group.
const CHILD: &str = "TICKCAST_BENCH_RESTORE";

fn main() {
    if let Ok(place) = std::env::var(CHILD) {
        return restore(&place);
    }
    let Some(bench) = Bench::from_environment() else {
        println!("restore: SKIPPED, TICKCAST__KAFKA__BROKERS is not set (use `make bench`)");
        return;
    };
    let mut windows = Windows::new(WINDOW, SEQUENCE);
    for _ in 0..SYMBOLS {
        windows.insert();
    }
    let bytes = windows.bytes() / SYMBOLS;
    let bare = usize::try_from(BARS).unwrap_or(0) * 9 * 8;
    println!("memory a symbol (aim: at most twice the bars' {bare} bytes):");
    println!("  windows {bytes} bytes, {:.2} times", bytes as f64 / bare as f64);
    let one = child(&filled(&bench, 1), 1);
    let topic = filled(&bench, SYMBOLS);
    let many = child(&topic, RUNS);
    let more = child(&filled(&bench, MORE_SYMBOLS), RUNS);
    let growth = |from: &Measured, to: &Measured, symbols: usize| {
        let bytes = (to.resident - from.resident) * 1_024.0 / symbols as f64;
        format!("{bytes:.0} bytes, {:.2} times", bytes / bare as f64)
    };
    println!("  the process, each further symbol: {}", growth(&many, &more, MORE_SYMBOLS - SYMBOLS));
    println!("  the process, the first {SYMBOLS}: {}", growth(&one, &many, SYMBOLS - 1));
    let megabytes = [&one, &many, &more].map(|measured| format!("{:.0} MB", measured.resident / 1_024.0)).join(", ");
    println!("  the process with 1, {SYMBOLS} and {MORE_SYMBOLS} symbols: {megabytes}");
    println!("restore of {SYMBOLS} symbols, {BARS} bars each (aim: under 1 s):");
    println!("  assignment to windows {:.2} s, start of the process's lane to ready {:.2} s", many.restore, many.ready);
    println!("  of one symbol: {:.2} s, {:.2} s", one.restore, one.ready);
}

/// What a process measured; of several, the median by the restore's time.
struct Measured {
    restore: f64,
    ready: f64,
    /// Kilobytes.
    resident: f64,
}

/// A topic with `BARS` closed bars a symbol, one tick each, all committed.
fn filled(bench: &Bench, symbols: usize) -> Topic {
    let topic = bench.topic("restore");
    topic.produce(&Load { symbols, ticks_per_bar: 1, first_bar: 0 }, BARS * i64::try_from(symbols).unwrap_or(0));
    let run = topic.run_lane();
    assert_eq!(run.bars, symbols as u64 * u64::try_from(BARS).unwrap_or(0), "every bar is closed");
    topic
}

fn child(topic: &Topic, runs: usize) -> Measured {
    let kafka = &topic.config().kafka;
    let this = std::env::current_exe().expect("this program");
    let mut all: Vec<Measured> = (0..runs)
        .map(|_| {
            let mut command = Command::new(&this);
            let output = command.env(CHILD, format!("{} {}", kafka.topic_prefix, kafka.group)).output().expect("a run");
            let text = String::from_utf8_lossy(&output.stdout);
            let mut numbers = text.split_whitespace().filter_map(|word| word.parse().ok());
            let mut next =
                || numbers.next().unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
            Measured { restore: next(), ready: next(), resident: next() }
        })
        .collect();
    all.sort_by(|a, b| a.restore.total_cmp(&b.restore));
    all.swap_remove(all.len() / 2)
}

/// In a process of its own: prints seconds of the restore, seconds to readiness, kilobytes resident.
fn restore(place: &str) {
    let (prefix, group) = place.split_once(' ').expect("prefix and group");
    let set = [
        format!("kafka.topic_prefix={prefix}"),
        format!("kafka.group={group}"),
        "bars.idle_timeout=off".to_owned(),
        "http.listen=off".to_owned(),
    ];
    let config = Arc::new(config::load(None, &set).expect("settings"));
    let (metrics, health, stop) = (Arc::new(Metrics::default()), Health::default(), Stop::default());
    let began = Instant::now();
    let running = Running::start(&config, &[Role::Forecast], &metrics, &health, &stop).expect("the lane starts");
    while !health.unready().is_empty() && !running.over() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let ready = began.elapsed().as_secs_f64();
    let restore = sum(&metrics, "tickcast_restore_seconds_sum");
    // What the restore itself has used is given back by then: it is closed on threads of its own.
    std::thread::sleep(Duration::from_secs(1));
    println!("{restore} {ready} {}", resident());
    running.finish().expect("the lane ends well");
}

/// Kilobytes of this process in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
