//! The store with what the referee writes: outcomes, accuracy reports, retrain events.

use serde_json::{Value, json};

use crate::store::{MIDNIGHT, SECOND, assert_rows, prediction};
use crate::support::store::{Running, World, wait};

const DAY: i64 = 86_400 * SECOND;

/// An outcome of horizon 5, settled or not by its second.
pub fn outcome(symbol: &str, target_time: i64) -> Value {
    let settled = target_time / SECOND % 3 != 0;
    let or_null = |value: Value| if settled { value } else { Value::Null };
    json!({
        "kind": "outcome", "prediction_id": format!("{symbol}-{target_time}"), "symbol": symbol, "interval": "1s",
        "horizon": 5, "as_of": target_time - 5 * SECOND, "target_time": target_time, "model": "reference",
        "model_version": "1.0.0", "role": "champion", "p_down": 0.125, "p_flat": 0.25, "p_up": 0.625, "decision": "up",
        "reference_price": 100.5, "dead_band_bps": 1.5, "fee_bps": 10.0, "prior_return_bps": or_null(json!(-3.25)),
        "entry_price": or_null(json!(100.75)), "target_price": or_null(json!(101.0)),
        "realised_return_bps": or_null(json!(49.75)), "realised": or_null(json!("up")), "hit": or_null(json!(true)),
        "log_loss": or_null(json!(0.18)), "brier": or_null(json!(0.027)), "pnl_bps": or_null(json!(14.8)),
        "unscorable": if settled { Value::Null } else { json!("missing") }, "produced_at": MIDNIGHT + 17,
    })
}

/// A report, of one symbol or of all.
pub fn report(symbol: Option<&str>, as_of: i64) -> Value {
    let of_all = |value: Value| if symbol.is_none() { value } else { Value::Null };
    json!({
        "model": "reference", "model_version": "1.0.0", "interval": "1s", "horizon": 5, "symbol": symbol, "as_of": as_of,
        "window_start": as_of - 500 * SECOND, "cohorts": 101, "cohorts_total": 102, "scored": 103, "unscorable": 104,
        "late": 105, "n": 106, "n_effective": 21.5, "hit_rate": 0.51, "hit_low": 0.32, "hit_high": 0.71,
        "log_loss": 0.69, "brier": 0.24, "calibration_error": 0.03, "coverage": 0.9, "decided_n": 107,
        "decided_hit_rate": 0.52, "class_accuracy": 0.41, "class_log_loss": 1.09, "trades": 108, "pnl_bps": -12.5,
        "pnl_mean_bps": -0.1, "break_even": 0.57,
        "baselines": {
            "majority": {"hit_rate": 0.501, "log_loss": 0.691, "brier": 0.251},
            "persistence": {"hit_rate": 0.502, "log_loss": 0.692, "brier": 0.252},
            "reversal": {"hit_rate": null, "log_loss": null, "brier": null},
        },
        "state": of_all(json!("warning")), "since": of_all(json!(as_of - 7 * SECOND)),
        "reason": of_all(json!("cusum at 3.1 of 4.2\nsince the open: \"half-way\"")), "produced_at": MIDNIGHT + 18,
    })
}

fn request(id: &str) -> Value {
    json!({
        "request_id": id, "model": "reference", "model_version": "1.0.0", "interval": "1s", "horizon": 5,
        "requested_by": "judge", "requester": null, "reason": "hit rate fell", "as_of": MIDNIGHT, "detector": "cusum",
        "statistic": 5.5, "threshold": 4.2, "reference": 0.66, "deviation": 0.2, "data_from": MIDNIGHT - 90 * SECOND,
        "data_to": MIDNIGHT, "evidence": report(None, MIDNIGHT),
    })
}

fn closed(id: &str) -> Value {
    json!({"request_id": id, "model": "reference", "result": "rejected", "requester": "ann", "reason": "no better",
        "as_of": MIDNIGHT + SECOND})
}

fn headers<'a>(id: &'a str, kind: &'a str) -> [(&'a str, &'a str); 8] {
    [
        ("ce_specversion", "1.0"),
        ("ce_id", id),
        ("ce_source", "/tickcast"),
        ("ce_type", kind),
        ("ce_subject", "reference"),
        ("ce_time", "2024-08-10T00:00:01.000002Z"),
        ("content-type", "application/json"),
        ("schema_version", "1"),
    ]
}

const REQUESTED: &str = "io.tickcast.retrain.requested";
const CLOSED: &str = "io.tickcast.retrain.closed";

/// The row of an outcome.
pub fn outcome_row(mut record: Value) -> Value {
    record.as_object_mut().unwrap().remove("kind");
    record
}

/// The row of a report.
pub fn report_row(mut record: Value) -> Value {
    let fields = record.as_object_mut().unwrap();
    for (name, figures) in fields.remove("baselines").unwrap().as_object().unwrap() {
        for (figure, value) in figures.as_object().unwrap() {
            fields.insert(format!("{name}_{figure}"), value.clone());
        }
    }
    if fields["symbol"].is_null() {
        fields.insert("symbol".to_owned(), json!(""));
    }
    record
}

/// The row of an event: the record's fields, and null for those of the other kind.
fn event_row(id: &str, kind: &str, record: Value) -> Value {
    let mut row = json!({"event_id": id, "event_type": kind, "event_time": MIDNIGHT + SECOND + 2});
    let all = request("").as_object().unwrap().keys().cloned().chain(["result".to_owned()]).collect::<Vec<_>>();
    for field in all {
        row[&field] = record.get(&field).cloned().unwrap_or(Value::Null);
    }
    row
}

fn produce(world: &World, topic: &str, partition: i32, records: &[Value]) {
    let texts: Vec<_> = records.iter().map(Value::to_string).collect();
    world.produce(&texts.iter().map(|text| (topic, partition, text.as_str())).collect::<Vec<_>>());
}

#[test]
fn what_the_referee_writes_becomes_rows() {
    let Some(world) = World::new(2) else { return };
    let outcomes: Vec<_> =
        (0..60).map(|n| outcome(["A", "B/C"][n as usize % 2], MIDNIGHT + (n - 30) * SECOND)).collect();
    let passage = |kind: &str, n: i64| json!({"kind": kind, "model": "reference", "partition": 1, "time": MIDNIGHT + n, "produced_at": MIDNIGHT});
    let mut with_control = outcomes.clone();
    with_control.insert(7, passage("progress", 1));
    with_control.insert(40, passage("progress", 2));
    with_control.push(passage("left", 3));
    let reports: Vec<_> =
        (0..9).map(|n| report([None, Some("A"), Some("B/C")][n as usize % 3], MIDNIGHT + n / 3 * SECOND)).collect();
    produce(&world, &world.topics.outcomes, 0, &with_control);
    produce(&world, &world.topics.accuracy, 1, &reports);
    let mut by_hand = request("r2");
    for field in ["model_version", "interval", "horizon", "detector", "statistic", "threshold", "reference", "evidence"]
    {
        by_hand[field] = Value::Null;
    }
    by_hand["requested_by"] = json!("manual");
    by_hand["requester"] = json!("ann");
    world.produce_event(0, &headers("r1", REQUESTED), &request("r1").to_string());
    world.produce_event(1, &headers("r2", REQUESTED), &by_hand.to_string());
    world.produce_event(0, &headers("c1", CLOSED), &closed("r1").to_string());
    let rows_are_there = || {
        assert_rows(&world, "outcomes", outcomes.iter().cloned().map(outcome_row).collect());
        assert_rows(&world, "accuracy", reports.iter().cloned().map(report_row).collect());
        let events =
            [("r1", "requested", request("r1")), ("r2", "requested", by_hand.clone()), ("c1", "closed", closed("r1"))];
        assert_rows(&world, "retrains", events.map(|(id, kind, record)| event_row(id, kind, record)).to_vec());
    };

    let store = Running::start(world.settings("0", &["store.batch_rows=13"]));
    store.wait("all rows", |now| (now.outcomes, now.accuracy, now.retrain) == (60, 9, 3));
    let last = store.stop();
    assert_eq!((last.skipped, last.conflicts, last.retries), (0, 0, 0), "control records are passed over");
    rows_are_there();
    // The markers of the control records' transactions count too: nothing is read again.
    let all = "SELECT count(*) FROM sink_offsets WHERE topic LIKE '%outcomes' AND next_offset >= 63";
    assert_eq!(world.number(all), 1);

    // The same log once more gives the same rows.
    world.execute("UPDATE sink_offsets SET next_offset = 0");
    let store = Running::start(world.settings("0", &[]));
    store.wait("all rows again", |now| (now.outcomes, now.accuracy, now.retrain) == (60, 9, 3));
    assert_eq!(store.stop().skipped, 0);
    rows_are_there();

    assert_eq!(world.number("SELECT count(*) FROM outcomes_p20240809"), 30);
    assert_eq!(
        world.texts("SELECT DISTINCT symbol FROM accuracy_utc WHERE symbol IS NOT NULL ORDER BY 1"),
        ["A", "B/C"]
    );
    assert_eq!(world.number("SELECT count(*) FROM accuracy_utc WHERE symbol IS NULL AND since IS NOT NULL"), 3);
    assert_eq!(world.texts("SELECT min(target_time)::text FROM outcomes_utc"), ["2024-08-09 23:59:30+00"]);
    let open = "SELECT concat_ws(' ', request_id, requested_by, requester, requested_at) FROM retrains_open";
    assert_eq!(world.texts(open), ["r2 manual ann 2024-08-10 00:00:01.000002+00"]);
    assert_eq!(
        world.texts("SELECT evidence->'baselines'->'majority'->>'hit_rate' FROM retrains WHERE event_id = 'r1'"),
        ["0.501"]
    );
}

#[test]
fn what_the_referee_cannot_have_written_is_skipped_and_counted() {
    let Some(world) = World::new(1) else { return };
    let with = |mut record: Value, field: &str, value: Value| {
        record[field] = value;
        record
    };
    let good = outcome("A", MIDNIGHT);
    let outcomes = [
        json!("x"),
        with(good.clone(), "kind", json!("progress")),
        with(good.clone(), "kind", json!("verdict")),
        with(good.clone(), "symbol", json!("A B")),
        with(good.clone(), "target_time", json!(MIDNIGHT / 1_000)),
        with(good.clone(), "as_of", json!(i64::MAX)),
        with(good.clone(), "realised", json!("u".repeat(200))),
        with(good.clone(), "horizon", json!(u32::MAX)),
        good.clone(),
    ];
    let fine = report(None, MIDNIGHT);
    let reports = [
        with(fine.clone(), "n", json!(u64::MAX)),
        with(fine.clone(), "since", json!(-1)),
        with(fine.clone(), "reason", json!("r".repeat(1_001))),
        with(fine.clone(), "state", json!("o\u{0}k")),
        with(fine.clone(), "baselines", Value::Null),
        with(fine.clone(), "reason", json!("r".repeat(1_000))),
    ];
    produce(&world, &world.topics.outcomes, 0, &outcomes);
    produce(&world, &world.topics.accuracy, 0, &reports);
    let long = "i".repeat(200);
    let asked = request("r").to_string();
    let mut lying = headers("r", REQUESTED);
    lying[5].1 = "yesterday";
    let nul = with(request("r"), "evidence", with(report(None, MIDNIGHT), "reason", json!("a\u{0}b"))).to_string();
    let events: [(&[(&str, &str)], &str); 8] = [
        (&[], &asked),
        (&headers("", REQUESTED), &asked),
        (&headers(&long, REQUESTED), &asked),
        (&headers("r", "io.tickcast.retrain.forgotten"), &asked),
        (&headers("r", CLOSED), &asked),
        (&lying, &asked),
        (&headers("r", REQUESTED), &nul),
        (&headers("r", REQUESTED), &asked),
    ];
    for (headers, value) in events {
        world.produce_event(0, headers, value);
    }
    let store = Running::start(world.settings("0", &[]));
    store.wait("all records", |now| (now.outcomes, now.accuracy, now.retrain, now.skipped) == (1, 1, 1, 8 + 5 + 7));
    assert_eq!(store.stop().retries, 0, "PostgreSQL was asked to hold what it cannot");
    assert_rows(&world, "outcomes", vec![outcome_row(good)]);
    assert_rows(&world, "accuracy", vec![report_row(reports[5].clone())]);
    assert_rows(&world, "retrains", vec![event_row("r", "requested", request("r"))]);
}

/// What a view says, numbers as numbers.
fn view(world: &World, sql: &str) -> Vec<Value> {
    let rows = world.texts(&format!("SELECT row_to_json(v)::text FROM ({sql}) v"));
    rows.iter().map(|text| serde_json::from_str(text).unwrap()).collect()
}

/// Whether `row` has the fields of `wanted`, numbers to 1e-6.
fn says(row: &Value, wanted: &Value) -> bool {
    wanted.as_object().unwrap().iter().all(|(field, value)| match value.as_f64() {
        Some(number) => row[field].as_f64().is_some_and(|found| (found - number).abs() < 1e-6),
        None => row[field] == *value,
    })
}

#[test]
fn views_answer_what_a_person_asks() {
    let Some(world) = World::new(1) else { return };
    let settled = |symbol: &str,
                   target_time: i64,
                   (down, up): (f64, f64),
                   decision: &str,
                   came: (&str, bool),
                   loss: (f64, f64)| {
        let mut record = outcome(symbol, target_time);
        let moved = came.0 != "flat";
        let fields = json!({
            "p_down": down, "p_flat": 1.0 - down - up, "p_up": up, "decision": decision, "realised": came.0,
            "realised_return_bps": 0.0, "unscorable": null, "pnl_bps": null,
            "hit": moved.then_some(came.1), "log_loss": moved.then_some(loss.0), "brier": moved.then_some(loss.1),
        });
        record.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        record
    };
    let earned = |mut record: Value, pnl: f64| {
        record["pnl_bps"] = json!(pnl);
        record
    };
    let (ninth, tenth) = (MIDNIGHT - 60 * SECOND, MIDNIGHT + SECOND);
    let missing = outcome("B", ninth + 3 * SECOND);
    assert_eq!(missing["unscorable"], "missing");
    let records = [
        settled("C", MIDNIGHT - 8 * DAY, (0.75, 0.25), "down", ("up", false), (1.0, 0.5)),
        earned(settled("A", ninth, (0.25, 0.75), "up", ("up", true), (0.25, 0.1)), 5.0),
        earned(settled("A", ninth + SECOND, (0.25, 0.75), "up", ("down", false), (1.0, 0.5)), -15.0),
        settled("A", ninth + 2 * SECOND, (0.25, 0.25), "flat", ("up", false), (0.7, 0.25)),
        missing,
        earned(settled("B", ninth + 4 * SECOND, (0.0, 1.0), "up", ("flat", false), (0.0, 0.0)), -10.0),
        earned(settled("B", tenth, (0.25, 0.75), "up", ("up", true), (0.3, 0.0625)), 20.0),
        settled("B", tenth + SECOND, (0.0, 1.0), "abstain", ("down", false), (13.8, 1.0)),
        settled("B", tenth + 2 * SECOND, (0.0, 0.0), "flat", ("down", false), (0.7, 0.25)),
    ];
    produce(&world, &world.topics.outcomes, 0, &records);
    let store = Running::start(world.settings("0", &[]));
    store.wait("all rows", |now| now.outcomes == records.len() as u64);
    store.stop();

    let days = view(&world, "SELECT * FROM hit_rate_by_day ORDER BY day");
    let wanted = [
        json!({"day": "2024-08-02", "rows": 1, "n": 1, "hits": 0, "hit_rate": 0.0, "coverage": 1.0, "trades": 0, "pnl_bps": 0.0}),
        json!({"day": "2024-08-09", "model": "reference", "model_version": "1.0.0", "interval": "1s", "horizon": 5, "rows": 5,
            "n": 3, "hits": 1, "hit_rate": 1.0 / 3.0, "log_loss": 0.65, "brier": 0.85 / 3.0, "coverage": 0.75, "trades": 3,
            "pnl_bps": -20.0, "unscorable": 1}),
        json!({"day": "2024-08-10", "n": 3, "hits": 1, "coverage": 1.0 / 3.0, "trades": 1, "pnl_bps": 20.0, "unscorable": 0}),
    ];
    assert!(days.len() == 3 && days.iter().zip(&wanted).all(|(row, wanted)| says(row, wanted)), "{days:#?}");

    // A filter on the day reads that day alone.
    let plan = world
        .texts("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) SELECT * FROM hit_rate_by_day WHERE day = date '2024-08-09'");
    let grouped = plan.iter().skip_while(|line| !line.contains("Group Key")).filter(|line| line.contains("outcomes_p"));
    let (one, others): (Vec<_>, Vec<_>) = grouped.partition(|line| line.contains("_p20240809"));
    assert!(one.iter().any(|line| line.contains("loops=1")) && others.len() >= 2, "{plan:#?}");
    assert!(others.iter().all(|line| !line.contains("loops=")), "{plan:#?}");

    // C fell out: what it said is older than a week. Wilson by hand for 1 of 3.
    let symbols = view(&world, "SELECT * FROM worst_symbols");
    let wilson = json!({"n": 3, "hits": 1, "hit_rate": 1.0 / 3.0, "hit_low": 0.061_492, "hit_high": 0.792_340});
    let names: Vec<_> = symbols.iter().map(|row| row["symbol"].as_str().unwrap()).collect();
    assert_eq!(names, ["A", "B"], "{symbols:#?}");
    assert!(symbols.iter().all(|row| says(row, &wilson)), "{symbols:#?}");
    assert!(says(&symbols[1], &json!({"trades": 2, "pnl_bps": 10.0, "log_loss": 14.8 / 3.0})), "{symbols:#?}");

    let bins = view(&world, "SELECT * FROM calibration");
    let wanted = [
        json!({"bin": 5, "bin_from": 0.5, "bin_to": 0.6, "n": 2, "predicted_up": 0.5, "observed_up": 0.5}),
        json!({"bin": 7, "n": 3, "predicted_up": 0.75, "observed_up": 2.0 / 3.0}),
        json!({"bin": 9, "bin_to": 1.0, "n": 1, "predicted_up": 1.0, "observed_up": 0.0}),
    ];
    assert!(bins.len() == 3 && bins.iter().zip(&wanted).all(|(row, wanted)| says(row, wanted)), "{bins:#?}");
}

#[test]
fn an_older_database_comes_along() {
    let Some(world) = World::new(1) else { return };
    let first = include_str!("../../schemas/postgres/0001_tables.sql");
    world.execute(&format!(
        "CREATE TABLE tickcast_migrations (version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, \
           applied_at timestamptz NOT NULL DEFAULT now()); \
         {first}; \
         INSERT INTO tickcast_migrations (version, name, checksum) \
           VALUES (1, 'tables', encode(sha256(convert_to($sql${first}$sql$, 'UTF8')), 'hex')); \
         CREATE TABLE predictions_p20240810 PARTITION OF predictions FOR VALUES FROM ({MIDNIGHT}) TO ({}); \
         INSERT INTO predictions VALUES ('x', 'OLD', '1s', 1, {MIDNIGHT}, 2, 3, 4, 5, 6, true, false, 0.1, 0.2, 0.7, 'up', \
           '{{}}', 'm', '1', 'champion', NULL, 7, 8); \
         CREATE VIEW theirs AS SELECT symbol, as_of FROM predictions_utc",
        MIDNIGHT + DAY
    ));
    let said = prediction("NEW", MIDNIGHT, 1);
    let mut lacking = prediction("LACKING", MIDNIGHT, 1);
    lacking.as_object_mut().unwrap().remove("dead_band_bps");
    produce(&world, &world.topics.predictions, 0, &[said, lacking]);
    produce(&world, &world.topics.outcomes, 0, &[outcome("A", MIDNIGHT)]);
    let store = Running::start(world.settings("0", &[]));
    store.wait("new rows beside the old", |now| now.predictions == 2 && now.outcomes == 1);
    assert_eq!(store.stop().skipped, 0);
    let bands = "SELECT concat_ws(' ', symbol, dead_band_bps) FROM predictions_utc ORDER BY 1";
    assert_eq!(world.texts(bands), ["LACKING 0", "NEW 1.25", "OLD 0"]);
    assert_eq!(world.number("SELECT count(*) FROM theirs"), 3);
}

#[test]
fn topics_that_come_later_are_stored_then() {
    let Some(world) = World::new(1) else { return };
    world.delete_topics(&[&world.topics.outcomes, &world.topics.accuracy, &world.topics.retrain]);
    let said: Vec<_> = (0..20).map(|n| prediction("A", MIDNIGHT + n * SECOND, 1)).collect();
    let store = Running::start(world.settings("0", &[]));
    store.wait("an assignment", |now| now.unready.is_empty());
    produce(&world, &world.topics.predictions, 0, &said);
    store.wait("what there is", |now| now.predictions == 20);
    world.apply_topics(1);
    produce(&world, &world.topics.outcomes, 0, &[outcome("A", MIDNIGHT)]);
    wait("what came later", || store.snapshot().outcomes == 1);
    let last = store.stop();
    assert_eq!((last.predictions, last.skipped), (20, 0));
    assert_rows(&world, "predictions", said);
}
