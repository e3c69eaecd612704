//! `kill -9` during a replay of six recorded instruments: the topics, and PostgreSQL, hold what an undisturbed run writes.

use std::sync::OnceLock;

use super::harness::{SHORT_SESSIONS, Undisturbed, Work, kill_again_and_again, kill_in_turn};
use super::rows::Rows;
use super::world::{OFTEN, World, assert_same};
use crate::support::direct;
use crate::support::six;

/// By the hashes of the six symbols, each partition holds at least one.
const PARTITIONS: i32 = 3;
/// Eleven minutes in half of one: the first kills hit processes that keep up, the last ones a backlog.
const SPEED: &str = "20x";

/// The files, and what one run over them writes; `None`, said aloud, without the recordings or without Kafka.
fn undisturbed() -> Option<&'static (Vec<String>, Undisturbed)> {
    static RUN: OnceLock<Option<(Vec<String>, Undisturbed)>> = OnceLock::new();
    RUN.get_or_init(|| {
        let files = six::sources(&direct::data()?);
        let world = World::make("recorded", PARTITIONS, &[])?;
        world.start_replay(&files, "max");
        let run = Undisturbed::of(&world);
        assert!(run.count("predictions", |value| value["p_up"].is_number()) > 500, "predictions that were scored");
        assert_eq!(run.count("predictions", |value| value["abstain_reasons"][0] == "silent"), 6, "two fell silent");
        assert!(run.count("bars", |value| value["synthetic"] == true) > 50, "synthetic bars");
        let used = |partition| run.output.contains_key(&("bars", i64::from(partition)));
        assert!((0..PARTITIONS).all(used), "every partition has symbols");
        Some((files, run))
    })
    .as_ref()
}

#[test]
fn kill_minus_nine_during_a_recorded_replay() {
    let Some((files, expected)) = undisturbed() else { return };
    let world = World::make("killrecorded", PARTITIONS, &OFTEN).unwrap();
    let Some(rows) = Rows::make(&world) else { return };
    world.start_replay(files, SPEED);
    let more = rows.settings.each_ref().map(String::as_str);
    let whole = expected.written;
    let work = Work { roles: "forecast,store", more: &more, progress: &|| world.written(), whole };
    let at_work = kill_again_and_again(&world, &work, 20, 20_240_809);
    assert!(at_work >= 18, "only {at_work} of 20 kills hit a process that had work left");
    rows.finish(&world, expected);
    assert_same(&expected.output, &world.output());
}

#[test]
fn two_processes_share_a_recorded_replay() {
    let Some((files, expected)) = undisturbed() else { return };
    let world = World::make("tworecorded", PARTITIONS, &[&OFTEN[..], &SHORT_SESSIONS].concat()).unwrap();
    let at_work = kill_in_turn(&world, expected, 809, || world.start_replay(files, SPEED));
    assert!(at_work >= 7, "only {at_work} of 8 kills hit a process while work was left");
    assert_same(&expected.output, &world.output());
}
