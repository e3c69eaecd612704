//! Numbers at the ends of what a trade may hold: bars of them are written, read back, and predicted from.

use serde_json::Value;

use crate::support::raw::watermark;
use crate::support::stage::Stage;

const SECOND: i64 = 1_000_000;
const T: i64 = 1_723_161_600 * SECOND;

fn trade(time: i64, price: &str, size: &str) -> String {
    format!(r#"{{"symbol":"A","price":{price},"size":{size},"side":"buy","event_time":{time}}}"#)
}

#[test]
fn extreme_numbers_survive_a_restart() {
    let Some(stage) = Stage::new("extremes", 1, &[]) else { return };
    let (huge, tiny) = ("1.7e308", "5e-324");
    stage.log.tell(
        0,
        &[
            trade(T, huge, huge),
            trade(T + 1, huge, huge),
            trade(T + 2, tiny, huge),
            trade(T + SECOND, tiny, tiny),
            trade(T + SECOND + 1, tiny, tiny),
            // Open when the process ends.
            trade(T + 2 * SECOND, huge, huge),
            trade(T + 2 * SECOND + 1, huge, huge),
            watermark(T + 2 * SECOND),
        ],
    );
    stage.forecast(&[]);
    // What was written is all there is to restore from.
    stage.log.tell(0, &[trade(T + 2 * SECOND + 2, tiny, tiny), watermark(T + 4 * SECOND)]);
    stage.forecast(&[]);
    let bars: Vec<Value> = stage.read("bars").iter().map(|bar| bar.json()).collect();
    assert_eq!(bars.iter().map(|bar| bar["trades"].clone()).collect::<Vec<_>>(), [3, 2, 3, 0]);
    for bar in &bars {
        for field in ["open", "high", "low", "close", "volume", "vwap", "buy_volume", "sell_volume"] {
            assert!(bar[field].as_f64().is_some_and(f64::is_finite), "{field} of {bar}");
        }
        let number = |field: &str| bar[field].as_f64().unwrap();
        assert!(number("low") <= number("vwap") && number("vwap") <= number("high"), "{bar}");
    }
    assert_eq!(stage.read("predictions").len(), 12);
    assert!(stage.read("deadletter").is_empty());
}
