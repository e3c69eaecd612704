//! `tickcast model`: looks at model files.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::flow::model::Scorer as _;
use crate::io::inference;

/// Look at model files.
#[derive(Debug, Args)]
pub struct Model {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check that a file keeps the model contract: the same checks as at deployment.
    Validate {
        /// The ONNX file.
        file: PathBuf,
    },
}

impl Model {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Action::Validate { file } = self.action;
        anyhow::ensure!(!file.as_os_str().is_empty(), "the file's name is empty");
        let model = inference::load(&file, 1)?;
        let spec = model.spec();
        let interval = spec.bar_interval.map_or_else(|| "any".to_owned(), |interval| interval.to_string());
        println!("{}: keeps the contract", file.display());
        println!("model {} {}, bars of {interval}, horizons {:?}", spec.name, spec.version, spec.horizons);
        println!("{} features over {} bars, sequence of {}", model.width(), spec.window, spec.sequence);
        Ok(())
    }
}
