//! `store.retention` on a real PostgreSQL: which days go, who is not kept waiting, and what comes for a day that is gone.

use serde_json::Value;
use tickcast::io::postgres::partitions::{DAY, Known, day_of, ensure};
use tickcast::io::postgres::retention::{Dropped, drop_day, held};
use tickcast::io::postgres::tables::{BARS, PREDICTIONS};
use tickcast::io::postgres::{Target, connect, migrate};
use tokio_postgres::Client;

use crate::store::{MIDNIGHT, SECOND, assert_rows, bar, prediction};
use crate::support;
use crate::support::store::{Running, World, connect as plain, database_url};

/// One record a day from midnight on, `days` of them.
fn daily(make: impl Fn(i64) -> Value, days: std::ops::Range<i64>) -> Vec<Value> {
    days.map(|day| make(MIDNIGHT + day * DAY)).collect()
}

fn produce(world: &World, topic: &str, records: &[Value]) {
    let texts: Vec<_> = records.iter().map(Value::to_string).collect();
    let records: Vec<_> = texts.iter().map(|text| (topic, 0, &**text)).collect();
    world.produce(&records);
}

/// Names of the partitions of a table.
fn partitions(world: &World, table: &str) -> Vec<String> {
    world.texts(&format!(
        "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
         WHERE i.inhparent = '{table}'::regclass ORDER BY 1"
    ))
}

/// A connection as the store has it, and `days` days of bars.
async fn prepared(world: &World, days: i64) -> (Client, Target) {
    let target = Target::parse(&world.url).unwrap();
    let mut client = connect::connect(&target).await.unwrap();
    migrate::migrate(&mut client, &target).await.unwrap();
    let first = day_of(MIDNIGHT);
    ensure(&mut client, &target, &mut Known::default(), &BARS, first..first + days).await.unwrap();
    (client, target)
}

#[test]
fn old_days_go_by_the_rows_own_time() {
    let Some(world) = World::new(1) else { return };
    // All of it is years old by the wall clock. Predictions end two days before the bars: one clock for all tables.
    let bars = daily(|time| bar("A", time), 0..6);
    let said = daily(|time| prediction("A", time, 1), 0..4);
    produce(&world, &world.topics.bars, &bars);
    produce(&world, &world.topics.predictions, &said);
    let store = Running::start(world.settings("0", &[]));
    store.wait("all rows", |now| now.bars == 6 && now.predictions == 4);
    assert_eq!(store.partitions("dropped"), 0);
    store.stop();
    world.execute("CREATE TABLE theirs PARTITION OF bars DEFAULT");
    world.execute(
        "INSERT INTO bars SELECT symbol, interval, 0, 0, open, high, low, close, volume, vwap, trades, buy_volume, \
                   sell_volume, complete, synthetic, 0 FROM bars LIMIT 1",
    );

    let store = Running::start(world.settings("0", &["store.retention=2days"]));
    store.wait("old days are gone", |_| store.partitions("dropped") == 6);
    // Midnight of day 5 is the newest: day 3 begins two days before it.
    assert_eq!(partitions(&world, "bars"), ["bars_p20240813", "bars_p20240814", "bars_p20240815", "theirs"]);
    assert_eq!(partitions(&world, "predictions"), ["predictions_p20240813"]);
    assert_eq!(world.number("SELECT count(*) FROM bars WHERE close_time = 0"), 1, "a partition of others is theirs");
    // What comes for a day that is gone is stored, and the stream goes on.
    let late = bar("LATE", MIDNIGHT + SECOND);
    produce(&world, &world.topics.bars, &[late.clone(), bar("A", MIDNIGHT + 6 * DAY)]);
    store.wait("late and new", |now| now.bars == 2);
    let last = store.stop();
    assert_eq!((last.retries, last.skipped, last.conflicts), (0, 0, 0));
    world.execute("DELETE FROM bars WHERE close_time = 0");
    let kept: Vec<_> = daily(|time| bar("A", time), 3..7).into_iter().chain([late]).collect();
    assert_rows(&world, "bars", kept);
    // The next look takes it, and the day that has become old meanwhile.
    let store = Running::start(world.settings("0", &["store.retention=2days"]));
    store.wait("the late day is gone", |_| store.partitions("dropped") == 3);
    store.stop();
    assert_rows(&world, "bars", daily(|time| bar("A", time), 4..7));
    assert_rows(&world, "predictions", Vec::new());
}

#[test]
fn a_day_that_goes_under_the_writer_is_made_again() {
    let Some(world) = World::new(1) else { return };
    let store = Running::start(world.settings("0", &[]));
    produce(&world, &world.topics.bars, &daily(|time| bar("A", time), 0..2));
    store.wait("two days", |now| now.bars == 2);
    // Another process drops a day that this one knows.
    world.runtime.block_on(async {
        let (mut client, target) = prepared(&world, 2).await;
        let dropped = drop_day(&mut client, &target, &BARS, day_of(MIDNIGHT)).await.unwrap();
        assert!(matches!(dropped, Dropped::Yes), "{dropped:?}");
        let again = drop_day(&mut client, &target, &BARS, day_of(MIDNIGHT)).await.unwrap();
        assert!(matches!(again, Dropped::Gone), "{again:?}");
    });
    let late = [bar("LATE", MIDNIGHT + SECOND), bar("LATE", MIDNIGHT + 2 * SECOND)];
    produce(&world, &world.topics.bars, &late);
    store.wait("the late ones", |now| now.bars == 4);
    let last = store.stop();
    assert_eq!((last.retries, last.skipped), (0, 0), "no connection was given up for it: {last:?}");
    assert_rows(&world, "bars", late.into_iter().chain([bar("A", MIDNIGHT + DAY)]).collect());
}

#[test]
fn nobody_waits_for_a_drop() {
    let Some(world) = World::new(1) else { return };
    world.runtime.block_on(async {
        let (mut client, target) = prepared(&world, 3).await;
        let day = day_of(MIDNIGHT);
        let reader = plain(&world.url).await;
        reader.batch_execute("BEGIN; SELECT count(*) FROM bars").await.unwrap();
        let busy = drop_day(&mut client, &target, &BARS, day).await.unwrap();
        assert!(matches!(busy, Dropped::Busy), "a reader is in the table: {busy:?}");
        // The connection is as before, and holds nothing: another table's day goes, and the reader reads on.
        ensure(&mut client, &target, &mut Known::default(), &PREDICTIONS, day..day + 1).await.unwrap();
        let other = drop_day(&mut client, &target, &PREDICTIONS, day).await.unwrap();
        assert!(matches!(other, Dropped::Yes), "{other:?}");
        reader.batch_execute("SELECT count(*) FROM bars; COMMIT").await.unwrap();

        // One process at a time.
        reader.batch_execute("BEGIN; SELECT pg_advisory_xact_lock(x'7469636b64726f70'::bigint)").await.unwrap();
        let elsewhere = drop_day(&mut client, &target, &BARS, day).await.unwrap();
        assert!(matches!(elsewhere, Dropped::Elsewhere), "{elsewhere:?}");
        reader.batch_execute("COMMIT; CREATE VIEW theirs AS SELECT * FROM bars_p20240810").await.unwrap();

        // Somebody's view of that one day is not taken away.
        let Dropped::Refused(error) = drop_day(&mut client, &target, &BARS, day).await.unwrap() else {
            panic!("the view is gone")
        };
        let text = format!("{:#}", anyhow::Error::from(error));
        assert!(text.contains("bars_p20240810") && text.contains("depend"), "{text}");
        let dropped = drop_day(&mut client, &target, &BARS, day + 1).await.unwrap();
        assert!(matches!(dropped, Dropped::Yes), "{dropped:?}");
        let mut days = held(&client, &target, &BARS).await.unwrap().days;
        days.sort_unstable();
        assert_eq!(days, [day, day + 2]);
    });
}

#[test]
fn many_keep_house_through_a_pooler() {
    let Some(pooler) = support::server("TICKCAST_TEST_PGBOUNCER_URL") else { return };
    let Some(world) = World::new(1) else { return };
    let bars = daily(|time| bar("A", time), 0..40);
    produce(&world, &world.topics.bars, &bars);
    let store = Running::start(world.settings("0", &[]));
    store.wait("all rows", |now| now.bars == 40);
    store.stop();
    // All at once, and a writer among them.
    let pooled = format!("postgres.url={}", database_url(&pooler, &world.name));
    let more = [&*pooled, "kafka.static_membership=false", "store.retention=1day"];
    let stores: Vec<_> = ["0", "1", "2"].map(|name| Running::start(world.settings(name, &more))).into();
    let new = daily(|time| bar("B", time), 38..40);
    produce(&world, &world.topics.bars, &new);
    let sum = |what: &dyn Fn(&Running) -> u64| stores.iter().map(what).sum::<u64>();
    support::store::wait("old days are gone", || sum(&|store| store.partitions("dropped")) >= 38);
    support::store::wait("new rows", || sum(&|store| store.snapshot().bars) >= 2);
    assert_eq!(sum(&|store| store.partitions("dropped")), 38, "each went once");
    let retries: u64 = stores.into_iter().map(|store| store.stop().retries).sum();
    assert_eq!(retries, 0, "the pooler refused something");
    assert_eq!(partitions(&world, "bars"), ["bars_p20240917", "bars_p20240918"]);
    assert_rows(&world, "bars", daily(|time| bar("A", time), 38..40).into_iter().chain(new).collect());
}
