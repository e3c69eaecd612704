//! A record that Kafka does not take: the lane ends with the partition and the offset at which it stands, also beside another
//! partition that has work; when the cause is mended it goes on from there.

use rdkafka::admin::{AdminOptions, AlterConfig, ResourceSpecifier};
use tickcast::flow::time::SECOND;
use tickcast::io::kafka::topics;

use super::stream::{BEGIN, Random, Tick};
use super::world::World;

/// By their hashes, one symbol for each partition.
const SYMBOLS: [&str; 2] = ["Q0", "Q2"];

fn limit_dead_letters(world: &World, bytes: &str) {
    let admin = topics::admin(&world.config.kafka).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let alter = AlterConfig::new(ResourceSpecifier::Topic(&world.topics.deadletter)).set("max.message.bytes", bytes);
    let altered = runtime.block_on(admin.alter_configs([&alter], &AdminOptions::new())).unwrap();
    altered.into_iter().for_each(|resource| drop(resource.unwrap()));
}

#[test]
fn what_cannot_be_committed_is_named() {
    let Some(world) = World::make("stuck", 2, &["kafka.static_membership=false"]) else { return };
    limit_dead_letters(&world, "2000");
    let trade = |symbol: &str, second: i64| Tick::trade(symbol, 100.0, BEGIN + second * SECOND);
    // No tick, and nothing that compression makes small.
    let mut random = Random(3);
    let noise: String = (0..500).map(|_| format!("{:016x}", random.next())).collect();
    let mut ticks = Vec::new();
    for second in 0..50 {
        ticks.extend(SYMBOLS.map(|symbol| trade(symbol, second)));
        if second == 30 {
            ticks.push(Tick::Keyed(SYMBOLS[1].to_owned(), noise.clone().into_bytes()));
        }
    }
    ticks.push(Tick::Watermark(BEGIN + 50 * SECOND));
    world.feed(&ticks);
    assert_eq!(
        [0, 1].map(|partition| world.end(&world.topics.ticks, partition)),
        [51, 52],
        "the symbols share a partition"
    );

    let mut process = world.start("0", &[]);
    assert_eq!(process.exit_code(), 1, "{}", process.log());
    let (log, place) = (process.log(), format!("{}/1 offset 31: the transaction failed 10 times", world.topics.ticks));
    assert!(log.contains(&place) && log.contains("Message size too large"), "{place}\n{log}");
    // The record before it is committed: nothing but the one is in the way.
    assert_eq!(world.checkpoints()[1].as_ref().map(|(offset, _)| *offset), Some(31));

    limit_dead_letters(&world, "1048588");
    let mut process = world.start("0", &[]);
    world.finish(&mut [&mut process]);
    process.stop();
    let output = world.output();
    assert_eq!(output[&("deadletter", 1)].len(), 1);
    for partition in 0..2 {
        let closed = output[&("bars", partition)].iter().map(|bar| bar["value"]["close_time"].as_i64().unwrap());
        assert!(closed.eq((1..=50).map(|second| BEGIN + second * SECOND)), "every bar of partition {partition}, once");
    }
}
