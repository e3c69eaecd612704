//! The restore's wait for E - 1: a bar that is committed may still stand behind somebody's open transaction, and reading
//! only to the last stable offset would lose it in silence.

use std::collections::HashMap;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tickcast::flow::time::SECOND;
use tickcast::io::kafka::history::History;
use tickcast::io::kafka::{KafkaError, client};

use super::crashes::undisturbed;
use super::stream::{BEGIN, Tick, market};
use super::world::{World, assert_same, wait_until};

const CALL: Duration = Duration::from_secs(30);

/// A producer of transactions that lie around.
fn producer(world: &World, id: &str) -> BaseProducer {
    let mut settings = client::base(&world.config.kafka);
    settings.set("transactional.id", format!("{}{id}", world.config.kafka.group));
    let producer: BaseProducer = settings.set("transaction.timeout.ms", "120000").create().unwrap();
    producer.init_transactions(CALL).unwrap();
    producer
}

fn send(producer: &BaseProducer, topic: &str, partition: i32, values: &[&str]) {
    for value in values {
        producer.send(BaseRecord::<(), str>::to(topic).partition(partition).payload(value)).unwrap();
    }
    producer.flush(CALL).unwrap();
}

/// `History::read` does not finish before E - 1 was passed, although the last stable offset lies before it.
#[test]
fn reading_waits_until_the_last_bar_is_readable() {
    let Some(world) = World::make("wait", 1, &[]) else { return };
    let topic = world.topics.bars.clone();
    let (writer, hanging) = (producer(&world, "writer"), producer(&world, "hanging"));
    let write = |values: &[&str]| {
        writer.begin_transaction().unwrap();
        send(&writer, &topic, 0, values);
        writer.commit_transaction(CALL).unwrap();
    };
    write(&["a", "b"]); // and a marker at 2
    hanging.begin_transaction().unwrap();
    send(&hanging, &topic, 0, &["c"]); // at 3, open
    write(&["d", "e"]); // at 4 and 5, committed, and a marker at 6

    let history = History::open(&world.config.kafka, &topic).unwrap();
    assert_eq!(history.bounds(0).unwrap(), (0, 7), "bounds are those of the log, not of what is readable now");
    let (told, heard) = channel();
    let reader = std::thread::spawn(move || {
        history.read::<KafkaError>(
            &HashMap::from([(0, (0, 6))]),
            |_, stored| {
                told.send((stored.offset, String::from_utf8_lossy(stored.value.unwrap()).into_owned())).unwrap();
                Ok(())
            },
            || true,
        )
    });
    let next = || heard.recv_timeout(CALL).unwrap();
    assert_eq!([next(), next()], [(0, "a".to_owned()), (1, "b".to_owned())]);
    // Neither more records nor an end: what is open may yet be committed.
    assert_eq!(heard.recv_timeout(Duration::from_secs(2)), Err(RecvTimeoutError::Timeout));
    assert!(!reader.is_finished());
    hanging.commit_transaction(CALL).unwrap();
    assert_eq!([next(), next(), next()], [(3, "c".to_owned()), (4, "d".to_owned()), (5, "e".to_owned())]);
    reader.join().unwrap().unwrap();
}

/// The whole process: restarted while `bars` cannot be read to its own last commit, it neither refuses nor starts with half
/// a window; it waits.
#[test]
fn a_restart_waits_for_open_transactions_in_bars() {
    let Some(expected) = undisturbed() else { return };
    let world = World::make("open", 4, &["forecast.commit_interval=50ms"]).unwrap();
    let hanging = producer(&world, "hanging");
    hanging.begin_transaction().unwrap();
    for partition in 0..world.partitions {
        send(&hanging, &world.topics.bars, partition, &["not a bar"]);
    }
    let market = market();
    let (first, rest) = market.split_at(market.len() * 9 / 10);
    world.feed(first);
    let mut process = world.start("0", &[]);
    let consumed = |world: &World| {
        let checkpoints = world.checkpoints();
        let ends = (0..world.partitions).map(|partition| world.end(&world.topics.ticks, partition));
        checkpoints
            .iter()
            .zip(ends)
            .all(|(committed, end)| committed.as_ref().is_some_and(|(offset, _)| *offset == end))
    };
    wait_until("the first part is done", &mut [&mut process], || consumed(&world));
    process.stop();

    world.feed(rest);
    let before = world.written();
    let mut process = world.start("0", &[]);
    process.wait_for_log("the wait", |line| line.contains("waiting for committed records to become readable"));
    assert_eq!(world.written(), before, "it went on without its windows");
    hanging.abort_transaction(CALL).unwrap();
    world.finish(&mut [&mut process]);
    process.stop();
    assert_same(&expected.output, &world.output());
}

/// Records that were fetched but wait behind a backlog of another partition are not taken for the markers of transactions
/// that an offset may move over.
#[test]
fn records_behind_the_backlog_of_another_partition_are_read() {
    let Some(world) = World::make("behind", 2, &["forecast.commit_interval=50ms"]) else { return };
    // By their hashes, one symbol for each partition.
    let (busy, quiet) = ("Q0", "Q2");
    let trade = |symbol: &str, second: i64| Tick::trade(symbol, 100.0, BEGIN + second * SECOND);
    world.feed(&[trade(busy, 0), trade(quiet, 0)]);
    let mut process = world.start("0", &[]);
    wait_until("the end of both partitions", &mut [&mut process], || world.is_done());
    let places: Vec<i64> = (0..2).map(|partition| world.end(&world.topics.ticks, partition)).collect();
    assert_eq!(places, [1, 1], "the symbols share a partition");
    // Every trade of the backlog closes a bar, which takes far longer than to fetch it.
    let backlog = 3_000;
    world.feed(&(1..=backlog).map(|second| trade(busy, second)).collect::<Vec<_>>());
    world.feed(&(1..=50).map(|second| trade(quiet, second)).collect::<Vec<_>>());
    world.feed(&[Tick::Watermark(BEGIN + (backlog + 1) * SECOND)]);
    world.finish(&mut [&mut process]);
    process.stop();
    let traded = |symbol: &str| {
        let output = world.output();
        let bars = output.iter().filter(|((topic, _), _)| *topic == "bars").flat_map(|(_, records)| records);
        bars.filter(|bar| bar["key"] == symbol && bar["value"]["synthetic"] == false).count()
    };
    assert_eq!((traded(busy), traded(quiet)), (backlog as usize + 1, 51));
}
