//! Bars and the facts of predictions computed from trades the plain way: everything in memory, one symbol after the other,
//! none of the program's own code. What the program gives must be equal, field by field.

use std::collections::{BTreeMap, HashSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// One trade, in the order of the log.
#[derive(Clone, Debug)]
pub struct Tick {
    pub time: i64,
    pub price: f64,
    pub size: f64,
    pub side: String,
    pub id: String,
}

/// How bars are cut.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    pub name: &'static str,
    pub interval: i64,
    pub max_fill: usize,
    pub lateness: i64,
    /// Everything up to here closes.
    pub end: i64,
}

/// What the model asks for.
pub const BARS_NEEDED: usize = 256 + 64 - 1;
pub const HORIZONS: [i64; 3] = [1, 5, 15];

/// The folder of recorded data; says SKIPPED where it is absent.
pub fn data() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("TICKCAST_TEST_DATA").map_or(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED: no recorded data at ../shared/data (or where TICKCAST_TEST_DATA points)");
    None
}

/// The rows of a gzipped CSV file, as text by column.
pub fn csv(path: &Path) -> Vec<BTreeMap<String, String>> {
    let mut text = String::new();
    let file = std::fs::File::open(path).expect("the file");
    flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).expect("gzip");
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let row = |line: &str| header.iter().map(|c| (*c).to_owned()).zip(line.split(',').map(str::to_owned)).collect();
    lines.map(row).collect()
}

/// The trades of a recorded file.
pub fn ticks(path: &Path) -> Vec<Tick> {
    let tick = |row: &BTreeMap<String, String>| Tick {
        time: row["ts_us"].parse().expect("a time"),
        price: row["price"].parse().expect("a price"),
        size: row["size"].parse().expect("a size"),
        side: row["side"].clone(),
        id: row["trade_id"].clone(),
    };
    csv(path).iter().map(tick).collect()
}

/// One symbol's bars in order and, where it falls silent, the record that is no bar.
#[derive(Clone, Debug)]
pub enum Said {
    Bar(Value),
    Silent(Value),
}

/// Computes all of one symbol.
pub fn bars(symbol: &str, ticks: &[Tick], cut: Cut) -> Vec<Said> {
    let mut groups: BTreeMap<i64, Vec<&Tick>> = BTreeMap::new();
    for tick in ticks {
        groups.entry(tick.time / cut.interval * cut.interval + cut.interval).or_default().push(tick);
    }
    let Some((&first, _)) = groups.first_key_value() else { return Vec::new() };
    let (mut said, mut last, mut fills): (Vec<Said>, Option<Value>, usize) = (Vec::new(), None, 0);
    let mut close = first;
    while close <= cut.end {
        match (groups.get(&close), last.take()) {
            (Some(group), before) => {
                let bar = real(symbol, group, close, before.is_some(), cut);
                (last, fills) = (Some(bar.clone()), 0);
                said.push(Said::Bar(bar));
            }
            (None, Some(before)) => {
                let bar = synthetic(&before, cut.interval);
                fills += 1;
                if fills > cut.max_fill {
                    said.push(Said::Silent(bar));
                } else {
                    last = Some(bar.clone());
                    said.push(Said::Bar(bar));
                }
            }
            (None, None) => {}
        }
        close += cut.interval;
    }
    said
}

fn real(symbol: &str, group: &[&Tick], close: i64, complete: bool, cut: Cut) -> Value {
    let mut seen = HashSet::new();
    let once: Vec<&Tick> = group.iter().copied().filter(|t| t.id.is_empty() || seen.insert(t.id.clone())).collect();
    let mut in_time = once.clone();
    in_time.sort_by_key(|tick| tick.time); // stable: equal times keep their order
    let sum = |wanted: &dyn Fn(&Tick) -> f64| once.iter().fold(0.0, |sum, tick| sum + wanted(tick));
    let of_side = |side: &str| sum(&|tick: &Tick| if tick.side == side { tick.size } else { 0.0 });
    let prices = || once.iter().map(|tick| tick.price);
    let (high, low) = (prices().fold(f64::MIN, f64::max), prices().fold(f64::MAX, f64::min));
    let volume = sum(&|tick| tick.size);
    let vwap = sum(&|tick| tick.price * tick.size) / volume;
    json!({
        "symbol": symbol, "interval": cut.name, "open_time": close - cut.interval, "close_time": close,
        "open": in_time[0].price, "high": high, "low": low, "close": in_time[in_time.len() - 1].price,
        // An average lies within the bar, whatever rounding says.
        "volume": volume, "vwap": vwap.max(low).min(high), "trades": once.len(),
        "buy_volume": of_side("buy"), "sell_volume": of_side("sell"), "complete": complete, "synthetic": false,
        "last_event_time": in_time[in_time.len() - 1].time,
    })
}

fn synthetic(before: &Value, interval: i64) -> Value {
    let mut bar = before.clone();
    let close = before["close_time"].as_i64().expect("a time");
    for field in ["open", "high", "low", "vwap"] {
        bar[field] = before["close"].clone();
    }
    for field in ["volume", "buy_volume", "sell_volume"] {
        bar[field] = json!(0.0);
    }
    (bar["open_time"], bar["close_time"]) = (json!(close), json!(close + interval));
    (bar["trades"], bar["complete"], bar["synthetic"]) = (json!(0), json!(true), json!(true));
    bar
}

/// What the predictions of one symbol must say, apart from what the model says: `decision`, the probabilities and the
/// digest are left out where it is asked, as is `produced_at`.
pub fn predictions(said: &[Said], cut: Cut, version: &str) -> Vec<Value> {
    let (mut out, mut run) = (Vec::new(), Vec::<bool>::new());
    for one in said {
        let (bar, reasons) = match one {
            Said::Silent(bar) => {
                run.clear();
                (bar, vec!["silent"])
            }
            Said::Bar(bar) => {
                run.push(bar["complete"] == true);
                let mut reasons = Vec::new();
                if run.len() < BARS_NEEDED {
                    reasons.push("warming_up");
                }
                if run.iter().rev().take(BARS_NEEDED).any(|complete| !complete) {
                    reasons.push("gap_in_window");
                }
                (bar, reasons)
            }
        };
        out.extend(HORIZONS.map(|horizon| prediction(bar, horizon, &reasons, cut, version)));
    }
    out
}

fn prediction(bar: &Value, horizon: i64, reasons: &[&str], cut: Cut, version: &str) -> Value {
    let as_of = bar["close_time"].as_i64().expect("a time");
    let symbol = bar["symbol"].as_str().expect("a symbol");
    let text = format!("{symbol}|{}|{as_of}|{horizon}|reference|{version}", cut.name);
    let id: String = Sha256::digest(text).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let mut record = json!({
        "prediction_id": id, "symbol": symbol, "interval": cut.name, "horizon": horizon, "as_of": as_of,
        "target_time": as_of + horizon * cut.interval, "valid_until": as_of + cut.interval + cut.lateness,
        "sequence": as_of / cut.interval, "reference_price": bar["close"], "reference_vwap": bar["vwap"],
        "reference_complete": bar["complete"], "reference_synthetic": bar["synthetic"], "dead_band_bps": 0.0,
        "abstain_reasons": reasons, "model": "reference", "model_version": version, "role": "champion",
        "max_event_time": bar["last_event_time"],
    });
    if !reasons.is_empty() {
        for field in ["p_down", "p_flat", "p_up", "feature_digest"] {
            record[field] = Value::Null;
        }
        record["decision"] = json!("abstain");
    }
    record
}
