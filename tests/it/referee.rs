//! The referee against a second opinion: a script in Python computes every outcome anew from `predictions` and every report
//! anew from `outcomes`, and finds them all, once, equal.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::direct;
use crate::support::six;
use crate::support::stage::{Service, Stage, metric};

/// So many partitions that each symbol of USD-M has one of its own.
const SPREAD: i32 = 11;
const SECOND: i64 = 1_000_000;
/// 2025-01-31 08:00:00 UTC.
const START: i64 = 1_738_310_400 * SECOND;
/// What both sides are told.
const SETTINGS: [(&str, &str); 5] =
    [("report_every", "5"), ("window", "60"), ("baseline_n", "20"), ("drop", "0.1"), ("in_control", "300")];

fn stage(what: &str, partitions: i32) -> Option<Stage> {
    crate::support::server("TICKCAST_TEST_PYTHON")?;
    let sets = SETTINGS.map(|(key, value)| format!("judge.{key}={value}"));
    Stage::new(what, partitions, &sets.each_ref().map(String::as_str))
}

/// Six instruments at full speed through one process, and what the script says.
fn replay_of_six(partitions: i32) -> Option<Value> {
    let data = direct::data()?;
    let stage = stage("referee", partitions)?;
    let files = six::sources(&data);
    let replay = ["replay", "--json", "--speed", "max"].into_iter().chain(files.iter().map(String::as_str));
    stage.ok(&replay.collect::<Vec<_>>());
    let all = stage.run_as("forecast,verify", &[]);
    judge_all(&stage, partitions, vec![all]);
    let found = second_opinion(&stage);
    let count = |name: &str| found[name].as_u64().unwrap();
    assert!(count("outcomes") > 1_000 && count("settled") > 500, "{found}");
    // USD-M falls silent half-way, and its last bars before that are synthetic.
    assert!(count("synthetic") > 50 && count("missing") > 10 && count("pending") > 10, "{found}");
    assert!(count("reports") > 50 && count("symbol_reports") > 200 && count("rolled") > 50, "{found}");
    Some(found)
}

#[test]
fn six_recorded_instruments() {
    replay_of_six(2);
}

/// Some partitions have no symbol, and two are left by their only one: nobody waits for them.
#[test]
fn partitions_that_stay_empty_or_are_left() {
    let Some(found) = replay_of_six(SPREAD) else { return };
    assert!(found["left"] == 2, "{found}");
}

/// A process a role, the last one first: the judge waits for partitions of which nobody has spoken yet.
#[test]
fn a_market_with_a_gap_whose_rule_flips() {
    const PARTITIONS: i32 = 3;
    let Some(stage) = stage("flip", PARTITIONS) else { return };
    // Trades of one symbol are missing in bar 600; its window is good again 319 bars later.
    let missing = START + 600 * SECOND;
    let gap = json!({"kind": "gap", "symbol": "SIM-1.TICKCAST", "from": missing, "to": missing + 1}).to_string();
    (0..PARTITIONS).for_each(|partition| stage.log.tell(partition, std::slice::from_ref(&gap)));
    let market =
        "simulate --symbols 5 --bars 1100 --seed 5 --start 2025-01-31T08:00:00Z --flip-at 750 --correlation 0.4 --json";
    stage.ok(&market.split_whitespace().collect::<Vec<_>>());

    let roles = ["judge", "settle", "forecast"].map(|role| stage.run_as(role, &[]));
    judge_all(&stage, PARTITIONS, Vec::from(roles));
    let found = second_opinion(&stage);
    let count = |name: &str| found[name].as_u64().unwrap();
    // Horizons of 1, 5 and 15 bars: three predictions have the bar with the gap as their target.
    assert_eq!(count("incomplete"), 3, "{found}");
    assert!(count("settled") > 9_000 && count("reports") > 300 && count("rolled") > 200, "{found}");
    assert!(["cold", "ok", "warning", "degraded"].iter().all(|state| found["states"][state].is_u64()), "{found}");
}

/// Killed twenty times while it forecasts, settles and judges: still every outcome and report once, and equal.
#[test]
fn kill_minus_nine() {
    const PARTITIONS: i32 = 3;
    let Some(stage) = stage("referee_kill", PARTITIONS) else { return };
    let market =
        "simulate --symbols 5 --bars 900 --seed 7 --start 2025-01-31T08:00:00Z --flip-at 600 --correlation 0.4 --json";
    stage.ok(&market.split_whitespace().collect::<Vec<_>>());
    let written =
        || ["predictions", "outcomes", "accuracy"].map(|topic| stage.log.written(topic)).into_iter().sum::<i64>();
    // Small transactions: there is something to kill.
    let often = ["forecast.commit_interval=50ms", "forecast.max_transaction_bytes=20000"];
    let mut at_work = 0;
    for round in 0..20 {
        let mut service = stage.run_as("forecast,verify", &often);
        // Steps of different length end in different places of a transaction.
        let aim = written() + 1 + (round * 7919) % 1_500;
        service.wait("it goes on", || written() >= aim || judged(&stage));
        drop(service);
        at_work += usize::from(!judged(&stage));
    }
    assert!(at_work >= 15, "{at_work} of 20 kills came before the end");
    judge_all(&stage, PARTITIONS, vec![stage.run_as("forecast,verify", &often)]);
    let found = second_opinion(&stage);
    let count = |name: &str| found[name].as_u64().unwrap();
    assert!(count("settled") > 5_000 && count("reports") > 200, "{found}");
    let requests: Vec<String> = stage.read("retrain").iter().map(|event| event.headers["ce_id"].clone()).collect();
    let ids: BTreeSet<&String> = requests.iter().collect();
    assert!(!requests.is_empty() && ids.len() == requests.len(), "{requests:?}");
}

/// Whether every tick is forecast, every prediction settled, every outcome judged.
fn judged(stage: &Stage) -> bool {
    let log = &stage.log;
    log.drained() && log.worked_off("settle", "predictions") && log.worked_off("judge", "outcomes")
}

/// Waits until every tick is forecast, every prediction settled, and every cohort closed that can be; then stops the
/// processes, of which the first one judges.
pub fn judge_all(stage: &Stage, partitions: i32, mut services: Vec<Service>) {
    services[0].wait("all is forecast, settled and judged", || judged(stage));
    let open = open_rows(stage);
    services[0].wait_metrics("every cohort that all have passed is closed", |metrics| {
        let waiting = |partition| format!("tickcast_pending{{role=\"judge\",partition=\"{partition}\"}}");
        (0..partitions).map(|partition| metric(metrics, &waiting(partition))).sum::<u64>() == open
    });
    services.into_iter().for_each(Service::stop);
}

/// How many outcomes have a target that some partition has not passed yet.
fn open_rows(stage: &Stage) -> u64 {
    let (mut passed, mut targets) = (BTreeMap::new(), Vec::new());
    for record in stage.read("outcomes") {
        let value = record.json();
        match value["kind"].as_str().unwrap() {
            "outcome" => targets.push(value["target_time"].as_i64().unwrap()),
            "progress" => drop(passed.insert(value["partition"].as_i64().unwrap(), value["time"].as_i64().unwrap())),
            _ => drop(passed.remove(&value["partition"].as_i64().unwrap())),
        }
    }
    let all = passed.values().min().copied().unwrap_or(i64::MAX);
    targets.into_iter().filter(|target| *target > all).count() as u64
}

/// What the script says of the topics; fails when it finds a difference.
fn second_opinion(stage: &Stage) -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(crate::support::server("TICKCAST_TEST_PYTHON").unwrap());
    command.arg(root.join("tests/py/check_referee.py")).arg("--model").arg(root.join("onnx/models/reference.onnx"));
    for topic in ["predictions", "outcomes", "accuracy"] {
        let path = stage.path(&format!("{topic}.jsonl"));
        std::fs::write(&path, stage.ok(&["tail", topic, "--from-beginning", "--until-end", "--json"])).unwrap();
        command.arg(format!("--{topic}")).arg(path);
    }
    for (key, value) in SETTINGS {
        command.arg(format!("--{}", key.replace('_', "-"))).arg(value);
    }
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if let Some(folder) = std::env::var_os("TICKCAST_TEST_KEEP").filter(|_| !output.status.success()) {
        for topic in ["predictions", "outcomes", "accuracy"] {
            let name = format!("{topic}.jsonl");
            std::fs::copy(stage.path(&name), Path::new(&folder).join(name)).unwrap();
        }
    }
    assert!(output.status.success(), "{out}{err}");
    eprint!("{out}");
    serde_json::from_str(&out).unwrap()
}
