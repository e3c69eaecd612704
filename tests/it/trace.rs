//! The trace of a tick goes on in the headers of what it causes: bars, predictions and, bars later, their outcomes.

use std::collections::BTreeSet;

use crate::support::raw::{Read, trade};
use crate::support::stage::{Stage, metric};

const SECOND: i64 = 1_000_000;
const T: i64 = 1_723_161_600 * SECOND;
/// The reference model wants 319 bars before it speaks.
const SPEAKS: i64 = 319;

/// A context that names the bar which its tick closes, and whose tick it is.
fn context(closes: i64, symbol: u8) -> String {
    format!("00-{:032x}-{symbol:016x}-01", (i128::from(closes) << 64) + 1)
}

/// What the tick carries that closes this bar: a context, one that is none, or nothing.
fn carried(closes: i64) -> Option<String> {
    match closes % 4 {
        0 => None,
        1 => Some(context(closes, 0xa).to_uppercase()),
        _ => Some(context(closes, 0xa)),
    }
}

/// One bar for each of these seconds: A trades first and closes the bar before, B trades within it.
fn ticks(seconds: std::ops::Range<i64>) -> Vec<(String, Option<String>)> {
    seconds
        .flat_map(|second| {
            let (at, price) = (T + second * SECOND, 100.0 + (second % 7) as f64);
            let first = (trade("A", at + 100_000, price), carried(second));
            [first, (trade("B", at + 200_000, price), Some(context(second, 0xb)))]
        })
        .collect()
}

/// Fails unless every record that belongs to a bar carries what its tick carried, and nothing else.
fn assert_traced(records: &[Read], time: &str) -> BTreeSet<i64> {
    let mut ends = BTreeSet::new();
    for record in records {
        let value = record.json();
        let Some(end) = value[time].as_i64().map(|end| (end - T) / SECOND) else {
            assert!(!record.headers.contains_key("traceparent"), "{value}");
            continue;
        };
        let expected = carried(end).filter(|text| text.starts_with("00-") && *text == text.to_lowercase());
        assert_eq!(record.headers.get("traceparent"), expected.as_ref(), "{value}");
        assert_eq!(record.headers["schema_version"], "1");
        ends.insert(end);
    }
    ends
}

/// Predictions wait for their targets when the process is killed: their outcomes belong to the old traces all the same.
#[test]
fn from_tick_to_outcome_over_a_crash() {
    let Some(stage) = Stage::new("trace", 1, &["bars.allowed_lateness=0s"]) else { return };
    let worked_off = || stage.log.drained() && stage.log.worked_off("settle", "predictions");
    let (crash, end) = (SPEAKS + 8, SPEAKS + 20);
    stage.log.tell_traced(0, &ticks(0..crash));
    let mut service = stage.run_as("forecast,settle", &[]);
    service.wait("the first half", worked_off);
    let metrics = service.get("/metrics").1;
    let bad = (1..crash).filter(|closes| closes % 4 == 1).count() as u64;
    assert_eq!(metric(&metrics, "tickcast_bad_traceparents_total"), bad);
    let before = stage.read("outcomes").len();
    // kill -9
    drop(service);
    stage.log.tell_traced(0, &ticks(crash..end));
    let mut service = stage.run_as("forecast,settle", &[]);
    service.wait("the second half", worked_off);
    service.stop();

    assert_eq!(assert_traced(&stage.read("bars"), "close_time"), (1..end).collect());
    assert_eq!(assert_traced(&stage.read("predictions"), "as_of"), (1..end).collect());
    let outcomes = stage.read("outcomes");
    assert_traced(&outcomes, "as_of");
    let of_before = |outcome: &&Read| outcome.json()["as_of"].as_i64().is_some_and(|as_of| as_of < T + crash * SECOND);
    let crossed: Vec<&Read> = outcomes[before..].iter().filter(of_before).collect();
    assert!(crossed.iter().any(|outcome| outcome.headers.contains_key("traceparent")), "{} cross it", crossed.len());
}
