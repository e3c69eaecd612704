//! Kills between two cycles of one watermark jump: a single record closes hundreds of bars, and every cycle is a commit.

use tickcast::flow::time::SECOND;

use super::stream::{BEGIN, one_jump};
use super::world::{World, assert_same, wait_until};

const BARS: i64 = 360;

/// The offset already stands behind the record that jumps, while most of its cycles have not run: what they need is in
/// `ticks` before that offset, and nowhere else.
#[test]
fn kills_between_two_cycles_of_one_jump() {
    // Nothing closes before the watermark says so.
    let patient = ["bars.allowed_lateness=1h"];
    let Some(undisturbed) = World::make("jump0", 1, &patient) else { return };
    let ticks = one_jump(5, BARS);
    undisturbed.feed(&ticks);
    let mut process = undisturbed.start("0", &[]);
    undisturbed.finish(&mut [&mut process]);
    process.stop();
    let expected = undisturbed.output();

    let world = World::make("jump", 1, &[patient[0], "forecast.max_transaction_bytes=1024"]).unwrap();
    world.feed(&ticks);
    let end = world.end(&world.topics.ticks, 0);
    let closed = || match world.checkpoints().remove(0) {
        Some((offset, checkpoint)) if offset == end => checkpoint.closed.unwrap_or(0),
        _ => 0,
    };
    for bars in [1, 40, 150, 151, 322, 340] {
        let mut process = world.start("0", &[]);
        wait_until("some cycles", &mut [&mut process], || closed() >= BEGIN + bars * SECOND);
        process.kill();
        assert!(closed() < BEGIN + BARS * SECOND, "the kill came too late to be between two cycles");
    }
    let mut process = world.start("0", &[]);
    world.finish(&mut [&mut process]);
    process.stop();
    assert_same(&expected, &world.output());
}
