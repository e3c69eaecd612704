//! In which order partitions and roles come does not matter to the judge; who comes after a cohort was closed is late.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::Value;
use tickcast::io::kafka::client;
use tickcast::wire::tick::encode_watermark;

use super::judged::{BARS, PARTITIONS, RULES, Referee, end_of, market, over, part, symbols_of, whole};
use super::referee::undisturbed;
use super::stream::Tick;
use super::world::{OFTEN, World, wait_until};

const CALL: Duration = Duration::from_secs(30);

fn settings() -> Vec<&'static str> {
    [&RULES[..], &OFTEN[..]].concat()
}

/// The judge is there first, and sees one partition's outcomes while the other's are not even forecast.
#[test]
fn a_judge_that_waits_for_a_backlog_misses_nothing() {
    let Some(expected) = undisturbed() else { return };
    let world = World::make("backlog", PARTITIONS, &settings()).unwrap();
    let referee = Referee::new(&world);
    world.feed(&whole());
    let mut judge = world.start_as("judge", "0", &[]);
    judge.wait_for_assignment();
    let mut settle = world.start_as("settle", "0", &[]);
    settle.wait_for_assignment();
    let mut forecast = world.start_as("forecast", "0", &[]);
    referee.finish(&mut [&mut judge, &mut settle, &mut forecast]);
    for process in [&mut judge, &mut settle, &mut forecast] {
        process.stop();
    }
    expected.judged.assert_same(&referee.output());
}

/// One role after the other: each finds all of its input there.
#[test]
fn roles_that_run_one_after_the_other_say_the_same() {
    let Some(expected) = undisturbed() else { return };
    let world = World::make("onebyone", PARTITIONS, &settings()).unwrap();
    let referee = Referee::new(&world);
    world.feed(&whole());
    let mut forecast = world.start_as("forecast", "0", &[]);
    world.finish(&mut [&mut forecast]);
    forecast.stop();
    let mut settle = world.start_as("settle", "0", &[]);
    wait_until("everything is settled", &mut [&mut settle], || referee.settled());
    settle.stop();
    let mut judge = world.start_as("judge", "0", &[]);
    referee.finish(&mut [&mut judge]);
    judge.stop();
    expected.judged.assert_same(&referee.output());
}

/// A commit is known to its group before its records can be read everywhere: the markers of a transaction reach partitions
/// one by one. While predictions are there that nobody can read, their partition is not quiet.
#[test]
fn predictions_that_cannot_be_read_yet_are_waited_for() {
    let Some(expected) = undisturbed() else { return };
    let world = World::make("unread", PARTITIONS, &settings()).unwrap();
    let referee = Referee::new(&world);
    let mut settings = client::base(&world.config.kafka);
    settings.set("transactional.id", format!("{}hanging", world.config.kafka.group));
    let hanging: BaseProducer = settings.set("transaction.timeout.ms", "120000").create().unwrap();
    hanging.init_transactions(CALL).unwrap();
    hanging.begin_transaction().unwrap();
    // It stands where a marker would be missing: before everything that the forecaster writes there.
    let lies = BaseRecord::<(), str>::to(&world.topics.predictions).partition(1).payload("no prediction");
    hanging.send(lies).map_err(|(error, _)| error).unwrap();
    hanging.flush(CALL).unwrap();

    world.feed(&whole());
    let mut process = world.start_as("forecast,verify", "0", &[]);
    wait_until("everything is forecast", &mut [&mut process], || world.is_done());
    wait_until("the other partition is settled", &mut [&mut process], || referee.has_read_partition_0());
    // The judge looks around ten times a second.
    let looks = Instant::now() + Duration::from_secs(2);
    wait_until("the judge looks around", &mut [&mut process], || {
        assert_eq!(referee.closed(), None, "a cohort was closed without partition 1");
        Instant::now() > looks
    });
    hanging.abort_transaction(CALL).unwrap();
    referee.finish(&mut [&mut process]);
    process.stop();
    expected.judged.assert_same(&referee.output());
}

/// Ticks of a partition that come when the other is long judged: their outcomes are late, counted and nothing else; from then
/// on the partition takes part.
#[test]
fn a_partition_that_comes_too_late_is_counted_and_then_takes_part() {
    let Some(world) = World::make("toolate", PARTITIONS, &settings()) else { return };
    let referee = Referee::new(&world);
    let market = market();
    let pause = BARS - 60;
    let early = |partition: i32| {
        let mut ticks = part(&market, 0..pause, &[partition]);
        ticks.push(over(&market, partition, end_of(pause)));
        ticks
    };
    let mut process = world.start_as("forecast,verify", "0", &[]);
    world.feed(&early(0));
    wait_until("partition 0 is judged", &mut [&mut process], || referee.done(end_of(pause - 1)));
    let before = referee.output();
    assert!(before.late().values().all(|late| *late == 0));

    world.feed(&early(1));
    wait_until("partition 1 is settled", &mut [&mut process], || referee.read());
    let after = referee.output();
    assert_eq!(before.accuracy, after.accuracy, "nothing was judged again");

    world.feed(&part(&market, pause..BARS, &[0, 1]));
    world.feed(&[Tick::Watermark(end_of(BARS))]);
    referee.finish(&mut [&mut process]);
    process.stop();
    let output = referee.output();
    output.assert_once();
    // Cohorts up to the pause are of partition 0 alone; all that partition 1 said about them is late.
    let slow = symbols_of(&market, 1);
    let mut late = BTreeMap::new();
    for outcome in output.outcomes.keys().map(|text| serde_json::from_str::<Value>(text).unwrap()) {
        let is_slow = outcome["symbol"].as_str().is_some_and(|symbol| slow.contains(symbol));
        if is_slow && outcome["target_time"].as_i64() < Some(end_of(pause)) {
            *late.entry(outcome["horizon"].as_i64().unwrap()).or_default() += 1;
        }
    }
    assert!(late.len() == 3 && late.values().all(|count| *count > 200), "{late:?}");
    assert_eq!(output.late(), late);
    // After it both take part: its symbols have reports too.
    let newest = output.accuracy.iter().filter_map(|report| report["as_of"].as_i64()).max();
    let of_slow = |report: &&Value| report["symbol"].as_str().is_some_and(|symbol| slow.contains(symbol));
    let since = output.accuracy.iter().filter(of_slow).filter_map(|report| report["as_of"].as_i64()).min();
    assert!(since > Some(end_of(pause - 1)) && since < newest, "{since:?}");
}

/// A partition whose records bring no symbol, and never end: it is not worked off for a moment, yet nobody waits for it.
#[test]
fn a_partition_of_noise_holds_nobody_up() {
    let Some(expected) = undisturbed() else { return };
    let world = World::make("noise", PARTITIONS, &settings()).unwrap();
    let referee = Referee::new(&world);
    world.feed(&whole());
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Also when the test fails: the scope waits for the thread.
        let _end = End(&over);
        scope.spawn(|| {
            let noise: BaseProducer = client::base(&world.config.kafka).set("linger.ms", "0").create().unwrap();
            let old = encode_watermark(end_of(0));
            while !over.load(Ordering::Relaxed) {
                let record = BaseRecord::<(), [u8]>::to(&world.topics.ticks).partition(PARTITIONS - 1).payload(&old);
                noise.send(record).map_err(|(error, _)| error).unwrap();
                noise.poll(Duration::from_millis(2));
            }
            noise.flush(CALL).unwrap();
        });
        let mut process = world.start_as("forecast,verify", "0", &[]);
        wait_until("everything is judged beside the noise", &mut [&mut process], || {
            referee.closed() == Some(end_of(BARS - 1))
        });
        process.stop();
    });
    expected.judged.assert_same(&referee.output());
}

/// Sets its flag when it goes out of scope.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
