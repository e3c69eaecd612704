//! The referee under `kill -9`: each outcome, each report and each retrain request once, equal to those of an undisturbed run.

use std::sync::OnceLock;
use std::time::Duration;

use super::judged::{FLIP, Judged, PARTITIONS, RULES, Referee, end_of, whole};
use super::stream::Random;
use super::world::{OFTEN, World, wait_until};

/// What an undisturbed run over [`whole`] writes.
pub struct Undisturbed {
    pub judged: Judged,
    /// Records and markers in all topics.
    pub written: i64,
}

/// Runs once for all tests; `None` where there is no Kafka.
pub fn undisturbed() -> Option<&'static Undisturbed> {
    static RUN: OnceLock<Option<Undisturbed>> = OnceLock::new();
    RUN.get_or_init(|| {
        let world = World::make("judged", PARTITIONS, &RULES)?;
        let referee = Referee::new(&world);
        world.feed(&whole());
        let mut process = world.start_as("forecast,verify", "0", &[]);
        referee.finish(&mut [&mut process]);
        process.stop();
        let (judged, written) = (referee.output(), referee.written());
        // An empty run would equal any other empty run.
        judged.assert_once();
        assert!(judged.outcomes.len() > 2_000, "{} outcomes", judged.outcomes.len());
        let states: Vec<_> = judged.accuracy.iter().filter_map(|report| report["state"].as_str()).collect();
        assert!(["cold", "ok", "degraded"].iter().all(|state| states.contains(state)), "{states:?}");
        assert!(judged.accuracy.iter().any(|report| report["symbol"].is_string()), "reports of symbols");
        assert!(judged.late().values().all(|late| *late == 0), "{:?}", judged.late());
        let [(id, request)] = &judged.retrain[..] else { panic!("{:?}", judged.retrain) };
        assert!(request["as_of"].as_i64() > Some(end_of(FLIP)), "requested after the flip: {id} {request}");
        assert_eq!(world.end(&world.topics.predictions, PARTITIONS - 1), 0, "one partition holds no symbols");
        Some(Undisturbed { judged, written })
    })
    .as_ref()
}

fn settings() -> Vec<&'static str> {
    [&RULES[..], &OFTEN[..]].concat()
}

/// One process with all three roles, killed at twenty moments.
#[test]
fn kill_minus_nine_of_everything() {
    let Some(expected) = undisturbed() else { return };
    let world = World::make("judgekill", PARTITIONS, &settings()).unwrap();
    let referee = Referee::new(&world);
    world.feed(&whole());
    let mut random = Random(2026);
    let mut at_work = 0;
    for round in 0..20 {
        let mut process = world.start_as("forecast,verify", "0", &[]);
        if round % 4 == 3 {
            // The moment is the point: any time from the assignment to the middle of the restore.
            process.wait_for_assignment();
            std::thread::sleep(Duration::from_millis(random.below(300)));
        } else {
            let aim = referee.written() + 1 + random.below(expected.written as u64 / 15) as i64;
            wait_until("progress", &mut [&mut process], || referee.written() >= aim || referee.read());
        }
        process.kill();
        at_work += usize::from(!referee.read());
    }
    assert!(at_work >= 18, "only {at_work} of 20 kills hit a process that had work left");
    let mut process = world.start_as("forecast,verify", "0", &[]);
    referee.finish(&mut [&mut process]);
    process.stop();
    expected.judged.assert_same(&referee.output());
}

/// Three processes, a role each, killed in turn: what one has not finished the next one has not seen.
#[test]
fn kill_minus_nine_of_each_role_in_turn() {
    let Some(expected) = undisturbed() else { return };
    let world = World::make("rolekill", PARTITIONS, &settings()).unwrap();
    let referee = Referee::new(&world);
    world.feed(&whole());
    let roles = ["judge", "settle", "forecast"];
    let mut processes = roles.map(|role| world.start_as(role, "0", &[]));
    let mut random = Random(7);
    let mut at_work = 0;
    for round in 0..20 {
        let aim = referee.written() + 1 + random.below(expected.written as u64 / 15) as i64;
        wait_until("progress", &mut processes.each_mut(), || referee.written() >= aim || referee.read());
        at_work += usize::from(!referee.read());
        processes[round % 3].kill();
        processes[round % 3] = world.start_as(roles[round % 3], "0", &[]);
    }
    assert!(at_work >= 18, "only {at_work} of 20 kills hit processes that had work left");
    referee.finish(&mut processes.each_mut());
    for process in &mut processes {
        process.stop();
    }
    expected.judged.assert_same(&referee.output());
}
