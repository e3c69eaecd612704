//! `tickcast replay` and `simulate` into a real Kafka.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::tool::Tool;

/// 2024-08-09 00:00:00 UTC.
const MIDNIGHT: i64 = 1_723_161_600_000_000;

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn add(&self, name: &str, rows: &[String]) -> String {
        let path: PathBuf = self.0.path().join(name);
        let mut file = std::fs::File::create(&path).expect("a file");
        writeln!(file, "ts_us,symbol,price,size,side,trade_id,recv_ts_us").expect("a header");
        rows.iter().for_each(|row| writeln!(file, "{row}").expect("a row"));
        path.to_str().expect("UTF-8").to_owned()
    }
}

fn row(second: i64, id: u32) -> String {
    format!("{},FILE.X,100.{id}0,1.50,buy,{id},", MIDNIGHT + second * 1_000_000)
}

/// Kafka's own default hash of keys, as the Java client has it.
fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ u32::try_from(key.len()).expect("a short key");
    let mut chunks = key.chunks_exact(4);
    for chunk in &mut chunks {
        let mut k = u32::from_le_bytes(chunk.try_into().expect("four bytes")).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    for (i, byte) in chunks.remainder().iter().enumerate() {
        hash ^= u32::from(*byte) << (8 * i);
    }
    if !chunks.remainder().is_empty() {
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 15
}

fn split(records: Vec<Value>) -> (Vec<Value>, Vec<Value>) {
    records.into_iter().partition(|record| record["value"]["kind"].is_null())
}

#[test]
fn files_are_merged_and_every_partition_ends_with_a_watermark() {
    let Some(tool) = Tool::new("replay", 3, &["bars.interval=10s"]) else { return };
    let files = Files::new();
    // Row 12 is a straggler; both files hold a trade at second 5, the first file's goes first.
    let first = files.add("first.csv", &[row(1, 10), row(5, 11), row(3, 12), row(7, 13)]);
    let second = files.add("second.csv", &[row(2, 20), row(5, 21), row(11, 22)]);
    let one = format!("ONE.A={first}");
    let summary = tool.ok(&["replay", &one, &format!("ONE.A={second}"), &second, "--json"]);
    let summary: Value = serde_json::from_str(&summary).unwrap();
    assert_eq!((&summary["ticks"], &summary["watermark"]), (&json!(10), &json!(MIDNIGHT + 20_000_000)));

    let (trades, marks) = split(tool.tail("ticks"));
    let of = |symbol: &str| trades.iter().filter(|t| t["value"]["symbol"] == symbol).collect::<Vec<_>>();
    let ids: Vec<_> = of("ONE.A").iter().map(|t| t["value"]["trade_id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["10", "20", "11", "12", "21", "13", "22"]);
    assert_eq!(of("FILE.X").len(), 3);
    for trade in &trades {
        let key = trade["key"].as_str().unwrap();
        assert_eq!(trade["value"]["symbol"], key);
        assert_eq!(trade["partition"], (murmur2(key.as_bytes()) & 0x7fff_ffff) % 3, "as Java puts {key}");
    }
    assert_eq!(marks.iter().map(|m| m["partition"].as_i64().unwrap()).collect::<Vec<_>>(), [0, 1, 2]);
    for mark in &marks {
        assert_eq!(mark["value"], json!({"kind": "watermark", "event_time": MIDNIGHT + 20_000_000}));
        assert!(mark["key"].is_null());
    }
    // Digit for digit: only the line itself can say.
    let out = tool.ok(&["tail", "ticks", "--from-beginning", "--until-end", "--json"]);
    assert!(out.contains(r#""price":100.100,"size":1.50,"side":"buy","trade_id":"10""#), "{out}");
}

#[test]
fn older_trades_are_refused_unless_forced() {
    let Some(tool) = Tool::new("older", 2, &[]) else { return };
    let files = Files::new();
    let (late, early) = (files.add("late.csv", &[row(60, 1)]), files.add("early.csv", &[row(59, 1)]));
    tool.ok(&["replay", &late]);
    // The watermark of the first replay stands at second 70.
    let between = files.add("between.csv", &[row(69, 1)]);
    for file in [&early, &between] {
        let refused = tool.call(&["replay", file]);
        assert_eq!(refused.code, Some(1));
        assert!(refused.err.contains("2024-08-09T00:01:10Z") && refused.err.contains("--force"), "{}", refused.err);
    }
    tool.ok(&["replay", &files.add("after.csv", &[row(70, 1)])]);
    tool.ok(&["replay", &early, "--force"]);
    assert_eq!(split(tool.tail("ticks")).0.len(), 3);
}

#[test]
fn a_bad_cell_is_named_and_no_watermark_is_sent() {
    let Some(tool) = Tool::new("badcell", 1, &[]) else { return };
    let files = Files::new();
    let bad = files.add("bad.csv", &[row(1, 1), row(2, 2).replace("100.20", "abc"), row(3, 3)]);
    let outcome = tool.call(&["replay", &bad]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.err.contains("bad.csv, line 3: price is `abc`"), "{}", outcome.err);
    let (trades, marks) = split(tool.tail("ticks"));
    assert_eq!((trades.len(), marks.len()), (1, 0));
    let missing = tool.call(&["replay", "no-such-file.csv"]);
    assert!(missing.code == Some(1) && missing.err.contains("no-such-file.csv"), "{missing:?}");
    assert_eq!(tool.call(&["replay", &bad, "--speed", "fast"]).code, Some(2));
}

#[test]
fn a_paced_replay_ends_at_once_when_interrupted() {
    let Some(tool) = Tool::new("paced", 1, &[]) else { return };
    let files = Files::new();
    let file = files.add("hour.csv", &[row(0, 1), row(3_600, 2)]);
    let child = tool.start(&["replay", &file, "--speed", "1x"]);
    while tool.tail("ticks").is_empty() {}
    let begun = Instant::now();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(split(tool.tail("ticks")).1.len(), 0, "an interrupted replay is not at its end");
}

#[test]
fn recorded_time_goes_by_as_told() {
    let Some(tool) = Tool::new("speed", 1, &[]) else { return };
    let files = Files::new();
    let file = files.add("twenty.csv", &[row(0, 1), row(10, 2), row(20, 3)]);
    let summary: Value = serde_json::from_str(&tool.ok(&["replay", &file, "--speed", "20x", "--json"])).unwrap();
    let seconds = summary["seconds"].as_f64().unwrap();
    // Twenty seconds of trades, and the watermark ten seconds behind the last.
    assert!((1.5..4.0).contains(&seconds), "{seconds}");
}

#[test]
fn a_generated_market_ends_with_watermarks() {
    let Some(tool) = Tool::new("simulate", 2, &["bars.interval=1m"]) else { return };
    let args =
        ["simulate", "--symbols", "3", "--bars", "5", "--seed", "9", "--start", "2025-01-31T08:00:00Z", "--json"];
    let summary: Value = serde_json::from_str(&tool.ok(&args)).unwrap();
    let (trades, marks) = split(tool.tail("ticks"));
    assert_eq!(summary["ticks"], trades.len());
    let end = 1_738_310_400_000_000_i64 + 300_000_000;
    assert_eq!(marks.iter().map(|m| m["value"]["event_time"].as_i64().unwrap()).collect::<Vec<_>>(), [end, end]);
    assert!(trades.iter().all(|trade| trade["value"]["event_time"].as_i64().unwrap() < end));
    assert_eq!(tool.call(&args).code, Some(1), "the same market again is older than what is there");
}
