//! The tables that grow with the stream: their columns and the statements that fill them. Rows on their way are
//! [`super::rows`].

use super::columns::Kind;

/// A table that a topic's records go into, one row each.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// The time that it is partitioned by, a day each; none where it is in one piece.
    pub time: Option<&'static str>,
    /// The primary key; the time comes first.
    pub key: &'static [&'static str],
    /// Every column, in the order of the record's fields.
    pub columns: &'static [(&'static str, Kind)],
}

use Kind::{Bool, Float4, Float8, Int4, Int8, Json, Text, Texts};

/// Closed bars: the fields of [`crate::wire::bar::BarRecord`].
pub const BARS: Table = Table {
    name: "bars",
    time: Some("close_time"),
    key: &["close_time", "symbol", "interval"],
    columns: &[
        ("symbol", Text),
        ("interval", Text),
        ("open_time", Int8),
        ("close_time", Int8),
        ("open", Float8),
        ("high", Float8),
        ("low", Float8),
        ("close", Float8),
        ("volume", Float8),
        ("vwap", Float8),
        ("trades", Int8),
        ("buy_volume", Float8),
        ("sell_volume", Float8),
        ("complete", Bool),
        ("synthetic", Bool),
        ("last_event_time", Int8),
    ],
};

/// Predictions: the fields of [`crate::wire::prediction::PredictionRecord`].
pub const PREDICTIONS: Table = Table {
    name: "predictions",
    time: Some("as_of"),
    key: &["as_of", "symbol", "interval", "horizon", "model", "model_version"],
    columns: &[
        ("prediction_id", Text),
        ("symbol", Text),
        ("interval", Text),
        ("horizon", Int4),
        ("as_of", Int8),
        ("target_time", Int8),
        ("valid_until", Int8),
        ("sequence", Int8),
        ("reference_price", Float8),
        ("reference_vwap", Float8),
        ("reference_complete", Bool),
        ("reference_synthetic", Bool),
        ("dead_band_bps", Float8),
        ("p_down", Float4),
        ("p_flat", Float4),
        ("p_up", Float4),
        ("decision", Text),
        ("abstain_reasons", Texts),
        ("model", Text),
        ("model_version", Text),
        ("role", Text),
        ("feature_digest", Text),
        ("max_event_time", Int8),
        ("produced_at", Int8),
    ],
};

/// Outcomes: the fields of [`crate::wire::outcome::OutcomeRecord`] but its kind, which is always `outcome` here.
pub const OUTCOMES: Table = Table {
    name: "outcomes",
    time: Some("target_time"),
    key: &["target_time", "symbol", "interval", "horizon", "model", "model_version"],
    columns: &[
        ("prediction_id", Text),
        ("symbol", Text),
        ("interval", Text),
        ("horizon", Int4),
        ("as_of", Int8),
        ("target_time", Int8),
        ("model", Text),
        ("model_version", Text),
        ("role", Text),
        ("p_down", Float4),
        ("p_flat", Float4),
        ("p_up", Float4),
        ("decision", Text),
        ("reference_price", Float8),
        ("dead_band_bps", Float8),
        ("fee_bps", Float8),
        ("prior_return_bps", Float8),
        ("entry_price", Float8),
        ("target_price", Float8),
        ("realised_return_bps", Float8),
        ("realised", Text),
        ("hit", Bool),
        ("log_loss", Float8),
        ("brier", Float8),
        ("pnl_bps", Float8),
        ("unscorable", Text),
        ("produced_at", Int8),
    ],
};

/// Accuracy reports: the fields of [`crate::wire::accuracy::AccuracyRecord`], the baselines' with their names in front. The
/// symbol is empty where the report is of all together: a primary key holds no null.
pub const ACCURACY: Table = Table {
    name: "accuracy",
    time: Some("as_of"),
    key: &["as_of", "model", "model_version", "interval", "horizon", "symbol"],
    columns: &[
        ("model", Text),
        ("model_version", Text),
        ("interval", Text),
        ("horizon", Int4),
        ("symbol", Text),
        ("as_of", Int8),
        ("window_start", Int8),
        ("cohorts", Int8),
        ("cohorts_total", Int8),
        ("scored", Int8),
        ("unscorable", Int8),
        ("late", Int8),
        ("n", Int8),
        ("n_effective", Float8),
        ("hit_rate", Float8),
        ("hit_low", Float8),
        ("hit_high", Float8),
        ("log_loss", Float8),
        ("brier", Float8),
        ("calibration_error", Float8),
        ("coverage", Float8),
        ("decided_n", Int8),
        ("decided_hit_rate", Float8),
        ("class_accuracy", Float8),
        ("class_log_loss", Float8),
        ("trades", Int8),
        ("pnl_bps", Float8),
        ("pnl_mean_bps", Float8),
        ("break_even", Float8),
        ("majority_hit_rate", Float8),
        ("majority_log_loss", Float8),
        ("majority_brier", Float8),
        ("persistence_hit_rate", Float8),
        ("persistence_log_loss", Float8),
        ("persistence_brier", Float8),
        ("reversal_hit_rate", Float8),
        ("reversal_log_loss", Float8),
        ("reversal_brier", Float8),
        ("state", Text),
        ("since", Int8),
        ("reason", Text),
        ("produced_at", Int8),
    ],
};

/// Retrain events: id, kind and time of the event, then the fields of [`crate::wire::retrain::RequestRecord`] and of
/// [`crate::wire::retrain::ClosedRecord`]; what the other kind has is null. There are few, so it is in one piece.
pub const RETRAINS: Table = Table {
    name: "retrains",
    time: None,
    key: &["event_id"],
    columns: &[
        ("event_id", Text),
        ("event_type", Text),
        ("event_time", Int8),
        ("request_id", Text),
        ("model", Text),
        ("model_version", Text),
        ("interval", Text),
        ("horizon", Int4),
        ("requested_by", Text),
        ("requester", Text),
        ("reason", Text),
        ("as_of", Int8),
        ("detector", Text),
        ("statistic", Float8),
        ("threshold", Float8),
        ("reference", Float8),
        ("deviation", Float8),
        ("data_from", Int8),
        ("data_to", Int8),
        ("evidence", Json),
        ("result", Text),
    ],
};

impl Table {
    /// The statement that takes the stream of [`super::copy`]; it fails when a key is there already.
    pub fn copy(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        format!("COPY {} ({}) FROM STDIN (FORMAT binary)", self.name, names.join(", "))
    }

    /// The statement that takes one array a column and writes its rows; it fails when a key is there already.
    fn insert(&self) -> String {
        let list = |each: &dyn Fn(usize, &str, Kind) -> Option<String>| {
            let parts: Vec<_> =
                self.columns.iter().enumerate().filter_map(|(index, (name, kind))| each(index, name, *kind)).collect();
            parts.join(", ")
        };
        let names = list(&|_, name, _| Some(format!("\"{name}\"")));
        let values = list(&|_, name, kind| {
            Some(match kind {
                // The separator cannot be written in plain SQL text, so it is named by its code.
                Texts => format!("string_to_array(r.\"{name}\", chr(31))"),
                _ => format!("r.\"{name}\""),
            })
        });
        let arrays = list(&|index, _, kind| Some(format!("${}::{}", index + 1, kind.array())));
        format!("INSERT INTO {} ({names}) SELECT {values} FROM unnest({arrays}) AS r ({names})", self.name)
    }

    /// The statement that takes one array a column and writes its rows; a row that is there already is replaced: of two records
    /// with one key, the later in the log holds.
    pub fn upsert(&self) -> String {
        let replaced: Vec<_> = self
            .columns
            .iter()
            .filter(|(name, _)| !self.key.contains(name))
            .map(|(name, _)| format!("\"{name}\" = excluded.\"{name}\""))
            .collect();
        let key = self.key.join("\", \"");
        format!("{} ON CONFLICT (\"{key}\") DO UPDATE SET {}", self.insert(), replaced.join(", "))
    }
}
