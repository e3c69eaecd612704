//! A world for tests of the store: topics, a group and a database of its own, and the role in a thread.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::AdminOptions;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tickcast::config::Config;
use tickcast::io::kafka::topics::{self, Topics};
use tickcast::service::health::{Health, Stop};
use tickcast::service::store;
use tickcast::telemetry::metrics::{Metrics, ResultLabel, TopicLabel};
use tokio_postgres::{Client, NoTls};

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Topics, group and database that nobody else uses.
pub struct World {
    pub name: String,
    pub topics: Topics,
    pub url: String,
    admin_url: String,
    producer: BaseProducer,
    pub runtime: tokio::runtime::Runtime,
}

impl World {
    /// Makes them; nothing where Kafka or PostgreSQL is absent.
    pub fn new(partitions: i32) -> Option<Self> {
        super::kafka()?;
        let admin_url = super::server("TICKCAST__POSTGRES__URL")?;
        let name = super::unique("store");
        let runtime = super::runtime();
        let url = database_url(&admin_url, &name);
        runtime.block_on(async {
            let client = connect(&admin_url).await;
            client.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("a database");
        });
        let kafka = super::settings(&name, &[]).kafka;
        runtime.block_on(topics::apply(&kafka, partitions, 1, "10s".parse().unwrap())).expect("topics");
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &kafka.brokers)
            .set("transactional.id", &name)
            .set("partitioner", "murmur2_random")
            .create()
            .expect("a producer");
        producer.init_transactions(PATIENCE).expect("transactions");
        Some(Self { topics: Topics::new(&kafka.topic_prefix), name, url, admin_url, producer, runtime })
    }

    /// Uses the database of another server.
    pub fn use_server(&mut self, url: &str) {
        url.clone_into(&mut self.url);
    }

    /// Settings of a process named `instance` of this world.
    pub fn settings(&self, instance: &str, more: &[&str]) -> Config {
        let url = format!("postgres.url={}", self.url);
        let instance = format!("kafka.instance={instance}");
        let mut all = vec![url.as_str(), instance.as_str(), "store.linger=20ms"];
        all.extend(more);
        super::settings(&self.name, &all)
    }

    /// Produces records (topic, partition, value) in one committed transaction.
    pub fn produce(&self, records: &[(&str, i32, &str)]) {
        self.transaction(|producer| {
            for (topic, partition, value) in records {
                send(producer, BaseRecord::<(), str>::to(topic).partition(*partition).payload(value));
            }
        });
        self.producer.commit_transaction(PATIENCE).expect("a commit");
    }

    /// Produces records that nobody who reads committed records may see.
    pub fn produce_aborted(&self, records: &[(&str, i32, &str)]) {
        self.transaction(|producer| {
            for (topic, partition, value) in records {
                send(producer, BaseRecord::<(), str>::to(topic).partition(*partition).payload(value));
            }
        });
        self.producer.flush(PATIENCE).expect("a flush");
        self.producer.abort_transaction(PATIENCE).expect("an abort");
    }

    /// Produces a dead letter.
    pub fn produce_dead_letter(&self, partition: i32, reason: &str, origin_offset: i64) {
        self.transaction(|producer| {
            let (origin, offset) = (partition.to_string(), origin_offset.to_string());
            let headers = [
                ("reason", reason),
                ("origin_topic", self.topics.ticks.as_str()),
                ("origin_partition", origin.as_str()),
                ("origin_offset", offset.as_str()),
            ];
            let headers = headers.iter().fold(OwnedHeaders::new(), |list, (key, value)| {
                list.insert(Header { key, value: Some(value.as_bytes()) })
            });
            let record = BaseRecord::<(), str>::to(&self.topics.deadletter).partition(partition).payload("x");
            send(producer, record.headers(headers));
        });
        self.producer.commit_transaction(PATIENCE).expect("a commit");
    }

    /// Produces a retrain event with these headers.
    pub fn produce_event(&self, partition: i32, headers: &[(&str, &str)], value: &str) {
        self.transaction(|producer| {
            let headers = headers.iter().fold(OwnedHeaders::new(), |list, (key, value)| {
                list.insert(Header { key, value: Some(value.as_bytes()) })
            });
            let record = BaseRecord::<(), str>::to(&self.topics.retrain).partition(partition).payload(value);
            send(producer, record.headers(headers));
        });
        self.producer.commit_transaction(PATIENCE).expect("a commit");
    }

    /// Deletes topics, and waits until Kafka does not know them.
    pub fn delete_topics(&self, names: &[&str]) {
        let admin = topics::admin(&super::settings(&self.name, &[]).kafka).expect("Kafka");
        self.runtime.block_on(admin.delete_topics(names, &AdminOptions::new())).expect("deleted topics");
        // Deletion is not at once everywhere.
        wait("the topics are gone", || {
            names.iter().all(|name| topics::partition_count(&admin, name).is_ok_and(|n| n == 0))
        });
    }

    /// Makes what is missing.
    pub fn apply_topics(&self, partitions: i32) {
        let kafka = super::settings(&self.name, &[]).kafka;
        wait("the topics are there", || {
            self.runtime.block_on(topics::apply(&kafka, partitions, 1, "10s".parse().unwrap())).is_ok()
        });
    }

    /// Deletes the topics and makes them anew under their old names.
    pub fn recreate_topics(&self, partitions: i32) {
        self.delete_topics(&self.topics.all());
        self.apply_topics(partitions);
    }

    fn transaction(&self, fill: impl FnOnce(&BaseProducer)) {
        self.producer.begin_transaction().expect("a transaction");
        fill(&self.producer);
    }

    /// One value of one row.
    pub fn number(&self, sql: &str) -> i64 {
        self.runtime.block_on(async { connect(&self.url).await.query_one(sql, &[]).await.expect(sql).get(0) })
    }

    /// Texts of the first column, in order.
    pub fn texts(&self, sql: &str) -> Vec<String> {
        self.runtime.block_on(async {
            connect(&self.url).await.query(sql, &[]).await.expect(sql).iter().map(|row| row.get(0)).collect()
        })
    }

    /// Runs statements.
    pub fn execute(&self, sql: &str) {
        self.runtime.block_on(async { connect(&self.url).await.batch_execute(sql).await.expect(sql) });
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let kafka = super::settings(&self.name, &[]).kafka;
        self.runtime.block_on(async {
            if let Ok((client, connection)) = tokio_postgres::connect(&self.admin_url, NoTls).await {
                tokio::spawn(connection);
                let _ = client.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", self.name)).await;
            }
            if let Ok(admin) = topics::admin(&kafka) {
                let _ = admin.delete_topics(&self.topics.all(), &AdminOptions::new()).await;
            }
        });
    }
}

fn send(producer: &BaseProducer, record: BaseRecord<'_, (), str>) {
    producer.send(record).map_err(|(error, _)| error).expect("room in the producer's queue");
}

/// The same server, another database.
pub fn database_url(url: &str, database: &str) -> String {
    let (server, _) = url.rsplit_once('/').expect("a URL that names a database");
    format!("{server}/{database}")
}

/// A connection whose work is done by the current runtime.
pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("PostgreSQL");
    tokio::spawn(connection);
    client
}

/// What the role has done so far.
#[derive(Debug)]
pub struct Snapshot {
    pub bars: u64,
    pub predictions: u64,
    pub outcomes: u64,
    pub accuracy: u64,
    pub retrain: u64,
    pub dead_letters: u64,
    pub skipped: u64,
    pub conflicts: u64,
    pub retries: u64,
    /// Why it is not ready; empty when it is.
    pub unready: Vec<String>,
}

/// The role in a thread; stops and is joined when it goes out of scope.
pub struct Running {
    stop: Stop,
    metrics: Arc<Metrics>,
    health: Health,
    threads: Vec<JoinHandle<anyhow::Result<()>>>,
}

impl Running {
    /// Starts it.
    pub fn start(config: Config) -> Self {
        let (stop, metrics, health) = (Stop::default(), Arc::new(Metrics::default()), Health::default());
        let threads = store::start(&Arc::new(config), &metrics, &health, &stop).expect("valid settings");
        Self { stop, metrics, health, threads }
    }

    /// The counters.
    pub fn snapshot(&self) -> Snapshot {
        let rows = |topic: &str| self.metrics.rows_stored.get_or_create(&TopicLabel { topic: topic.to_owned() }).get();
        Snapshot {
            bars: rows("bars"),
            predictions: rows("predictions"),
            outcomes: rows("outcomes"),
            accuracy: rows("accuracy"),
            retrain: rows("retrain"),
            dead_letters: rows("deadletter"),
            skipped: self.metrics.store_skipped.get(),
            conflicts: self.metrics.store_batches.get_or_create(&ResultLabel { result: "conflict" }).get(),
            retries: self.metrics.store_retries.get(),
            unready: self.health.unready(),
        }
    }

    /// Days that were too old, by what became of them.
    pub fn partitions(&self, result: &'static str) -> u64 {
        self.metrics.store_partitions.get_or_create(&ResultLabel { result }).get()
    }

    /// Waits until the counters are as `wanted` says.
    pub fn wait(&self, what: &str, wanted: impl Fn(&Snapshot) -> bool) {
        let begin = Instant::now();
        while !wanted(&self.snapshot()) {
            assert!(begin.elapsed() < PATIENCE, "not in time: {what}: {:?}", self.snapshot());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops it as SIGTERM would.
    pub fn stop(mut self) -> Snapshot {
        self.finish();
        self.snapshot()
    }

    /// Waits until the role ends by itself, and gives why.
    pub fn failure(mut self) -> anyhow::Error {
        wait("the role ends", || self.threads.iter().all(JoinHandle::is_finished));
        let mut ended: Vec<_> =
            self.threads.drain(..).map(|thread| thread.join().expect("no panic in the role")).collect();
        ended.pop().expect("a thread").expect_err("a failure")
    }

    fn finish(&mut self) {
        self.stop.request();
        for thread in self.threads.drain(..) {
            let result = thread.join().expect("no panic in the role");
            if !std::thread::panicking() {
                result.expect("the role ends well");
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Waits until `holds`, and fails when it does not in time.
pub fn wait(what: &str, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
