//! `tickcast backtest` over a file, 1000 ticks a prediction, beside reading and parsing the same file with the same reader.
//!
//! The program itself is run, so Parquet, reports and the page are in its time; loading the model and making the file are not.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;
use tickcast::flow::market::{Market, MarketSpec, Schedule};
use tickcast::io::ticks_csv::{TickFile, TickFileWriter, Trades};
use tickcast::wire::tick_row::TickRow;

const SYMBOLS: u32 = 4;
const BARS: u64 = 400;
/// A symbol: three predictions a bar, so 1000 ticks each.
const TICKS_PER_BAR: f64 = 3_000.0;
const ROUNDS: usize = 5;

fn write(path: &Path) {
    let spec = MarketSpec {
        symbols: SYMBOLS,
        interval: "10s".parse().expect("an interval"),
        start: 1_704_067_200_000_000,
        bars: Some(BARS),
        seed: 1,
        ticks_per_bar: TICKS_PER_BAR,
        schedule: Schedule::default(),
        correlation: 0.0,
    };
    let mut file = TickFileWriter::create(path).expect("a file");
    for tick in Market::new(&spec) {
        file.write(&TickRow::from(tick)).expect("written");
    }
    file.finish().expect("written");
}

/// Ticks a second of reading and parsing alone.
fn read(path: &Path) -> f64 {
    let begun = Instant::now();
    let trades = Trades::new(TickFile::open(path, None).expect("the file"), 262_144);
    let ticks = trades.filter(|row| row.as_ref().is_ok_and(|row| row.trade().is_ok())).count();
    ticks as f64 / begun.elapsed().as_secs_f64()
}

fn backtest(path: &Path, output: &Path) -> Value {
    let run = Command::new(env!("CARGO_BIN_EXE_tickcast"))
        .arg("backtest")
        .arg(path)
        .args(["--json", "--set", "bars.interval=10s", "--set", "model.intra_threads=1", "--output"])
        .arg(output)
        .output()
        .expect("the program starts");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    serde_json::from_slice(&run.stdout).expect("a summary")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("market.csv");
    write(&path);
    let bytes = std::fs::metadata(&path).expect("the file").len();
    let (mut alone, mut whole, mut summary) = (Vec::new(), Vec::new(), Value::Null);
    for _ in 0..ROUNDS {
        alone.push(read(&path));
        summary = backtest(&path, &folder.path().join("backtest"));
        whole.push(summary["ticks_per_second"].as_f64().expect("a figure"));
    }
    println!(
        "{} ticks ({} MB), {} predictions, {} scored, {} outcomes",
        summary["ticks"],
        bytes / 1_000_000,
        summary["predictions"],
        summary["scored"],
        summary["outcomes"]
    );
    let show = |what: &str, values: &[f64]| {
        let all: Vec<String> = values.iter().map(|value| format!("{:.0}", value / 1e3)).collect();
        println!("{what}: {:.0} ticks/s, median of {} thousand", median(values.to_vec()), all.join(", "));
    };
    show("backtest", &whole);
    show("reading and parsing alone", &alone);
    println!("ratio: {:.0}%", 100.0 * median(whole.clone()) / median(alone.clone()));
}
