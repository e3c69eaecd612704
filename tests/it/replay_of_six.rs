//! Six recorded instruments at full speed: every bar and every prediction equals what the plain computation over the files
//! gives, probabilities equal what Python says, every tick is accounted for.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::direct::{self, Cut, Said, Tick};
use crate::support::raw::Read;
use crate::support::six::{self, file, symbol};
use crate::support::stage::{Stage, metric};

/// Given twice: its trades come a second time, each in its bar.
const REPEATED: &str = "cm_ETHUSD_PERP";

#[test]
fn replay_of_six() {
    let Some(data) = direct::data() else { return };
    let Some(stage) = Stage::new("six", 3, &[]) else { return };
    let mut args = vec!["replay".to_owned(), "--json".to_owned(), "--speed".to_owned(), "max".to_owned()];
    args.extend(six::NAMES.into_iter().chain([REPEATED]).map(|name| six::source(&data, name)));
    let summary = stage.ok(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let summary: Value = serde_json::from_str(&summary).unwrap();
    let metrics = stage.forecast(&[]);

    let ticks: BTreeMap<String, Vec<Tick>> =
        six::NAMES.iter().map(|name| (symbol(name), direct::ticks(&file(&data, name)))).collect();
    let last = ticks.values().flatten().map(|tick| tick.time).max().unwrap();
    let end = last / 1_000_000 * 1_000_000 + 1_000_000;
    assert_eq!(summary["watermark"], end);
    let cut = Cut { name: "1s", interval: 1_000_000, max_fill: 60, lateness: 1_000_000, end };
    let direct: BTreeMap<String, Vec<Said>> =
        ticks.iter().map(|(symbol, ticks)| (symbol.clone(), direct::bars(symbol, ticks, cut))).collect();

    let bars = stage.read("bars");
    compare_bars(&bars, &direct);
    let predictions = stage.read("predictions");
    let scored = compare_predictions(&predictions, &direct, cut);
    assert!(scored >= 500, "{scored} predictions do not abstain");
    account(&stage, &metrics, &summary, &ticks, &bars);
    partitions_agree(&stage, &bars, &predictions);
    python_agrees(&stage, scored);
}

fn by_symbol(records: &[Read]) -> BTreeMap<String, Vec<Value>> {
    let mut map: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for record in records {
        let value = record.json();
        let symbol = value["symbol"].as_str().unwrap().to_owned();
        assert_eq!(record.key.as_deref(), Some(symbol.as_bytes()));
        assert_eq!(record.headers["schema_version"], "1");
        map.entry(symbol).or_default().push(value);
    }
    map
}

fn compare_bars(records: &[Read], direct: &BTreeMap<String, Vec<Said>>) {
    let found = by_symbol(records);
    for (symbol, said) in direct {
        let wanted: Vec<&Value> =
            said.iter().filter_map(|s| if let Said::Bar(bar) = s { Some(bar) } else { None }).collect();
        for (bar, wanted) in found[symbol].iter().zip(&wanted) {
            assert_eq!(&bar, wanted);
        }
        assert_eq!(found[symbol].len(), wanted.len(), "{symbol}");
    }
    assert_eq!(found.len(), direct.len());
    // USD-M covers six minutes of eleven: its symbols end with sixty synthetic bars and are called silent.
    let silent = direct.values().flatten().filter(|said| matches!(said, Said::Silent(_))).count();
    assert_eq!(silent, 2);
}

/// Gives how many do not abstain.
fn compare_predictions(records: &[Read], direct: &BTreeMap<String, Vec<Said>>, cut: Cut) -> usize {
    let found = by_symbol(records);
    let (mut ids, mut scored) = (HashSet::new(), 0);
    for (symbol, said) in direct {
        let wanted = direct::predictions(said, cut, "1.0.0");
        for (prediction, wanted) in found[symbol].iter().zip(&wanted) {
            let mut rest = prediction.as_object().unwrap().clone();
            assert!(ids.insert(rest["prediction_id"].as_str().unwrap().to_owned()), "twice: {prediction}");
            assert!(rest.remove("produced_at").unwrap().as_i64().unwrap() > 1_700_000_000_000_000);
            if wanted["abstain_reasons"].as_array().unwrap().is_empty() {
                let p = ["p_down", "p_flat", "p_up"].map(|field| rest.remove(field).unwrap().as_f64().unwrap());
                assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-3, "{prediction}");
                let most = p.iter().copied().fold(0.0, f64::max);
                let decision = rest.remove("decision").unwrap();
                let said = ["down", "flat", "up"].iter().position(|name| *name == decision).unwrap();
                assert_eq!(p[said], most, "{prediction}");
                assert_eq!(rest.remove("feature_digest").unwrap().as_str().unwrap().len(), 16);
                scored += 1;
            }
            assert_eq!(&Value::Object(rest), wanted);
        }
        assert_eq!(found[symbol].len(), wanted.len(), "{symbol}");
    }
    scored
}

/// Used, duplicate, dead: nothing is lost, nothing counts twice.
fn account(stage: &Stage, metrics: &str, summary: &Value, ticks: &BTreeMap<String, Vec<Tick>>, bars: &[Read]) {
    let count = |result: &str| metric(metrics, &format!("tickcast_ticks_total{{result=\"{result}\"}}"));
    let all: usize = ticks.values().map(Vec::len).sum();
    let repeated = ticks[&symbol(REPEATED)].len();
    let trades: u64 = bars.iter().map(|bar| bar.json()["trades"].as_u64().unwrap()).sum();
    let watermarks = 3;
    assert_eq!(summary["ticks"], all + repeated);
    assert_eq!(trades, all as u64);
    assert_eq!((count("used"), count("duplicate"), count("dead")), ((all + watermarks) as u64, repeated as u64, 0));
    assert!(stage.read("deadletter").is_empty());
}

/// What concerns a symbol stands in the partition of its ticks, whatever a partitioner would say.
fn partitions_agree(stage: &Stage, bars: &[Read], predictions: &[Read]) {
    let homes: HashSet<_> =
        stage.read("ticks").into_iter().filter_map(|tick| Some((tick.key?, tick.partition))).collect();
    assert_eq!(homes.len(), six::NAMES.len());
    for record in bars.iter().chain(predictions) {
        assert!(homes.contains(&(record.key.clone().unwrap(), record.partition)), "{record:?}");
    }
}

/// A separate script computes features with TA-Lib from the `bars` topic and scores them with Python's runtime.
fn python_agrees(stage: &Stage, scored: usize) {
    let Some(python) = crate::support::server("TICKCAST_TEST_PYTHON") else { return };
    let dump = |topic: &str| {
        let path = stage.path(&format!("{topic}.jsonl"));
        std::fs::write(&path, stage.ok(&["tail", topic, "--from-beginning", "--until-end", "--json"])).unwrap();
        path
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(python)
        .arg(root.join("tests/py/check_predictions.py"))
        .args(["--bars".as_ref(), dump("bars").as_os_str(), "--predictions".as_ref(), dump("predictions").as_os_str()])
        .args(["--model".as_ref(), root.join("onnx/models/reference.onnx").as_os_str()])
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    assert!(out.starts_with(&format!("{scored} predictions")), "{out}");
    eprint!("{out}");
}
