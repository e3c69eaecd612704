//! Event time from outside: lateness to the microsecond, gaps, watermarks, the guard against the future, idle partitions.

use std::time::Instant;

use serde_json::{Value, json};

use crate::support::raw::{gap, trade, watermark};
use crate::support::stage::Stage;

const SECOND: i64 = 1_000_000;
/// An old year: nothing may jump to the present.
const T: i64 = 1_723_161_600 * SECOND;

/// Close time after T in seconds, trades and whether it is complete, of each bar of a symbol.
fn bars(stage: &Stage, symbol: &str) -> Vec<(i64, i64, bool)> {
    let bars = stage.read("bars");
    let of = bars.iter().map(|bar| bar.json()).filter(|bar| bar["symbol"] == symbol);
    let number = |bar: &Value, field: &str| bar[field].as_i64().unwrap();
    of.map(|bar| ((number(&bar, "close_time") - T) / SECOND, number(&bar, "trades"), bar["complete"] == true)).collect()
}

/// Offset and reason of each dead letter.
fn dead(stage: &Stage) -> Vec<(i64, String)> {
    let letters = stage.read("deadletter");
    letters
        .iter()
        .map(|letter| (letter.headers["origin_offset"].parse().unwrap(), letter.headers["reason"].clone()))
        .collect()
}

fn late(offsets: &[i64]) -> Vec<(i64, String)> {
    offsets.iter().map(|offset| (*offset, "late".to_owned())).collect()
}

/// The bar's end decides, not the trade: late is what ends at or before the watermark when it is applied.
#[test]
fn late_to_the_microsecond() {
    let Some(stage) = Stage::new("late", 1, &["bars.allowed_lateness=500ms"]) else { return };
    stage.log.tell(
        0,
        &[
            trade("A", T + 100_000, 1.0),
            trade("A", T + 1_499_999, 2.0), // watermark T + 999,999
            trade("A", T, 3.0),             // in time, a second and a half back
            trade("A", T + 1_500_000, 4.0), // watermark T + 1,000,000: the first bar closes
            trade("A", T + 999_999, 5.0),   // late
            trade("B", T, 5.0),             // late, and no symbol
            trade("A", T + 1_000_000, 6.0), // the second bar's first instant
            watermark(T + 2 * SECOND),
        ],
    );
    stage.forecast(&[]);
    assert_eq!(bars(&stage, "A"), [(1, 2, false), (2, 3, true)]);
    assert!(bars(&stage, "B").is_empty());
    assert_eq!(dead(&stage), late(&[4, 5]));
    let all: Vec<_> = stage.read("bars").iter().map(|bar| bar.json()).collect();
    assert_eq!((&all[0]["open"], &all[0]["close"]), (&json!(3.0), &json!(1.0)));
    assert_eq!((&all[1]["open"], &all[1]["close"], &all[1]["high"]), (&json!(6.0), &json!(4.0), &json!(6.0)));
}

#[test]
fn gaps() {
    let Some(stage) = Stage::new("gaps", 1, &["bars.allowed_lateness=0s"]) else { return };
    let at = |tenths: i64| T + tenths * SECOND / 10;
    stage.log.tell(
        0,
        &[
            gap("NEW", at(10), at(40)), // no symbol yet: holds for one that appears, creates none
            trade("A", at(5), 1.0),
            trade("A", at(15), 1.0),
            trade("A", at(25), 1.0),  // closed up to 2
            gap("A", at(5), at(20)),  // closed bars only: late
            gap("A", at(15), at(21)), // the open bar as well: (2, 3]
            gap("B", at(25), at(25)), // another symbol's
            trade("A", at(31), 1.0),  // closes 3
            gap("A", at(42), at(43)), // a bar in which nothing will be traded
            trade("A", at(55), 1.0),
            gap("A", at(60), at(60)), // an instant: the bar that begins there
            trade("NEW", at(71), 1.0),
            watermark(at(80)),
            gap("A", at(70), at(80)), // ends where the last closed bar does: late
        ],
    );
    stage.forecast(&[]);
    let expected = [(1, false), (2, true), (3, false), (4, true), (5, false), (6, true), (7, false), (8, true)];
    let found: Vec<_> = bars(&stage, "A").iter().map(|(close, _, complete)| (*close, *complete)).collect();
    assert_eq!(found, expected);
    assert_eq!(bars(&stage, "NEW"), [(8, 1, false)]);
    assert!(bars(&stage, "B").is_empty());
    assert_eq!(dead(&stage), late(&[4, 13]));
    let predictions = stage.read("predictions");
    let of: Vec<_> = predictions.iter().map(|p| p.json()).filter(|p| p["symbol"] == "A" && p["horizon"] == 1).collect();
    assert!(of.iter().all(|p| p["abstain_reasons"] == json!(["warming_up", "gap_in_window"])), "{of:?}");
}

/// A watermark is taken at its word: lateness is not subtracted, nothing goes back, one from the future is refused.
#[test]
fn watermarks_and_the_future() {
    let Some(stage) = Stage::new("marks", 2, &["bars.allowed_lateness=1h", "bars.max_future_skew=1m"]) else { return };
    let now = jiff::Timestamp::now().as_microsecond();
    let soon = (now + 20 * SECOND) / SECOND * SECOND;
    stage.log.tell(
        0,
        &[
            trade("A", T, 1.0),
            watermark(T + SECOND - 1), // one short
            trade("A", T + SECOND - 1, 2.0),
            watermark(T + SECOND),
            watermark(T), // does not go back
            trade("A", T + SECOND - 1, 3.0),
            trade("A", now + 120 * SECOND, 4.0), // future: moves nothing
            watermark(now + 120 * SECOND),
            gap("A", T, now + 120 * SECOND),
            trade("A", T + SECOND, 5.0),
            watermark(T + 2 * SECOND),
        ],
    );
    // The other partition is another clock. What is ahead by less than the skew is fine.
    stage.log.tell(1, &[trade("N", soon, 1.0), trade("N", soon + SECOND, 2.0), watermark(soon + 2 * SECOND)]);
    stage.forecast(&[]);
    assert_eq!(bars(&stage, "A"), [(1, 2, false), (2, 1, true)]);
    let ahead: Vec<_> =
        bars(&stage, "N").iter().map(|(close, trades, _)| (*close - (soon - T) / SECOND, *trades)).collect();
    assert_eq!(ahead, [(1, 1), (2, 1)]);
    let future = |offset: i64| (offset, "future".to_owned());
    assert_eq!(dead(&stage), [vec![late(&[5])[0].clone()], vec![future(6), future(7), future(8)]].concat());
}

/// At the end of a partition event time goes on by the time that passes, never to the wall clock.
#[test]
fn idle_partitions() {
    let sets = ["bars.idle_timeout=200ms", "bars.allowed_lateness=0s"];
    let Some(stage) = Stage::new("idle", 1, &sets) else { return };
    let begin = Instant::now();
    stage.log.tell(0, &[trade("A", T + 300_000, 1.0)]);
    let mut service = stage.run(&[]);
    service.wait("the bar closes by itself", || !bars(&stage, "A").is_empty());
    stage.log.tell(0, &[trade("A", T + 900_000, 2.0)]);
    service.wait("what belongs to it is late", || !dead(&stage).is_empty());
    assert_eq!(dead(&stage), late(&[1]));
    // A minute ahead, far from both clocks: bars up to it are made, the one that holds it closes by itself again.
    stage.log.tell(0, &[trade("A", T + 50 * SECOND + 300_000, 3.0)]);
    service.wait("the last bar closes", || bars(&stage, "A").iter().any(|(close, ..)| *close == 51));
    service.stop();
    // A restart does not take event time back.
    stage.log.tell(0, &[trade("A", T + 50 * SECOND + 400_000, 4.0)]);
    let mut service = stage.run(&[]);
    service.wait("what belongs to closed bars is late still", || dead(&stage).len() > 1);
    service.stop();
    assert_eq!(dead(&stage), late(&[1, 3]));
    let found = bars(&stage, "A");
    assert_eq!((found[0], found[50]), ((1, 1, false), (51, 1, true)));
    let ahead = i64::try_from(begin.elapsed().as_secs()).unwrap() + 1;
    let last = found[found.len() - 1].0;
    assert!(last <= 51 + ahead, "{last} is further than {ahead} s ahead");
    assert!(found.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1), "{found:?}");
}
