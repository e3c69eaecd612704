//! `tickcast offsets`: looks at the forecasters' committed offsets, and accepts a start that they refuse.

use std::time::Duration;

use clap::{Args, Subcommand};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::feed::utc;
use crate::config::Config;
use crate::io::kafka::client;
use crate::io::kafka::topics::{self, Topics};
use crate::machine::checkpoint::Checkpoint;
use crate::service::offsets::accept;

/// Look at the forecasters' offsets, or accept a start that they refuse.
#[derive(Debug, Args)]
pub struct Offsets {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print the committed offsets and their checkpoints.
    Show,
    /// Start after the last close in `bars`, whatever was committed; every forecaster of the group must be stopped.
    Accept {
        /// Only this partition.
        #[arg(long)]
        partition: Option<i32>,
    },
}

impl Offsets {
    pub(super) fn run(self, config: &Config) -> anyhow::Result<()> {
        match self.action {
            Action::Show => show(config),
            Action::Accept { partition } => {
                for accepted in accept(config, partition)? {
                    let closed = accepted.closed.map_or_else(|| "no bar yet".to_owned(), utc);
                    println!(
                        "partition {}: starts at offset {}, bars closed up to {closed}",
                        accepted.partition, accepted.offset
                    );
                }
                Ok(())
            }
        }
    }
}

fn show(config: &Config) -> anyhow::Result<()> {
    let topics = Topics::new(&config.kafka.topic_prefix);
    let count = topics::partition_count(&topics::admin(&config.kafka)?, &topics.ticks)?;
    let consumer: BaseConsumer = client::consumer(&config.kafka, &config.kafka.group).create()?;
    let mut list = TopicPartitionList::new();
    for number in 0..count {
        list.add_partition(&topics.ticks, number);
    }
    let committed = consumer.committed_offsets(list, Duration::from_secs(30))?;
    for element in committed.elements() {
        let number = element.partition();
        match (element.offset().to_raw().filter(|offset| *offset >= 0), element.metadata().parse::<Checkpoint>()) {
            (None, _) => println!("partition {number}: nothing committed"),
            (Some(offset), Err(error)) => println!("partition {number}: offset {offset}, {error}"),
            (Some(offset), Ok(c)) => {
                let time = |time: Option<i64>| time.map_or_else(|| "-".to_owned(), utc);
                println!(
                    "partition {number}: offset {offset}, closed {}, watermark {}, resumes at {}, needs bars [{}, {})",
                    time(c.closed),
                    time(c.watermark),
                    c.resume,
                    c.bars.0,
                    c.bars.1
                );
            }
        }
    }
    Ok(())
}
