//! A poison run: 10,000 good trades with 1,000 of every kind of bad record mixed in. The good ones make the bars that they make
//! alone, every bad one is in the dead letters, byte for byte, with its reason and its origin.

use std::collections::{BTreeMap, BTreeSet};

use tickcast::flow::dead_letter::Reason;

use crate::support::direct::{self, Cut, Said, Tick};
use crate::support::raw::{gap, trade, watermark};
use crate::support::stage::{Stage, metric};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
/// 2024-08-09 00:00.
const BEGIN: i64 = 1_723_161_600 * SECOND;
const GOOD: usize = 10_000;
const OF_EACH: usize = 1_000;
const PARTITIONS: usize = 2;
const SYMBOLS: [&str; 6] = ["A.X", "B.X", "C.X", "D.X", "E.X", "F.X"];
const LONGEST: usize = 2_048;

/// The record; nothing for a tombstone.
type Value = Option<Vec<u8>>;
/// The reason, and the `i`th record of this kind.
type Kind = (&'static str, fn(usize) -> Value);

fn home(symbol: &str) -> usize {
    SYMBOLS.iter().position(|known| *known == symbol).unwrap_or_default() % PARTITIONS
}

fn with(field: &str) -> Value {
    let name = field.split('"').nth(1).unwrap();
    let rest = [("symbol", r#""symbol":"A.X""#), ("price", r#""price":1.5"#), ("size", r#""size":2"#)];
    let time = format!(r#""event_time":{}"#, BEGIN + 3_000 * SECOND);
    let rest = rest.into_iter().chain([("event_time", time.as_str())]).filter(|(other, _)| *other != name);
    let rest: Vec<_> = rest.map(|(_, field)| field).collect();
    Some(format!("{{{field},{}}}", rest.join(",")).into_bytes())
}

/// One of several spellings.
fn pick(i: usize, fields: &[&str]) -> Value {
    with(fields[i % fields.len()])
}

fn now() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

const KINDS: [Kind; 19] = [
    ("tombstone", |_| None),
    ("oversized", |i| Some(vec![b"{x "[i % 3]; LONGEST + 1 + i])),
    ("malformed", |i| {
        let bad: [&[u8]; 9] =
            [b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b"{\"symbol\":\"\xff\"}", b"not json", b"17", b"{}x"];
        Some(bad[i % bad.len()].to_vec())
    }),
    ("malformed", |i| {
        pick(i, &[r#""price":NaN"#, r#""price":Infinity"#, r#""symbol":"\ud800""#, r#""price":1,"price":2"#])
    }),
    ("wrong_type", |i| {
        pick(i, &[r#""price":true"#, r#""size":{}"#, r#""symbol":5"#, r#""event_time":"1723161600000000""#])
    }),
    ("missing_field", |i| pick(i, &[r#""price":null"#, r#""symbol":null"#, r#""event_time":null"#, r#""size":null"#])),
    ("bad_kind", |i| pick(i, &[r#""kind":"quote""#, r#""kind":"""#, r#""kind":"Trade""#])),
    ("bad_symbol", |i| pick(i, &[r#""symbol":"""#, r#""symbol":"A X""#, r#""symbol":"é""#, r#""symbol":"A\u0000""#])),
    ("bad_price", |i| {
        pick(i, &[r#""price":0"#, r#""price":-1.5"#, r#""price":"NaN""#, r#""price":"inf""#, r#""price":"x""#])
    }),
    ("bad_size", |i| pick(i, &[r#""size":0"#, r#""size":"-0.1""#, r#""size":"Infinity""#, r#""size":"""#])),
    ("bad_side", |i| pick(i, &[r#""side":"BUY""#, r#""side":"b""#, r#""side":" sell""#])),
    ("bad_time", |i| {
        pick(i, &[r#""event_time":0"#, r#""event_time":1723161600"#, r#""event_time":-9223372036854775808"#])
    }),
    ("bad_time", |i| Some(gap("A.X", BEGIN + 3_000 * SECOND, BEGIN + 3_000 * SECOND - 1 - i as i64).into_bytes())),
    ("bad_trade_id", |i| Some(with(&format!(r#""trade_id":"{}""#, "x".repeat(65 + i % 9))).unwrap())),
    ("unknown_symbol", |i| Some(trade(["G.X", "a.x", "A.Y"][i % 3], BEGIN + 3_000 * SECOND, 1.0).into_bytes())),
    ("future", |i| Some(trade("A.X", now() + 10 * MINUTE + i as i64, 1.0).into_bytes())),
    ("future", |i| {
        let time = now() + 10 * MINUTE + i as i64;
        Some(if i % 2 == 0 { watermark(time) } else { gap("A.X", BEGIN, time) }.into_bytes())
    }),
    ("late", |i| Some(trade("A.X", BEGIN - MINUTE - i as i64, 1e9).into_bytes())),
    ("late", |i| Some(gap("A.X", BEGIN - MINUTE, BEGIN - MINUTE + i as i64).into_bytes())),
];

struct Good {
    symbol: &'static str,
    tick: Tick,
    value: Vec<u8>,
}

/// The `i`th good trade: times ascend by 20 ms, with stragglers within the lateness, in several spellings.
fn good(i: usize) -> Good {
    let symbol = SYMBOLS[i * 7 % SYMBOLS.len()];
    let straggles = if i.is_multiple_of(13) { 700_000 } else { 0 };
    // The first of a partition moves its watermark by a minute: what is late is late from the beginning.
    let time = BEGIN + MINUTE + i as i64 * 20_000 - if i > 100 { straggles } else { 0 };
    let (price, size) = (100.0 + (i * 31 % 97) as f64 / 8.0, 0.25 + (i % 5) as f64);
    let side = ["buy", "sell", "unknown", ""][i % 4];
    let mut text = match i % 3 {
        0 => format!(r#"{{"symbol":"{symbol}","price":{price},"size":{size},"side":"{side}","event_time":{time}}}"#),
        1 => format!(
            r#"{{"event_time":{time},"size":"{size}","price":"{price}","symbol":"{symbol}","side":"{side}","x":[1]}}"#
        ),
        _ => format!(
            r#" {{"kind":"trade","symbol":"{symbol}","price":{price},"size":{size},"side":"{side}","event_time":{time},"trade_id":{i}}}"#
        ),
    };
    if i.is_multiple_of(100) {
        // As long as it may be.
        text.push_str(&" ".repeat(LONGEST - text.len()));
    }
    let tick = Tick { time, price, size, side: side.to_owned(), id: i.to_string() };
    Good { symbol, tick, value: text.into_bytes() }
}

/// What stands at an offset.
struct Sent {
    key: Option<Vec<u8>>,
    value: Value,
    reason: Option<&'static str>,
}

/// The log of each partition: the good in order, the bad scattered among them, a good one first.
fn script() -> Vec<Vec<Sent>> {
    let mut mixed: Vec<(u64, usize, Sent)> = Vec::new();
    for i in 0..GOOD {
        let good = good(i);
        let sent = Sent { key: Some(good.symbol.into()), value: Some(good.value), reason: None };
        mixed.push((i as u64 * 1_000, home(good.symbol), sent));
    }
    let mut dice = 88_172_645_463_325_252_u64;
    for (kind, (reason, value)) in KINDS.into_iter().enumerate() {
        for i in 0..OF_EACH {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            let key = [None, Some(b"A.X".to_vec()), Some(vec![0xff, 0x00])][i % 3].clone();
            let sent = Sent { key, value: value(i), reason: Some(reason) };
            mixed.push((10_000 + dice % (GOOD as u64 * 1_000), (i + kind) % PARTITIONS, sent));
        }
    }
    mixed.sort_by_key(|(place, ..)| *place);
    let mut logs: Vec<Vec<Sent>> = (0..PARTITIONS).map(|_| Vec::new()).collect();
    for (_, partition, sent) in mixed {
        logs[partition].push(sent);
    }
    for log in &mut logs {
        log.push(Sent { key: None, value: Some(watermark(end()).into_bytes()), reason: None });
    }
    logs
}

fn end() -> i64 {
    BEGIN + MINUTE + GOOD as i64 * 20_000 + 2 * SECOND
}

#[test]
fn poison() {
    let named: BTreeSet<_> = KINDS.iter().map(|(reason, _)| *reason).collect();
    assert_eq!(named, Reason::ALL.iter().map(|reason| reason.as_str()).collect(), "every reason has a kind");
    let Some(stage) = Stage::new("poison", PARTITIONS as i32, &[&format!("forecast.max_record_bytes={LONGEST}")])
    else {
        return;
    };
    let assets: String = SYMBOLS.iter().map(|symbol| format!("[[assets]]\nsymbol = \"{symbol}\"\n")).collect();
    std::fs::write(stage.path("assets.toml"), assets).unwrap();

    let logs = script();
    for (partition, log) in logs.iter().enumerate() {
        stage.log.produce(log.iter().map(|sent| (partition as i32, sent.key.as_deref(), sent.value.as_deref())));
    }
    let metrics = stage.forecast_with(&stage.path("assets.toml"), &["forecast.lanes=2"]);

    every_good_one_is_in_its_bar(&stage);
    every_bad_one_is_a_dead_letter(&stage, &logs);
    let count = |result: &str| metric(&metrics, &format!("tickcast_ticks_total{{result=\"{result}\"}}"));
    let bad = KINDS.len() * OF_EACH;
    assert_eq!((count("used"), count("duplicate"), count("dead")), ((GOOD + PARTITIONS) as u64, 0, bad as u64));
    for reason in named {
        let kinds = KINDS.iter().filter(|(of, _)| *of == reason).count();
        let told = metric(&metrics, &format!("tickcast_dead_letters_total{{reason=\"{reason}\"}}"));
        assert_eq!(told, (kinds * OF_EACH) as u64, "{reason}");
    }
}

fn every_good_one_is_in_its_bar(stage: &Stage) {
    let mut ticks: BTreeMap<&str, Vec<Tick>> = BTreeMap::new();
    for good in (0..GOOD).map(good) {
        ticks.entry(good.symbol).or_default().push(good.tick);
    }
    let cut = Cut { name: "1s", interval: SECOND, max_fill: 60, lateness: SECOND, end: end() };
    let mut wanted: BTreeMap<(String, i64), serde_json::Value> = BTreeMap::new();
    for (symbol, ticks) in &ticks {
        for said in direct::bars(symbol, ticks, cut) {
            let Said::Bar(bar) = said else { panic!("{symbol} falls silent") };
            wanted.insert(((*symbol).to_owned(), bar["close_time"].as_i64().unwrap()), bar);
        }
    }
    let bars = stage.read("bars");
    let trades: u64 = bars.iter().map(|bar| bar.json()["trades"].as_u64().unwrap()).sum();
    assert_eq!((trades, bars.len()), (GOOD as u64, wanted.len()));
    for bar in bars {
        let value = bar.json();
        let symbol = value["symbol"].as_str().unwrap().to_owned();
        assert_eq!(bar.partition as usize, home(&symbol));
        assert_eq!(value, wanted[&(symbol, value["close_time"].as_i64().unwrap())]);
    }
    assert_eq!(stage.read("predictions").len(), 3 * wanted.len());
}

fn every_bad_one_is_a_dead_letter(stage: &Stage, logs: &[Vec<Sent>]) {
    let topic = stage.log.topic("ticks");
    let times: BTreeMap<_, _> = stage
        .read("ticks")
        .iter()
        .map(|t| ((t.partition as usize, t.offset as usize), t.timestamp_ms.to_string()))
        .collect();
    let mut seen = BTreeSet::new();
    for letter in stage.read("deadletter") {
        let header = |name: &str| letter.headers.get(name).unwrap_or_else(|| panic!("no {name}: {letter:?}")).as_str();
        let place: (usize, usize) =
            (header("origin_partition").parse().unwrap(), header("origin_offset").parse().unwrap());
        assert!(seen.insert(place), "twice: {letter:?}");
        let sent = &logs[place.0][place.1];
        let bytes = sent.value.as_deref().unwrap_or_default();
        assert_eq!(Some(header("reason")), sent.reason, "{}", String::from_utf8_lossy(bytes));
        assert_eq!((header("origin_topic"), letter.partition), (topic.as_str(), place.0 as i32));
        assert_eq!(header("origin_timestamp_ms"), times[&place]);
        assert_eq!(header("original_size"), bytes.len().to_string());
        assert_eq!(letter.value, bytes[..bytes.len().min(LONGEST)], "{letter:?}");
        assert_eq!(letter.key, sent.key);
    }
    let bad = logs.iter().flatten().filter(|sent| sent.reason.is_some()).count();
    assert_eq!((seen.len(), bad), (bad, KINDS.len() * OF_EACH));
}
