//! Structured logs on standard error: standard output belongs to the commands.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{ConfigError, Log};

/// Warnings alone, for commands that are not the service: their output is theirs. A second call changes nothing.
pub fn warnings() {
    let builder = fmt().with_env_filter(EnvFilter::new("tickcast=warn")).with_writer(std::io::stderr);
    let _ = builder.without_time().with_target(false).with_ansi(false).try_init();
}

/// Starts logging. A second call changes nothing.
///
/// # Errors
/// When the filter cannot be read.
pub fn init(config: &Log) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(&config.filter)
        .map_err(|error| ConfigError::Values(vec![format!("log.filter `{}`: {error}", config.filter)]))?;
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // An earlier subscriber (a test's) stays.
    let _ = if config.format == "json" { builder.json().try_init() } else { builder.with_ansi(false).try_init() };
    Ok(())
}
