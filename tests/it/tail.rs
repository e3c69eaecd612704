//! `tickcast tail` against what is hard to read: transactions, bytes that are no text, markers at the end.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::{Value, json};

use crate::support;
use crate::support::tool::Tool;

const TIMEOUT: Duration = Duration::from_secs(20);

fn producer(tool: &Tool, transactional: bool) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &tool.config.kafka.brokers).set("enable.idempotence", "true");
    if transactional {
        config.set("transactional.id", support::unique("tail")).set("transaction.timeout.ms", "60000");
    }
    let producer: BaseProducer = config.create().expect("a producer");
    if transactional {
        producer.init_transactions(TIMEOUT).expect("transactions");
    }
    producer
}

fn send(producer: &BaseProducer, topic: &str, values: &[&str]) {
    for value in values {
        let record = BaseRecord::<(), str>::to(topic).partition(0).payload(value);
        producer.send(record).map_err(|(error, _)| error).expect("room in the queue");
    }
    producer.flush(TIMEOUT).expect("delivery");
}

fn values(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["value"].as_str().expect("text")).collect()
}

#[test]
fn committed_records_only_and_markers_do_not_hold_up_the_end() {
    let Some(tool) = Tool::new("tailtx", 1, &[]) else { return };
    let (topic, producer) = (tool.topic("bars"), producer(&tool, true));
    producer.begin_transaction().unwrap();
    send(&producer, &topic, &["a", "b"]);
    producer.commit_transaction(TIMEOUT).unwrap();
    assert_eq!(values(&tool.tail("bars")), ["a", "b"]);
    producer.begin_transaction().unwrap();
    send(&producer, &topic, &["x", "y"]);
    producer.abort_transaction(TIMEOUT).unwrap();
    assert_eq!(values(&tool.tail("bars")), ["a", "b"]);
}

#[test]
fn what_is_undecided_at_the_start_is_waited_for() {
    let Some(tool) = Tool::new("tailopen", 1, &[]) else { return };
    let (topic, producer) = (tool.topic("bars"), producer(&tool, true));
    producer.begin_transaction().unwrap();
    send(&producer, &topic, &["late"]);
    let mut child = tool.start(&["tail", "bars", "--from-beginning", "--until-end", "--json"]);
    // It must still be there after the time that a tail of nothing takes, several times over.
    std::thread::sleep(Duration::from_secs(2));
    assert!(child.try_wait().unwrap().is_none(), "it ended before the transaction was decided");
    producer.commit_transaction(TIMEOUT).unwrap();
    let output = child.wait_with_output().unwrap();
    let record: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(record["value"], "late");
}

#[test]
fn every_kind_of_bytes_has_its_form() {
    let Some(tool) = Tool::new("tailbytes", 1, &[]) else { return };
    let (topic, producer) = (tool.topic("deadletter"), producer(&tool, false));
    let headers = OwnedHeaders::new()
        .insert(Header { key: "reason", value: Some("late") })
        .insert(Header { key: "raw", value: Some(&[0xff_u8, 0xfe][..]) })
        .insert(Header { key: "none", value: None::<&str> })
        .insert(Header { key: "reason", value: Some("malformed") });
    let record = BaseRecord::to(&topic).partition(0).key("k\"1").payload("{\"a\": [1,\n2.50]}").headers(headers);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    let bytes = BaseRecord::to(&topic).partition(0).key(&[0xff_u8][..]).payload(&[0x80_u8, 0x00][..]);
    producer.send(bytes).map_err(|(error, _)| error).unwrap();
    producer.send(BaseRecord::<(), ()>::to(&topic).partition(0)).map_err(|(error, _)| error).unwrap();
    send(&producer, &topic, &["{broken"]);
    let records = tool.tail(&topic);
    assert_eq!(records.len(), 4);
    assert_eq!((&records[0]["topic"], &records[0]["offset"]), (&json!(topic), &json!(0)));
    assert!(records[0]["timestamp_ms"].as_i64().unwrap() > 1_700_000_000_000);
    assert_eq!((&records[0]["key"], &records[0]["value"]), (&json!("k\"1"), &json!({"a": [1, 2.5]})));
    assert_eq!(records[0]["headers"], json!({"raw": {"base64": "//4="}, "none": null, "reason": "malformed"}));
    assert_eq!((&records[1]["key"], &records[1]["value"]), (&json!({"base64": "/w=="}), &json!({"base64": "gAA="})));
    assert_eq!((&records[2]["key"], &records[2]["value"]), (&Value::Null, &Value::Null));
    assert_eq!(records[3]["value"], "{broken");
    let plain = tool.ok(&["tail", &topic, "--from-beginning", "--until-end", "--max", "1"]);
    assert_eq!(plain.lines().count(), 1);
}

#[test]
fn nothing_stays_on_the_broker_and_errors_name_the_topic() {
    let Some(tool) = Tool::new("tailgroup", 2, &[]) else { return };
    assert_eq!(tool.tail("bars").len(), 0);
    let producer = producer(&tool, false);
    let groups = producer.client().fetch_group_list(None, TIMEOUT).unwrap();
    assert!(groups.groups().iter().all(|group| !group.name().starts_with(&tool.config.kafka.group)));
    let absent = tool.call(&["tail", "nonsense", "--until-end"]);
    assert!(absent.code == Some(1) && absent.err.contains(&tool.topic("nonsense")), "{absent:?}");
    let partition = tool.call(&["tail", "bars", "--until-end", "--partition", "7"]);
    assert!(partition.code == Some(1) && partition.err.contains("no partition 7"), "{partition:?}");
}
