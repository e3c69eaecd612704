//! The store on a real Kafka and a real PostgreSQL.

use serde_json::{Value, json};

use crate::support::store::{Running, World};

pub const SECOND: i64 = 1_000_000;
pub const MIDNIGHT: i64 = 1_723_248_000 * SECOND; // 2024-08-10

/// A bar of one second that closes at `close_time`.
pub fn bar(symbol: &str, close_time: i64) -> Value {
    let price = 100.0 + (close_time / SECOND % 97) as f64 / 7.0;
    json!({
        "symbol": symbol, "interval": "1s", "open_time": close_time - SECOND, "close_time": close_time,
        "open": price, "high": price * 1.01, "low": price / 1.01, "close": price * 1.001, "volume": 0.1 + price / 3.0,
        "vwap": price * 1.0005, "trades": close_time / SECOND % 13, "buy_volume": 1e-9, "sell_volume": 12345678.9,
        "complete": close_time % 2 == 0, "synthetic": false, "last_event_time": close_time - 1,
    })
}

/// A prediction, scored or abstaining by its second.
pub fn prediction(symbol: &str, as_of: i64, horizon: i64) -> Value {
    let scored = as_of / SECOND % 3 != 0;
    let p = |x: f64| if scored { json!(x) } else { Value::Null };
    json!({
        "prediction_id": format!("{symbol}-{as_of}-{horizon}"), "symbol": symbol, "interval": "1s", "horizon": horizon,
        "as_of": as_of, "target_time": as_of + horizon * SECOND, "valid_until": as_of + 2 * SECOND,
        "sequence": as_of / SECOND, "reference_price": 100.1, "reference_vwap": 99.9, "reference_complete": true,
        "reference_synthetic": false, "dead_band_bps": 1.25, "p_down": p(0.1), "p_flat": p(0.2), "p_up": p(0.7),
        "decision": if scored { "up" } else { "abstain" },
        "abstain_reasons": if scored { json!([]) } else { json!(["warming_up", "stale"]) },
        "model": "reference", "model_version": "1.0.0", "role": "champion",
        "feature_digest": if scored { json!("00ff00ff00ff00ff") } else { Value::Null },
        "max_event_time": as_of - 5, "produced_at": MIDNIGHT + 17,
    })
}

/// Rows as the records they came from; both sides sorted by their text.
fn rows(world: &World, table: &str) -> Vec<Value> {
    let rows = world.texts(&format!("SELECT row_to_json(t)::text FROM {table} t"));
    sorted(rows.iter().map(|text| serde_json::from_str(text).unwrap()).collect())
}

fn sorted(mut values: Vec<Value>) -> Vec<Value> {
    values.iter_mut().for_each(plain);
    values.sort_by_key(Value::to_string);
    values
}

/// Numbers as numbers: PostgreSQL writes 100 where JSON has 100.0.
fn plain(value: &mut Value) {
    match value {
        Value::Number(number) => *value = json!(number.as_f64()),
        Value::Object(fields) => fields.values_mut().for_each(plain),
        _ => {}
    }
}

/// Fails with the first row that differs.
pub fn assert_rows(world: &World, table: &str, records: Vec<Value>) {
    let (found, wanted) = (rows(world, table), sorted(records));
    for (row, record) in found.iter().zip(&wanted) {
        assert_eq!(row, record);
    }
    assert_eq!(found.len(), wanted.len());
}

#[test]
fn rows_equal_the_topics_records() {
    let Some(world) = World::new(2) else { return };
    let bars: Vec<_> =
        (0..500).map(|n| bar(if n % 2 == 0 { "A-B.X" } else { "C/D:Y" }, MIDNIGHT + (n - 250) * SECOND)).collect();
    let said: Vec<_> = (0..300).map(|n| prediction("A-B.X", MIDNIGHT + n / 3 * SECOND, n % 3)).collect();
    let texts: Vec<_> = bars.iter().chain(&said).map(Value::to_string).collect();
    let records: Vec<_> = texts
        .iter()
        .enumerate()
        .map(|(n, text)| {
            if n < 500 {
                (&*world.topics.bars, n as i32 % 2, &**text)
            } else {
                (&*world.topics.predictions, 0, &**text)
            }
        })
        .collect();
    let aborted = bar("ABORTED", MIDNIGHT).to_string();
    world.produce(&records[..400]);
    world.produce_aborted(&[(&world.topics.bars, 0, &aborted)]);
    world.produce(&records[400..]);

    let store = Running::start(world.settings("0", &["store.batch_rows=100"]));
    store.wait("all rows", |now| now.bars == 500 && now.predictions == 300);
    let last = store.stop();
    assert_eq!((last.skipped, last.conflicts), (0, 0));
    assert!(last.unready.is_empty(), "{last:?}");
    assert_rows(&world, "bars", bars);
    assert_rows(&world, "predictions", said);
    // Midnight belongs to the day that begins.
    assert_eq!(world.number("SELECT count(*) FROM bars_p20240809"), 250);
    assert_eq!(world.number("SELECT min(close_time) FROM bars_p20240810"), MIDNIGHT);
    let first = "SELECT min(close_time)::text FROM bars_utc";
    assert_eq!(world.texts(first), ["2024-08-09 23:55:50+00"]);
}

#[test]
fn what_is_read_twice_is_stored_once() {
    let Some(world) = World::new(1) else { return };
    let (a, b) = (bar("A", MIDNIGHT).to_string(), bar("A", MIDNIGHT + SECOND).to_string());
    let mut again = bar("A", MIDNIGHT);
    again["close"] = json!(42.5);
    let again = again.to_string();
    let bars = &*world.topics.bars;
    world.produce(&[(bars, 0, &a), (bars, 0, &b)]);
    world.produce_dead_letter(0, "late", 7);
    world.produce_dead_letter(0, "late", 3);
    world.produce_dead_letter(0, "bad_price", 9);

    let store = Running::start(world.settings("0", &[]));
    store.wait("first reading", |now| now.bars == 2 && now.dead_letters == 3);
    store.stop();
    // Everything once more, as after a restore from an old backup of the offsets alone.
    world.execute("UPDATE sink_offsets SET next_offset = 0 WHERE topic LIKE '%bars'");
    // The later of two records with one key holds, in one batch too.
    world.produce(&[(bars, 0, &again), (bars, 0, &b), (bars, 0, &b)]);
    let store = Running::start(world.settings("0", &[]));
    store.wait("second reading", |now| now.bars == 5);
    let last = store.stop();
    assert_eq!((last.dead_letters, last.skipped), (0, 0), "offsets of the dead letters had not moved back");
    assert_rows(&world, "bars", vec![serde_json::from_str(&again).unwrap(), serde_json::from_str(&b).unwrap()]);
    let summary = world.texts(
        "SELECT concat_ws(' ', reason, origin_partition, count, first_origin_offset, last_origin_offset, first_offset, \
         last_offset, day = (now() AT TIME ZONE 'UTC')::date) FROM deadletter_summary ORDER BY 1",
    );
    // Each was produced in a transaction of its own, whose marker takes an offset.
    assert_eq!(summary, ["bad_price 0 1 9 9 4 4 t", "late 0 2 3 7 0 2 t"]);
}

#[test]
fn bad_records_are_skipped_and_counted() {
    let Some(world) = World::new(1) else { return };
    let good = bar("A", MIDNIGHT).to_string();
    let with = |field: &str, value: Value| {
        let mut record = bar("A", MIDNIGHT + SECOND);
        record[field] = value;
        record.to_string()
    };
    let bad = [
        "{".to_owned(),
        "[]".to_owned(),
        with("symbol", json!("")),
        with("symbol", json!("A\u{0}")),
        with("interval", json!("7s")),
        with("close_time", json!(MIDNIGHT / 1_000)),
        with("close_time", json!(MIDNIGHT * 1_000)),
        with("trades", json!(u64::MAX)),
        with("open", json!("12")),
    ];
    let mut said = prediction("A", MIDNIGHT, 1);
    said["model"] = json!("m\u{0}");
    let zero = said.to_string();
    said["model"] = json!("m".repeat(3_000));
    let long = said.to_string();
    let bars = &*world.topics.bars;
    let mut records: Vec<_> = bad.iter().map(|text| (bars, 0, text.as_str())).collect();
    records.extend([
        (bars, 0, &*good),
        (&*world.topics.predictions, 0, &*zero),
        (&*world.topics.predictions, 0, &*long),
    ]);
    // A dead letter without headers.
    records.push((&world.topics.deadletter, 0, "x"));
    world.produce(&records);

    let store = Running::start(world.settings("0", &[]));
    store.wait("all records", |now| now.bars == 1 && now.skipped == bad.len() as u64 + 3);
    store.stop();
    assert_rows(&world, "bars", vec![serde_json::from_str(&good).unwrap()]);
    // The offsets went on over what was skipped, so a restart does not meet it again.
    let store = Running::start(world.settings("0", &[]));
    world.produce(&[(bars, 0, &with("symbol", json!("B")))]);
    store.wait("the next record", |now| now.bars == 1);
    assert_eq!(store.stop().skipped, 0);
}

#[test]
fn a_stale_owner_cannot_rewind() {
    let Some(world) = World::new(1) else { return };
    let text = |n: i64| bar("A", MIDNIGHT + n * SECOND).to_string();
    let bars = &*world.topics.bars;
    world.produce(&[(bars, 0, &text(0))]);
    let store = Running::start(world.settings("0", &[]));
    store.wait("the first bar", |now| now.bars == 1);
    // Another owner has stored up to offset 3 meanwhile, the next two records that is.
    world.execute("UPDATE sink_offsets SET next_offset = 4 WHERE topic LIKE '%bars'");
    world.produce(&[(bars, 0, &text(1)), (bars, 0, &text(2)), (bars, 0, &text(3))]);
    store.wait("the rest", |now| now.bars == 2);
    let last = store.stop();
    assert_eq!(last.conflicts, 1);
    // What the other owner stored is not stored over, and nothing went back.
    assert_rows(&world, "bars", vec![bar("A", MIDNIGHT), bar("A", MIDNIGHT + 3 * SECOND)]);
    assert_eq!(world.number("SELECT next_offset FROM sink_offsets WHERE topic LIKE '%bars'"), 5);
}

#[test]
fn two_processes_share_and_take_over() {
    let Some(world) = World::new(4) else { return };
    let all: Vec<_> = (0..400).map(|n| bar(["A", "B", "C", "D"][n as usize % 4], MIDNIGHT + n / 4 * SECOND)).collect();
    let texts: Vec<_> = all.iter().map(Value::to_string).collect();
    let records: Vec<_> =
        texts.iter().enumerate().map(|(n, text)| (&*world.topics.bars, n as i32 % 4, &**text)).collect();
    let members = ["kafka.static_membership=false", "store.batch_rows=7"];
    let first = Running::start(world.settings("0", &members));
    world.produce(&records[..100]);
    first.wait("the first part", |now| now.bars > 0);
    let second = Running::start(world.settings("1", &members));
    world.produce(&records[100..200]);
    second.wait("a share", |now| now.unready.is_empty());
    world.produce(&records[200..300]);
    let before = first.stop().bars;
    world.produce(&records[300..]);
    second.wait("what the other left", |_| world.number("SELECT count(*) FROM bars") == 400);
    let after = second.stop().bars;
    assert_eq!(before + after, 400, "nothing stored twice");
    assert_rows(&world, "bars", all);
}

#[test]
fn lost_connections_lose_nothing() {
    let Some(world) = World::new(1) else { return };
    let text = |n: i64| bar("A", MIDNIGHT + n * SECOND).to_string();
    let store = Running::start(world.settings("0", &["store.batch_rows=5"]));
    for n in 0..60 {
        world.produce(&[(&world.topics.bars, 0, &text(2 * n)), (&world.topics.bars, 0, &text(2 * n + 1))]);
        if n % 6 == 0 {
            world.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
            );
        }
    }
    store.wait("all bars", |_| world.number("SELECT count(*) FROM bars") == 120);
    let last = store.stop();
    assert!(last.retries > 0, "the connection was cut");
    assert_rows(&world, "bars", (0..120).map(|n| bar("A", MIDNIGHT + n * SECOND)).collect());
}

#[test]
fn a_topic_made_anew_is_stored_from_its_beginning() {
    let Some(world) = World::new(1) else { return };
    let text = |n: i64| bar("A", MIDNIGHT + n * SECOND).to_string();
    world.produce(&[(&world.topics.bars, 0, &text(0)), (&world.topics.bars, 0, &text(1))]);
    let store = Running::start(world.settings("0", &[]));
    store.wait("the first topic", |now| now.bars == 2);
    store.stop();
    world.recreate_topics(1);
    world.produce(&[(&world.topics.bars, 0, &text(5))]);
    let store = Running::start(world.settings("0", &[]));
    store.wait("the second topic", |now| now.bars == 1);
    store.stop();
    assert_eq!(world.number("SELECT count(*) FROM sink_offsets WHERE topic LIKE '%bars'"), 2);
    assert_rows(&world, "bars", [0, 1, 5].map(|n| bar("A", MIDNIGHT + n * SECOND)).to_vec());
}
