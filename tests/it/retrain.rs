//! Requests by hand: CloudEvents in the model's partition, one open at a time, closed by id.

use serde_json::{Value, json};
use tickcast::flow::partitioner;

use crate::support::stage::Stage;

fn asked(stage: &Stage, more: &[&str]) -> Value {
    let out =
        stage.ok(&[&["retrain", "--model", "m", "--reason", "new market", "--by", "ann", "--json"], more].concat());
    serde_json::from_str(&out).unwrap()
}

#[test]
fn one_request_is_open_until_it_is_closed() {
    let Some(stage) = Stage::new("retrain_by_hand", 3, &[]) else { return };
    let first = asked(&stage, &[]);
    assert_eq!(first["outcome"], "requested");
    let id = first["request_id"].as_str().unwrap();
    assert_eq!(asked(&stage, &[]), json!({"request_id": id, "model": "m", "outcome": "open"}));

    let wrong = ["retrain", "--model", "m", "--reason", "x", "--close", "nonsense", "--result", "rejected"];
    let refused = stage.call(&wrong);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains(&format!("it is not the open request of model m: that is {id}")), "{}", refused.err);
    assert_eq!(asked(&stage, &["--close", id, "--result", "rejected"])["outcome"], "closed");
    assert_ne!(asked(&stage, &[])["request_id"], id);

    let events = stage.read("retrain");
    let types: Vec<_> = events.iter().map(|event| event.headers["ce_type"].rsplit('.').next().unwrap()).collect();
    assert_eq!(types, ["requested", "closed", "requested"]);
    for event in &events {
        assert_eq!(event.partition, partitioner::partition(b"m", 3));
        assert_eq!(event.key.as_deref(), Some(&b"m"[..]));
        for (name, value) in [("ce_specversion", "1.0"), ("ce_subject", "m"), ("content-type", "application/json")] {
            assert_eq!(event.headers[name], value);
        }
        let time = &event.headers["ce_time"];
        assert!(time.ends_with('Z') && time.contains('T'), "{time}");
    }
    assert_eq!(events[0].headers["ce_id"], id);
    let request = events[0].json();
    assert_eq!(
        (&request["request_id"], &request["requested_by"], &request["requester"]),
        (&json!(id), &json!("manual"), &json!("ann"))
    );
    assert_eq!((&events[1].json()["request_id"], &events[1].json()["result"]), (&json!(id), &json!("rejected")));
    assert_ne!(events[1].headers["ce_id"], id, "every event has an id of its own");
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let Some(stage) = Stage::new("retrain_refused", 1, &[]) else { return };
    for (args, code) in [
        (&["retrain", "--model", "m", "--reason", " "][..], 2),
        (&["retrain", "--model", "", "--reason", "x"], 2),
        (&["retrain", "--model", "m"], 2),
        (&["retrain", "--model", "m", "--reason", "x", "--close", "id"], 2),
    ] {
        assert_eq!(stage.call(args).code, code, "{args:?}");
    }
    assert!(stage.read("retrain").is_empty());
}
