//! The settings that shape bars and predictions: part of every output's meaning.

use std::collections::HashSet;

use super::symbol::Symbol;
use super::time::{Interval, Micros, SECOND};

/// What shapes bars and predictions, apart from the model.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Length of a bar.
    pub interval: Interval,
    /// How far the watermark stays behind the largest event time.
    pub lateness: Micros,
    /// Synthetic bars in a row before a symbol is silent.
    pub max_fill: u32,
    /// How far ahead of its Kafka timestamp a trade may be.
    pub future_skew: Micros,
    /// Symbols of one partition.
    pub max_symbols: usize,
    /// The symbols that are wanted; none for every one.
    pub assets: Option<HashSet<Symbol>>,
    /// Abstain when the last trade is further back than this.
    pub max_staleness: Option<Micros>,
    /// Abstain when no class is as likely as this.
    pub min_confidence: f32,
    /// Abstain when the model's training ended longer ago than this.
    pub max_model_age: Option<Micros>,
}

impl Rules {
    /// A hash of what shapes bars, and of where the log lives (`identity`: cluster and topic). A checkpoint with another
    /// hash cannot be continued: its bars would change their meaning half-way.
    pub fn fingerprint(&self, identity: &str) -> u64 {
        let text = format!("{}|{}|{}|{}|{identity}", self.interval, self.lateness, self.max_fill, self.future_skew);
        xxhash_rust::xxh3::xxh3_64(text.as_bytes())
    }

    /// Which one setting the rules of `hash` had otherwise, with its value then and now. A hash is all that a checkpoint keeps,
    /// so values that people write are tried; none when more than one differs, or an unusual one, or `identity`.
    pub fn changed_since(&self, hash: u64, identity: &str) -> Option<String> {
        let is_it = |rules: &Self| rules.fingerprint(identity) == hash;
        let told = |key: &str, was: String, is: String| Some(format!("bars.{key} was {was} and is {is}"));
        for interval in (1..=86_400).filter_map(|seconds| Interval::from_seconds(seconds).ok()) {
            if is_it(&Self { interval, ..self.clone() }) {
                return told("interval", interval.to_string(), self.interval.to_string());
            }
        }
        for max_fill in 1..=1_000 {
            if is_it(&Self { max_fill, ..self.clone() }) {
                return told("max_fill", max_fill.to_string(), self.max_fill.to_string());
            }
        }
        for span in spans() {
            if is_it(&Self { lateness: span, ..self.clone() }) {
                return told("allowed_lateness", in_words(span), in_words(self.lateness));
            }
            if is_it(&Self { future_skew: span, ..self.clone() }) {
                return told("max_future_skew", in_words(span), in_words(self.future_skew));
            }
        }
        None
    }

    /// The settings that shape bars, with their values.
    pub fn shaping(&self) -> String {
        format!(
            "bars.interval={} bars.allowed_lateness={} bars.max_fill={} bars.max_future_skew={}",
            self.interval,
            in_words(self.lateness),
            self.max_fill,
            in_words(self.future_skew)
        )
    }

    /// Whether `symbol` is wanted.
    pub fn wants(&self, symbol: &str) -> bool {
        self.assets.as_ref().is_none_or(|assets| assets.contains(symbol))
    }
}

/// Lengths that people write: tenths of a second up to a minute, seconds up to ten, minutes up to a day.
fn spans() -> impl Iterator<Item = Micros> {
    let tenths = (0..600).map(|n| n * SECOND / 10);
    tenths.chain((60..600).map(|n| n * SECOND)).chain((10..=1_440).map(|n| n * 60 * SECOND))
}

/// As the settings are written.
fn in_words(span: Micros) -> String {
    match span / 1_000 {
        ms if ms == 0 || ms % 1_000 != 0 => format!("{ms}ms"),
        ms if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms => format!("{}s", ms / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules {
            interval: Interval::from_seconds(10).unwrap(),
            lateness: SECOND,
            max_fill: 60,
            future_skew: 60 * SECOND,
            max_symbols: 1,
            assets: None,
            max_staleness: None,
            min_confidence: 0.0,
            max_model_age: None,
        }
    }

    #[test]
    fn the_setting_that_was_another_one_is_found_behind_its_hash() {
        let found = |then: Rules| rules().changed_since(then.fingerprint("here"), "here");
        let minute = Interval::from_seconds(60).unwrap();
        let differs = |then| found(then).unwrap();
        assert_eq!(differs(Rules { interval: minute, ..rules() }), "bars.interval was 1m and is 10s");
        assert_eq!(differs(Rules { lateness: 2_500_000, ..rules() }), "bars.allowed_lateness was 2500ms and is 1s");
        assert_eq!(differs(Rules { lateness: 0, ..rules() }), "bars.allowed_lateness was 0ms and is 1s");
        assert_eq!(differs(Rules { max_fill: 5, ..rules() }), "bars.max_fill was 5 and is 60");
        assert_eq!(differs(Rules { future_skew: 120 * SECOND, ..rules() }), "bars.max_future_skew was 2m and is 1m");
        assert_eq!(found(Rules { interval: minute, max_fill: 5, ..rules() }), None);
        assert_eq!(rules().changed_since(rules().fingerprint("there"), "here"), None);
    }
}
