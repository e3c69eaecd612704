//! Topics and a group of their own for one test, the processes that work on them, and what they wrote.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output as Ended, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::RDKafkaErrorCode;
use serde_json::Value;
use tickcast::config::{self, Config};
use tickcast::flow::time::SECOND;
use tickcast::io::kafka::client;
use tickcast::io::kafka::feeder::Feeder;
use tickcast::io::kafka::topics::Topics;
use tickcast::machine::checkpoint::Checkpoint;

use super::stream::Tick;
use crate::support;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tickcast");
/// How long anything that must happen may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(10);
const CALL: Duration = Duration::from_secs(30);

/// Settings under which a lane commits all the time, so that kills hit many different places.
pub const OFTEN: [&str; 2] = ["forecast.commit_interval=50ms", "forecast.max_transaction_bytes=20000"];

/// What the output topics hold: by topic and partition, each record with key, value and headers, without what may differ
/// between two runs.
pub type Output = BTreeMap<(&'static str, i64), Vec<Value>>;

/// Topics and a group of their own.
pub struct World {
    pub config: Config,
    pub topics: Topics,
    pub partitions: i32,
    settings: Vec<String>,
    logs: tempfile::TempDir,
    probe: BaseConsumer,
    starts: AtomicU32,
    /// A replay that may still run.
    replay: RefCell<Option<Process>>,
}

impl World {
    /// Makes topics with `partitions`; `None`, said aloud, where there is no Kafka.
    pub fn make(name: &str, partitions: i32, more: &[&str]) -> Option<Self> {
        support::kafka()?;
        let name = support::unique(name);
        let mut settings = vec![
            format!("kafka.topic_prefix={name}."),
            format!("kafka.group={name}"),
            "http.listen=off".to_owned(),
            "bars.interval=1s".to_owned(),
            "bars.idle_timeout=off".to_owned(),
            "bars.max_fill=20".to_owned(),
        ];
        settings.extend(more.iter().map(|setting| (*setting).to_owned()));
        let config = config::load(None, &settings).expect("valid settings");
        let probe = client::consumer(&config.kafka, &config.kafka.group)
            .set("isolation.level", "read_uncommitted")
            .create()
            .expect("a consumer");
        let topics = Topics::new(&config.kafka.topic_prefix);
        let logs = tempfile::tempdir().expect("a directory");
        let world = Self {
            config,
            topics,
            partitions,
            settings,
            logs,
            probe,
            starts: AtomicU32::new(0),
            replay: RefCell::default(),
        };
        let made = world.run(&["topics", "apply", "--partitions", &partitions.to_string()]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Some(world)
    }

    fn command(&self, arguments: &[&str], more: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).stdin(Stdio::null());
        for setting in self.settings.iter().map(String::as_str).chain(more.iter().copied()) {
            command.args(["--set", setting]);
        }
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.command(arguments, &[]).output().expect("the program runs")
    }

    /// Starts a forecaster.
    pub fn start(&self, instance: &str, more: &[&str]) -> Process {
        self.start_as("forecast", instance, more)
    }

    /// Starts a process with `roles`.
    pub fn start_as(&self, roles: &str, instance: &str, more: &[&str]) -> Process {
        let instance = format!("kafka.instance={instance}");
        let more: Vec<&str> = more.iter().copied().chain([instance.as_str()]).collect();
        self.spawn(&["run", "--roles", roles], &more)
    }

    fn spawn(&self, arguments: &[&str], more: &[&str]) -> Process {
        let log = self.logs.path().join(format!("{}.log", self.starts.fetch_add(1, Ordering::Relaxed)));
        let (out, err) = (Stdio::null(), File::create(&log).expect("a log"));
        let child = self.command(arguments, more).stdout(out).stderr(err).spawn().expect("the program starts");
        Process { child, log }
    }

    /// Starts to replay `files` (`SYMBOL=FILE`); nothing is done before it has ended.
    pub fn start_replay(&self, files: &[String], speed: &str) {
        let arguments = ["replay", "--speed", speed].into_iter().chain(files.iter().map(String::as_str));
        self.replay.replace(Some(self.spawn(&arguments.collect::<Vec<_>>(), &[])));
    }

    /// Whether a replay runs; fails when it has failed.
    pub fn is_replaying(&self) -> bool {
        let mut replay = self.replay.borrow_mut();
        if let Some(process) = replay.as_mut()
            && let Some(status) = process.child.try_wait().expect("a child of ours")
        {
            assert!(status.success(), "{}", process.log());
            *replay = None;
        }
        replay.is_some()
    }

    /// Writes `ticks` and waits until they are there.
    pub fn feed(&self, ticks: &[Tick]) {
        let mut feeder = Feeder::open(&self.config.kafka, &self.topics.ticks).expect("a feeder");
        for tick in ticks {
            match tick {
                Tick::Keyed(key, value) => feeder.send(key, value),
                Tick::Watermark(time) => feeder.send_watermarks(*time),
            }
            .expect("written");
        }
        feeder.finish().expect("written");
    }

    /// The end of a partition, open transactions included.
    pub fn end(&self, topic: &str, partition: i32) -> i64 {
        // A client that has not heard of the topic yet says that there is no such partition.
        let ends = (0..100).find_map(|_| match self.probe.fetch_watermarks(topic, partition, CALL) {
            Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownPartition) => {
                std::thread::sleep(LOOK);
                None
            }
            ends => Some(ends.expect("Kafka answers")),
        });
        ends.unwrap_or_else(|| panic!("{topic}/{partition} is unknown")).1
    }

    /// Whether a transaction is open in a partition of `bars`.
    pub fn is_open(&self, partition: i32) -> bool {
        let stable: BaseConsumer = client::consumer(&self.config.kafka, "none").create().expect("a consumer");
        let end = stable.fetch_watermarks(&self.topics.bars, partition, CALL).expect("Kafka answers").1;
        end < self.end(&self.topics.bars, partition)
    }

    /// How much was written to `bars` and `predictions`, committed or not.
    pub fn written(&self) -> i64 {
        let outputs = [&self.topics.bars, &self.topics.predictions];
        outputs.iter().flat_map(|topic| (0..self.partitions).map(|p| self.end(topic, p))).sum()
    }

    /// The last committed offset of every partition with its checkpoint.
    pub fn checkpoints(&self) -> Vec<Option<(i64, Checkpoint)>> {
        let mut list = TopicPartitionList::new();
        for partition in 0..self.partitions {
            list.add_partition(&self.topics.ticks, partition);
        }
        let list = self.probe.committed_offsets(list, CALL).expect("Kafka answers");
        let mut elements = list.elements_for_topic(&self.topics.ticks);
        elements.sort_by_key(rdkafka::topic_partition_list::TopicPartitionListElem::partition);
        let found = elements.iter().map(|element| {
            let offset = element.offset().to_raw().filter(|offset| *offset >= 0)?;
            Some((offset, element.metadata().parse().expect("a checkpoint")))
        });
        found.collect()
    }

    /// Whether everything that is to be fed is committed, the cycles of the last record included.
    pub fn is_done(&self) -> bool {
        // In this order: what the replay wrote last counts.
        let fed = !self.is_replaying();
        fed && self.checkpoints().iter().enumerate().all(|(partition, committed)| {
            committed.as_ref().is_some_and(|(offset, checkpoint)| {
                let due = checkpoint.watermark.map(|watermark| watermark.div_euclid(SECOND) * SECOND);
                *offset == self.end(&self.topics.ticks, partition as i32) && checkpoint.closed == due
            })
        })
    }

    /// Waits until [`World::is_done`], while `processes` must live.
    pub fn finish(&self, processes: &mut [&mut Process]) {
        wait_until("everything is committed", processes, || self.is_done());
    }

    /// Everything that a reader of committed records finds, as `tickcast tail` tells it.
    pub fn output(&self) -> Output {
        let mut output = Output::new();
        for topic in ["bars", "predictions", "deadletter"] {
            let tail = self.run(&["tail", topic, "--from-beginning", "--until-end", "--json"]);
            assert!(tail.status.success(), "{}", String::from_utf8_lossy(&tail.stderr));
            for line in tail.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let mut record: Value = serde_json::from_slice(line).expect("JSON");
                let partition = record["partition"].as_i64().expect("a partition");
                let record = record.as_object_mut().expect("an object");
                record.retain(|name, _| matches!(name.as_str(), "key" | "value" | "headers"));
                if let Some(value) = record["value"].as_object_mut() {
                    value.remove("produced_at");
                }
                if let Some(headers) = record["headers"].as_object_mut() {
                    headers.retain(|name, _| !matches!(name.as_str(), "origin_topic" | "origin_timestamp_ms"));
                }
                output.entry((topic, partition)).or_default().push(Value::Object(std::mem::take(record)));
            }
        }
        output
    }
}

/// Fails with the first record that differs.
pub fn assert_same(expected: &Output, found: &Output) {
    for (place, expected) in expected {
        let empty = Vec::new();
        let found = found.get(place).unwrap_or(&empty);
        for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
            assert_eq!(expected, found, "record {index} of {place:?}");
        }
        assert_eq!(expected.len(), found.len(), "records of {place:?}");
    }
    assert_eq!(expected.len(), found.len(), "partitions that hold records");
}

/// Waits until `condition` holds, while `processes` must live; fails with their logs when that takes too long.
pub fn wait_until(what: &str, processes: &mut [&mut Process], mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        for process in processes.iter_mut() {
            if let Some(status) = process.child.try_wait().expect("a child") {
                panic!("{what}: the process ended with {status}:\n{}", process.log());
            }
        }
        if Instant::now() > deadline {
            let logs: Vec<String> = processes.iter().map(|process| process.log()).collect();
            panic!("{what}: not within {PATIENCE:?}\n{}", logs.join("\n---\n"));
        }
        std::thread::sleep(LOOK);
    }
}

/// A running process; killed when it goes out of scope.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child of ours");
        self.child.wait().expect("a child of ours");
    }

    /// Sends a signal, such as TERM.
    pub fn signal(&self, name: &str) {
        let sent =
            Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().expect("kill");
        assert!(sent.success());
    }

    /// Waits until it has ended, or its log is as `wanted`.
    pub fn wait_until_ended_or(&mut self, wanted: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait().expect("a child of ours").is_none() && !wanted(&self.log()) {
            assert!(Instant::now() < deadline, "it neither ends nor goes on:\n{}", self.log());
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until it ends by itself; its exit code.
    pub fn exit_code(&mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.log());
            std::thread::sleep(LOOK);
        }
    }

    /// SIGTERM, which must end with 0; not before it has joined, for until it catches signals they simply end it.
    pub fn stop(&mut self) {
        self.wait_for_log("that it has joined", |line| line.contains(": assigned "));
        self.signal("TERM");
        assert_eq!(self.exit_code(), 0, "after SIGTERM:\n{}", self.log());
    }

    /// The partitions it was given last.
    pub fn partitions(&self) -> Vec<i32> {
        let log = self.log();
        let line = log.lines().rfind(|line| line.contains(": assigned ")).unwrap_or_default();
        let list = line.split_once("partitions=[").map_or("", |(_, list)| list.trim_end_matches(']'));
        list.split(", ").filter_map(|number| number.parse().ok()).collect()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        read(&self.log)
    }

    /// Waits until it has been given partitions, and may be restoring them.
    pub fn wait_for_assignment(&mut self) {
        self.wait_for_log("an assignment", |line| line.contains(": assigned ") && !line.contains("partitions=[]"));
    }

    /// Waits until a line of its log is `wanted`.
    pub fn wait_for_log(&mut self, what: &str, wanted: impl Fn(&str) -> bool) {
        let log = self.log.clone();
        wait_until(what, &mut [self], || read(&log).lines().any(&wanted));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
