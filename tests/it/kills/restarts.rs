//! Settle and judge that are started again: with nothing new they write nothing, and offsets that are not theirs are refused.

use std::time::{Duration, Instant};

use rdkafka::admin::AdminOptions;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};
use tickcast::io::kafka::{client, topics};
use tickcast::service::settle;

use super::judged::{BARS, PARTITIONS, RULES, Referee, end_of, market, part};
use super::refusals::retry;
use super::stream::Tick;
use super::world::{OFTEN, World, wait_until};

/// Topics with a judged market of fewer bars, and nobody in the groups.
fn judged(name: &str) -> Option<World> {
    // A static member that closes stays in the group for a while, and its offsets could not be touched.
    let more = [&RULES[..], &OFTEN[..], &["kafka.static_membership=false"]].concat();
    let world = World::make(name, PARTITIONS, &more)?;
    let bars = BARS - 150;
    world.feed(&part(&market(), 0..bars, &[0, 1]));
    world.feed(&[Tick::Watermark(end_of(bars))]);
    let mut process = world.start_as("forecast,verify", "0", &[]);
    let referee = Referee::new(&world);
    wait_until("everything is judged", &mut [&mut process], || referee.done(end_of(bars - 1)));
    process.stop();
    Some(world)
}

#[test]
fn nothing_is_written_where_nothing_is_new() {
    let Some(world) = judged("idle") else { return };
    let referee = Referee::new(&world);
    let (ends, output) = (referee.ends(), referee.output());
    for roles in ["verify", "settle", "judge", "forecast,verify"] {
        let mut process = world.start_as(roles, "0", &[]);
        process.wait_for_log("the restore", |line| line.contains("history restored"));
        // Longer than offsets alone wait to be committed, and the judge has looked around many times.
        let long = Instant::now() + Duration::from_secs(3);
        wait_until("nothing", &mut [&mut process], || Instant::now() > long);
        process.stop();
        // Not even a marker.
        assert_eq!(ends, referee.ends(), "after a restart of {roles}");
    }
    output.assert_same(&referee.output());
}

/// Offsets that were deleted, or that another program committed, are refused by the role whose they are, and accepted by the
/// command that the refusal names.
fn refused_and_accepted(role: &str, input: fn(&World) -> &String) {
    let Some(world) = judged(role) else { return };
    let referee = Referee::new(&world);
    let (ends, output) = (referee.ends(), referee.output());
    let (group, topic) = (settle::group(&world.config, role), input(&world));
    let refused = |why: &str, more: &[&str]| {
        let mut process = world.start_as(role, "0", more);
        assert_eq!(process.exit_code(), 1, "{}", process.log());
        let log = process.log();
        assert!(log.contains(why), "no `{why}` in:\n{log}");
        assert!(log.contains(&format!("tickcast offsets accept --role {role}")), "the remedy:\n{log}");
    };
    if role == "settle" {
        refused("the checkpoint was made with other settings", &["fees.bps=7"]);
    }

    let foreign: BaseConsumer = client::consumer(&world.config.kafka, &group).create().unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(topic, partition, Offset::Offset(0)).unwrap();
    }
    retry("committing for a group without members", || foreign.commit(&list, CommitMode::Sync));
    refused("the committed offset 0 carries no checkpoint", &[]);

    let admin = topics::admin(&world.config.kafka).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    retry("deleting the group", || {
        let deleted = runtime.block_on(admin.delete_groups(&[group.as_str()], &AdminOptions::new()));
        let deleted = deleted.map_err(|error| error.to_string())?;
        deleted.into_iter().try_for_each(|group| group.map(drop).map_err(|(_, code)| code.to_string()))
    });
    refused("the group has committed no offset", &[]);
    assert_eq!(ends, referee.ends(), "nothing was written by the refused");

    let accepted = world.run(&["offsets", "accept", "--role", role]);
    assert!(accepted.status.success(), "{}", String::from_utf8_lossy(&accepted.stderr));
    let mut process = world.start_as("verify", "0", &[]);
    wait_until("it goes on", &mut [&mut process], || referee.read());
    process.stop();
    output.assert_same(&referee.output());
}

#[test]
fn lost_or_foreign_offsets_of_settle_are_refused() {
    refused_and_accepted("settle", |world| &world.topics.predictions);
}

#[test]
fn lost_or_foreign_offsets_of_the_judge_are_refused() {
    refused_and_accepted("judge", |world| &world.topics.outcomes);
}
