//! `tickcast demo` and `dataset` from end to end.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support;
use crate::support::tool::Tool;

/// The JSON line that a demo ends with.
fn summary(tool: &Tool, args: &[&str]) -> Value {
    let out = tool.ok(&[&["demo", "--json"], args].concat());
    serde_json::from_str(out.lines().last().expect("a last line")).expect("JSON")
}

fn number(summary: &Value, name: &str) -> u64 {
    summary[name].as_u64().unwrap_or_else(|| panic!("{name}: {summary}"))
}

#[test]
fn a_demo_scores_stores_judges_and_is_continued_by_the_next() {
    if support::server("TICKCAST__POSTGRES__URL").is_none() {
        return;
    }
    let Some(tool) = Tool::new("demo", 0, &["bars.interval=1s", "http.listen=off"]) else { return };
    let demo = || summary(&tool, &["--for", "15s", "--symbols", "2", "--past", "420", "--flip-every", "400"]);
    let first = demo();
    assert!(number(&first, "ticks") > 420 * 2 * 15, "{first}");
    assert!(number(&first, "predictions_scored") > 0 && number(&first, "dead_letters") == 0, "{first}");
    assert_eq!(number(&first, "predictions"), 3 * number(&first, "bars"), "{first}");
    assert_eq!(number(&first, "rows_stored"), 4 * number(&first, "bars"), "{first}");
    assert_eq!(number(&first, "predictions"), tool.tail("predictions").len() as u64);
    let (outcomes, reports) = (number(&first, "outcomes"), number(&first, "reports"));
    assert!(outcomes > 0 && outcomes <= number(&first, "predictions_scored") && reports > 0, "{first}");
    assert_eq!(number(&first, "referee_rows_stored"), outcomes + reports + number(&first, "retrains"), "{first}");
    assert_eq!(reports, tool.tail("accuracy").len() as u64);
    for (horizon, optimum) in [("1", 0.6222), ("5", 0.681), ("15", 0.6717)] {
        let standing = &first["accuracy"][horizon];
        let share = |name: &str| standing[name].as_f64().unwrap_or_else(|| panic!("{name} at {horizon}: {first}"));
        assert!(share("hit_low") < share("hit_rate") && share("hit_rate") < share("hit_high"), "{first}");
        assert!(share("optimum") == optimum && standing["state"].is_string(), "{first}");
        assert!(standing["baselines"]["reversal"]["hit_rate"].is_f64(), "{first}");
    }

    let second = demo();
    assert_eq!(
        number(&second, "predictions_scored"),
        number(&second, "predictions"),
        "windows were restored: {second}"
    );
    assert_eq!(number(&second, "dead_letters"), 0, "{second}");
    assert!(number(&second, "outcomes") > 0, "{second}");
    assert_eq!(first["flip_at"], second["flip_at"], "the same market");
    let bars = tool.tail("bars");
    assert_eq!(number(&first, "bars") + number(&second, "bars"), bars.len() as u64);
    // A market that began anew would begin at another price: a bar moves by a thousandth.
    let closes =
        bars.iter().filter(|bar| bar["key"] == "SIM-1.TICKCAST").map(|bar| bar["value"]["close"].as_f64().unwrap());
    let closes: Vec<_> = closes.collect();
    assert!(closes.len() > 420 && closes.windows(2).all(|pair| (pair[1] / pair[0]).ln().abs() < 0.01), "{closes:?}");
}

#[test]
fn a_rule_that_flips_ends_in_one_retrain_request() {
    if support::server("TICKCAST__POSTGRES__URL").is_none() {
        return;
    }
    let small = ["bars.interval=1s", "http.listen=off", "judge.baseline_n=60", "judge.report_every=5"];
    let Some(tool) = Tool::new("demoflip", 0, &small) else { return };
    let options = ["--json", "--for", "60s", "--symbols", "10", "--past", "560", "--flip-every", "450"];
    let mut demo = tool.start(&[&["demo"], &options[..]].concat());
    // A minute is for a machine that is busy: it is interrupted when it has shown what it should.
    let retrains = loop {
        std::thread::sleep(Duration::from_millis(300));
        let over = demo.try_wait().unwrap().is_some();
        let retrains = tool.tail_or_empty("retrain");
        if over || !retrains.is_empty() {
            break retrains;
        }
    };
    if demo.try_wait().unwrap().is_none() {
        assert!(Command::new("kill").args(["-INT", &demo.id().to_string()]).status().unwrap().success());
    }
    let output = demo.wait_with_output().unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    let [event] = &retrains[..] else { panic!("{retrains:?}\n{seen}") };
    assert_eq!((number(&seen, "retrains"), seen["requests"].as_array().map(Vec::len)), (1, Some(1)), "{seen}");
    let (request, value) = (&seen["requests"][0], &event["value"]);
    assert_eq!((&request["id"], &request["as_of"]), (&event["headers"]["ce_id"], &value["as_of"]));
    // The first bar of the new rule closes a bar after the flip.
    let after = request["bars_after_flip"].as_i64().unwrap();
    assert!((1..=60).contains(&after), "{seen}");
    assert_eq!(value["as_of"].as_i64().unwrap() - seen["flip_at"].as_i64().unwrap(), after * 1_000_000);
    let one = &seen["accuracy"]["1"];
    assert_eq!(one["state"], "degraded", "{seen}");
    assert!(one["hit_rate"].as_f64() < value["reference"].as_f64(), "{seen}");
}

#[test]
fn a_demo_keeps_out_of_real_markets() {
    let Some(tool) = Tool::new("demoreal", 1, &["http.listen=off"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("real.csv");
    std::fs::write(&file, "ts_us,symbol,price,size\n1723161600000000,BTC-USDT.X,1,1\n").unwrap();
    tool.ok(&["replay", file.to_str().unwrap()]);
    let refused = tool.call(&["demo", "--for", "5s"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("BTC-USDT.X") && refused.err.contains("kafka.topic_prefix"), "{}", refused.err);
}
