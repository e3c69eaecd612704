//! The contract under `schemas/kafka/` against the code: a field or a reason on one side only fails here.

use std::collections::BTreeSet;

use serde_json::Value;

use super::accuracy::{AccuracyRecord, Baselines};
use super::retrain::{ClosedRecord, RequestRecord};
use super::{bar, outcome, prediction, retrain};
use crate::flow::bar::Bar;
use crate::flow::dead_letter::Reason;
use crate::flow::hex::Hex;
use crate::flow::outcome::{Outcome, Passage, Prices, Realised, Settled, Unscorable, settle};
use crate::flow::prediction::{AbstainReason, Decision, Prediction, Probabilities, Reference, Role};
use crate::flow::symbol::Symbol;
use crate::flow::trace_context::TRACEPARENT;

fn schema(text: &str) -> Value {
    serde_json::from_str(text).expect("a schema is JSON")
}

fn names(list: &Value) -> BTreeSet<String> {
    match list {
        Value::Array(values) => values.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
        Value::Object(fields) => fields.keys().cloned().collect(),
        _ => BTreeSet::new(),
    }
}

fn a_bar() -> Bar {
    Bar {
        symbol: Symbol::new("A").unwrap(),
        interval: "10s".parse().unwrap(),
        open_time: 0,
        close_time: 10_000_000,
        open: 1.0,
        high: 1.0,
        low: 1.0,
        close: 1.0,
        volume: 1.0,
        vwap: 1.0,
        trades: 1,
        buy_volume: 1.0,
        sell_volume: 0.0,
        complete: true,
        synthetic: false,
        last_event_time: 5,
    }
}

fn a_prediction() -> Prediction {
    Prediction {
        prediction_id: Hex::of(&[]),
        symbol: Symbol::new("A").unwrap(),
        interval: "10s".parse().unwrap(),
        horizon: 1,
        as_of: 1,
        target_time: 2,
        valid_until: 3,
        sequence: 4,
        reference: Reference::from(&a_bar()),
        dead_band_bps: 0.0,
        probabilities: Some(Probabilities { down: 0.1, flat: 0.2, up: 0.7 }),
        decision: Decision::Up,
        abstain_reasons: Vec::new(),
        model: "m".into(),
        model_version: "1".into(),
        role: Role::Champion,
        feature_digest: Some(Hex::of(&[])),
        max_event_time: 5,
    }
}

#[test]
fn records_have_the_fields_of_their_schemas() {
    let (mut bar_bytes, mut prediction_bytes) = (Vec::new(), Vec::new());
    bar::encode(&a_bar(), &mut bar_bytes);
    prediction::encode(&a_prediction(), 6, &mut prediction_bytes);
    for (text, bytes) in [
        (include_str!("../../schemas/kafka/bars.schema.json"), bar_bytes),
        (include_str!("../../schemas/kafka/predictions.schema.json"), prediction_bytes),
    ] {
        let (schema, record) = (schema(text), serde_json::from_slice::<Value>(&bytes).unwrap());
        assert_eq!(names(&record), names(&schema["properties"]));
        assert_eq!(names(&record), names(&schema["required"]));
    }
}

#[test]
fn reasons_and_decisions_are_those_of_the_schemas() {
    let dead = schema(include_str!("../../schemas/kafka/deadletter.schema.json"));
    let reasons: BTreeSet<String> = Reason::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(names(&dead["properties"]["reason"]["enum"]), reasons);
    let predictions = schema(include_str!("../../schemas/kafka/predictions.schema.json"));
    let abstain: BTreeSet<String> = AbstainReason::ALL.iter().map(|reason| reason.as_str().to_owned()).collect();
    assert_eq!(names(&predictions["properties"]["abstain_reasons"]["items"]["enum"]), abstain);
    let decisions = [Decision::Down, Decision::Flat, Decision::Up, Decision::Abstain];
    let decisions: BTreeSet<String> = decisions.iter().map(|decision| decision.as_str().to_owned()).collect();
    assert_eq!(names(&predictions["properties"]["decision"]["enum"]), decisions);
}

#[test]
fn what_a_tick_must_have_is_what_the_decoder_asks_for() {
    let ticks = schema(include_str!("../../schemas/kafka/ticks.schema.json"));
    let good = [
        r#"{"kind":"trade","symbol":"A","price":1,"size":1,"side":"buy","trade_id":"7","event_time":1723161240000000,"receive_time":1}"#,
        r#"{"kind":"gap","symbol":"A","from":1723161240000000,"to":1723161240000001}"#,
        r#"{"kind":"watermark","event_time":1723161240000000}"#,
    ];
    for (schema, json) in ticks["oneOf"].as_array().unwrap().iter().zip(good) {
        let record: Value = serde_json::from_str(json).unwrap();
        assert_eq!(names(&record), names(&schema["properties"]));
        for field in names(&record) {
            let mut without = record.clone();
            without.as_object_mut().unwrap().remove(&field);
            let json = without.to_string();
            let decoded = super::tick::decode(Some(json.as_bytes()), 1_000);
            let required = names(&schema["required"]).contains(&field);
            assert_eq!(decoded.is_err(), required, "{json} without {field}");
        }
    }
}

#[test]
fn the_headers_of_a_trace_are_as_the_schemas_say() {
    for text in [
        include_str!("../../schemas/kafka/ticks.schema.json"),
        include_str!("../../schemas/kafka/bars.schema.json"),
        include_str!("../../schemas/kafka/predictions.schema.json"),
        include_str!("../../schemas/kafka/outcomes.schema.json"),
    ] {
        let schema = schema(text);
        let headers = &schema["$defs"]["headers"]["properties"];
        let pattern = "^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$";
        assert_eq!(headers[TRACEPARENT]["pattern"], pattern, "{}", schema["title"]);
        if schema["title"] != "ticks" {
            assert_eq!(headers["schema_version"]["const"], super::SCHEMA_VERSION, "{}", schema["title"]);
        }
    }
}

/// The fields of `schema` are those of `record`, and all of them must be there.
fn same_fields(schema: &Value, record: &Value) {
    assert_eq!(names(record), names(&schema["properties"]), "{}", schema["title"]);
    assert_eq!(names(record), names(&schema["required"]), "{}", schema["title"]);
}

/// The words of an enum; its null is left out.
fn words<T>(list: &Value, all: impl IntoIterator<Item = T>, name: impl Fn(T) -> &'static str) {
    assert_eq!(names(list), all.into_iter().map(|word| name(word).to_owned()).collect());
}

#[test]
fn outcomes_and_their_control_records_are_as_their_schema_says() {
    let schema = schema(include_str!("../../schemas/kafka/outcomes.schema.json"));
    let settled = settle(
        Probabilities { down: 0.1, flat: 0.2, up: 0.7 },
        Decision::Up,
        0.0,
        10.0,
        Prices { reference: 1.0, entry: None, target: 2.0 },
    );
    let outcome = Outcome {
        prediction_id: "0".repeat(32).into(),
        symbol: Symbol::new("A").unwrap(),
        interval: "10s".parse().unwrap(),
        horizon: 1,
        as_of: 1,
        target_time: 2,
        model: "m".into(),
        model_version: "1".into(),
        role: Role::Champion,
        probabilities: Probabilities { down: 0.1, flat: 0.2, up: 0.7 },
        decision: Decision::Up,
        reference_price: 1.0,
        dead_band_bps: 0.0,
        fee_bps: 10.0,
        prior_return_bps: None,
        settlement: Ok(settled),
    };
    let passage = Passage { model: "m".into(), partition: 0, time: 2 };
    let kinds = [Settled::Outcome(outcome), Settled::Progress(passage.clone()), Settled::Left(passage)];
    let schemas = schema["oneOf"].as_array().unwrap();
    assert_eq!(schemas.len(), kinds.len());
    for (schema, settled) in schemas.iter().zip(kinds) {
        let mut bytes = Vec::new();
        outcome::encode(&settled, 3, &mut bytes);
        let record: Value = serde_json::from_slice(&bytes).unwrap();
        same_fields(schema, &record);
        assert_eq!(schema["properties"]["kind"]["const"], record["kind"]);
    }
    let fields = &schemas[0]["properties"];
    words(&fields["realised"]["enum"], Realised::ALL, Realised::as_str);
    words(&fields["unscorable"]["enum"], Unscorable::ALL, Unscorable::as_str);
    let decisions = [Decision::Down, Decision::Flat, Decision::Up, Decision::Abstain];
    words(&fields["decision"]["enum"], decisions, Decision::as_str);
}

fn a_report() -> AccuracyRecord<'static> {
    AccuracyRecord {
        model: "m".into(),
        model_version: "1".into(),
        interval: "10s".into(),
        horizon: 1,
        symbol: None,
        as_of: 1,
        window_start: 1,
        cohorts: 1,
        cohorts_total: 1,
        scored: 1,
        unscorable: 0,
        late: 0,
        n: 0,
        n_effective: 0.0,
        hit_rate: None,
        hit_low: None,
        hit_high: None,
        log_loss: None,
        brier: None,
        calibration_error: None,
        coverage: None,
        decided_n: 0,
        decided_hit_rate: None,
        class_accuracy: None,
        class_log_loss: None,
        trades: 0,
        pnl_bps: 0.0,
        pnl_mean_bps: None,
        break_even: None,
        baselines: Baselines::default(),
        state: None,
        since: None,
        reason: None,
        produced_at: 1,
    }
}

#[test]
fn reports_are_as_their_schema_says() {
    let schema = schema(include_str!("../../schemas/kafka/accuracy.schema.json"));
    let record = serde_json::to_value(a_report()).unwrap();
    same_fields(&schema, &record);
    let (baselines, described) = (&record["baselines"], &schema["properties"]["baselines"]);
    same_fields(described, baselines);
    for name in names(baselines) {
        same_fields(&described["properties"][&name], &baselines[&name]);
    }
}

#[test]
fn retrain_events_are_as_their_schema_says() {
    let schema = schema(include_str!("../../schemas/kafka/retrain.schema.json"));
    let request = RequestRecord {
        request_id: "r".into(),
        model: "m".into(),
        model_version: None,
        interval: None,
        horizon: None,
        requested_by: "judge".into(),
        requester: None,
        reason: "because".into(),
        as_of: 1,
        detector: None,
        statistic: None,
        threshold: None,
        reference: None,
        deviation: None,
        data_from: None,
        data_to: None,
        evidence: Some(a_report()),
    };
    let closed = ClosedRecord {
        request_id: "r".into(),
        model: "m".into(),
        result: "promoted".into(),
        requester: None,
        reason: "better".into(),
        as_of: 1,
    };
    same_fields(&schema["oneOf"][0], &serde_json::to_value(request).unwrap());
    same_fields(&schema["oneOf"][1], &serde_json::to_value(closed).unwrap());
    let headers = &schema["$defs"]["headers"]["properties"];
    words(&headers["ce_type"]["enum"], [retrain::REQUESTED, retrain::CLOSED], |kind| kind);
    assert_eq!(headers["ce_specversion"]["const"], retrain::SPEC_VERSION);
    assert_eq!(headers["content-type"]["const"], retrain::CONTENT_TYPE);
    assert_eq!(headers["schema_version"]["const"], super::SCHEMA_VERSION);
}
