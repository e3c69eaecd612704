//! Lost or foreign offsets are refused, not guessed: the process ends with 1 and names the command that accepts them.

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;

use crate::support;
use crate::support::raw::{trade, watermark};
use crate::support::stage::Stage;

const T: i64 = 1_723_161_600_000_000;

/// A stage with two bars, and a group that nobody is a member of.
fn stage(what: &str) -> Option<Stage> {
    let stage = Stage::new(what, 1, &["kafka.static_membership=false"])?;
    stage.log.tell(0, &[trade("A", T, 1.0), watermark(T + 2_000_000)]);
    stage.forecast(&[]);
    assert_eq!(stage.read("bars").len(), 2);
    Some(stage)
}

fn refuses(stage: &Stage, more: &[&str], why: &str) {
    let mut service = stage.run(more);
    let code = service.end();
    let said = service.output();
    assert_eq!(code, 1, "{said}");
    for part in [why, "tickcast offsets accept", &stage.log.topic("ticks/0")] {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
}

#[test]
fn deleted_offsets_are_refused_and_accepted() {
    let Some(stage) = stage("deleted_offsets") else { return };
    let brokers = support::kafka().unwrap();
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let deleted = support::runtime().block_on(admin.delete_groups(&[&stage.group], &AdminOptions::new())).unwrap();
    assert!(deleted[0].is_ok(), "{deleted:?}");
    assert!(stage.log.committed().is_empty());
    refuses(&stage, &[], "the group has committed no offset");
    assert!(stage.log.committed().is_empty());

    let accepted = stage.ok(&["offsets", "accept"]);
    assert!(accepted.contains("partition 0"), "{accepted}");
    // Both are behind the last close: the first is late, the second begins the symbol anew.
    stage.log.tell(0, &[trade("A", T + 1_500_000, 7.0), trade("A", T + 2_500_000, 2.0), watermark(T + 3_000_000)]);
    stage.forecast(&[]);
    let bars: Vec<_> = stage.read("bars").iter().map(|bar| bar.json()).collect();
    assert_eq!(bars.len(), 3, "{bars:?}");
    assert_eq!((&bars[2]["close_time"], &bars[2]["close"]), (&(T + 3_000_000).into(), &2.0.into()));
}

#[test]
fn another_interval_is_refused() {
    let Some(stage) = stage("other_interval") else { return };
    let before = stage.log.committed();
    refuses(
        &stage,
        &["bars.interval=5s"],
        "made with other settings, or on another cluster or topic: bars.interval was 1s and is 5s",
    );
    refuses(&stage, &["bars.allowed_lateness=2s"], "bars.allowed_lateness was 1s and is 2s");
    assert_eq!(stage.log.committed(), before);
    // With its own settings again it goes on.
    stage.log.tell(0, &[watermark(T + 3_000_000)]);
    stage.forecast(&[]);
    assert_eq!(stage.read("bars").len(), 3);
}

#[test]
fn offsets_of_another_program_are_refused() {
    let Some(stage) = stage("foreign_offsets") else { return };
    stage.log.commit_without_metadata(0, 1);
    refuses(&stage, &[], "the committed offset 1 carries no checkpoint");
    assert_eq!(stage.log.committed()[&0], 1);
}

/// Static members outlive their processes, those of the stopped and of the refused: they are waited for, so the command that the
/// refusal names does what it says when it is given straight away.
#[test]
fn what_a_refusal_names_works_straight_away() {
    let static_members = ["kafka.static_membership=true", "kafka.session_timeout=6s"];
    let Some(stage) = Stage::new("accept_at_once", 2, &static_members) else { return };
    for partition in 0..2 {
        stage.log.tell(partition, &[trade("A", T, 1.0), watermark(T + 2_000_000)]);
    }
    stage.forecast(&[]);
    assert_eq!(stage.log.members(), 1, "who was stopped keeps its place");

    let mut live = stage.run(&[]);
    live.wait_ready(200, "");
    let turned_away = stage.call(&["offsets", "accept"]);
    assert_eq!(turned_away.code, 1, "{}", turned_away.out);
    assert!(turned_away.err.contains("has a live member: tickcast-0 at "), "{}", turned_away.err);
    assert!(turned_away.err.contains("Nothing was changed"), "{}", turned_away.err);
    live.stop();

    let mut refused = stage.run(&["bars.interval=5s"]);
    assert_eq!(refused.end(), 1, "{}", refused.output());
    let said = refused.output();
    assert!(said.contains("ticks/0, ") && said.contains("ticks/1: the checkpoint was made"), "{said}");
    assert!(said.contains("`tickcast offsets accept --role forecast`"), "{said}");
    assert_eq!(stage.log.members(), 1, "the refused keeps its place, too");

    let accepted = stage.call_with(&["offsets", "accept", "--role", "forecast"], &["bars.interval=5s"]);
    assert_eq!(accepted.code, 0, "{}", accepted.err);
    assert!(
        accepted.err.contains("still has tickcast-0 at ") && accepted.err.contains("waiting up to 11s"),
        "{}",
        accepted.err
    );
    let accepted = accepted.out;
    assert!(accepted.contains("partition 0: ") && accepted.contains("partition 1: "), "{accepted}");
    for partition in 0..2 {
        stage.log.tell(partition, &[trade("A", T + 6_000_000, 2.0), watermark(T + 10_000_000)]);
    }
    stage.forecast(&["bars.interval=5s"]);
    assert_eq!(stage.read("bars").iter().filter(|bar| bar.json()["interval"] == "5s").count(), 2);

    // That one was stopped, and is a member still: it is waited for.
    let waited = stage.call_with(&["offsets", "accept", "--partition", "1"], &["bars.interval=5s"]);
    assert_eq!(waited.code, 0, "{}", waited.err);
    assert!(
        waited.err.contains("still has tickcast-0 at ") && waited.err.contains("waiting up to 11s"),
        "{}",
        waited.err
    );
    assert!(waited.out.contains("partition 1: ") && !waited.out.contains("partition 0: "), "{}", waited.out);
}
