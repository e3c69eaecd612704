//! The referee under `kill -9`: each outcome, each report and each retrain request once, equal to those of an undisturbed run.

use std::sync::OnceLock;
use std::time::Duration;

use super::judged::{BARS, FLIP, Judged, PARTITIONS, RULES, Referee, Trade, end_of, market, part, whole};
use super::stream::{Random, Tick};
use super::world::{OFTEN, World, wait_until};

/// What an undisturbed run over [`whole`] writes.
pub struct Undisturbed {
    pub judged: Judged,
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
        let judged = referee.output();
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
        Some(Undisturbed { judged })
    })
    .as_ref()
}

fn settings() -> Vec<&'static str> {
    [&RULES[..], &OFTEN[..]].concat()
}

/// The market as it comes in while twenty processes die: a backlog, a part before each kill, and the rest.
struct Feed {
    market: Vec<Trade>,
    fed: i64,
}

impl Feed {
    fn new() -> Self {
        Self { market: market(), fed: 0 }
    }

    fn to(&mut self, world: &World, bar: i64) {
        world.feed(&part(&self.market, self.fed..bar, &[0, 1]));
        self.fed = bar;
    }

    fn rest(mut self, world: &World) {
        self.to(world, BARS);
        world.feed(&[Tick::Watermark(end_of(BARS))]);
    }
}

/// The roles, and what tells that each has done something: how much is in a topic.
const ROLES: [&str; 3] = ["judge", "settle", "forecast"];

fn done_by(referee: &Referee<'_>, world: &World, role: usize) -> i64 {
    let topics = &world.topics;
    referee.end([&topics.accuracy_state, &topics.outcomes, &topics.predictions][role])
}

/// One process with all three roles, killed at twenty moments: in the middle of what one of them does, or of a restore.
#[test]
fn kill_minus_nine_of_everything() {
    let Some(expected) = undisturbed() else { return };
    let world = World::make("judgekill", PARTITIONS, &settings()).unwrap();
    let (referee, mut feed, mut random) = (Referee::new(&world), Feed::new(), Random(2026));
    let mut at_work = 0;
    feed.to(&world, 330);
    for round in 0..20 {
        feed.to(&world, 335 + 9 * round);
        let mut process = world.start_as("forecast,verify", "0", &[]);
        if round % 4 == 3 {
            // The moment is the point: any time from the assignment to the middle of the restore.
            process.wait_for_log("the judge", |line| line.contains(": assigned ") && line.contains(".judge."));
            std::thread::sleep(Duration::from_millis(random.below(300)));
        } else {
            let role = round as usize % 3;
            let aim = done_by(&referee, &world, role) + 1 + random.below([8, 40, 40][role]) as i64;
            wait_until(ROLES[role], &mut [&mut process], || done_by(&referee, &world, role) >= aim || referee.read());
        }
        process.kill();
        at_work += usize::from(!referee.read());
    }
    assert!(at_work >= 18, "only {at_work} of 20 kills hit a process that had work left");
    feed.rest(&world);
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
    let (referee, mut feed, mut random) = (Referee::new(&world), Feed::new(), Random(7));
    let mut at_work = 0;
    feed.to(&world, 330);
    let mut processes = ROLES.map(|role| world.start_as(role, "0", &[]));
    for round in 0..20 {
        let role = round as usize % 3;
        let aim = done_by(&referee, &world, role) + 1 + random.below([8, 40, 40][role]) as i64;
        feed.to(&world, 335 + 9 * round);
        wait_until(ROLES[role], &mut processes.each_mut(), || done_by(&referee, &world, role) >= aim || referee.read());
        at_work += usize::from(!referee.read());
        processes[role].kill();
        processes[role] = world.start_as(ROLES[role], "0", &[]);
    }
    assert!(at_work >= 18, "only {at_work} of 20 kills hit processes that had work left");
    feed.rest(&world);
    referee.finish(&mut processes.each_mut());
    for process in &mut processes {
        process.stop();
    }
    expected.judged.assert_same(&referee.output());
}
