//! `tickcast check`: the effective settings, and whether what they point at can be used.

use anyhow::bail;
use clap::Args;

use super::Settings;
use crate::config::DEFAULTS;
use crate::io::kafka::topics;
use crate::service::forecast;

/// Print the effective settings, validate them and, with --connect, what they point at.
#[derive(Debug, Args)]
pub struct Check {
    /// Also ask Kafka, PostgreSQL and the model.
    #[arg(long)]
    connect: bool,
    /// Print every key with its default and its meaning, and do nothing else.
    #[arg(long)]
    defaults: bool,
}

impl Check {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<()> {
        if self.defaults {
            print!("{DEFAULTS}");
            return Ok(());
        }
        let config = settings.load()?;
        println!("{config:#?}");
        if self.connect {
            let problems = super::runtime()?.block_on(topics::check(&config.kafka, None, config.bars.interval))?;
            if !problems.is_empty() {
                bail!("{}", problems.join("\n"));
            }
            println!("kafka: ok");
            if config.postgres.url.expose().is_empty() {
                println!("postgres: not configured (postgres.url is empty; the store role needs it)");
            } else {
                println!("postgres: {}", super::migrate::check(&config)?);
            }
            let champion = forecast::champion(&config)?;
            println!("model: ok, {} {}", champion.spec().name, champion.spec().version);
        }
        Ok(())
    }
}
