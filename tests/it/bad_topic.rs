//! When a partition pauses instead of going on wrongly: a topic that holds something else than ticks, which is not emptied into
//! the dead letters, and one with more symbols than it may have. It says so, and a restart does not forget.

use crate::support::raw::{trade, watermark};
use crate::support::stage::{Service, Stage, metric};

const T: i64 = 1_723_161_600_000_000;
/// 95% of 10,000.
const LETTERS: usize = 9_500;

fn garbage(stage: &Stage, count: usize) {
    stage.log.produce((0..count).map(|_| (0, None, Some(&b"\x00\x01 access log, not a tick"[..]))));
}

/// What both the first and the second process must come to: partition 0 paused, partition 1 read to its end.
fn pauses(stage: &Stage, service: &mut Service, ticks: i64) {
    let why = service.wait_ready(503, "partition 0 is paused");
    for part in ["forecast.max_bad_ratio", "offset 9500", "0.95 of the last 10000 records cannot be decoded"] {
        assert!(why.contains(part), "{why}");
    }
    service.wait("partition 1 goes on", || stage.log.committed().get(&1) == Some(&ticks));
    assert_eq!(stage.log.committed()[&0], LETTERS as i64);
    assert_eq!(service.get("/livez").0, 200, "{}", service.get("/livez").1);
    assert_eq!(metric(&service.get("/metrics").1, "tickcast_paused{role=\"forecast\",partition=\"0\"}"), 1);
}

#[test]
fn bad_topic() {
    let Some(stage) = Stage::new("bad_topic", 2, &[]) else { return };
    garbage(&stage, 12_000);
    stage.log.tell(1, &[trade("A", T, 1.0), watermark(T + 2_000_000)]);
    let mut service = stage.run(&[]);
    pauses(&stage, &mut service, 2);
    service.stop();
    assert_eq!(stage.read("deadletter").len(), LETTERS);
    assert_eq!(stage.read("bars").len(), 2);

    stage.log.tell(1, &[trade("A", T + 2_000_000, 1.0), watermark(T + 3_000_000)]);
    let mut service = stage.run(&[]);
    pauses(&stage, &mut service, 4);
    service.stop();
    assert_eq!(stage.read("deadletter").len(), LETTERS);
    assert_eq!(stage.read("bars").len(), 3);
}

/// Few enough bad records in 10,000 are not a reason to pause, and the count begins anew with the next 10,000.
#[test]
fn bad_records_below_the_ratio() {
    let Some(stage) = Stage::new("half_bad_topic", 1, &["forecast.max_bad_ratio=0.3"]) else { return };
    let good = trade("A", T, 1.0).into_bytes();
    for _ in 0..2 {
        garbage(&stage, 3_000);
        stage.log.produce((0..7_000).map(|_| (0, None, Some(&good[..]))));
    }
    stage.forecast(&[]);
    assert_eq!(stage.read("deadletter").len(), 6_000);
}

/// One symbol too many is not filtered: the partition waits before it until more are allowed, and then misses nothing.
#[test]
fn too_many_symbols() {
    let Some(stage) = Stage::new("too_many_symbols", 1, &[]) else { return };
    let ticks: Vec<_> = ["A", "B", "C", "D", "A"].iter().map(|symbol| trade(symbol, T, 1.0)).collect();
    stage.log.tell(0, &ticks);
    stage.log.tell(0, &[watermark(T + 1_000_000)]);
    for _ in 0..2 {
        let mut service = stage.run(&["forecast.max_symbols=3"]);
        let why = service.wait_ready(503, "partition 0 is paused");
        assert!(why.contains("3 symbols are known at offset 3: raise forecast.max_symbols"), "{why}");
        service.wait("what came before is committed", || stage.log.committed().get(&0) == Some(&3));
        service.stop();
        assert!(stage.read("bars").is_empty());
    }
    stage.forecast(&["forecast.max_symbols=4"]);
    let bars: Vec<_> = stage.read("bars").iter().map(|bar| bar.json()["trades"].clone()).collect();
    assert_eq!(bars, [2, 1, 1, 1]);
    assert!(stage.read("deadletter").is_empty());
}
