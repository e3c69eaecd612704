//! `tickcast simulate`: what it sends besides the trades is found by the forecaster, its file is the market that it sends.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tickcast::flow::market::{Market, MarketSpec, Schedule};

use crate::support::direct::{self, Cut, Said, Tick};
use crate::support::stage::{Stage, bare, metric};
use crate::support::tool::Tool;

const SECOND: i64 = 1_000_000;
/// 2025-01-31 08:00:00 UTC.
const START: i64 = 1_738_310_400 * SECOND;

#[test]
fn late_repeated_and_bad_records_are_accounted_for_and_change_no_bar() {
    let Some(stage) = Stage::new("simulated", 2, &[]) else { return };
    let args = "simulate --symbols 4 --bars 60 --seed 3 --start 2025-01-31T08:00:00Z --flip-at 30 --correlation 0.6 \
                --late 0.05 --duplicates 0.07 --bad 0.1 --json";
    let summary: Value = serde_json::from_str(&stage.ok(&args.split_whitespace().collect::<Vec<_>>())).unwrap();
    let sent = |name: &str| summary[name].as_u64().unwrap();
    let (late, duplicates, bad) = (sent("late"), sent("duplicates"), sent("bad"));
    assert!(late > 50 && duplicates > 80 && bad > 150, "{summary}");
    assert_eq!(summary["flips"], json!([START + 30 * SECOND]));
    assert_eq!(summary["rules"][1]["frozen"], json!({"1": 0.3778, "5": 0.319, "15": 0.3283}));
    let metrics = stage.forecast(&[]);
    let count = |result: &str| metric(&metrics, &format!("tickcast_ticks_total{{result=\"{result}\"}}"));
    // Both partitions end with a watermark, which is used as well.
    assert_eq!((count("used"), count("duplicate"), count("dead")), (sent("ticks") + 2, duplicates, late + bad));

    let mut letters: BTreeMap<String, u64> = BTreeMap::new();
    for letter in stage.read("deadletter") {
        *letters.entry(letter.headers["reason"].clone()).or_default() += 1;
    }
    assert_eq!(letters.remove("late"), Some(late));
    assert_eq!(letters.values().sum::<u64>(), bad);
    let reasons: Vec<_> = letters.keys().map(String::as_str).collect();
    assert_eq!(reasons, ["bad_kind", "bad_price", "bad_time", "malformed", "wrong_type"]);
    let bars: BTreeMap<_, _> = stage
        .read("bars")
        .iter()
        .map(|bar| bar.json())
        .map(|bar| ((bar["symbol"].as_str().unwrap().to_owned(), bar["close_time"].as_i64().unwrap()), bar))
        .collect();
    assert_eq!(bars, bars_of_the_market());
}

/// The bars of the same market with nothing gone wrong, computed by hand from its trades.
fn bars_of_the_market() -> BTreeMap<(String, i64), Value> {
    let spec = MarketSpec {
        symbols: 4,
        interval: "1s".parse().unwrap(),
        start: START,
        bars: Some(60),
        seed: 3,
        ticks_per_bar: 10.0,
        schedule: Schedule::flipping(&[30]).unwrap(),
        correlation: 0.6,
    };
    let mut ticks: BTreeMap<String, Vec<Tick>> = BTreeMap::new();
    for tick in Market::new(&spec) {
        ticks.entry(tick.symbol.as_str().to_owned()).or_default().push(Tick {
            time: tick.event_time,
            price: tick.price,
            size: tick.size,
            side: tick.side.as_str().to_owned(),
            id: tick.trade_id.to_string(),
        });
    }
    let cut = Cut { name: "1s", interval: SECOND, max_fill: 60, lateness: SECOND, end: START + 60 * SECOND };
    let mut bars = BTreeMap::new();
    for (symbol, ticks) in &ticks {
        for said in direct::bars(symbol, ticks, cut) {
            let Said::Bar(bar) = said else { panic!("{symbol} falls silent") };
            bars.insert((symbol.clone(), bar["close_time"].as_i64().unwrap()), bar);
        }
    }
    assert_eq!(bars.len(), 4 * 60);
    bars
}

const MARKET: &str = "--symbols 3 --bars 40 --seed 7 --start 2025-01-31T08:00:00Z --flip-at 10,30 --correlation 0.5";

#[test]
fn a_file_makes_the_training_set_of_the_market() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("close.sql"), "SELECT last(close) AS last, sum(volume, 3) AS sum FROM window")
        .unwrap();
    let call = |args: &str| {
        let outcome = bare(folder.path(), &args.split_whitespace().collect::<Vec<_>>(), &[]);
        assert_eq!(outcome.code, 0, "{args}: {}", outcome.err);
        serde_json::from_str::<Value>(outcome.out.trim()).unwrap()
    };
    let bytes = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let dataset = "dataset --features close.sql --window 3 --json --output";
    call(&format!("{dataset} market.parquet --market {MARKET}"));
    call(&format!("simulate {MARKET} --output a.csv --json"));
    call(&format!("{dataset} a.parquet a.csv"));
    assert!(bytes("market.parquet") == bytes("a.parquet"), "bars differ");
    // Late trades and duplicates are in the file, found by its reader, and change nothing.
    let written = call(&format!("simulate {MARKET} --output b.csv.gz --late 0.1 --duplicates 0.1 --json"));
    let read = call(&format!("{dataset} b.parquet b.csv.gz"));
    assert!(written["late"].as_u64() > Some(50) && written["duplicates"].as_u64() > Some(50), "{written}");
    assert_eq!(
        [&read["ticks"], &read["dead"], &read["duplicates"]],
        ["ticks", "late", "duplicates"].map(|n| &written[n])
    );
    assert!(bytes("market.parquet") == bytes("b.parquet"), "bars differ");
    call(&format!("simulate {MARKET} --output again.csv.gz --late 0.1 --duplicates 0.1 --json"));
    assert!(bytes("b.csv.gz") == bytes("again.csv.gz"), "the same seed, other bytes");

    for (more, code, says) in [
        ("--output c.csv --bad 0.1", 2, "--bad"),
        ("--output c.csv --speed 2x", 2, "--speed"),
        ("--output absent/c.csv", 1, "absent/c.csv"),
        ("--output c.csv --flip-at 9,9", 2, "9"),
        ("--output c.csv --flip-at 1000", 1, "--bars"),
        ("--output c.csv --correlation 1", 2, "0.99"),
        ("--output c.csv --late 2", 2, "between 0 and 1"),
    ] {
        let args = format!("simulate {more}");
        let outcome = bare(folder.path(), &args.split_whitespace().collect::<Vec<_>>(), &[]);
        assert!(outcome.code == code && outcome.err.contains(says), "{more}: {} {}", outcome.code, outcome.err);
        assert!(!folder.path().join("c.csv").exists(), "{more}");
    }
}

#[test]
fn a_file_replayed_is_what_is_sent() {
    let (Some(sent), Some(replayed)) = (Tool::new("sent", 2, &[]), Tool::new("replayed", 2, &[])) else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("market.csv.gz");
    let file = file.to_str().unwrap();
    let args = |more: &[&'static str]| -> Vec<&'static str> {
        let all = ["simulate"].into_iter().chain(MARKET.split_whitespace());
        all.chain(["--late", "0.05", "--duplicates", "0.05"]).chain(more.iter().copied()).collect()
    };
    sent.ok(&args(&[]));
    let written = replayed.call(&[&args(&[])[..], &["--output", file]].concat());
    assert_eq!(written.code, Some(0), "{written:?}");
    assert!(replayed.tail("ticks").is_empty(), "a file touches no topic");
    replayed.ok(&["replay", file]);
    let ticks = |tool: &Tool| -> Vec<_> {
        tool.tail("ticks").into_iter().map(|r| (r["partition"].clone(), r["key"].clone(), r["value"].clone())).collect()
    };
    assert_eq!(ticks(&sent), ticks(&replayed));
}

/// Five bars that begin now: what is sent, the wall clock has reached.
#[test]
fn nothing_is_sent_from_the_future() {
    let Some(stage) = Stage::new("ontime", 1, &[]) else { return };
    let start = jiff::Timestamp::now().to_string();
    stage.ok(&["simulate", "--symbols", "2", "--bars", "5", "--start", &start, "--late", "0.3", "--duplicates", "0.3"]);
    let ticks = stage.read("ticks");
    let behind = |read: &crate::support::raw::Read| {
        read.timestamp_ms * 1_000 + 999 - read.json()["event_time"].as_i64().unwrap()
    };
    assert!(ticks.len() > 100 && ticks.iter().all(|read| behind(read) >= 0), "{ticks:?}");
}
