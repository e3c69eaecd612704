//! `tickcast topics`: creates and checks the topics.

use anyhow::bail;
use clap::{Args, Subcommand};

use crate::config::Config;
use crate::io::kafka::topics::{self, Applied};

/// Create and check the topics.
#[derive(Debug, Args)]
pub struct Topics {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create what is missing, correct and check what is there; safe to repeat.
    Apply {
        /// Partitions of every topic; outputs have as many as ticks.
        #[arg(long, value_parser = clap::value_parser!(i32).range(1..=10_000))]
        partitions: i32,
        /// Replicas of every partition; -1 takes the broker's default.
        #[arg(long, default_value_t = -1, value_parser = clap::value_parser!(i32).range(-1..=10))]
        replication: i32,
    },
    /// Say what is wrong with the topics; nothing is changed.
    Check,
}

impl Topics {
    pub(super) fn run(self, config: &Config) -> anyhow::Result<()> {
        let runtime = super::runtime()?;
        match self.action {
            Action::Apply { partitions, replication } => {
                for (name, applied) in
                    runtime.block_on(topics::apply(&config.kafka, partitions, replication, config.bars.interval))?
                {
                    let state = match applied {
                        Applied::Created => "created".to_owned(),
                        Applied::Updated(settings) => format!("updated: {}", settings.join(", ")),
                        Applied::Unchanged => "unchanged".to_owned(),
                    };
                    println!("{name}: {state}, {partitions} partitions");
                }
            }
            Action::Check => {
                let problems = runtime.block_on(topics::check(&config.kafka, None, config.bars.interval))?;
                if !problems.is_empty() {
                    bail!("{}", problems.join("\n"));
                }
                println!("the topics are as they must be");
            }
        }
        Ok(())
    }
}
