//! `tickcast run`: the service.

use clap::Args;

use crate::config::Config;
use crate::service::run::{Role, run};
use crate::telemetry;

/// Run roles of the service until SIGTERM.
#[derive(Debug, Args)]
pub struct Run {
    /// What this process does; all of it by default.
    #[arg(long, value_delimiter = ',', value_enum, default_values_t = [Role::Forecast, Role::Verify, Role::Store])]
    roles: Vec<Role>,
}

impl Run {
    pub(super) fn run(self, config: Config) -> anyhow::Result<()> {
        telemetry::log::init(&config.log)?;
        run(config, &self.roles)
    }
}
