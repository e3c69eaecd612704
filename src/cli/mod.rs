//! The commands: one file each.

pub mod backtest;
pub mod check;
pub mod dataset;
pub mod demo;
pub mod detectors;
pub mod feed;
pub mod migrate;
pub mod model;
pub mod offsets;
pub mod pace;
pub mod replay;
pub mod retrain;
pub mod run;
pub mod simulate;
pub mod tail;
pub mod topics;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Config, ConfigError};
use crate::telemetry::log;

/// Exactly-once short-horizon forecasts from a live stream of market ticks.
#[derive(Debug, Parser)]
#[command(name = "tickcast", version, about, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Command,
}

/// Where settings come from.
#[derive(Debug, Args)]
pub struct Settings {
    /// A TOML file with settings; keys as in `tickcast check --defaults`.
    #[arg(long, global = true, env = "TICKCAST_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// One setting, such as kafka.brokers=127.0.0.1:9092; wins over file and environment.
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl Settings {
    /// Reads the settings.
    ///
    /// # Errors
    /// See [`config::load`].
    pub fn load(&self) -> Result<Config, ConfigError> {
        config::load(self.config.as_deref(), &self.set)
    }

    /// Reads them for a command with `defaults` of its own.
    ///
    /// # Errors
    /// See [`config::load`].
    pub fn load_over(&self, defaults: &str) -> Result<Config, ConfigError> {
        config::load_over(defaults, self.config.as_deref(), &self.set)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    /// Run roles of the service until SIGTERM.
    Run(run::Run),
    /// Look at model files.
    Model(model::Model),
    /// Print the effective settings, validate them and, with --connect, what they point at.
    Check(check::Check),
    Replay(replay::Replay),
    Retrain(retrain::Retrain),
    Simulate(simulate::Simulate),
    Dataset(dataset::Dataset),
    Backtest(backtest::Backtest),
    Detectors(detectors::Detectors),
    Tail(tail::Tail),
    /// Look at the forecasters' offsets, or accept a start that they refuse.
    Offsets(offsets::Offsets),
    /// Create or update the tables in PostgreSQL.
    Migrate(migrate::Migrate),
    /// Create and check the topics.
    Topics(topics::Topics),
}

/// Runs the command line's command.
///
/// # Errors
/// What the command could not do, with its causes; a [`ConfigError`] anywhere in the chain means exit code 2.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    if !matches!(cli.command, Command::Run(_) | Command::Demo(_)) {
        log::warnings();
    }
    match cli.command {
        Command::Demo(command) => command.run(cli.settings.load_over(demo::DEFAULTS)?),
        Command::Run(command) => command.run(cli.settings.load()?),
        Command::Model(command) => command.run(),
        Command::Check(command) => command.run(&cli.settings),
        Command::Retrain(command) => command.run(&cli.settings.load()?),
        Command::Replay(command) => command.run(&cli.settings.load()?),
        Command::Simulate(command) => command.run(&cli.settings.load()?),
        Command::Dataset(command) => command.run(&cli.settings.load()?),
        Command::Backtest(command) => command.run(&cli.settings.load()?),
        Command::Detectors(command) => command.run(),
        Command::Tail(command) => command.run(&cli.settings.load()?),
        Command::Offsets(command) => command.run(&cli.settings.load()?),
        Command::Migrate(command) => command.run(&cli.settings.load()?),
        Command::Topics(command) => command.run(&cli.settings.load()?),
    }
}

/// A small runtime for commands that talk to asynchronous clients.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?)
}
