//! A run over Kafka and a backtest of the same files say the same: predictions, outcomes and reports, field for field but
//! `produced_at`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::referee::judge_all;
use crate::support::direct;
use crate::support::parquet::rows;
use crate::support::six;
use crate::support::stage::Stage;

const PARTITIONS: i32 = 3;

/// Records without what a clock made, and without what only the topic needs.
fn plain(mut value: Value) -> Value {
    let fields = value.as_object_mut().unwrap();
    fields.remove("produced_at");
    fields.remove("kind");
    // A whole number may be written with or without its zero.
    fields.values_mut().for_each(|field| {
        if let Some(number) = field.as_f64() {
            *field = number.into();
        }
    });
    value
}

fn by<'a>(values: Vec<Value>, key: impl Fn(&Value) -> String + 'a) -> BTreeMap<String, Value> {
    let count = values.len();
    let map: BTreeMap<_, _> = values.into_iter().map(|value| (key(&value), plain(value))).collect();
    assert_eq!(map.len(), count, "each once");
    map
}

fn text(value: &Value, names: &[&str]) -> String {
    names.iter().map(|name| value[*name].to_string()).collect::<Vec<_>>().join("|")
}

fn agree(what: &str, live: &BTreeMap<String, Value>, test: &BTreeMap<String, Value>, least: usize) {
    assert!(live.len() >= least, "{what}: {} live", live.len());
    for (key, value) in live {
        assert_eq!(Some(value), test.get(key), "{what} {key}: live, and what the backtest says");
    }
    assert_eq!(live.len(), test.len(), "{what}");
}

#[test]
fn live_and_backtest() {
    let Some(data) = direct::data() else { return };
    let sets =
        ["judge.report_every=5", "judge.window=60", "judge.baseline_n=20", "judge.in_control=300", "judge.drop=0.1"];
    let Some(stage) = Stage::new("live_and_backtest", PARTITIONS, &sets) else { return };
    let files = six::sources(&data);
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    stage.ok(&[&["replay", "--speed", "max"][..], &files].concat());
    let service = stage.run_as("forecast,verify", &[]);
    judge_all(&stage, PARTITIONS, vec![service]);

    let folder = stage.path("backtest");
    let output = folder.to_str().unwrap();
    let partitions = PARTITIONS.to_string();
    stage.ok(&[&["backtest", "--partitions", &partitions, "--output", output, "--predictions"][..], &files].concat());

    let live = |topic: &str| stage.read(topic).iter().map(|record| record.json()).collect::<Vec<_>>();
    let id = |value: &Value| text(value, &["prediction_id"]);
    agree("prediction", &by(live("predictions"), id), &by(rows(&folder.join("predictions.parquet")), id), 10_000);

    let outcomes = live("outcomes").into_iter().filter(|value| value["kind"] == "outcome").collect();
    agree("outcome", &by(outcomes, id), &by(rows(&folder.join("outcomes.parquet")), id), 1_000);

    let report = |value: &Value| text(value, &["model", "model_version", "interval", "horizon", "symbol", "as_of"]);
    let lines = |name: &str| {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    agree("report", &by(live("accuracy"), report), &by(lines("accuracy.jsonl"), report), 300);

    let requests = |values: Vec<Value>| values.iter().map(|v| v["request_id"].clone()).collect::<Vec<_>>();
    assert_eq!(requests(live("retrain")), requests(lines("retrains.jsonl")));
}
