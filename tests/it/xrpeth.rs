//! Bars of recorded XRPETH trades against the exchange's own one-minute bars of the same span.
//!
//! Differences, all of them explained:
//! - the exchange's file has no bar where nothing was traded: ours are synthetic there;
//! - its recording and ours both begin and end within a minute of trades that both hold whole, so the first and the last bar
//!   agree as well; ours calls the first one incomplete, as every first bar;
//! - the trades are aggregated ones (fills of one order at one price are one), so only the number of trades could differ:
//!   the exchange's file does not give it;
//! - volumes are sums of decimals, in another order: equal to 1e-9.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::direct;
use crate::support::stage::Stage;

const MINUTE: i64 = 60_000_000;

#[test]
fn xrpeth() {
    let Some(data) = direct::data() else { return };
    let Some(stage) = Stage::new("xrpeth", 1, &["bars.interval=1m"]) else { return };
    let trades = data.join("ticks/binance_spot_XRPETH_20191011_aggtrades.csv.gz");
    stage.ok(&["replay", "--speed", "max", trades.to_str().unwrap()]);
    // Drained half-way and taken up again: the bars are the same.
    let mut service = stage.run(&["forecast.commit_interval=20ms", "forecast.max_transaction_bytes=50000"]);
    service.wait("something is committed", || stage.log.committed().get(&0).is_some_and(|offset| *offset > 1_000));
    service.stop();
    stage.forecast(&[]);

    let bars: BTreeMap<i64, Value> =
        stage.read("bars").iter().map(|bar| bar.json()).map(|bar| (bar["open_time"].as_i64().unwrap(), bar)).collect();
    let exchange = direct::csv(&data.join("bars/XRPETH_1m_20191011_exchange.csv.gz"));
    assert_eq!(exchange.len(), 2_469);
    for row in &exchange {
        let number = |column: &str| row[column].parse::<f64>().unwrap();
        let open_time = row["ts"].parse::<i64>().unwrap() * 1_000_000;
        let bar = &bars[&open_time];
        for column in ["open", "high", "low", "close"] {
            assert_eq!(bar[column], number(column), "{column} of {bar}");
        }
        let volume = bar["volume"].as_f64().unwrap();
        assert!((volume - number("volume")).abs() <= 1e-9 * volume, "{row:?} {bar}");
        assert_eq!(bar["synthetic"], false);
    }
    let traded: u64 = bars.values().map(|bar| bar["trades"].as_u64().unwrap()).sum();
    assert_eq!(traded, 12_477);
    // Every minute of the span has a bar, the others are synthetic and repeat the close before them.
    let (first, last) = (*bars.first_key_value().unwrap().0, *bars.last_key_value().unwrap().0);
    let of = |row: &BTreeMap<String, String>| row["ts"].parse::<i64>().unwrap() * 1_000_000;
    assert_eq!((first, last), (of(&exchange[0]), of(&exchange[exchange.len() - 1])));
    assert_eq!(bars.len() as i64, (last - first) / MINUTE + 1);
    let synthetic: Vec<_> = bars.values().filter(|bar| bar["synthetic"] == true).collect();
    assert_eq!(synthetic.len(), bars.len() - exchange.len());
    for bar in synthetic {
        let before = &bars[&(bar["open_time"].as_i64().unwrap() - MINUTE)];
        assert_eq!((&bar["close"], &bar["volume"].as_f64()), (&before["close"], &Some(0.0)));
    }
    let incomplete: Vec<_> = bars.values().filter(|bar| bar["complete"] == false).collect();
    assert_eq!((incomplete.len(), &incomplete[0]["open_time"]), (1, &Value::from(first)));
}
