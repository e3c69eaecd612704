//! `kill -9`, SIGTERM and rebalances during a replay.

use std::sync::OnceLock;
use std::time::Duration;

use super::harness::{SHORT_SESSIONS, Undisturbed, Work, kill_again_and_again, kill_in_turn};
use super::stream::{Random, market};
use super::world::{OFTEN, Process, World, assert_same, wait_until};

/// Runs over [`market`] and four partitions once for all tests; `None` where there is no Kafka.
pub fn undisturbed() -> Option<&'static Undisturbed> {
    static RUN: OnceLock<Option<Undisturbed>> = OnceLock::new();
    RUN.get_or_init(|| {
        let world = World::make("undisturbed", 4, &[])?;
        world.feed(&market());
        let run = Undisturbed::of(&world);
        assert!(run.count("predictions", |value| value["p_up"].is_number()) > 500, "predictions that were scored");
        assert!(run.count("predictions", |value| value["abstain_reasons"][0] == "silent") >= 3, "a symbol fell silent");
        assert!(run.count("bars", |value| value["synthetic"] == true) > 50, "synthetic bars");
        assert!(run.count("deadletter", |_| true) > 20, "dead letters");
        assert!((0..4).all(|partition| run.output.contains_key(&("bars", partition))), "every partition has symbols");
        Some(run)
    })
    .as_ref()
}

#[test]
fn kill_minus_nine() {
    let Some(expected) = undisturbed() else { return };
    let world = World::make("kill", 4, &OFTEN).unwrap();
    world.feed(&market());
    let work = Work { roles: "forecast", more: &[], progress: &|| world.written(), whole: expected.written };
    let at_work = kill_again_and_again(&world, &work, 20, 2024);
    assert!(at_work >= 18, "only {at_work} of 20 kills hit a process that had work left");
    let mut process = world.start("0", &[]);
    world.finish(&mut [&mut process]);
    process.stop();
    assert_same(&expected.output, &world.output());
}

/// Two processes share the partitions; each is killed in turn and started again.
#[test]
fn two_processes() {
    let Some(expected) = undisturbed() else { return };
    let world = World::make("two", 4, &[&OFTEN[..], &SHORT_SESSIONS].concat()).unwrap();
    let market = market();
    let (first, rest) = market.split_at(market.len() / 3);
    world.feed(first);
    kill_in_turn(&world, expected, 77, || world.feed(rest));
    assert_same(&expected.output, &world.output());
}

/// Without static membership: a second member joins and leaves while the first works.
#[test]
fn members_come_and_go() {
    let Some(expected) = undisturbed() else { return };
    let more = [&OFTEN[..], &["kafka.static_membership=false"]].concat();
    let world = World::make("members", 4, &more).unwrap();
    let market = market();
    let rounds = 8;
    let mut random = Random(5);
    let mut first = world.start("first", &[]);
    first.wait_for_assignment();
    for chunk in market.chunks(market.len().div_ceil(rounds)) {
        let mut guest = world.start("guest", &[]);
        // It joins in the middle of the work, and leaves in the middle of it.
        world.feed(chunk);
        guest.wait_for_assignment();
        std::thread::sleep(Duration::from_millis(random.below(1_000)));
        guest.stop();
    }
    world.finish(&mut [&mut first]);
    first.stop();
    let shared = first.log().lines().filter(|line| line.contains(": assigned ")).count();
    assert!(shared > rounds, "the first member saw {shared} assignments");
    assert_same(&expected.output, &world.output());
}

/// A process that stands still (a stalled machine) loses its partitions with a transaction open. When it wakes, the other one
/// has done its work: it must add nothing to it, and may end or join again.
#[test]
fn a_frozen_process_adds_nothing_when_it_wakes() {
    let Some(expected) = undisturbed() else { return };
    let more = ["kafka.session_timeout=6s", "kafka.transaction_timeout=5s", "forecast.commit_interval=500ms"];
    let world = World::make("frozen", 4, &more).unwrap();
    let market = market();
    let mut frozen = world.start("a", &[]);
    let mut awake = world.start("b", &[]);
    // The same two for both in the end, whoever came first.
    for process in [&mut frozen, &mut awake] {
        process.wait_for_log("two partitions", |line| {
            line.contains(": assigned ")
                && line.split_once("partitions=").is_some_and(|(_, list)| list.len() == "[0, 1]".len())
        });
    }
    world.feed(&market);
    freeze_in_a_transaction(&world, &mut frozen);
    world.finish(&mut [&mut awake]);
    let assignments = frozen.log().matches(": assigned ").count();
    frozen.signal("CONT");
    // It has noticed when it has ended or was given partitions again.
    frozen.wait_until_ended_or(|log| log.matches(": assigned ").count() > assignments);
    awake.stop();
    // What it still held may reach the log, but only in a transaction that is refused and aborted: no reader sees it.
    assert_same(&expected.output, &world.output());
}

/// The same for a process that is alone: its transaction has been aborted by the broker while it stood still. To a producer
/// that looks as if it had a twin, so it may end (and says so); what it began is done again.
#[test]
fn a_transaction_that_timed_out_is_done_again() {
    let Some(expected) = undisturbed() else { return };
    let more = ["kafka.session_timeout=45s", "kafka.transaction_timeout=2s", "forecast.commit_interval=500ms"];
    let world = World::make("timeout", 4, &more).unwrap();
    world.feed(&market());
    let mut process = world.start("0", &[]);
    freeze_in_a_transaction(&world, &mut process);
    wait_until("the broker's abort", &mut [&mut process], || (0..4).all(|partition| !world.is_open(partition)));
    process.signal("CONT");
    process.wait_until_ended_or(|_| world.is_done());
    if !world.is_done() {
        assert_eq!(process.exit_code(), 1, "{}", process.log());
        assert!(process.log().contains("stood still for longer than kafka.transaction_timeout"), "{}", process.log());
        process = world.start("0", &[]);
    }
    world.finish(&mut [&mut process]);
    process.stop();
    assert_same(&expected.output, &world.output());
}

/// SIGTERM is the first that such a process hears when it wakes: its last commit is refused, and it still ends with 0.
#[test]
fn a_stop_whose_last_commit_fails_is_no_failure() {
    let Some(expected) = undisturbed() else { return };
    let more = ["kafka.session_timeout=45s", "kafka.transaction_timeout=2s", "forecast.commit_interval=500ms"];
    let world = World::make("laststop", 4, &more).unwrap();
    world.feed(&market());
    let mut process = world.start("0", &[]);
    freeze_in_a_transaction(&world, &mut process);
    wait_until("the broker's abort", &mut [&mut process], || (0..4).all(|partition| !world.is_open(partition)));
    process.signal("TERM");
    process.signal("CONT");
    assert_eq!(process.exit_code(), 0, "{}", process.log());
    assert!(process.log().contains("stopped without a last commit"), "{}", process.log());
    let mut process = world.start("0", &[]);
    world.finish(&mut [&mut process]);
    process.stop();
    assert_same(&expected.output, &world.output());
}

/// Stops `process` (SIGSTOP) while it has a transaction open.
fn freeze_in_a_transaction(world: &World, process: &mut Process) {
    loop {
        let aim = world.written() + 50;
        wait_until("progress", &mut [process], || world.written() >= aim);
        process.signal("STOP");
        if process.partitions().iter().any(|&partition| world.is_open(partition)) {
            return;
        }
        process.signal("CONT");
        assert!(!world.is_done(), "it was never met with a transaction open");
    }
}

/// SIGTERM in the middle commits what is done and ends with 0, also while windows are being restored. Two lanes in a process
/// write what one does.
#[test]
fn sigterm_drains() {
    let Some(expected) = undisturbed() else { return };
    let world = World::make("drain", 4, &["forecast.lanes=2"]).unwrap();
    world.feed(&market());
    for round in 1..=4 {
        let mut process = world.start("0", &[]);
        if round % 2 == 0 {
            process.wait_for_assignment();
        } else {
            let aim = expected.written * round / 6;
            wait_until("progress", &mut [&mut process], || world.written() >= aim);
        }
        process.stop();
        assert!(!world.is_done(), "there must be work left for the next one");
    }
    let mut process = world.start("0", &[]);
    world.finish(&mut [&mut process]);
    process.stop();
    assert_same(&expected.output, &world.output());
}
