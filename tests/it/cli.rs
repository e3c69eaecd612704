//! The command line from outside: exit codes (0 done, 2 usage or configuration, 1 anything else) and what is said with them.

use std::time::Instant;

use serde_json::{Value, json};

use crate::support::raw::trade;
use crate::support::stage::{Outcome, Stage, bare, free_address};

const T: i64 = 1_723_161_600_000_000;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn says(outcome: &Outcome, code: i32, parts: &[&str]) {
    assert_eq!(outcome.code, code, "{}{}", outcome.out, outcome.err);
    for part in parts {
        assert!(outcome.err.contains(part), "no `{part}` in: {}", outcome.err);
    }
}

#[test]
fn usage_and_configuration_end_with_2() {
    let folder = folder();
    std::fs::write(folder.path().join("bad.toml"), "[bars]\ninterval = \"7s\"\n").unwrap();
    std::fs::write(folder.path().join("broken.toml"), "[bars\n").unwrap();
    let cases: [(&[&str], &[&str]); 16] = [
        (&[], &["Usage"]),
        (&["nonsense"], &["nonsense"]),
        (&["run", "--nonsense"], &["--nonsense"]),
        (&["run", "--roles", "nonsense"], &["nonsense"]),
        (&["replay"], &["FILE"]),
        (&["replay", "a.csv", "--speed", "fast"], &["fast", "max"]),
        (&["tail"], &["TOPIC"]),
        (&["topics", "apply"], &["--partitions"]),
        (&["topics", "apply", "--partitions", "0"], &["0"]),
        (&["check", "--set", "kafka.broker=x"], &["broker"]),
        (&["check", "--set", "kafka.brokers"], &["kafka.brokers", "key=value"]),
        (&["check", "--set", "bars.interval=7s"], &["7s", "divides a day"]),
        (&["check", "--set", "bars.idle_timeout=soon"], &["soon"]),
        (&["check", "--config", "bad.toml"], &["7s"]),
        (&["check", "--config", "broken.toml"], &["broken.toml"]),
        (&["run", "--config", "absent.toml"], &["absent.toml"]),
    ];
    for (args, parts) in cases {
        says(&bare(folder.path(), args, &[]), 2, parts);
    }
    // Every problem at once, wherever it comes from.
    let args = ["run", "--set", "forecast.lanes=0", "--set", "http.listen=0.0.0.0:80"];
    let outcome = bare(folder.path(), &args, &[("TICKCAST__LOG__FORMAT", "xml"), ("TICKCAST__KAFKA__GROUP", "")]);
    says(&outcome, 2, &["forecast.lanes", "http.listen", "log.format", "kafka.group"]);
    let outcome = bare(folder.path(), &["check"], &[("TICKCAST__BARS__INTERVALL", "1m")]);
    says(&outcome, 2, &["intervall"]);
}

#[test]
fn check_prints_settings_and_no_secrets() {
    let folder = folder();
    std::fs::write(folder.path().join("secret"), "hunter3\n").unwrap();
    let set = ["bars.interval=60s", "bars.idle_timeout=off", "kafka.sasl_password_file=secret"];
    let args: Vec<_> = ["check"].into_iter().chain(set.iter().flat_map(|set| ["--set", set])).collect();
    let env = [
        ("TICKCAST__POSTGRES__URL", "postgres://me:hunter2@localhost/db"),
        ("TICKCAST__KAFKA__SASL_PASSWORD", "hunter1"),
        ("TICKCAST__KAFKA__GROUP", "of-the-environment"),
    ];
    let outcome = bare(folder.path(), &args, &env);
    says(&outcome, 0, &[]);
    assert!(outcome.out.contains("1m") && outcome.out.contains("of-the-environment"), "{}", outcome.out);
    assert!(!outcome.out.contains("hunter") && !outcome.err.contains("hunter"), "{}{}", outcome.out, outcome.err);

    let defaults = bare(folder.path(), &["check", "--defaults"], &[]);
    says(&defaults, 0, &[]);
    std::fs::write(folder.path().join("defaults.toml"), &defaults.out).unwrap();
    says(&bare(folder.path(), &["check", "--config", "defaults.toml"], &[]), 0, &[]);
    says(&bare(folder.path(), &["--version"], &[]), 0, &[]);
    says(&bare(folder.path(), &["--help"], &[]), 0, &[]);
}

/// Nobody listens there: each command says so in time and ends with 1.
#[test]
fn without_kafka_commands_end_with_1() {
    let folder = folder();
    std::fs::write(folder.path().join("a.csv"), format!("ts_us,symbol,price,size\n{T},A,1,1\n")).unwrap();
    let nobody = format!("kafka.brokers={}", free_address());
    let cases: [&[&str]; 4] =
        [&["tail", "bars", "--until-end"], &["topics", "apply", "--partitions", "1"], &["replay", "a.csv"], &["run"]];
    std::thread::scope(|scope| {
        for args in cases {
            let (folder, nobody) = (folder.path(), &nobody);
            scope.spawn(move || {
                let begin = Instant::now();
                let all: Vec<_> = args.iter().copied().chain(["--set", nobody, "--set", "http.listen=off"]).collect();
                says(&bare(folder, &all, &[]), 1, &["Kafka"]);
                assert!(begin.elapsed().as_secs() < 60, "{args:?}: {:?}", begin.elapsed());
            });
        }
    });
}

#[test]
fn topics_are_needed_and_made_once() {
    let Some(stage) = Stage::new("cli_topics", 2, &[]) else { return };
    assert!(stage.ok(&["topics", "apply", "--partitions", "2"]).contains("unchanged"));
    says(&stage.call(&["topics", "apply", "--partitions", "3"]), 1, &["has 2 partitions where 3 are needed"]);
    stage.ok(&["topics", "check"]);
    stage.ok(&["check", "--connect"]);
    let mut elsewhere = vec!["--set".to_owned(), format!("kafka.topic_prefix=none-{}", stage.prefix)];
    elsewhere.extend(["--set".to_owned(), "http.listen=off".to_owned()]);
    let cases: [&[&str]; 5] = [
        &["check", "--connect"],
        &["topics", "check"],
        &["run"],
        &["tail", "bars", "--until-end"],
        &["replay", "a.csv"],
    ];
    std::fs::write(stage.path("a.csv"), format!("ts_us,symbol,price,size\n{T},A,1,1\n")).unwrap();
    for args in cases {
        let all: Vec<_> = args.iter().copied().chain(elsewhere.iter().map(String::as_str)).collect();
        says(&bare(stage.folder.path(), &all, &[]), 1, &["none-"]);
    }
}

#[test]
fn a_taken_port_is_named() {
    let Some(stage) = Stage::new("port", 1, &[]) else { return };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("http.listen={}", taken.local_addr().unwrap());
    let mut service = stage.run(&[&listen]);
    assert_eq!(service.end(), 1, "{}", service.output());
    assert!(service.output().contains(&format!("http.listen {}", taken.local_addr().unwrap())), "{}", service.output());
}

#[test]
fn tail_prints_one_record_a_line() {
    let Some(stage) = Stage::new("tail", 2, &[]) else { return };
    let values: [&[u8]; 5] = [
        b"{\"price\": 1.50,\n\"a\":[1e400]}",
        b"not json\n\x1b[31m",
        b"\xff\x00",
        b"17",
        trade("A", T, 1.0).leak().as_bytes(),
    ];
    stage.log.produce(
        values.iter().enumerate().map(|(i, value)| (i as i32 % 2, (i > 0).then_some(&b"key"[..]), Some(*value))),
    );
    stage.log.produce([(0, Some(&b"gone"[..]), None)]);
    let out = stage.ok(&["tail", "ticks", "--from-beginning", "--until-end", "--json"]);
    assert!(!out.contains('\u{1b}') && out.contains("1.50"), "{out}");
    let mut lines: Vec<_> = out.lines().map(|line| line.replace("1e400", "400")).collect();
    lines.sort_by_key(|line| serde_json::from_str::<Value>(line).unwrap()["partition"].as_i64());
    let found: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |partition: i64, offset: i64, key: Value, value: Value| json!({"topic": stage.log.topic("ticks"), "partition": partition, "offset": offset, "key": key, "value": value, "headers": {}});
    let wanted = [
        of(0, 0, Value::Null, json!({"price": 1.5, "a": [400]})),
        of(0, 1, json!("key"), json!({"base64": "/wA="})),
        of(0, 2, json!("key"), json!({"symbol": "A", "price": 1, "size": 1, "event_time": T})),
        of(0, 3, json!("gone"), Value::Null),
        of(1, 0, json!("key"), json!("not json\n\u{1b}[31m")),
        of(1, 1, json!("key"), json!(17)),
    ];
    for (mut found, wanted) in found.iter().cloned().zip(&wanted) {
        assert!(found.as_object_mut().unwrap().remove("timestamp_ms").unwrap().as_i64().unwrap() > 0);
        assert_eq!(&found, wanted);
    }
    assert_eq!(found.len(), wanted.len());
    let full = stage.log.topic("ticks");
    let args = ["tail", &full, "--from-beginning", "--until-end", "--json", "--partition", "1", "--max", "1"];
    assert_eq!(stage.ok(&args).lines().count(), 1);
    // Behind the newest there is nothing yet.
    assert_eq!(stage.ok(&["tail", "ticks", "--until-end", "--json"]), "");
    let plain = stage.ok(&["tail", "ticks", "--from-beginning", "--until-end"]);
    assert!(plain.lines().count() == 6 && !plain.contains('\u{1b}'), "{plain}");
}

#[test]
fn replay_is_careful() {
    let Some(stage) = Stage::new("replay", 2, &[]) else { return };
    let file = |name: &str, text: String| {
        std::fs::write(stage.path(name), text).unwrap();
        stage.path(name).to_str().unwrap().to_owned()
    };
    let row = |time: i64, price: &str| format!("{time},A,{price},1\n");
    let header = "ts_us,symbol,price,size\n";
    let older = file("older.csv", format!("{header}{}", row(T - 1, "1")));
    let newer = file("newer.csv", format!("{header}{}{}", row(T, "1.10"), row(T + 5, "2")));
    says(&stage.call(&["replay", "absent.csv"]), 1, &["absent.csv"]);
    says(&stage.call(&["replay", &file("empty.csv", header.to_owned())]), 1, &["no trades"]);
    says(
        &stage.call(&["replay", &file("columns.csv", "ts_us,symbol,size\n1,A,1\n".to_owned())]),
        1,
        &["column `price`"],
    );
    says(&stage.call(&["replay", &file("cell.csv", format!("{header}{}", row(T, "x")))]), 1, &["line 2", "price"]);
    assert!(stage.read("ticks").is_empty());

    let summary: Value = serde_json::from_str(&stage.ok(&["replay", "--json", &format!("B={newer}"), &newer])).unwrap();
    assert_eq!((&summary["ticks"], &summary["watermark"]), (&json!(4), &json!(T + 1_000_000)));
    says(&stage.call(&["replay", &older]), 1, &["--force", "late"]);
    assert_eq!(stage.read("ticks").len(), 6);
    stage.ok(&["replay", "--force", &older]);
    let ticks = stage.read("ticks");
    assert_eq!(ticks.len(), 9);
    assert!(ticks.iter().any(|tick| String::from_utf8_lossy(&tick.value).contains(r#""price":1.10"#)));
}
