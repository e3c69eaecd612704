//! `kill -9` of a process that forecasts and stores: PostgreSQL holds what one undisturbed run writes to the topics.

use serde_json::Value;
use tokio::runtime::Runtime;
use tokio_postgres::Client;

use super::crashes::undisturbed;
use super::harness::{Undisturbed, Work, kill_again_and_again};
use super::stream::market;
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

/// A database of its own, filled by the processes of one world.
pub struct Rows {
    runtime: Runtime,
    admin: Client,
    client: Client,
    name: String,
    /// The settings of a process that stores there.
    pub settings: [String; 3],
}

impl Rows {
    /// Makes the database, and the tables by a process that is killed then; `None` where there is no PostgreSQL.
    pub fn make(world: &World) -> Option<Self> {
        let server = support::server("TICKCAST__POSTGRES__URL")?;
        let runtime = support::runtime();
        let name = world.config.kafka.group.replace(['-', '.'], "_").to_lowercase();
        let admin = runtime.block_on(connect(&server));
        runtime.block_on(admin.batch_execute(&format!("CREATE DATABASE {name}"))).expect("a database");
        let url = database_url(&server, &name);
        let settings = [&format!("postgres.url={url}"), "store.linger=20ms", "store.batch_rows=300"].map(String::from);
        let mut process = world.start_as("store", "0", &settings.each_ref().map(String::as_str));
        process.wait_for_log("the tables", |log| log.contains("migration"));
        process.kill();
        let client = runtime.block_on(connect(&url));
        Some(Self { runtime, admin, client, name, settings })
    }

    /// How many rows a table holds.
    pub fn count(&self, table: &str) -> i64 {
        let query = format!("SELECT count(*) FROM {table}");
        self.runtime.block_on(self.client.query_one(&query, &[])).expect("a count").get(0)
    }

    /// A process is let to work until topics and tables hold everything, which must be what was `expected`.
    pub fn finish(self, world: &World, expected: &Undisturbed) {
        let mut process = world.start_as("forecast,store", "0", &self.settings.each_ref().map(String::as_str));
        let tables = ["bars", "predictions"];
        let wanted = tables.map(|table| sorted(expected.records(table).map(|record| record["value"].clone())));
        wait_until("all rows", &mut [&mut process], || {
            world.is_done() && tables.iter().zip(&wanted).all(|(table, rows)| self.count(table) >= rows.len() as i64)
        });
        process.stop();
        for (table, wanted) in tables.iter().zip(&wanted) {
            let found = self.runtime.block_on(rows(&self.client, table));
            let differs = wanted.iter().zip(&found).find(|(wanted, found)| wanted != found);
            assert_eq!((found.len(), differs), (wanted.len(), None), "{table}");
        }
        drop(self.client);
        let drop_database = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        self.runtime.block_on(self.admin.batch_execute(&drop_database)).expect("the database goes");
    }
}

#[test]
fn rows_survive_kills() {
    let Some(expected) = undisturbed() else { return };
    let world = World::make("rows", 4, &OFTEN).unwrap();
    world.feed(&market());
    let Some(rows) = Rows::make(&world) else { return };
    let more = rows.settings.each_ref().map(String::as_str);
    let stored = || rows.count("predictions");
    let whole = expected.records("predictions").count() as i64;
    let work = Work { roles: "forecast,store", more: &more, progress: &stored, whole };
    let at_work = kill_again_and_again(&world, &work, 10, 4_242);
    assert!(at_work >= 6, "only {at_work} of 10 kills hit a store that had work left");
    rows.finish(&world, expected);
}
