//! The store on a real Kafka and a real PostgreSQL.

use serde_json::{Value, json};

use crate::support::store::{Running, World};

const SECOND: i64 = 1_000_000;
const MIDNIGHT: i64 = 1_723_248_000 * SECOND; // 2024-08-10

/// A bar of one second that closes at `close_time`.
fn bar(symbol: &str, close_time: i64) -> Value {
    let price = 100.0 + (close_time / SECOND % 97) as f64 / 7.0;
    json!({
        "symbol": symbol, "interval": "1s", "open_time": close_time - SECOND, "close_time": close_time,
        "open": price, "high": price * 1.01, "low": price / 1.01, "close": price * 1.001, "volume": 0.1 + price / 3.0,
        "vwap": price * 1.0005, "trades": close_time / SECOND % 13, "buy_volume": 1e-9, "sell_volume": 12345678.9,
        "complete": close_time % 2 == 0, "synthetic": false, "last_event_time": close_time - 1,
    })
}

fn prediction(symbol: &str, as_of: i64, horizon: i64) -> Value {
    let scored = as_of / SECOND % 3 != 0;
    let p = |x: f64| if scored { json!(x) } else { Value::Null };
    json!({
        "prediction_id": format!("{symbol}-{as_of}-{horizon}"), "symbol": symbol, "interval": "1s", "horizon": horizon,
        "as_of": as_of, "target_time": as_of + horizon * SECOND, "valid_until": as_of + 2 * SECOND,
        "sequence": as_of / SECOND, "reference_price": 100.1, "reference_vwap": 99.9, "reference_complete": true,
        "reference_synthetic": false, "p_down": p(0.1), "p_flat": p(0.2), "p_up": p(0.7),
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
fn assert_rows(world: &World, table: &str, records: Vec<Value>) {
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
    assert_eq!((last.bad_records, last.conflicts, last.problem), (0, 0, None));
    assert_rows(&world, "bars", bars);
    assert_rows(&world, "predictions", said);
    // Midnight belongs to the day that begins.
    assert_eq!(world.number("SELECT count(*) FROM bars_p20240809"), 250);
    assert_eq!(world.number("SELECT min(close_time) FROM bars_p20240810"), MIDNIGHT);
    let first = "SELECT min(close_time)::text FROM bars_utc";
    assert_eq!(world.texts(first), ["2024-08-09 23:55:50+00"]);
}
