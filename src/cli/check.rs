//! `tickcast check`: the effective settings, and whether what they point at can be used.

use anyhow::{bail, ensure};
use clap::Args;

use super::Settings;
use crate::config::{Config, DEFAULTS};
use crate::io::kafka::topics;
use crate::service::forecast;
use crate::telemetry::causes;

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
            return connect(&config);
        }
        Ok(())
    }
}

/// Asks each part, whatever the others answer.
fn connect(config: &Config) -> anyhow::Result<()> {
    let mut problems = Vec::new();
    let mut tell = |part: &str, answer: anyhow::Result<String>| match answer {
        Ok(text) => println!("# {part}: {text}"),
        Err(error) => {
            println!("# {part}: not usable, see below");
            problems.push(causes::told(&error));
        }
    };
    // What is soon known is said first: brokers that do not answer are waited for.
    tell("model", model(config));
    tell("postgres", postgres(config));
    tell("kafka", kafka(config));
    match problems.len() {
        0 => Ok(()),
        _ => bail!("{}", problems.join("\n")),
    }
}

fn model(config: &Config) -> anyhow::Result<String> {
    let champion = forecast::champion(config)?;
    Ok(format!("ok, {} {}", champion.spec().name, champion.spec().version))
}

fn postgres(config: &Config) -> anyhow::Result<String> {
    if config.postgres.url.expose().is_empty() {
        return Ok("not configured (postgres.url is empty; the store role needs it)".to_owned());
    }
    super::migrate::check(config)
}

fn kafka(config: &Config) -> anyhow::Result<String> {
    let problems = super::runtime()?.block_on(topics::check(&config.kafka, None, config.bars.interval))?;
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    Ok("ok".to_owned())
}
