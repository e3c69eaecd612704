//! The program as a child process, with topics of its own.

use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tickcast::config::{self, Config};

/// Topics that nobody else uses, and the commands that work on them.
pub struct Tool {
    pub config: Config,
    sets: Vec<String>,
}

/// What a command left behind.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Tool {
    /// Topics of `partitions`; none where Kafka is absent.
    pub fn new(what: &str, partitions: i32, more: &[&str]) -> Option<Self> {
        super::kafka()?;
        let name = super::unique(what);
        let mut sets = vec![format!("kafka.topic_prefix={name}."), format!("kafka.group={name}")];
        sets.extend(more.iter().map(|set| (*set).to_owned()));
        let config = config::load(None, &sets).expect("valid settings");
        let tool = Self { config, sets };
        if partitions > 0 {
            tool.ok(&["topics", "apply", "--partitions", &partitions.to_string(), "--replication", "1"]);
        }
        Some(tool)
    }

    /// Full name of a topic.
    pub fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.config.kafka.topic_prefix)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tickcast"));
        command.args(args);
        self.sets.iter().for_each(|set| {
            command.args(["--set", set]);
        });
        command
    }

    /// Runs a command to its end.
    pub fn call(&self, args: &[&str]) -> Outcome {
        let output = self.command(args).stdin(Stdio::null()).output().expect("the program starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Outcome { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Runs a command that must end well, and gives its standard output.
    pub fn ok(&self, args: &[&str]) -> String {
        let outcome = self.call(args);
        assert_eq!(outcome.code, Some(0), "{args:?}: {outcome:?}");
        outcome.out
    }

    /// Starts a command and lets it run.
    pub fn start(&self, args: &[&str]) -> Child {
        self.command(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts")
    }

    /// The same as [`tail`](Self::tail), of a topic that may not be there yet.
    pub fn tail_or_empty(&self, topic: &str) -> Vec<Value> {
        let there = self.call(&["tail", topic, "--until-end"]).code == Some(0);
        if there { self.tail(topic) } else { Vec::new() }
    }

    /// Every committed record of a topic, as `tail` tells it, in the order of partition and offset.
    pub fn tail(&self, topic: &str) -> Vec<Value> {
        let out = self.ok(&["tail", topic, "--from-beginning", "--until-end", "--json"]);
        let mut records: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect();
        records.sort_by_key(|record| (record["partition"].as_i64(), record["offset"].as_i64()));
        records
    }
}
