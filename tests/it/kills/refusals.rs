//! What a forecaster does not work with: a twin, offsets that are lost, offsets that are not its own.

use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::admin::AdminOptions;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use tickcast::io::kafka::{client, topics};

use super::crashes::undisturbed;
use super::stream::market;
use super::world::{OFTEN, Process, World, assert_same, wait_until};

/// The older of two processes with one name is fenced, says so and ends; the younger does the rest alone.
fn twin(name: &str, fed_first: f64) {
    let Some(expected) = undisturbed() else { return };
    let world = World::make(name, 4, &OFTEN).unwrap();
    let market = market();
    let (first, rest) = market.split_at((market.len() as f64 * fed_first) as usize);
    world.feed(first);
    let mut older = world.start("same", &[]);
    let aim = (expected.written as f64 * fed_first * 0.3) as i64;
    wait_until("progress", &mut [&mut older], || world.written() > aim);
    if !rest.is_empty() {
        let ends: Vec<i64> = (0..4).map(|partition| world.end(&world.topics.ticks, partition)).collect();
        wait_until("an idle process", &mut [&mut older], || {
            world.checkpoints().iter().zip(&ends).all(|(c, end)| c.as_ref().is_some_and(|(offset, _)| offset == end))
        });
    }
    let mut younger = world.start("same", &[]);
    assert_eq!(older.exit_code(), 1, "{}", older.log());
    assert!(older.log().contains("fenced: another process runs with the same kafka.instance"), "{}", older.log());
    world.feed(rest);
    world.finish(&mut [&mut younger]);
    younger.stop();
    assert_same(&expected.output, &world.output());
}

#[test]
fn a_busy_twin_is_fenced() {
    twin("busytwin", 1.0);
}

#[test]
fn an_idle_twin_is_fenced() {
    twin("idletwin", 0.5);
}

fn refused(world: &World, more: &[&str]) -> String {
    let mut process: Process = world.start("0", more);
    assert_eq!(process.exit_code(), 1, "{}", process.log());
    let log = process.log();
    assert!(log.contains("tickcast offsets accept --role forecast"), "the remedy is named:\n{log}");
    log
}

/// Offsets that were deleted, that another program committed, or that were made with other settings are refused.
#[test]
fn lost_or_foreign_offsets_are_refused() {
    // A static member that closes stays in the group for a while, and its offsets could not be touched.
    let Some(world) = World::make("lost", 2, &["kafka.static_membership=false"]) else { return };
    let market = market();
    world.feed(&market[..market.len() / 4]);
    let mut process = world.start("0", &[]);
    wait_until("commits", &mut [&mut process], || world.written() > 500);
    process.stop();
    let written = world.written();

    let log = refused(&world, &["bars.allowed_lateness=2s"]);
    assert!(log.contains("the checkpoint was made with other settings"), "{log}");

    let group = world.config.kafka.group.clone();
    let foreign: BaseConsumer = client::consumer(&world.config.kafka, &group).create().unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..2 {
        list.add_partition_offset(&world.topics.ticks, partition, Offset::Offset(3)).unwrap();
    }
    retry("committing for a group without members", || foreign.commit(&list, CommitMode::Sync));
    let log = refused(&world, &[]);
    assert!(log.contains("the committed offset 3 carries no checkpoint"), "{log}");

    let admin = topics::admin(&world.config.kafka).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    retry("deleting the group", || {
        let deleted = runtime
            .block_on(admin.delete_groups(&[group.as_str()], &AdminOptions::new()))
            .map_err(|e| e.to_string())?;
        deleted.into_iter().try_for_each(|group| group.map(drop).map_err(|(_, code)| code.to_string()))
    });
    let log = refused(&world, &[]);
    assert!(log.contains("the outputs hold records but the group has committed no offset"), "{log}");
    assert_eq!(world.written(), written, "nothing was written by the refused");
}

/// The broker takes a moment to see that the last member has left.
pub fn retry<E: std::fmt::Display>(what: &str, mut call: impl FnMut() -> Result<(), E>) {
    let mut last = String::new();
    for _ in 0..600 {
        match call() {
            Ok(()) => return,
            Err(error) => last = error.to_string(),
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("{what}: {last}");
}
