//! How processes are killed while they work, whatever the market is: at moments that a seed decides.

use std::time::Duration;

use serde_json::Value;

use super::stream::Random;
use super::world::{Output, World, wait_until};

/// Settings under which a process that was killed loses its partitions soon.
pub const SHORT_SESSIONS: [&str; 2] = ["kafka.session_timeout=6s", "kafka.transaction_timeout=5s"];

/// What a run writes that nobody disturbs.
pub struct Undisturbed {
    pub output: Output,
    /// Records and markers in `bars` and `predictions`.
    pub written: i64,
}

impl Undisturbed {
    /// One process works off what was fed to `world`.
    pub fn of(world: &World) -> Self {
        let mut process = world.start("0", &[]);
        world.finish(&mut [&mut process]);
        process.stop();
        Self { output: world.output(), written: world.written() }
    }

    /// The records of `topic`, partition by partition.
    pub fn records<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = &'a Value> {
        self.output.iter().filter(move |((name, _), _)| *name == topic).flat_map(|(_, records)| records)
    }

    /// How many values in `topic` are `wanted`: an empty run would equal any other empty run.
    pub fn count(&self, topic: &str, wanted: impl Fn(&Value) -> bool) -> usize {
        self.records(topic).filter(|record| wanted(&record["value"])).count()
    }
}

/// What processes are killed at.
pub struct Work<'a> {
    /// Their roles.
    pub roles: &'a str,
    /// Their settings besides those of the world.
    pub more: &'a [&'a str],
    /// How much is done.
    pub progress: &'a dyn Fn() -> i64,
    /// The same when all is done.
    pub whole: i64,
}

/// Starts a process `kills` times and kills it: while it starts, while it restores, while it works. Gives how many kills hit
/// one that had work left.
pub fn kill_again_and_again(world: &World, work: &Work<'_>, kills: u64, seed: u64) -> usize {
    let mut random = Random(seed);
    // So that about half of the work is done when the last one is killed.
    let most = work.whole as u64 * 3 / (2 * kills);
    let mut at_work = 0;
    for round in 0..kills {
        let mut process = world.start_as(work.roles, "0", work.more);
        let moment = if round % 4 == 3 {
            // The moment is the point: any time from the assignment to the middle of the restore.
            process.wait_for_assignment();
            let moment = Duration::from_millis(random.below(300));
            std::thread::sleep(moment);
            format!("{moment:?} after it was given partitions")
        } else {
            let aim = (work.progress)() + 1 + random.below(most) as i64;
            wait_until("progress", &mut [&mut process], || (work.progress)() >= aim.min(work.whole) || world.is_done());
            format!("when {aim} of {} were done", work.whole)
        };
        process.kill();
        let done = (work.progress)();
        at_work += usize::from(done < work.whole && !world.is_done());
        eprintln!("seed {seed}: kill {} of {kills} {moment}, at {done}", round + 1);
    }
    at_work
}

/// Two processes share the partitions of `world`; each is killed in turn and started again, until all is done. `feed` goes on
/// when both have partitions. Gives how many kills hit one while work was left.
pub fn kill_in_turn(world: &World, expected: &Undisturbed, seed: u64, feed: impl FnOnce()) -> usize {
    let mut processes = [world.start("a", &[]), world.start("b", &[])];
    for process in &mut processes {
        process.wait_for_assignment();
    }
    feed();
    let mut random = Random(seed);
    let mut at_work = 0;
    for round in 0..8 {
        let aim = world.written() + 1 + random.below(expected.written as u64 / 10) as i64;
        let [a, b] = &mut processes;
        wait_until("progress", &mut [a, b], || world.written() >= aim || world.is_done());
        let victim = round % 2;
        processes[victim].kill();
        at_work += usize::from(!world.is_done());
        let name = ["a", "b"][victim];
        eprintln!("seed {seed}: kill {} of 8, of {name}, when {aim} of {} were written", round + 1, expected.written);
        if round == 4 {
            // Long enough away to lose its partitions: the other one takes over what it left half done.
            let survivor = &mut processes[1 - victim];
            let all = format!("partitions={:?}", (0..world.partitions).collect::<Vec<_>>());
            survivor.wait_for_log("the other takes all", |line| line.contains(": assigned ") && line.contains(&all));
        }
        processes[victim] = world.start(name, &[]);
    }
    let [a, b] = &mut processes;
    world.finish(&mut [a, b]);
    for process in &mut processes {
        process.stop();
    }
    at_work
}
