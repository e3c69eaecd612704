//! `tickcast demo` and `dataset` from end to end.

use serde_json::Value;

use crate::support;
use crate::support::tool::Tool;

#[test]
fn a_demo_scores_stores_and_is_continued_by_the_next() {
    if support::server("TICKCAST__POSTGRES__URL").is_none() {
        return;
    }
    let Some(tool) = Tool::new("demo", 0, &["bars.interval=1s", "http.listen=off"]) else { return };
    let demo = || -> Value {
        let out = tool.ok(&["demo", "--for", "15s", "--symbols", "4", "--json"]);
        serde_json::from_str(out.lines().last().unwrap()).unwrap()
    };
    let number = |summary: &Value, name: &str| summary[name].as_u64().unwrap();
    let first = demo();
    assert!(number(&first, "ticks") > 420 * 4 * 15, "{first}");
    assert!(number(&first, "predictions_scored") > 0 && number(&first, "dead_letters") == 0, "{first}");
    assert_eq!(number(&first, "predictions"), 3 * number(&first, "bars"), "{first}");
    assert_eq!(number(&first, "rows_stored"), 4 * number(&first, "bars"), "{first}");
    assert_eq!(number(&first, "predictions"), tool.tail("predictions").len() as u64);
    let second = demo();
    assert_eq!(
        number(&second, "predictions_scored"),
        number(&second, "predictions"),
        "windows were restored: {second}"
    );
    assert_eq!(number(&second, "dead_letters"), 0, "{second}");
    assert_eq!(number(&first, "bars") + number(&second, "bars"), tool.tail("bars").len() as u64);
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
