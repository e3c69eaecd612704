//! `tickcast offsets`: looks at the committed offsets of the roles that restore from them, and accepts a start that they refuse.

use std::time::Duration;

use clap::{Args, Subcommand};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::feed::utc;
use crate::config::Config;
use crate::io::kafka::client;
use crate::io::kafka::topics;
use crate::machine::checkpoint::Checkpoint;
use crate::service::offsets::{Reader, accept};

/// Look at committed offsets and their checkpoints, or accept a start that a role refuses.
#[derive(Debug, Args)]
pub struct Offsets {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print the committed offsets and their checkpoints.
    Show {
        /// Whose.
        #[arg(long, value_enum, default_value = "forecast")]
        role: Reader,
    },
    /// Start anew, whatever was committed; every process with the role must be stopped.
    ///
    /// Give it the settings that the next `run` has. What was stopped a moment ago is a member of its group until
    /// kafka.session_timeout has passed: that is waited for.
    ///
    /// forecast: after the last close in `bars`. settle: at the end of `predictions`; what was said before and is not settled
    /// stays so. judge: at the end of `outcomes`, with the state that is written down.
    Accept {
        /// Whose.
        #[arg(long, value_enum, default_value = "forecast")]
        role: Reader,
        /// Only this partition; may be given several times.
        #[arg(long)]
        partition: Vec<i32>,
    },
}

impl Offsets {
    pub(super) fn run(self, config: &Config) -> anyhow::Result<()> {
        match self.action {
            Action::Show { role } => show(config, role),
            Action::Accept { role, partition } => {
                for accepted in accept(config, role, &partition, &mut |line| eprintln!("{line}"))? {
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

fn show(config: &Config, role: Reader) -> anyhow::Result<()> {
    let (topic, group) = (role.input(config), role.group(config));
    let count = topics::partition_count(&topics::admin(&config.kafka)?, &topic)?;
    let consumer: BaseConsumer = client::consumer(&config.kafka, &group).create()?;
    let mut list = TopicPartitionList::new();
    for number in 0..count {
        list.add_partition(&topic, number);
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
                    "partition {number}: offset {offset}, closed {}, watermark {}, resumes at {}, needs history [{}, {})",
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
