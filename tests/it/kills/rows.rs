//! `kill -9` of a process that forecasts and stores: PostgreSQL holds what one undisturbed run writes to the topics.

use serde_json::Value;
use tokio_postgres::Client;

use super::crashes::undisturbed;
use super::stream::{Random, market};
use super::world::{OFTEN, World, wait_until};
use crate::support;
use crate::support::store::{connect, database_url};

/// Rows of `table` as the topic's records have them, without what depends on a clock; sorted.
async fn rows(client: &Client, table: &str) -> Vec<String> {
    let found = client.query(&format!("SELECT (to_jsonb(t) - 'produced_at')::text FROM {table} t"), &[]).await;
    sorted(found.expect("rows").iter().map(|row| serde_json::from_str(row.get(0)).expect("JSON")))
}

fn sorted(values: impl Iterator<Item = Value>) -> Vec<String> {
    let mut texts: Vec<String> = values.map(|value| numbers_as_floats(value).to_string()).collect();
    texts.sort_unstable();
    texts
}

/// PostgreSQL writes 100.0 as 100: what is compared are the numbers.
fn numbers_as_floats(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::from(number.as_f64().expect("a number")),
        Value::Array(values) => values.into_iter().map(numbers_as_floats).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, numbers_as_floats(value))).collect(),
        other => other,
    }
}

#[test]
fn rows_survive_kills() {
    let (Some(expected), Some(server)) = (undisturbed(), support::server("TICKCAST__POSTGRES__URL")) else { return };
    let world = World::make("rows", 4, &OFTEN).unwrap();
    let runtime = support::runtime();
    let database = world.config.kafka.group.replace(['-', '.'], "_").to_lowercase();
    let admin = runtime.block_on(connect(&server));
    runtime.block_on(admin.batch_execute(&format!("CREATE DATABASE {database}"))).expect("a database");
    let url = database_url(&server, &database);
    let set = format!("postgres.url={url}");
    let more = [set.as_str(), "store.linger=20ms", "store.batch_rows=300"];

    world.feed(&market());
    let client = {
        let mut process = world.start_as("forecast,store", "0", &more);
        process.wait_for_log("the tables", |log| log.contains("migration"));
        process.kill();
        runtime.block_on(connect(&url))
    };
    let stored = |table: &str| {
        let count = runtime.block_on(client.query_one(&format!("SELECT count(*) FROM {table}"), &[])).expect("a count");
        count.get::<_, i64>(0)
    };
    let wanted = |topic: &'static str| -> Vec<String> {
        let records = expected.output.iter().filter(|((name, _), _)| *name == topic).flat_map(|(_, records)| records);
        sorted(records.map(|record| record["value"].clone()))
    };
    let (bars, predictions) = (wanted("bars"), wanted("predictions"));
    let mut random = Random(4_242);
    let mut at_work = 0;
    for _ in 0..10 {
        let mut process = world.start_as("forecast,store", "0", &more);
        let aim = stored("predictions") + 1 + random.below(predictions.len() as u64 / 12) as i64;
        let all = predictions.len() as i64;
        wait_until("rows", &mut [&mut process], || stored("predictions") >= aim.min(all));
        process.kill();
        at_work += usize::from(stored("predictions") < all);
    }
    assert!(at_work >= 6, "only {at_work} of 10 kills hit a store that had work left");
    let mut process = world.start_as("forecast,store", "0", &more);
    wait_until("all rows", &mut [&mut process], || {
        world.is_done() && stored("bars") >= bars.len() as i64 && stored("predictions") >= predictions.len() as i64
    });
    process.stop();
    assert_eq!(runtime.block_on(rows(&client, "bars")), bars);
    assert_eq!(runtime.block_on(rows(&client, "predictions")), predictions);
    drop(client);
    let drop_database = format!("DROP DATABASE {database} WITH (FORCE)");
    runtime.block_on(admin.batch_execute(&drop_database)).expect("the database goes");
}
