//! The `tickcast` program: reads the command line, runs one command, turns its outcome into an exit code.

use std::process::ExitCode;

use clap::Parser;
use tickcast::cli::{self, Cli};
use tickcast::config::ConfigError;
use tickcast::telemetry::causes;

/// 0 done, 2 usage or configuration (clap exits with 2 by itself), 1 anything else.
fn main() -> ExitCode {
    let Err(error) = cli::run(Cli::parse()) else { return ExitCode::SUCCESS };
    eprintln!("tickcast: {}", causes::told(&error));
    let configuration = error.chain().any(|cause| cause.is::<ConfigError>());
    ExitCode::from(if configuration { 2 } else { 1 })
}
