//! The contract under `schemas/kafka/` against the code: a field or a reason on one side only fails here.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{bar, prediction};
use crate::flow::bar::Bar;
use crate::flow::dead_letter::Reason;
use crate::flow::prediction::{AbstainReason, Decision, Prediction, Probabilities, Reference, Role};
use crate::flow::symbol::Symbol;

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
        prediction_id: "0".repeat(32),
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
        feature_digest: Some("0".repeat(16)),
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
