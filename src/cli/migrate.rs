//! `tickcast migrate`: brings the database up to this program's tables.

use clap::Args;

use crate::config::{Config, ConfigError};
use crate::io::postgres::{Target, connect, migrate};

/// Create or update the tables in PostgreSQL; safe to repeat. The store does the same when it starts.
#[derive(Debug, Args)]
pub struct Migrate {}

impl Migrate {
    pub(super) fn run(self, config: &Config) -> anyhow::Result<()> {
        let target = target(config)?;
        let applied = super::runtime()?.block_on(async {
            let mut client = connect::connect(&target).await?;
            migrate::migrate(&mut client, &target).await
        })?;
        for name in &applied {
            println!("{target}: applied {name}");
        }
        if applied.is_empty() {
            println!("{target}: nothing to do");
        }
        Ok(())
    }
}

/// Says whether PostgreSQL can be used, and how far it is migrated.
///
/// # Errors
/// When it cannot be used: the settings, the connection, or migrations that are not this program's.
pub(super) fn check(config: &Config) -> anyhow::Result<String> {
    let target = target(config)?;
    let state = super::runtime()?.block_on(async {
        let client = connect::connect(&target).await?;
        migrate::state(&client, &target).await
    })?;
    Ok(match state.latest - state.applied {
        0 => format!("{target}: ok, migration {}", state.applied),
        n => format!(
            "{target}: ok, {n} migrations to apply: `tickcast migrate` does, and so does the store when it starts"
        ),
    })
}

fn target(config: &Config) -> Result<Target, ConfigError> {
    Target::parse(config.postgres.url.expose()).map_err(|error| ConfigError::Values(vec![error.to_string()]))
}
