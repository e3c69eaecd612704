//! `tickcast backtest`: the same bytes again, whatever the partitions the same outcomes, every row counted, clear refusals.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use crate::support::direct::{self, Cut};
use crate::support::six;
use crate::support::stage::bare;

const OUTPUTS: [&str; 5] =
    ["outcomes.parquet", "predictions.parquet", "accuracy.jsonl", "retrains.jsonl", "report.html"];

/// Scoring needs ONNX Runtime and nothing else.
fn scoring() -> Option<String> {
    crate::support::server("ORT_DYLIB_PATH")
}

/// Runs it in `folder`; gives the summary.
fn backtest(folder: &Path, args: &[&str]) -> Value {
    let all: Vec<&str> = ["backtest", "--json", "--predictions"].into_iter().chain(args.iter().copied()).collect();
    let outcome = bare(folder, &all, &[]);
    assert_eq!(outcome.code, 0, "{}{}", outcome.out, outcome.err);
    serde_json::from_str(&outcome.out).unwrap()
}

fn table(path: PathBuf) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap().build().unwrap();
    let batches: Vec<_> = reader.map(Result::unwrap).collect();
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

/// A market as `simulate` writes it.
fn market(folder: &Path, args: &str) {
    let all = format!("simulate --start 2025-01-31T08:00:00Z --json --output market.csv.gz {args}");
    let outcome = bare(folder, &all.split_whitespace().collect::<Vec<_>>(), &[]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
}

#[test]
fn six_recordings_give_the_same_bytes_again() {
    let (Some(data), Some(_)) = (direct::data(), scoring()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let sources = six::sources(&data);
    let run = |output: &str| {
        let mut args: Vec<&str> = sources.iter().map(String::as_str).collect();
        args.extend(["--partitions", "3", "--set", "bars.interval=1s", "--output", output]);
        backtest(folder.path(), &args)
    };
    let (first, second) = (run("first"), run("second"));
    for name in OUTPUTS {
        let read = |run: &str| std::fs::read(folder.path().join(run).join(name)).unwrap();
        assert!(read("first") == read("second"), "{name} differs");
    }
    for name in ["seconds", "ticks_per_second", "output"] {
        assert!(!first[name].is_null() && !second[name].is_null());
    }

    // Every trade, every bar and every prediction that a plain computation over the files gives.
    let ticks: BTreeMap<String, Vec<_>> =
        six::NAMES.iter().map(|name| (six::symbol(name), direct::ticks(&six::file(&data, name)))).collect();
    let last = ticks.values().flatten().map(|tick| tick.time).max().unwrap();
    let end = last / 1_000_000 * 1_000_000 + 1_000_000;
    let cut = Cut { name: "1s", interval: 1_000_000, max_fill: 60, lateness: 1_000_000, end };
    let said: usize = ticks
        .iter()
        .map(|(symbol, ticks)| direct::predictions(&direct::bars(symbol, ticks, cut), cut, "1.0.0").len())
        .sum();
    let count = |name: &str| usize::try_from(first[name].as_u64().unwrap()).unwrap();
    assert_eq!(count("ticks"), ticks.values().map(Vec::len).sum::<usize>());
    assert_eq!((count("dead"), count("late"), count("predictions")), (0, 0, said));
    let (outcomes, predictions) =
        (table(folder.path().join("first/outcomes.parquet")), table(folder.path().join("first/predictions.parquet")));
    assert_eq!((outcomes.num_rows(), predictions.num_rows()), (count("outcomes"), count("predictions")));
    assert!(count("scored") > 1_000 && count("outcomes") > 1_000);
    let scored = predictions.num_rows() - predictions.column_by_name("p_up").unwrap().null_count();
    assert_eq!(scored, count("scored"));
    let lines = std::fs::read_to_string(folder.path().join("first/accuracy.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), count("reports"));
    assert!(lines.lines().all(|line| {
        let report: Value = serde_json::from_str(line).unwrap();
        report["produced_at"] == report["as_of"] && report["model"] == "reference"
    }));
    assert!(!folder.path().join("first/report.html.partial").exists());
}

/// Outcomes by prediction: what must be equal, as text, and what another batch may round differently.
fn by_id(outcomes: &RecordBatch) -> BTreeMap<String, (Vec<String>, Vec<f64>)> {
    let options = FormatOptions::new().with_null("null");
    let (mut exact, mut rounded) = (Vec::new(), Vec::new());
    for (field, column) in outcomes.schema().fields().iter().zip(outcomes.columns()) {
        let wide = match (field.name().as_str(), field.data_type()) {
            (_, DataType::Float32) => {
                column.as_primitive::<Float32Type>().iter().map(|p| p.map_or(-1.0, f64::from)).collect()
            }
            ("log_loss" | "brier", _) => {
                column.as_primitive::<Float64Type>().iter().map(|loss| loss.unwrap_or(-1.0)).collect::<Vec<f64>>()
            }
            _ => {
                exact.push(ArrayFormatter::try_new(column, &options).unwrap());
                continue;
            }
        };
        rounded.push(wide);
    }
    let ids = outcomes.column_by_name("prediction_id").unwrap().as_string::<i32>();
    let row = |row: usize| {
        let texts = exact.iter().map(|column| column.value(row).to_string()).collect();
        (ids.value(row).to_owned(), (texts, rounded.iter().map(|column| column[row]).collect()))
    };
    (0..outcomes.num_rows()).map(row).collect()
}

#[test]
fn a_generated_market_gives_the_same_outcomes_in_any_number_of_partitions() {
    let Some(_) = scoring() else { return };
    let folder = tempfile::tempdir().unwrap();
    market(
        folder.path(),
        "--symbols 5 --bars 420 --ticks-per-bar 3 --seed 4 --late 0.02 --duplicates 0.02 --set bars.interval=10s",
    );
    let run = |partitions: &str| {
        let args = ["market.csv.gz", "--set", "bars.interval=10s", "--partitions", partitions, "--output", partitions];
        let summary = backtest(folder.path(), &args);
        (by_id(&table(folder.path().join(partitions).join("outcomes.parquet"))), summary)
    };
    let ((one, summary), (four, other)) = (run("1"), run("4"));
    for name in ["ticks", "duplicates", "dead", "bars", "predictions", "scored", "outcomes", "reports"] {
        assert_eq!(summary[name], other[name], "{name}");
    }
    assert!(summary["dead"].as_u64() > Some(50) && summary["duplicates"].as_u64() > Some(50), "{summary}");
    assert_eq!((summary["outcomes"].as_u64(), summary["late"].as_u64()), (Some(one.len() as u64), Some(0)));
    assert!(one.len() > 1_000 && one.len() == four.len());
    for (id, (texts, numbers)) in &one {
        let (theirs, rounded) = &four[id];
        assert_eq!(texts, theirs);
        assert!(numbers.iter().zip(rounded).all(|(a, b)| (a - b).abs() < 1e-5), "{id}: {numbers:?} {rounded:?}");
    }

    let page = std::fs::read_to_string(folder.path().join("1/report.html")).unwrap();
    for part in [
        "reference 1.0.0",
        "<h2>1 bar ahead",
        "<h2>15 bars ahead",
        "Equity and drawdown",
        "Calibration",
        "dead: late",
        "2025-01-31 09:09:5",
    ] {
        assert!(page.contains(part), "no `{part}` in the page");
    }
    for part in ["NaN", "inf ", "<script", "http://", "https://", "src="] {
        assert!(!page.contains(part), "`{part}` in the page");
    }
    for tag in ["svg", "table", "section", "div", "p"] {
        let opened = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

#[test]
fn times_are_microseconds_and_a_shorter_run_replaces_a_longer_one() {
    let Some(_) = scoring() else { return };
    let folder = tempfile::tempdir().unwrap();
    market(folder.path(), "--symbols 1 --bars 340 --ticks-per-bar 1 --set bars.interval=1m");
    let summary = backtest(folder.path(), &["market.csv.gz", "--set", "bars.interval=1m"]);
    let outcomes = table(folder.path().join("backtest/outcomes.parquet"));
    assert_eq!(Some(outcomes.num_rows() as u64), summary["outcomes"].as_u64());
    let times = |name: &str| outcomes.column_by_name(name).unwrap().as_primitive::<Int64Type>().values().to_vec();
    let horizons = outcomes.column_by_name("horizon").unwrap().as_primitive::<arrow::datatypes::UInt32Type>();
    for (row, (as_of, target)) in times("as_of").iter().zip(times("target_time")).enumerate() {
        assert_eq!(target - as_of, i64::from(horizons.value(row)) * 60_000_000);
    }

    market(folder.path(), "--symbols 1 --bars 30 --set bars.interval=1m");
    let again = bare(folder.path(), &["backtest", "market.csv.gz", "--set", "bars.interval=1m"], &[]);
    assert!(again.code == 0 && again.err.contains("319 complete bars"), "{}", again.err);
    assert_eq!(std::fs::read_to_string(folder.path().join("backtest/accuracy.jsonl")).unwrap(), "");
    assert!(!folder.path().join("backtest/predictions.parquet").exists(), "predictions of another run");
    let page = std::fs::read_to_string(folder.path().join("backtest/report.html")).unwrap();
    assert!(page.contains("Nothing was scored") && !page.contains("<tbody>\n</tbody>"), "a table of nothing");
}

#[test]
fn refusals_name_the_thing_and_the_remedy() {
    let Some(_) = scoring() else { return };
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("noprice.csv", "ts_us,symbol,size\n1,A,1\n");
    write("empty.csv", "ts_us,symbol,price,size\n");
    write("broken.csv", "ts_us,symbol,price,size\n1738310400000000,A,1,1\n1738310400000000,A,cheap,1\n");
    write("bad.csv", &format!("ts_us,symbol,price,size\n{}", "1738310400000000,A,-1,1\n".repeat(9_600)));
    let cases: [(&[&str], i32, &[&str]); 7] = [
        (&["absent.csv"], 1, &["absent.csv"]),
        (&["noprice.csv"], 1, &["noprice.csv", "column `price` is missing"]),
        (&["empty.csv"], 1, &["no trades"]),
        (&["broken.csv"], 1, &["broken.csv, line 3", "cheap"]),
        (&["bad.csv"], 1, &["bad_price", "forecast.max_bad_ratio"]),
        (&["empty.csv", "--output", "noprice.csv"], 1, &["noprice.csv", "--output"]),
        (&["empty.csv", "--partitions", "0"], 2, &["0"]),
    ];
    for (args, code, parts) in cases {
        let args: Vec<&str> = ["backtest"].into_iter().chain(args.iter().copied()).collect();
        let outcome = bare(folder.path(), &args, &[]);
        assert_eq!(outcome.code, code, "{args:?}: {}", outcome.err);
        for part in parts {
            assert!(outcome.err.contains(part), "{args:?}: no `{part}` in {}", outcome.err);
        }
    }
    // Nothing that looks like a result is left behind.
    let left = std::fs::read_dir(folder.path().join("backtest")).unwrap().count();
    assert_eq!(left, 0);
}
