//! The store when PostgreSQL is not there, is reached through a pooler, or is asked by many at once.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tickcast::io::postgres::partitions::{DAY, Known, day_of, ensure};
use tickcast::io::postgres::tables::{ACCURACY, BARS, OUTCOMES, PREDICTIONS};
use tickcast::io::postgres::{Target, connect, migrate};

use crate::store::{MIDNIGHT, SECOND, assert_rows, bar, prediction};
use crate::store_referee::{outcome, outcome_row, report, report_row};
use crate::support;
use crate::support::postgres::PrivatePostgres;
use crate::support::store::{Running, World, connect as plain, database_url, wait};

#[test]
fn postgres_crashes_are_survived() {
    let Some(server) = PrivatePostgres::start() else { return };
    let Some(mut world) = World::new(2) else { return };
    world.use_server(&server.url());
    let all: Vec<_> = (0..800).map(|n| bar(["A", "B"][n as usize % 2], MIDNIGHT + n / 2 * SECOND)).collect();
    let texts: Vec<_> = all.iter().map(Value::to_string).collect();
    let store = Running::start(world.settings("0", &["store.batch_rows=10"]));
    let produce = |texts: &[String]| {
        for few in texts.chunks(20) {
            let records: Vec<_> =
                few.iter().enumerate().map(|(n, text)| (&*world.topics.bars, n as i32 % 2, &**text)).collect();
            world.produce(&records);
        }
    };
    produce(&texts[..200]);
    for texts in texts[200..].chunks(200) {
        server.crash();
        produce(&texts[..100]);
        // Longer than a full batch waits before consumption is paused.
        wait("the store says so", || store.snapshot().unready.iter().any(|why| why.contains("PostgreSQL")));
        std::thread::sleep(Duration::from_millis(1_500));
        server.up();
        produce(&texts[100..]);
        wait("the store goes on", || store.snapshot().unready.is_empty());
    }
    store.wait("all bars", |_| world.number("SELECT count(*) FROM bars") == 800);
    let last = store.stop();
    assert!(last.retries >= 3, "{last:?}");
    assert_rows(&world, "bars", all);
}

#[test]
fn an_absent_postgres_does_not_keep_the_store_from_stopping() {
    let Some(world) = World::new(1) else { return };
    let text = bar("A", MIDNIGHT).to_string();
    world.produce(&[(&world.topics.bars, 0, &text)]);
    let store = Running::start(world.settings("0", &["postgres.url=postgres://u:hunter2@127.0.0.1:1/none"]));
    store.wait("it says what is wrong", |now| now.unready.iter().any(|why| why.contains("127.0.0.1:1/none")));
    assert!(!format!("{:?}", store.snapshot()).contains("hunter2"));
    let begin = std::time::Instant::now();
    store.stop();
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}

#[test]
fn a_transaction_pooler_will_do() {
    let Some(pooler) = support::server("TICKCAST_TEST_PGBOUNCER_URL") else { return };
    let Some(world) = World::new(2) else { return };
    let pooled = format!("postgres.url={}", database_url(&pooler, &world.name));
    let bars: Vec<_> = (0..300).map(|n| bar(["A", "B"][n as usize % 2], MIDNIGHT + n / 2 * SECOND)).collect();
    let said: Vec<_> = (0..300).map(|n| prediction("A", MIDNIGHT + n * SECOND, 1)).collect();
    let settled: Vec<_> = (0..300).map(|n| outcome("A", MIDNIGHT + n * SECOND)).collect();
    let texts: Vec<_> = bars.iter().chain(&said).chain(&settled).map(Value::to_string).collect();
    let topics = [&*world.topics.bars, &*world.topics.predictions, &*world.topics.outcomes];
    let records: Vec<_> = texts.iter().enumerate().map(|(n, text)| (topics[n / 300], n as i32 % 2, &**text)).collect();
    let more = [&*pooled, "kafka.static_membership=false", "store.batch_rows=9"];
    // Two of them share the pooler's server connections, so that no session stays with whom it began.
    let stores = [Running::start(world.settings("0", &more)), Running::start(world.settings("1", &more))];
    for part in records.chunks(50) {
        world.produce(part);
    }
    let stored =
        || stores.iter().map(|s| s.snapshot()).map(|now| now.bars + now.predictions + now.outcomes).sum::<u64>();
    wait("all rows", || stored() == 900);
    let retries: u64 = stores.into_iter().map(|store| store.stop().retries).sum();
    assert_eq!(retries, 0, "the pooler refused something");
    assert_rows(&world, "bars", bars);
    assert_rows(&world, "predictions", said);
    assert_rows(&world, "outcomes", settled.into_iter().map(outcome_row).collect());
}

#[test]
fn many_may_migrate_and_make_days_at_once() {
    let Some(world) = World::new(1) else { return };
    let target = Target::parse(&world.url).unwrap();
    world.runtime.block_on(async {
        let tasks: Vec<_> = (0..6)
            .map(|_| {
                let target = target.clone();
                tokio::spawn(async move {
                    let mut client = connect::connect(&target).await.unwrap();
                    let applied = migrate::migrate(&mut client, &target).await.unwrap();
                    let mut known = Known::default();
                    for table in [&BARS, &PREDICTIONS, &OUTCOMES, &ACCURACY] {
                        let first = day_of(MIDNIGHT);
                        ensure(&mut client, &target, &mut known, table, first..first + 20).await.unwrap();
                    }
                    applied.len()
                })
            })
            .collect();
        let mut applied = 0;
        for task in tasks {
            applied += task.await.unwrap();
        }
        assert_eq!(applied, 3, "one of them migrated");
    });
    let days = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'bars'::regclass";
    assert_eq!(world.number(days), 20);
    // A record at each edge of a day finds its partition.
    let text = |time: i64| bar("A", time).to_string();
    let (first, last) = (text(MIDNIGHT), text(MIDNIGHT + 20 * DAY - SECOND));
    world.produce(&[(&world.topics.bars, 0, &first), (&world.topics.bars, 0, &last)]);
    let store = Running::start(world.settings("0", &[]));
    store.wait("both", |now| now.bars == 2);
    store.stop();
    assert_eq!(world.number(days), 20);
}

#[test]
fn columns_are_named_as_the_records_fields_are() {
    let Some(world) = World::new(1) else { return };
    let target = Target::parse(&world.url).unwrap();
    world.runtime.block_on(async {
        let mut client = connect::connect(&target).await.unwrap();
        migrate::migrate(&mut client, &target).await.unwrap();
    });
    let tables = [
        ("bars", bar("A", MIDNIGHT)),
        ("predictions", prediction("A", MIDNIGHT, 1)),
        ("outcomes", outcome_row(outcome("A", MIDNIGHT))),
        ("accuracy", report_row(report(None, MIDNIGHT))),
    ];
    for (table, record) in tables {
        let mut fields: Vec<_> = record.as_object().unwrap().keys().cloned().collect();
        fields.sort();
        let columns = format!("SELECT column_name::text FROM information_schema.columns WHERE table_name = '{table}'");
        let mut columns = world.texts(&columns);
        columns.sort();
        assert_eq!(columns, fields);
    }
    // A view shows what its table holds, in the order of its columns.
    assert_eq!(world.number("SELECT count(*) FROM predictions_utc"), 0);
}

#[test]
fn the_command_line_migrates() {
    let Some(world) = World::new(1) else { return };
    let run = |url: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_tickcast"))
            .args(["migrate", "--set", &format!("postgres.url={url}")])
            .output()
            .unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code(), text)
    };
    let (code, text) = run(&world.url);
    assert!(code == Some(0) && text.contains("applied 0001_tables"), "{text}");
    let (code, text) = run(&world.url);
    assert!(code == Some(0) && text.contains("nothing to do"), "{text}");
    let (code, text) = run("postgres://u:hunter2@127.0.0.1:1/none");
    assert!(code == Some(1) && text.contains("127.0.0.1:1/none") && !text.contains("hunter2"), "{text}");
    let (code, text) = run("postgres://u:hunter2@127.0.0.1:port/none");
    assert!(code == Some(2) && text.contains("postgres.url") && !text.contains("hunter2"), "{text}");
    // What another version applied is left alone.
    world.execute("UPDATE tickcast_migrations SET checksum = 'x'");
    let (code, text) = run(&world.url);
    assert!(code == Some(1) && text.contains("migration 1"), "{text}");
    world.runtime.block_on(async { drop(plain(&world.url).await) });
}

#[test]
fn a_twin_takes_over_and_the_elder_says_so() {
    let Some(world) = World::new(1) else { return };
    let elder = Running::start(world.settings("same", &[]));
    elder.wait("an assignment", |now| now.unready.is_empty());
    let twin = Running::start(world.settings("same", &[]));
    let error = format!("{:#}", elder.failure());
    assert!(error.contains("kafka.instance"), "{error}");
    let text = bar("A", MIDNIGHT).to_string();
    world.produce(&[(&world.topics.bars, 0, &text)]);
    twin.wait("the bar", |now| now.bars == 1);
}
