//! The trace of a tick goes on in the headers of what it causes: bars, predictions and, bars later, their outcomes. With a
//! collector, spans stand between them.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::collector::{Collector, Span};
use crate::support::raw::{Read, trade};
use crate::support::stage::{Stage, metric};

const SECOND: i64 = 1_000_000;
const T: i64 = 1_723_161_600 * SECOND;
/// The reference model wants 319 bars before it speaks, and the first one is not complete.
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
        assert_eq!(record.headers.get("traceparent"), good(end).as_ref(), "{value}");
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

/// The good one of what the tick carries that closes this bar.
fn good(closes: i64) -> Option<String> {
    carried(closes).filter(|text| *text == text.to_lowercase())
}

/// Trace, span and flags of a record.
fn ids(record: &Read) -> (String, String, String) {
    let text = record.headers.get("traceparent").unwrap_or_else(|| panic!("{} has none", record.json()));
    let fields: Vec<&str> = text.split('-').collect();
    (fields[1].to_owned(), fields[2].to_owned(), fields[3].to_owned())
}

/// Where bars before this one end.
fn end_of(record: &Read, time: &str) -> i64 {
    (record.json()[time].as_i64().expect("a time") - T) / SECOND
}

/// A span per cycle between the tick and what it closes, one per bar end that settles.
#[test]
fn spans_stand_between_tick_and_outcome() {
    let collector = Collector::start();
    let endpoint = format!("otlp.endpoint=http://{}", collector.address);
    let sets = ["bars.allowed_lateness=0s", &endpoint, "otlp.max_queue=100000"];
    let Some(stage) = Stage::new("spans", 1, &sets) else { return };
    let end = SPEAKS + 20;
    stage.log.tell_traced(0, &ticks(0..end));
    let mut service = stage.run_as("forecast,settle", &[]);
    service.wait("all but the last bar", || stage.log.drained() && stage.log.worked_off("settle", "predictions"));
    // What is not sent yet is sent on the way out.
    let before = stage.log.written("predictions");
    stage.log.tell_traced(0, &ticks(end..end + 1));
    service.wait("the last bar", || stage.log.written("predictions") > before);
    service.stop();
    let end = end + 1;

    let spans = collector.spans();
    let end_of_span = |span: &Span| (span.attributes["bar_end"] - T) / SECOND;
    let of = |name: &'static str| spans.iter().filter(move |span| span.name == name);
    let cycles: BTreeMap<i64, &Span> = of("cycle").map(|cycle| (end_of_span(cycle), cycle)).collect();
    assert_eq!(cycles.keys().copied().collect::<Vec<_>>(), (1..end).collect::<Vec<_>>());
    for (closes, cycle) in &cycles {
        let expected = [("partition", 0), ("symbols", 2), ("scored", if *closes <= SPEAKS { 0 } else { 2 })];
        expected.iter().for_each(|(name, value)| assert_eq!(cycle.attributes[*name], *value, "{name} of {cycle:?}"));
        match good(*closes) {
            Some(text) => assert_eq!(format!("00-{}-{}-01", cycle.trace, cycle.parent), text),
            None => assert_eq!(cycle.parent, "", "the first of its trace: {cycle:?}"),
        }
        for part in ["features_and_scoring", "commit"] {
            let parts: Vec<_> = of(part).filter(|span| span.parent == cycle.id).collect();
            assert_eq!(parts.len(), 1, "{part} of {cycle:?}");
            let part = parts[0];
            assert_eq!(part.trace, cycle.trace);
            assert!(cycle.begun <= part.begun && part.begun <= part.ended && part.ended <= cycle.ended, "{part:?}");
        }
    }
    let mut said = BTreeMap::new();
    for (records, time) in [(stage.read("bars"), "close_time"), (stage.read("predictions"), "as_of")] {
        for record in records {
            let cycle = cycles[&end_of(&record, time)];
            assert_eq!(ids(&record), (cycle.trace.clone(), cycle.id.clone(), "01".to_owned()));
            said.insert(record.json()["prediction_id"].to_string(), record);
        }
    }
    let mut outcomes = 0;
    for record in stage.read("outcomes").iter().filter(|record| record.json()["kind"] == "outcome") {
        let prediction = &said[&record.json()["prediction_id"].to_string()];
        assert_eq!(record.headers["traceparent"], prediction.headers["traceparent"]);
        let (end, (trace, span, _)) = (end_of(record, "target_time"), ids(prediction));
        let link = (trace, span);
        assert!(
            of("settle").any(|settle| end_of_span(settle) == end && settle.links.contains(&link)),
            "{end}: {link:?}"
        );
        outcomes += 1;
    }
    assert_eq!(of("settle").map(|settle| settle.attributes["outcomes"]).sum::<i64>(), outcomes);
    assert!(outcomes > 20, "{outcomes} outcomes");
    assert!(of("settle").all(|settle| settle.parent == cycles[&end_of_span(settle)].id), "part of the cycle's trace");
}

/// A collector that never answers: the lane does not wait for it, what it cannot take is counted, and the process ends.
#[test]
fn a_mute_collector_holds_nothing_up() {
    let endpoint = format!("otlp.endpoint=http://{}", Collector::mute());
    let small = ["otlp.max_queue=64", "otlp.timeout=1s", "otlp.sample_ratio=0"];
    let sets = [&["bars.allowed_lateness=0s", &endpoint][..], &small].concat();
    let Some(stage) = Stage::new("mute", 1, &sets) else { return };
    stage.log.tell_traced(0, &ticks(0..200));
    let metrics = stage.forecast(&[]);
    let bars = stage.read("bars");
    assert_eq!(bars.len(), 2 * 199);
    for bar in &bars {
        // What the bar belongs to is said all the same, by the span or, where there is no room for one, by the tick itself.
        match good(end_of(bar, "close_time")) {
            Some(text) => assert_eq!(ids(bar).0, text[3..35], "{}", bar.json()),
            // Nobody wants a trace of its own.
            None => assert!(!bar.headers.contains_key("traceparent") || ids(bar).2 == "00", "{}", bar.json()),
        }
    }
    let lost = metric(&metrics, "tickcast_spans_total{result=\"dropped\"}");
    assert!(lost >= 100, "{lost} of some 300 spans had no room");
    assert_eq!(metric(&metrics, "tickcast_spans_total{result=\"exported\"}"), 0);
}
