//! The six recorded Binance instruments of 2024-08-09: trades of the same eleven minutes, midnight inside.

use std::path::{Path, PathBuf};

/// What the files are called.
pub const NAMES: [&str; 6] =
    ["cm_BTCUSD_PERP", "cm_ETHUSD_PERP", "spot_BTCUSDT", "spot_ETHUSDT", "usdm_BTCUSDT", "usdm_ETHUSDT"];

/// The file of a name, in the folder of the recorded data.
pub fn file(data: &Path, name: &str) -> PathBuf {
    data.join(format!("ticks/binance_{name}_20240809.csv.gz"))
}

/// `cm_BTCUSD_PERP` is the symbol `BTCUSD_PERP.BINANCE-CM`.
pub fn symbol(name: &str) -> String {
    let (venue, instrument) = name.split_once('_').expect("venue_instrument");
    format!("{instrument}.BINANCE-{}", venue.to_uppercase())
}

/// A file as `tickcast replay` and `tickcast backtest` take it.
pub fn source(data: &Path, name: &str) -> String {
    format!("{}={}", symbol(name), file(data, name).display())
}

/// All of them.
pub fn sources(data: &Path) -> Vec<String> {
    NAMES.iter().map(|name| source(data, name)).collect()
}
